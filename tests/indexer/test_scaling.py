"""`indexer.evaluation.scaling`: probabilities that may be taken at their word."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.evaluation.scaling import HOTTEST, SPREAD, calibrated, fit_lines, fit_scaling, fit_temperatures, scores_of
from indexer.evaluation.scores import reliability
from indexer.samples import Part
from recommender.heads import SPACES, Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix
from tests.indexer.casts import CAST, SHOWS, plain_heads

pytestmark = pytest.mark.slow

TYPED = Hierarchy.of([replace(character, type=character.type or "non-human") for character in CAST.characters])


# Temperatures


def _scores(count: int, seed: int) -> dict[str, Matrix]:
    """Return scores of count pictures in each label space."""
    draw = np.random.default_rng(seed)
    return {
        space: (1.5 * draw.standard_normal((count, len(labels)))).astype(np.float32)
        for space, labels in zip(SPACES, CAST.spaces, strict=True)
    }


def _drawn(probabilities: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Draw a label for each row, with just these probabilities."""
    dice = np.random.default_rng(seed).random((len(probabilities), 1))
    labels = (dice > probabilities.cumsum(axis=1)).sum(axis=1)
    return np.asarray(np.minimum(labels, probabilities.shape[1] - 1), dtype=np.int64)


def _boasting(scores: Mapping[str, Matrix], factors: Mapping[str, float]) -> dict[str, Matrix]:
    return {space: rows * np.float32(factors.get(space, 1.0)) for space, rows in scores.items()}


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_over_confidence_is_found(factor: float) -> None:
    """Scores that are too large by a factor get that factor as temperature, and those too small get one below 1."""
    scores = _scores(5000, seed=0)
    characters = _drawn(plain_heads().combined(scores).character, seed=1)
    found = fit_temperatures(plain_heads(), _boasting(scores, dict.fromkeys(SPACES, factor)), characters)
    for space in SPACES:
        assert found[space] == pytest.approx(factor, rel=0.15)
    assert found["character"] == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("joint", [True, False])
def test_each_label_space_has_a_temperature_of_its_own(*, joint: bool) -> None:
    """Heads that boast of characters, are modest about shows and right about types get three temperatures."""
    scores, factors = _scores(8000, seed=2), {"character": 3.0, "show": 0.4, "type": 1.0}
    honest = plain_heads(TYPED).combined(scores)
    if not joint:  # what three heads that know nothing of each other would have to say
        scores = {space: np.log(getattr(honest, space) + 1e-12).astype(np.float32) for space in SPACES}
    characters = _drawn(honest.character, seed=3)
    found = fit_temperatures(plain_heads(TYPED, joint=joint), _boasting(scores, factors), characters)
    assert found == pytest.approx(factors, rel=0.1)


def test_a_temperature_makes_what_is_said_as_likely_as_can_be() -> None:
    """No common warmer or colder temperatures give the true labels a higher likelihood."""
    scores = _boasting(_scores(800, seed=4), {"character": 2.0, "show": 5.0})
    characters = _drawn(plain_heads().combined(_scores(800, seed=4)).character, seed=5)
    best = fit_temperatures(plain_heads(), scores, characters)
    rows = np.arange(800)
    types = CAST.type_of[characters]

    def loss(temperatures: Mapping[str, float]) -> float:
        said = replace(plain_heads(), temperatures=temperatures).combined(scores)
        typed = -np.log(said.type[rows, types][types >= 0]).mean()
        named = -np.log(said.character[rows, characters]) - np.log(said.show[rows, CAST.show_of[characters]])
        return float(named.mean() + typed)

    for space, factor in itertools.product(SPACES, (0.8, 1.25)):
        assert loss({**best, space: best[space] * factor}) > loss(best) - 1e-3


@pytest.mark.parametrize("count", [1, 4, 20])
def test_a_few_right_answers_ask_for_no_boundless_confidence(count: int) -> None:
    """Where all of n pictures are right by the same margin, the model is as sure as if one more had been wrong.

    In a single show without types only the characters count: their probability comes to 1 - 1/(n+2).
    """
    plain = Hierarchy.of([Character(name, name, SHOWS[0]) for name in "ab"])
    heads = plain_heads(plain)
    scores: dict[str, Matrix] = {
        "type": np.zeros((count, 3), np.float32),
        "character": np.tile(np.array([[2.0, 0.0]], np.float32), (count, 1)),
        "show": np.zeros((count, 1), np.float32),
    }
    found = fit_temperatures(heads, scores, np.zeros(count, np.int64))
    said = replace(heads, temperatures=found).combined(scores)
    assert said.character[:, 0] == pytest.approx(1 - 1 / (count + 2), abs=0.01)
    assert all(1 / HOTTEST <= temperature <= HOTTEST for temperature in found.values())


# Slopes and shifts

# Of the first show's characters the scores say too little, of the second's too much; the first is rarer than it seems.
CROOKED = replace(
    plain_heads(TYPED),
    temperatures=dict.fromkeys(SPACES, 1.0),
    slopes=np.array([2.0, 0.5, 2.0, 0.5, 2.0, 0.5], np.float32),
    shifts=np.array([-1.0, 0.0, 0.0, 0.0, 0.0, 0.5], np.float32),
)


