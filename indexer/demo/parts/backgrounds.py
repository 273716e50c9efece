"""What is behind a character, in the way of the show. Lengths are pixels of the finished picture."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from indexer.demo.parts.canvas import Canvas
from indexer.demo.parts.colour import WHITE, Colour, through
from indexer.demo.parts.path import box, moved, oval, pair, polygon, smooth, stroke
from indexer.demo.shot import Shot


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What a background is drawn with: canvas, size, its main colour, and the shot's dice."""

    canvas: Canvas
    width: int
    height: int
    colour: Colour
    dice: random.Random

    @property
    def whole(self) -> str:
        """The outline of the whole picture, and a little more."""
        return box(-2, -2, self.width + 2, self.height + 2)

    def sky(self, above: Colour, below: Colour) -> None:
        """Cover the picture with a change of colour from above to below, in bands too narrow to be told apart."""
        bands = 56
        for step in range(bands):
            top = self.height * step / bands
            colour = above.toward(below, step / (bands - 1))
            self.canvas.add(
                f'<rect x="-2" y="{top:.0f}" width="{self.width + 4}" height="{self.height / bands + 2:.0f}" '
                f'fill="{colour.hex}" shape-rendering="crispEdges"/>'
            )

    def flat(self, colour: Colour) -> None:
        """Cover the picture with one colour."""
        self.canvas.fill(self.whole, colour)


def background(canvas: Canvas, shot: Shot) -> None:
    """Cover the whole picture with the shot's background."""
    width, height = shot.size
    dice = random.Random(f"{shot.seed} background")  # noqa: S311  # dice for drawing, not for secrets
    colour = through(canvas.style, shot.backdrop)
    BACKGROUNDS[shot.background](Backdrop(canvas, width, height, colour, dice))


def _plain(drop: Backdrop) -> None:
    drop.sky(drop.colour.lighter(0.07), drop.colour)
    for _ in range(drop.dice.randint(0, 4)):
        size = drop.dice.uniform(0.1, 0.45) * drop.width
        drop.canvas.fill(
            oval(drop.dice.random() * drop.width, drop.dice.random() * drop.height, size, size),
            drop.colour.lighter(0.06),
            0.5,
        )


def _sky(drop: Backdrop) -> None:
    hue = drop.dice.choice((235, 245, 225, 30, 300, drop.colour.hue))
    blue = through(drop.canvas.style, Colour(0.72, 0.11, hue), own_hue=True)
    drop.sky(blue, blue.lighter(0.2))
    white = through(drop.canvas.style, Colour(0.98, 0.01, 80))
    lobes = ((-1.3, 0.1, 0.6), (-0.6, -0.3, 0.8), (0.1, -0.55, 1.0), (0.9, -0.2, 0.75), (1.5, 0.15, 0.5))
    for _ in range(drop.dice.randint(2, 5)):
        x, y = drop.dice.random() * drop.width, drop.dice.uniform(0.08, 0.9) * drop.height
        size = drop.dice.uniform(24, 60)
        for shade, lift in ((blue.lighter(0.14), 0.16), (white, 0.0)):
            puffs = (
                oval(x + across * size, y + (up + lift) * size * 0.7, radius * size * 0.75, radius * size * 0.55)
                for across, up, radius in lobes
            )
            drop.canvas.fill("".join(puffs), shade)
    if drop.dice.random() < 1 / 3:
        drop.canvas.fill(
            oval(drop.dice.random() * drop.width, drop.dice.uniform(0.05, 0.4) * drop.height, 26, 26), white, 0.85
        )


def _room(drop: Backdrop) -> None:
    canvas, dice, width, height = drop.canvas, drop.dice, drop.width, drop.height
    wall = drop.colour.lighter(0.04)
    drop.sky(wall, wall.darker(0.04))
    floor = height * dice.uniform(0.74, 0.86)
    wood = through(canvas.style, Colour(0.6, 0.08, dice.uniform(40, 80)))
    canvas.fill(box(-2, floor, width + 2, height + 2), wood)
    canvas.fill(box(-2, floor - 7, width + 2, floor), wood.lighter(0.14))
    for step in range(5):
        canvas.stroke(
            f"M{pair((width * step / 4, floor))}L{pair((width * (step / 4 * 1.9 - 0.45), height))}",
            wood.darker(0.1),
            1.2,
        )
    x, y, w, h = (
        dice.uniform(-0.1, 0.6) * width,
        height * dice.uniform(0.04, 0.16),
        width * dice.uniform(0.35, 0.5),
        height * dice.uniform(0.3, 0.42),
    )
    pane = through(canvas.style, Colour(0.86, 0.07, dice.choice((235, 60, 280))))
    canvas.paint(box(x, y, x + w, y + h), canvas.ramp([(0, pane.darker(0.08), 1), (1, pane.lighter(0.1), 1)]))
    frame = wall.lighter(0.1) if dice.random() < 1 / 2 else wood
    for line in (
        box(x, y, x + w, y + h),
        f"M{pair((x + w / 2, y))}V{y + h:.2f}",
        f"M{pair((x, y + h * 0.45))}H{x + w:.2f}",
    ):
        canvas.stroke(line, frame, 5.5)
        canvas.stroke(line, frame.darker(0.2), 0.9)
    left = x > width * 0.3
    shelf_x = width * (0.02 if left else 0.68)
    for row in range(2):
        base = height * (0.3 + 0.2 * row)
        canvas.fill(box(shelf_x, base, shelf_x + width * 0.3, base + 6), wood.darker(0.06))
        at = shelf_x + 4
        while at < shelf_x + width * 0.27:
            thick, tall = dice.uniform(5, 12), dice.uniform(22, 40)
            book = drop.colour.turned(dice.choice((0, 60, 120, 200, 300))).darker(dice.uniform(0, 0.2))
            canvas.fill(box(at, base - tall, at + thick, base), book)
            at += thick + 1.5
    if dice.random() < 1 / 2:
        curtain = drop.colour.turned(dice.choice((40, 160, 220)))
        for way, edge in ((1, x - 8), (-1, x + w + 8)):
            canvas.fill(
                smooth(
                    [
                        (edge, y - 10),
                        (edge + way * w * 0.3, y - 10),
                        (edge + way * w * 0.2, y + h * 0.6),
                        (edge + way * w * 0.24, y + h + 18),
                        (edge, y + h + 18),
                    ],
                    tension=0.6,
                ),
                curtain,
            )


