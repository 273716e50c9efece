"""What is worn on head, face and neck. Each accessory says whether it lies behind the head, in the face or over all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from indexer.demo.parts.body import bow
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
        colour = _hat(stage)
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


def _hat(stage: Stage) -> Colour:
    if stage.wears("straw-hat"):
        return Colour(0.86, 0.1, 88)
    return stage.colours[0] if stage.colours[0].lightness < HAT else stage.colours[2]


HAT: Final = 0.75


def _cap(stage: Stage) -> None:
    face, canvas, colour = stage.face, stage.canvas, _hat(stage)
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


def _witch_hat(stage: Stage) -> None:
    face, canvas, colour = stage.face, stage.canvas, _hat(stage)
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


def _straw_hat(stage: Stage) -> None:
    face, canvas, colour = stage.face, stage.canvas, _hat(stage)
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


def _beret(stage: Stage) -> None:
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


def _headphones(stage: Stage) -> None:
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


def _earrings(stage: Stage) -> None:
    for way in SIDES:
        x = stage.face.side(way) * 1.03
        stage.canvas.stroke(f"M{pair((x, 24))}v4", stage.gold, 1.2)
        stage.canvas.detail(polygon([(x, 27), (x + 3, 32), (x, 38), (x - 3, 32)]), stage.colours[2], 0.6)


def _horns(stage: Stage) -> None:
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


def _goggles(stage: Stage) -> None:
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


FACE: Final[dict[str, Callable[[Stage], None]]] = {
    "scar": _scar,
    "bandage": _bandage,
    "mask": _mask,
    "eyepatch": _eyepatch,
}
OVER: Final[dict[str, Callable[[Stage], None]]] = {
    "glasses": _glasses,
    "earrings": _earrings,
    "horns": _horns,
    "headphones": _headphones,
    "ribbon": _ribbon,
    "flower": _flower,
    "hairpin": _hairpin,
    "goggles": _goggles,
    "cap": _cap,
    "witch-hat": _witch_hat,
    "straw-hat": _straw_hat,
    "beret": _beret,
}

__all__ = ["around_neck", "behind", "lock", "on_face", "over_hair"]
