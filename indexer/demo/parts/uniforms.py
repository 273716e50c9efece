"""Uniforms and everyday clothes, drawn from the feet up, in the three colours of their wearer."""

from __future__ import annotations

from typing import Final

from indexer.demo.parts.body import arms, half_outline, legs, neck, torso
from indexer.demo.parts.clothes import belt, bow, buttons, collar, shoes, skirt, socks
from indexer.demo.parts.colour import Colour
from indexer.demo.parts.path import between, moved, oval, pair, path, polygon, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage

LIGHT: Final = 0.6


def sailor(stage: Stage) -> None:
    """Draw a sailor uniform: a white blouse with a broad collar, a pleated skirt."""
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


def gakuran(stage: Stage) -> None:
    """Draw a schoolboy's buttoned jacket with a standing collar."""
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


def hoodie(stage: Stage) -> None:
    """Draw a sweater with a hood and a pouch."""
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


def blazer(stage: Stage) -> None:
    """Draw a school blazer, over a skirt or trousers."""
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
    open_front(stage, main, apart=0.3, hem=8)
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


def open_front(stage: Stage, colour: Colour, *, apart: float, hem: float, flare: float = 1.1) -> None:
    """Draw the two halves of an open jacket or coat, `apart` as a share of the chest at the hem."""
    body = stage.body
    for way in SIDES:
        inner = [(way * body.chest * apart, body.hip_y + hem), (way * 2.5, body.waist_y - 14)]
        stage.canvas.shape(half_outline(stage, way, inner, hem, flare), colour, depth=6)


def track_suit(stage: Stage) -> None:
    """Draw a track suit with stripes along its limbs."""
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


def military(stage: Stage) -> None:
    """Draw a belted uniform with epaulettes."""
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


def vest(stage: Stage) -> None:
    """Draw a vest over a shirt."""
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


def t_shirt(stage: Stage) -> None:
    """Draw a shirt with a print, over trousers or shorts."""
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
