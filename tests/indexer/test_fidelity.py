"""`indexer.fidelity`: what an engine has to agree on, worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from indexer.fidelity import (
    BULK,
    LEAST_AGREEMENT,
    MOST_ROUNDS,
    WARM,
    Exam,
    Fidelity,
    Race,
    compare,
    overlap,
    race,
    widened,
)
from recommender.embeddings import NONE, EmbeddingSpace, unit_length
from recommender.heads import Heads
from recommender.images import decode
from recommender.labels import Hierarchy
from recommender.types import Character, DecodedImage, Matrix, Show
from tests.pictures import picture

SEA, HILLS = Show("sea", "Sea"), Show("hills", "Hills")
CAST = Hierarchy.of([Character("a", "A", SEA, "male"), Character("b", "B", HILLS, "female")])
SPACE = EmbeddingSpace("toy", weights="w", layer="l", preprocessing="p", dimension=2, projection=NONE)
SAME = Fidelity(100, dict.fromkeys(("type", "character", "show"), 1.0), 1.0, 1.0, {"type": None, "show": 0.0})
TWO = np.eye(2, dtype=np.float32)


def exam(features: Matrix, characters: Sequence[int]) -> Exam:
    """Return an exam whose heads take the larger of two numbers for the character."""
    numbers = np.array(characters)
    zeros = {space: np.zeros(2, np.float32) for space in ("type", "character", "show")}
    # Types are ordered male, female; shows and characters by the alphabet: hills/b before sea/a.
    first = CAST.character_space.positions["sea/a"]
    weights = {"type": 0 * TWO, "character": TWO if first == 0 else TWO[::-1], "show": 0 * TWO}
    heads = Heads(CAST, weights, zeros)
    return Exam([decode(picture(0))] * len(features), numbers, heads, SPACE, features)


def test_the_same_features_agree_in_everything() -> None:
    """Whoever gives the same answers loses nothing."""
    features = np.array([[3, 1], [1, 2], [0, 5]], np.float32)
    found = compare(exam(features, [0, 1, 1]), features)
    assert set(found.agreement.values()) == {1.0}
    assert found.cosine == pytest.approx(1)
    assert found.overlap == 1.0
    assert all(points == 0 for points in found.gained.values())
    assert found.shortfall == ""


def test_one_answer_of_four_changes() -> None:
    """The best label is the same for three of four, the accuracy falls by 25 points, and the cosine by its share."""
    features = np.array([[4, 3], [1, 0], [0, 1], [0, 2]], np.float32)
    position = CAST.character_space.positions
    truth = [position["sea/a"], position["sea/a"], position["hills/b"], position["hills/b"]]
    found = compare(exam(features, truth), np.array([[3, 4], [1, 0], [0, 1], [0, 2]], np.float32))
    assert found.agreement == {"type": 0.75, "character": 0.75, "show": 0.75}
    assert found.gained == {"type": -25.0, "character": -25.0, "show": -25.0}
    assert found.cosine == pytest.approx((0.96 + 3) / 4)
    assert "0.750" in found.shortfall


def test_one_picture_of_many_that_gives_no_number_is_refused() -> None:
    """The mean cosine is no number then, which is neither above a bound nor below it."""
    features = np.abs(np.random.default_rng(0).normal(size=(300, 2))).astype(np.float32)
    found = features.copy()
    found[7] = np.nan
    told = compare(exam(features, [0] * 300), found)
    assert min(told.agreement.values()) > LEAST_AGREEMENT
    assert "the mean cosine of the embeddings is nan" in told.shortfall


def test_nearest_are_looked_for_in_the_gallery_too() -> None:
    """Two clusters far from each other: what changes among the gallery's pictures alone is found by the exam's."""
    generator = np.random.default_rng(0)
    features, gallery = (np.abs(generator.normal(size=(count, 2))).astype(np.float32) for count in (30, 60))
    asked = replace(exam(features, [0] * 30), gallery=gallery)
    narrow = compare(asked, features)
    assert (narrow.overlap, narrow.among) == (1.0, 29)
    same = widened(asked, narrow, features, gallery)
    assert (same.overlap, same.gallery, same.among) == (1.0, 60, 89)
    assert "10 nearest among 89 1.000" in same.to_text()
    other = widened(asked, narrow, features, gallery[::-1])
    expected, found = (unit_length(np.concatenate([features, rows])) for rows in (gallery, gallery[::-1]))
    common = [len(_near(expected, row, 10) & _near(found, row, 10)) for row in range(30)]
    assert other.overlap == pytest.approx(np.mean(common) / 10)
    assert other.overlap < 1
    assert widened(exam(features, [0] * 30), narrow, features, gallery) == narrow


def test_figures_survive_json() -> None:
    """Also those of an export that was made before there was a gallery."""
    figures = replace(SAME, gallery=7)
    assert Fidelity.from_json(json.loads(json.dumps(figures.to_json()))) == figures
    older = {name: value for name, value in SAME.to_json().items() if name != "gallery"}
    assert Fidelity.from_json(older) == SAME


def test_overlap_counts_common_neighbours() -> None:
    """Of 12 pictures on an arc each has ten nearest of eleven others; exchanging two changes who is left out."""
    angles = np.linspace(0, 1, 12)
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert overlap(arc, arc) == 1.0
    order = np.arange(12)
    order[[0, 11]] = 11, 0
    turned = arc[order]
    expected = [len(_near(arc, row) & _near(turned, row)) for row in range(12)]
    assert overlap(arc, turned) == pytest.approx(np.mean(expected) / 10)
    assert overlap(arc, turned) < 1
    assert overlap(arc[:2], arc[:2]) == overlap(arc[:1], arc[:1]) == 1.0


def _near(vectors: Matrix, row: int, count: int = 11) -> set[int]:
    cosine = unit_length(vectors) @ vectors[row]
    if count == 10:
        cosine[row] = -2
    return set(np.argsort(-cosine)[:count].tolist()) - {row}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"agreement": {"type": 1.0, "character": 0.98, "show": 1.0}}, "the best character is the same for 0.980"),
        ({"cosine": 0.98}, "the mean cosine of the embeddings is 0.9800"),
        ({"overlap": 0.94}, "0.940 of the 10 nearest among 99 pictures"),
        ({"overlap": 0.94, "gallery": 1000}, "0.940 of the 10 nearest among 1099 pictures"),
        ({"gained": {"type": None, "show": -0.6}}, "the accuracy of show changes by -0.60 points"),
        ({"agreement": {"type": math.nan, "character": 1.0, "show": 1.0}}, "the best type is the same for nan"),
        ({"cosine": math.nan}, "the mean cosine of the embeddings is nan"),
        ({"overlap": math.nan}, "nan of the 10 nearest"),
        ({"gained": {"type": math.nan}}, "the accuracy of type changes by nan"),
    ],
)
def test_the_gate_names_the_figure(change: dict[str, object], told: str) -> None:
    """Each figure alone can fail, and its bound is told; what lies on the bound passes."""
    assert SAME.shortfall == ""
    assert told in replace(SAME, **change).shortfall  # type: ignore[arg-type]  # fields by name
    edge = Fidelity(100, dict.fromkeys(SAME.agreement, 0.99), 0.99, 0.95, {"type": -0.5})
    assert edge.shortfall == ""


def test_engines_take_turns() -> None:
    """Rounds alternate, so that a busy minute falls on all; single pictures come before many."""
    calls: list[tuple[str, int]] = []

    class Engine:
        engine, space = "toy", SPACE

        def __init__(self, name: str) -> None:
            self._name = name

        def features(self, images: Sequence[DecodedImage]) -> Matrix:
            calls.append((self._name, len(images)))
            return np.zeros((len(images), 2), np.float32)

        def make_ready(self) -> None:
            pass

    run = race({"one": Engine("one"), "other": Engine("other")}, [decode(picture(0))], singles=3, bulks=2)
    assert all(run.speed(name).single_ms > 0 and run.speed(name).bulk_per_second > 0 for name in ("one", "other"))
    turns = [[("one", count), ("other", count)] for count in (1, BULK)]
    assert calls == turns[0] * (WARM + 3) + turns[1] * (WARM + 2)
    calls.clear()
    race({"one": Engine("one")}, [decode(picture(0))], singles=3, bulks=2, seconds=60)
    assert calls == [("one", 1)] * (WARM + MOST_ROUNDS) + [("one", BULK)] * (WARM + MOST_ROUNDS)


def test_what_slows_both_engines_leaves_their_ratio() -> None:
    """Each round is compared by itself: the machine is half as fast from the third on, and one round is disturbed."""
    torch, engine = [2.0, 2.0, 4.0, 4.0, 4.0], [1.0, 1.0, 2.0, 2.0, 9.0]
    run = Race(single={"torch": torch, "engine": engine}, bulk={"torch": torch, "engine": engine})
    assert run.bulk_over("engine", "torch") == run.single_over("engine", "torch") == 2.0
    assert run.spread("engine", "torch") == 0.0
    assert run.speed("engine").bulk_per_second == BULK / 2
    restless = Race(single={}, bulk={"torch": [1.0] * 4, "engine": [1.0, 0.5, 1.0, 0.5]})
    assert restless.spread("engine", "torch") == pytest.approx(1 / 1.5)
