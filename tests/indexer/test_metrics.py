"""`indexer.evaluation.metrics`: accuracies that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from indexer.evaluation.metrics import measure
from recommender.heads import Probabilities
from recommender.labels import UNTYPED, Hierarchy
from recommender.types import Character, Show

ONE, TWO = Show("one", "One"), Show("two", "Two")
CAST = Hierarchy.of(
    [Character("a", "A", ONE, "male"), Character("b", "B", ONE, "female"), Character("c", "C", TWO, None)]
)


def _said(guesses: list[int]) -> Probabilities:
    """Return probabilities of which the largest is that of the guessed character, and of its show and type."""
    character = np.full((len(guesses), 3), 0.1)
    character[np.arange(len(guesses)), guesses] = 0.8
    typed = CAST.type_of != UNTYPED
    return Probabilities(
        type=character[:, typed] @ np.eye(3)[CAST.type_of[typed]],
        character=character,
        show=character @ np.eye(2)[CAST.show_of],
    )


def _measured(guesses: list[int], truth: list[int]) -> dict[str, Any]:
    return measure(_said(guesses), np.array(truth, dtype=np.int64), CAST)


def test_accuracies_are_counted_in_each_label_space() -> None:
    """Right characters, shows and types are counted; who has no type does not count for the types."""
    #             a→a  a→b  b→b  b→c  c→c  c→a
    found = _measured([0, 1, 1, 2, 2, 0], [0, 0, 1, 1, 2, 2])
    assert found["character"] == {"accuracy": 3 / 6, "pictures": 6}
    assert found["show"] == {"accuracy": 4 / 6, "pictures": 6}
    assert found["type"] == {"accuracy": 2 / 4, "pictures": 4}
    assert found["characters_by_show"] == {
        "one": {"accuracy": 2 / 4, "pictures": 4},
        "two": {"accuracy": 1 / 2, "pictures": 2},
    }
    assert found["characters"] == {
        "one/a": {"accuracy": 1 / 2, "pictures": 2},
        "one/b": {"accuracy": 1 / 2, "pictures": 2},
        "two/c": {"accuracy": 1 / 2, "pictures": 2},
    }


def test_a_label_without_pictures_has_no_accuracy() -> None:
    """Nothing to measure is None, not zero, and the number of pictures says why."""
    found = _measured([2], [2])
    assert found["type"] == {"accuracy": None, "pictures": 0}
    assert found["characters"]["one/a"] == {"accuracy": None, "pictures": 0}
    assert found["characters_by_show"]["one"] == {"accuracy": None, "pictures": 0}
    assert found["character"] == {"accuracy": 1.0, "pictures": 1}


def test_an_empty_part_measures_nothing() -> None:
    """A library too small for a test part gives None everywhere."""
    found = _measured([], [])
    assert {found[space]["accuracy"] for space in ("type", "character", "show")} == {None}


def test_separate_lists_are_measured_each_by_its_own_best() -> None:
    """A show counts by the show list, also where the likeliest character is of another show."""
    found = replace(_said([0, 0]), show=np.array([[0.2, 0.8], [0.8, 0.2]]))
    measured = measure(found, np.array([2, 0]), CAST)
    assert measured["show"] == {"accuracy": 1.0, "pictures": 2}
    assert measured["character"] == {"accuracy": 0.5, "pictures": 2}
