"""Hats and what else sits on a head, over the hair."""

from __future__ import annotations

from typing import Final

from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.parts.path import oval, pair, path, polygon, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage


def colour_of_hat(stage: Stage) -> Colour:
    """Return the colour of a hat: straw, or the darker of what its wearer has on."""
    if stage.wears("straw-hat"):
        return Colour(0.86, 0.1, 88)
    return stage.colours[0] if stage.colours[0].lightness < HAT else stage.colours[2]


HAT: Final = 0.75


def cap(stage: Stage) -> None:
    """Draw a cap with a badge; its visor turns with the face."""
    face, canvas, colour = stage.face, stage.canvas, colour_of_hat(stage)
    wide, x, y = face.hair * 1.03, face.middle, -22.0
    dome = path(
        "M",
        (-wide, y),
        "C",
        (-wide * 1.02, face.crown * 1.5),
        (wide * 1.02, face.crown * 1.5),
        (wide, y),
        "Q",
        (0, y - 12),
        (-wide, y),
        "Z",
    )
    canvas.shape(dome, colour, depth=6)
    for bend in (-0.42, 0.42):
        canvas.stroke(
            path("M", (x * 0.4, face.crown - 3), "Q", (wide * bend, face.crown + 4), (wide * bend * 1.3, y - 7)),
            canvas.ink(colour),
            canvas.line * 0.7,
        )
    canvas.detail(oval(x * 0.5, y - 22, 8, 7), stage.colours[2])
    canvas.shape(
        smooth(
            [
                (x - wide * 0.78, y - 5),
                (x, y - 12),
                (x + wide * 0.78, y - 5),
                (x * 1.5 + wide * 0.66, y + 5),
                (x * 1.8, y + 6.5),
                (x * 1.5 - wide * 0.66, y + 5),
            ]
        ),
        stage.colours[2],
        depth=3,
    )


def witch_hat(stage: Stage) -> None:
    """Draw a pointed hat with a buckle."""
    face, canvas, colour = stage.face, stage.canvas, colour_of_hat(stage)
    wide, x, y = face.hair, face.middle * 0.4, -30.0
    way = 1 if stage.identity.seed % 2 else -1
    cone = path(
        "M",
        (-wide * 0.98, y),
        "C",
        (-wide * 0.8, -66),
        (x - wide * 0.36, -92),
        (x + way * 16, -114),
        "C",
        (x + way * 26, -112),
        (x + way * 32, -104),
        (x + way * 30, -96),
        "C",
        (x + way * 20, -100),
        (x + wide * 0.5, -84),
        (wide * 0.98, y),
        "Q",
        (0, y + 10),
        (-wide * 0.98, y),
        "Z",
    )
    canvas.shape(cone, colour, depth=7)
    canvas.stroke(
        f"M{pair((-wide * 0.86, y - 7))}Q{pair((0, y + 3))} {pair((wide * 0.86, y - 7))}",
        stage.colours[2],
        9,
        ends="butt",
    )
    upper = path(
        "M",
        (-wide * 1.62, y),
        "C",
        (-wide * 0.9, y + 12),
        (wide * 0.9, y + 12),
        (wide * 1.62, y),
        "C",
        (wide, y + 22),
        (-wide, y + 22),
        (-wide * 1.62, y),
        "Z",
    )
    canvas.shape(upper, colour, depth=4)
    canvas.stroke(cone, canvas.ink(colour), canvas.line)
    canvas.detail(polygon([(x - 6, y - 13), (x + 6, y - 13), (x + 6, y - 1), (x - 6, y - 1)]), stage.gold)


def straw_hat(stage: Stage) -> None:
    """Draw a straw hat with a band."""
    face, canvas, colour = stage.face, stage.canvas, colour_of_hat(stage)
    wide, y = face.hair * 0.94, -31.0
    dome = path(
        "M",
        (-wide, y),
        "C",
        (-wide, face.crown * 1.52),
        (wide, face.crown * 1.52),
        (wide, y),
        "Q",
        (0, y + 10),
        (-wide, y),
        "Z",
    )
    canvas.shape(dome, colour, depth=6)
    canvas.stroke(
        f"M{pair((-wide * 0.97, y - 7))}Q{pair((0, y + 4))} {pair((wide * 0.97, y - 7))}",
        stage.colours[2],
        9,
        ends="butt",
    )
    for step in range(3):
        half, lift = wide * (0.94 - 0.05 * step), y - 17 - 7 * step
        canvas.stroke(f"M{pair((-half, lift))}Q{pair((0, lift + 9))} {pair((half, lift))}", colour.darker(0.12), 0.7)
    brim = path(
        "M",
        (-wide * 1.72, y),
        "C",
        (-wide * 0.9, y + 11),
        (wide * 0.9, y + 11),
        (wide * 1.72, y),
        "C",
        (wide, y + 21),
        (-wide, y + 21),
        (-wide * 1.72, y),
        "Z",
    )
    canvas.shape(brim, colour, depth=3)
    canvas.stroke(dome, canvas.ink(colour), canvas.line)


