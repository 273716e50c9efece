"""Who is drawn: kind of being, hair, colours, clothes. Nothing here knows how a show draws them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from indexer.demo.parts.colour import Colour

TYPES: Final = ("male", "female", "non-human")
BEASTS: Final = ("fox", "wolf", "bear", "rabbit", "cat", "dragon", "bird")
ROBOTS: Final = ("robot", "visor-robot", "lens-robot")
SPIRITS: Final = ("flame", "ghost", "slime", "doll", "cloud")
SPECIES: Final = ("human", *BEASTS, *ROBOTS, *SPIRITS)
"""Kinds of beings; all but the first are non-human."""

CUTS: Final = (
    "short-spiky",
    "neat-short",
    "bowl",
    "bob",
    "long-straight",
    "wavy",
    "twin-tails",
    "ponytail",
    "side-tail",
    "buns",
    "braid",
    "undercut",
    "drills",
    "hime",
    "shaggy",
    "cloud-curls",
)
FRINGES: Final = ("zigzag", "straight", "curtain", "swept", "sparse", "up", "cover")
OUTFITS: Final = (
    "sailor",
    "gakuran",
    "hoodie",
    "kimono",
    "blazer",
    "armour",
    "lab-coat",
    "cape",
    "dress",
    "track-suit",
    "overalls",
    "military",
    "shrine",
    "vest",
    "t-shirt",
)
ACCESSORIES: Final = (
    "glasses",
    "ribbon",
    "cap",
    "witch-hat",
    "beret",
    "straw-hat",
    "scarf",
    "headphones",
    "scar",
    "earrings",
    "horns",
    "eyepatch",
    "flower",
    "hairpin",
    "mask",
    "halo",
    "goggles",
    "bandage",
)
HEADGEAR: Final = ("cap", "witch-hat", "beret", "straw-hat", "halo", "goggles", "headphones", "horns")
"""Of these one is enough on a head."""
FACEGEAR: Final = ("glasses", "eyepatch", "mask", "scar", "bandage")
"""Of these one is enough in a face."""

MALE_CUTS: Final = (
    "short-spiky",
    "neat-short",
    "bowl",
    "shaggy",
    "undercut",
    "ponytail",
    "long-straight",
    "cloud-curls",
)
FEMALE_CUTS: Final = tuple(cut for cut in CUTS if cut not in ("short-spiky", "undercut"))
MALE_OUTFITS: Final = tuple(outfit for outfit in OUTFITS if outfit not in ("sailor", "dress", "shrine"))
FEMALE_OUTFITS: Final = tuple(outfit for outfit in OUTFITS if outfit != "gakuran")
SKINS: Final = (
    Colour(0.93, 0.03, 55.0),
    Colour(0.9, 0.042, 58.0),
    Colour(0.86, 0.055, 60.0),
    Colour(0.78, 0.07, 58.0),
    Colour(0.66, 0.075, 55.0),
    Colour(0.54, 0.07, 50.0),
)
NATURAL_HAIRS: Final = (
    Colour(0.27, 0.02, 280.0),
    Colour(0.36, 0.05, 45.0),
    Colour(0.5, 0.09, 55.0),
    Colour(0.82, 0.12, 88.0),
    Colour(0.9, 0.02, 260.0),
    Colour(0.62, 0.15, 45.0),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a character looks like in any picture, whoever draws it.

    `hair` is worn in one of CUTS with one of FRINGES, and ends in `tips`; `skin` is fur, metal or vapour where there is
    no skin. `slant` tilts the eyes: -1 drooping, 1 rising outward. `build` is the width and `stature` the height beside
    others of the show. `seed` decides the single locks, spots and cracks.
    """

    type: str
    species: str
    seed: int
    skin: Colour
    hair: Colour
    tips: Colour
    eyes: Colour
    colours: tuple[Colour, Colour, Colour]
    cut: str = "neat-short"
    fringe: str = "zigzag"
    length: float = 1.0
    stray_lock: bool = False
    slant: float = 0.0
    brow: float = 1.0
    build: float = 1.0
    stature: float = 1.0
    outfit: str = "t-shirt"
    accessories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        chosen = ((self.type, TYPES), (self.species, SPECIES), (self.cut, CUTS), (self.fringe, FRINGES))
        worn = ((self.outfit, OUTFITS), *((accessory, ACCESSORIES) for accessory in self.accessories))
        for value, choices in (*chosen, *worn):
            if value not in choices:
                raise ValueError(f"{value!r} cannot be drawn: choose one of {', '.join(choices)}")
        if (self.type == "non-human") == (self.species == "human"):
            raise ValueError(f"a {self.species} cannot be {self.type}")


