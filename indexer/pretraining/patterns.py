"""Patterns: heaps of random shapes, lines and shades in a random style, so that a network sees more than faces.

They cover each other at all sizes, as "dead leaves" do (Lee, Mumford and Huang, "Occlusion Models for Natural Images",
2001), so that edges of every length occur. Baradad and others, "Learning to See by Looking at Noise", 2021, found such
pictures good to learn from.
"""

from __future__ import annotations

import math
from random import Random

from indexer.demo.parts.canvas import Canvas
from indexer.demo.parts.colour import Colour
from indexer.demo.parts.path import Point, box, limb, moved, oval, polygon, smooth, stroke
from indexer.demo.style import random_style

SIDE = 224
"""Pixels of a stored drawing: it is stretched to a square, as the network's input is."""
SMALLEST, LARGEST = 4.0, 126.0
"""Pixels that a shape reaches from its middle."""


def random_pattern(dice: Random) -> str:
    """Return a pattern as SVG, SIDE x SIDE pixels."""
    canvas = Canvas(random_style(dice), 1.0)
    whole = box(0, 0, SIDE, SIDE)
    canvas.fill(whole, _colour(dice))
    if dice.random() < 1 / 2:
        stops = [(place, _colour(dice), 1.0) for place in (0.0, 0.5, 1.0)]
        canvas.paint(whole, canvas.ramp(stops, dice.choice(("0 0 0 1", "0 0 1 0", "0 0 1 1"))))
    palette = [_colour(dice) for _ in range(dice.randint(2, 8))]
    for _ in range(dice.randint(8, 60)):
        _shape(canvas, dice, dice.choice(palette))
    if dice.random() < 1 / 3:
        _rows(canvas, dice, dice.choice(palette))
    return canvas.svg(SIDE, SIDE)


def _colour(dice: Random) -> Colour:
    return Colour(dice.uniform(0.15, 0.97), dice.uniform(0.0, 0.2), dice.uniform(0, 360))


def _size(dice: Random) -> float:
    """Return a size, the chance of which falls with its square."""
    return 1 / dice.uniform(1 / LARGEST, 1 / SMALLEST)


def _shape(canvas: Canvas, dice: Random, colour: Colour) -> None:
    """Put one shape, line or shade somewhere."""
    x, y, size = dice.uniform(-10, SIDE + 10), dice.uniform(-10, SIDE + 10), _size(dice)
    kind = dice.choice(("blob", "oval", "polygon", "star", "stroke", "limb", "curve", "halo", "ring"))
    turn = dice.uniform(0, 360)
    if kind == "blob":
        canvas.shape(smooth(_around(dice, (x, y), size, dice.randint(5, 10), 0.45)), colour, depth=size / 4)
    elif kind == "oval":
        with canvas.group(f'transform="rotate({turn:.0f} {x:.0f} {y:.0f})"'):
            canvas.shape(oval(x, y, size, size * dice.uniform(0.2, 1.0)), colour, depth=size / 4)
    elif kind == "polygon":
        canvas.shape(polygon(_around(dice, (x, y), size, dice.randint(3, 6), 0.25)), colour, depth=size / 4)
    elif kind == "star":
        points = [moved((x, y), turn + 36 * step, size * (0.45 if step % 2 else 1.0)) for step in range(10)]
        canvas.shape(polygon(points), colour, depth=size / 5)
    elif kind == "stroke":
        ends = moved((x, y), turn, size * 2), moved((x, y), turn + dice.uniform(100, 260), size * 2)
        canvas.fill(stroke(ends[0], (x, y), ends[1], size * dice.uniform(0.05, 0.4)), colour)
    elif kind == "limb":
        points = [moved((x, y), turn + dice.uniform(-40, 40), size * step) for step in range(4)]
        canvas.shape(limb(points, [size * dice.uniform(0.1, 0.4) for _ in points]), colour, depth=size / 6)
    elif kind == "curve":
        points = _around(dice, (x, y), size * 2, 5, 0.6)
        canvas.stroke(smooth(points, closed=False), canvas.ink(colour), canvas.line * dice.uniform(0.5, 3))
    elif kind == "halo":
        canvas.paint(oval(x, y, size * 1.5, size * 1.5), canvas.halo(colour, dice.uniform(0.3, 0.9)))
    else:
        canvas.stroke(oval(x, y, size, size), colour, size * dice.uniform(0.05, 0.4))


def _around(dice: Random, middle: Point, size: float, count: int, rough: float) -> list[Point]:
    """Return points around a middle, at distances that differ by a share `rough` of the size."""
    turn = dice.uniform(0, 360)
    return [moved(middle, turn + 360 * step / count, size * (1 - rough * dice.random())) for step in range(count)]


def _rows(canvas: Canvas, dice: Random, colour: Colour) -> None:
    """Put one small thing over and over, in rows: what cloth and wallpaper are made of."""
    step, size = dice.uniform(8, 30), dice.uniform(1.5, 6)
    left, top, width, height = (dice.uniform(0, SIDE / 2) for _ in range(4))
    lines = dice.random() < 1 / 2
    for row in range(math.ceil(height * 2 / step)):
        y = top + row * step
        if lines:
            canvas.stroke(polygon([(left, y), (left + width * 2, y)], closed=False), colour, size / 2)
            continue
        for column in range(math.ceil(width * 2 / step)):
            canvas.fill(oval(left + column * step + (row % 2) * step / 2, y, size, size), colour)
