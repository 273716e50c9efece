"""`recommender.calibration`: when the model is sure of a label, and what a similarity means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.calibration import Calibration
from recommender.types import Prediction, Verdict

THRESHOLDS = {"character": 0.8, "show": 0.6, "type": 0.9}
CALIBRATION = Calibration(1.5, 0.95, THRESHOLDS, similarity=(-0.2, 0.4, 0.7), probability=(0.01, 0.2, 0.9))


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
        ((0.80, 0.95, 0.99), Verdict("character", "sea/bob", 0.80)),
        ((0.79, 0.95, 0.99), Verdict("show", "sea", 0.95)),
        ((0.79, 0.59, 0.90), Verdict("type", "male", 0.90)),
        ((0.79, 0.59, 0.89), Verdict("unknown", None, 1.0 - 0.89)),
    ],
)
def test_the_verdict_is_the_most_specific_sure_level(
    probabilities: tuple[float, float, float], verdict: Verdict
) -> None:
    """A level is believed from its threshold on; where none is, the verdict is `unknown` without a label."""
    assert CALIBRATION.verdict(best(*probabilities)) == verdict


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_thresholds_above_one_are_never_reached(probabilities: tuple[float, float, float]) -> None:
    """A level whose precision was not to be had is never believed, and the doubt stays within 0..1."""
    verdict = Calibration(thresholds=dict.fromkeys(THRESHOLDS, 1.01)).verdict(best(*probabilities))
    assert (verdict.level, verdict.label) == ("unknown", None)
    assert 0 <= verdict.probability <= 1


def test_without_thresholds_only_certainty_is_believed() -> None:
    """A calibration that was never measured believes no label below 1."""
    assert Calibration().verdict(best(0.999, 0.999, 0.999)).level == "unknown"


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_more_similar_is_never_less_likely(one: float, other: float) -> None:
    """The chance of the same character never falls as the cosine rises, and is a probability even beyond -1..1."""
    low, high = sorted((one, other))
    assert 0 <= CALIBRATION.same_character(low) <= CALIBRATION.same_character(high) <= 1


@pytest.mark.parametrize(
    ("similarity", "probability"), [(-1.0, 0.01), (-0.2, 0.01), (0.1, 0.105), (0.4, 0.2), (0.55, 0.55), (1.0, 0.9)]
)
def test_the_map_is_linear_between_its_knots(similarity: float, probability: float) -> None:
    """Between two knots the chance is interpolated; beyond the outer ones it stays as they are."""
    assert CALIBRATION.same_character(similarity) == pytest.approx(probability)


def test_json_round_trip() -> None:
    """What is written as JSON is read back equal."""
    assert Calibration.from_json(json.loads(json.dumps(CALIBRATION.to_json()))) == CALIBRATION
