"""`indexer.evaluation.scores`: figures that can be counted by hand, and intervals that cover what they should."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from indexer.evaluation.intervals import Interval, mean_interval, share_interval
from indexer.evaluation.scores import (
    Classification,
    LabelRow,
    McNemar,
    RiskCoverage,
    auroc,
    class_table,
    classify,
    confusion,
    mcnemar,
    normalised,
    reliability,
    risk_coverage,
)

pytestmark = pytest.mark.slow

NOTHING = np.empty(0)
NOBODY = np.empty(0, dtype=np.int64)
FIGURES = ("top1", "top5", "precision", "recall", "f1")


def _numbers(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)


def _alone(count: int) -> NDArray[np.int64]:
    """Return groups of one picture each."""
    return np.arange(count, dtype=np.int64)


def _answers(count: int, labels: int, seed: int, skill: float = 1.5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities that are right more often than not, and the true labels, of which the last never occurs."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(max(labels - 1, 1), size=count)
    scores = np.exp(rng.standard_normal((count, labels)) + skill * np.eye(labels)[truth])
    return scores / scores.sum(axis=1, keepdims=True), truth


def _certain(answers: list[int], labels: int) -> NDArray[np.float64]:
    """Return probabilities that are 1 for the label that is answered."""
    return np.eye(labels)[answers]


def _value(interval: Interval | None) -> float:
    assert interval is not None
    return interval.value


def _width(interval: Interval | None) -> float:
    assert interval is not None
    return interval.high - interval.low


def test_figures_are_those_counted_by_hand() -> None:
    """Of six pictures four are right; the means run over the two labels that occur, not over the third."""
    #                             a→a a→a a→b a→c b→b b→b
    found = classify(_certain([0, 0, 1, 2, 1, 1], 3), _numbers(0, 0, 0, 0, 1, 1), _alone(6))
    assert (found.pictures, found.labels) == (6, 2)
    assert _value(found.top1) == pytest.approx(4 / 6)
    assert _value(found.precision) == pytest.approx((2 / 2 + 2 / 3) / 2)
    assert _value(found.recall) == pytest.approx((2 / 4 + 2 / 2) / 2)
    assert _value(found.f1) == pytest.approx((4 / 6 + 4 / 5) / 2)


@pytest.mark.parametrize(("count", "labels"), [(400, 12), (30, 20), (7, 2), (5, 1), (1, 9)])
def test_figures_are_those_of_scikit_learn(count: int, labels: int) -> None:
    """Precision, recall and F1 agree with an independent reference, where labels lack pictures or answers too."""
    probabilities, truth = _answers(count, labels, seed=count)
    predicted = probabilities.argmax(axis=1)
    found = classify(probabilities, truth, _alone(count))
    expected = precision_recall_fscore_support(
        truth, predicted, labels=np.unique(truth), average="macro", zero_division=0
    )
    assert (_value(found.precision), _value(found.recall), _value(found.f1)) == pytest.approx(expected[:3])
    assert _value(found.top1) == pytest.approx(np.mean(predicted == truth))


def test_top_five_counts_the_true_label_among_the_best_five() -> None:
    """The fifth place counts and the sixth does not."""
    falling = np.array([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]) / 21
    for label in range(6):
        found = classify(falling, _numbers(label), _alone(1))
        assert (_value(found.top1), _value(found.top5)) == (label == 0, label < 5)


def test_equally_probable_labels_rank_by_their_number_as_argmax_does() -> None:
    """A model that finds all labels alike answers the first five, and is not right on everything."""
    indifferent = np.full((7, 7), 1 / 7)
    found = classify(indifferent, _alone(7), _alone(7))
    assert (_value(found.top1), _value(found.top5)) == pytest.approx((1 / 7, 5 / 7))


def test_five_labels_have_no_top_five() -> None:
    """The best five of five are always right, which says nothing."""
    assert classify(*_answers(20, 5, seed=1), _alone(20)).top5 is None
    assert classify(*_answers(20, 6, seed=1), _alone(20)).top5 is not None


def test_without_pictures_every_figure_is_none() -> None:
    """Nothing to measure is None, not zero."""
    assert classify(np.empty((0, 8)), NOBODY, NOBODY) == Classification(0, 0, None, None, None, None, None)


def test_one_label_is_always_right() -> None:
    """A label space of one label leaves nothing to be wrong about."""
    found = classify(np.ones((3, 1)), _numbers(0, 0, 0), _alone(3))
    for one in (found.top1, found.precision, found.recall, found.f1):
        assert one is not None
        assert (one.value, one.low, one.high) == pytest.approx(
            (1.0, 0.2924, 1.0), abs=0.02
        )  # Clopper and Pearson, 3 of 3


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong_are_no_certainty(*, right: bool) -> None:
    """However pictures that are all alike are weighed, the next one may be another: Clopper and Pearson, 4 of 4."""
    answers = [0, 1, 2, 3] if right else [1, 2, 3, 0]
    found = classify(_certain(answers, 8), _alone(4), _alone(4))
    expected = (1.0, 0.3976, 1.0) if right else (0.0, 0.0, 0.6024)
    for one in (found.top1, found.precision, found.recall, found.f1):
        assert one is not None
        assert (one.value, one.low, one.high) == pytest.approx(expected, abs=0.02)


def test_the_seed_decides_the_interval_and_nothing_else() -> None:
    """The same seed gives the same interval, another one another, of the same value."""
    answers = _answers(100, 10, seed=3)
    first, again, other = (classify(*answers, _alone(100), seed) for seed in (1, 1, 2))
    assert first == again
    assert _value(first.f1) == _value(other.f1)
    assert first.f1 != other.f1


def test_every_figure_lies_in_its_interval() -> None:
    """With enough pictures the resamples lie around what was measured."""
    found = classify(*_answers(600, 8, seed=5), _alone(600))
    for name in FIGURES:
        interval = getattr(found, name)
        assert interval.low < interval.value < interval.high


def test_the_interval_of_independent_pictures_is_as_wide_as_theory_has_it() -> None:
    """The accuracy of n pictures in groups of one has a standard error of sqrt(p (1 - p) / n)."""
    probabilities, truth = _answers(900, 8, seed=6)
    found = classify(probabilities, truth, _alone(900)).top1
    share = _value(found)
    assert _width(found) == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 900), rel=0.1)


def test_copies_are_no_evidence() -> None:
    """Each picture nine times over, in one group, has the interval of each once; taken one by one, a third of it."""
    probabilities, truth = _answers(100, 8, seed=7)
    once = classify(probabilities, truth, _alone(100), seed=4)
    nine = (np.repeat(probabilities, 9, axis=0), np.repeat(truth, 9))
    grouped = classify(*nine, np.repeat(_alone(100), 9), seed=4)
    for name in FIGURES:
        assert getattr(grouped, name).to_json() == pytest.approx(getattr(once, name).to_json())
    naive = classify(*nine, _alone(900), seed=4)
    assert _width(naive.top1) == pytest.approx(_width(once.top1) / 3, rel=0.15)


def test_group_numbers_are_only_names() -> None:
    """Gaps in the numbers, as a part of a split has them, and negative numbers change nothing."""
    probabilities, truth = _answers(40, 6, seed=8)
    groups = np.repeat(_alone(20), 2)
    assert classify(probabilities, truth, groups) == classify(probabilities, truth, groups * 1000 - 7)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """With groups that are right or wrong as a whole, about 95 % of the intervals hold the true mean."""
    rng = np.random.default_rng(9)
    covered = 0
    for trial in range(150):
        sizes = rng.integers(1, 6, size=80)
        groups = np.repeat(_alone(80), sizes)
        interval = mean_interval((rng.random(80) < 0.7)[groups].astype(float), groups, seed=trial)
        assert interval is not None
        covered += interval.low <= 0.7 <= interval.high
    assert 0.88 <= covered / 150 <= 0.99


@pytest.mark.parametrize(("count", "share"), [(8, 0.9), (13, 0.7), (13, 0.97), (40, 0.9)])
def test_few_pictures_are_enough_to_cover_the_truth(count: int, share: float) -> None:
    """Where the percentiles of the plain bootstrap hold the truth in 35 to 90 of 100 cases, these do in 95."""
    rng = np.random.default_rng(10)
    trials = [mean_interval((rng.random(count) < share).astype(float), _alone(count), seed) for seed in range(200)]
    covered = [one for one in trials if one is not None and one.low <= share <= one.high]
    assert len(covered) / len(trials) >= 0.93


@pytest.mark.parametrize(("count", "labels"), [(13, 8), (40, 8), (240, 27)])
def test_means_over_labels_of_few_pictures_cover_the_truth(count: int, labels: int) -> None:
    """A label of one picture is told always or never; what a picture more would change is in the interval of recall."""
    rng = np.random.default_rng(11)
    chances = np.linspace(0.4, 1.0, labels)
    covered = []
    for trial in range(100):
        truth = rng.integers(labels, size=count)
        answers = np.where(rng.random(count) < chances[truth], truth, (truth + 1) % labels)
        recall = classify(_certain(answers.tolist(), labels), truth, _alone(count), trial).recall
        assert recall is not None
        covered.append(recall.low <= chances.mean() <= recall.high)
    assert np.mean(covered) >= 0.89


@pytest.mark.parametrize(("right", "count"), [(13, 13), (12, 13), (9, 13), (7, 13), (0, 13), (200, 240)])
def test_shares_have_the_interval_of_clopper_and_pearson(right: int, count: int) -> None:
    """For pictures that stand alone the ends are known in closed form."""
    found, expected = (
        mean_interval((np.arange(count) < right).astype(float), _alone(count)),
        share_interval(right, count),
    )
    assert found is not None
    assert expected is not None
    assert found.to_json() == pytest.approx(expected.to_json(), abs=0.02)
    assert (found.low > 0) == (right > 0)
    assert (found.high < 1) == (right < count)
    assert share_interval(0, 0) is None


def test_no_end_falls_when_a_picture_more_is_right() -> None:
    """Of 13 pictures, two of them near-duplicates, 9 right end nowhere below 7 right, at either end."""
    groups = _numbers(0, 0, *range(1, 12))
    for order in range(5):
        better = np.random.default_rng(order).permutation(13)
        found = [mean_interval((better < right).astype(float), groups) for right in range(14)]
        ends = [(one.low, one.high) for one in found if one is not None]
        assert len(ends) == 14
        assert all(one[0] <= other[0] and one[1] <= other[1] for one, other in pairwise(ends))


def test_the_mean_is_over_pictures_and_of_nothing_it_is_none() -> None:
    """A large group counts for all its pictures; two groups say little; without values there is no interval."""
    groups = _numbers(0, 0, 0, 1)
    found = mean_interval(np.array([1.0, 1.0, 1.0, 0.0]), groups)
    assert found is not None
    assert found.value == 0.75
    assert 0.0 < found.low < 0.1
    assert 0.98 < found.high < 1.0
    assert mean_interval(NOTHING, NOBODY) is None


def test_five_thousand_pictures_of_a_hundred_labels_take_seconds() -> None:
    """Two thousand draws do not mean a thousand passes over the probabilities."""
    answers = _answers(5000, 100, seed=10)
    began = time.process_time()
    classify(*answers, _alone(5000))
    assert time.process_time() - began < 3


def test_results_can_be_written_as_json() -> None:
    """Intervals stay three numbers, and None becomes null."""
    found = classify(_certain([0, 0], 2), _numbers(0, 0), _alone(2)).to_json()
    assert json.loads(json.dumps(found))["top1"] == pytest.approx({"value": 1.0, "low": 0.1581, "high": 1.0}, abs=0.03)
    assert found["top5"] is None
    assert json.loads(json.dumps(reliability(np.array([0.5]), np.array([True])).to_json()))["accuracy"][0] is None
    assert McNemar(1, 2, 3, 4, 1.0).to_json() == {"both": 1, "only_a": 2, "only_b": 3, "neither": 4, "p_value": 1.0}


def test_confusion_has_a_row_for_each_true_label() -> None:
    """What was taken for what is counted, the truth downwards, labels without pictures included."""
    matrix = confusion(_numbers(0, 0, 0, 2), _numbers(0, 1, 1, 0), 4)
    assert matrix.tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert matrix.dtype == np.int64
    assert confusion(NOBODY, NOBODY, 2).tolist() == [[0, 0], [0, 0]]
    probabilities, truth = _answers(200, 9, seed=11)
    predicted = probabilities.argmax(axis=1)
    assert np.array_equal(confusion(truth, predicted, 9), confusion_matrix(truth, predicted, labels=np.arange(9)))


def test_normalised_rows_add_up_to_one_or_are_empty() -> None:
    """Shares of each true label; a label without pictures has none."""
    assert normalised(np.array([[1, 3], [0, 0]])).tolist() == [[0.25, 0.75], [0.0, 0.0]]


def test_the_class_table_has_a_row_for_each_label() -> None:
    """Counted by hand; what would be a share of nothing is None."""
    #                  a→a a→b b→b            c: neither asked nor answered; d: answered, not asked; e: asked only
    table = class_table(_numbers(0, 1, 1, 3), _numbers(0, 0, 1, 4), list("abcde"))
    assert table == [
        LabelRow("a", precision=1.0, recall=0.5, f1=2 / 3, support=2),
        LabelRow("b", precision=0.5, recall=1.0, f1=2 / 3, support=1),
        LabelRow("c", precision=None, recall=None, f1=None, support=0),
        LabelRow("d", precision=0.0, recall=None, f1=0.0, support=0),
        LabelRow("e", precision=None, recall=0.0, f1=0.0, support=1),
    ]
    assert table[2].to_json() == {"label": "c", "precision": None, "recall": None, "f1": None, "support": 0}
    assert [row.support for row in class_table(NOBODY, NOBODY, ["a"])] == [0]


def test_the_class_table_and_the_means_agree() -> None:
    """The mean of the table's rows, no answer counting 0, is what `classify` tells."""
    probabilities, truth = _answers(60, 30, seed=12)
    found = classify(probabilities, truth, _alone(60))
    rows = [row for row in class_table(probabilities.argmax(axis=1), truth, [str(n) for n in range(30)]) if row.support]
    assert len(rows) == found.labels
    assert _value(found.precision) == pytest.approx(np.mean([row.precision or 0.0 for row in rows]))
    assert _value(found.recall) == pytest.approx(np.mean([row.recall for row in rows if row.recall is not None]))
    assert _value(found.f1) == pytest.approx(np.mean([row.f1 for row in rows if row.f1 is not None]))


