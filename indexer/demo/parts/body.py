"""Neck, torso, limbs, hands and feet, bare or within plain cloth: what every outfit is made of."""

from __future__ import annotations

from typing import Final

from indexer.demo.parts.colour import Colour
from indexer.demo.parts.path import Point, between, limb, moved, oval, pair, path, sideways, smooth, stroke
from indexer.demo.parts.stage import CHIN, SIDES, Stage

ALL: Final = 1.0
SHORT: Final = 0.36
"""How much of an arm a short sleeve covers."""


def neck(stage: Stage) -> None:
    """Draw the neck and the top of the chest, and the shadow of the head on them."""
    body, canvas = stage.body, stage.canvas
    half, base = body.neck, body.shoulder_y
    drawn = path(
        "M",
        (-half, 32),
        "C",
        (-half * 0.92, base - 8),
        (-half * 1.05, base - 1),
        (-body.shoulder * 0.72, base + 7),
        "L",
        (-body.chest * 0.7, base + 34),
        "L",
        (body.chest * 0.7, base + 34),
        "L",
        (body.shoulder * 0.72, base + 7),
        "C",
        (half * 1.05, base - 1),
        (half * 0.92, base - 8),
        (half, 32),
        "Z",
    )
    canvas.shape(drawn, stage.skin, depth=3.0)
    x, low = -canvas.light[0] * half * 0.2, CHIN + 7 + 7 * body.grown
    shadow = [(-half * 0.93, 34), (half * 0.93, 34), (half * 0.9, CHIN + 3), (x, low), (-half * 0.9, CHIN + 3)]
    canvas.tone(smooth(shadow, tension=0.7), stage.skin)
    ink = canvas.ink(stage.skin)
    for way in SIDES:
        canvas.fill(
            stroke(
                (way * 3, base + 9),
                (way * body.shoulder * 0.3, base + 6.5),
                (way * body.shoulder * 0.52, base + 7),
                0.5,
            ),
            ink,
            0.7,
        )


def torso(stage: Stage, colour: Colour, *, hem: float = 0.0, flare: float = 1.0, opening: float = 0.0) -> str:
    """Draw the cloth around shoulders, chest and waist, and return its outline.

    `hem` is how far it hangs below the hips, `flare` how wide there; `opening` lowers the neckline in the middle.
    """
    drawn = torso_outline(stage, hem, flare, opening)
    stage.canvas.shape(drawn, colour, depth=6.0)
    return drawn


def torso_outline(stage: Stage, hem: float = 0.0, flare: float = 1.0, opening: float = 0.0) -> str:
    """Return the outline that `torso` draws."""
    body = stage.body
    base, bottom = body.shoulder_y, body.hip_y + hem
    half = body.neck * 1.12
    low = body.hip * flare
    right = path(
        "C",
        (half * 1.4, base + 1),
        (body.shoulder * 0.8, base + 2),
        (body.shoulder * 0.93, base + 6 + 4 * body.grown),
        "C",
        (body.shoulder * 1.02, base + 14),
        (body.chest * 1.02, base + 22),
        (body.chest * 0.98, base + 26 + 12 * body.grown),
        "C",
        (body.chest * 0.92, body.waist_y - 14),
        (body.waist, body.waist_y - 8),
        (body.waist * 1.0, body.waist_y),
        "C",
        (body.waist * 1.04, body.waist_y + 10),
        (low, body.hip_y - 12),
        (low, bottom),
    )
    left = path(
        "Q",
        (0, bottom + 4),
        (-low, bottom),
        "C",
        (-low, body.hip_y - 12),
        (-body.waist * 1.04, body.waist_y + 10),
        (-body.waist, body.waist_y),
        "C",
        (-body.waist, body.waist_y - 8),
        (-body.chest * 0.92, body.waist_y - 14),
        (-body.chest * 0.98, base + 26 + 12 * body.grown),
        "C",
        (-body.chest * 1.02, base + 22),
        (-body.shoulder * 1.02, base + 14),
        (-body.shoulder * 0.93, base + 6 + 4 * body.grown),
        "C",
        (-body.shoulder * 0.8, base + 2),
        (-half * 1.4, base + 1),
        (-half, base - 1),
    )
    return f"M{pair((half, base - 1))}{right}{left}Q{pair((0, base + 5 + opening * 1.6))} {pair((half, base - 1))}Z"


