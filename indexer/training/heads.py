"""Training the heads: three linear layers on fixed features, cross-entropy in each label space, SGD.

The formula is that of `recommender.heads`; a test holds the two equal. Not here: where features come from
(`indexer.embed`), and what is done with the result (`indexer.training.train`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recommender.heads import SPACES, Heads
from recommender.labels import UNTYPED, Hierarchy
from recommender.types import Matrix


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """How the heads are trained. `patience` is how many epochs without progress on validation end the training."""

    epochs: int = 60
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.02
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LabelledFeatures:
    """(n, d) features of pictures and the class number of each one's character."""

    features: Matrix
    characters: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to: mean losses, and the part of validation pictures whose character was right."""

    number: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


class HeadModule(nn.Module):
    """Three linear layers whose scores add up to one score for each character (see `recommender.heads`)."""

    def __init__(self, hierarchy: Hierarchy, dimension: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {f"{name}_head": nn.Linear(dimension, len(space)) for name, space in zip(SPACES, hierarchy.spaces, strict=True)}
        )
        for layer in self.layers.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]  # nn.ModuleDict forgets what it holds
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # same
        self.show_of: Tensor
        self.type_of: Tensor
        self.register_buffer("show_of", torch.from_numpy(hierarchy.show_of))
        self.register_buffer("type_of", torch.from_numpy(hierarchy.type_of))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logarithm of each character's probability: (n, characters)."""
        scores = {name: self.layers[f"{name}_head"](features) for name in SPACES}
        types = scores["type"]
        anybody = types.logsumexp(1, keepdim=True) - np.log(types.shape[1])
        typed = torch.cat([types, anybody], dim=1)[:, self.type_of]  # UNTYPED is -1: the last column
        logs: Tensor = (scores["character"] + scores["show"][:, self.show_of] + typed).log_softmax(1)
        return logs

    def loss(self, features: Tensor, characters: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean cross-entropy, summed over the label spaces.

        A picture whose character has no type takes part in everything but the type.
        """
        logs = self(features)
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
    hierarchy: Hierarchy,
    training: LabelledFeatures,
    validation: LabelledFeatures,
    options: HeadOptions,
    told: Callable[[Epoch], None],
) -> Heads:
    """Train until the validation loss stops falling and return the heads of the best epoch. `told` hears each epoch.

    Classes are balanced: a character counts the same, however many pictures it has. Features are standardised
    for the training, which is folded into the weights afterwards: the heads take features as they come.
    """
    mean, scale = training.features.mean(axis=0), training.features.std(axis=0)
    scale = np.where(scale > 1e-6 * max(float(scale.max(initial=0.0)), 1e-30), scale, np.inf).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        module = HeadModule(hierarchy, training.features.shape[1])
        best = _descend(
            module, _standardised(training, mean, scale), _standardised(validation, mean, scale), options, told
        )
    weights, biases = {}, {}
    for space in SPACES:
        weight = best[f"layers.{space}_head.weight"].numpy() / scale
        weights[space] = weight
        biases[space] = best[f"layers.{space}_head.bias"].numpy() - weight @ mean
    return Heads(hierarchy, weights, biases)


def _standardised(part: LabelledFeatures, mean: Matrix, scale: Matrix) -> tuple[Tensor, Tensor]:
    """Return features with mean 0 and variance 1 (of the training part), and labels, as tensors."""
    return torch.from_numpy((part.features - mean) / scale), torch.from_numpy(part.characters)


def _descend(
    module: HeadModule,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    options: HeadOptions,
    told: Callable[[Epoch], None],
) -> dict[str, Tensor]:
    """Run SGD with a cosine schedule and return the state of the epoch with the lowest validation loss."""
    features, characters = training
    counts = torch.bincount(characters, minlength=len(module.show_of)).clamp(min=1)
    balance = counts.sum() / (len(counts) * counts)
    optimiser = torch.optim.SGD(
        module.parameters(), options.learning_rate, options.momentum, weight_decay=options.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.epochs)
    best, lowest, waited = copy.deepcopy(module.state_dict()), float("inf"), 0
    for number in range(1, options.epochs + 1):
        losses = []
        for batch in torch.split(torch.randperm(len(features)), options.batch):
            optimiser.zero_grad()
            loss = module.loss(features[batch], characters[batch], balance)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            optimiser.step()
            losses.append(float(loss.detach()))
        schedule.step()
        epoch = _epoch(module, number, float(np.mean(losses)), validation, balance)
        told(epoch)
        waited += 1
        if epoch.validation_loss < lowest:
            best, lowest, waited = copy.deepcopy(module.state_dict()), epoch.validation_loss, 0
        if waited == options.patience:
            break
    return best


@torch.no_grad()
def _epoch(
    module: HeadModule, number: int, training_loss: float, validation: tuple[Tensor, Tensor], balance: Tensor
) -> Epoch:
    """Measure the validation part; a library too small to have one is judged by its training loss."""
    features, characters = validation
    if not len(features):
        return Epoch(number, training_loss, training_loss, 0.0)
    loss = float(module.loss(features, characters, balance))
    right = float((module(features).argmax(1) == characters).double().mean())
    return Epoch(number, training_loss, loss, right)