def test_calibration_error_is_the_gap_between_claim_and_truth() -> None:
    """Counted by hand: two pictures at 0.9 of which one is right, and two at 0.3 of which one is."""
    found = reliability(np.array([0.9, 0.9, 0.3, 0.3]), np.array([True, False, True, False]), bins=2)
    assert found.count.tolist() == [2, 2]
    assert found.confidence.tolist() == pytest.approx([0.3, 0.9])
    assert found.accuracy.tolist() == pytest.approx([0.5, 0.5])
    assert found.error == pytest.approx((0.2 + 0.4) / 2)


def test_bins_hold_their_upper_edge() -> None:
    """Every edge k/15 is in the bin below it, 0 is in the first bin, and 1 in the last."""
    edges = np.arange(16) / 15
    found = reliability(edges, np.ones(16, dtype=bool))
    assert found.count.tolist() == [2] + [1] * 14
    above = reliability(np.nextafter(edges[:-1], 1), np.ones(15, dtype=bool))
    assert above.count.tolist() == [1] * 15


def test_an_empty_bin_has_neither_confidence_nor_accuracy() -> None:
    """It is nan, so that no plot shows a bar of height 0 where nothing was measured."""
    found = reliability(np.array([0.95]), np.array([True]), bins=2)
    assert np.isnan(found.confidence).tolist() == [True, False]
    assert np.isnan(found.accuracy).tolist() == [True, False]


