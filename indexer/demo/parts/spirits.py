"""Spirits: flames, ghosts, slimes and clouds, all of one piece, and the cracks of living dolls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.parts.path import Point, bumps, lock, oval, pair, path, polygon, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage

LOWEST: Final = 150.0
"""Spirits float: they end here at the latest, however tall others of the show are."""


def bottom(stage: Stage) -> float:
    """Return how far down a spirit reaches."""
    return min(stage.body.foot_y, LOWEST)


def whole(stage: Stage) -> str:
    """Draw a spirit but for its face, and return its outline."""
    return KINDS[stage.identity.species](stage)


def _flame(stage: Stage) -> str:
    canvas, low = stage.canvas, bottom(stage)
    outer = _tongue(stage, 1.0, low)
    canvas.shape(outer, stage.skin, depth=6)
    for size, colour in ((0.82, stage.skin.toward(stage.colours[2], 0.6)), (0.6, stage.skin.lighter(0.16))):
        canvas.fill(_tongue(stage, size, low * (0.4 + 0.5 * size)), colour, 0.85)
    _arms(stage, stage.skin)
    return outer


def _tongue(stage: Stage, size: float, low: float) -> str:
    """Return the outline of a flame that licks upward, `size` as large as the whole."""
    dice, wide = stage.dice("flame"), stage.face.hair * 1.06 * size
    lean = dice.choice((-1, 1)) * 6.0
    tips: list[tuple[Point, Point]] = [
        ((-wide * 1.12, -38 * size), (-wide * 0.72, -34 * size)),
        ((-wide * 0.6, -74 * size), (-wide * 0.24, -56 * size)),
        ((lean, -104 * size), (wide * 0.3, -58 * size)),
        ((wide * 0.66, -80 * size), (wide * 0.76, -36 * size)),
        ((wide * 1.18, -46 * size), (wide * 1.02, 14)),
    ]
    start = (-wide * 1.02, 14.0)
    drawn, before = f"M{pair(start)}", start
    for tip, valley in tips:
        drawn += lock(before, tip, valley, 0.12 if tip[0] < 0 else -0.12, 0.0)
        before = valley
    return drawn + path(
        "C",
        (wide * 1.05, 46),
        (wide * 0.62, 60),
        (wide * 0.5, low * 0.62),
        "Q",
        (wide * 0.3, low * 0.9),
        (lean * 2, low),
        "Q",
        (-wide * 0.3, low * 0.86),
        (-wide * 0.5, low * 0.6),
        "C",
        (-wide * 0.62, 60),
        (-wide * 1.05, 46),
        start,
        "Z",
    )


def _ghost(stage: Stage) -> str:
    canvas, low, wide = stage.canvas, bottom(stage), stage.face.hair * 1.02
    hem = wide * 1.28
    drawn = path(
        "M",
        (-wide, 0),
        "C",
        (-wide, -78),
        (wide, -78),
        (wide, 0),
        "C",
        (wide * 1.02, 40),
        (hem, low * 0.6),
        (hem, low - 10),
    )
    count, before = 5, (hem, low - 10)
    for step in range(1, count + 1):
        at = (hem - 2 * hem * step / count, low - 12 + (4 if step % 2 else 0))
        drawn += f"Q{pair(((before[0] + at[0]) / 2 + 4, low + 20))} {pair(at)}"
        before = at
    drawn += f"C{pair((-hem, low * 0.6))} {pair((-wide * 1.02, 40))} {pair((-wide, 0))}Z"
    canvas.shape(drawn, stage.skin, depth=8)
    canvas.paint(drawn, canvas.ramp([(0.5, stage.colours[2], 0.0), (1.0, stage.colours[2], 0.55)]))
    canvas.stroke(drawn, canvas.ink(stage.skin), canvas.line)
    _arms(stage, stage.skin)
    return drawn


def _slime(stage: Stage) -> str:
    canvas, wide = stage.canvas, stage.face.hair * 1.08
    low = min(bottom(stage), 96.0)
    drawn = smooth(
        [
            (0, -74),
            (wide * 0.28, -56),
            (wide * 0.82, -30),
            (wide * 1.08, 14),
            (wide * 1.42, low * 0.62),
            (wide * 1.5, low * 0.94),
            (wide * 0.8, low),
            (0, low - 3),
            (-wide * 0.8, low),
            (-wide * 1.5, low * 0.94),
            (-wide * 1.42, low * 0.62),
            (-wide * 1.08, 14),
            (-wide * 0.82, -30),
            (-wide * 0.28, -56),
        ]
    )
    canvas.shape(drawn, stage.skin, depth=9)
    for x, y, size in ((0.7, 0.7, 7.0), (-0.8, 0.52, 4.0), (0.2, 0.86, 3.0)):
        canvas.fill(oval(wide * x, low * y, size, size), stage.skin.lighter(0.14), 0.8)
    way = -1 if stage.style.light <= 0 else 1
    canvas.fill(stroke((way * wide * 0.78, -8), (way * wide * 0.72, -30), (way * wide * 0.3, -46), 4.0), WHITE, 0.75)
    canvas.fill(oval(way * wide * 0.86, 5, 2.6, 3.6), WHITE, 0.75)
    return drawn


def _cloud(stage: Stage) -> str:
    canvas, wide, count = stage.canvas, stage.face.hair * 1.2, 11
    rim = [
        (math.cos(step * math.tau / count - 1.8) * wide * 0.98, 2 + math.sin(step * math.tau / count - 1.8) * 54)
        for step in range(count)
    ]
    drawn = bumps([*rim, rim[0]], 12.0) + "Z"
    low = bottom(stage)
    for step, size in enumerate((15.0, 10.0, 6.0)):
        y = 66 + (low - 66) * (step + 0.4) / 3
        canvas.shape(oval((-1) ** step * 7.0, y, size * 1.5, size), stage.skin, depth=3)
    canvas.shape(drawn, stage.skin, depth=8)
    _arms(stage, stage.skin)
    return drawn


def _arms(stage: Stage, colour: Colour) -> None:
    """Draw two stumps of arms that move with the pose."""
    up = -26.0 if stage.shot.pose in ("wave", "cheer", "shrug") else 10.0
    for way in SIDES:
        x, y = way * stage.face.hair * 0.82, 58.0
        stub = smooth(
            [
                (x - way * 8, y - 8),
                (x + way * 16, y + up * 0.6 - 6),
                (x + way * 27, y + up),
                (x + way * 16, y + up * 0.7 + 9),
                (x - way * 8, y + 12),
            ]
        )
        stage.canvas.shape(stub, colour, depth=3)


def cracks(stage: Stage) -> None:
    """Draw the joints and cracks in a doll's face."""
    canvas, face = stage.canvas, stage.face
    way = 1 if stage.identity.seed % 2 else -1
    ink = canvas.ink(stage.skin)
    x, y = face.eye_x[(way + 1) // 2] + way * 4, face.eye_y + face.eye_height * 0.7 + 3
    canvas.stroke(
        polygon([(x, y), (x + way * 3, y + 5), (x, y + 8), (x + way * 4, y + 14)], closed=False),
        ink,
        canvas.line * 0.7,
    )
    canvas.stroke(
        polygon([(x + way * 3, y + 5), (x + way * 8, y + 6), (x + way * 10, y + 10)], closed=False),
        ink,
        canvas.line * 0.6,
    )
    for side in SIDES:
        at = face.mouth[0] + side * 9
        canvas.stroke(f"M{pair((at, face.mouth[1] + 1))}L{pair((at, 48))}", ink, canvas.line * 0.7)


KINDS: Final[dict[str, Callable[[Stage], str]]] = {"flame": _flame, "ghost": _ghost, "slime": _slime, "cloud": _cloud}
