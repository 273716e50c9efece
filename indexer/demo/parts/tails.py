"""Hair that is tied: tails, buns, braids, drill curls."""

from __future__ import annotations

import math

from indexer.demo.parts.path import Point, between, limb, lock, oval, path, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage


def behind(stage: Stage) -> None:
    """Draw what is tied up and seen behind the head."""
    cut, face = stage.identity.cut, stage.face
    long = stage.identity.length
    if cut == "twin-tails":
        for way in SIDES:
            _tail(
                stage,
                (way * face.hair * 0.92, -30),
                (way * face.hair * 1.75, 10),
                (way * face.hair * 1.5, 105 * long),
                15,
            )
            _tie(stage, (way * face.hair * 0.98, -30), 5.5)
    elif cut == "ponytail":
        way = -1 if face.turn > 0 else 1
        _tail(
            stage,
            (way * 8, face.crown + 6),
            (way * face.hair * 2.1, face.crown - 6),
            (way * face.hair * 1.35, 62 * long),
            17,
        )
        _tie(stage, (way * 10, face.crown + 2), 7)
    elif cut == "side-tail":
        _tail(stage, (face.hair * 0.86, -34), (face.hair * 1.95, -8), (face.hair * 1.4, 82 * long), 17)
        _tie(stage, (face.hair * 0.96, -32), 6)
    elif cut == "buns":
        for way in SIDES:
            _bun(stage, (way * face.hair * 0.72, face.crown + 4), 15.5 * stage.style.volume**0.5)


def before(stage: Stage) -> None:
    """Draw what hangs down in front of the shoulders."""
    cut, face = stage.identity.cut, stage.face
    if cut == "drills":
        for way in SIDES:
            _drill(stage, (way * face.hair * 0.95, 8), way, 74 * stage.identity.length)
    elif cut == "braid":
        way = 1 if stage.identity.seed % 2 else -1
        _braid(stage, (way * face.hair * 0.74, 30), (way * face.hair * 0.98, 62 + 50 * stage.identity.length))


def _tail(stage: Stage, root: Point, bend: Point, tip: Point, width: float) -> None:
    """Draw a tail of hair from its tie over a bend to its tip."""
    canvas = stage.canvas
    blunt = max(0.0, 0.8 * (1 - stage.style.sharpness) - 0.1)
    way = 1 if tip[0] > 0 else -1
    points = [_on(root, bend, tip, step / 6) for step in range(7)]
    widths = [width * share for share in (0.42, 0.8, 1.0, 1.04, 0.96, 0.78, 0.5)]
    left, right = [], []
    for index, (point, half) in enumerate(zip(points, widths, strict=True)):
        one, other = points[max(0, index - 1)], points[min(6, index + 1)]
        length = math.hypot(other[0] - one[0], other[1] - one[1]) or 1.0
        x, y = -(other[1] - one[1]) / length * half, (other[0] - one[0]) / length * half
        left.append((point[0] + x, point[1] + y))
        right.append((point[0] - x, point[1] - y))
    fork = ((left[-1][0] + right[-1][0]) / 2, tip[1] - 4)
    drawn = smooth(left, closed=False)
    drawn += lock(left[-1], (left[-1][0] + way * 2, tip[1] + 14), fork, 0.1 * way, blunt)
    drawn += lock(fork, (right[-1][0] + way * 1, tip[1] + 20), right[-1], 0.1 * way, blunt)
    drawn += "L" + smooth(right[::-1], closed=False)[1:] + "Z"
    canvas.shape(drawn, stage.hair, depth=6.0, line=0.0)
    if stage.identity.tips != stage.identity.hair:
        canvas.paint(drawn, canvas.ramp([(0.4, stage.tips, 0.0), (0.8, stage.tips, 1.0)]))
    if stage.style.shine != "none":
        shine = [_on(root, bend, tip, share) for share in (0.18, 0.34, 0.5)]
        canvas.fill(stroke(shine[0], shine[1], shine[2], width * 0.2), stage.hair.lighter(0.18), 0.8)
    ink = canvas.ink(stage.hair)
    for share in (-0.4, 0.1, 0.5)[: 1 + round(2 * stage.style.strands)]:
        line = [(x + width * share, y) for x, y in (_on(root, bend, tip, part) for part in (0.3, 0.6, 0.95))]
        canvas.fill(stroke(line[0], line[1], line[2], 0.4 + 0.2 * stage.style.line_width), ink)
    canvas.stroke(drawn, ink, canvas.line)


