"""What is worn on head, face and neck, and whether it lies behind the head, in the face or over all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from indexer.demo.parts import headgear
from indexer.demo.parts.clothes import bow
from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.parts.path import box, limb, lock, oval, pair, path, polygon, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage


def behind(stage: Stage) -> None:
    """Draw what of the accessories is seen behind the head."""
    face, canvas = stage.face, stage.canvas
    accent = stage.colours[2]
    if stage.wears("halo"):
        canvas.stroke(oval(face.middle * 0.4, face.crown - 13, 30, 7), stage.gold.darker(0.08), 5.0)
        canvas.stroke(oval(face.middle * 0.4, face.crown - 13, 30, 7), stage.gold.lighter(0.1), 2.8)
    if stage.wears("straw-hat") or stage.wears("witch-hat"):
        colour = headgear.colour_of_hat(stage)
        canvas.shape(oval(face.middle * 0.3, -30, face.hair * 1.62, 17), canvas.shade(colour), depth=2)
    if stage.wears("scarf"):
        body = stage.body
        way = -1 if face.turn > 0 else 1
        x, y = way * body.neck * 1.6, body.shoulder_y
        canvas.shape(
            smooth(
                [
                    (x, y - 6),
                    (x + way * 28, y + 6),
                    (x + way * 44, y + 40),
                    (x + way * 26, y + 44),
                    (x + way * 12, y + 16),
                ]
            ),
            accent.darker(0.05),
            depth=3,
        )


def on_face(stage: Stage) -> None:
    """Draw what lies in the face, below the hair."""
    for name in ("scar", "bandage", "mask", "eyepatch"):
        if stage.wears(name):
            FACE[name](stage)


def over_hair(stage: Stage) -> None:
    """Draw what lies over the hair."""
    for name in OVER:
        if stage.wears(name):
            OVER[name](stage)


def around_neck(stage: Stage) -> None:
    """Draw what is worn around the neck, over the outfit."""
    if not stage.wears("scarf"):
        return
    body, colour = stage.body, stage.colours[2]
    base, half = body.shoulder_y, body.neck * 1.55
    for lift in (6.0, -4.0):
        drawn = smooth(
            [
                (-half, base - 10 + lift),
                (0, base - 3 + lift),
                (half, base - 10 + lift),
                (half * 1.2, base + 2 + lift),
                (0, base + 12 + lift),
                (-half * 1.2, base + 2 + lift),
            ]
        )
        stage.canvas.shape(drawn, colour, depth=3)
    stage.canvas.shape(
        smooth(
            [(half * 0.5, base + 2), (half * 1.0, base + 4), (half * 1.15, base + 42), (half * 0.5, base + 42)],
            tension=0.5,
        ),
        colour,
        depth=3,
    )
    for step in range(3):
        x = half * (0.58 + 0.2 * step)
        stage.canvas.stroke(f"M{pair((x, base + 42))}v6", colour.darker(0.08), 1.4)


def _scar(stage: Stage) -> None:
    index = stage.identity.seed % 2
    x, y = stage.face.eye_x[index], stage.face.eye_y
    mark = stage.skin.darker(0.2).toward(Colour(0.55, 0.13, 20), 0.4)
    stage.canvas.fill(stroke((x - 3, y - 18), (x + 2.5, y), (x + 1, y + 21), 1.2), mark)
    for step in (-9, 12):
        stage.canvas.fill(stroke((x - 4, y + step + 1), (x, y + step), (x + 4, y + step - 1), 0.7), mark)


def _bandage(stage: Stage) -> None:
    x, y = stage.face.nose[0], stage.face.nose[1] - 4
    with stage.canvas.group(f'transform="rotate(-8 {pair((x, y))})"'):
        stage.canvas.detail(
            smooth([(x - 9, y - 2.6), (x + 9, y - 2.6), (x + 9, y + 2.6), (x - 9, y + 2.6)], tension=0.7),
            Colour(0.88, 0.05, 70),
        )
        stage.canvas.fill(box(x - 2.6, y - 2.4, x + 2.6, y + 2.4), Colour(0.94, 0.03, 75))


def _mask(stage: Stage) -> None:
    face, canvas = stage.face, stage.canvas
    x, y = face.nose[0] * 0.9, face.nose[1]
    left, right = face.side(-1), face.side(1)
    colour = stage.white if stage.identity.seed % 2 else stage.dark
    cloth = smooth(
        [
            (left * 0.72, y - 1),
            (x, y - 8),
            (right * 0.72, y - 1),
            (right * 0.66, y + 14),
            (x * 0.8, y + 24),
            (left * 0.66, y + 14),
        ],
        tension=0.8,
    )
    for way, edge in ((-1, left), (1, right)):
        canvas.stroke(f"M{pair((edge * 0.7, y + 2))}L{pair((edge * 0.98, y - 10 + way * 0))}", colour.darker(0.1), 1.2)
    canvas.shape(cloth, colour, depth=3)
    for lift in (3, 8):
        canvas.fill(
            stroke((left * 0.55, y + lift), (x, y + lift + 2), (right * 0.55, y + lift), 0.5), canvas.ink(colour), 0.6
        )


def _eyepatch(stage: Stage) -> None:
    face, canvas = stage.face, stage.canvas
    x, y = face.eye_x[0], face.eye_y
    colour = stage.dark if stage.identity.seed % 2 else stage.white
    canvas.stroke(f"M{pair((face.side(-1), y - 4))}L{pair((x, y - 7))}L{pair((face.side(1) * 0.9, -24))}", colour, 2.0)
    wide = face.eye_width * face.eye_scale[0]
    canvas.shape(
        smooth(
            [
                (x - wide * 1.05, y - 11),
                (x + wide * 1.05, y - 11),
                (x + wide * 0.9, y + 7),
                (x, y + 13),
                (x - wide * 0.9, y + 7),
            ],
            tension=0.8,
        ),
        colour,
        depth=2.5,
    )


def _glasses(stage: Stage) -> None:
    face, canvas = stage.face, stage.canvas
    frame = stage.dark if stage.identity.seed % 3 else stage.colours[2].darker(0.1)
    rounded = stage.identity.seed % 2
    for index, way in enumerate(SIDES):
        x, y = face.eye_x[index], face.eye_y + 2
        wide, high = face.eye_width * 1.22 * face.eye_scale[index], max(10.0, face.eye_height * 0.98)
        rim = (
            oval(x, y, wide, high)
            if rounded
            else smooth(
                [
                    (x - wide, y - high * 0.75),
                    (x + wide, y - high * 0.75),
                    (x + wide * 0.9, y + high * 0.8),
                    (x - wide * 0.9, y + high * 0.8),
                ],
                tension=0.5,
            )
        )
        canvas.fill(rim, WHITE, 0.18)
        canvas.fill(
            stroke((x - wide * 0.5, y - high * 0.6), (x - wide * 0.5, y), (x - wide * 0.75, y + high * 0.4), 1.6),
            WHITE,
            0.55,
        )
        canvas.stroke(rim, frame, 1.3 + 0.5 * canvas.line)
        canvas.stroke(
            f"M{pair((x + way * wide, y - 2))}L{pair((face.side(way) * 0.99, y - 4))}", frame, 1.3 + 0.3 * canvas.line
        )
    inner = [face.eye_x[index] - way * face.eye_width * 1.22 * face.eye_scale[index] for index, way in enumerate(SIDES)]
    canvas.stroke(
        path("M", (inner[0], face.eye_y), "Q", ((inner[0] + inner[1]) / 2, face.eye_y - 3), (inner[1], face.eye_y)),
        frame,
        1.3 + 0.4 * canvas.line,
    )


def _ribbon(stage: Stage) -> None:
    face = stage.face
    way = 1 if stage.identity.seed % 2 else -1
    bow(stage, stage.colours[2], (way * face.hair * 0.55, face.crown + 9), 15)


def _earrings(stage: Stage) -> None:
    for way in SIDES:
        x = stage.face.side(way) * 1.03
        stage.canvas.stroke(f"M{pair((x, 24))}v4", stage.gold, 1.2)
        stage.canvas.detail(polygon([(x, 27), (x + 3, 32), (x, 38), (x - 3, 32)]), stage.colours[2], 0.6)


def _flower(stage: Stage) -> None:
    face, canvas = stage.face, stage.canvas
    way = 1 if stage.identity.seed % 2 else -1
    x, y = way * face.hair * 0.76, -24.0
    for step in range(5):
        with canvas.group(f'transform="rotate({72 * step} {pair((x, y))})"'):
            canvas.shape(oval(x, y - 7.5, 5.0, 6.4), stage.colours[2], depth=1.5, line=0.8)
    canvas.detail(oval(x, y, 3.6, 3.6), stage.gold)


def _hairpin(stage: Stage) -> None:
    way = 1 if stage.identity.seed % 2 else -1
    x, y = way * stage.face.hair * 0.6 + stage.face.middle * 0.4, -21.0
    for step in (0, 6):
        stage.canvas.detail(
            limb([(x - way * 8, y + step + 3), (x + way * 8, y + step - 3)], [1.9, 1.9]), stage.colours[2], 0.8
        )


FACE: Final[dict[str, Callable[[Stage], None]]] = {
    "scar": _scar,
    "bandage": _bandage,
    "mask": _mask,
    "eyepatch": _eyepatch,
}


OVER: Final[dict[str, Callable[[Stage], None]]] = {
    "glasses": _glasses,
    "earrings": _earrings,
    "horns": headgear.horns,
    "headphones": headgear.headphones,
    "ribbon": _ribbon,
    "flower": _flower,
    "hairpin": _hairpin,
    "goggles": headgear.goggles,
    "cap": headgear.cap,
    "witch-hat": headgear.witch_hat,
    "straw-hat": headgear.straw_hat,
    "beret": headgear.beret,
}


__all__ = ["around_neck", "behind", "lock", "on_face", "over_hair"]
