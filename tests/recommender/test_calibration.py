"""`recommender.calibration`: when the model is sure of a label, and what a similarity means."""

from __future__ import annotations

import json
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.calibration import LEVELS, Calibration, Certainty, Nearness, ProbabilityMap
from recommender.types import Prediction, Verdict

CERTAINTY = {
    "character": Certainty(threshold=0.8),
    "show": Certainty(threshold=0.6),
    "type": Certainty(threshold=0.9),
}
MAP = ProbabilityMap((-0.2, 0.4, 0.7), (0.01, 0.2, 0.9))
CALIBRATION = Calibration(
    {"character": 1.5, "show": 0.7, "type": 2.0},
    0.9,
    {**CERTAINTY, "show": Certainty(0.6, bias=-9.0, odds=0.5, nearest=7.0, label=3.0)},
    same_character=MAP,
    same_show=ProbabilityMap((0.0, 0.5), (0.1, 0.6)),
    character_score=ProbabilityMap((0.1, 0.8), (0.0, 0.7)),
    show_score=ProbabilityMap((0.2, 0.9), (0.2, 1.0)),
)
HERE = Nearness(0.9, dict.fromkeys(LEVELS, 0.9))
SHARES = st.floats(0, 1)
COSINES = st.floats(-1, 1)
SLOPES = st.floats(0, 50)


def best(character: float, show: float, type_: float) -> dict[str, Prediction]:
    """Return the best label of each level with the given probability."""
    return {
        "type": Prediction("male", type_),
        "character": Prediction("sea/bob", character),
        "show": Prediction("sea", show),
    }


@pytest.mark.parametrize(
    ("probabilities", "verdict"),
    [
        ((0.81, 0.95, 0.99), Verdict("character", "sea/bob", 0.81)),
        ((0.79, 0.95, 0.99), Verdict("show", "sea", 0.95)),
        ((0.79, 0.59, 0.91), Verdict("type", "male", 0.91)),
        ((0.79, 0.59, 0.89), Verdict("unknown", None, 1.0 - 0.89)),
        ((0.79, 0.20, 0.30), Verdict("unknown", None, 1.0 - 0.79)),
    ],
)
def test_the_verdict_is_the_most_specific_sure_level(
    probabilities: tuple[float, float, float], verdict: Verdict
) -> None:
    """A level is believed from its threshold on; where none is, the verdict is `unknown` without a label.

    A Certainty that was given nothing but a threshold takes a label's probability as it is.
    """
    found = Calibration(certainty=CERTAINTY).verdict(best(*probabilities), Nearness())
    assert (found.level, found.label) == (verdict.level, verdict.label)
    assert found.probability == pytest.approx(verdict.probability)


def test_a_certainty_that_is_reached_exactly_is_enough() -> None:
    """The least certainty that was right often enough counts itself."""
    exactly = Certainty().probability(0.8, 0.0, 0.0)
    certainty = Certainty(threshold=exactly)
    assert Calibration(certainty={"show": certainty}).verdict(best(0.1, 0.8, 0.1), Nearness()).level == "show"


@pytest.mark.parametrize(
    ("inputs", "log_odds"),
    [
        ((0.5, 0.0, 0.0), -1.0),
        ((0.9, 0.0, 0.0), -1.0 + 2.0 * log(9)),
        ((0.5, 1.0, 0.0), -1.0 + 4.0),
        ((0.5, 0.0, 0.5), -1.0 + 3.0),
        ((0.1, 0.5, -0.5), -1.0 - 2.0 * log(9) + 2.0 - 3.0),
    ],
)
def test_certainty_is_a_logistic_regression(inputs: tuple[float, float, float], log_odds: float) -> None:
    """The log-odds are the bias, twice those of the probability, four times one cosine and six times the other."""
    certainty = Certainty(bias=-1.0, odds=2.0, nearest=4.0, label=6.0)
    assert certainty.probability(*inputs) == pytest.approx(1 / (1 + exp(-log_odds)))


