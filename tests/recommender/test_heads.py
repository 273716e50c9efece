"""`recommender.heads`: whatever the weights, the three lists of labels cannot contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import LabelMismatch
from recommender.heads import SPACES, Heads
from recommender.labels import UNTYPED, Hierarchy
from recommender.types import TYPE_NAMES, Character, Matrix, Show

DIMENSION = 5


def hierarchy_of(cast: Sequence[tuple[int, str | None]]) -> Hierarchy:
    """Invent a character for each pair of a show's number and a type."""
    shows = {number: Show(f"show{number}", f"Show {number}") for number, _ in cast}
    return Hierarchy.of(Character(f"c{n}", f"C{n}", shows[show], kind) for n, (show, kind) in enumerate(cast))


def random_heads(hierarchy: Hierarchy, seed: int, scale: float = 1.0) -> Heads:
    """Return heads with random weights and biases."""
    generator = np.random.default_rng(seed)
    shapes = {name: (len(space), DIMENSION) for name, space in zip(SPACES, hierarchy.spaces, strict=True)}
    weights = {name: (scale * generator.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    biases = {name: (scale * generator.normal(size=rows)).astype(np.float32) for name, (rows, _) in shapes.items()}
    return Heads(hierarchy, weights, biases)


def vectors(seed: int, count: int = 6) -> Matrix:
    """Return random embeddings."""
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


CASTS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from((*TYPE_NAMES, None))), min_size=1, max_size=12)


@settings(deadline=None)
@given(cast=CASTS, seed=st.integers(0, 1000), scale=st.sampled_from((0.0, 1.0, 30.0, 1e4)))
def test_the_lists_are_consistent(cast: list[tuple[int, str | None]], seed: int, scale: float) -> None:
    """Characters sum to 1; a show's probability is the sum of its characters', a type's likewise; all are in 0..1."""
    hierarchy = hierarchy_of(cast)
    found = random_heads(hierarchy, seed, scale).probabilities(vectors(seed))
    np.testing.assert_allclose(found.character.sum(axis=1), 1.0, atol=1e-9)
    for show in range(len(hierarchy.shows)):
        np.testing.assert_allclose(
            found.show[:, show], found.character[:, hierarchy.show_of == show].sum(axis=1), atol=1e-9
        )
    for kind in range(len(TYPE_NAMES)):
        np.testing.assert_allclose(
            found.type[:, kind], found.character[:, hierarchy.type_of == kind].sum(axis=1), atol=1e-9
        )
    for probabilities in (found.type, found.character, found.show):
        assert (probabilities >= 0).all()
        assert (probabilities <= 1).all()


def test_no_sum_exceeds_certainty() -> None:
    """Where one show or type has all 200 characters, its probability is 1 and not a rounding error more."""
    hierarchy = hierarchy_of([(0, "male")] * 200)
    for seed in range(20):
        found = random_heads(hierarchy, seed).probabilities(vectors(seed, 40))
        assert found.show.max() <= 1
        assert found.type.max() <= 1


def test_a_score_is_the_sum_of_three_scores() -> None:
    """The probabilities are one softmax over character, show and type scores added up."""
    hierarchy = hierarchy_of([(0, "male"), (0, "female"), (1, "male")])
    heads, embeddings = random_heads(hierarchy, 1), vectors(2)
    scores = {name: embeddings @ heads.weights[name].T + heads.biases[name] for name in SPACES}
    joint = scores["character"] + scores["show"][:, hierarchy.show_of] + scores["type"][:, hierarchy.type_of]
    expected = np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(heads.probabilities(embeddings).character, expected, rtol=1e-5)


def test_untyped_characters_count_for_no_type() -> None:
    """Where the library tells no type, the type list sums to less than 1 and everything else goes on."""
    hierarchy = hierarchy_of([(0, "male"), (0, None), (1, None)])
    found = random_heads(hierarchy, 3).probabilities(vectors(4))
    typed = hierarchy.type_of != UNTYPED
    np.testing.assert_allclose(found.type.sum(axis=1), found.character[:, typed].sum(axis=1))
    assert (found.type.sum(axis=1) < 1).all()