def _on(root: Point, bend: Point, tip: Point, share: float) -> Point:
    """Return a point on a quadratic Bézier curve."""
    rest = 1 - share
    x, y = (rest * rest * a + 2 * rest * share * b + share * share * c for a, b, c in zip(root, bend, tip, strict=True))
    return x, y


def _tie(stage: Stage, at: Point, size: float) -> None:
    stage.canvas.shape(oval(*at, size * 0.75, size), stage.colours[2], depth=1.5)


def _bun(stage: Stage, at: Point, size: float) -> None:
    canvas, (x, y) = stage.canvas, at
    canvas.shape(oval(x, y, size, size), stage.hair, depth=4.0)
    ink = canvas.ink(stage.hair)
    canvas.fill(
        stroke((x - size * 0.6, y + size * 0.3), (x, y - size * 1.1), (x + size * 0.6, y + size * 0.2), 1.0), ink
    )
    canvas.fill(
        stroke(
            (x - size * 0.3, y + size * 0.5), (x + size * 0.1, y - size * 0.4), (x + size * 0.4, y + size * 0.6), 0.8
        ),
        ink,
    )
    if stage.style.shine != "none":
        canvas.fill(
            stroke(
                (x - size * 0.6, y - size * 0.4),
                (x - size * 0.1, y - size * 0.9),
                (x + size * 0.4, y - size * 0.62),
                1.6,
            ),
            stage.hair.lighter(0.2),
            0.85,
        )


def _drill(stage: Stage, root: Point, way: int, long: float) -> None:
    """Draw a curl that winds down to a point: a scalloped cone, and the bands of its windings."""
    canvas, turns = stage.canvas, 5
    left, right = [], []
    for step in range(2 * turns + 1):
        share = step / (2 * turns)
        half = 13.5 * (1 - share) ** 0.75 * (1.0 if step % 2 else 0.8) + 0.6
        x = root[0] + way * (7 + 5 * math.sin(share * 3))
        y = root[1] + long * share
        left.append((x - half, y + 1.5))
        right.append((x + half, y - 1.5))
    drawn = smooth([*left, *reversed(right)])
    canvas.shape(drawn, stage.hair, depth=6.0)
    if stage.identity.tips != stage.identity.hair:
        canvas.paint(drawn, canvas.ramp([(0.3, stage.tips, 0.0), (0.8, stage.tips, 1.0)]))
    ink = canvas.ink(stage.hair)
    for step in range(1, turns):
        one, two = left[2 * step], right[2 * step]
        low = ((one[0] + two[0]) / 2, max(one[1], two[1]) + long * 0.075)
        canvas.fill(stroke(one, low, two, 0.8 + 0.2 * canvas.line), ink)
        lit = [(x, y - long * 0.07) for x, y in (between(one, two, 0.25), low, between(one, two, 0.75))]
        canvas.fill(stroke(lit[0], lit[1], lit[2], 1.5), stage.hair.lighter(0.2), 0.85)
    canvas.stroke(drawn, ink, canvas.line)


def _braid(stage: Stage, root: Point, tip: Point) -> None:
    canvas, count = stage.canvas, 6
    for step in range(count):
        share = step / count
        x, y = root[0] + (tip[0] - root[0]) * share, root[1] + (tip[1] - root[1]) * share
        half = 9.5 - 4.0 * share
        high = (tip[1] - root[1]) / count
        for way in SIDES:
            leaf = path(
                "M",
                (x, y + high * 1.3),
                "C",
                (x + way * half * 1.5, y + high * 0.9),
                (x + way * half * 1.2, y - high * 0.35),
                (x, y),
                "Z",
            )
            canvas.shape(leaf, stage.hair, depth=2.0, line=0.8)
    brush = limb([tip, (tip[0], tip[1] + 9), (tip[0] + 1, tip[1] + 18)], [4.5, 6.5, 0.5])
    canvas.shape(brush, stage.tips, depth=2.0)
    canvas.shape(oval(tip[0], tip[1] + 1, 5.0, 3.2), stage.colours[2], depth=1.0)
