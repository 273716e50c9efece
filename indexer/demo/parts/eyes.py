"""Eyes and brows, by which an anime style is known first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.parts.path import Point, oval, pair, stroke
from indexer.demo.parts.stage import Stage

OPENNESS: Final = {"surprised": 1.16, "angry": 0.8, "sad": 0.84, "grin": 0.92, "smile": 0.96}
"""How far eyes are open by expression; 1 where it is not named."""
LID: Final = {"angry": 0.34, "sad": -0.3}
"""How far the inner corner of the upper lid is pressed down (or lifted), as a share of the eye's half height."""
BROW_SLOPE: Final = {"angry": 4.2, "sad": -4.0, "surprised": -0.8, "grin": -0.6, "smile": -0.8}
BROW_RISE: Final = {"angry": -2.4, "sad": 1.4, "surprised": 3.6, "grin": 1.4}
SHAPES: Final = {
    "round": (1.0, 1.0, 0.1, 0.0),
    "tall": (0.88, 1.16, 0.12, 0.02),
    "sharp": (1.12, 0.84, 0.3, -0.3),
    "droopy": (1.04, 0.94, -0.18, 0.18),
    "narrow": (1.16, 0.58, 0.12, -0.12),
    "dot": (0.42, 0.62, 0.0, 0.0),
}
"""By kind of eye: factors on width and height, then how low the inner and the outer corner are."""
LASHES: Final = 2
"""How many single lashes somebody with long ones has."""


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye: its middle, which way is outward, half its width and height, and its corners."""

    x: float
    y: float
    way: int
    width: float
    height: float
    inner: Point
    outer: Point
    lid: float

    @property
    def opening(self) -> str:
        """The outline of the open eye."""
        return f"M{pair(self.inner)}{self._upper()}{self._lower()}Z"

    def _upper(self) -> str:
        inner = (self.x - self.way * self.width * 0.72, self.y - self.height * (1.22 - 1.5 * max(0.0, self.lid)))
        outer = (self.x + self.way * self.width * 0.78, self.y - self.height * (1.26 + 0.5 * min(0.0, self.lid)))
        return f"C{pair(inner)} {pair(outer)} {pair(self.outer)}"

    def _lower(self) -> str:
        outer = (self.x + self.way * self.width * 0.82, self.y + self.height * 1.16)
        inner = (self.x - self.way * self.width * 0.66, self.y + self.height * 1.2)
        return f"C{pair(outer)} {pair(inner)} {pair(self.inner)}"

    def lash(self, thick: float, flick: float) -> str:
        """Return the upper lash line: thin at the inner corner, `thick` above, ending in a flick outward."""
        x, y, way, width, height = self.x, self.y, self.way, self.width, self.height
        tip = (self.outer[0] + way * flick, self.outer[1] - flick * 0.25)
        top_out = (x + way * (width * 0.86 + flick * 0.3), y - height * (1.26 + 0.5 * min(0.0, self.lid)) - thick * 1.5)
        top_in = (x - way * width * 0.74, y - height * (1.22 - 1.5 * max(0.0, self.lid)) - thick * 1.15)
        low = (self.outer[0] - way * thick * 0.35, self.outer[1] + thick * 0.75)
        back = f"L{pair(low)}L{pair(tip)}C{pair(top_out)} {pair(top_in)} {pair(self.inner)}Z"
        return f"M{pair(self.inner)}{self._upper()}{back}"


def eyes(stage: Stage) -> None:
    """Draw both eyes as the expression has them."""
    expression = stage.shot.expression
    for index, way in enumerate((-1, 1)):
        if stage.wears("eyepatch") and index == 0:
            continue
        eye = _eye(stage, index, way)
        if expression == "closed" or (expression == "wink" and way * (stage.face.turn or 1) > 0):
            _shut(stage, eye)
        elif stage.style.eye == "dot":
            _dot(stage, eye)
        else:
            _open(stage, eye)


def brows(stage: Stage) -> None:
    """Draw the brows. They are drawn over the hair, as anime has it."""
    style, face, canvas = stage.style, stage.face, stage.canvas
    expression = stage.shot.expression
    colour = canvas.ink(stage.hair) if stage.hair.lightness > PALE else stage.hair.darker(0.08)
    for index, way in enumerate((-1, 1)):
        x = face.eye_x[index] + way * 0.6
        wide = face.eye_width * 0.92 * face.eye_scale[index]
        y = face.eye_y - face.eye_height * SHAPES[style.eye][1] - 5.6 - BROW_RISE.get(expression, 0.0)
        slope = BROW_SLOPE.get(expression, 0.0) - stage.identity.slant * 0.8
        thick = (0.5 + 0.42 * style.line_width**0.5) * stage.identity.brow
        inner, outer = (x - way * wide, y + slope * 0.8), (x + way * wide, y + 0.6 - slope * 0.45)
        arch = (x + way * wide * 0.35, y - 3.4 + slope * 0.1)
        canvas.fill(stroke(inner, arch, outer, thick * 1.2), colour)


PALE: Final = 0.55
"""Hair lighter than this has brows in the colour of the pen."""


def _eye(stage: Stage, index: int, way: int) -> Eye:
    style, face, expression = stage.style, stage.face, stage.shot.expression
    wide, high, low_in, low_out = SHAPES[style.eye]
    width = face.eye_width * wide * face.eye_scale[index]
    height = face.eye_height * high * OPENNESS.get(expression, 1.0)
    slant = stage.identity.slant
    lid = LID.get(expression, 0.0)
    x, y = face.eye_x[index], face.eye_y
    inner = (x - way * width, y + height * (low_in + slant * 0.16 + max(0.0, lid) * 0.5 + min(0.0, lid) * 0.7))
    outer = (x + way * width, y + height * (low_out - slant * 0.26 - min(0.0, lid) * 0.8))
    return Eye(x, y, way, width, height, inner, outer, lid)


def _open(stage: Stage, eye: Eye) -> None:
    style, canvas = stage.style, stage.canvas
    opening = eye.opening
    canvas.fill(opening, stage.white)
    with canvas.within(opening):
        _iris(stage, eye)
        shadow = canvas.shade(stage.white).darker(0.06)
        left, right = eye.x - eye.width * 1.2, eye.x + eye.width * 1.2
        top, low = eye.y - eye.height * 1.4, eye.y - eye.height * 0.68
        band = f"M{pair((left, top))}L{pair((right, top))}L{pair((right, low))}"
        band += f"Q{pair((eye.x, low - eye.height * 0.3))} {pair((left, low))}Z"
        canvas.fill(band, shadow.toward(Colour(0.5, 0.06, 285.0), 0.3), 0.5)
        _highlights(stage, eye)
    ink = canvas.ink(stage.hair).darker(0.05) if style.ink == "own" else canvas.ink(stage.skin)
    thick = style.lash * (1.3 + 0.1 * eye.height) * (0.8 + 0.2 * style.line_width)
    feminine = stage.identity.type == "female" or stage.identity.species == "doll"
    canvas.fill(eye.lash(thick, (2.6 if feminine else 1.3) * (0.4 + 0.6 * style.lash)), ink)
    if feminine and style.lash >= 1 / 2:
        for step in range(LASHES):
            root = (eye.outer[0] - eye.way * (0.4 + 2.6 * step), eye.outer[1] - thick * (0.3 + 1.0 * step))
            tip = (root[0] + eye.way * (4.6 - step), root[1] - 2.4 - 1.6 * step)
            canvas.fill(stroke(root, (root[0] + eye.way * 2.4, root[1] - 0.4), tip, 0.75 * style.lash), ink)
    thin = 0.3 + 0.22 * style.line_width
    start = (eye.x - eye.way * eye.width * 0.25, eye.y + eye.height * 0.93)
    bend = (eye.x + eye.way * eye.width * 0.62, eye.y + eye.height * 1.02)
    end = (eye.outer[0] - eye.way * eye.width * 0.08, eye.outer[1] + eye.height * 0.5)
    canvas.fill(stroke(start, bend, end, thin), ink)
    lift = thick + 2.0 + 0.12 * eye.height
    crease = canvas.shade(stage.skin).darker(0.14)
    top = eye.y - eye.height * 0.86 - lift
    canvas.fill(
        stroke(
            (eye.x - eye.way * eye.width * 0.55, top + 0.9),
            (eye.x + eye.way * eye.width * 0.2, top - 1.0),
            (eye.x + eye.way * eye.width * 0.95, top + eye.height * 0.42),
            0.5,
        ),
        crease,
    )


def _iris(stage: Stage, eye: Eye) -> None:
    """Draw the iris: dark above, where the lid shades it, bright below."""
    style, canvas, colour = stage.style, stage.canvas, stage.eyes
    small = 0.8 if stage.shot.expression == "surprised" else 1.0
    tall = min(eye.height * 0.98, eye.width * 1.55) * small
    wide = min(eye.width * 0.72, tall * 0.94) * small
    if style.eye in ("sharp", "narrow"):
        wide = min(eye.width * 0.5, eye.height * 1.05) * small
        tall = max(tall, wide * 1.1)
    x = eye.x + stage.shot.gaze * eye.width * 0.16 + stage.face.turn * eye.width * 0.08
    y = eye.y + eye.height * 0.02
    ring = colour.darker(0.22)
    drawn = oval(x, y, wide, tall)
    dark = colour.darker(0.3)
    if style.iris == "plain":
        canvas.fill(drawn, colour.darker(0.06))
        canvas.fill(oval(x, y, wide * 0.5, tall * 0.5), dark.darker(0.15))
    elif style.iris == "hollow":
        canvas.fill(drawn, colour.lighter(0.12))
        canvas.stroke(oval(x, y, wide * 0.9, tall * 0.92), ring, 1.0 + wide * 0.14)
        canvas.stroke(oval(x, y, wide * 0.4, tall * 0.42), ring, 0.8)
    else:
        paint = canvas.ramp(
            [(0.0, colour.darker(0.28), 1.0), (0.45, colour.darker(0.05), 1.0), (1.0, colour.lighter(0.2), 1.0)]
        )
        canvas.paint(drawn, paint)
        if style.iris == "slit":
            canvas.fill(oval(x, y, wide * 0.16, tall * 0.72), dark.darker(0.2))
        else:
            canvas.fill(oval(x, y - tall * 0.06, wide * 0.45, tall * 0.46), dark.darker(0.1))
        if style.iris == "jewel":
            canvas.fill(oval(x, y + tall * 0.58, wide * 0.62, tall * 0.24), colour.lighter(0.28).turned(40), 0.85)
            canvas.fill(
                oval(x + wide * 0.45, y + tall * 0.12, wide * 0.16, tall * 0.2), colour.turned(-50).lighter(0.2), 0.7
            )
        else:
            canvas.fill(oval(x, y + tall * 0.62, wide * 0.5, tall * 0.2), colour.lighter(0.22), 0.7)
    canvas.stroke(drawn, ring.darker(0.08), 0.5 + 0.3 * style.line_width)


def _highlights(stage: Stage, eye: Eye) -> None:
    """Draw none to three lights; the largest is on the side that the light comes from."""
    canvas, count = stage.canvas, round(stage.style.highlights)
    way = -1 if stage.style.light <= 0 else 1
    x = eye.x + stage.shot.gaze * eye.width * 0.16
    spots = (
        (x + way * eye.width * 0.26, eye.y - eye.height * 0.4, eye.width * 0.24, eye.height * 0.26),
        (x - way * eye.width * 0.26, eye.y + eye.height * 0.38, eye.width * 0.13, eye.height * 0.14),
        (x + way * eye.width * 0.34, eye.y + eye.height * 0.14, eye.width * 0.08, eye.height * 0.09),
    )
    for spot in spots[:count]:
        canvas.fill(oval(*spot), WHITE)


def _dot(stage: Stage, eye: Eye) -> None:
    """Draw an eye that is hardly more than a dot: an upright oval, and a light in it."""
    canvas = stage.canvas
    width = max(eye.width, 3.0)
    height = max(eye.height, 3.4)
    dark = canvas.ink(stage.skin).toward(stage.eyes.darker(0.2), 0.45)
    canvas.fill(oval(eye.x, eye.y, width, height), dark)
    canvas.fill(oval(eye.x, eye.y + height * 0.5, width * 0.6, height * 0.32), stage.eyes.lighter(0.05), 0.9)
    if round(stage.style.highlights):
        canvas.fill(oval(eye.x - width * 0.25, eye.y - height * 0.42, width * 0.36, height * 0.26), WHITE)
    lash = stroke(
        (eye.x - eye.way * width, eye.y - height * 0.7),
        (eye.x, eye.y - height * 1.35),
        (eye.x + eye.way * width * 1.4, eye.y - height * 0.65),
        0.7 * stage.style.lash,
    )
    canvas.fill(lash, canvas.ink(stage.skin))


def _shut(stage: Stage, eye: Eye) -> None:
    """Draw a closed eye: an arc, bent upward in laughter, with lashes at its outer end."""
    canvas, style = stage.canvas, stage.style
    ink = canvas.ink(stage.skin)
    width = max(eye.width, 6.0)
    happy = -1.0 if stage.shot.expression in ("wink", "closed") and stage.identity.seed % 2 else 1.0
    bend = happy * max(4.0, eye.height * 0.55)
    y = eye.y + eye.height * 0.3
    ends = (eye.x - eye.way * width * 0.95, y), (eye.x + eye.way * width, y - bend * 0.12)
    canvas.fill(stroke(ends[0], (eye.x, y + bend * 1.15), ends[1], 0.8 + style.lash * 0.75), ink)
    if style.lash >= 1 / 2:
        canvas.fill(
            stroke(
                ends[1], (ends[1][0] + eye.way, ends[1][1]), (ends[1][0] + eye.way * 3.2, ends[1][1] + bend * 0.22), 0.7
            ),
            ink,
        )
