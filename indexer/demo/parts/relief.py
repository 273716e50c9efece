"""Where light and shadow lie on a flat outline, worked out once, so that the renderer need not cut shapes with shapes.

A point of the edge that looks away from the light casts its shadow inward, toward the light: `depth` deep where it
looks straight away, less where it looks aside, never further than halfway to the opposite edge.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEPS: Final = 5
"""Each line and curve of an outline is taken as so many straight pieces."""
TOKEN: Final = re.compile(r"[A-Za-z]|-?\d+(?:\.\d+)?(?:e-?\d+)?")
HALF: Final = 0.46
"""How far toward the opposite edge a shadow may reach."""
SHALLOW: Final = 0.04
"""An edge that looks away less than this casts none."""

_T = np.arange(1, STEPS + 1) / STEPS
CUBIC: Final = np.stack([(1 - _T) ** 3, 3 * _T * (1 - _T) ** 2, 3 * _T**2 * (1 - _T), _T**3], axis=1)
"""Weights of the four points of a cubic Bézier curve at each step (Bernstein polynomials)."""


class Relief:
    """An outline of M, L, C, Q and Z with capital letters, in one piece, and the light on it.

    `light` points toward the light; its length does not matter.
    """

    def __init__(self, outline: str, light: tuple[float, float]) -> None:
        points = flatten(outline)
        ahead = _next(points) - points
        keep = np.abs(ahead).sum(axis=1) > 1e-6  # noqa: PLR2004  # two points in one place have no direction between them
        points = points[keep]
        toward = np.array(light) / np.hypot(*light)
        along = _next(points) - np.concatenate([points[-1:], points[:-1]])
        area = float(np.sum(points[:, 0] * _next(points)[:, 1] - _next(points)[:, 0] * points[:, 1]))
        length = np.hypot(along[:, 0], along[:, 1]) + 1e-9
        outward = (along[:, 1] * toward[0] - along[:, 0] * toward[1]) / length
        self._points = points
        self._toward = toward
        self._facing = outward if area > 0 else -outward

    def shadow(self, depth: float) -> str:
        """Return the area, as a path of one piece for each stretch of edge, that lies in shadow."""
        return self._strip(-self._facing, self._toward, depth)

    def rim(self, depth: float) -> str:
        """Return the area along the edges that look toward the light."""
        return self._strip(self._facing, -self._toward, depth)

    def _strip(self, away: NDArray[np.float64], inward: NDArray[np.float64], depth: float) -> str:
        casting = away > SHALLOW
        if not casting.any() or casting.all():
            return ""
        points = self._points
        reach = np.zeros(len(points))
        rows = np.flatnonzero(casting)
        reach[rows] = np.minimum(depth * np.sqrt(away[rows]), HALF * _room(points, rows, inward))
        inner = points + reach[:, np.newaxis] * inward
        first = int(np.flatnonzero(~casting)[0])
        turned = [casting, points, inner]
        casting, points, inner = (np.concatenate([part[first:], part[:first]]) for part in turned)
        changes = [0, *(np.flatnonzero(casting[1:] != casting[:-1]) + 1).tolist(), len(points)]
        runs = [run for run in pairwise(changes) if casting[run[0]]]
        return "".join(_closed(points[start:end], inner[start:end]) for start, end in runs)


def flatten(outline: str) -> NDArray[np.float64]:
    """Return points (n, 2) along an outline, STEPS on each of its lines and curves."""
    kinds: list[tuple[str, int]] = []
    numbers: list[float] = []
    for token in TOKEN.findall(outline):
        if token.isalpha():
            kinds.append((token, len(numbers)))
        else:
            numbers.append(float(token))
    plane = np.array(numbers).reshape(-1, 2)
    pieces, starts = [], [*(at // 2 for _, at in kinds), len(plane)]
    for (kind, _), start, end in zip(kinds, starts, starts[1:], strict=False):
        if kind == "M":
            pieces.append(plane[start:end])
        elif kind == "L":
            ends = plane[start - 1 : end]
            pieces.append(
                (ends[:-1, np.newaxis] + (ends[1:] - ends[:-1])[:, np.newaxis] * _T[:, np.newaxis]).reshape(-1, 2)
            )
        elif kind == "Z":
            pieces.append(plane[start - 1] + (plane[0] - plane[start - 1]) * _T[:-1, np.newaxis])
        elif kind in "CQ":
            size = 3 if kind == "C" else 2
            ends = np.concatenate([plane[start - 1 : start], plane[start:end].reshape(-1, size, 2)[:-1, -1]])
            controls = plane[start:end].reshape(-1, size, 2)
            if kind == "Q":
                one, two = controls[:, 0], controls[:, 1]
                controls = np.stack([ends + (one - ends) * (2 / 3), two + (one - two) * (2 / 3), two], axis=1)
            whole = np.concatenate([ends[:, np.newaxis], controls], axis=1)
            pieces.append((CUBIC @ whole).reshape(-1, 2))
    return np.concatenate(pieces)


def hatched(outline: str, spacing: float, degrees: float, *, grid: bool = False) -> str:
    """Return parallel lines that fill an outline of one or more pieces.

    On a `grid` they begin at multiples of the spacing, every second line half a step later, so that dots which are set
    along them fall into one raster all over the picture.
    """
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lines = [_scanned(flatten("M" + piece) @ turn, spacing, grid=grid) for piece in outline.split("M")[1:]]
    ends = np.concatenate([np.zeros((0, 2, 2)), *lines]) @ turn.T
    return "M%.2f %.2fL%.2f %.2f" * len(ends) % tuple(ends.ravel().tolist())


def _scanned(points: NDArray[np.float64], spacing: float, *, grid: bool) -> NDArray[np.float64]:
    """Return the stretches (n, 2, 2) of horizontal lines that lie within a polygon, by the even-odd rule."""
    number = np.arange(np.ceil(points[:, 1].min() / spacing), np.floor(points[:, 1].max() / spacing) + 1)
    height, after = (number * spacing)[:, np.newaxis], _next(points)
    crossed = (points[:, 1] <= height) != (after[:, 1] <= height)
    rise = np.where(points[:, 1] == after[:, 1], 1.0, after[:, 1] - points[:, 1])
    across = points[:, 0] + (height - points[:, 1]) / rise * (after[:, 0] - points[:, 0])
    places = np.sort(np.where(crossed, across, np.inf), axis=1)[:, : 2 * (len(points) // 2)]
    starts, stops = places[:, 0::2], places[:, 1::2]
    if grid:
        shift = (number % 2 * spacing / 2)[:, np.newaxis]
        starts = np.ceil((starts - shift) / spacing) * spacing + shift
    inside = np.isfinite(stops) & (starts <= stops)
    levels = np.broadcast_to(height, starts.shape)[inside]
    return np.stack([np.stack([starts[inside], levels], axis=1), np.stack([stops[inside], levels], axis=1)], axis=1)


def _next(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each corner the one after it."""
    return np.concatenate([points[1:], points[:1]])


