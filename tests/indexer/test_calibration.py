"""`indexer.evaluation.calibration`: how sure the model says it is, is how often it is right."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from indexer.evaluation.calibration import LEAST, PRECISION, calibrate
from indexer.samples import Part
from recommender.calibration import Calibration
from recommender.heads import Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, Prediction, Show

SHOWS = (Show("one", "One"), Show("two", "Two"))
CAST = Hierarchy.of(
    [
        Character(f"c{number}", f"C{number}", SHOWS[number % 2], (None, "male", "female")[number % 3])
        for number in range(6)
    ]
)
COUNT = len(CAST.characters)
LEVELS = ("character", "show", "type")


def _heads(temperature: float = 1.0, hierarchy: Hierarchy = CAST) -> Heads:
    """Return heads whose character scores are the embedding itself."""
    count = len(hierarchy.characters)
    weights = {space.name: np.zeros((len(space), count), np.float32) for space in hierarchy.spaces}
    weights["character"] = np.eye(count, dtype=np.float32)
    biases: dict[str, Matrix] = {space.name: np.zeros(len(space), np.float32) for space in hierarchy.spaces}
    return Heads(hierarchy, weights, biases, temperature)


def _honest(count: int, seed: int, strength: float = 2.0) -> Part:
    """Return scores, and labels that are drawn with just the probabilities that the scores stand for."""
    rng = np.random.default_rng(seed)
    scores = (strength * rng.standard_normal((count, COUNT))).astype(np.float32)
    probabilities = _heads().probabilities(scores).character
    drawn = (rng.random((count, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=COUNT - 1)
    return Part(scores, drawn.astype(np.int64))


def _clusters(each: int, seed: int, noise: float = 0.6) -> Part:
    """Return unit vectors around one axis for each character."""
    rng = np.random.default_rng(seed)
    characters = np.repeat(np.arange(COUNT), each)
    vectors = np.eye(COUNT)[characters] + noise * rng.standard_normal((len(characters), COUNT))
    return Part((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), characters)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_over_confidence_is_found(factor: float) -> None:
    """Scores that are too large by a factor get that factor as temperature, and those too small get one below 1."""
    honest = _honest(3000, seed=0)
    boasting = Part(honest.embeddings * np.float32(factor), honest.characters)
    found = calibrate(_heads(), _clusters(5, seed=1), boasting)
    assert found.temperature == pytest.approx(factor, rel=0.08)


def test_thresholds_reach_the_precision_that_they_promise() -> None:
    """On the pictures they were chosen on, the labels at or above a threshold are right often enough, at each level."""
    validation = _honest(2000, seed=2, strength=5.0)
    found = calibrate(_heads(), _clusters(5, seed=1), validation)
    probabilities = replace(_heads(), temperature=found.temperature).probabilities(validation.embeddings)
    truths = {
        "character": validation.characters,
        "show": CAST.show_of[validation.characters],
        "type": CAST.type_of[validation.characters],
    }
    assert found.precision == PRECISION
    for level in LEVELS:
        guesses = getattr(probabilities, level)
        counts = (truths[level] >= 0) & (guesses.max(axis=1) >= found.thresholds[level])
        assert np.count_nonzero(counts) >= LEAST
        assert (guesses.argmax(axis=1) == truths[level])[counts].mean() >= PRECISION
        assert 0 < found.thresholds[level] <= 1


def test_a_level_that_is_never_right_enough_is_never_believed() -> None:
    """Where guesses are no better than chance no probability is enough, not even 1."""
    validation = _honest(500, seed=3, strength=0.01)
    found = calibrate(_heads(), _clusters(5, seed=1), validation)
    assert found.thresholds["character"] > 1
    assert found.verdict({"character": Prediction("one/c0", 1.0)}).level == "unknown"


def test_the_similarity_map_never_falls_and_is_a_probability() -> None:
    """The nearer two pictures, the likelier they show one character: never less likely, always in 0..1."""
    training, validation = _clusters(30, seed=1), _clusters(15, seed=2)
    found = calibrate(_heads(), training, validation)
    assert all(one < other for one, other in itertools.pairwise(found.similarity))
    assert all(one <= other for one, other in itertools.pairwise(found.probability))
    assert 0 <= min(found.probability) <= max(found.probability) <= 1
    assert len(found.similarity) == len(found.probability)
    chances = [found.same_character(similarity) for similarity in np.linspace(-1, 1, 50)]
    assert chances == sorted(chances)
    assert found.same_character(1.0) > found.same_character(-1.0)


def test_the_similarity_map_is_right_on_average() -> None:
    """Over the pairs of an answer (a picture's nearest neighbours) the chances add up to what is found."""
    training, validation = _clusters(40, seed=1), _clusters(20, seed=2)
    found = calibrate(_heads(), training, validation)
    fresh = _clusters(20, seed=3)
    cosines = fresh.embeddings @ training.embeddings.T
    nearest = np.argsort(-cosines, axis=1)[:, :12]
    chances = [found.same_character(float(cosine)) for cosine in np.take_along_axis(cosines, nearest, 1).ravel()]
    same = training.characters[nearest] == fresh.characters[:, np.newaxis]
    assert np.mean(chances) == pytest.approx(same.mean(), abs=0.05)


def test_without_validation_pictures_it_is_never_sure() -> None:
    """Nothing was measured: whatever the probabilities, the verdict is unknown."""
    nothing = Part(np.empty((0, COUNT), np.float32), np.empty(0, np.int64))
    found = calibrate(_heads(), _clusters(5, seed=1), nothing)
    assert found.temperature == 1
    best = {level: Prediction("x", 1.0) for level in LEVELS}
    assert found.verdict(best).level == "unknown"


@pytest.mark.parametrize(("trained", "validated"), [(1, 1), (1, 3), (2, 1), (COUNT, 2)])
def test_tiny_parts_are_enough(trained: int, validated: int) -> None:
    """One picture in each part gives a calibration that can be used: sure of nothing, every number in its range."""
    everything = _clusters(1, seed=1)
    training = Part(everything.embeddings[:trained], everything.characters[:trained])
    validation = Part(everything.embeddings[:validated], everything.characters[:validated])
    found = calibrate(_heads(), training, validation)
    assert 0.01 < found.temperature < 100
    assert all(threshold > 1 for threshold in found.thresholds.values())
    assert 0 <= found.same_character(0.5) <= 1
    assert Calibration.from_json(found.to_json()) == found


def test_a_library_without_types_is_never_sure_of_one() -> None:
    """Where no character has a type there is nothing to measure, and nothing fails."""
    untyped = Hierarchy.of([replace(character, type=None) for character in CAST.characters])
    found = calibrate(_heads(hierarchy=untyped), _clusters(5, seed=1), _clusters(5, seed=2))
    assert found.thresholds["type"] > 1