def beret(stage: Stage) -> None:
    """Draw a beret that hangs to one side."""
    face, canvas = stage.face, stage.canvas
    colour = stage.colours[2]
    way = 1 if stage.identity.seed % 2 else -1
    wide, y = face.hair, -34.0
    drawn = smooth(
        [
            (-way * wide * 0.86, y),
            (-way * wide * 0.9, face.crown + 4),
            (0, face.crown - 9),
            (way * wide * 1.06, face.crown + 1),
            (way * wide * 1.3, y - 1),
            (way * wide * 0.9, y + 5),
            (0, y - 5),
        ]
    )
    canvas.shape(drawn, colour, depth=6)
    canvas.stroke(f"M{pair((0, face.crown - 8))}q{way * 1.5:.2f} -5 {way * 3:.2f} -7", canvas.ink(colour), 2.6)


def headphones(stage: Stage) -> None:
    """Draw headphones."""
    face, canvas = stage.face, stage.canvas
    wide, high = face.hair * 1.06, (face.crown - 4) / 0.75
    canvas.stroke(
        f"M{pair((-wide, 8))}C{pair((-wide, high))} {pair((wide, high))} {pair((wide, 8))}", canvas.ink(stage.dark), 6.4
    )
    canvas.stroke(
        f"M{pair((-wide, 8))}C{pair((-wide, high))} {pair((wide, high))} {pair((wide, 8))}", stage.colours[2], 4.2
    )
    for way in SIDES:
        x = way * wide
        canvas.shape(
            smooth([(x - 8, 0), (x, -5), (x + 8, 0), (x + 8, 22), (x, 27), (x - 8, 22)]), stage.colours[2], depth=3
        )
        canvas.detail(oval(x, 11, 4.2, 7), stage.dark)


def horns(stage: Stage) -> None:
    """Draw a pair of ringed horns."""
    face, canvas = stage.face, stage.canvas
    colour = stage.dark if stage.identity.seed % 2 else Colour(0.88, 0.04, 80)
    for way in SIDES:
        x, y = way * face.hair * 0.6, face.crown + 15
        drawn = path(
            "M",
            (x - 8, y + 3),
            "C",
            (x - 6 + way * 2, y - 16),
            (x + way * 12, y - 20),
            (x + way * 20, y - 36),
            "C",
            (x + way * 24, y - 20),
            (x + way * 18, y - 4),
            (x + 8, y + 5),
            "Q",
            (x, y + 8),
            (x - 8, y + 3),
            "Z",
        )
        canvas.shape(drawn, colour, depth=3)
        for step in (0.2, 0.45):
            canvas.fill(
                stroke(
                    (x - 6 + way * 14 * step, y - 22 * step),
                    (x + way * 10 * step, y - 10 * step),
                    (x + 9 + way * 9 * step, y - 18 * step),
                    0.6,
                ),
                canvas.ink(colour),
            )


def goggles(stage: Stage) -> None:
    """Draw goggles that are pushed up on the forehead."""
    face, canvas = stage.face, stage.canvas
    wide, x, y = face.hair * 1.0, face.middle, -33.0
    canvas.stroke(f"M{pair((-wide, y + 12))}Q{pair((x, y - 13))} {pair((wide, y + 12))}", canvas.ink(stage.dark), 8.5)
    canvas.stroke(f"M{pair((-wide, y + 12))}Q{pair((x, y - 13))} {pair((wide, y + 12))}", stage.dark.lighter(0.12), 6.5)
    for way in SIDES:
        canvas.shape(oval(x + way * 14.5, y, 12.5, 10), stage.metal, depth=2)
        canvas.detail(oval(x + way * 14.5, y, 9, 7), stage.colours[2].lighter(0.08))
        canvas.fill(
            stroke((x + way * 14.5 - 5, y + 1), (x + way * 14.5 - 3, y - 5), (x + way * 14.5 + 4, y - 4), 1.5),
            WHITE,
            0.8,
        )