def _room(points: NDArray[np.float64], rows: NDArray[np.int64], inward: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far it is from each of some corners, going inward, to the next edge."""
    start, step = points, _next(points) - points
    from_x = start[np.newaxis, :, 0] - points[rows, np.newaxis, 0]
    from_y = start[np.newaxis, :, 1] - points[rows, np.newaxis, 1]
    across = inward[0] * step[:, 1] - inward[1] * step[:, 0]
    across = np.where(np.abs(across) < 1e-9, 1e-9, across)  # noqa: PLR2004  # a parallel edge is met nowhere near
    ahead = (from_x * step[:, 1] - from_y * step[:, 0]) / across
    place = (from_x * inward[1] - from_y * inward[0]) / across
    met = (place >= 0) & (place <= 1) & (ahead > 0.05)  # noqa: PLR2004  # its own edge is not the next one
    return np.asarray(np.where(met, ahead, np.inf).min(axis=1))


def _closed(edge: NDArray[np.float64], inner: NDArray[np.float64]) -> str:
    """Return the strip between a stretch of the edge and what is inward of it."""
    if len(edge) == 1:
        return ""
    ring = np.concatenate([edge, inner[::-1]])
    return "M" + "L".join(["%.2f %.2f"] * len(ring)) % tuple(ring.ravel().tolist()) + "Z"
