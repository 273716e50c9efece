"""One picture of somebody: how near, from where, in which mood and light, and what stands before it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.style import CHOICES, Style

FRAMINGS: Final = {"head": (320, 320), "bust": (320, 400), "figure": (300, 480)}
"""How much of a character is seen, and the width and height of such a picture in pixels."""
EXPRESSIONS: Final = ("neutral", "smile", "grin", "angry", "sad", "surprised", "closed", "wink")
POSES: Final = ("stand", "hips", "wave", "point", "run", "arms-back", "shrug", "cheer")
OCCLUSIONS: Final = ("none", "leaf", "sign", "frame", "stranger", "petals")
BACKGROUNDS: Final = CHOICES["background"]
PALE_BLUE: Final = Colour(0.8, 0.08, 230.0)
HABIT: Final = 0.72
"""How often a background is the one that the show is in the habit of."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What differs from one picture of a character to the next.

    `tilt` is in degrees, `turn` -1 (to the left) to 1, `gaze` -1 to 1, `x` and `y` are shares of the picture's width
    that the head is moved by, `zoom` a factor. The picture is multiplied by `tint` as far as `tinted` (0..1) says, and
    by `brightness`; `evening` (0..1) darkens it from above. `bubble` 0 is none, else its share of the width. `quality`
    is the one for saving as JPEG, which is not done here. `seed` decides the rest.
    """

    framing: str = "head"
    expression: str = "neutral"
    pose: str = "stand"
    background: str = "plain"
    occlusion: str = "none"
    mirrored: bool = False
    tilt: float = 0.0
    turn: float = 0.0
    gaze: float = 0.0
    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    tint: Colour = WHITE
    tinted: float = 0.0
    brightness: float = 1.0
    evening: float = 0.0
    backdrop: Colour = PALE_BLUE
    bubble: float = 0.0
    quality: int = 85
    seed: int = 0

    def __post_init__(self) -> None:
        chosen = (
            (self.framing, tuple(FRAMINGS)),
            (self.expression, EXPRESSIONS),
            (self.pose, POSES),
            (self.background, BACKGROUNDS),
            (self.occlusion, OCCLUSIONS),
        )
        for value, choices in chosen:
            if value not in choices:
                raise ValueError(f"{value!r} cannot be drawn: choose one of {', '.join(choices)}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return FRAMINGS[self.framing]


def random_shot(dice: random.Random, style: Style) -> Shot:
    """Return one of the pictures that a show in this style might be seen in."""
    usual = dice.random() < HABIT
    return Shot(
        framing=dice.choices(tuple(FRAMINGS), (5, 4, 2))[0],
        expression=dice.choices(EXPRESSIONS, (6, 4, 2, 2, 2, 2, 1, 1))[0],
        pose=dice.choice(POSES),
        background=style.background if usual else dice.choice(BACKGROUNDS),
        occlusion=dice.choices(OCCLUSIONS, (40, 2, 2, 2, 2, 3))[0],
        mirrored=dice.random() < 1 / 2,
        tilt=round(dice.gauss(0, 6), 2),
        turn=round(dice.uniform(-1, 1), 2),
        gaze=round(dice.uniform(-1, 1), 2),
        x=round(dice.uniform(-0.07, 0.07), 3),
        y=round(dice.uniform(-0.04, 0.05), 3),
        zoom=round(dice.uniform(0.84, 1.2), 3),
        tint=Colour(0.86, dice.uniform(0.03, 0.09), dice.choice((30, 60, 75, 90, 150, 230, 260, 290, 350))),
        tinted=round(max(0.0, dice.uniform(-0.6, 0.8)), 2),
        brightness=round(dice.uniform(0.84, 1.08), 2),
        evening=round(max(0.0, dice.uniform(-1.2, 0.6)), 2),
        backdrop=Colour(dice.uniform(0.55, 0.92), dice.uniform(0.03, 0.13), dice.uniform(0, 360)),
        bubble=round(dice.uniform(0.22, 0.36), 2) if dice.random() < 1 / 12 else 0.0,
        quality=dice.randint(60, 95),
        seed=dice.randrange(1 << 30),
    )