def _speed_lines(drop: Backdrop) -> None:
    canvas, dice, width, height = drop.canvas, drop.dice, drop.width, drop.height
    white = dice.random() < 1 / 2
    drop.flat(drop.colour.lighter(0.2) if white else drop.colour)
    x, y = width * dice.uniform(0.35, 0.65), height * dice.uniform(0.3, 0.55)
    far = width + height
    ink = canvas.ink(drop.colour) if white else drop.colour.lighter(0.22)
    straight, lines = dice.random() < 1 / 3, []
    for step in range(54):
        angle = step * math.tau / 54 + dice.uniform(-0.05, 0.05)
        if straight:
            at, long = dice.random() * height, dice.uniform(0.2, 1.0) * width
            start = dice.choice((0.0, width - long))
            lines.append(stroke((start, at), (start + long / 2, at), (start + long, at), dice.uniform(0.6, 3.0)))
            continue
        near, half = dice.uniform(0.34, 0.5) * width, dice.uniform(0.006, 0.03)
        ends = [(x + math.cos(angle + side * half) * far, y + math.sin(angle + side * half) * far) for side in (-1, 1)]
        lines.append(polygon([(x + math.cos(angle) * near, y + math.sin(angle) * near * 1.1), *ends]))
    canvas.fill("".join(lines), ink)


def _pattern(drop: Backdrop) -> None:
    canvas, dice, width, height = drop.canvas, drop.dice, drop.width, drop.height
    drop.flat(drop.colour.lighter(0.05))
    other = drop.colour.lighter(0.16) if dice.random() < 1 / 2 else drop.colour.darker(0.08)
    accent = drop.colour.turned(dice.choice((40, 120, 180, 300))).lighter(0.08)
    motif, size = dice.choice((_disc, _star, _heart, _diamond, _blossom)), dice.uniform(34, 58)
    drawn: dict[Colour, list[str]] = {other: [], accent: []}
    for row in range(int(height / size) + 2):
        for column in range(int(width / size) + 2):
            paint = accent if (row + column) % 3 == 0 else other
            drawn[paint].append(motif((column + (row % 2) / 2) * size, row * size, size))
    for paint, motifs in drawn.items():
        canvas.fill("".join(motifs), paint)


def _disc(x: float, y: float, size: float) -> str:
    return oval(x, y, size * 0.2, size * 0.2)


def _star(x: float, y: float, size: float) -> str:
    return polygon([moved((x, y), 180 + 36 * step, size * (0.13 if step % 2 else 0.3)) for step in range(10)])


def _heart(x: float, y: float, size: float) -> str:
    low, notch = (x, y + size * 0.24), (x, y - size * 0.1)
    left = f"C{pair((x - size * 0.5, y - size * 0.1))} {pair((x - size * 0.16, y - size * 0.36))} {pair(notch)}"
    right = f"C{pair((x + size * 0.16, y - size * 0.36))} {pair((x + size * 0.5, y - size * 0.1))} {pair(low)}"
    return f"M{pair(low)}{left}{right}Z"


def _diamond(x: float, y: float, size: float) -> str:
    return polygon([(x, y - size / 2), (x + size / 2, y), (x, y + size / 2), (x - size / 2, y)])


def _blossom(x: float, y: float, size: float) -> str:
    return "".join(oval(*moved((x, y), 72 * step, size * 0.16), size * 0.12, size * 0.12) for step in range(5))


