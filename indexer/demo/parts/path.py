"""Outlines as SVG writes them: smooth curves through points, tapered strokes, pointed locks. Units are the caller's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

Point = tuple[float, float]


def pair(point: Point) -> str:
    """Return a point as SVG writes it, with two decimals."""
    return f"{point[0]:.2f} {point[1]:.2f}"


def path(*parts: str | Point) -> str:
    """Return commands and points, in turn, as one path: `path("M", (0, 0), "L", (2, 1), "Z")`."""
    return "".join(part if isinstance(part, str) else pair(part) + " " for part in parts)


def polygon(points: Sequence[Point], *, closed: bool = True) -> str:
    """Return straight lines through points."""
    return "M" + "L".join(pair(point) for point in points) + ("Z" if closed else "")


def smooth(points: Sequence[Point], *, closed: bool = True, tension: float = 1.0) -> str:
    """Return a smooth line through points (Catmull-Rom, as cubic Béziers). Less tension takes corners closer."""
    count = len(points)
    parts = ["M" + pair(points[0])]
    for index in range(count if closed else count - 1):
        before = points[(index - 1) % count] if closed or index else points[0]
        here, there = points[index], points[(index + 1) % count]
        after = points[(index + 2) % count] if closed or index + 2 < count else points[-1]
        pull = tension / 6
        parts.append(
            f"C{pair((here[0] + (there[0] - before[0]) * pull, here[1] + (there[1] - before[1]) * pull))} "
            f"{pair((there[0] - (after[0] - here[0]) * pull, there[1] - (after[1] - here[1]) * pull))} {pair(there)}"
        )
    return "".join(parts) + ("Z" if closed else "")


KAPPA: Final = 0.5523
"""How far the control points of a quarter of a circle lie from its ends, as a share of the radius."""


def oval(x: float, y: float, width: float, height: float) -> str:
    """Return an ellipse with its middle at (x, y); `width` and `height` are half of what they measure across."""
    left, right, top, bottom = x - width, x + width, y - height, y + height
    across, down = width * KAPPA, height * KAPPA
    return (
        f"M{left:.2f} {y:.2f}C{left:.2f} {y - down:.2f} {x - across:.2f} {top:.2f} {x:.2f} {top:.2f}"
        f"C{x + across:.2f} {top:.2f} {right:.2f} {y - down:.2f} {right:.2f} {y:.2f}"
        f"C{right:.2f} {y + down:.2f} {x + across:.2f} {bottom:.2f} {x:.2f} {bottom:.2f}"
        f"C{x - across:.2f} {bottom:.2f} {left:.2f} {y + down:.2f} {left:.2f} {y:.2f}Z"
    )


def bumps(points: Sequence[Point], height: float) -> str:
    """Return bumps from each of the points to the next, going clockwise round what they enclose."""
    parts = ["M" + pair(points[0])]
    for one, two in pairwise(points):
        x, y = sideways(one, two, -height)
        parts.append(
            f"C{pair((one[0] + x * 1.3, one[1] + y * 1.3))} {pair((two[0] + x * 1.3, two[1] + y * 1.3))} {pair(two)}"
        )
    return "".join(parts)


def box(left: float, top: float, right: float, bottom: float) -> str:
    """Return a rectangle."""
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


def between(one: Point, two: Point, share: float) -> Point:
    """Return the point on the way from one to another: 0 the first, 1 the second."""
    return one[0] + (two[0] - one[0]) * share, one[1] + (two[1] - one[1]) * share


def moved(point: Point, degrees: float, distance: float) -> Point:
    """Return the point at a distance; 0 degrees is straight down, 90 to the right."""
    angle = math.radians(degrees)
    return point[0] + math.sin(angle) * distance, point[1] + math.cos(angle) * distance


def sideways(one: Point, two: Point, distance: float) -> Point:
    """Return the step of a length at a right angle to the way from one point to another."""
    x, y = two[0] - one[0], two[1] - one[1]
    length = math.hypot(x, y) or 1.0
    return -y / length * distance, x / length * distance


def stroke(start: Point, bend: Point, end: Point, width: float) -> str:
    """Return a curved stroke that is pointed at both ends and `width` wide near the middle."""
    x, y = sideways(start, end, width)
    return (
        f"M{pair(start)}Q{pair((bend[0] + x, bend[1] + y))} {pair(end)}"
        f"Q{pair((bend[0] - x, bend[1] - y))} {pair(start)}Z"
    )


def lock(start: Point, tip: Point, end: Point, bend: float, blunt: float) -> str:
    """Return the path on from `start` by a curved tip to `end`: one lock in the edge of the hair.

    `bend` moves both sides sideways as a share of the length; `blunt` rounds the tip from 0, a thorn, to 1, a lobe.
    """
    length = math.hypot(tip[0] - start[0], tip[1] - start[1])
    middle = between(start, end, 0.5)
    x, y = sideways(middle, tip, -bend * length)
    one, two = between(start, tip, 0.55), between(end, tip, 0.45)
    one, two = (one[0] + x, one[1] + y), (two[0] + x, two[1] + y)
    if not blunt:
        return f"Q{pair(one)} {pair(tip)}Q{pair(two)} {pair(end)}"
    wide = 0.55 * blunt
    left, right = between(tip, start, wide), between(tip, end, wide)
    shift = (tip[0] - middle[0]) * wide * 0.5, (tip[1] - middle[1]) * wide * 0.5
    return (
        f"Q{pair(one)} {pair(left)}"
        f"C{pair((left[0] + shift[0], left[1] + shift[1]))} {pair((right[0] + shift[0], right[1] + shift[1]))} "
        f"{pair(right)}Q{pair(two)} {pair(end)}"
    )


def limb(points: Sequence[Point], widths: Sequence[float]) -> str:
    """Return a tube along points, each with its own half width, blunt at both ends."""
    left, right = [], []
    for index, (point, width) in enumerate(zip(points, widths, strict=True)):
        before, after = points[max(index - 1, 0)], points[min(index + 1, len(points) - 1)]
        x, y = sideways(before, after, width)
        left.append((point[0] + x, point[1] + y))
        right.append((point[0] - x, point[1] - y))
    there, back = smooth(left, closed=False), smooth(right[::-1], closed=False)
    return there + "L" + back[1:] + "Z"
