"""Heads of robots: shells with panels, and eyes that are lamps, visors or lenses."""

from __future__ import annotations

from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.parts.path import oval, pair, polygon, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage


def behind(stage: Stage) -> None:
    """Draw antennae and what else stands off the head."""
    face, canvas, kind = stage.face, stage.canvas, stage.identity.seed % 3
    if kind == 0:
        canvas.stroke(f"M{pair((0, -50))}V-82", canvas.ink(stage.metal), 3.4)
        canvas.stroke(f"M{pair((0, -50))}V-82", stage.metal, 1.8)
        canvas.shape(oval(0, -84, 6, 6), stage.eyes, depth=2)
    elif kind == 1:
        for way in SIDES:
            fin = polygon(
                [
                    (way * face.width * 0.9, 6),
                    (way * face.width * 1.2, -58),
                    (way * face.width * 1.32, -62),
                    (way * face.width * 1.24, 12),
                ]
            )
            canvas.shape(fin, stage.colours[2], depth=3)
    else:
        for way in SIDES:
            canvas.shape(
                polygon([(way * 4, -52), (way * 32, -86), (way * 38, -82), (way * 14, -46)]), stage.gold, depth=2
            )
    for way in SIDES:
        canvas.shape(
            smooth(
                [
                    (way * face.width * 0.9, -4),
                    (way * face.width * 1.22, 0),
                    (way * face.width * 1.22, 24),
                    (way * face.width * 0.9, 28),
                ],
                tension=0.6,
            ),
            stage.metal,
            depth=3,
        )


def head(stage: Stage) -> str:
    """Draw the shell of the head with its panels, and return its outline."""
    face, canvas = stage.face, stage.canvas
    wide, x, chin = face.width * 1.04, face.middle, stage.style.chin
    drawn = smooth(
        [
            (-wide, -20),
            (-wide * 0.78, -50),
            (0, -58),
            (wide * 0.78, -50),
            (wide, -20),
            (wide * 0.98, 22),
            (wide * (0.7 - 0.22 * chin) + x * 0.4, 46),
            (x * 0.5, 50),
            (-wide * (0.7 - 0.22 * chin) + x * 0.4, 46),
            (-wide * 0.98, 22),
        ],
        tension=0.75,
    )
    canvas.shape(drawn, stage.skin, depth=6)
    ink, thin = canvas.ink(stage.skin), canvas.line * 0.7
    plate = smooth([(x * 0.7 - 11, -55), (x * 0.7 + 11, -55), (x + 9, -24), (x, -18), (x - 9, -24)], tension=0.6)
    canvas.shape(plate, stage.hair, depth=3, line=0.8)
    for way in SIDES:
        brow = [(x + way * 9, -24), (way * wide * 0.75 + x * 0.4, -18), (way * wide, -22)]
        jaw = [(way * wide * 0.97, 22), (x * 0.8 + way * wide * 0.52, 26), (x * 0.7 + way * wide * 0.34, 47)]
        for line in (brow, jaw):
            canvas.stroke(polygon(line, closed=False), ink, thin)
        canvas.detail(oval(way * wide * 0.8, 31, 2.1, 2.1), stage.metal, 0.6)
    _grille(stage)
    canvas.stroke(drawn, ink, canvas.line)
    return drawn


def _grille(stage: Stage) -> None:
    """Draw the mouth: slits that bend with the mood."""
    canvas, (x, y) = stage.canvas, stage.face.mouth
    x *= 1.3
    bend = {"smile": 3.0, "closed": 3.0, "wink": 3.0, "grin": 4.0, "angry": -3.0, "sad": -3.5}.get(
        stage.shot.expression, 0.0
    )
    if stage.shot.expression == "surprised":
        canvas.detail(smooth([(x - 5, y - 3), (x + 5, y - 3), (x + 5, y + 5), (x - 5, y + 5)], tension=0.6), stage.dark)
        return
    for lift in (-2.5, 1.5):
        canvas.fill(
            stroke((x - 10, y + lift - bend * 0.5), (x, y + lift + bend), (x + 10, y + lift - bend * 0.5), 1.0),
            canvas.ink(stage.skin),
        )


