"""Robes, armour, coats and dresses, drawn from the feet up, in the three colours of their wearer."""

from __future__ import annotations

from indexer.demo.parts.body import arms, legs, neck, torso
from indexer.demo.parts.clothes import belt, bow, collar, shoes, skirt, socks
from indexer.demo.parts.colour import Colour
from indexer.demo.parts.path import between, limb, moved, oval, pair, path, polygon, smooth
from indexer.demo.parts.stage import SIDES, Stage
from indexer.demo.parts.uniforms import LIGHT, open_front


def kimono(stage: Stage) -> None:
    """Draw a kimono with blossoms near its hem."""
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
    neck(stage)
    torso(stage, main, opening=20)
    skirt(stage, hakama or main, length=length, flare=1.3 if hakama else 1.14, pleats=6 if hakama else 0)
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


def shrine(stage: Stage) -> None:
    """Draw a shrine maiden's white robe and red trousers."""
    accent = stage.colours[2]
    red = stage.colours[0] if stage.colours[0].lightness < LIGHT else accent
    _robe(stage, stage.white, red, red.darker(0.05), length=0.84, hakama=red)


def armour(stage: Stage) -> None:
    """Draw plates of armour over cloth."""
    main, second, accent = stage.colours
    body, canvas = stage.body, stage.canvas
    plate = stage.metal.toward(main, 0.45)
    legs(stage, second)
    socks(stage, plate, 0.5)
    shoes(stage, plate)
    neck(stage)
    torso(stage, plate)
    skirt(stage, accent, length=0.22, flare=1.25, pleats=4)
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


def lab_coat(stage: Stage) -> None:
    """Draw a white coat with pens in its pocket."""
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
    open_front(stage, coat, apart=0.34, hem=0, flare=1.1)
    arms(stage, coat, loose=1.22)


def cape(stage: Stage) -> None:
    """Draw the front of a caped traveller."""
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


def dress(stage: Stage) -> None:
    """Draw a dress with puffed sleeves."""
    main, second, accent = stage.colours
    legs(stage, None)
    socks(stage, second, 0.78)
    shoes(stage, accent)
    neck(stage)
    torso(stage, main, opening=12)
    skirt(stage, second, length=0.52, flare=1.62)
    skirt(stage, main, length=0.46, flare=1.58, band=second)
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


def overalls(stage: Stage) -> None:
    """Draw overalls with a bib."""
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
