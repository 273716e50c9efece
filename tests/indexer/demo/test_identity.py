"""`indexer.demo.identity`: random people are of the type asked for, differ, and can be drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from indexer.demo.identity import (
    ACCESSORIES,
    CUTS,
    FACEGEAR,
    FRINGES,
    HEADGEAR,
    OUTFITS,
    SPECIES,
    TYPES,
    random_identity,
)
from indexer.demo.production import dice_of

MANY = [random_identity(dice_of(str(seed))) for seed in range(600)]


def test_dice_decide() -> None:
    """Dice that fall alike give one identity; six hundred others are all different."""
    assert random_identity(dice_of("5")) == random_identity(dice_of("5"))
    assert len(set(MANY)) == len(MANY)


@pytest.mark.parametrize("type_", TYPES)
def test_type_is_the_one_asked_for(type_: str) -> None:
    """Only those who are not human are of another species."""
    for seed in range(30):
        identity = random_identity(dice_of(str(seed)), type_)
        assert identity.type == type_
        assert (identity.species == "human") == (type_ != "non-human")


def test_everything_there_is_occurs() -> None:
    """Every type, species, cut, fringe, outfit and accessory is somebody's."""
    assert {one.type for one in MANY} == set(TYPES)
    assert {one.species for one in MANY} == set(SPECIES)
    assert {one.cut for one in MANY} == set(CUTS)
    assert {one.fringe for one in MANY} == set(FRINGES)
    assert {one.outfit for one in MANY} == set(OUTFITS)
    assert {accessory for one in MANY for accessory in one.accessories} == set(ACCESSORIES)


def test_one_thing_on_the_head_and_one_in_the_face_is_enough() -> None:
    """Nobody wears two hats, or glasses over a mask."""
    for one in MANY:
        assert len(set(one.accessories) & set(HEADGEAR)) <= 1
        assert len(set(one.accessories) & set(FACEGEAR)) <= 1


def test_what_cannot_be_drawn_is_refused() -> None:
    """An unknown hat is told by name, and a human cannot be a robot."""
    human = random_identity(dice_of("0"), "female")
    with pytest.raises(ValueError, match="'fez' cannot be drawn"):
        replace(human, accessories=("fez",))
    with pytest.raises(ValueError, match="a robot cannot be female"):
        replace(human, species="robot")
