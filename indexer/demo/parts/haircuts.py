"""How hair is cut, and what of it hangs behind head, neck and body.

What is tied up (tails, buns, braids) is drawn by `parts.tails`, what lies over the skull by `parts.hair`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from indexer.demo.parts.path import Point, bumps, lock, pair, smooth, stroke
from indexer.demo.parts.stage import Stage


@dataclass(frozen=True, slots=True)
class Cut:
    """How hair is cut: what hangs behind and to what height, how far the locks beside the face reach, and the rest.

    Heights are for hair of usual length, hundredths of a head below its middle.
    """

    back: str
    low: float
    side: float
    ears: bool = False
    spiky: bool = False
    grows: bool = False


CUTS: Final = {
    "short-spiky": Cut("tufts", 32, 14, ears=True, spiky=True),
    "neat-short": Cut("nape", 34, 12, ears=True),
    "bowl": Cut("bob", 32, 24),
    "bob": Cut("bob", 50, 44),
    "long-straight": Cut("long", 142, 66, grows=True),
    "wavy": Cut("wavy", 118, 58, grows=True),
    "twin-tails": Cut("nape", 34, 40),
    "ponytail": Cut("nape", 34, 34, ears=True),
    "side-tail": Cut("nape", 36, 38),
    "buns": Cut("nape", 34, 42, ears=True),
    "braid": Cut("nape", 38, 36),
    "undercut": Cut("none", 30, -12, ears=True, spiky=True),
    "drills": Cut("nape", 38, 28),
    "hime": Cut("long", 150, 38, grows=True),
    "shaggy": Cut("tufts", 66, 40, spiky=True),
    "cloud-curls": Cut("cloud", 44, 16),
}


HATS: Final = ("cap", "witch-hat", "beret", "straw-hat")
"""Below these, hair lies flat."""


LONG: Final = 50.0
"""Hair behind that reaches lower than this stands off further."""


def low(stage: Stage) -> float:
    """Return how far the hair behind the head hangs down."""
    cut = CUTS[stage.identity.cut]
    return cut.low * (stage.identity.length if cut.grows else 1.0)


def behind(stage: Stage) -> None:
    """Draw the hair behind head, neck and body."""
    cut, face, canvas = CUTS[stage.identity.cut], stage.face, stage.canvas
    outline = BACKS[cut.back](stage, low(stage))
    if not outline:
        return
    canvas.shape(outline, stage.hair, depth=7.0, line=0.0)
    if stage.identity.tips != stage.identity.hair:
        canvas.paint(outline, canvas.ramp([(0.45, stage.tips, 0.0), (0.8, stage.tips, 1.0)]))
    end = min(84.0, low(stage) - 3)
    inner = [
        (-face.width, 0),
        (face.width, 0),
        (face.width * 0.84, end * 0.75),
        (0, end),
        (-face.width * 0.84, end * 0.75),
    ]
    canvas.fill(smooth(inner), canvas.shade(stage.hair).darker(0.05), 0.75)
    if low(stage) > LONG:
        _strands_behind(stage, low(stage))
    canvas.stroke(outline, canvas.ink(stage.hair), canvas.line)


def _strands_behind(stage: Stage, bottom: float) -> None:
    face, dice = stage.face, stage.dice("strands behind")
    ink = stage.canvas.ink(stage.hair)
    for _ in range(round(2 + 7 * stage.style.strands)):
        x = dice.uniform(-1, 1) * face.hair * 1.05
        y = dice.uniform(0.35, 0.7) * bottom
        end = (x * 1.08 + dice.uniform(-4, 4), bottom * dice.uniform(0.75, 1.0))
        stage.canvas.fill(
            stroke((x, y), (x * 1.1, (y + end[1]) / 2), end, 0.35 + 0.2 * stage.style.line_width), ink, 0.8
        )


def _none(stage: Stage, bottom: float) -> str:  # noqa: ARG001  # one shape for every back
    return ""


def _dome(stage: Stage) -> str:
    """Return the beginning of an outline, over the skull from left to right: a little smaller than the cap upon it."""
    wide, high = stage.face.hair, stage.face.crown * 1.18
    return f"M{pair((-wide, -10))}C{pair((-wide * 0.9, high))} {pair((wide * 0.9, high))} {pair((wide, -10))}"


def _nape(stage: Stage, bottom: float) -> str:
    wide = stage.face.hair
    return smooth(
        [
            (-wide * 0.9, -20),
            (0, stage.face.crown + 8),
            (wide * 0.9, -20),
            (wide * 0.94, 14),
            (wide * 0.62, bottom),
            (0, bottom + 6),
            (-wide * 0.62, bottom),
            (-wide * 0.94, 14),
        ]
    )


def _bob(stage: Stage, bottom: float) -> str:
    wide = stage.face.hair
    puff = wide * (1.1 + 0.12 * (stage.style.volume - 1))
    head = _dome(stage)
    head += f"C{pair((puff * 1.04, 14))} {pair((puff * 1.08, bottom - 12))} {pair((puff * 0.94, bottom))}"
    return (
        head
        + _ends(stage, puff * 0.94, -puff * 0.94, bottom, 5)
        + f"C{pair((-puff * 1.08, bottom - 12))} {pair((-puff * 1.04, 14))} {pair((-wide, -10))}Z"
    )


def _long(stage: Stage, bottom: float) -> str:
    wide = stage.face.hair
    hem = wide * 1.22
    head = _dome(stage)
    head += f"C{pair((wide * 1.1, 30))} {pair((hem, bottom * 0.5))} {pair((hem, bottom - 16))}"
    return (
        head
        + _ends(stage, hem, -hem, bottom, 7)
        + f"C{pair((-hem, bottom * 0.5))} {pair((-wide * 1.1, 30))} {pair((-wide, -10))}Z"
    )


def _wavy(stage: Stage, bottom: float) -> str:
    wide, top = stage.face.hair, stage.face.crown
    steps = 4
    right: list[Point] = []
    for step in range(steps * 2 + 1):
        y = -6 + (bottom + 2) * step / (steps * 2)
        right.append((wide * (1.04 + 0.5 * (step / (steps * 2)) ** 0.8) + (4.0 if step % 2 else -2.5), y))
    left = [(-x, y) for x, y in reversed(right)]
    hem = [
        (right[-1][0] * share, bottom + (9 if index % 2 else 2))
        for index, share in enumerate((0.7, 0.42, 0.12, -0.16, -0.45, -0.72))
    ]
    return smooth([(-wide * 0.7, top * 0.78), (0, top), (wide * 0.7, top * 0.78), *right, *hem, *left])


def _tufts(stage: Stage, bottom: float) -> str:
    wide = stage.face.hair
    hem = wide * 0.86
    head = _dome(stage)
    blunt, outer = blunt_ends(stage), 9.0 if bottom < LONG else 16.0
    head += lock((wide, -10), (wide + outer, bottom * 0.45), (wide * 0.95, bottom * 0.42), -0.1, blunt)
    head += lock(
        (wide * 0.95, bottom * 0.42), (wide + outer * 0.7, bottom * 0.86), (hem * 0.8, bottom * 0.78), -0.12, blunt
    )
    head += _ends(stage, hem * 0.8, -hem * 0.8, bottom, 4)
    head += lock(
        (-hem * 0.8, bottom * 0.78), (-wide - outer * 0.7, bottom * 0.86), (-wide * 0.95, bottom * 0.42), -0.12, blunt
    )
    head += lock((-wide * 0.95, bottom * 0.42), (-wide - outer, bottom * 0.45), (-wide, -10), -0.1, blunt)
    return head + "Z"


def _cloud(stage: Stage, bottom: float) -> str:
    """Return a head of curls: bumps all around."""
    wide, count = stage.face.hair * 1.16, 15
    parts = []
    for step in range(count + 1):
        angle = math.radians(-215 + 250 * step / count)
        at = (math.cos(angle) * wide, -6 + math.sin(angle) * (bottom + 20))
        parts.append(at)
    return bumps(parts, 9.0) + "Z"


BACKS: Final = {
    "none": _none,
    "nape": _nape,
    "bob": _bob,
    "long": _long,
    "wavy": _wavy,
    "tufts": _tufts,
    "cloud": _cloud,
}


def blunt_ends(stage: Stage) -> float:
    """Return how round the ends of locks are."""
    return max(0.0, 0.85 * (1 - stage.style.sharpness) - 0.08)


def _ends(stage: Stage, start: float, end: float, bottom: float, count: int) -> str:
    """Return the lower edge of hanging hair from one side to the other: locks of uneven length."""
    dice, blunt, parts = stage.dice("ends"), blunt_ends(stage), [f"L{pair((start, bottom - 12))}"]
    hime = stage.identity.cut in ("hime", "bowl")
    for index in range(count):
        left, right = (start + (end - start) * (index + step) / count for step in (0, 1))
        fall = 0.0 if hime else dice.uniform(-3, 9)
        valley = bottom - (2 if hime else dice.uniform(8, 16))
        tip = ((left + right) / 2 + dice.uniform(-3, 3), bottom + fall)
        parts.append(lock((left, bottom - 12), tip, (right, valley), 0.12 * (1 if left < 0 else -1), blunt))
    return "".join(parts)