def test_without_pictures_there_is_no_calibration_error() -> None:
    """Nothing to measure is None."""
    found = reliability(NOTHING, np.empty(0, dtype=bool))
    assert (found.error, found.error_if_perfect) == (None, None)
    assert found.count.tolist() == [0] * 15


def test_a_perfect_model_shows_the_error_that_it_is_said_to_show() -> None:
    """Small samples of a calibrated model err by about `error_if_perfect`, large ones less, a boasting model more."""
    rng = np.random.default_rng(13)
    few = [reliability(confidence, rng.random(100) < confidence) for confidence in rng.random((60, 100))]
    expected = np.mean([found.error_if_perfect or 0.0 for found in few])
    assert np.mean([found.error or 0.0 for found in few]) == pytest.approx(expected, rel=0.1)
    assert expected > 0.05
    many = rng.random(10_000)
    honest, boasting = (reliability(many, rng.random(10_000) < chance) for chance in (many, many**2))
    assert honest.error_if_perfect == boasting.error_if_perfect
    assert honest.error is not None
    assert boasting.error is not None
    assert honest.error_if_perfect is not None
    assert honest.error < 2 * honest.error_if_perfect < 0.03 < boasting.error
    assert boasting.error == pytest.approx(1 / 2 - 1 / 3, abs=0.02)


