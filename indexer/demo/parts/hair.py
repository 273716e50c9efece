"""The hair over the skull, with its shine and its strands. Its lower edge is that of `parts.fringe`."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from indexer.demo.parts.colour import WHITE
from indexer.demo.parts.fringe import fringe, side_lock
from indexer.demo.parts.haircuts import CUTS, HATS, blunt_ends
from indexer.demo.parts.path import Point, between, bumps, lock, oval, pair, path, stroke
from indexer.demo.parts.stage import Stage


def cap(stage: Stage) -> str:
    """Draw the hair over the skull with the fringe, its shine and its strands; return its outline, to cast a shadow."""
    canvas = stage.canvas
    outline, valleys = _cap_outline(stage)
    canvas.shape(outline, stage.hair, depth=6.0, line=0.0)
    if stage.identity.tips != stage.identity.hair:
        canvas.paint(outline, canvas.ramp([(0.55, stage.tips, 0.0), (0.95, stage.tips, 0.9)]))
    if not any(stage.wears(hat) for hat in HATS):
        _shine(stage)
    _strands(stage, valleys)
    canvas.stroke(outline, canvas.ink(stage.hair), canvas.line)
    if stage.identity.stray_lock and not any(stage.wears(hat) for hat in HATS):
        _stray_lock(stage)
    return outline


def _cap_outline(stage: Stage) -> tuple[str, list[Point]]:
    face, cut = stage.face, CUTS[stage.identity.cut]
    wide = face.hair
    if stage.identity.cut == "undercut":
        return _mohawk(stage)
    start, end = (-wide, 4.0), (wide, 4.0)
    flat = any(stage.wears(hat) for hat in HATS)
    if cut.back == "cloud" and not flat:
        top = _curly_top(stage, start, end)
    elif cut.spiky and not flat:
        top = _spiky_top(stage, start, end)
    else:
        high = (face.crown - 1.0) / 0.75
        top = f"C{pair((-wide * 1.04, high))} {pair((wide * 1.04, high))} {pair(end)}"
    right, edge, valleys = fringe(stage)
    sides = side_lock(stage, end, right, cut.side, 1), side_lock(stage, valleys[-1], start, cut.side, -1)
    return f"M{pair(start)}{top}{sides[0]}{edge}{sides[1]}Z", valleys


def _spiky_top(stage: Stage, start: Point, end: Point) -> str:
    """Return spikes around the skull, leaning to one side at the top."""
    face, dice, blunt = stage.face, stage.dice("spikes"), blunt_ends(stage) * 0.7
    count = 6 + round(3 * stage.style.strands)
    long = (11.0 if stage.identity.cut == "shaggy" else 17.0) * stage.style.volume
    lean = dice.choice((-1, 1)) * 10
    parts, before = [], start
    for step in range(count):
        middle, after = (math.radians(180 + 180 * (step + add) / count) for add in (0.5, 1.0))
        reach = long * dice.uniform(0.7, 1.2)
        tip = (
            math.cos(middle) * (face.hair + reach) + lean * math.sin(-middle),
            math.sin(middle) * (-face.crown + reach) + 2,
        )
        valley = (
            end if step == count - 1 else (math.cos(after) * face.hair * 1.0, 4 + math.sin(after) * (-face.crown + 2))
        )
        parts.append(lock(before, tip, valley, 0.1 if lean > 0 else -0.1, blunt))
        before = valley
    return "".join(parts)


def _curly_top(stage: Stage, start: Point, end: Point) -> str:
    count, parts = 8, []
    for step in range(1, count + 1):
        angle = math.radians(180 + 180 * step / count)
        at = (
            end
            if step == count
            else (math.cos(angle) * stage.face.hair * 1.08, math.sin(angle) * -stage.face.crown * 1.06 + 4)
        )
        parts.append(at)
    return bumps([start, *parts], 7.5).removeprefix("M" + pair(start))


def _mohawk(stage: Stage) -> tuple[str, list[Point]]:
    """Return the outline of hair that is left on the top of a shaven head, and the valleys at its lower edge."""
    face, dice, blunt = stage.face, stage.dice("spikes"), blunt_ends(stage)
    wide, x, spikes, locks = face.width * 0.66, face.middle * 0.6, 5, 4
    start, end = (x - wide, -32.0), (x + wide, -30.0)
    rims = [between(start, end, step / spikes) for step in range(spikes + 1)]
    rims[1:-1] = [(at, -48.0 - 12 * math.sin(math.pi * step / spikes)) for step, (at, _) in enumerate(rims[1:-1], 1)]
    parts = [f"M{pair(start)}"]
    for step, (before, after) in enumerate(pairwise(rims), 1):
        share = step / spikes
        high = dice.uniform(10, 24) * stage.style.volume * math.sin(share * math.pi * 0.8 + 0.3)
        tip = (start[0] + (end[0] - start[0]) * (share - 0.06) + 5, face.crown - high)
        parts.append(lock(before, tip, after, -0.1, blunt))
    valleys = [between(end, start, step / locks) for step in range(locks + 1)]
    for before, after in pairwise(valleys):
        parts.append(lock(before, (after[0] + wide * 0.12, dice.uniform(-20, -12)), after, 0.12, blunt))
    return "".join(parts) + "Z", valleys[1:]


def _strands(stage: Stage, valleys: list[Point]) -> None:
    """Draw the lines that run from between the locks up to the whorl."""
    style, canvas, face = stage.style, stage.canvas, stage.face
    whorl = (face.middle * 0.5 + stage.dice("whorl").uniform(-8, 8), face.crown + 4)
    ink = canvas.ink(stage.hair)
    thick = 0.42 + 0.24 * style.line_width
    for valley in valleys:
        top = between(valley, whorl, 0.25 + 0.4 * style.strands)
        bend = between(valley, top, 0.5)
        canvas.fill(stroke(valley, (bend[0] * 1.12, bend[1]), top, thick), ink)
    dice = stage.dice("strands")
    for _ in range(round(6 * style.strands)):
        x = dice.uniform(-0.9, 0.9) * face.hair
        root, low_end = (x * 0.72, dice.uniform(-46, -34)), (x, dice.uniform(-24, -6))
        canvas.fill(
            stroke(root, ((root[0] + x) / 2 * 1.1, (root[1] + low_end[1]) / 2), low_end, thick * 0.7), ink, 0.75
        )


def _shine(stage: Stage) -> None:
    """Draw the shine on the hair: a ring of light around the head, in the way of the show."""
    style, canvas, face = stage.style, stage.canvas, stage.face
    if style.shine == "none":
        return
    bright = stage.hair.lighter(0.16) if stage.hair.lightness > PALE else stage.hair.lighter(0.24)
    wide, x = face.hair * 0.86, face.middle * 0.6
    high, low_y = face.crown + 15.0, face.crown + 32.0
    if style.shine == "band":
        upper = f"M{pair((x - wide, low_y + 5))}Q{pair((x, high - 17))} {pair((x + wide, low_y + 5))}"
        canvas.fill(upper + f"Q{pair((x, high - 2))} {pair((x - wide, low_y + 5))}Z", bright, 0.9)
    elif style.shine == "zigzag":
        canvas.fill(_zigzag(x, wide, high, low_y), bright, 0.95)
    elif style.shine == "spots":
        for across, size in ((-0.5, 1.0), (-0.22, 0.5), (0.42, 0.7)):
            canvas.fill(oval(x + across * wide, high + 10 * abs(across), wide * 0.16 * size, 3.4 * size), WHITE, 0.8)
    else:
        for step in range(7):
            across = -0.78 + 1.56 * step / 6
            top = (x + across * wide, high + 9 * across * across - 2)
            end = (top[0] * 1.06, top[1] + 14 - 5 * (step % 2))
            canvas.fill(stroke(top, (top[0] * 1.05, (top[1] + end[1]) / 2), end, 1.9), bright, 0.9)


PALE: Final = 0.7
"""Hair lighter than this needs less light to shine."""


def _zigzag(x: float, wide: float, high: float, low_y: float) -> str:
    """Return the shine whose edges are jagged."""
    count, upper, lower = 9, [], []
    for step in range(count):
        across = -0.92 + 1.84 * step / (count - 1)
        middle = high + (low_y - high) * across * across
        upper.append((x + across * wide, middle - (4.5 if step % 2 else 0.5)))
        lower.append((x + across * wide, middle + (1.2 if step % 2 else 7.5)))
    lower[0], lower[-1] = upper[0], upper[-1]
    return "M" + "L".join(pair(point) for point in (*upper, *reversed(lower))) + "Z"


def _stray_lock(stage: Stage) -> None:
    """Draw the single lock that stands up from the whorl."""
    canvas, face = stage.canvas, stage.face
    way = 1 if stage.identity.seed % 2 else -1
    x, y = face.middle * 0.4, face.crown + 2
    drawn = path(
        "M",
        (x - 2.5, y + 1),
        "C",
        (x - way * 5, y - 15),
        (x + way * 13, y - 22),
        (x + way * 19, y - 8),
        "C",
        (x + way * 10, y - 15),
        (x + way * 1, y - 9),
        (x + 3, y + 1),
        "Z",
    )
    canvas.shape(drawn, stage.hair, depth=1.5, line=0.9)


def shaven(stage: Stage, skull: str) -> None:
    """Draw the stubble at the sides of a head whose hair is cut off there."""
    canvas, face = stage.canvas, stage.face
    stubble = stage.skin.toward(stage.hair.darker(0.1), 0.62)
    left, right = face.side(-1), face.side(1)
    outer = f"M{pair((left, -2))}C{pair((left * 1.03, -69))} {pair((right * 1.03, -69))} {pair((right, -2))}"
    inner = path(
        "L",
        (right * 0.86, 4),
        "C",
        (right * 0.8, -24),
        (right * 0.6, -30),
        (0, -31),
        "C",
        (left * 0.6, -30),
        (left * 0.8, -24),
        (left * 0.86, 4),
        "Z",
    )
    canvas.fill(outer + inner, stubble)
    canvas.stroke(skull, canvas.ink(stage.skin), canvas.line)
