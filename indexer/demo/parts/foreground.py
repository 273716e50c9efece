"""What stands before a character now and then. Lengths are pixels of the picture."""

from __future__ import annotations

import math
import random

from indexer.demo.parts.canvas import Canvas
from indexer.demo.parts.colour import BLACK, WHITE, Colour, through
from indexer.demo.parts.path import box, lock, oval, pair, polygon, smooth, stroke
from indexer.demo.shot import Shot


def occlude(canvas: Canvas, shot: Shot) -> None:
    """Draw what hides a part of the picture, if anything does, and the speech bubble, if there is one."""
    width, height = shot.size
    dice = random.Random(f"{shot.seed} foreground")  # noqa: S311  # dice for drawing, not for secrets
    colour = through(canvas.style, shot.backdrop.turned(dice.choice((90, 150, 210))))
    if shot.occlusion == "leaf":
        _leaves(canvas, dice, width, height)
    elif shot.occlusion == "sign":
        _sign(canvas, dice, width, height, colour)
    elif shot.occlusion == "frame":
        _frame(canvas, dice, width, height, colour)
    elif shot.occlusion == "stranger":
        _stranger(canvas, dice, width, height, colour)
    elif shot.occlusion == "petals":
        _petals(canvas, dice, width, height)
    if shot.bubble:
        _bubble(canvas, dice, shot, width, height)


def _leaves(canvas: Canvas, dice: random.Random, width: int, height: int) -> None:
    green = through(canvas.style, Colour(dice.uniform(0.45, 0.7), 0.13, dice.choice((140, 130, 110, 40))), own_hue=True)
    x, y = dice.choice((0, width)), dice.choice((0.0, height * 0.7, float(height)))
    toward = math.atan2(height / 2 - y, width / 2 - x)
    for _ in range(4):
        angle, long = toward + dice.uniform(-0.9, 0.9), dice.uniform(0.25, 0.44) * width
        tip = (x + math.cos(angle) * long, y + math.sin(angle) * long)
        drawn = stroke((x, y), ((x + tip[0]) / 2, (y + tip[1]) / 2), tip, long * 0.34)
        canvas.fill(drawn, green.darker(dice.uniform(0, 0.12)))
        canvas.stroke(drawn, canvas.ink(green), 1.4)
        canvas.stroke(f"M{pair((x, y))}L{pair(tip)}", canvas.ink(green), 1.0)


def _sign(canvas: Canvas, dice: random.Random, width: int, height: int, colour: Colour) -> None:
    x, top = width * dice.uniform(0.25, 0.75), height * dice.uniform(0.74, 0.84)
    wide = width * 0.26
    page = colour.lighter(0.2)
    with canvas.group(f'transform="rotate({dice.uniform(-9, 9):.2f} {pair((x, top))})"'):
        board = box(x - wide, top, x + wide, top + height * 0.4)
        canvas.fill(board, page)
        canvas.stroke(board, canvas.ink(page), 2.2)
        for row in range(3):
            _scribble(canvas, dice, (x - wide * 0.75, top + 20 + row * 17), wide * dice.uniform(0.8, 1.5))


def _scribble(canvas: Canvas, dice: random.Random, at: tuple[float, float], long: float) -> None:
    """Draw a line of what looks like writing and is none."""
    points, x = [], 0.0
    while x < long:
        points.append((at[0] + x, at[1] + dice.uniform(-4.5, 4.5)))
        x += dice.uniform(3, 8)
    canvas.stroke(smooth(points, closed=False), BLACK, 1.5)


def _frame(canvas: Canvas, dice: random.Random, width: int, height: int, colour: Colour) -> None:
    way, thick = dice.choice((-1, 1)), width * dice.uniform(0.06, 0.13)
    edge = 0.0 if way < 0 else float(width)
    bar = polygon(
        [
            (edge - way * -thick * 0, 0 - 2),
            (edge - way * thick, -2),
            (edge - way * thick * 1.4, height + 2),
            (edge + way * 4, height + 2),
            (edge + way * 4, -2),
        ]
    )
    canvas.fill(bar, colour.darker(0.1))
    canvas.stroke(bar, canvas.ink(colour), 2.0)
    if dice.random() < 1 / 2:
        low = height * 0.94
        canvas.fill(box(-2, low, width + 2, height + 2), colour.darker(0.16))


def _stranger(canvas: Canvas, dice: random.Random, width: int, height: int, colour: Colour) -> None:
    way = dice.choice((-1, 1))
    x, y, size = width * (0.5 + way * 0.52), height * dice.uniform(0.82, 1.0), width * dice.uniform(0.2, 0.3)
    with canvas.group(canvas.blurred(4.0)):
        canvas.fill(oval(x, y + size * 1.4, size * 1.25, size), colour.turned(120))
        canvas.fill(oval(x, y, size, size * 1.08), colour.darker(0.16))
        canvas.fill(oval(x - way * size * 0.6, y + size * 0.28, size * 0.45, size * 0.6), Colour(0.86, 0.05, 60))


def _petals(canvas: Canvas, dice: random.Random, width: int, height: int) -> None:
    pink = through(canvas.style, Colour(0.86, 0.08, dice.choice((5, 0, 350, 60, 145))), own_hue=True)
    for _ in range(dice.randint(6, 14)):
        x, y, size = dice.random() * width, dice.random() * height, dice.uniform(4, 12)
        with canvas.group(f'transform="rotate({dice.uniform(0, 360):.2f} {pair((x, y))})"'):
            petal = f"M{pair((x, y))}" + lock((x, y), (x + size * 1.6, y - size * 0.2), (x, y), -0.3, 0.6) + "Z"
            canvas.fill(petal, pink)
            canvas.stroke(petal, canvas.ink(pink), 0.7)


def _bubble(canvas: Canvas, dice: random.Random, shot: Shot, width: int, height: int) -> None:
    way = -1 if shot.x > 0 else 1
    wide = shot.bubble * width * 0.62
    x, y = width / 2 + way * (width / 2 - wide * 0.8), height * 0.15
    high = wide * 0.72
    tail = polygon(
        [
            (x - way * wide * 0.1, y + high * 0.7),
            (x - way * wide * 0.7, y + high * 1.5),
            (x - way * wide * 0.55, y + high * 0.5),
        ]
    )
    body = oval(x, y, wide, high)
    if dice.random() < 1 / 4:
        count = 22
        body = polygon(
            [
                (
                    x + math.cos(k * math.tau / count) * wide * (1.0 if k % 2 else 1.2),
                    y + math.sin(k * math.tau / count) * high * (1.0 if k % 2 else 1.2),
                )
                for k in range(count)
            ]
        )
    for outline in (tail, body):
        canvas.stroke(outline, BLACK, 3.0)
    for outline in (tail, body):
        canvas.fill(outline, WHITE)
    for row in range(3):
        _scribble(canvas, dice, (x - wide * 0.6, y - high * 0.4 + row * high * 0.4), wide * dice.uniform(0.6, 1.2))
