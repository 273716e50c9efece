"""Colours by lightness, chroma and hue as the eye sees them, so that a darker red stays that red.

The space is OKLCH: Björn Ottosson, "A perceptual color space for image processing", 2020; the numbers below are his.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

from indexer.demo.style import Style

LINEAR: Final = 0.0031308
"""Below this, sRGB is linear (IEC 61966-2-1)."""
MIDDLE: Final = 0.62
"""The lightness that contrast turns about."""


class Colour(NamedTuple):
    """Lightness 0..1, chroma 0..about 0.3, hue in degrees: 25 red, 60 orange, 100 yellow, 145 green, 260 blue."""

    lightness: float
    chroma: float
    hue: float

    def darker(self, amount: float) -> Colour:
        """Return the colour with less light; a little chroma goes with it."""
        return Colour(max(0.0, self.lightness - amount), self.chroma * (1 - amount * 0.3), self.hue)

    def lighter(self, amount: float) -> Colour:
        """Return the colour with more light, never beyond white."""
        return Colour(min(1.0, self.lightness + amount), self.chroma * (1 - amount * 0.8), self.hue)

    def turned(self, degrees: float) -> Colour:
        """Return the colour with another hue."""
        return Colour(self.lightness, self.chroma, (self.hue + degrees) % 360)

    def toward(self, other: Colour, share: float) -> Colour:
        """Return the colour on the straight way to another one, in between."""
        one, two = _lab(self), _lab(other)
        lightness, a, b = (x + (y - x) * share for x, y in zip(one, two, strict=True))
        return Colour(lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360)

    @property
    def hex(self) -> str:
        """The colour as SVG writes it; chroma that a screen cannot show is left out."""
        return _hex(round(self.lightness, 3), round(self.chroma, 3), round(self.hue, 1))


WHITE: Final = Colour(1.0, 0.0, 0.0)
BLACK: Final = Colour(0.14, 0.015, 300.0)


def through(style: Style, colour: Colour, *, own_hue: bool = False) -> Colour:
    """Return how a show paints a colour: its few hues, saturation, contrast, lightness and warmth.

    `own_hue` keeps the hue apart from the warmth: hair, eyes and skin are recognised by it.
    """
    hue = colour.hue
    if not own_hue:
        step = 360 / round(style.hues)
        hue = round(hue / step) * step
    lightness = MIDDLE + (colour.lightness - MIDDLE) * style.contrast + style.lightness
    lightness = min(0.985, max(0.1, lightness))
    chroma = colour.chroma * style.saturation
    a = chroma * math.cos(math.radians(hue)) + 0.012 * style.warmth
    b = chroma * math.sin(math.radians(hue)) + 0.024 * style.warmth
    return Colour(lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360)


def _lab(colour: Colour) -> tuple[float, float, float]:
    angle = math.radians(colour.hue)
    return colour.lightness, colour.chroma * math.cos(angle), colour.chroma * math.sin(angle)


@lru_cache(maxsize=65536)
def _hex(lightness: float, chroma: float, hue: float) -> str:
    for step in range(21):
        red, green, blue = _rgb(Colour(lightness, chroma * (1 - step / 20), hue))
        if min(red, green, blue) >= -LINEAR and max(red, green, blue) <= 1 + LINEAR:
            break
    return f"#{_byte(red):02x}{_byte(green):02x}{_byte(blue):02x}"


def _rgb(colour: Colour) -> tuple[float, float, float]:
    """Return linear red, green and blue, outside 0..1 where no screen can show the colour."""
    lightness, a, b = _lab(colour)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _byte(value: float) -> int:
    value = min(1.0, max(0.0, value))
    return round(255 * (12.92 * value if value <= LINEAR else 1.055 * value ** (1 / 2.4) - 0.055))