def test_the_error_of_one_coin_is_worked_out() -> None:
    """One picture at 0.5 is off by 0.5 however it falls, and one at 1 by nothing."""
    assert reliability(np.array([0.5]), np.array([True])).error_if_perfect == 0.5
    assert reliability(np.array([1.0]), np.array([True])).error_if_perfect == 0.0


def test_risk_grows_with_coverage_as_counted_by_hand() -> None:
    """The most confident are answered first; the area is the mean risk."""
    found = risk_coverage(np.array([0.2, 0.9, 0.8, 0.6]), np.array([False, True, False, True]))
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert found.risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert (found.coverage_at(0.9), found.coverage_at(0.6), found.coverage_at(0.5)) == (0.25, 0.75, 1.0)


def test_ties_are_one_step() -> None:
    """No threshold divides equal confidences, whatever the order of the pictures."""
    confidence = np.array([0.5, 0.9, 0.5, 0.5])
    for right in ([True, True, False, True], [False, True, True, True]):
        found = risk_coverage(confidence, np.array(right))
        assert (found.coverage.tolist(), found.risk.tolist()) == ([0.25, 1.0], [0.0, 0.25])
        assert found.area == pytest.approx(0.75 * 0.25)
        assert found.coverage_at(0.8) == 0.25


