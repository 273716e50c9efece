"""The human face but for its eyes: skull and chin, ears, nose, mouth, blush."""

from __future__ import annotations

from typing import Final

from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.parts.path import oval, pair, path, polygon, smooth, stroke
from indexer.demo.parts.stage import CHIN, SIDES, Stage

EAR: Final = (1.0, 11.0)
"""Width and half height of an ear."""
OPEN: Final = ("grin", "surprised")
"""Expressions with an open mouth."""


def outline(stage: Stage) -> str:
    """Return the outline of skull, cheeks and chin, turned as the shot says."""
    face, chin = stage.face, stage.style.chin
    left, right = face.side(-1), face.side(1)
    x = face.middle * 0.72
    jaw_y = 30.0 - 3.0 * chin
    low = CHIN + 1.5 * chin
    parts = ["M" + pair((left, -6))]
    parts.append(f"C{pair((left * 1.04, -70))} {pair((right * 1.04, -70))} {pair((right, -6))}")
    for way, edge in ((1, right), (-1, left)):
        jaw = (x * 0.6 + edge * (0.84 - 0.09 * chin), jaw_y)
        turned = way * face.turn
        cheek = edge * (1.0 + 0.03 * max(0.0, turned))
        tip = (x + way * (6.5 - 4.5 * chin), low)
        hand = x * 0.7 + edge * (0.62 - 0.26 * chin)
        if way == 1:
            parts.append(f"C{pair((cheek, 8))} {pair((jaw[0] + way * 4.5, jaw_y - 10))} {pair(jaw)}")
            parts.append(
                f"C{pair((jaw[0] - way * 3.5, jaw_y + 7.5))} {pair((hand, low - 3.2 * chin - 0.5))} {pair(tip)}"
            )
        else:
            parts.append(f"L{pair(tip)}")
            parts.append(
                f"C{pair((hand, low - 3.2 * chin - 0.5))} {pair((jaw[0] - way * 3.5, jaw_y + 7.5))} {pair(jaw)}"
            )
            parts.append(f"C{pair((jaw[0] + way * 4.5, jaw_y - 10))} {pair((cheek, 8))} {pair((edge, -6))}")
    return "".join(parts) + "Z"


def ears(stage: Stage) -> None:
    """Draw the ears, the one that is turned away less of it."""
    face = stage.face
    for way in SIDES:
        seen = 1 - 0.75 * max(0.0, way * face.turn)
        x, y = face.side(way) * 0.965, 14.0 + stage.style.eye_level * 0.4
        wide = way * 9.0 * seen
        ear = smooth(
            [
                (x - wide * 0.2, y - 9),
                (x + wide * 0.62, y - 11.5),
                (x + wide, y - 5),
                (x + wide * 0.7, y + 6),
                (x, y + 10),
            ]
        )
        stage.canvas.shape(ear, stage.skin, depth=2.5)
        inner = stroke((x + wide * 0.2, y - 6), (x + wide * 0.95, y - 7), (x + wide * 0.3, y + 4), 1.2)
        stage.canvas.fill(inner, stage.canvas.shade(stage.skin).darker(0.06))


def skull(stage: Stage) -> str:
    """Draw the face itself, and return its outline."""
    drawn = outline(stage)
    stage.canvas.shape(drawn, stage.skin, depth=3.2 + 2.0 * stage.style.shade_strength)
    return drawn


def blush(stage: Stage) -> None:
    """Draw the blush of the cheeks in the way of the show."""
    style, face, canvas = stage.style, stage.face, stage.canvas
    strength = style.blush * (1.3 if stage.shot.expression in ("smile", "closed", "wink") else 1.0)
    if strength <= FAINT:
        return
    rosy = stage.skin.toward(Colour(0.68, 0.17, 15.0), 0.75)
    for index in range(2):
        x = face.eye_x[index] * 1.1 - face.middle * 0.06
        y = face.eye_y + face.eye_height * 0.62 + 7.0
        wide = 8.0 * face.eye_scale[index]
        if style.blush_kind == "soft":
            canvas.paint(oval(x, y, wide * 1.2, 5.5), canvas.halo(rosy, min(0.9, 0.9 * strength)))
        elif style.blush_kind == "oval":
            canvas.fill(oval(x, y, wide * 0.75, 2.9), rosy, min(0.85, 0.3 + 0.6 * strength))
        else:
            for step in (-1, 0, 1):
                at = x + step * wide * 0.5
                canvas.stroke(f"M{pair((at + 1.2, y - 2.2))}L{pair((at - 1.2, y + 2.2))}", rosy.darker(0.08), 0.95)


FAINT: Final = 0.08


def nose(stage: Stage) -> None:
    """Draw the nose: in anime a hint of one."""
    canvas, (x, y), turn = stage.canvas, stage.face.nose, stage.face.turn
    way = 1 if turn >= 0 else -1
    ink, shade = canvas.ink(stage.skin), canvas.shade(stage.skin).darker(0.04)
    kind = stage.style.nose
    if kind == "dot":
        canvas.fill(oval(x, y, 0.85, 0.75), ink, 0.85)
    elif kind == "line":
        canvas.fill(stroke((x - way * 0.8, y - 6.5), (x + way * 3.2, y - 0.5), (x - way * 1.2, y + 1.4), 0.55), ink)
    elif kind == "wedge":
        side = -1 if stage.style.light > 0 else 1
        canvas.fill(polygon([(x, y - 6.0), (x + side * 3.4, y + 0.8), (x - side * 0.8, y + 1.8)]), shade)
        canvas.fill(stroke((x - 1.6, y + 1.4), (x, y + 2.6), (x + 1.8, y + 1.2), 0.4), ink)
    elif kind == "shadow":
        canvas.fill(oval(x, y + 1.2, 2.4, 1.0), shade)
        canvas.fill(oval(x - 0.6, y - 2.2, 0.8, 1.3), WHITE, 0.65)


