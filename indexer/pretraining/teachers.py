"""Teachers: trained networks that say what they see in a drawing. Their weights stay where they are; maps are targets.

A map is a target after its square root was taken (a few loud features would drown the others) and each channel was
given mean 0 and variance 1 over the first drawings. Not here: how the student is held to the targets (`lessons`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from indexer.training.weights import load_backbone
from recommender.errors import ModelError

FLAT = 1e-3
"""A channel that deviates less than this hardly ever speaks: it is left out of the targets."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A layer of a teacher's `features`, by its number, and the student's block that is held to its maps."""

    layer: int
    block: int


@dataclass(frozen=True, slots=True)
class Kind:
    """How teachers of one architecture teach: with which maps, and with pictures how many times wider.

    A network that halves its maps more often than the student before a layer has to see larger pictures for maps of the
    same size. `whole` is whether the last maps, pooled, are what the student's embedding is held to as well.
    """

    taps: tuple[Tap, ...]
    enlarged: int
    whole: bool


KINDS = {
    "vgg19": Kind((Tap(3, 0), Tap(8, 1), Tap(17, 2)), enlarged=1, whole=False),
    "squeezenet1_0": Kind((Tap(10, 3), Tap(12, 4)), enlarged=2, whole=True),
    "mobilenet_v2": Kind((Tap(18, 4),), enlarged=2, whole=True),
}
"""Layers after a ReLU: of VGG19 the last ones of the first three blocks, of the others late ones. A VGG19 of which only
the lower half was trained is a teacher too: no further layer of it is asked."""


class Teacher(nn.Module):
    """A trained network, as far as its last tap; frozen."""

    def __init__(self, name: str, kind: Kind, network: nn.Module) -> None:
        super().__init__()
        self.name, self.kind = name, kind
        features = network.get_submodule("features")
        self.layers = nn.Sequential(*list(features.children())[: kind.taps[-1].layer + 1])
        self.eval().requires_grad_(requires_grad=False)

    def names(self, block: int | None = None) -> list[str]:
        """Return the names of its maps, all or those for a block."""
        return [self.name_of(tap) for tap in self.kind.taps if block in (None, tap.block)]

    def name_of(self, tap: Tap) -> str:
        """Return the name of the maps of a tap."""
        return f"{self.name}_{tap.layer}"

    def forward(self, pictures: Tensor, blocks: range) -> dict[str, Tensor]:
        """Return the maps that student's blocks are held to, by name."""
        found: dict[str, Tensor] = {}
        taps = {tap.layer: tap for tap in self.kind.taps if tap.block in blocks}
        if not taps:
            return found
        for number, layer in enumerate(self.layers):
            pictures = layer(pictures)
            if number in taps:
                found[self.name_of(taps[number])] = pictures
            if number == max(taps):
                break
        return found


def teachers_of(folder: Path, device: torch.device) -> tuple[Teacher, ...]:
    """Open the teachers whose state dicts lie in a folder: `<backbone>_*.pth` of `KINDS`.

    Raises ModelError where there is none, WeightsMissing where one is damaged.
    """
    found = []
    for backbone, kind in KINDS.items():
        for file in sorted(folder.glob(f"{backbone}_*.pth")):
            teacher = Teacher(file.stem.replace(".", "_"), kind, load_backbone(backbone, str(file), 0).model)
            found.append(teacher.to(device).to(memory_format=torch.channels_last))
    if not found:
        raise ModelError(
            f"there is no teacher in {folder}: it needs one of {', '.join(f'{kind}_*.pth' for kind in KINDS)}"
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and deviation of each channel (c,) of a teacher's rooted maps; `speaks` marks channels that say anything."""

    mean: Tensor
    deviation: Tensor
    speaks: Tensor

    @classmethod
    def measured(cls, maps: Iterable[Tensor]) -> Scale:
        """Measure over batches of maps (n, c, h, w)."""
        count, total, squares = 0, torch.zeros(1), torch.zeros(1)
        for one in maps:
            rows = rooted(one).double()
            count += rows.shape[0] * rows.shape[2] * rows.shape[3]
            total = total.to(rows.device) + rows.sum((0, 2, 3))
            squares = squares.to(rows.device) + rows.square().sum((0, 2, 3))
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return cls(mean.float(), deviation.clamp(min=FLAT).float(), (deviation > FLAT).float())

    def target(self, maps: Tensor) -> Tensor:
        """Turn a teacher's maps into targets of the same shape."""
        mean, deviation = (one[None, :, None, None] for one in (self.mean, self.deviation))
        return (rooted(maps) - mean) / deviation * self.speaks[None, :, None, None]


def rooted(maps: Tensor) -> Tensor:
    """Return the square root of what is above 0, and 0 for the rest: what comes out of a ReLU is above 0."""
    return maps.clamp(min=0).sqrt()