@pytest.mark.parametrize("right", [True, False])
def test_risk_of_all_right_and_all_wrong(*, right: bool) -> None:
    """All can be answered, or nothing can."""
    found = risk_coverage(np.array([0.1, 0.5, 0.9]), np.full(3, right))
    assert found.area == 1 - right
    assert found.coverage_at(0.95) == right


@pytest.mark.parametrize("precision", [k / 20 for k in range(1, 20)])
def test_a_precision_that_is_met_exactly_is_met(precision: float) -> None:
    """Twenty pictures of one confidence, just so many right: rounding does not lose them."""
    right = np.arange(20) < round(20 * precision)
    assert risk_coverage(np.full(20, 0.5), right).coverage_at(precision) == 1.0
    assert risk_coverage(np.full(20, 0.5), right).coverage_at(precision + 0.01) == 0.0


def test_without_pictures_there_is_no_risk() -> None:
    """Nothing to measure is None."""
    found = risk_coverage(NOTHING, np.empty(0, dtype=bool))
    assert isinstance(found, RiskCoverage)
    assert (found.area, found.coverage_at(0.5), len(found.coverage)) == (None, None, 0)


def test_auroc_counts_the_pairs_in_which_the_known_scores_higher() -> None:
    """Of six pairs four are won, one is tied and one is lost."""
    assert _value(auroc(np.array([0.9, 0.5]), np.array([0.7, 0.5, 0.1]))) == pytest.approx(4.5 / 6)


def test_auroc_is_that_of_scikit_learn() -> None:
    """An independent reference agrees, with ties."""
    rng = np.random.default_rng(14)
    known, unknown = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    expected = roc_auc_score(np.repeat([1, 0], [300, 200]), np.concatenate([known, unknown]))
    assert _value(auroc(known, unknown)) == pytest.approx(expected)


def test_the_interval_of_auroc_is_as_wide_as_theory_has_it() -> None:
    """Its spread is that of Hanley and McNeil's formula (1982), and it holds the truth for two normal curves."""
    rng = np.random.default_rng(15)
    known, unknown = rng.normal(1, 1, 300), rng.normal(0, 1, 200)
    found = auroc(known, unknown, seed=1)
    area = _value(found)
    pair, other = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + 299 * (pair - area**2) + 199 * (other - area**2)) / (300 * 200)
    assert _width(found) == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.15)
    assert found is not None
    assert found.low < norm.cdf(1 / np.sqrt(2)) < found.high
    assert found == auroc(known, unknown, seed=1)
    assert found != auroc(known, unknown, seed=2)


