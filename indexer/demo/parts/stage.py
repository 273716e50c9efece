"""Where everything of one drawing stands: head, eyes, shoulders, limbs; and what colours the style makes of them.

Lengths are hundredths of the height of a head, the middle of the head is (0, 0), y grows downward. Left and right are
the picture's, not the character's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from indexer.demo.identity import BEASTS, ROBOTS, SPIRITS, Identity
from indexer.demo.parts.canvas import Canvas
from indexer.demo.parts.colour import Colour, through
from indexer.demo.parts.path import Point, moved
from indexer.demo.shot import Shot
from indexer.demo.style import Style

SMALLEST, TALLEST = 2.2, 7.5
"""The range of a figure's height in heads: chibi and grown."""
SIDES: Final = (-1, 1)
CHIN: Final = 50.0
"""Where the chin is."""
ARMS: Final[dict[str, tuple[float, float, float, float]]] = {
    "stand": (-12, -6, 12, 6),
    "hips": (-42, 38, 42, -38),
    "wave": (-14, -8, 70, 158),
    "point": (-62, -100, 14, 8),
    "run": (-40, 30, 46, 118),
    "arms-back": (-22, 12, 22, -12),
    "shrug": (-30, -96, 30, 96),
    "cheer": (-128, -164, 128, 164),
}
"""By pose: the directions of left upper arm and forearm, then the right ones; 0 degrees is down, 90 to the right."""
LEGS: Final[dict[str, tuple[float, float, float, float]]] = {
    "run": (-20, -4, 26, -30),
    "cheer": (-12, -8, 12, 8),
    "hips": (-10, -6, 10, 6),
}
"""The same for thighs and shins, where the pose is not just standing."""
STANDING: Final = (-4.0, -2.0, 4.0, 2.0)


@dataclass(frozen=True, slots=True)
class Face:
    """The build of a face: half its width, how far features are turned aside, and the places of eyes and mouth."""

    width: float
    turn: float
    middle: float
    eye_y: float
    eye_x: tuple[float, float]
    eye_scale: tuple[float, float]
    eye_width: float
    eye_height: float
    mouth: Point
    nose: Point
    hair: float
    crown: float

    def side(self, way: int) -> float:
        """Return the edge of the face to the left (-1) or right (1): the far side is narrower when it is turned."""
        return way * self.width * (1 - 0.1 * max(0.0, way * self.turn)) + self.turn * 2.0


@dataclass(frozen=True, slots=True)
class Body:
    """The build of a body: heights of its parts, half widths, and the joints of the limbs, left ones first."""

    grown: float
    shoulder_y: float
    shoulder: float
    chest: float
    waist_y: float
    waist: float
    hip_y: float
    hip: float
    foot_y: float
    neck: float
    arm: float
    leg: float
    arms: tuple[tuple[Point, Point, Point], tuple[Point, Point, Point]]
    legs: tuple[tuple[Point, Point, Point], tuple[Point, Point, Point]]


class Stage:
    """One drawing in the making: who, how, seen how; the canvas to draw on, and the colours and places to draw with."""

    def __init__(self, canvas: Canvas, identity: Identity, shot: Shot) -> None:
        self.canvas = canvas
        self.style = style = canvas.style
        self.identity = identity
        self.shot = shot
        self.face = _face(style, identity, shot)
        self.body = _body(style, identity, shot)
        self.skin = through(style, identity.skin, own_hue=True)
        self.hair = through(style, identity.hair, own_hue=True)
        self.tips = through(style, identity.tips, own_hue=True)
        self.eyes = through(style, identity.eyes, own_hue=True)
        self.colours = tuple(through(style, colour) for colour in identity.colours)
        self.white = through(style, Colour(0.985, 0.004, 80.0))
        self.dark = through(style, Colour(0.26, 0.03, 280.0))
        self.metal = through(style, Colour(0.78, 0.02, 250.0))
        self.gold = through(style, Colour(0.82, 0.13, 88.0))

    def dice(self, purpose: str) -> random.Random:
        """Return dice that fall alike in every picture of this character."""
        return random.Random(f"{self.identity.seed} {purpose}")  # noqa: S311  # dice for drawing, not for secrets

    @property
    def is_beast(self) -> bool:
        """Whether it has fur, feathers or scales."""
        return self.identity.species in BEASTS

    @property
    def is_robot(self) -> bool:
        """Whether it was built."""
        return self.identity.species in ROBOTS

    @property
    def is_spirit(self) -> bool:
        """Whether it is of no flesh; a living doll has a human's build all the same."""
        return self.identity.species in SPIRITS and self.identity.species != "doll"

    @property
    def is_human(self) -> bool:
        """Whether it has a human's face and hair."""
        return not (self.is_beast or self.is_robot or self.is_spirit)

    def wears(self, accessory: str) -> bool:
        """Tell whether it has this accessory."""
        return accessory in self.identity.accessories