def mouth(stage: Stage) -> None:
    """Draw the mouth as the expression asks, in the way of the show."""
    expression = stage.shot.expression
    x, y = stage.face.mouth
    size = stage.style.mouth_size * (1.25 if stage.style.mouth == "wide" else 1.0)
    squeeze = 1 - 0.14 * abs(stage.face.turn)
    if expression in ("grin", "closed"):
        _open(stage, (x, y - 1.5), (8.6 * size * squeeze, 8.2 * size), teeth=expression == "grin")
    elif expression == "surprised":
        _hole(stage, (x, y + 1), (2.9 * size * squeeze, 3.9 * size))
    elif expression == "angry" and stage.style.mouth in ("wide", "soft"):
        _shout(stage, (x, y), (6.2 * size * squeeze, 4.6 * size))
    elif expression == "wink" and stage.style.mouth != "line":
        _open(stage, (x, y - 0.5), (5.2 * size * squeeze, 5.4 * size), teeth=False)
    else:
        _closed(stage, (x, y), 6.4 * size * squeeze)


BENDS: Final = {"neutral": 0.35, "smile": 2.2, "wink": 2.2, "angry": -1.6, "sad": -2.0}
"""How far the ends of a closed mouth rise, by expression."""


def _closed(stage: Stage, at: tuple[float, float], wide: float) -> None:
    canvas, (x, y) = stage.canvas, at
    ink = canvas.ink(stage.skin)
    bend = BENDS.get(stage.shot.expression, 0.0)
    kind = stage.style.mouth
    thick = 0.45 + 0.35 * stage.canvas.line
    if kind == "cat" and bend > 0:
        for way in SIDES:
            canvas.stroke(
                path("M", (x, y - 0.6), "Q", (x + way * wide * 0.42, y + 3.4), (x + way * wide * 0.8, y - 1.2)),
                ink,
                thick,
            )
        return
    ends = [(x + way * wide * 0.72, y - bend) for way in SIDES]
    if kind == "wide":
        for way, end in zip(SIDES, ends, strict=True):
            canvas.fill(
                stroke(
                    (x + way * wide * 0.16, y + bend * 0.45), (x + way * wide * 0.4, y + bend * 0.45), end, thick * 0.8
                ),
                ink,
            )
        return
    canvas.fill(stroke(ends[0], (x, y + bend * 1.4), ends[1], thick), ink)
    if kind == "soft":
        lip = canvas.shade(stage.skin).toward(Colour(0.55, 0.15, 20.0), 0.6)
        canvas.fill(stroke((x - wide * 0.34, y + 3.2), (x, y + 5.4), (x + wide * 0.34, y + 3.2), 1.3), lip)


def _open(stage: Stage, at: tuple[float, float], size: tuple[float, float], *, teeth: bool) -> None:
    """Draw a laughing mouth: a flat upper edge, a round lower one, a tongue."""
    canvas, (x, y), (wide, high) = stage.canvas, at, size
    drawn = (
        f"M{pair((x - wide, y))}Q{pair((x, y + high * 0.28))} {pair((x + wide, y))}"
        f"C{pair((x + wide * 0.75, y + high * 1.25))} {pair((x - wide * 0.75, y + high * 1.25))} {pair((x - wide, y))}Z"
    )
    _inside(stage, drawn, (x, y + high), (wide, high))
    if teeth:
        with canvas.within(drawn):
            canvas.fill(oval(x, y - high * 0.1, wide * 0.86, high * 0.5), stage.white)
    canvas.stroke(drawn, canvas.ink(stage.skin), canvas.line * 0.75)


def _hole(stage: Stage, at: tuple[float, float], size: tuple[float, float]) -> None:
    drawn = oval(*at, *size)
    _inside(stage, drawn, (at[0], at[1] + size[1]), size)
    stage.canvas.stroke(drawn, stage.canvas.ink(stage.skin), stage.canvas.line * 0.75)


def _shout(stage: Stage, at: tuple[float, float], size: tuple[float, float]) -> None:
    (x, y), (wide, high) = at, size
    drawn = smooth(
        [
            (x - wide * 0.55, y - high * 0.7),
            (x + wide * 0.55, y - high * 0.7),
            (x + wide, y + high * 0.7),
            (x, y + high * 0.55),
            (x - wide, y + high * 0.7),
        ],
        tension=0.5,
    )
    _inside(stage, drawn, (x, y + high * 1.1), size)
    with stage.canvas.within(drawn):
        stage.canvas.fill(oval(x, y - high * 0.75, wide * 0.7, high * 0.5), stage.white)
    stage.canvas.stroke(drawn, stage.canvas.ink(stage.skin), stage.canvas.line * 0.75)


def _inside(stage: Stage, drawn: str, tongue: tuple[float, float], size: tuple[float, float]) -> None:
    canvas = stage.canvas
    canvas.fill(drawn, Colour(0.36, 0.11, 20.0))
    with canvas.within(drawn):
        canvas.fill(
            oval(tongue[0], tongue[1] + size[1] * 0.05, size[0] * 0.62, size[1] * 0.5), Colour(0.68, 0.14, 15.0)
        )
