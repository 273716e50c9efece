"""`recommender.labels`: class numbers depend on the set of characters alone, and the arrows are right."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.labels import UNTYPED, Hierarchy, LabelSpace
from recommender.types import TYPE_NAMES, Character, Show

SEA = Show("red-sea", "Red Sea", 1999)
HILLS = Show("blue-hills", "Blue Hills")
ADA = Character("ada", "Ada", SEA, "female")
BOB = Character("bob", "Bob", SEA, None)
CAT = Character("cat", "Cat", HILLS, "non-human")
CAST = (ADA, BOB, CAT)


@given(order=st.permutations(CAST))
def test_the_order_of_the_library_does_not_matter(order: list[Character]) -> None:
    """The same characters give the same class numbers and digests, in whatever order they are met."""
    found, expected = Hierarchy.of(order), Hierarchy.of(CAST)
    assert found == expected
    assert [space.digest for space in found.spaces] == [space.digest for space in expected.spaces]


def test_spaces_are_ordered_by_label() -> None:
    """Characters are numbered by `<show>/<character>`, shows by folder name, types as everywhere."""
    hierarchy = Hierarchy.of(CAST)
    assert hierarchy.character_space.labels == ("blue-hills/cat", "red-sea/ada", "red-sea/bob")
    assert hierarchy.show_space.labels == ("blue-hills", "red-sea")
    assert hierarchy.type_space.labels == TYPE_NAMES == ("male", "female", "non-human")
    assert [space.name for space in hierarchy.spaces] == ["type", "character", "show"]


def test_arrows_lead_to_show_and_type() -> None:
    """Each character's show and type are numbers of the other spaces; an unknown type is UNTYPED."""
    hierarchy = Hierarchy.of(CAST)
    assert [hierarchy.shows[number] for number in hierarchy.show_of] == [HILLS, SEA, SEA]
    assert hierarchy.type_of.tolist() == [2, 1, UNTYPED]


def test_a_position_is_a_class_number() -> None:
    """The position of a label in its space is the number that `positions` gives back."""
    space = Hierarchy.of(CAST).character_space
    assert [space.labels[space.positions[label]] for label in space.labels] == list(space.labels)
    assert len(space) == 3


@pytest.mark.parametrize(
    "other",
    [
        LabelSpace("show", ("a", "b")),
        LabelSpace("character", ("b", "a")),
        LabelSpace("character", ("a", "b", "c")),
        LabelSpace("character", ("a",)),
    ],
)
def test_digests_differ_where_spaces_differ(other: LabelSpace) -> None:
    """Another name, order or number of labels gives another digest."""
    assert other.digest != LabelSpace("character", ("a", "b")).digest


def test_titles_and_names_are_no_part_of_a_label_space() -> None:
    """A show may get a new title without any model becoming unusable."""
    renamed = replace(ADA, name="Ada II", show=replace(SEA, title="The Red Sea", year=2000))
    others = (replace(BOB, show=renamed.show), CAT)
    before, after = Hierarchy.of(CAST), Hierarchy.of((renamed, *others))
    assert [space.digest for space in before.spaces] == [space.digest for space in after.spaces]


def test_json_round_trip() -> None:
    """What is written as JSON is read back equal: years, missing types and all."""
    hierarchy = Hierarchy.of(CAST)
    assert Hierarchy.from_json(json.loads(json.dumps(hierarchy.to_json()))) == hierarchy