def test_without_any_type_the_type_list_is_zero() -> None:
    """A library without characters.csv still gets characters and shows."""
    found = random_heads(hierarchy_of([(0, None), (1, None)]), 5).probabilities(vectors(6))
    assert not found.type.any()
    np.testing.assert_allclose(found.show.sum(axis=1), 1.0)


def test_an_untyped_character_gets_the_types_mean() -> None:
    """The type head neither favours nor handicaps an untyped character: equal type scores change nothing."""
    hierarchy = hierarchy_of([(0, "male"), (0, None)])
    heads = random_heads(hierarchy, 7)
    flat = {**heads.weights, "type": np.zeros((3, DIMENSION), np.float32)}
    without = replace(heads, weights=flat, biases={**heads.biases, "type": np.zeros(3, np.float32)})
    raised = replace(heads, weights=flat, biases={**heads.biases, "type": np.full(3, 9.0, np.float32)})
    embeddings = vectors(8)
    np.testing.assert_allclose(
        raised.probabilities(embeddings).character, without.probabilities(embeddings).character, rtol=1e-6
    )


def test_temperature_softens_and_keeps_the_order() -> None:
    """A high temperature makes the best character less sure, a low one surer, and the order stays."""
    heads, embeddings = random_heads(hierarchy_of([(n % 3, "male") for n in range(8)]), 9), vectors(10)
    cold, plain, warm = (
        replace(heads, temperatures=dict.fromkeys(SPACES, temperature)).probabilities(embeddings).character
        for temperature in (0.25, 1.0, 4.0)
    )
    assert (cold.max(axis=1) > plain.max(axis=1)).all()
    assert (plain.max(axis=1) > warm.max(axis=1)).all()
    assert np.array_equal(cold.argsort(axis=1), warm.argsort(axis=1))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("space", SPACES)
def test_each_label_space_has_its_own_temperature(space: str, *, joint: bool) -> None:
    """A temperature of 2 in one label space is what half the weights and biases of that space would give."""
    hierarchy = hierarchy_of([(0, "male"), (1, "female"), (1, None)])
    heads, embeddings = replace(random_heads(hierarchy, 21), joint=joint), vectors(22)
    halved = replace(
        heads,
        weights={**heads.weights, space: heads.weights[space] * np.float32(0.5)},
        biases={**heads.biases, space: heads.biases[space] * np.float32(0.5)},
    )
    found = replace(heads, temperatures={space: 2.0}).probabilities(embeddings)
    for name in SPACES:
        expected = getattr(halved.probabilities(embeddings), name)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-5)
    plain = heads.probabilities(embeddings)
    changed = {name for name in SPACES if not np.allclose(getattr(found, name), getattr(plain, name))}
    assert changed == (set(SPACES) if joint else {space})


def test_a_line_scales_and_shifts_a_characters_own_score() -> None:
    """A slope of 2 and a shift of 3 are what twice that character's weights and bias, and 3 more, would give."""
    hierarchy = hierarchy_of([(0, "male"), (1, "female"), (1, None)])
    heads, embeddings = random_heads(hierarchy, 31), vectors(32)
    slopes, shifts = np.array([1.0, 2.0, 0.5], np.float32), np.array([0.0, 3.0, -1.0], np.float32)
    by_hand = replace(
        heads,
        weights={**heads.weights, "character": heads.weights["character"] * slopes[:, np.newaxis]},
        biases={**heads.biases, "character": heads.biases["character"] * slopes + shifts},
    )
    found = replace(heads, slopes=slopes, shifts=shifts)
    for name in SPACES:
        expected = getattr(by_hand.probabilities(embeddings), name)
        np.testing.assert_allclose(getattr(found.probabilities(embeddings), name), expected, rtol=1e-4)
    read = Heads.from_tensors(hierarchy, found.to_tensors())
    assert np.array_equal(read.probabilities(embeddings).character, found.probabilities(embeddings).character)
    with pytest.raises(LabelMismatch, match="no slopes for the 3 labels"):
        Heads.from_tensors(hierarchy, {**found.to_tensors(), "slopes": slopes[:2]})