def random_identity(dice: random.Random, type: str | None = None) -> Identity:  # noqa: A002  # the word of the tables
    """Return somebody: of a type or, by default, of any. One who cannot be told from another is unlikely."""
    kind = type or dice.choices(TYPES, (4, 4, 3))[0]
    species = dice.choice(SPECIES[1:]) if kind == "non-human" else "human"
    looks_male = kind == "male" or (kind == "non-human" and dice.random() < _EVEN)
    hair = _hair(dice)
    return Identity(
        type=kind,
        species=species,
        seed=dice.randrange(1 << 30),
        skin=_skin(dice, species),
        hair=hair,
        tips=_any(dice) if dice.random() < _SELDOM else hair,
        eyes=Colour(dice.uniform(0.45, 0.75), dice.uniform(0.09, 0.19), dice.uniform(0, 360)),
        colours=_clothes(dice),
        cut=dice.choice(MALE_CUTS if looks_male else FEMALE_CUTS),
        fringe=dice.choice(FRINGES),
        length=round(dice.uniform(0.6, 1.4), 2),
        stray_lock=dice.random() < _SELDOM,
        slant=round(dice.uniform(-1, 1), 2),
        brow=round(dice.uniform(0.5, 1.7) if looks_male else dice.uniform(0.35, 1.0), 2),
        build=round(dice.uniform(0.96, 1.25) if looks_male else dice.uniform(0.85, 1.05), 2),
        stature=round(dice.uniform(0.95, 1.1) if looks_male else dice.uniform(0.86, 1.02), 2),
        outfit=dice.choice(MALE_OUTFITS if looks_male else FEMALE_OUTFITS),
        accessories=_accessories(dice),
    )


_EVEN: Final = 0.5
_SELDOM: Final = 0.22


def _hair(dice: random.Random) -> Colour:
    if dice.random() < _EVEN:
        lightness, chroma, hue = dice.choice(NATURAL_HAIRS)
        return Colour(lightness + dice.uniform(-0.05, 0.05), chroma * dice.uniform(0.7, 1.2), hue + dice.uniform(-8, 8))
    return _any(dice)


def _any(dice: random.Random) -> Colour:
    return Colour(dice.uniform(0.4, 0.85), dice.uniform(0.08, 0.19), dice.uniform(0, 360))


def _skin(dice: random.Random, species: str) -> Colour:
    if species in {"human", "doll"}:
        return dice.choices(SKINS, (5, 6, 5, 3, 2, 1))[0]
    if species in ROBOTS:
        return Colour(dice.uniform(0.5, 0.92), dice.choice((0.01, 0.03, 0.12)), dice.uniform(0, 360))
    if species in SPIRITS:
        return Colour(dice.uniform(0.62, 0.95), dice.uniform(0.03, 0.16), dice.uniform(0, 360))
    furs = (Colour(0.9, 0.02, 90), Colour(0.72, 0.14, 62), Colour(0.5, 0.07, 55), Colour(0.6, 0.02, 260), _any(dice))
    return dice.choice((*furs, Colour(0.35, 0.03, 290)))


def _clothes(dice: random.Random) -> tuple[Colour, Colour, Colour]:
    """Return three colours that can be worn together: a strong one, a light or dark companion, an accent."""
    hue = dice.uniform(0, 360)
    main = Colour(dice.uniform(0.32, 0.78), dice.uniform(0.03, 0.17), hue)
    light, dark = Colour(0.95, 0.015, hue), Colour(0.3, 0.04, hue + 20)
    second = dice.choice((light, light, dark, Colour(0.7, 0.1, (hue + 40) % 360)))
    accent = Colour(dice.uniform(0.55, 0.8), dice.uniform(0.12, 0.2), (hue + dice.choice((120, 150, 180, 210))) % 360)
    return main, second, accent


def _accessories(dice: random.Random) -> tuple[str, ...]:
    """Return none to three accessories, at most one on the head and one in the face."""
    wanted = _some(dice, ACCESSORIES, dice.choices((0, 1, 2, 3), (3, 5, 3, 1))[0])
    taken: list[str] = []
    for accessory in wanted:
        rivals = next((gear for gear in (HEADGEAR, FACEGEAR) if accessory in gear), ())
        if not set(rivals) & set(taken):
            taken.append(accessory)
    return tuple(taken)


def _some(dice: random.Random, values: Sequence[T], count: int) -> list[T]:
    return dice.sample(list(values), count)
