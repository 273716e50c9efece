"""Neck, torso, limbs and hands, bare or within plain cloth."""

from __future__ import annotations

from typing import Final

from indexer.demo.parts.colour import Colour
from indexer.demo.parts.path import Point, between, limb, pair, path, sideways, smooth, stroke
from indexer.demo.parts.stage import CHIN, SIDES, Stage

ALL: Final = 1.0


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
    if min(elbow[1], wrist[1]) - 20 > stage.canvas.bottom:
        return
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
    if stage.body.hip_y - 8 > stage.canvas.bottom:
        return
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