def half_outline(stage: Stage, way: int, inner: list[Point], hem: float = 0.0, flare: float = 1.0) -> str:
    """Return the outline of one half of an open jacket: from the neck round the side and back up the `inner` edge."""
    body = stage.body
    base, low, bottom = body.shoulder_y, body.hip * flare, body.hip_y + hem
    deep = base + 26 + 12 * body.grown
    curves = (
        (
            (body.neck * 1.57, base + 1),
            (body.shoulder * 0.8, base + 2),
            (body.shoulder * 0.93, base + 6 + 4 * body.grown),
        ),
        ((body.shoulder * 1.02, base + 14), (body.chest * 1.02, base + 22), (body.chest * 0.98, deep)),
        ((body.chest * 0.92, body.waist_y - 14), (body.waist, body.waist_y - 8), (body.waist, body.waist_y)),
        ((body.waist * 1.04, body.waist_y + 10), (low, body.hip_y - 12), (low, bottom)),
    )
    drawn = f"M{pair((way * body.neck * 1.12, base - 1))}"
    for curve in curves:
        drawn += "C" + " ".join(pair((way * x, y)) for x, y in curve)
    return drawn + "".join(f"L{pair(point)}" for point in inner) + "Z"


def arm_at(stage: Stage, index: int, share: float) -> tuple[list[Point], list[float]]:
    """Return the points and half widths of an arm down to a share of its length, the round of the shoulder first."""
    shoulder, elbow, wrist = stage.body.arms[index]
    thick, half = stage.body.arm, 1 / 2
    x, y = shoulder[0] - elbow[0], shoulder[1] - elbow[1]
    length = (x * x + y * y) ** 0.5 or 1.0
    top = (shoulder[0] + x / length * thick * 0.72, shoulder[1] + y / length * thick * 0.72)
    points, widths = [top, shoulder], [thick * 0.62, thick * 1.08]
    if share <= half:
        end = between(shoulder, elbow, share * 2)
        return [*points, between(shoulder, end, 0.5), end], [*widths, thick * 1.05, thick * (1.05 - 0.3 * share)]
    end = between(elbow, wrist, share * 2 - 1)
    return (
        [*points, between(shoulder, elbow, 0.5), elbow, between(elbow, end, 0.5), end],
        [*widths, thick * 1.04, thick * 0.9, thick * 0.84, thick * 0.66],
    )


def arms(
    stage: Stage, colour: Colour | None, *, until: float = ALL, loose: float = 1.1, cuff: Colour | None = None
) -> None:
    """Draw both arms, bare or in sleeves `until` a share of their length that are `loose` times as wide as an arm."""
    canvas = stage.canvas
    for index in range(2):
        if until < ALL or colour is None:
            points, widths = arm_at(stage, index, ALL)
            canvas.shape(limb(points, widths), stage.skin, depth=3.0)
            if colour is None:
                _shoulder(stage, index, stage.skin, widths[1])
        hand(stage, index)
        if colour is None:
            continue
        points, widths = arm_at(stage, index, until)
        growing = [width * (1 + (loose - 1) * (0.5 + 0.7 * place / len(widths))) for place, width in enumerate(widths)]
        canvas.shape(limb(points, growing), colour, depth=4.0)
        _shoulder(stage, index, colour, growing[1])
        _folds(stage, points, growing, colour)
        if cuff is not None:
            near = between(points[-1], points[-2], 0.34)
            canvas.detail(limb([near, points[-1]], [growing[-1] * 1.12] * 2), cuff, 0.9)


def _shoulder(stage: Stage, index: int, colour: Colour, half: float) -> None:
    """Let an arm run into the torso without a line between them, above the armpit, where both are of one colour."""
    if stage.style.shading == "gradient":
        return
    (x, y), way = stage.body.arms[index][0], SIDES[index]
    joint = [
        (x - way * half * 1.5, y - half * 0.42),
        (x - way * half * 0.5, y - half * 0.78),
        (x + way * half * 0.5, y - half * 0.5),
        (x + way * half * 0.4, y + half * 0.4),
        (x - way * half * 1.1, y + half * 0.35),
    ]
    stage.canvas.fill(smooth(joint), colour)


def _folds(stage: Stage, points: list[Point], widths: list[float], colour: Colour) -> None:
    """Draw creases where a sleeve bends."""
    bent = len(points) // 2
    x, y = sideways(points[bent - 1], points[bent], widths[bent] * 0.9)
    at, ink = points[bent], stage.canvas.ink(colour)
    for step in (-0.12, 0.14):
        near = between(at, points[-1] if step > 0 else points[0], abs(step))
        stage.canvas.fill(stroke((near[0] + x, near[1] + y), at, (near[0] - x * 0.1, near[1] - y * 0.1), 0.5), ink, 0.8)


