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

from indexer.pretraining.student import CHANNELS, Seen
from recommender.encoders.pooled import WIDTH

NOBODY = -1
"""Stands for the identity and style of a drawing that shows nobody: a pattern."""
SHARPNESS = 20.0
"""What cosines are multiplied by before the softmax over identities."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is known of n drawings: the number of the identity and of the style, and the style's parameters (n, p)."""

    identity: Tensor
    style: Tensor
    parameters: Tensor


@dataclass(frozen=True, slots=True)
class Asked:
    """Maps of a teacher that a block is held to, with so many channels; pooled, the embedding too where `whole`."""

    name: str
    block: int
    channels: int
    whole: bool


class Lessons(nn.Module):
    """The layers that turn what the student sees into answers; they are thrown away when it has learnt."""

    def __init__(self, asked: Sequence[Asked], identities: int, styles: int, parameters: int) -> None:
        super().__init__()
        self.block = {one.name: one.block for one in asked}
        self.maps = nn.ModuleDict({one.name: nn.Conv2d(CHANNELS[one.block], one.channels, 1) for one in asked})
        self.whole = nn.ModuleDict({one.name: nn.Linear(WIDTH, 2 * one.channels) for one in asked if one.whole})
        self.identity = nn.Linear(WIDTH, identities, bias=False)
        self.style = nn.Linear(WIDTH, styles)
        self.parameters_of_style = nn.Linear(WIDTH, parameters)

    def forward(self, seen: Seen, targets: Mapping[str, Tensor], drawn: Drawn) -> dict[str, Tensor]:
        """Return the loss of each lesson; of those about the embedding only where there is one."""
        losses = {}
        for name, target in targets.items():
            answer = self.maps[name](seen.maps[self.block[name]])
            wanted = functional.adaptive_avg_pool2d(target, answer.shape[2:])
            losses[name] = functional.mse_loss(answer, wanted) / wanted.square().mean().clamp(min=1e-6)
            if name in self.whole and seen.embedding is not None:
                losses[f"{name}_whole"] = functional.mse_loss(self.whole[name](seen.embedding), _pooled(wanted))
        known = drawn.identity != NOBODY
        if seen.embedding is None or not known.any():
            return losses
        embedding = seen.embedding[known]
        scores, styles = SHARPNESS * self.cosines(embedding), self.style(embedding)
        return losses | {
            "identity": _cross_entropy(scores, drawn.identity[known]),
            "style": _cross_entropy(styles, drawn.style[known]),
            "parameters": functional.mse_loss(self.parameters_of_style(embedding), drawn.parameters[known]),
        }

    def cosines(self, embedding: Tensor) -> Tensor:
        """Return the cosine between each embedding and each identity's own direction: (n, identities)."""
        return functional.linear(functional.normalize(embedding), functional.normalize(self.identity.weight))


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy as a share of that of a guess."""
    return functional.cross_entropy(scores, labels, label_smoothing=0.05) / math.log(scores.shape[1])


def _pooled(maps: Tensor) -> Tensor:
    """Return mean and maximum of each map, standardised over the batch: (n, 2c).

    Most of a maximum is the same for all drawings: what differs between them is what counts.
    """
    pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
    return (pooled - pooled.mean(0)) / (pooled.std(0) + 1e-3)
