"""What characters wear. An outfit is drawn from the feet up, in the three colours of its wearer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from indexer.demo.parts.body import (
    arms,
    belt,
    bow,
    buttons,
    collar,
    half_outline,
    legs,
    neck,
    shoes,
    skirt,
    socks,
    torso,
)
from indexer.demo.parts.colour import Colour
from indexer.demo.parts.path import between, limb, moved, oval, pair, path, polygon, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage


def dress_up(stage: Stage) -> None:
    """Draw the body from the neck down in its outfit."""
    OUTFITS[stage.identity.outfit](stage)


def behind(stage: Stage) -> None:
    """Draw what of an outfit is seen behind the body: a cape."""
    if stage.identity.outfit != "cape":
        return
    body, colour = stage.body, stage.colours[0]
    low, wide = body.hip_y + (body.foot_y - body.hip_y) * 0.62, body.shoulder * 1.5
    drawn = smooth(
        [
            (-body.shoulder * 0.8, body.shoulder_y + 2),
            (body.shoulder * 0.8, body.shoulder_y + 2),
            (wide, low * 0.7),
            (wide * 1.12, low),
            (wide * 0.4, low - 7),
            (0, low + 3),
            (-wide * 0.45, low - 6),
            (-wide * 1.12, low),
            (-wide, low * 0.7),
        ]
    )
    stage.canvas.shape(drawn, stage.canvas.shade(colour).darker(0.06), depth=7.0)


def _sailor(stage: Stage) -> None:
    main, _, accent = stage.colours
    navy = main if main.lightness < LIGHT else main.darker(0.2)
    legs(stage, None)
    socks(stage, stage.dark, 0.62)
    shoes(stage, Colour(0.36, 0.06, 45))
    skirt(stage, navy, length=0.3, flare=1.35, pleats=9)
    neck(stage)
    torso(stage, stage.white, opening=14)
    arms(stage, stage.white, until=0.42, loose=1.25, cuff=navy)
    body, canvas = stage.body, stage.canvas
    half, base = body.neck * 1.2, body.shoulder_y
    for way in SIDES:
        flap = [
            (way * half * 0.92, base - 4),
            (way * body.shoulder * 0.7, base + 4),
            (way * body.shoulder * 0.66, base + 17),
            (way * 1, base + 30),
            (way * half * 0.62, base + 14),
        ]
        canvas.shape("M" + "L".join(pair(point) for point in flap) + "Z", navy, depth=3.0)
        canvas.stroke(
            polygon(
                [
                    (way * body.shoulder * 0.6, base + 7),
                    (way * body.shoulder * 0.56, base + 15),
                    (way * 5, base + 26.5),
                ],
                closed=False,
            ),
            stage.white,
            1.1,
        )
    bow(stage, accent, (0, base + 29), 11)


LIGHT: Final = 0.6


def _gakuran(stage: Stage) -> None:
    main = stage.colours[0]
    cloth = Colour(min(main.lightness, 0.36), main.chroma * 0.6, main.hue)
    legs(stage, cloth)
    shoes(stage, stage.dark)
    neck(stage)
    torso(stage, cloth, hem=10, flare=1.06)
    arms(stage, cloth)
    body, canvas = stage.body, stage.canvas
    half, base = body.neck * 1.18, body.shoulder_y
    stand = path(
        "M",
        (-half, base - 9),
        "Q",
        (0, base + 3),
        (half, base - 9),
        "L",
        (half * 1.12, base + 2),
        "Q",
        (0, base + 11),
        (-half * 1.12, base + 2),
        "Z",
    )
    canvas.shape(stand, cloth, depth=2.0)
    canvas.stroke(
        f"M{pair((-half * 0.98, base - 8))}Q{pair((0, base + 3.5))} {pair((half * 0.98, base - 8))}", stage.white, 1.3
    )
    canvas.stroke(f"M{pair((0, base + 6))}L{pair((0, body.hip_y + 12))}", canvas.ink(cloth), canvas.line * 0.7)
    buttons(stage, stage.gold, 5)
    canvas.detail(oval(half * 0.7, base - 1, 1.7, 1.7), stage.colours[2], 0.5)


def _hoodie(stage: Stage) -> None:
    main, second, accent = stage.colours
    legs(stage, second)
    shoes(stage, accent, stage.white)
    body, canvas = stage.body, stage.canvas
    base, half = body.shoulder_y, body.neck * 1.2
    canvas.shape(
        smooth(
            [
                (-half * 1.9, base + 8),
                (-half * 2.0, base - 12),
                (0, base - 17),
                (half * 2.0, base - 12),
                (half * 1.9, base + 8),
                (0, base + 14),
            ]
        ),
        main.darker(0.08),
        depth=4,
    )
    neck(stage)
    torso(stage, main, hem=8, flare=1.14, opening=6)
    canvas.detail(
        smooth(
            [
                (-body.waist * 0.66, body.waist_y - 4),
                (body.waist * 0.66, body.waist_y - 4),
                (body.waist * 0.9, body.hip_y - 2),
                (-body.waist * 0.9, body.hip_y - 2),
            ],
            tension=0.4,
        ),
        canvas.shade(main),
        0.9,
    )
    arms(stage, main, loose=1.3, cuff=accent)
    for way in SIDES:
        canvas.shape(
            smooth(
                [
                    (way * half * 0.3, base + 13),
                    (way * half * 1.0, base + 9),
                    (way * half * 1.75, base - 5),
                    (way * half * 1.25, base - 11),
                    (way * half * 0.92, base - 2),
                ]
            ),
            main,
            depth=3,
        )
        canvas.stroke(f"M{pair((way * half * 0.45, base + 11))}L{pair((way * half * 0.52, base + 32))}", accent, 1.5)


def _kimono(stage: Stage) -> None:
    main, second, accent = stage.colours
    _robe(stage, main, second, accent, length=0.9)
    body, canvas, dice = stage.body, stage.canvas, stage.dice("kimono")
    for _ in range(7):
        x, y = dice.uniform(-0.8, 0.8) * body.hip, dice.uniform(body.waist_y + 18, body.foot_y - 14)
        for petal in range(5):
            angle = petal * 72
            at = moved((x, y), angle, 3.4)
            canvas.fill(oval(*at, 2.5, 2.5), second)
        canvas.fill(oval(x, y, 1.7, 1.7), accent)


def _robe(
    stage: Stage, main: Colour, lining: Colour, sash: Colour, *, length: float, hakama: Colour | None = None
) -> None:
    """Draw a robe that is closed across the chest, with wide sleeves and a sash."""
    body, canvas = stage.body, stage.canvas
    legs(stage, None)
    shoes(stage, stage.white, stage.dark)
    skirt(stage, hakama or main, length=length, flare=1.3 if hakama else 1.02, pleats=6 if hakama else 0)
    neck(stage)
    torso(stage, main, opening=20)
    base, half = body.shoulder_y, body.neck * 1.15
    for way, low in ((1, 8), (-1, 0)):
        edge = [
            (way * half, base - 5),
            (way * (half + 7), base - 2),
            (-way * 6, body.waist_y - low),
            (-way * 12, body.waist_y - low),
        ]
        canvas.detail(polygon(edge), lining, 0.9)
    arms(stage, main, until=0.94, loose=1.7)
    for index in range(2):
        shoulder, elbow, wrist = body.arms[index]
        fall = (wrist[0], wrist[1] + 26 * (0.5 + body.grown * 0.6))
        sleeve = smooth(
            [
                between(shoulder, elbow, 0.75),
                between(elbow, wrist, 0.95),
                (fall[0] + 2, fall[1]),
                between(fall, elbow, 0.45),
            ],
            tension=0.5,
        )
        canvas.shape(sleeve, main, depth=5)
        canvas.stroke(f"M{pair(between(elbow, wrist, 0.95))}L{pair(fall)}", lining, 1.8)
    high = (body.hip_y - body.shoulder_y) * 0.22
    y, wide = body.waist_y - high * 0.4, body.waist * 1.08
    canvas.shape(
        path(
            "M",
            (-wide, y - high * 0.5),
            "Q",
            (0, y - high * 0.3),
            (wide, y - high * 0.5),
            "L",
            (wide, y + high * 0.6),
            "Q",
            (0, y + high * 0.8),
            (-wide, y + high * 0.6),
            "Z",
        ),
        sash,
        depth=3,
    )
    canvas.stroke(f"M{pair((-wide, y + 1))}Q{pair((0, y + 3))} {pair((wide, y + 1))}", lining, 1.8)


def _blazer(stage: Stage) -> None:
    main, second, accent = stage.colours
    skirted = stage.identity.type == "female"
    legs(stage, None if skirted else second.darker(0.05))
    if skirted:
        socks(stage, stage.white if stage.identity.seed % 2 else stage.dark, 0.4)
    shoes(stage, Colour(0.33, 0.05, 40))
    if skirted:
        skirt(stage, accent, length=0.27, flare=1.3, pleats=8, band=second)
    neck(stage)
    torso(stage, stage.white, opening=8)
    _front(stage, main, apart=0.3, hem=8)
    arms(stage, main, cuff=stage.white)
    collar(stage, stage.white, drop=13, wide=0.2)
    collar(stage, main.darker(0.03), drop=40, wide=0.9, gap=4)
    body, canvas = stage.body, stage.canvas
    if skirted:
        bow(stage, accent, (0, body.shoulder_y + 13), 8)
    else:
        y = body.shoulder_y + 10
        canvas.shape(
            polygon(
                [
                    (-3.4, y),
                    (3.4, y),
                    (2.4, y + 5),
                    (5, body.waist_y - 10),
                    (0, body.waist_y - 3),
                    (-5, body.waist_y - 10),
                    (-2.4, y + 5),
                ]
            ),
            accent,
            depth=2,
        )
    canvas.detail(
        polygon(
            [
                (body.chest * 0.42, body.shoulder_y + 32),
                (body.chest * 0.72, body.shoulder_y + 32),
                (body.chest * 0.57, body.shoulder_y + 42),
            ]
        ),
        stage.gold,
        0.7,
    )


def _front(stage: Stage, colour: Colour, *, apart: float, hem: float, flare: float = 1.1) -> None:
    """Draw the two halves of an open jacket or coat, `apart` as a share of the chest at the hem."""
    body = stage.body
    for way in SIDES:
        inner = [(way * body.chest * apart, body.hip_y + hem), (way * 2.5, body.waist_y - 14)]
        stage.canvas.shape(half_outline(stage, way, inner, hem, flare), colour, depth=6)


def _armour(stage: Stage) -> None:
    main, second, accent = stage.colours
    body, canvas = stage.body, stage.canvas
    plate = stage.metal.toward(main, 0.45)
    legs(stage, second)
    socks(stage, plate, 0.5)
    shoes(stage, plate)
    skirt(stage, accent, length=0.22, flare=1.25, pleats=4)
    neck(stage)
    torso(stage, plate)
    canvas.stroke(f"M{pair((0, body.shoulder_y + 12))}L{pair((0, body.waist_y))}", canvas.ink(plate), canvas.line * 0.8)
    for way in SIDES:
        canvas.stroke(
            path(
                "M",
                (0, body.shoulder_y + 34),
                "Q",
                (way * body.chest * 0.6, body.shoulder_y + 44),
                (way * body.chest * 0.92, body.shoulder_y + 30),
            ),
            canvas.ink(plate),
            canvas.line * 0.8,
        )
    canvas.detail(
        polygon(
            [
                (0, body.shoulder_y + 16),
                (6, body.shoulder_y + 25),
                (0, body.shoulder_y + 34),
                (-6, body.shoulder_y + 25),
            ]
        ),
        accent,
    )
    arms(stage, second, loose=1.05)
    for index, way in enumerate(SIDES):
        shoulder, elbow, wrist = body.arms[index]
        canvas.shape(
            limb([between(elbow, wrist, 0.15), between(elbow, wrist, 0.92)], [body.arm * 1.25, body.arm * 0.95]),
            plate,
            depth=3,
        )
        x, y = shoulder
        size = 13 + 10 * body.grown
        canvas.shape(
            smooth(
                [
                    (x - way * size * 0.7, y - size * 0.5),
                    (x + way * size * 0.2, y - size * 0.85),
                    (x + way * size * 1.05, y - size * 0.1),
                    (x + way * size * 0.85, y + size * 0.75),
                    (x - way * size * 0.4, y + size * 0.4),
                ]
            ),
            plate,
            depth=4,
        )
        canvas.stroke(
            path(
                "M",
                (x - way * size * 0.4, y + size * 0.05),
                "Q",
                (x + way * size * 0.4, y + size * 0.3),
                (x + way * size * 0.9, y + size * 0.2),
            ),
            accent,
            1.8,
        )
    belt(stage, stage.dark, stage.gold)


def _lab_coat(stage: Stage) -> None:
    main, second, accent = stage.colours
    _long_coat(stage, stage.white, shirt=main, trousers=second.darker(0.08))
    body, canvas = stage.body, stage.canvas
    collar(stage, stage.white, drop=38, wide=0.9, gap=5)
    canvas.detail(
        polygon(
            [
                (body.chest * 0.4, body.waist_y - 22),
                (body.chest * 0.74, body.waist_y - 22),
                (body.chest * 0.74, body.waist_y - 8),
                (body.chest * 0.4, body.waist_y - 8),
            ]
        ),
        stage.white,
    )
    for step in range(2):
        canvas.stroke(
            f"M{pair((body.chest * (0.5 + 0.12 * step), body.waist_y - 27))}v9", (accent, stage.dark)[step], 1.8
        )


def _long_coat(stage: Stage, coat: Colour, *, shirt: Colour, trousers: Colour) -> None:
    body, canvas = stage.body, stage.canvas
    legs(stage, trousers)
    shoes(stage, stage.dark)
    long = (body.foot_y - body.hip_y) * 0.5
    neck(stage)
    torso(stage, shirt, opening=6)
    for way in SIDES:
        tail = smooth(
            [
                (way * body.waist * 0.25, body.waist_y),
                (way * body.waist * 1.05, body.waist_y),
                (way * body.hip * 1.25, body.hip_y + long),
                (way * body.hip * 0.42, body.hip_y + long + 3),
            ],
            tension=0.5,
        )
        canvas.shape(tail, coat, depth=5)
    _front(stage, coat, apart=0.34, hem=0, flare=1.1)
    arms(stage, coat, loose=1.22)


def _cape(stage: Stage) -> None:
    main, second, accent = stage.colours
    legs(stage, second.darker(0.1))
    socks(stage, stage.dark, 0.6)
    shoes(stage, stage.dark)
    neck(stage)
    torso(stage, second, hem=12, flare=1.15)
    belt(stage, stage.dark, stage.gold)
    arms(stage, second, loose=1.1, cuff=accent)
    body, canvas = stage.body, stage.canvas
    base, wide = body.shoulder_y, body.shoulder
    mantle = smooth(
        [
            (-body.neck * 1.1, base - 6),
            (body.neck * 1.1, base - 6),
            (wide * 0.98, base + 4),
            (wide * 1.14, base + 30),
            (wide * 0.55, base + 34),
            (0, base + 24),
            (-wide * 0.55, base + 34),
            (-wide * 1.14, base + 30),
            (-wide * 0.98, base + 4),
        ]
    )
    canvas.shape(mantle, stage.colours[0] if main else main, depth=5)
    canvas.shape(
        smooth(
            [
                (-body.neck * 1.3, base - 9),
                (0, base - 3),
                (body.neck * 1.3, base - 9),
                (body.neck * 1.5, base + 3),
                (0, base + 11),
                (-body.neck * 1.5, base + 3),
            ]
        ),
        main.lighter(0.06),
        depth=2,
    )
    canvas.detail(oval(0, base + 10, 4.2, 4.2), accent)


def _dress(stage: Stage) -> None:
    main, second, accent = stage.colours
    legs(stage, None)
    socks(stage, second, 0.78)
    shoes(stage, accent)
    skirt(stage, second, length=0.52, flare=1.62)
    skirt(stage, main, length=0.46, flare=1.58, band=second)
    neck(stage)
    torso(stage, main, opening=12)
    arms(stage, main, until=0.2, loose=1.75, cuff=second)
    body, canvas = stage.body, stage.canvas
    half, base = body.neck * 1.1, body.shoulder_y
    for way in SIDES:
        canvas.shape(
            smooth(
                [
                    (way * 1, base + 9),
                    (way * half * 0.9, base - 4),
                    (way * half * 1.75, base + 3),
                    (way * half * 1.4, base + 15),
                ]
            ),
            second,
            depth=2,
        )
    bow(stage, accent, (0, base + 12), 9)
    belt(stage, second, accent, thick=6)


def _track_suit(stage: Stage) -> None:
    main, second, accent = stage.colours
    body, canvas = stage.body, stage.canvas
    legs(stage, main, loose=1.22)
    shoes(stage, stage.white, accent)
    for index, way in enumerate(SIDES):
        top, knee, ankle = ((x + way * body.leg * 0.85, y) for x, y in body.legs[index])
        canvas.stroke(smooth([between(top, knee, 0.2), knee, ankle], closed=False), second, 2.4)
    neck(stage)
    torso(stage, main, hem=5, flare=1.06)
    canvas.stroke(f"M{pair((0, body.shoulder_y + 4))}L{pair((0, body.hip_y + 6))}", second, 1.8)
    arms(stage, main, loose=1.2, cuff=second)
    for index, way in enumerate(SIDES):
        shoulder, elbow, wrist = ((x + way * body.arm * 0.5, y) for x, y in body.arms[index])
        canvas.stroke(
            smooth([(shoulder[0] - way * 3, shoulder[1] - 5), elbow, between(elbow, wrist, 0.86)], closed=False),
            second,
            2.6,
        )
    half, base = body.neck * 1.2, body.shoulder_y
    canvas.shape(
        smooth(
            [
                (-half, base - 10),
                (0, base - 4),
                (half, base - 10),
                (half * 1.12, base + 3),
                (0, base + 10),
                (-half * 1.12, base + 3),
            ],
            tension=0.7,
        ),
        second,
        depth=2,
    )
    canvas.detail(oval(body.chest * 0.48, base + 30, 4, 4), accent)


def _overalls(stage: Stage) -> None:
    main, second, accent = stage.colours
    body, canvas = stage.body, stage.canvas
    legs(stage, main, loose=1.2)
    shoes(stage, accent, stage.white)
    neck(stage)
    torso(stage, second, opening=5)
    arms(stage, second, until=0.5, loose=1.25)
    bib = [
        (-body.chest * 0.56, body.shoulder_y + 34),
        (body.chest * 0.56, body.shoulder_y + 34),
        (body.chest * 0.66, body.waist_y - 8),
        (body.waist * 0.99, body.waist_y - 4),
        (body.hip * 1.12, body.hip_y + 4),
        (-body.hip * 1.12, body.hip_y + 4),
        (-body.waist * 0.99, body.waist_y - 4),
        (-body.chest * 0.66, body.waist_y - 8),
    ]
    canvas.shape(smooth(bib, tension=0.5), main, depth=5)
    for way in SIDES:
        strap = [(way * body.neck * 1.6, body.shoulder_y + 2), (way * body.chest * 0.46, body.shoulder_y + 38)]
        canvas.shape(limb(strap, [3.6, 3.6]), main, depth=1)
    for way in SIDES:
        canvas.detail(oval(way * body.chest * 0.46, body.shoulder_y + 38, 2.6, 2.6), stage.gold)
    canvas.detail(
        polygon(
            [
                (-body.chest * 0.26, body.waist_y - 16),
                (body.chest * 0.26, body.waist_y - 16),
                (body.chest * 0.24, body.waist_y),
                (0, body.waist_y + 4),
                (-body.chest * 0.24, body.waist_y),
            ]
        ),
        main.lighter(0.05),
    )


def _military(stage: Stage) -> None:
    main, second, accent = stage.colours
    cloth = main if main.lightness < LIGHT else main.darker(0.16)
    body, canvas = stage.body, stage.canvas
    legs(stage, stage.white if second.lightness > LIGHT else second)
    socks(stage, stage.dark, 0.56)
    shoes(stage, stage.dark)
    neck(stage)
    torso(stage, cloth, hem=(body.foot_y - body.hip_y) * 0.2, flare=1.3)
    for way in SIDES:
        buttons(stage, stage.gold, 4, x=way * body.chest * 0.34)
    canvas.stroke(
        f"M{pair((0, body.shoulder_y + 6))}L{pair((0, body.hip_y + 12))}", canvas.ink(cloth), canvas.line * 0.7
    )
    belt(stage, accent, stage.gold, thick=6)
    arms(stage, cloth, loose=1.12, cuff=accent)
    for index, way in enumerate(SIDES):
        x, y = body.arms[index][0]
        size = 10 + 7 * body.grown
        canvas.shape(
            smooth(
                [
                    (x - way * size * 0.9, y - size * 0.62),
                    (x + way * size * 0.5, y - size * 0.66),
                    (x + way * size * 0.9, y - size * 0.1),
                    (x - way * size * 0.8, y - size * 0.1),
                ],
                tension=0.6,
            ),
            stage.gold,
            depth=1.5,
        )
        for step in range(4):
            at = x + way * size * (0.1 + 0.24 * step)
            canvas.stroke(f"M{pair((at, y - size * 0.1))}v{size * 0.4:.2f}", stage.gold.darker(0.1), 1.3)
    base, half = body.shoulder_y, body.neck * 1.2
    canvas.shape(
        smooth(
            [
                (-half, base - 9),
                (0, base - 1),
                (half, base - 9),
                (half * 1.15, base + 3),
                (0, base + 11),
                (-half * 1.15, base + 3),
            ],
            tension=0.7,
        ),
        accent,
        depth=2,
    )


def _shrine(stage: Stage) -> None:
    accent = stage.colours[2]
    red = stage.colours[0] if stage.colours[0].lightness < LIGHT else accent
    _robe(stage, stage.white, red, red.darker(0.05), length=0.84, hakama=red)


def _vest(stage: Stage) -> None:
    main, second, accent = stage.colours
    body, canvas = stage.body, stage.canvas
    legs(stage, second.darker(0.12))
    shoes(stage, Colour(0.36, 0.05, 45))
    neck(stage)
    torso(stage, stage.white, opening=6)
    for way in SIDES:
        inner = [(0.0, body.hip_y + 5), (0.0, body.shoulder_y + 36)]
        canvas.shape(half_outline(stage, way, inner, 2, 1.02), main, depth=6)
    arms(stage, stage.white, until=0.7, loose=1.22)
    collar(stage, stage.white, drop=12, wide=0.5)
    if stage.identity.type == "female":
        bow(stage, accent, (0, body.shoulder_y + 14), 8)
    else:
        canvas.shape(
            polygon(
                [
                    (-3, body.shoulder_y + 11),
                    (3, body.shoulder_y + 11),
                    (4.5, body.shoulder_y + 33),
                    (0, body.shoulder_y + 39),
                    (-4.5, body.shoulder_y + 33),
                ]
            ),
            accent,
            depth=2,
        )
    canvas.stroke(
        f"M{pair((0, body.shoulder_y + 40))}L{pair((0, body.hip_y + 3))}", canvas.ink(main), canvas.line * 0.7
    )


def _t_shirt(stage: Stage) -> None:
    main, second, accent = stage.colours
    body, canvas = stage.body, stage.canvas
    legs(stage, second, until=0.5 if stage.identity.seed % 2 else 1.0, loose=1.2)
    shoes(stage, accent, stage.white)
    neck(stage)
    torso(stage, main, hem=6, flare=1.08, opening=4)
    kind, y, half = stage.identity.seed % 3, body.shoulder_y + 38, body.waist * 0.96
    if kind == 0:
        for step in range(3):
            low = body.shoulder_y + 30 + step * 17
            canvas.stroke(f"M{pair((-half, low))}Q{pair((0, low + 5))} {pair((half, low))}", accent, 5, ends="butt")
    elif kind == 1:
        canvas.fill(oval(0, y, 11, 11), accent)
        canvas.fill(oval(4, y - 3, 10, 10), main)
    else:
        canvas.fill(polygon([moved((0, y), 36 * step, 13 if step % 2 else 5.5) for step in range(10)]), accent)
    canvas.fill(
        stroke(
            (-body.neck * 1.1, body.shoulder_y + 1),
            (0, body.shoulder_y + 15),
            (body.neck * 1.1, body.shoulder_y + 1),
            2.2,
        ),
        accent,
    )
    arms(stage, main, until=0.36, loose=1.35, cuff=accent)


OUTFITS: Final[dict[str, Callable[[Stage], None]]] = {
    "sailor": _sailor,
    "gakuran": _gakuran,
    "hoodie": _hoodie,
    "kimono": _kimono,
    "blazer": _blazer,
    "armour": _armour,
    "lab-coat": _lab_coat,
    "cape": _cape,
    "dress": _dress,
    "track-suit": _track_suit,
    "overalls": _overalls,
    "military": _military,
    "shrine": _shrine,
    "vest": _vest,
    "t-shirt": _t_shirt,
}