def hand(stage: Stage, index: int, colour: Colour | None = None) -> None:
    """Draw a hand: a mitten with a thumb, and lines between fingers where it is large enough for them."""
    _, elbow, wrist = stage.body.arms[index]
    canvas, thick, way = stage.canvas, stage.body.arm, SIDES[index]
    skin = colour or stage.skin
    x, y = wrist[0] - elbow[0], wrist[1] - elbow[1]
    length = (x * x + y * y) ** 0.5 or 1.0
    x, y = x / length, y / length
    size = thick * 1.55

    def at(along: float, across: float) -> Point:
        return wrist[0] + (x * along - y * across * way) * size, wrist[1] + (y * along + x * across * way) * size

    palm = smooth(
        [
            at(-0.25, 0.42),
            at(0.5, 0.56),
            at(1.12, 0.4),
            at(1.38, 0.02),
            at(1.08, -0.4),
            at(0.45, -0.52),
            at(-0.25, -0.42),
        ]
    )
    thumb = smooth([at(0.15, 0.42), at(0.5, 0.86), at(0.92, 0.9), at(0.86, 0.62), at(0.5, 0.3)])
    canvas.shape(thumb, skin, depth=1.5, line=0.9)
    canvas.shape(palm, skin, depth=2.0, line=0.9)
    for across in (-0.16, 0.12):
        canvas.fill(stroke(at(0.75, across), at(1.0, across), at(1.25, across * 0.8), 0.35), canvas.ink(skin))


def legs(stage: Stage, colour: Colour | None, *, until: float = ALL, loose: float = 1.05) -> None:
    """Draw both legs, bare ones, then within cloth of a colour `until` a share of their length."""
    for index in range(2):
        if until < ALL or colour is None:
            _leg(stage, index, stage.skin, ALL, 1.0)
        if colour is not None:
            _leg(stage, index, colour, until, loose)


def _leg(stage: Stage, index: int, colour: Colour, until: float, loose: float) -> None:
    points, widths = leg_at(stage, index, until)
    stage.canvas.shape(limb(points, [width * loose for width in widths]), colour, depth=4.0)


def leg_at(stage: Stage, index: int, share: float) -> tuple[list[Point], list[float]]:
    """Return the points and half widths of a leg down to a share of its length."""
    top, knee, ankle = stage.body.legs[index]
    thick, half = stage.body.leg, 1 / 2
    if share <= half:
        end = between(top, knee, share * 2)
        return [top, between(top, end, 0.5), end], [thick * 1.3, thick * 1.2, thick * 1.05]
    end = between(knee, ankle, share * 2 - 1)
    return [top, between(top, knee, 0.5), knee, between(knee, end, 0.5), end], [
        thick * 1.3,
        thick * 1.16,
        thick * 0.92,
        thick * 0.88,
        thick * 0.66,
    ]


def socks(stage: Stage, colour: Colour, start: float) -> None:
    """Draw socks or boot legs from a share of the leg's length down to the ankle."""
    half = 1 / 2
    for index in range(2):
        _, knee, ankle = stage.body.legs[index]
        top, _, _ = stage.body.legs[index]
        begin = between(knee, ankle, start * 2 - 1) if start > half else between(top, knee, start * 2)
        thick = stage.body.leg
        points = [begin, ankle] if start > half else [begin, knee, ankle]
        widths = [thick * 0.94, thick * 0.7] if start > half else [thick * 1.16, thick * 0.96, thick * 0.7]
        stage.canvas.shape(limb(points, widths), colour, depth=3.0)


def shoes(stage: Stage, colour: Colour, sole: Colour | None = None) -> None:
    """Draw shoes that point a little outward."""
    canvas, thick = stage.canvas, stage.body.leg
    for index, way in enumerate(SIDES):
        x, y = stage.body.legs[index][2]
        size = thick * 1.05
        drawn = smooth(
            [
                (x - size * 0.75, y - size * 0.5),
                (x + size * 0.75, y - size * 0.5),
                (x + way * size * 0.5 + size * 0.75, y + size * 0.62),
                (x + way * size * 0.5, y + size * 0.98),
                (x + way * size * 0.5 - size * 0.75, y + size * 0.62),
            ],
            tension=0.8,
        )
        canvas.shape(drawn, colour, depth=2.5)
        if sole is not None:
            foot = x + way * size * 0.5
            low = [
                (foot - size * 0.72, y + size * 0.66),
                (foot + size * 0.72, y + size * 0.66),
                (foot, y + size * 0.96),
            ]
            canvas.detail(smooth(low, tension=0.6), sole, 0.7)


