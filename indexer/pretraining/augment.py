"""Random views of a batch of drawings, made where the network is: cut, mirrored, recoloured, blurred, half hidden.

Hue is moved by little: what tells two characters apart is often the colour of their hair. Not here: the views that
`sokkuri train` makes of photographs of drawings, one at a time (`indexer.views`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Those of ImageNet, which torchvision's networks, and Sokkuri's `Preprocessing`, expect."""
AREA = (0.25, 1.0)
STRETCH = 4 / 3
TURN = 15.0
"""Degrees."""
GREY, BLURRED, NOISY, HIDDEN, REVERSED = 0.1, 0.25, 0.3, 0.25, 0.03
"""How often a view is grey, blurred, noisy, partly hidden, or has its light and dark exchanged."""
LUMA = (0.299, 0.587, 0.114)


def views(drawings: Tensor, size: int, dice: torch.Generator) -> Tensor:
    """Turn drawings (n, 3, h, w), bytes, into normalised views (n, 3, size, size), float32."""
    count, device = len(drawings), drawings.device
    views = functional.grid_sample(
        drawings.float() / 255, _grid(count, size, dice, device), "bilinear", "reflection", align_corners=False
    )
    views = _recoloured(views, dice)
    views = _blurred(views, _chosen(count, BLURRED, dice, device))
    views = _hidden(views, dice, _chosen(count, HIDDEN, dice, device))
    noise = torch.randn(views.shape, generator=dice, device=device) * 0.06
    views = (views + noise * _chosen(count, NOISY, dice, device)[:, None, None, None]).clamp(0, 1)
    return normalised(views)


def plain(drawings: Tensor, size: int) -> Tensor:
    """Turn drawings (n, 3, h, w), bytes, into normalised pictures (n, 3, size, size) as they are."""
    return normalised(functional.interpolate(drawings.float() / 255, (size, size), mode="bilinear", antialias=True))


def normalised(pictures: Tensor) -> Tensor:
    """Give pictures in 0..1 the mean and deviation that networks expect."""
    mean, deviation = (
        torch.tensor(values, device=pictures.device)[None, :, None, None] for values in (MEAN, DEVIATION)
    )
    return ((pictures - mean) / deviation).contiguous(memory_format=torch.channels_last)


def _uniform(count: int, low: float, high: float, dice: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(count, generator=dice, device=device) * (high - low) + low


def _chosen(count: int, often: float, dice: torch.Generator, device: torch.device) -> Tensor:
    return (torch.rand(count, generator=dice, device=device) < often).float()


def _grid(count: int, size: int, dice: torch.Generator, device: torch.device) -> Tensor:
    """Return where each view looks: a part of the picture, turned a little, every other time mirrored."""
    area = _uniform(count, *AREA, dice, device)
    stretch = torch.exp(_uniform(count, -math.log(STRETCH), math.log(STRETCH), dice, device) / 2)
    wide, high = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    across = _uniform(count, -1, 1, dice, device) * (1 - wide)
    down = _uniform(count, -1, 1, dice, device) * (1 - high)
    angle = _uniform(count, -TURN, TURN, dice, device) * math.pi / 180
    mirror = torch.where(_chosen(count, 0.5, dice, device) > 0, -1.0, 1.0)
    cosine, sine = angle.cos(), angle.sin()
    rows = [
        torch.stack([mirror * wide * cosine, -high * sine, across], 1),
        torch.stack([mirror * wide * sine, high * cosine, down], 1),
    ]
    return functional.affine_grid(torch.stack(rows, 1), [count, 3, size, size], align_corners=False)


def _recoloured(views: Tensor, dice: torch.Generator) -> Tensor:
    """Change light, contrast, saturation and tint; make some grey, and a few negative."""
    count, device = len(views), views.device
    light, contrast, saturation = (_uniform(count, 0.65, 1.35, dice, device)[:, None, None, None] for _ in range(3))
    saturation = saturation * (1 - _chosen(count, GREY, dice, device))[:, None, None, None]
    weights = torch.tensor(LUMA, device=device)[None, :, None, None]
    grey = (views * weights).sum(1, keepdim=True)
    views = grey + (views - grey) * saturation
    middle = views.mean((1, 2, 3), keepdim=True)
    views = (middle + (views - middle) * contrast) * light
    tint = 1 + 0.1 * torch.randn(count, 3, 1, 1, generator=dice, device=device)
    views = (views * tint).clamp(0, 1)
    reverse = _chosen(count, REVERSED, dice, device)[:, None, None, None]
    return views * (1 - reverse) + (1 - views) * reverse


def _blurred(views: Tensor, chosen: Tensor) -> Tensor:
    """Soften the chosen ones, as a picture is that was enlarged."""
    small = functional.avg_pool2d(views, 3, 1, 1, count_include_pad=False)
    soft = functional.avg_pool2d(small, 3, 1, 1, count_include_pad=False)
    return torch.lerp(views, soft, chosen[:, None, None, None])


def _hidden(views: Tensor, dice: torch.Generator, chosen: Tensor) -> Tensor:
    """Cover a rectangle of the chosen ones with a colour (DeVries and Taylor, "Cutout", 2017)."""
    count, device, size = len(views), views.device, views.shape[-1]
    places = torch.arange(size, device=device) / size
    inside = []
    for _ in range(2):
        middle, half = _uniform(count, 0, 1, dice, device), _uniform(count, 0.08, 0.25, dice, device)
        inside.append(((places[None] - middle[:, None]).abs() < half[:, None]).float())
    mask = inside[0][:, None, :, None] * inside[1][:, None, None, :] * chosen[:, None, None, None]
    colour = torch.rand(count, 3, 1, 1, generator=dice, device=device)
    return views * (1 - mask) + colour * mask