@given(
    st.tuples(SHARES, COSINES, COSINES),
    st.builds(Certainty, bias=st.floats(-100, 100), odds=SLOPES, nearest=SLOPES, label=SLOPES),
)
def test_certainty_is_a_probability(inputs: tuple[float, float, float], certainty: Certainty) -> None:
    """Whatever was fitted and whatever the softmax says, even 0 or 1, it lies within 0..1, and no warning is given."""
    assert 0 <= certainty.probability(*inputs) <= 1


@pytest.mark.parametrize(
    ("nearness", "level"),
    [
        (Nearness(0.9, dict.fromkeys(LEVELS, 0.9)), "character"),
        (Nearness(0.9, {"character": 0.2, "show": 0.9, "type": 0.9}), "show"),
        (Nearness(0.9, {"show": 0.9}), "show"),
        (Nearness(0.2, dict.fromkeys(LEVELS, 0.2)), "unknown"),
        (Nearness(), "unknown"),
    ],
)
def test_a_sure_softmax_is_not_believed_about_what_nothing_resembles(nearness: Nearness, level: str) -> None:
    """With the same 0.99 for each label, it is the cosines that decide which of them is believed.

    A level of which no stored picture is near, and a catalogue without pictures, count as a cosine of 0.
    """
    certainty = Certainty(threshold=0.9, bias=-12.0, odds=1.0, nearest=6.0, label=6.0)
    found = Calibration(certainty=dict.fromkeys(LEVELS, certainty)).verdict(best(0.99, 0.99, 0.99), nearness)
    assert found.level == level
    assert (found.label is None) == (level == "unknown")


def test_a_level_without_labels_is_passed_over() -> None:
    """Where the model has no types, as where it has nothing at all, the others decide, and nothing fails."""
    calibration = Calibration(certainty=CERTAINTY)
    some = best(0.1, 0.7, 0.99)
    del some["type"]
    assert calibration.verdict(some, HERE).level == "show"
    assert calibration.verdict({}, HERE) == Verdict("unknown", None, 1.0)


@given(st.tuples(SHARES, SHARES, SHARES), COSINES)
def test_thresholds_above_one_are_never_reached(probabilities: tuple[float, float, float], cosine: float) -> None:
    """A level whose precision was not to be had is never believed, and the doubt stays within 0..1."""
    never = Certainty(threshold=1.01, bias=90.0, nearest=9.0)
    nearness = Nearness(cosine, dict.fromkeys(LEVELS, cosine))
    verdict = Calibration(certainty=dict.fromkeys(LEVELS, never)).verdict(best(*probabilities), nearness)
    assert (verdict.level, verdict.label) == ("unknown", None)
    assert 0 <= verdict.probability <= 1


def test_what_was_never_measured_is_never_believed() -> None:
    """A calibration without any certainty believes no label, not even where the softmax says 1."""
    assert Calibration().verdict(best(1.0, 1.0, 1.0), HERE).level == "unknown"


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_more_similar_is_never_less_likely(one: float, other: float) -> None:
    """A chance never falls as the similarity rises, and is a probability even beyond -1..1."""
    low, high = sorted((one, other))
    assert 0 <= MAP(low) <= MAP(high) <= 1


@pytest.mark.parametrize(
    ("similarity", "probability"), [(-1.0, 0.01), (-0.2, 0.01), (0.1, 0.105), (0.4, 0.2), (0.55, 0.55), (1.0, 0.9)]
)
def test_the_map_is_linear_between_its_knots(similarity: float, probability: float) -> None:
    """Between two knots the chance is interpolated; beyond the outer ones it stays as they are."""
    assert MAP(similarity) == pytest.approx(probability)


def test_json_round_trip() -> None:
    """What is written as JSON is read back equal, each map and each level under its own name."""
    assert Calibration.from_json(json.loads(json.dumps(CALIBRATION.to_json()))) == CALIBRATION
    assert Calibration.from_json(json.loads(json.dumps(Calibration().to_json()))) == Calibration()
