"""How a show is drawn: line, colour, face, eyes, hair, shading, surroundings. Nothing here knows who is drawn, or how.

Every number has a range and every choice a list, so that any style in between can be drawn, and the distance between
two shows is that between their vectors.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RANGES: Final[dict[str, tuple[float, float]]] = {
    "line_width": (0.5, 3.4),  # percent of the height of a head
    "line_taper": (0.0, 1.0),  # 0: as thick everywhere, 1: swelling on the side of the shadow
    "saturation": (0.4, 1.4),  # factor on the chroma of every colour
    "lightness": (-0.1, 0.12),  # added to the lightness of every colour, which is 0..1
    "warmth": (-1.0, 1.0),  # -1: bluish, 1: as if by lamplight
    "contrast": (0.65, 1.35),  # factor on the distance of a lightness from the middle
    "hues": (3.0, 24.0),  # how many hues clothes and surroundings are limited to
    "eye_height": (0.45, 1.5),  # 1: a quarter of the face
    "eye_width": (0.65, 1.35),
    "eye_spacing": (0.85, 1.2),
    "eye_level": (-4.0, 8.0),  # percent of the head below its usual place
    "highlights": (0.0, 3.0),
    "lash": (0.2, 1.7),  # thickness of the upper lash line
    "face_width": (0.86, 1.14),
    "chin": (0.0, 1.0),  # 0: round, 1: pointed
    "heads": (2.2, 7.5),  # height of a grown figure in heads
    "volume": (0.9, 1.35),  # of the hair around the skull
    "strands": (0.0, 1.0),  # how many lines there are in the hair
    "sharpness": (0.0, 1.0),  # of the ends of the hair
    "mouth_size": (0.6, 1.4),
    "shade_strength": (0.25, 1.0),
    "light": (-1.0, 1.0),  # -1: from the left, 1: from the right, always from above
    "rim": (0.0, 1.0),  # a bright edge on the side of the light
    "grain": (0.0, 1.0),  # of the paper
    "blush": (0.0, 1.0),
    "glow": (0.0, 1.0),  # how much the light washes out the whole picture
}
"""The numbers of a style, each with its lowest and highest value."""

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "ink": ("black", "brown", "indigo", "own"),
    "eye": ("round", "tall", "sharp", "droopy", "narrow", "dot"),
    "iris": ("full", "slit", "hollow", "jewel", "plain"),
    "nose": ("none", "dot", "line", "wedge", "shadow"),
    "mouth": ("line", "soft", "cat", "wide"),
    "blush_kind": ("soft", "oval", "strokes"),
    "shine": ("none", "band", "zigzag", "spots", "streaks"),
    "shading": ("flat", "cel", "gradient", "hatching", "screentone"),
    "background": ("plain", "sky", "room", "speed-lines", "pattern", "landscape", "paper", "night-city"),
}
"""The named choices of a style."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a show is drawn: the numbers of `RANGES` and the choices of `CHOICES`, by the same names.

    Raises ValueError if a number lies outside its range or a choice is none of its list.
    """

    line_width: float = 1.3
    line_taper: float = 0.4
    saturation: float = 1.0
    lightness: float = 0.0
    warmth: float = 0.0
    contrast: float = 1.0
    hues: float = 16.0
    eye_height: float = 1.0
    eye_width: float = 1.0
    eye_spacing: float = 1.0
    eye_level: float = 0.0
    highlights: float = 2.0
    lash: float = 1.0
    face_width: float = 1.0
    chin: float = 0.5
    heads: float = 6.0
    volume: float = 1.1
    strands: float = 0.5
    sharpness: float = 0.8
    mouth_size: float = 1.0
    shade_strength: float = 0.6
    light: float = -0.6
    rim: float = 0.0
    grain: float = 0.0
    blush: float = 0.3
    glow: float = 0.0
    ink: str = "black"
    eye: str = "tall"
    iris: str = "full"
    nose: str = "dot"
    mouth: str = "line"
    blush_kind: str = "soft"
    shine: str = "band"
    shading: str = "cel"
    background: str = "sky"

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            if not low <= self.number(name) <= high:
                raise ValueError(f"{name} is {self.number(name)}: it has to be {low} to {high}")
        for name, choices in CHOICES.items():
            if self.choice(name) not in choices:
                raise ValueError(f"{name} is {self.choice(name)!r}: choose one of {', '.join(choices)}")

    def number(self, name: str) -> float:
        """Return a number by its name in `RANGES`."""
        return float(getattr(self, name))

    def choice(self, name: str) -> str:
        """Return a choice by its name in `CHOICES`."""
        return str(getattr(self, name))

    def vector(self) -> NDArray[np.float64]:
        """Return the style as a point: numbers scaled to 0..1 in the order of `RANGES`, then the choices, one-hot.

        A chosen place holds sqrt(1/2), so that two styles that differ in one choice are at distance 1, as far apart as
        the two ends of a number.
        """
        numbers = [(self.number(name) - low) / (high - low) for name, (low, high) in RANGES.items()]
        chosen = [0.5**0.5 * (self.choice(name) == value) for name, choices in CHOICES.items() for value in choices]
        return np.array([*numbers, *chosen], dtype=np.float64)

    def to_json(self) -> dict[str, float | str]:
        """Return the style as one flat row: each number and each choice by its name."""
        numbers: dict[str, float | str] = {name: self.number(name) for name in RANGES}
        return numbers | {name: self.choice(name) for name in CHOICES}


def random_style(dice: random.Random) -> Style:
    """Return any style that can be drawn: every number evenly over its range, every choice as likely as the others."""
    numbers = {name: round(dice.uniform(low, high), 3) for name, (low, high) in RANGES.items()}
    choices = {name: dice.choice(values) for name, values in CHOICES.items()}
    return from_row(numbers | choices)


def from_row(row: dict[str, float | str]) -> Style:
    """Return the style of a flat row as `Style.to_json` gives it; what the row lacks is as usual.

    Raises ValueError if it names something that is no part of a style, or a value that cannot be.
    """
    unknown = set(row) - set(RANGES) - set(CHOICES)
    if unknown:
        raise ValueError(f"a style has no {', '.join(sorted(unknown))}")
    return Style(**{name: float(value) if name in RANGES else str(value) for name, value in row.items()})  # type: ignore[arg-type]
