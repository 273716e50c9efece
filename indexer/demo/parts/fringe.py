"""The fringe and the locks beside the face: the lower edge of the hair in front, and the shadow that it casts."""

from __future__ import annotations

import math
from typing import Final

from indexer.demo.parts.haircuts import LONG, blunt_ends
from indexer.demo.parts.path import Point, lock, pair, smooth
from indexer.demo.parts.stage import Stage

COUNTS: Final = {"zigzag": 5, "straight": 7, "curtain": 4, "swept": 4, "sparse": 3, "up": 5, "cover": 4}


def fringe(stage: Stage) -> tuple[Point, str, list[Point]]:
    """Return where the fringe begins on the right, its edge to the left, and the valleys between its locks."""
    face, kind, blunt = stage.face, stage.identity.fringe, blunt_ends(stage)
    dice = stage.dice("fringe")
    wide, shift = face.hair, face.middle * 0.75
    level = min(face.eye_y - face.eye_height * 0.7, face.eye_y - 6.0)
    right_in, left_in = (wide * 0.74 + shift * 0.5, -8.0), (-wide * 0.74 + shift * 0.5, -8.0)
    parts, before = [], right_in
    valleys: list[Point] = [right_in]
    tips = _tips(stage, level)
    count = len(tips)
    for index, (across, height, bend) in enumerate(tips):
        share = (index + 1) / count
        valley = left_in if index == count - 1 else _valley(kind, level, right_in, left_in, share, dice.uniform(-3, 3))
        tip = (shift * 1.1 + across * wide, height)
        parts.append(lock(before, tip, valley, bend, blunt if kind != "straight" else max(blunt, 0.35)))
        valleys.append(valley)
        before = valley
    return right_in, "".join(parts), valleys


def _valley(kind: str, level: float, right: Point, left: Point, share: float, jitter: float) -> Point:
    """Return where two locks of the fringe part."""
    x = right[0] + (left[0] - right[0]) * share + jitter
    heights = {
        "straight": level - 2.5,
        "up": -34.0 - 5.0 * math.sin(share * math.pi),
        "curtain": level - 14.0 - 20.0 * max(0.0, 1 - abs(share - 0.5) * 4.5),
        "sparse": level - 20.0,
        "swept": level - 8.0 - 18.0 * share,
        "cover": level - 14.0 - 10.0 * share,
    }
    return x, heights.get(kind, level - 13.0) + jitter


def _tips(stage: Stage, level: float) -> list[tuple[float, float, float]]:
    """Return the tips of the fringe from right to left: place across (-1..1), height, and which way they bend."""
    kind, dice = stage.identity.fringe, stage.dice("tips")
    count = COUNTS[kind]
    drawn = []
    for index in range(count):
        share = (index + 0.5) / count
        across = 0.74 - 1.48 * share
        if kind == "straight":
            drawn.append((across, level + 2.0 + 2.5 * (2 * share - 1) ** 2, 0.0))
        elif kind == "up":
            drawn.append((across, -24.0 + dice.uniform(-2, 3), 0.1 if share > 1 / 2 else -0.1))
        elif kind == "curtain":
            out = 1 if share < 1 / 2 else -1
            edge = abs(2 * share - 1)
            drawn.append((across + out * 0.13, level - 6 + 14 * edge + dice.uniform(-2, 2), out * 0.2))
        elif kind == "swept":
            drawn.append((across - 0.2 * (1 - share), level + 3 + dice.uniform(-3, 3) - 5 * share, 0.22))
        elif kind == "cover":
            drawn.append((across + 0.1, (level + 22 if index == 0 else level + 3 - 3 * index), -0.16))
        elif kind == "sparse":
            drawn.append(
                (across * 0.8 + dice.uniform(-0.1, 0.1), level + dice.uniform(2, 8), dice.choice((-0.16, 0.16)))
            )
        else:
            drawn.append((across + dice.uniform(-0.06, 0.06), level + dice.uniform(-3, 6), dice.uniform(-0.16, 0.16)))
    return drawn


def side_lock(stage: Stage, start: Point, end: Point, side: float, way: int) -> str:
    """Return the lock beside the face, from the cap to the fringe (right) or back (left)."""
    wide = stage.face.hair
    outer, inner = (start, end) if way > 0 else (end, start)
    blunt, length = blunt_ends(stage), side * (stage.identity.length if side > LONG else 1.0)
    if stage.identity.cut == "hime":
        corners = [(way * wide * 1.0, length - 1), (way * wide * 0.68, length + 1)]
        corners = corners if way > 0 else corners[::-1]
        return "".join(f"L{pair(corner)}" for corner in corners) + f"L{pair(end)}"
    if stage.identity.cut == "wavy":
        outward = [
            (way * wide * (1.02 if step % 2 else 0.92), outer[1] + (length - outer[1]) * step / 4)
            for step in range(1, 4)
        ]
        inward = [(x - way * wide * 0.22, y) for x, y in reversed(outward)]
        points = [outer, *outward, (way * wide * 0.84, length), *inward, inner]
        if way < 0:
            points.reverse()
        return "L" + smooth(points, closed=False)[1:]
    tip = (way * wide * (0.88 if length > LONG / 2 else 0.96), length)
    return lock(start, tip, end, -0.1 * way, blunt)


def shadow_on(stage: Stage) -> None:
    """Draw the shadow that the fringe casts on the face."""
    if stage.identity.cut == "undercut":
        return
    canvas, wide, face = stage.canvas, stage.face.hair, stage.face
    x, y = -canvas.light[0] * 2.2, 4.6
    right, edge, _ = fringe(stage)
    left = -wide * 0.74 + face.middle * 0.375
    with canvas.group(f'transform="translate({pair((x, y))})"'):
        canvas.tone(f"M{pair((left - x, -38))}L{pair((right[0] - x, -38))}L{pair(right)}{edge}Z", stage.skin)