def _face(style: Style, identity: Identity, shot: Shot) -> Face:
    """Lay out a face. Eyes are below half the height of the head, a quarter of the face high, one eye's width apart."""
    width = 38.0 * style.face_width * (1 + (identity.build - 1) * 0.3)
    turn = shot.turn * 0.9
    middle = turn * 8.0
    eye_y = 13.0 + style.eye_level
    apart = 18.5 * style.eye_spacing * style.face_width
    eye_width = min(12.2 * style.eye_width, apart * 0.86)
    near, far = 1.0, 1 - 0.3 * abs(turn)
    scales = (far, near) if turn < 0 else (near, far)
    # The far eye stays within the face, however far that is turned.
    edge = width * 0.9 * (1 - 0.1 * abs(turn)) - eye_width * 1.12 * far
    eye_x = (
        max(middle - apart * (scales[0] + 1) / 2, turn * 2.0 - edge if turn < 0 else -width),
        min(middle + apart * (scales[1] + 1) / 2, turn * 2.0 + edge if turn > 0 else width),
    )
    return Face(
        width=width,
        turn=turn,
        middle=middle,
        eye_y=eye_y,
        eye_x=eye_x,
        eye_scale=scales,
        eye_width=eye_width,
        eye_height=12.2 * style.eye_height,
        mouth=(middle * 0.92, 37.2 + style.eye_level * 0.25),
        nose=(middle * 1.22, 27.5 + style.eye_level * 0.45),
        hair=width * (1.0 + 0.14 * style.volume),
        crown=-46.0 - 14.0 * style.volume,
    )


def _body(style: Style, identity: Identity, shot: Shot) -> Body:
    """Lay out a body. Half of it and a little more is legs; a chibi has less of them, and hardly a neck."""
    heads = SMALLEST + (style.heads - SMALLEST) * identity.stature
    grown = (heads - SMALLEST) / (TALLEST - SMALLEST)
    shoulder_y = CHIN + 1.0 + 17.0 * grown
    height = heads * 100.0 - 50.0 - shoulder_y
    build = identity.build
    shoulder = (24.0 + 32.0 * grown) * build
    hip_y = shoulder_y + height * (0.45 - 0.07 * grown)
    waist_y = shoulder_y + (hip_y - shoulder_y) * 0.6
    arm_length = height * (0.195 + 0.01 * grown)
    hip = (18.5 + 19.0 * grown) * (0.6 + 0.4 * build)
    arms, legs = [], []
    angles, steps = ARMS[shot.pose], LEGS.get(shot.pose, STANDING)
    thigh = (shoulder_y + height - hip_y) * 0.5
    for index, way in enumerate(SIDES):
        joint = (way * shoulder * 0.86, shoulder_y + 9.0 + 7.5 * grown)
        elbow = moved(joint, angles[2 * index], arm_length)
        arms.append((joint, elbow, moved(elbow, angles[2 * index + 1], arm_length * 0.92)))
        top = (way * hip * 0.52, hip_y)
        knee = moved(top, steps[2 * index], thigh)
        legs.append((top, knee, moved(knee, steps[2 * index + 1], thigh * 0.94)))
    return Body(
        grown=grown,
        shoulder_y=shoulder_y,
        shoulder=shoulder,
        chest=shoulder * 0.8,
        waist_y=waist_y,
        waist=shoulder * (0.56 + 0.3 * max(0.0, build - 1)) + 4.0 * (1 - grown),
        hip_y=hip_y,
        hip=hip,
        foot_y=shoulder_y + height,
        neck=(9.5 + 4.5 * grown) * (0.55 + 0.45 * build),
        arm=(7.5 + 3.0 * grown) * (0.4 + 0.6 * build),
        leg=(9.0 + 5.0 * grown) * (0.5 + 0.5 * build),
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
    )
