"""Pieces of clothes that outfits share: socks, shoes, skirts, belts, collars, buttons, bows."""

from __future__ import annotations

from indexer.demo.parts.colour import Colour
from indexer.demo.parts.path import Point, between, limb, oval, pair, path, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage


def socks(stage: Stage, colour: Colour, start: float) -> None:
    """Draw socks or boot legs from a share of the leg's length down to the ankle."""
    if stage.body.hip_y > stage.canvas.bottom:
        return
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
    if stage.body.hip_y > stage.canvas.bottom:
        return
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
    if stage.body.waist_y - 8 > stage.canvas.bottom:
        return
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
