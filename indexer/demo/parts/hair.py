"""The hair on the skull: what hangs behind the head, the cap over it with the fringe, side locks, and its shine.

What is tied up (tails, buns, braids) is drawn by `parts.tails`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from indexer.demo.parts.colour import WHITE
from indexer.demo.parts.path import Point, between, bumps, lock, oval, pair, path, smooth, stroke
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
COUNTS: Final = {"zigzag": 5, "straight": 7, "curtain": 4, "swept": 4, "sparse": 3, "up": 5, "cover": 4}


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
    blunt, outer = _blunt(stage), 9.0 if bottom < LONG else 16.0
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


LONG: Final = 50.0
"""Hair behind that reaches lower than this stands off further."""


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


def _blunt(stage: Stage) -> float:
    """Return how round the ends of locks are."""
    return max(0.0, 0.85 * (1 - stage.style.sharpness) - 0.08)


def _ends(stage: Stage, start: float, end: float, bottom: float, count: int) -> str:
    """Return the lower edge of hanging hair from one side to the other: locks of uneven length."""
    dice, blunt, parts = stage.dice("ends"), _blunt(stage), [f"L{pair((start, bottom - 12))}"]
    hime = stage.identity.cut in ("hime", "bowl")
    for index in range(count):
        left, right = (start + (end - start) * (index + step) / count for step in (0, 1))
        fall = 0.0 if hime else dice.uniform(-3, 9)
        valley = bottom - (2 if hime else dice.uniform(8, 16))
        tip = ((left + right) / 2 + dice.uniform(-3, 3), bottom + fall)
        parts.append(lock((left, bottom - 12), tip, (right, valley), 0.12 * (1 if left < 0 else -1), blunt))
    return "".join(parts)


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
    right, edge, valleys = _fringe(stage)
    sides = _side_lock(stage, end, right, cut.side, 1), _side_lock(stage, valleys[-1], start, cut.side, -1)
    return f"M{pair(start)}{top}{sides[0]}{edge}{sides[1]}Z", valleys


def _spiky_top(stage: Stage, start: Point, end: Point) -> str:
    """Return spikes around the skull, leaning to one side at the top."""
    face, dice, blunt = stage.face, stage.dice("spikes"), _blunt(stage) * 0.7
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
    face, dice, blunt = stage.face, stage.dice("spikes"), _blunt(stage)
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


def _fringe(stage: Stage) -> tuple[Point, str, list[Point]]:
    """Return where the fringe begins on the right, its edge to the left, and the valleys between its locks."""
    face, kind, blunt = stage.face, stage.identity.fringe, _blunt(stage)
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


def _side_lock(stage: Stage, start: Point, end: Point, side: float, way: int) -> str:
    """Return the lock beside the face, from the cap to the fringe (right) or back (left)."""
    wide = stage.face.hair
    outer, inner = (start, end) if way > 0 else (end, start)
    blunt, length = _blunt(stage), side * (stage.identity.length if side > LONG else 1.0)
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


def shadow_on(stage: Stage) -> None:
    """Draw the shadow that the fringe casts on the face."""
    if stage.identity.cut == "undercut":
        return
    canvas, wide, face = stage.canvas, stage.face.hair, stage.face
    x, y = -canvas.light[0] * 2.2, 4.6
    right, edge, _ = _fringe(stage)
    left = -wide * 0.74 + face.middle * 0.375
    with canvas.group(f'transform="translate({pair((x, y))})"'):
        canvas.tone(f"M{pair((left - x, -38))}L{pair((right[0] - x, -38))}L{pair(right)}{edge}Z", stage.skin)
