"""`indexer.evaluation.metrics`: accuracies that can be counted by hand."""

from __future__ import annotations

import numpy as np

from indexer.evaluation.metrics import measure
from indexer.samples import Part
from recommender.heads import Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, Show

ONE, TWO = Show("one", "One"), Show("two", "Two")
CAST = Hierarchy.of(
    [Character("a", "A", ONE, "male"), Character("b", "B", ONE, "female"), Character("c", "C", TWO, None)]
)


def _heads() -> Heads:
    """Return heads that take a picture for the character whose number in the embedding is the largest."""
    weights = {space.name: np.zeros((len(space), 3), np.float32) for space in CAST.spaces}
    weights["character"] = 9 * np.eye(3, dtype=np.float32)
    biases: dict[str, Matrix] = {space.name: np.zeros(len(space), np.float32) for space in CAST.spaces}
    return Heads(CAST, weights, biases)


def _part(guesses: list[int], truth: list[int]) -> Part:
    return Part(np.eye(3, dtype=np.float32)[guesses], np.array(truth, dtype=np.int64))


def test_accuracies_are_counted_in_each_label_space() -> None:
    """Right characters, shows and types are counted; who has no type does not count for the types."""
    #             a→a  a→b  b→b  b→c  c→c  c→a
    found = measure(_heads(), _part([0, 1, 1, 2, 2, 0], [0, 0, 1, 1, 2, 2]))
    assert found["character"] == {"accuracy": 3 / 6, "pictures": 6}
    assert found["show"] == {"accuracy": 4 / 6, "pictures": 6}
    assert found["type"]["pictures"] == 4
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
    found = measure(_heads(), _part([2], [2]))
    assert found["type"] == {"accuracy": None, "pictures": 0}
    assert found["characters"]["one/a"] == {"accuracy": None, "pictures": 0}
    assert found["characters_by_show"]["one"] == {"accuracy": None, "pictures": 0}
    assert found["character"] == {"accuracy": 1.0, "pictures": 1}


def test_an_empty_part_measures_nothing() -> None:
    """A library too small for a test part gives None everywhere."""
    found = measure(_heads(), Part(np.empty((0, 3), np.float32), np.empty(0, np.int64)))
    assert {found[space]["accuracy"] for space in ("type", "character", "show")} == {None}
