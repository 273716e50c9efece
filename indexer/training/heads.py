"""Training the heads: three linear layers on what a frozen backbone gave, cross-entropy in each label space, SGD.

The formulas are those of `recommender.heads`; a test holds the two equal. Not here: where vectors come from
(`indexer.embed`), and what is done with the result (`indexer.training.train`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer.samples import Part
from indexer.training.checkpoint import Checkpoint
from recommender.heads import SPACES, Heads, Input
from recommender.labels import UNTYPED, Hierarchy
from recommender.types import Matrix

FLAT = 1e-6
"""A number whose deviation is smaller than this part of the largest one counts as constant."""
WIDTH = 512
"""The dimension that the learning rate is meant for."""
RESIDENT = 128_000_000
"""Bytes of vectors that are kept in memory for the whole training; more are read from the file batch by batch."""


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """How the heads are trained. `patience` is how many epochs without progress on validation end the training.

    `joint`: one softmax over the sum of the heads' scores, else three softmaxes. `reads`: embeddings, or features as
    they are. `standardised`: every number gets mean 0 and variance 1. `balanced`: a character counts the same, however
    many pictures it has. `cosine`: the learning rate falls along a cosine.
    """

    epochs: int = 60
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.01
    patience: int = 10
    seed: int = 0
    joint: bool = True
    reads: Input = "embedding"
    standardised: bool = True
    balanced: bool = True
    cosine: bool = True


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to: mean losses, and the part of validation pictures whose character was right."""

    number: int
    training_loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    pictures_per_second: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Trained:
    """Trained heads, the epochs on the way there, and the number of the epoch that they are those of."""

    heads: Heads
    history: tuple[Epoch, ...]
    best: int


class HeadModule(nn.Module):
    """Three linear layers: joint, or each with a softmax of its own (see `recommender.heads`)."""

    def __init__(self, hierarchy: Hierarchy, dimension: int, *, joint: bool = True) -> None:
        super().__init__()
        self.joint = joint
        linear = {
            space: nn.Linear(dimension, len(labels)) for space, labels in zip(SPACES, hierarchy.spaces, strict=True)
        }
        self.layers = nn.ModuleDict({f"{space}_head": layer for space, layer in linear.items()})
        if joint:
            for layer in linear.values():
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.show_of: Tensor
        self.type_of: Tensor
        self.register_buffer("show_of", torch.from_numpy(hierarchy.show_of))
        self.register_buffer("type_of", torch.from_numpy(hierarchy.type_of))

    def forward(self, vectors: Tensor) -> dict[str, Tensor]:
        """Return the logarithm of each label's probability: (n, labels) for each label space.

        A joint module gives the characters', of which the others are sums.
        """
        scores = {space: self.layers[f"{space}_head"](vectors) for space in SPACES}
        if not self.joint:
            return {space: scores[space].log_softmax(1) for space in SPACES}
        types = scores["type"]
        anybody = types.logsumexp(1, keepdim=True) - np.log(types.shape[1])
        typed = torch.cat([types, anybody], dim=1)[:, self.type_of]  # UNTYPED is -1: the last column
        return {"character": (scores["character"] + scores["show"][:, self.show_of] + typed).log_softmax(1)}

    def losses(self, vectors: Tensor, characters: Tensor) -> Tensor:
        """Return the cross-entropy of each picture, summed over the label spaces: (n,).

        A picture whose character has no type takes part in everything but the type.
        """
        logs = self(vectors)
        total = -_at(logs["character"], characters)
        kinds = self.type_of[characters]
        if self.joint:
            of_show = _marginal(logs["character"], self.show_of, characters)
            of_type = _marginal(logs["character"], self.type_of, characters)
        else:
            of_show = _at(logs["show"], self.show_of[characters])
            of_type = _at(logs["type"], kinds.clamp(min=0))
        return total - of_show - torch.where(kinds != UNTYPED, of_type, 0.0)

    def loss(self, vectors: Tensor, characters: Tensor, weight: Tensor) -> Tensor:
        """Return the mean loss of a batch; `weight` is how much a picture of each character counts."""
        counts = weight[characters]
        return (self.losses(vectors, characters) * counts).sum() / counts.sum()