def test_auroc_at_its_ends() -> None:
    """Told apart without fail, always the wrong way round, not told apart; and nothing to tell apart is None."""
    low, high = np.array([0.1, 0.2]), np.array([0.8, 0.9, 0.95])
    best, worst, blind = auroc(high, low), auroc(low, high), auroc(np.ones(2), np.ones(3))
    assert best is not None
    assert worst is not None
    assert blind is not None
    assert best.value == 1.0
    assert best.high == pytest.approx(1.0)
    assert 0.0 < best.low < 0.3  # two pictures and three: hardly anything is known
    assert (worst.value, worst.low) == (0.0, 0.0)
    assert worst.high == pytest.approx(1.0 - best.low, abs=0.02)
    assert blind.low < blind.value == 0.5 < blind.high
    assert auroc(NOTHING, low) is None
    assert auroc(low, NOTHING) is None


def _compared(both: int, only_a: int, only_b: int, neither: int) -> McNemar:
    counts = [both, only_a, only_b, neither]
    right_a, right_b = (np.repeat(right, counts) for right in ([True, True, False, False], [True, False, True, False]))
    return mcnemar(right_a, right_b)


def test_mcnemar_looks_at_the_pictures_that_only_one_gets_right() -> None:
    """Six of six for one model: chance 2 × (1/2)^6, however many both or neither get right."""
    assert _compared(10, 6, 0, 4) == McNemar(10, 6, 0, 4, 2 / 64)
    assert _compared(1000, 6, 0, 4).p_value == pytest.approx(2 / 64)
    assert _compared(0, 1, 3, 0).p_value == pytest.approx(2 * (1 + 4) / 16)


def test_models_that_never_differ_do_not_differ() -> None:
    """No picture to tell them apart is the best of p-values, not an error."""
    assert _compared(5, 0, 0, 5).p_value == 1.0
    assert _compared(0, 0, 0, 0) == McNemar(0, 0, 0, 0, 1.0)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((10, 6, 0, 4), "old is better than new by 30 points (n = 20, p = 0.0312): luck alone rarely does that."),
        ((10, 0, 6, 4), "new is better than old by 30 points (n = 20, p = 0.0312): luck alone rarely does that."),
        ((93, 3, 4, 0), "No difference is shown: new is ahead of old by 1 point, which may be luck (n = 100, p = 1)."),
        ((0, 20, 0, 0), "old is better than new by 100 points (n = 20, p < 0.001): luck alone rarely does that."),
        ((9, 3, 3, 5), "old and new are right equally often (n = 20, p = 1): no difference is to be seen."),
        ((0, 0, 0, 0), "There is no picture to compare old and new on."),
    ],
)
def test_a_sentence_tells_who_is_better_and_how_surely(counts: tuple[int, int, int, int], sentence: str) -> None:
    """Which model, by how many points, on how many pictures, and whether that may be luck."""
    assert _compared(*counts).sentence("old", "new") == sentence


def test_luck_ends_below_a_p_value_of_one_in_twenty() -> None:
    """0.05 itself may still be luck."""
    assert "may be luck" in McNemar(0, 9, 1, 0, 0.05).sentence("a", "b")
    assert "rarely" in McNemar(0, 9, 1, 0, 0.0499).sentence("a", "b")


def test_risk_never_depends_on_the_order_of_pictures() -> None:
    """Shuffled pictures have the same curve, and coverage only rises."""
    rng = np.random.default_rng(16)
    confidence, right = rng.random(50).round(1), rng.random(50) < 0.5
    order = rng.permutation(50)
    one, other = risk_coverage(confidence, right), risk_coverage(confidence[order], right[order])
    assert np.array_equal(one.risk, other.risk)
    assert all(low < high for low, high in pairwise(one.coverage))
    assert one.coverage[-1] == 1.0
    assert one.risk[-1] == pytest.approx(1 - right.mean())