def _error(heads: Heads, scores: Mapping[str, Matrix], characters: NDArray[np.int64]) -> float:
    """Return the calibration error of the characters."""
    found = heads.combined(scores).character
    return reliability(found.max(axis=1), found.argmax(axis=1) == characters).error or 0.0


def test_characters_that_are_told_apart_unequally_well_get_lines_of_their_own() -> None:
    """Where no temperature fits all characters, slopes and shifts are found, and hold for other pictures too."""
    scores, fresh = _scores(20_000, seed=20), _scores(5_000, seed=21)
    characters = _drawn(CROOKED.combined(scores).character, seed=22)
    truth = _drawn(CROOKED.combined(fresh).character, seed=23)
    warm = replace(plain_heads(TYPED), temperatures=fit_temperatures(plain_heads(TYPED), scores, characters))
    found = fit_scaling(plain_heads(TYPED), scores, characters)
    assert found.slopes is not None
    assert found.shifts is not None
    assert found.slopes / found.temperatures["character"] == pytest.approx(CROOKED.slopes, rel=0.25)  # the prior pulls
    assert found.shifts - found.shifts[1] == pytest.approx(CROOKED.shifts, abs=0.25)
    assert _error(warm, fresh, truth) > 0.02
    assert _error(found, fresh, truth) < 0.6 * _error(warm, fresh, truth)


def test_a_few_pictures_move_no_line() -> None:
    """What three pictures say about a character is mostly luck: slopes stay near 1, shifts near 0."""
    scores, characters = _scores(3, seed=24), np.array([0, 1, 1])
    found = fit_lines(
        replace(plain_heads(), temperatures=fit_temperatures(plain_heads(), scores, characters)), scores, characters
    )
    assert found.slopes is not None
    assert found.shifts is not None
    assert np.abs(np.log(found.slopes)).max() < SPREAD
    assert np.abs(found.shifts).max() < SPREAD


def test_lines_are_where_the_loss_is_least() -> None:
    """A slope or a shift that is a little larger or smaller makes the true labels, and the prior, less likely."""
    scores, count = _scores(600, seed=25), len(CAST.characters)
    characters = _drawn(plain_heads().combined(_boasting(scores, {"character": 2.0})).character, seed=26)
    heads = replace(plain_heads(), temperatures=dict.fromkeys(SPACES, 1.0))
    best = fit_lines(heads, scores, characters)
    assert best.slopes is not None
    assert best.shifts is not None
    rows, types, doubt = np.arange(600), CAST.type_of[characters], 1 / 602

    def loss(slopes: Matrix, shifts: Matrix) -> float:
        said = replace(heads, slopes=slopes, shifts=shifts).combined(scores)
        true = (
            said.character[rows, characters],
            said.show[rows, CAST.show_of[characters]],
            said.type[rows, types][types >= 0],
        )
        entropy = sum(float(-((1 - doubt) * np.log(one) + doubt * np.log1p(-one)).mean()) for one in true)
        return entropy + float((np.log(slopes) ** 2).sum() + (shifts**2).sum()) / (2 * SPREAD**2 * 600)

    least = loss(best.slopes, best.shifts)
    for number, step in itertools.product(range(count), (-0.1, 0.1)):
        moved = np.where(np.arange(count) == number, step, 0.0).astype(np.float32)
        assert loss(best.slopes * np.exp(moved), best.shifts) > least
        assert loss(best.slopes, best.shifts + moved) > least


def test_fewer_characters_keep_their_own_lines() -> None:
    """Heads that are trained without somebody are calibrated as those that know everybody, character by character."""
    few = Hierarchy(tuple(CAST.characters[number] for number in (4, 1)))
    everybody = replace(plain_heads(), temperatures={"character": 2.0}, slopes=CROOKED.slopes, shifts=CROOKED.shifts)
    found = plain_heads(few).calibrated_like(everybody)
    places = [CAST.character_space.positions[label] for label in few.character_space.labels]
    assert found.temperatures == {"character": 2.0}
    assert found.slopes is not None
    assert everybody.slopes is not None
    assert found.shifts is not None
    assert everybody.shifts is not None
    assert np.array_equal(found.slopes, everybody.slopes[places])
    assert np.array_equal(found.shifts, everybody.shifts[places])
    assert found.uncalibrated.slopes is None


def test_separate_heads_get_temperatures_alone() -> None:
    """Three lists that know nothing of each other have no common likelihood."""
    part = Part(np.eye(6, dtype=np.float32), np.arange(6), np.arange(6))
    assert calibrated(plain_heads(joint=False), part).slopes is None
    assert calibrated(plain_heads(), part).slopes is not None


def test_without_pictures_heads_stay_as_they_are() -> None:
    """Nothing was measured, nothing changes."""
    heads, nobody = plain_heads(), np.zeros(0, np.int64)
    assert calibrated(heads, Part(np.eye(6, dtype=np.float32), nobody, nobody)) is heads


# Reading


def test_scores_are_those_of_all_pictures_in_order() -> None:
    """Read block by block, they are what the heads give for all vectors at once."""
    vectors = np.random.default_rng(9).standard_normal((1200, len(CAST.characters))).astype(np.float32)
    heads, part = plain_heads(), Part.of(vectors, np.zeros(1200, np.int64))  # more than a block
    found = scores_of(heads, part)
    for space, expected in heads.scores(part.embeddings()).items():
        np.testing.assert_allclose(found[space], expected, atol=1e-6)