def skirt(
    stage: Stage, colour: Colour, *, length: float, flare: float, pleats: int = 0, band: Colour | None = None
) -> None:
    """Draw a skirt from the waist down: `length` as a share of the legs, `flare` as a factor on the hips."""
    body, canvas = stage.body, stage.canvas
    top, bottom = body.waist_y - 2, body.hip_y + (body.foot_y - body.hip_y) * length
    waist, hem = body.waist * 1.03, body.hip * flare
    drawn = path(
        "M",
        (-waist, top),
        "Q",
        (0, top + 4),
        (waist, top),
        "C",
        (waist * 1.2, top + 12),
        (hem * 0.94, bottom - 16),
        (hem, bottom - 2),
    )
    count = max(pleats, 3)
    before = (hem, bottom - 2)
    for step in range(1, count + 1):
        share = step / count
        at = (hem - 2 * hem * share, bottom - 2 + 6 * (1 - (2 * share - 1) ** 2))
        middle = between(before, at, 0.5)
        drawn += f"Q{pair((middle[0], middle[1] + (2.5 if pleats else 1.2)))} {pair(at)}"
        before = at
    drawn += f"C{pair((-hem * 0.94, bottom - 16))} {pair((-waist * 1.2, top + 12))} {pair((-waist, top))}Z"
    canvas.shape(drawn, colour, depth=6.0)
    if band is not None:
        lift, half = (bottom - top) * 0.13, hem * 0.965
        curve = f"M{pair((-half, bottom - lift - 2))}Q{pair((0, bottom - lift + 8))} {pair((half, bottom - lift - 2))}"
        canvas.stroke(curve, band, lift * 0.55, ends="butt")
    ink = canvas.ink(colour)
    for step in range(1, count):
        share = 2 * step / count - 1
        start = between((waist * share, top), (hem * share, bottom), 0.15 if pleats else 0.5)
        end = (hem * share, bottom - 2 + 5.5 * (1 - share * share))
        canvas.fill(stroke(start, between(start, end, 0.5), end, 0.55), ink)
    canvas.stroke(drawn, canvas.ink(colour), canvas.line)


def belt(stage: Stage, colour: Colour, buckle: Colour, *, thick: float = 5.0) -> None:
    """Draw a belt around the waist."""
    body, canvas = stage.body, stage.canvas
    y, half = body.waist_y, body.waist * 1.07
    canvas.shape(
        path(
            "M",
            (-half, y - thick),
            "Q",
            (0, y - thick + 4),
            (half, y - thick),
            "L",
            (half, y),
            "Q",
            (0, y + 4),
            (-half, y),
            "Z",
        ),
        colour,
        depth=2.0,
    )
    canvas.detail(
        f"M{pair((-thick * 0.8, y - thick + 1))}h{thick * 1.6:.2f}v{thick * 1.1:.2f}h{-thick * 1.6:.2f}Z", buckle
    )


def collar(stage: Stage, colour: Colour, *, drop: float = 20.0, wide: float = 1.0, gap: float = 1.0) -> None:
    """Draw two lapels that meet `drop` below the shoulders."""
    body, canvas = stage.body, stage.canvas
    half, base = body.neck * 1.16, body.shoulder_y
    for way in SIDES:
        points = [
            (way * half * 0.92, base - 5),
            (way * (half + 9 * wide), base + 6),
            (way * (half * 0.6 + 7 * wide), base + drop * 0.62),
            (way * gap, base + drop),
        ]
        canvas.shape("M" + "L".join(pair(point) for point in points) + "Z", colour, depth=2.0, line=0.9)


def buttons(stage: Stage, colour: Colour, count: int, *, x: float = 0.0, start: float = 14.0) -> None:
    """Draw buttons in a row down the front."""
    body = stage.body
    step = (body.hip_y - body.shoulder_y - start) / count
    for index in range(count):
        stage.canvas.detail(
            oval(x, body.shoulder_y + start + step * (index + 0.4), 2.0 + body.grown, 2.0 + body.grown), colour, 0.6
        )


def bow(stage: Stage, colour: Colour, at: Point, size: float) -> None:
    """Draw a ribbon bow with two ends."""
    canvas, (x, y) = stage.canvas, at
    for way in SIDES:
        canvas.shape(
            smooth(
                [
                    (x, y),
                    (x + way * size * 0.55, y + size * 0.6),
                    (x + way * size * 0.5, y + size * 1.35),
                    (x + way * size * 0.16, y + size * 1.1),
                ],
                tension=0.6,
            ),
            colour,
            depth=1.5,
            line=0.8,
        )
    for way in SIDES:
        canvas.shape(
            path(
                "M",
                (x, y),
                "C",
                (x + way * size * 0.5, y - size * 0.8),
                (x + way * size * 1.2, y - size * 0.75),
                (x + way * size * 1.1, y),
                "C",
                (x + way * size * 1.15, y + size * 0.65),
                (x + way * size * 0.5, y + size * 0.55),
                (x, y),
                "Z",
            ),
            colour,
            depth=2.0,
            line=0.8,
        )
    canvas.shape(oval(x, y, size * 0.24, size * 0.3), colour, depth=1.0, line=0.8)


def dangling(point: Point, degrees: float, distance: float) -> Point:
    """Return where something that hangs from a point ends."""
    return moved(point, degrees, distance)