def test_separate_heads_know_nothing_of_each_other() -> None:
    """Each label space has a softmax of its own scores: no list depends on the other heads' weights."""
    hierarchy = hierarchy_of([(0, "male"), (0, "female"), (1, None)])
    heads, embeddings = replace(random_heads(hierarchy, 23, 3.0), joint=False), vectors(24)
    found = heads.probabilities(embeddings)
    for space in SPACES:
        powers = np.exp(embeddings.astype(np.float64) @ heads.weights[space].T + heads.biases[space])
        np.testing.assert_allclose(getattr(found, space), powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)
    sums = found.character @ np.eye(2)[hierarchy.show_of]
    assert not np.allclose(found.show, sums, atol=0.05)


def test_consistent_heads_keep_the_characters_and_let_them_decide() -> None:
    """Separate heads become joint ones with the same characters, whose sums are the shows and types."""
    hierarchy = hierarchy_of([(0, "male"), (0, "female"), (1, "male"), (1, None)])
    heads = replace(random_heads(hierarchy, 25, 3.0), joint=False, temperatures={"character": 1.7, "type": 0.3})
    embeddings = vectors(26)
    found = heads.consistent().probabilities(embeddings)
    np.testing.assert_allclose(found.character, heads.probabilities(embeddings).character, rtol=1e-6)
    np.testing.assert_allclose(found.show, found.character @ np.eye(2)[hierarchy.show_of], rtol=1e-9)
    typed = hierarchy.type_of != UNTYPED
    np.testing.assert_allclose(found.type, found.character[:, typed] @ np.eye(3)[hierarchy.type_of[typed]], rtol=1e-9)


def test_joint_heads_are_consistent_already() -> None:
    """Nothing is taken from heads whose lists agree."""
    heads = random_heads(hierarchy_of([(0, "male"), (1, None)]), 27)
    assert heads.consistent() is heads


def test_probabilities_are_those_of_the_scores() -> None:
    """Scores that were computed once can be combined under other temperatures later."""
    heads, embeddings = random_heads(hierarchy_of([(0, "male"), (1, None), (1, "female")]), 28), vectors(29)
    scores = heads.scores(embeddings)
    assert {space: rows.shape for space, rows in scores.items()} == {
        "type": (6, 3),
        "character": (6, 3),
        "show": (6, 2),
    }
    warm = replace(heads, temperatures={"character": 3.0, "show": 0.5})
    assert np.array_equal(warm.combined(scores).character, warm.probabilities(embeddings).character)


def test_no_pictures_have_no_probabilities() -> None:
    """Nothing asked, nothing said: there is a row for each picture, also where there is none."""
    for joint in (True, False):
        heads = replace(random_heads(hierarchy_of([(0, "male"), (1, None)]), 30), joint=joint)
        found = heads.probabilities(np.zeros((0, DIMENSION), np.float32))
        assert (found.type.shape, found.character.shape, found.show.shape) == ((0, 3), (0, 2), (0, 2))


def test_a_batch_equals_single_calls() -> None:
    """A picture's labels do not depend on which others are asked about in the same batch."""
    heads, embeddings = random_heads(hierarchy_of([(n % 3, None) for n in range(8)]), 11), vectors(12)
    together = heads.probabilities(embeddings).character
    alone = np.concatenate([heads.probabilities(row[np.newaxis]).character for row in embeddings])
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_tensors_round_trip() -> None:
    """What `to_tensors` gives is what `from_tensors` reads."""
    heads = random_heads(hierarchy_of([(0, "male"), (1, None)]), 13)
    again = Heads.from_tensors(heads.hierarchy, heads.to_tensors())
    assert np.array_equal(again.probabilities(vectors(1)).character, heads.probabilities(vectors(1)).character)


@pytest.mark.parametrize("name", [f"{space}.{part}" for space in SPACES for part in ("weight", "bias")])
def test_heads_of_other_labels_are_refused(name: str) -> None:
    """A tensor that is missing or has another number of rows than there are labels is named in a LabelMismatch."""
    heads = random_heads(hierarchy_of([(0, "male"), (1, None), (1, None)]), 14)
    tensors = heads.to_tensors()
    with pytest.raises(LabelMismatch, match=name):
        Heads.from_tensors(heads.hierarchy, {**tensors, name: tensors[name][:-1]})
    del tensors[name]
    with pytest.raises(LabelMismatch, match=name):
        Heads.from_tensors(heads.hierarchy, tensors)