def eyes(stage: Stage) -> bool:
    """Draw visor or lens; tell whether eyes of the usual kind are wanted instead."""
    if stage.identity.species == "visor-robot":
        _visor(stage)
    elif stage.identity.species == "lens-robot":
        _lens(stage)
    else:
        face, canvas = stage.face, stage.canvas
        for index in range(2):
            wide = face.eye_width * 1.25 * face.eye_scale[index]
            socket = oval(face.eye_x[index], face.eye_y, wide, max(9.0, face.eye_height * 1.25))
            canvas.shape(socket, stage.dark.lighter(0.12), depth=2)
        return True
    return False


def _visor(stage: Stage) -> None:
    face, canvas, expression = stage.face, stage.canvas, stage.shot.expression
    left, right, x, y = face.side(-1), face.side(1), face.middle, face.eye_y
    high = max(8.0, face.eye_height * 0.85)
    band = smooth(
        [
            (left * 0.96, y - high),
            (x, y - high * 1.2),
            (right * 0.96, y - high),
            (right * 0.9, y + high * 0.7),
            (x, y + high),
            (left * 0.9, y + high * 0.7),
        ],
        tension=0.7,
    )
    canvas.shape(band, stage.dark, depth=3)
    with canvas.within(band):
        canvas.paint(band, canvas.ramp([(0.0, stage.eyes, 0.0), (1.0, stage.eyes, 0.45)]))
        for index, way in enumerate(SIDES):
            at, wide = face.eye_x[index], face.eye_width * face.eye_scale[index]
            glow = stage.eyes.lighter(0.22)
            if expression in ("closed", "smile", "wink"):
                canvas.stroke(
                    f"M{pair((at - wide * 0.7, y + 3))}Q{pair((at, y - high * 0.9))} {pair((at + wide * 0.7, y + 3))}",
                    glow,
                    3.2,
                )
            elif expression in ("angry", "sad"):
                slope = way * (5 if expression == "angry" else -5)
                canvas.fill(
                    polygon(
                        [
                            (at - wide * 0.8, y - slope * 0.6 - 1),
                            (at + wide * 0.8, y + slope * -0.6 * -1 * -1 - 1),
                            (at + wide * 0.6, y + 5),
                            (at - wide * 0.6, y + 5),
                        ]
                    ),
                    glow,
                )
            else:
                canvas.fill(oval(at, y, wide * 0.6, high * (0.7 if expression == "surprised" else 0.5)), glow)
        canvas.fill(stroke((left * 0.7, y + 2), (left * 0.6, y - high), (x - 6, y - high * 0.8), 1.6), WHITE, 0.5)


def _lens(stage: Stage) -> None:
    face, canvas = stage.face, stage.canvas
    x, y = face.middle * 1.2, face.eye_y - 3
    size = 17.0 * (0.85 + 0.15 * stage.style.eye_height) * (1.12 if stage.shot.expression == "surprised" else 1.0)
    canvas.shape(oval(x, y, size * 1.2, size * 1.2), stage.metal, depth=3)
    canvas.detail(oval(x, y, size, size), stage.dark)
    aim = x + stage.shot.gaze * 3
    canvas.paint(
        oval(aim, y, size * 0.74, size * 0.74),
        canvas.ramp([(0.0, stage.eyes.darker(0.2), 1.0), (1.0, stage.eyes.lighter(0.2), 1.0)]),
    )
    canvas.fill(oval(aim, y, size * 0.32, size * 0.32), stage.eyes.darker(0.34))
    canvas.fill(oval(aim - size * 0.3, y - size * 0.34, size * 0.2, size * 0.16), WHITE, 0.95)
    slope = {"angry": 5.0, "sad": -5.0}.get(stage.shot.expression, 0.0)
    cover = {"closed": 1.15, "wink": 0.8, "angry": 0.62, "sad": 0.62, "smile": 0.35}.get(stage.shot.expression, 0.25)
    lid = stage.skin.darker(0.06)
    with canvas.within(oval(x, y, size * 1.05, size * 1.05)):
        edge = y - size * 1.2 + size * cover * 1.4
        canvas.detail(
            polygon(
                [
                    (x - 40, y - 40),
                    (x + 40, y - 40),
                    (x + 40, edge - slope),
                    (x, edge + abs(slope) * 0.4),
                    (x - 40, edge + slope),
                ]
            ),
            lid,
        )
    if stage.shot.expression == "closed":
        canvas.detail(oval(x, y, 1.2, 1.2), Colour(0.3, 0.02, 250))
