"""What the student learns: to see what its teachers see, and to tell apart who is drawn and how.

Each lesson's loss is about 1 for a student that knows nothing, so that they can be added up. Not here: where drawings
and targets come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from indexer.pretraining.drawings import NOBODY
from indexer.pretraining.student import CHANNELS, Seen
from recommender.encoders.pooled import WIDTH

SHARPNESS = 20.0
"""What cosines are multiplied by before the softmax over identities."""
EARLY = 0.3
"""How much the maps of early layers count: they are learnt first, and easily."""
WEIGHTS = {"style": 0.5}
"""How much other lessons count, where it is not 1."""
FAINT = 1e-4
"""Added to an embedding before its square root, whose slope at 0 is infinite."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is known of n drawings: the numbers of identity and style, or NOBODY twice."""

    identity: Tensor
    style: Tensor


@dataclass(frozen=True, slots=True)
class Asked:
    """Maps of a teacher that a block is held to, with so many channels; pooled, the embedding too where `whole`."""

    name: str
    block: int
    channels: int
    whole: bool


def weight_of(lesson: str) -> float:
    """Return how much a lesson counts: what later layers see is worth more than what the first ones do."""
    return WEIGHTS.get(lesson, EARLY if lesson.startswith("vgg19") else 1.0)


class Lessons(nn.Module):
    """The layers that turn what the student sees into answers; they are thrown away when it has learnt."""

    def __init__(self, asked: Sequence[Asked], identities: int, styles: Tensor) -> None:
        super().__init__()
        self.block = {one.name: one.block for one in asked}
        self.maps = nn.ModuleDict({one.name: nn.Conv2d(CHANNELS[one.block], one.channels, 1) for one in asked})
        self.whole = nn.ModuleDict({one.name: nn.Linear(WIDTH, 2 * one.channels) for one in asked if one.whole})
        self.identity = nn.Linear(WIDTH, identities, bias=False)
        self.style = nn.Linear(WIDTH, len(styles))
        self.parameters_of_style = nn.Linear(WIDTH, styles.shape[1])
        self.register_buffer("styles", styles)
        self.register_buffer("scaled", (styles - styles.mean(0)) / styles.std(0).clamp(min=1e-6))
        self.styles: Tensor
        self.scaled: Tensor

    def forward(self, seen: Seen, targets: Mapping[str, Tensor], drawn: Drawn) -> dict[str, Tensor]:
        """Return the loss of each lesson; of those about the embedding only where there is one."""
        losses = {}
        for name, target in targets.items():
            answer = self.maps[name](seen.maps[self.block[name]])
            wanted = functional.adaptive_avg_pool2d(target, answer.shape[2:])
            losses[name] = functional.mse_loss(answer, wanted) / wanted.square().mean().clamp(min=1e-6)
            if name in self.whole and seen.embedding is not None:
                losses[f"{name}_whole"] = functional.mse_loss(self.whole[name](seen.embedding), _pooled(wanted))
        if seen.embedding is None:
            return losses
        # Nobody counts for nothing: sums and masks, since picking rows would make a graphics card wait.
        known = drawn.identity != NOBODY
        embedding, scaled = seen.embedding, self.scaled[drawn.style.clamp(min=0)]
        missed = (self.parameters_of_style(embedding).float() - scaled).square().mean(1)
        return losses | {
            "identity": _cross_entropy(SHARPNESS * self.cosines(embedding), drawn.identity),
            "style": _cross_entropy(self.style(embedding), drawn.style),
            "parameters": (missed * known).sum() / known.sum().clamp(min=1),
            "alike": self._unlike_truth(embedding, drawn),
        }

    def _unlike_truth(self, embedding: Tensor, drawn: Drawn) -> Tensor:
        """Return 1 - r, r being how the cosines of embeddings go with how alike the styles are (Pearson).

        Cosines are taken as they are when pictures are compared: of the square roots. Pairs of one person do not count.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            unit = functional.normalize((embedding.float() + FAINT).sqrt())
            cosines = unit @ unit.T
            styles = self.styles[drawn.style.clamp(min=0)]
            nearness = -torch.cdist(styles, styles)
            known = drawn.identity != NOBODY
            counts = known[:, None] & known[None] & (drawn.identity[:, None] != drawn.identity[None])
            return 1 - _correlation(cosines, nearness, counts.float())

    def cosines(self, embedding: Tensor) -> Tensor:
        """Return the cosine between each embedding and each identity's own direction: (n, identities)."""
        return functional.linear(functional.normalize(embedding), functional.normalize(self.identity.weight))


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy over those that show somebody, as a share of that of a guess."""
    total = functional.cross_entropy(scores, labels, ignore_index=NOBODY, label_smoothing=0.05, reduction="sum")
    return total / (labels != NOBODY).sum().clamp(min=1) / math.log(scores.shape[1])


def _correlation(one: Tensor, other: Tensor, counts: Tensor) -> Tensor:
    """Return Pearson's correlation of those values that count; 0 where there is nothing to compare."""
    total = counts.sum().clamp(min=1)
    first, second = ((values - (values * counts).sum() / total) * counts for values in (one, other))
    return (first * second).sum() / (first.square().sum() * second.square().sum()).clamp(min=1e-12).sqrt()


def _pooled(maps: Tensor) -> Tensor:
    """Return mean and maximum of each map, standardised over the batch: (n, 2c).

    Most of a maximum is the same for all drawings: what differs between them is what counts.
    """
    pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
    return (pooled - pooled.mean(0)) / (pooled.std(0) + 1e-3)
