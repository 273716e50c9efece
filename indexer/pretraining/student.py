"""The network that is trained: VGG19 with batch normalisation, which is folded into the convolutions afterwards.

Not here: what it is asked to learn (`lessons`), nor how often (`pretrain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torchvision
from torch import Tensor, nn

from recommender.encoders.pooled import WIDTH, MeanAndMaximum

CHANNELS = (64, 128, 256, 512, 512)
"""Maps of each of the five blocks of convolutions."""
LOWER = 3
"""Blocks that are the lower half: eight of sixteen convolutions, and more than half of the work."""
Part = Literal["lower", "upper", "whole"]
"""What of the student learns: the upper half looks at what the lower one makes of a picture, and leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the student makes of n pictures of s x s pixels.

    `maps` are those of each block that looked, (n, CHANNELS[b], s / 2^b, s / 2^b), after the last ReLU and before they
    are pooled; `embedding` is (n, 4096), or None where only the lower half looked.
    """

    maps: tuple[Tensor, ...]
    embedding: Tensor | None


class Student(nn.Module):
    """VGG19 with batch normalisation and a dense layer that reads pooled maps."""

    def __init__(self) -> None:
        super().__init__()
        layers = list(torchvision.models.vgg19_bn(weights=None).features)
        ends = [place for place, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        starts = [0, *(end + 1 for end in ends)]
        self.blocks = nn.ModuleList(nn.Sequential(*layers[start:end]) for start, end in zip(starts, ends, strict=False))
        self.pool = layers[ends[0]]
        self.pooled = MeanAndMaximum()
        self.dense = nn.Linear(2 * CHANNELS[-1], WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, pictures: Tensor, part: Part = "whole") -> Seen:
        """Look at normalised pictures (n, 3, s, s)."""
        maps: list[Tensor] = []
        value = pictures
        for number, block in enumerate(self.blocks):
            if part == "lower" and number == LOWER:
                return Seen(tuple(maps), None)
            with torch.set_grad_enabled(torch.is_grad_enabled() and not (part == "upper" and number < LOWER)):
                maps.append(block(value))
                value = self.pool(maps[-1])
        embedding = torch.relu(self.norm(self.dense(self.pooled(value))))
        return Seen(tuple(maps), embedding)

    def learn(self, part: Part) -> None:
        """Be ready to learn; what does not learn goes on as in earnest: its normalisations stay as they are."""
        self.train()
        if part == "upper":
            for block in self.blocks[:LOWER]:
                block.eval()

    def folded(self) -> dict[str, Tensor]:
        """Return the tensors of torchvision's VGG19 without normalisation, and of the dense layer: the same function.

        A normalisation multiplies by weight / sqrt(variance + epsilon) and adds what is left: both go into the layer
        before it (Jacob and others, "Quantization and Training of Neural Networks", 2018, section 3.2).
        """
        tensors = {}
        place = 0
        for block in self.blocks:
            layers = list(block.children())
            for layer, following in zip(layers, [*layers[1:], None], strict=True):
                if isinstance(layer, nn.BatchNorm2d):
                    continue
                if isinstance(layer, nn.Conv2d):
                    weight, bias = _folded(layer, following)
                    tensors[f"features.{place}.weight"], tensors[f"features.{place}.bias"] = weight, bias
                place += 1
            place += 1  # the pooling
        tensors["classifier.0.weight"], tensors["classifier.0.bias"] = _folded(self.dense, self.norm)
        return tensors


def _folded(layer: nn.Module, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer that does what it and the normalisation after it did."""
    if not isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm1d)) or not isinstance(layer, (nn.Conv2d, nn.Linear)):
        raise TypeError("every layer of the student is followed by its normalisation")
    variance, mean = norm.running_var, norm.running_mean
    if variance is None or mean is None or layer.bias is None:
        raise TypeError("the student's normalisations keep running statistics, and its layers a bias")
    factor = norm.weight / torch.sqrt(variance + norm.eps)
    weight = layer.weight * factor.reshape(-1, *[1] * (layer.weight.dim() - 1))
    return weight.detach(), (norm.bias + (layer.bias - mean) * factor).detach()
