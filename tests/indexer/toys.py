"""A network small enough to be fine-tuned in a moment, what it learns from, and an ear for how it goes."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer.training import batches, epochs
from indexer.training.checkpoint import Checkpoint
from indexer.training.device import Device
from indexer.training.finetune import Finetuned, FinetuneOptions, Material, Plan, finetune
from indexer.training.heads import Epoch, HeadOptions
from recommender.errors import BuildError
from recommender.images import Preprocessing, prepare
from recommender.labels import Hierarchy
from recommender.types import Character, DecodedImage, PictureId, Show

HERE, THERE = Show("here", "Here"), Show("there", "There")
CAST = Hierarchy.of(
    [Character("a", "A", HERE, "male"), Character("b", "B", HERE, "female"), Character("c", "C", THERE)]
)
SIZE = 24
FLOAT32 = Device("cpu", torch.float32, "a test")
QUICK = FinetuneOptions("all", epochs=4, batch=8, patience=9)
LAST = "features.7", "features.9"


class Toy(nn.Module):
    """Three convolutions, the last two on the smallest map, with what fine-tuning must be careful about between."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8, momentum=1.0),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.Hardswish(inplace=True),
            nn.MaxPool2d(2),
            nn.Identity(),
            nn.Conv2d(12, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(16, momentum=1.0),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (n, 16) features."""
        features: Tensor = self.dropout(self.pool(self.features(pictures)).flatten(1))
        return features


@dataclass
class Drawn:
    """Pictures of three characters, by their numbers: each has a tint and stripes of its own under much noise."""

    characters: NDArray[np.int64]
    seed: int = 0
    reads: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.characters)

    def picture(self, row: int) -> DecodedImage:
        """Draw the picture of a row."""
        self.reads.append(row)
        return _drawn(int(self.characters[row]), self.seed, row)


@functools.cache
def _drawn(character: int, seed: int, row: int) -> DecodedImage:
    """Draw a character's picture, another one for each seed and row."""
    noise = np.random.default_rng([seed, row]).integers(-60, 60, (32, 32, 3))
    stripes = 40 * (np.indices((32, 32))[character % 2] // (2 + character) % 2)
    colours = 128 + 10 * np.eye(3, dtype=int)[character] + stripes[..., np.newaxis] + noise
    identity = PictureId(hashlib.sha256(f"{seed} {row}".encode()).hexdigest())
    return DecodedImage(identity, np.clip(colours, 0, 255).astype(np.uint8), "PNG", 32, 32)


@dataclass
class Ear:
    """Notes what it hears, and may stop the training."""

    plans: list[Plan] = field(default_factory=list)
    steps: list[tuple[int, int, float | None]] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    at_step: Callable[[int], None] = lambda _: None
    at_epoch: Callable[[int], None] = lambda _: None

    def plan(self, plan: Plan) -> None:
        """Note the plan."""
        self.plans.append(plan)

    def progress(self, done: int, total: int, loss: float | None) -> None:
        """Note a step."""
        self.steps.append((done, total, loss))
        self.at_step(done)

    def epoch(self, epoch: Epoch) -> None:
        """Note an epoch."""
        self.epochs.append(epoch)
        self.at_epoch(epoch.number)


class Stopped(Exception):
    """Stands for whatever ends a training before its time."""


def stop_at(number: int) -> Callable[[int], None]:
    """Return what ends a training when it has come so far."""

    def stop(reached: int) -> None:
        if reached >= number:
            raise Stopped

    return stop


@functools.cache
def _original(seed: int) -> nn.Module:
    """Return a network with random weights, whose normalisations have the statistics of the pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Toy().train()
        source = Drawn(np.repeat(np.arange(3), 8), seed=9)
        inputs = [prepare(source.picture(row), Preprocessing(size=SIZE)) for row in range(len(source))]
        model(torch.from_numpy(np.stack(inputs)))
    return model.eval()


def toy(seed: int = 0) -> nn.Module:
    """Return a network, the same for the same seed."""
    return copy.deepcopy(_original(seed))


def drawings(training: int = 8, validation: int = 4) -> Material:
    """Return so many pictures of each character."""
    parts = (Drawn(np.repeat(np.arange(3), each), seed) for seed, each in enumerate((training, validation)))
    return Material(CAST, Preprocessing(size=SIZE), *parts)


def train(
    model: nn.Module,
    material: Material,
    options: FinetuneOptions = QUICK,
    ear: Ear | None = None,
    checkpoint: Checkpoint | None = None,
    device: Device = FLOAT32,
) -> Finetuned:
    """Train a network as `finetune` does, by default quickly, unheard and on the CPU."""
    return finetune(model, material, options, ear or Ear(), checkpoint, device)


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Return the network's numbers as they are now."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, Tensor], model: nn.Module) -> set[str]:
    """Return the layers of which any number is another one."""
    after = model.state_dict()
    return {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def apart(one: nn.Module, other: nn.Module) -> float:
    """Return how far two networks' numbers lie apart at most."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


def judge(monkeypatch: pytest.MonkeyPatch, losses: Sequence[float]) -> None:
    """Let validation come to these losses: before the training, and after each epoch."""

    def judged(training: epochs.Training, _: Callable[[int], None]) -> tuple[float, float]:
        training._before = losses[0]
        return losses[len(training.history) + 1], 0.5

    monkeypatch.setattr(epochs.Training, "_validate", judged)


def refusal(call: Callable[[], object]) -> str:
    """Return the one line with which something is refused."""
    with pytest.raises(BuildError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 300
    return line


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks are quickest on one core, need no long trained heads, and know stripes that are cut for others."""
    torch.set_num_threads(1)
    monkeypatch.setattr(epochs, "HeadOptions", functools.partial(HeadOptions, epochs=1))
    monkeypatch.setattr(batches, "augmented", lambda image, _: image)
