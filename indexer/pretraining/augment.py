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
AREA = (0.3, 1.0)
CLOSE = (0.05, 1.0)
"""The share of a drawing that a view shows: of one that people are to be told by, and of one that is mixed anyway."""
STRETCH = 4 / 3
TURN = 15.0
"""Degrees."""
GREY, BLURRED, NOISY, HIDDEN, REVERSED = 0.1, 0.25, 0.3, 0.25, 0.03
"""How often a view is grey, blurred, noisy, partly hidden, or has its light and dark exchanged."""
LUMA = (0.299, 0.587, 0.114)


def views(drawings: Tensor, size: int, dice: torch.Generator, mixed: int = 0) -> Tensor:
    """Turn drawings (n, 3, h, w), bytes, into normalised views (n, 3, size, size), float32.

    The first `mixed` of them show parts of two drawings and so nobody in particular: more kinds of pictures for
    teachers to say something about (Beyer and others, "Knowledge Distillation: A Good Teacher Is Patient and
    Consistent", 2022).
    """
    count, device = len(drawings), drawings.device
    least = torch.where(torch.arange(count, device=device) < mixed, CLOSE[0], AREA[0])
    grid = _grid(least, size, dice)
    views = functional.grid_sample(drawings.float() / 255, grid, "bilinear", "reflection", align_corners=False)
    if mixed:
        views = torch.cat([_mixed(views[:mixed], dice), views[mixed:]])
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


def _mixed(views: Tensor, dice: torch.Generator) -> Tensor:
    """Blend each view with the one before it, or lay a piece of that over it (Yun and others, "CutMix", 2019)."""
    count, device, size = len(views), views.device, views.shape[-1]
    others = views.roll(1, 0)
    share = torch.rand(count, 1, 1, 1, generator=dice, device=device)
    laid_over = _rectangles(count, size, (0.15, 0.45), dice, device)
    pasted = _chosen(count, 0.5, dice, device)[:, None, None, None]
    return torch.lerp(views, others, pasted * laid_over + (1 - pasted) * share)


def _rectangles(
    count: int, size: int, half: tuple[float, float], dice: torch.Generator, device: torch.device
) -> Tensor:
    """Return n random rectangles, (n, 1, size, size), 1 inside; their sides reach `half` of the picture both ways."""
    places = torch.arange(size, device=device) / size
    inside = []
    for _ in range(2):
        middle, reach = _uniform(count, 0, 1, dice, device), _uniform(count, *half, dice, device)
        inside.append(((places[None] - middle[:, None]).abs() < reach[:, None]).float())
    return inside[0][:, None, :, None] * inside[1][:, None, None, :]


def _grid(least: Tensor, size: int, dice: torch.Generator) -> Tensor:
    """Return where each view looks: a part of the picture, turned a little, every other time mirrored.

    `least` (n) is the smallest share of the drawing that each may show.
    """
    count, device = len(least), least.device
    area = least + (1 - least) * _uniform(count, 0, 1, dice, device)
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
    count, device = len(views), views.device
    mask = _rectangles(count, views.shape[-1], (0.08, 0.25), dice, device) * chosen[:, None, None, None]
    colour = torch.rand(count, 3, 1, 1, generator=dice, device=device)
    return torch.lerp(views, colour.expand_as(views), mask.expand_as(views))
