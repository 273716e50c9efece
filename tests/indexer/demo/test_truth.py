"""`indexer.demo.truth`: what is true of drawn shows, worked out by hand, by chance, and by SciPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from indexer.demo.production import dice_of
from indexer.demo.style import RANGES, Style, random_style
from indexer.demo.truth import distance, ndcg, popularity, random_ndcg, relevance, spearman

USUAL = Style()
TRUTH = {"near": 1.0, "middle": 0.5, "far": 0.25, "farthest": 0.0}
"""Made so that discounts of 1, 1 / log2(3) and 1 / log2(4) = 1 / 2 can be reckoned with."""
BEST = 1.0 + 0.5 / math.log2(3) + 0.25 / 2


def test_distance_counts_numbers_by_their_range_and_choices_as_one() -> None:
    """A number at its other end and another choice are at distance 1 each, and together at the root of two."""
    low, high = replace(USUAL, grain=0.0), replace(USUAL, grain=1.0)
    other = replace(USUAL, eye="dot" if USUAL.eye != "dot" else "tall")
    assert distance(low, high) == pytest.approx(1.0)
    assert distance(USUAL, other) == pytest.approx(1.0)
    assert distance(low, replace(other, grain=1.0)) == pytest.approx(math.sqrt(2))
    assert distance(other, USUAL) == distance(USUAL, other)
    assert distance(USUAL, USUAL) == 0.0


def test_relevance_falls_in_proportion_to_the_distance() -> None:
    """At distances 0.2, 0.5 and 0.6 it is 1, 1/4 and 0, and the nearest comes first."""
    asked = replace(USUAL, grain=0.0)
    shows = {"far": replace(USUAL, grain=0.6), "near": replace(USUAL, grain=0.2), "middle": replace(USUAL, grain=0.5)}
    found = relevance(asked, shows)
    assert list(found) == ["near", "middle", "far"]
    assert found == pytest.approx({"near": 1.0, "middle": 0.25, "far": 0.0})


def test_equally_near_shows_are_all_as_relevant_as_can_be() -> None:
    """One show alone, or several at one distance, have relevance 1: no ranking of them is better than another."""
    shows = {"b": replace(USUAL, grain=0.5), "a": replace(USUAL, grain=0.5)}
    assert relevance(replace(USUAL, grain=0.0), shows) == {"a": 1.0, "b": 1.0}
    assert relevance(USUAL, {"only": random_style(dice_of("1"))}) == {"only": 1.0}


@pytest.mark.parametrize(
    ("ranking", "gain"),
    [
        (("near", "middle", "far"), BEST),
        (("near", "middle", "far", "farthest"), BEST),
        (("middle", "near", "far"), 0.5 + 1.0 / math.log2(3) + 0.25 / 2),
        (("farthest", "far", "near"), 0.25 / math.log2(3) + 1.0 / 2),
        (("near",), 1.0),
        ((), 0.0),
    ],
)
def test_ndcg_is_what_it_is_by_hand(ranking: tuple[str, ...], gain: float) -> None:
    """The discounted gain of the first three is divided by that of the best three; what is not ranked gains nothing."""
    assert ndcg(ranking, TRUTH) == pytest.approx(gain / BEST)


def test_the_true_ranking_is_perfect() -> None:
    """By relevance itself NDCG is 1 for any k, also one beyond the number of shows; backwards it is less."""
    shows = {str(number): random_style(dice_of(str(number))) for number in range(11)}
    truth = relevance(USUAL, shows)
    assert [ndcg(list(truth), truth, k) for k in (1, 3, 11, 20)] == pytest.approx([1.0] * 4)
    assert ndcg(list(truth)[::-1], truth) < 0.5


@pytest.mark.parametrize("ranking", [("near", "near"), ("near", "oneself")])
def test_a_ranking_that_cannot_be_is_refused(ranking: tuple[str, ...]) -> None:
    """A show that is ranked twice, or is not to be ranked at all, would raise or lower the figure unnoticed."""
    with pytest.raises(ValueError, match="each once at most"):
        ndcg(ranking, TRUTH)


@pytest.mark.parametrize("k", [1, 3, 9])
def test_the_random_baseline_is_what_shuffling_comes_to(k: int) -> None:
    """The exact figure is the mean over many shuffled rankings."""
    labels, dice = list(TRUTH), dice_of(str(k))
    shuffled = [ndcg(dice.sample(labels, len(labels)), TRUTH, k) for _ in range(5_000)]
    error = np.std(shuffled) / math.sqrt(len(shuffled))
    assert random_ndcg(TRUTH, k) == pytest.approx(np.mean(shuffled), abs=4 * float(error) + 1e-9)


def test_the_random_baseline_by_hand() -> None:
    """The mean gain is 7/16, at each of three ranks."""
    assert random_ndcg(TRUTH) == pytest.approx(7 / 16 * (1 + 1 / math.log2(3) + 1 / 2) / BEST)


def test_chance_is_far_from_perfect_among_random_styles() -> None:
    """Relevance is spread over 0..1, so that a random ranking of twelve shows comes to half a perfect one or so."""
    styles = {str(number): random_style(dice_of(str(number))) for number in range(12)}
    baselines = [
        random_ndcg(relevance(style, {other: styles[other] for other in styles if other != label}))
        for label, style in styles.items()
    ]
    assert 0.35 < np.mean(baselines) < 0.75


def test_rank_correlation_agrees_with_scipy() -> None:
    """On figures with and without ties it is `scipy.stats.spearmanr`."""
    dice = dice_of("figures")
    for choices in (3, 1000):
        one, other = ([dice.randrange(choices) / 7 for _ in range(30)] for _ in range(2))
        assert spearman(one, other) == pytest.approx(float(spearmanr(one, other).statistic))


def test_rank_correlation_by_hand() -> None:
    """A rising curve is 1, a falling one -1; without two different figures there is none."""
    assert spearman([1, 2, 3], [1, 10, 1000]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3.0, 2.5, -7.0]) == pytest.approx(-1.0)
    assert spearman([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([1, 2], [4, 4]) is None
    assert spearman([], []) is None


def test_the_style_explains_half_of_popularity() -> None:
    """Over evenly drawn styles the two liked parameters, and no other, account for half of the variance of the log."""
    dice = dice_of("styles")
    styles = [random_style(dice) for _ in range(3000)]
    members = [popularity(style, dice) for style in styles]
    assert all(isinstance(count, int) and count > 0 for count in members)
    logs = np.log10(members)
    numbers = np.stack([style.vector()[: len(RANGES)] for style in styles])
    names = list(RANGES)
    liked = [names.index(name) for name in ("saturation", "eye_height")]
    assert _explained(numbers[:, liked], logs) == pytest.approx(0.5, abs=0.03)
    assert _explained(np.delete(numbers, liked, axis=1), logs) < 0.02
    assert np.median(members) == pytest.approx(10**4.5, rel=0.1)


def _explained(inputs: np.ndarray, figures: np.ndarray) -> float:
    """Return R² of the linear regression of figures (n,) on inputs (n, k)."""
    design = np.column_stack([np.ones(len(inputs)), inputs])
    left = figures - design @ np.linalg.lstsq(design, figures, rcond=None)[0]
    return float(1 - left.var() / figures.var())


def test_popularity_is_the_documented_formula() -> None:
    """Both parameters at their upper ends are worth 1.2 powers of ten more than in the middle, with the same noise."""
    (dull, loud), (small, large) = RANGES["saturation"], RANGES["eye_height"]
    middle = replace(USUAL, saturation=(dull + loud) / 2, eye_height=(small + large) / 2)
    top = replace(USUAL, saturation=loud, eye_height=large)
    noise = dice_of("noise").gauss(0, 1.2 / math.sqrt(6))
    assert popularity(middle, dice_of("noise")) == round(10 ** (4.5 + noise))
    assert popularity(top, dice_of("noise")) == round(10 ** (4.5 + 1.2 + noise))