def _landscape(drop: Backdrop) -> None:
    canvas, dice, width, height = drop.canvas, drop.dice, drop.width, drop.height
    style = canvas.style
    sky = through(style, Colour(0.8, 0.08, dice.choice((230, 240, 50, 20, 330))), own_hue=True)
    drop.sky(sky, sky.lighter(0.14))
    if dice.random() < 1 / 2:
        canvas.fill(oval(dice.random() * width, height * dice.uniform(0.1, 0.4), 30, 30), sky.lighter(0.17))
    ground = through(style, Colour(0.7, 0.12, dice.choice((140, 125, 100, 60, 190))), own_hue=True)
    for layer in range(3):
        level = height * (0.42 + 0.17 * layer)
        hill = sky.toward(ground, 0.4 + 0.3 * layer).darker(0.05 * layer)
        count = 5
        points = [
            (-20.0, float(height + 20)),
            *(
                (width * (step / (count - 1) * 1.2 - 0.1), level + dice.uniform(-30, 24) * (1.3 - 0.3 * layer))
                for step in range(count)
            ),
            (width + 20.0, float(height + 20)),
        ]
        canvas.fill(smooth(points, tension=0.9 if layer else 0.25), hill)
        for _ in range(dice.randint(0, 5) if layer else 0):
            x, tall = dice.random() * width, dice.uniform(18, 34) * layer
            if dice.random() < 1 / 2:
                canvas.fill(
                    polygon([(x - tall * 0.3, level + 12), (x, level + 12 - tall), (x + tall * 0.3, level + 12)]),
                    hill.darker(0.1),
                )
            else:
                canvas.fill(box(x - 2, level - 6, x + 2, level + 16), hill.darker(0.22))
                canvas.fill(oval(x, level - tall * 0.4, tall * 0.42, tall * 0.48), hill.darker(0.08))


def _paper(drop: Backdrop) -> None:
    canvas, dice, width, height = drop.canvas, drop.dice, drop.width, drop.height
    page = through(canvas.style, Colour(0.95, 0.025, dice.choice((85, 95, 70, 60))))
    drop.flat(page)
    wash = page.toward(drop.colour, 0.5)
    for _ in range(dice.randint(3, 6)):
        x, y, size = dice.random() * width, dice.random() * height, dice.uniform(50, 130)
        blot = [
            (x + math.cos(k) * size * dice.uniform(0.7, 1.1), y + math.sin(k) * size * dice.uniform(0.5, 0.9))
            for k in (0.0, 0.9, 1.8, 2.7, 3.6, 4.5, 5.4)
        ]
        canvas.fill(smooth(blot), wash, 0.45)
    kind = dice.randrange(3)
    for step in range(int(height / 22)) if kind == 0 else ():
        canvas.stroke(f"M-2 {step * 22 + 8}H{width + 2}", page.darker(0.1), 0.8)
    if kind == 1:
        for _ in range(16):
            x, y = dice.random() * width, dice.random() * height
            canvas.fill(oval(x, y, dice.uniform(1, 5), dice.uniform(1, 5)), drop.colour, 0.6)


def _night_city(drop: Backdrop) -> None:
    canvas, dice, width, height = drop.canvas, drop.dice, drop.width, drop.height
    style = canvas.style
    night = through(style, Colour(0.3, 0.08, dice.choice((265, 285, 310, 250))), own_hue=True)
    glow = through(style, Colour(0.55, 0.13, dice.choice((300, 340, 30, 200))), own_hue=True)
    drop.sky(night, glow)
    for _ in range(22):
        canvas.fill(oval(dice.random() * width, dice.random() * height * 0.5, 0.9, 0.9), WHITE, 0.8)
    if dice.random() < 1 / 2:
        canvas.fill(oval(dice.random() * width, height * 0.16, 24, 24), WHITE, 0.9)
    lamp = through(style, Colour(0.88, 0.12, 90))
    for layer in range(2):
        x, tower = -10.0, night.toward(glow, 0.35 - 0.3 * layer).darker(0.04)
        while x < width:
            wide, top = dice.uniform(34, 70), height * dice.uniform(0.25, 0.6) + 60 * layer
            canvas.fill(box(x, top, x + wide, height + 2), tower)
            windows = "".join(
                f"M{x + 6 + 11 * column:.2f} {top + 8 + 15 * row:.2f}h5v7h-5Z"
                for column in range(int((wide - 8) / 11))
                for row in range(int((height - top) / 15))
                if dice.random() < 2 / 5
            )
            if windows:
                canvas.fill(windows, lamp if dice.random() < 3 / 4 else glow.lighter(0.25), 0.9 if layer else 0.45)
            x += wide + dice.uniform(-4, 12)
    for _ in range(dice.randint(0, 6)):
        size = dice.uniform(8, 26)
        canvas.fill(
            oval(dice.random() * width, dice.uniform(0.3, 1) * height, size, size),
            glow.turned(dice.uniform(-60, 60)).lighter(0.2),
            0.28,
        )


BACKGROUNDS: Final[dict[str, Callable[[Backdrop], None]]] = {
    "plain": _plain,
    "sky": _sky,
    "room": _room,
    "speed-lines": _speed_lines,
    "pattern": _pattern,
    "landscape": _landscape,
    "paper": _paper,
    "night-city": _night_city,
}
