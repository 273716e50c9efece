"""Training the heads: three linear layers on fixed embeddings, cross-entropy in each label space, SGD.

The formula is that of `recommender.heads`; a test holds the two equal. Not here: where embeddings come from
(`indexer.embed`), and what is done with the result (`indexer.training.train`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from indexer.samples import Part
from recommender.heads import SPACES, Heads
from recommender.labels import UNTYPED, Hierarchy
from recommender.types import Matrix

FLAT = 1e-6
"""A number whose deviation is smaller than this part of the largest one counts as constant."""


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """How the heads are trained. `patience` is how many epochs without progress on validation end the training."""

    epochs: int = 60
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.01
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to: mean losses, and the part of validation pictures whose character was right."""

    number: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float | None


class HeadModule(nn.Module):
    """Three linear layers whose scores add up to one score for each character (see `recommender.heads`)."""

    def __init__(self, hierarchy: Hierarchy, dimension: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                f"{name}_head": nn.Linear(dimension, len(space))
                for name, space in zip(SPACES, hierarchy.spaces, strict=True)
            }
        )
        for layer in self.layers.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]  # nn.ModuleDict forgets what it holds
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # same
        self.show_of: Tensor
        self.type_of: Tensor
        self.register_buffer("show_of", torch.from_numpy(hierarchy.show_of))
        self.register_buffer("type_of", torch.from_numpy(hierarchy.type_of))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the logarithm of each character's probability: (n, characters)."""
        scores = {name: self.layers[f"{name}_head"](embeddings) for name in SPACES}
        types = scores["type"]
        anybody = types.logsumexp(1, keepdim=True) - np.log(types.shape[1])
        typed = torch.cat([types, anybody], dim=1)[:, self.type_of]  # UNTYPED is -1: the last column
        logs: Tensor = (scores["character"] + scores["show"][:, self.show_of] + typed).log_softmax(1)
        return logs

    def loss(self, embeddings: Tensor, characters: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean cross-entropy, summed over the label spaces.

        A picture whose character has no type takes part in everything but the type.
        """
        logs = self(embeddings)
        total = -logs.gather(1, characters.unsqueeze(1)).squeeze(1) - _marginal(logs, self.show_of, characters)
        typed = self.type_of[characters] != UNTYPED
        total = total - torch.where(typed, _marginal(logs, self.type_of, characters), 0.0)
        mean: Tensor = (total * weight[characters]).sum() / weight[characters].sum()
        return mean


def _marginal(logs: Tensor, parent_of: Tensor, characters: Tensor) -> Tensor:
    """Return, for each row, the logarithm of the probability of its character's parent (show or type): (n,)."""
    siblings = parent_of.unsqueeze(0) == parent_of[characters].unsqueeze(1)
    return logs.masked_fill(~siblings, float("-inf")).logsumexp(1)


def train_heads(
    hierarchy: Hierarchy, training: Part, validation: Part | None, options: HeadOptions, told: Callable[[Epoch], None]
) -> Heads:
    """Train until the validation loss stops falling and return the heads of the best epoch. `told` hears each epoch.

    Without validation pictures the training runs for all its epochs, and the last one counts.
    Classes are balanced: a character counts the same, however many pictures it has. Embeddings are standardised for
    the training, which is folded into the weights afterwards: the heads take embeddings as they come.
    """
    mean, scale = training.embeddings.mean(axis=0), training.embeddings.std(axis=0)
    # A number that never changes tells nothing; divided by infinity it stays out of the way.
    scale = np.where(scale > FLAT * scale.max(initial=0.0), scale, np.inf).astype(np.float32)
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(options.seed)
        module = HeadModule(hierarchy, training.embeddings.shape[1])
        judged = _standardised(validation, mean, scale) if validation and len(validation.characters) else None
        best = _descend(module, _standardised(training, mean, scale), judged, options, told)
    weights, biases = {}, {}
    for space in SPACES:
        weights[space] = best[f"layers.{space}_head.weight"].numpy() / scale
        biases[space] = best[f"layers.{space}_head.bias"].numpy() - weights[space] @ mean
    return Heads(hierarchy, weights, biases)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core: the matrices are so small that two would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _standardised(part: Part, mean: Matrix, scale: Matrix) -> tuple[Tensor, Tensor]:
    """Return embeddings with mean 0 and variance 1 (of the training part), and labels, as tensors."""
    return torch.from_numpy((part.embeddings - mean) / scale), torch.from_numpy(part.characters)


def _descend(
    module: HeadModule,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor] | None,
    options: HeadOptions,
    told: Callable[[Epoch], None],
) -> dict[str, Tensor]:
    """Run SGD with a cosine schedule and return the state of the epoch with the lowest validation loss."""
    embeddings, characters = training
    counts = torch.bincount(characters, minlength=len(module.show_of)).clamp(min=1)
    balance = counts.sum() / (len(counts) * counts)
    optimiser = torch.optim.SGD(
        module.parameters(), options.learning_rate, options.momentum, weight_decay=options.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.epochs)
    best, lowest, waited = module.state_dict(), float("inf"), 0
    for number in range(1, options.epochs + 1):
        losses = []
        for batch in torch.split(torch.randperm(len(embeddings)), options.batch):
            optimiser.zero_grad()
            loss = module.loss(embeddings[batch], characters[batch], balance)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            optimiser.step()
            losses.append(float(loss.detach()))
        schedule.step()
        epoch = _epoch(module, number, float(np.mean(losses)), validation, balance)
        told(epoch)
        if validation is None:
            continue
        waited += 1
        if epoch.validation_loss < lowest:
            best, lowest, waited = copy.deepcopy(module.state_dict()), epoch.validation_loss, 0
        if waited == options.patience:
            break
    return best


@torch.no_grad()
def _epoch(
    module: HeadModule, number: int, training_loss: float, validation: tuple[Tensor, Tensor] | None, balance: Tensor
) -> Epoch:
    """Measure the validation part; where there is none, the training loss stands in for its loss."""
    if validation is None:
        return Epoch(number, training_loss, training_loss, None)
    embeddings, characters = validation
    loss = float(module.loss(embeddings, characters, balance))
    right = float((module(embeddings).argmax(1) == characters).double().mean())
    return Epoch(number, training_loss, loss, right)