def balance(characters: NDArray[np.int64], labels: int) -> Tensor:
    """Return how much a picture of each of `labels` characters counts, so that all characters count the same."""
    counts = np.maximum(np.bincount(characters, minlength=labels), 1)
    return torch.from_numpy((counts.sum() / (labels * counts)).astype(np.float32))


def _at(logs: Tensor, labels: Tensor) -> Tensor:
    """Return the entry of each row's label: (n,)."""
    return logs.gather(1, labels.unsqueeze(1)).squeeze(1)


def _marginal(logs: Tensor, parent_of: Tensor, characters: Tensor) -> Tensor:
    """Return, for each row, the logarithm of the probability of its character's parent (show or type): (n,)."""
    siblings = parent_of.unsqueeze(0) == parent_of[characters].unsqueeze(1)
    return logs.masked_fill(~siblings, float("-inf")).logsumexp(1)


def train_heads(
    hierarchy: Hierarchy,
    training: Part,
    validation: Part | None,
    options: HeadOptions,
    told: Callable[[Epoch], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train until the validation loss stops falling and return the heads of the best epoch. `told` hears each epoch.

    Without validation pictures the training runs for all its epochs, and the last one counts. With a `checkpoint`, an
    interrupted training goes on after its last whole epoch, and comes to the same. Standardisation is folded into the
    weights: the heads take vectors as they come. Raises BuildError where a checkpoint cannot be read or written.
    """
    mean, scale = _spread(training) if options.standardised else _unit(training.dimension)
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(options.seed)
        descent = _Descent(HeadModule(hierarchy, training.dimension, joint=options.joint), options, checkpoint)
        judged = _Feed(validation, mean, scale) if validation and len(validation) else None
        descent.run(_Feed(training, mean, scale), judged, told)
    weights: dict[str, Matrix] = {}
    biases: dict[str, Matrix] = {}
    for space in SPACES:
        weights[space] = (descent.best[f"layers.{space}_head.weight"].numpy() / scale).astype(np.float32)
        biases[space] = descent.best[f"layers.{space}_head.bias"].numpy() - weights[space] @ mean
    heads = Heads(hierarchy, weights, biases, joint=options.joint, reads=options.reads)
    return Trained(heads, tuple(descent.history), descent.best_epoch)


def _unit(dimension: int) -> tuple[Matrix, Matrix]:
    """Return the mean and scale that change nothing."""
    return np.zeros(dimension, dtype=np.float32), np.ones(dimension, dtype=np.float32)


def _spread(part: Part) -> tuple[Matrix, Matrix]:
    """Return the mean of every number, and what it is divided by: (d,) each.

    That is its standard deviation, times a factor that gives vectors of any dimension the length of one of WIDTH
    numbers: a step of the descent changes scores by the square of that length. A number that never changes tells
    nothing; divided by infinity, it stays out of the way.
    """
    total, squares = np.zeros(part.dimension), np.zeros(part.dimension)
    for _, block in part.blocks():
        total += block.sum(axis=0, dtype=np.float64)
        squares += np.einsum("nd,nd->d", block, block, dtype=np.float64)
    mean = total / len(part)
    deviation = np.sqrt(np.maximum(squares / len(part) - mean**2, 0.0))
    scale = np.where(deviation > FLAT * deviation.max(initial=0.0), deviation, np.inf)
    scale *= np.sqrt(part.dimension / WIDTH)
    return mean.astype(np.float32), scale.astype(np.float32)


class _Feed:
    """Standardised vectors and labels of a part: from memory where they are few, from the file where they are many."""

    def __init__(self, part: Part, mean: Matrix, scale: Matrix) -> None:
        self._part, self._mean, self._scale = part, mean, scale
        self.characters = torch.from_numpy(part.characters)
        small = len(part) * part.dimension * 4 <= RESIDENT
        self._held = (
            torch.cat([torch.from_numpy((block - mean) / scale) for _, block in part.blocks()]) if small else None
        )

    def __len__(self) -> int:
        return len(self._part)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors and labels of some pictures."""
        vectors = self._read(index.numpy()) if self._held is None else self._held[index]
        return vectors, self.characters[index]

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Return everything, a block at a time."""
        for index in torch.split(torch.arange(len(self)), 1024):
            yield self.batch(index)

    def _read(self, index: slice | NDArray[np.int64]) -> Tensor:
        return torch.from_numpy((self._part.embeddings(index) - self._mean) / self._scale)


class _Descent:
    """SGD through the epochs, with the state that a checkpoint keeps."""

    def __init__(self, module: HeadModule, options: HeadOptions, checkpoint: Checkpoint | None) -> None:
        self.module, self.options, self.checkpoint = module, options, checkpoint
        self.optimiser = torch.optim.SGD(
            module.parameters(), options.learning_rate, options.momentum, weight_decay=options.weight_decay
        )
        self.history: list[Epoch] = []
        self.best = _copy(module)
        self.best_epoch = 0
        self._load()

    def run(self, training: _Feed, validation: _Feed | None, told: Callable[[Epoch], None]) -> None:
        """Go on from the last whole epoch to the end."""
        labels = len(self.module.show_of)
        weight = balance(training.characters.numpy(), labels) if self.options.balanced else torch.ones(labels)
        for epoch in self.history:
            told(epoch)
        while not self._done():
            number = len(self.history) + 1
            started = perf_counter()
            loss = self._epoch(training, weight, number)
            seconds = perf_counter() - started
            epoch = Epoch(number, loss, *self._judge(validation, weight), len(training) / max(seconds, 1e-9))
            self.history.append(epoch)
            if epoch.validation_loss is None or self._is_lowest(epoch.validation_loss):
                self.best, self.best_epoch = _copy(self.module), number
            self._save()
            told(epoch)

    def _is_lowest(self, loss: float) -> bool:
        earlier = [epoch.validation_loss for epoch in self.history[:-1] if epoch.validation_loss is not None]
        return loss < min(earlier, default=float("inf"))

    def _done(self) -> bool:
        judged = bool(self.history) and self.history[-1].validation_loss is not None
        waited = len(self.history) - self.best_epoch
        return len(self.history) >= self.options.epochs or (judged and waited >= self.options.patience)

    def _epoch(self, training: _Feed, weight: Tensor, number: int) -> float:
        """Show every picture once, in an order that only seed and epoch decide. Returns the mean loss."""
        options = self.options
        falling = 0.5 * (1.0 + np.cos(np.pi * (number - 1) / options.epochs)) if options.cosine else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = options.learning_rate * falling
        order = torch.Generator().manual_seed(options.seed * 1_000_003 + number)
        losses = []
        for index in torch.split(torch.randperm(len(training), generator=order), options.batch):
            vectors, characters = training.batch(index)
            self.optimiser.zero_grad()
            loss = self.module.loss(vectors, characters, weight)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            self.optimiser.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    @torch.no_grad()
    def _judge(self, validation: _Feed | None, weight: Tensor) -> tuple[float | None, float | None]:
        """Return loss and accuracy on the validation part, where there is one."""
        if validation is None:
            return None, None
        loss, counted, right = 0.0, 0.0, 0
        for vectors, characters in validation.blocks():
            counts = weight[characters]
            loss += float((self.module.losses(vectors, characters) * counts).sum())
            counted += float(counts.sum())
            right += int((self.module(vectors)["character"].argmax(1) == characters).sum())
        return loss / counted, right / len(validation)

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        momentum = {
            f"momentum.{number}": state["momentum_buffer"]
            for number, state in self.optimiser.state_dict()["state"].items()
            if state.get("momentum_buffer") is not None
        }
        now = {f"now.{name}": tensor for name, tensor in _copy(self.module).items()}
        best = {f"best.{name}": tensor for name, tensor in self.best.items()}
        history = [asdict(epoch) for epoch in self.history]
        state = {"history": history, "best": self.best_epoch, "most": self.options.epochs}
        self.checkpoint.save(now | best | momentum, state)

    def _load(self) -> None:
        """Take up what the checkpoint holds, if there is one."""
        found = self.checkpoint.load() if self.checkpoint else None
        if found is None:
            return
        tensors, state = found
        self.module.load_state_dict(_named(tensors, "now."))
        self.best, self.best_epoch = _named(tensors, "best."), int(state["best"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        momentum: dict[int, Any] = {
            int(number): {"momentum_buffer": tensor} for number, tensor in _named(tensors, "momentum.").items()
        }
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": momentum})


def _copy(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's tensors as they are now."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose name starts with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core: the matrices are so small that two would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
