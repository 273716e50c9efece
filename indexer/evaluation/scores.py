"""How often a model is right, how surely that is known, and how wrong it is about its own certainty.

Every figure that stands for more pictures than were looked at carries an interval. Nothing to measure is None, never
zero. Not here: how an interval comes about (`intervals`), what was measured on which pictures, plots, and the page that
shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import binomtest

from indexer.evaluation.intervals import Draw, Interval, Weights, between, draws, intervals

TOP = 5
"""Labels of an answer in which the true one is looked for, where the label space has more than these."""
BINS = 15
"""As many as Guo et al., 2017, use: figures of other models can be compared."""
SIMULATIONS = 200
"""How often pictures are dealt to a model that is perfectly calibrated."""
LUCK = 0.05
"""From this p-value on, a difference may be luck."""
TINY_P = 0.001
"""Below this a p-value says no more than how large the sample is."""
RECALL = 3
"""The place of macro recall among the figures that are drawn."""
ROUNDING = 1e-9
"""1 - risk may come out a little below the precision that it is."""


@dataclass(frozen=True, slots=True)
class Classification:
    """How well one label space is told, on `pictures` pictures of `labels` different true labels.

    `top1` and `top5` are shares of pictures whose true label is the best, or among the best five; `precision`, `recall`
    and `f1` are means over the labels that occur, each label counting the same. All are None without pictures, and
    `top5` is None where the label space has no more than five labels.
    """

    pictures: int
    labels: int
    top1: Interval | None = None
    top5: Interval | None = None
    precision: Interval | None = None
    recall: Interval | None = None
    f1: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabelRow:
    """How well one label is told. A share of nothing is None: of no answers (precision), of no pictures (recall)."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a model says of its certainty beside what is true of it, in bins of equal width over 0..1.

    `count`, `confidence` and `accuracy` have one entry for each bin: pictures, their mean confidence, and how many of
    them are right as a share; the latter two are nan in an empty bin. `error` is the expected calibration error, and
    `error_if_perfect` what a perfectly calibrated model would show on average, were it as confident on as many
    pictures: chance alone keeps a small sample from showing 0. Both are None without pictures.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: float | None
    error_if_perfect: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object; what is nan here is null there."""
        return {
            "count": self.count.tolist(),
            "confidence": [None if np.isnan(share) else float(share) for share in self.confidence],
            "accuracy": [None if np.isnan(share) else float(share) for share in self.accuracy],
            "error": self.error,
            "error_if_perfect": self.error_if_perfect,
        }


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """What share of the pictures is answered (`coverage`, rising), and what share of those wrongly (`risk`).

    One entry for each different confidence, the highest first: all pictures that confident are answered, or none of
    them. `area` is the area under the curve, None without pictures.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    area: float | None

    def coverage_at(self, precision: float) -> float | None:
        """Return the largest share that can be answered with this share of the answers right.

        It is 0 where no threshold reaches the precision, and None without pictures.
        """
        if not len(self.coverage):
            return None
        return float(self.coverage[1.0 - self.risk >= precision - ROUNDING].max(initial=0.0))


@dataclass(frozen=True, slots=True)
class McNemar:
    """On how many pictures both models are right, only one of them, or neither.

    `p_value` is the chance of a difference at least this large between two models that are equally good.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float

    @property
    def pictures(self) -> int:
        """How many pictures the models were compared on."""
        return self.both + self.only_a + self.only_b + self.neither

    def sentence(self, name_a: str, name_b: str) -> str:
        """Tell in one line which model is better, by how many points, and whether that may be luck."""
        if not self.pictures:
            return f"There is no picture to compare {name_a} and {name_b} on."
        p_value = f"p = {self.p_value:.3g}" if self.p_value >= TINY_P else f"p < {TINY_P}"
        evidence = f"n = {self.pictures}, {p_value}"
        if self.only_a == self.only_b:
            return f"{name_a} and {name_b} are right equally often ({evidence}): no difference is to be seen."
        better, worse = (name_a, name_b) if self.only_a > self.only_b else (name_b, name_a)
        figure = f"{100 * abs(self.only_a - self.only_b) / self.pictures:.3g}"
        points = f"{figure} {'point' if figure == '1' else 'points'}"
        if self.p_value >= LUCK:
            return f"No difference is shown: {better} is ahead of {worse} by {points}, which may be luck ({evidence})."
        return f"{better} is better than {worse} by {points} ({evidence}): luck alone rarely does that."

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


def classify(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> Classification:
    """Return how well the labels are told, with bootstrap intervals.

    `probabilities` is (n, labels), `truth` (n,) the numbers of the true labels, `groups` (n,) the near-duplicate group
    of each picture; the same seed gives the same intervals. Of equally probable labels the first is the better one, as
    with argmax. A label that occurs and is never answered has precision 0 in the mean, since every one of its pictures
    was mistaken for another.

    For means over labels one picture more of each label is imagined in every draw, right as often as labels are on
    average: a label of one picture would be told either always or never, however it is weighed, and the interval would
    be too narrow by as much as there are labels of few pictures.
    """
    labels = len(np.unique(truth))
    if not len(truth):
        return Classification(0, labels)
    judged = _Judged.of(probabilities, truth)
    figures = judged.figures(np.ones((1, len(truth))))[0]
    generator = np.random.default_rng([seed, 1])  # other numbers than those that weigh the pictures

    def statistic(draw: Draw) -> NDArray[np.float64]:
        return judged.figures(draw.weights, judged.imagined(draw, figures[RECALL], generator))

    top1, top5, precision, recall, f1 = intervals(figures, statistic, groups, seed)
    return Classification(
        len(truth), labels, top1, top5 if probabilities.shape[1] > TOP else None, precision, recall, f1
    )


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Count how often each label was taken for each: (count, count), a row for each true label."""
    return np.bincount(truth * count + predicted, minlength=count * count).reshape(count, count).astype(np.int64)


def normalised(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn the counts of each row of a confusion matrix into shares that add up to 1; an empty row stays zero."""
    return np.asarray(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))


def class_table(predicted: NDArray[np.int64], truth: NDArray[np.int64], labels: Sequence[str]) -> list[LabelRow]:
    """Return a row for each label, in the order of `labels`, which the (n,) numbers in the other two count."""
    matrix = confusion(truth, predicted, len(labels))
    rows = zip(labels, np.diagonal(matrix).tolist(), matrix.sum(0).tolist(), matrix.sum(1).tolist(), strict=True)
    return [
        LabelRow(
            label,
            precision=_share(right, answered),
            recall=_share(right, support),
            f1=_share(2 * right, answered + support),
            support=support,
        )
        for label, right, answered, support in rows
    ]


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS, seed: int = 0
) -> Reliability:
    """Compare (n,) confidences with what was right, in bins that hold their upper edge; 0 is in the first bin.

    Expected calibration error: the mean gap between a bin's confidence and its accuracy, weighted by its pictures.
    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    edges = np.arange(1, bins) / bins
    places = np.searchsorted(edges, confidence, side="left")
    count = np.bincount(places, minlength=bins).astype(np.int64)
    claimed = np.bincount(places, weights=confidence, minlength=bins)
    true = np.bincount(places, weights=right, minlength=bins)
    filled = np.where(count > 0, count, np.nan)
    errors: tuple[float | None, float | None] = (None, None)
    if len(confidence):
        generator = np.random.default_rng(seed)
        gaps = []
        for _ in range(SIMULATIONS):
            dealt = np.bincount(places, weights=generator.random(len(confidence)) < confidence, minlength=bins)
            gaps.append(np.abs(dealt - claimed).sum())
        errors = float(np.abs(true - claimed).sum() / len(confidence)), float(np.mean(gaps) / len(confidence))
    return Reliability(count, claimed / filled, true / filled, *errors)


def risk_coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> RiskCoverage:
    """Return what is wrong among the most confident, the more of the (n,) pictures are answered.

    The area is the mean risk over all coverages, the risk at each confidence counting for the pictures that it adds:
    without ties the mean over the pictures, as Geifman and El-Yaniv have it ("Selective Classification for Deep Neural
    Networks", 2017); where all are equally confident, the share of wrong pictures.
    """
    levels, level = np.unique(-confidence, return_inverse=True)
    added = np.bincount(level, minlength=len(levels))
    answered = np.cumsum(added)
    risk = np.cumsum(np.bincount(level, weights=~right, minlength=len(levels))) / answered
    area = float(risk @ added / len(right)) if len(right) else None
    return RiskCoverage(answered / max(len(right), 1), risk, area)


def auroc(known: NDArray[np.float64], unknown: NDArray[np.float64], seed: int = 0) -> Interval | None:
    """Return the chance that a known picture scores higher than an unknown one, a tie counting half.

    This is the area under the receiver operating characteristic. The interval weighs known and unknown pictures apart
    and one by one, not by group: it is too narrow where there are near-duplicates. One known and one unknown picture
    are imagined, which lose, or win, against everything. None where either is missing.
    Source: Hanley and McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic Curve", 1982.
    """
    if not len(known) or not len(unknown):
        return None
    levels, level = np.unique(np.concatenate([known, unknown]), return_inverse=True)
    known_at = _one_hot(level[: len(known)], len(levels))
    unknown_at = _one_hot(level[len(known) :], len(levels))

    def chance(known_weights: Weights, unknown_weights: Weights) -> NDArray[np.float64]:
        there = unknown_weights @ unknown_at
        beaten = np.cumsum(there, axis=1) - there / 2
        won = np.einsum("rl,rl->r", known_weights @ known_at, beaten)
        return np.asarray(won / (known_weights.sum(axis=1) * unknown_weights.sum(axis=1)))[:, np.newaxis]

    generator = np.random.default_rng(seed)
    pairs = list(zip(draws(np.arange(len(known)), generator), draws(np.arange(len(unknown)), generator), strict=True))
    return between(
        chance(np.ones((1, len(known))), np.ones((1, len(unknown))))[0],
        np.concatenate([chance(one.weights, other.weights) for one, other in pairs]),
        np.concatenate([1.0 - (1.0 - one.unseen) * (1.0 - other.unseen) for one, other in pairs]),
    )[0]


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> McNemar:
    """Compare two models on the same (n,) pictures, by those that only one of them gets right.

    Were the models equally good, each of those would be either's with chance 1/2: an exact two-sided binomial test.
    It takes the pictures for independent, so that near-duplicates make p smaller than it should be.
    Source: McNemar, "Note on the Sampling Error of the Difference between Correlated Proportions", 1947.
    """
    only_a, only_b = (int(np.count_nonzero(only)) for only in (right_a & ~right_b, ~right_a & right_b))
    return McNemar(
        both=int(np.count_nonzero(right_a & right_b)),
        only_a=only_a,
        only_b=only_b,
        neither=int(np.count_nonzero(~right_a & ~right_b)),
        p_value=float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0,
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """What is counted of n pictures: the place of the true label in the answer, from 0, and three (n, labels) matrices.

    A picture has a one at its true label in `asked`, at its answered label in `answered`, and where both are the same
    in `right`.
    """

    place: NDArray[np.int64]
    asked: csr_array
    answered: csr_array
    right: csr_array

    @classmethod
    def of(cls, probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> Self:
        """Judge answers: (n, labels) probabilities and the (n,) true labels."""
        count = probabilities.shape[1]
        own = np.take_along_axis(probabilities, truth[:, np.newaxis], axis=1)
        sooner = np.arange(count) < truth[:, np.newaxis]
        place = np.count_nonzero((probabilities > own) | ((probabilities == own) & sooner), axis=1).astype(np.int64)
        asked = _one_hot(truth, count)
        return cls(place, asked, _one_hot(probabilities.argmax(axis=1), count), _one_hot(truth, count, place == 0))

    def imagined(self, draw: Draw, chance: float, generator: np.random.Generator) -> tuple[Weights, Weights]:
        """Return the weight of a picture more of each label that occurs, and what of it is right: (draws, labels).

        It is right with a chance, and as heavy as a group.
        """
        occurs = np.asarray(self.asked.sum(axis=0)).ravel() > 0
        weights = draw.size * generator.standard_exponential((len(draw.weights), len(occurs))) * occurs
        return weights, weights * (generator.random(weights.shape) < chance)

    def figures(self, weights: Weights, imagined: tuple[Weights, Weights] | None = None) -> NDArray[np.float64]:
        """Return top-1, top-5, macro precision, recall and F1 of each draw: (draws, 5).

        What is `imagined` takes part in the last three. A wrong one counts as asked and as answered: that its label was
        answered for a picture of another one.
        """
        asked, answered, right = weights @ self.asked, weights @ self.answered, weights @ self.right
        if imagined:
            more, of_these = imagined
            asked, answered, right = asked + more, answered + more, right + of_these
        total, labels = weights.sum(axis=1), np.count_nonzero(asked, axis=1)
        # A label that was never asked for, or never answered, has nothing right: whatever it is divided by, it adds 0.
        return np.column_stack(
            [
                weights @ (self.place == 0) / total,
                weights @ (self.place < TOP) / total,
                (right / _divisor(answered)).sum(axis=1) / labels,
                (right / _divisor(asked)).sum(axis=1) / labels,
                (2 * right / _divisor(asked + answered)).sum(axis=1) / labels,
            ]
        )


def _divisor(weights: Weights) -> Weights:
    """Return what can be divided by: weights, and 1 where there is none."""
    return np.where(weights > 0, weights, 1.0)


def _one_hot(numbers: NDArray[np.int64], count: int, ones: NDArray[np.bool_] | None = None) -> csr_array:
    """Return an (n, count) matrix with a one in each row's column, or where `ones` says so."""
    values = np.ones(len(numbers)) if ones is None else ones.astype(np.float64)
    return csr_array((values, (np.arange(len(numbers)), numbers)), shape=(len(numbers), count))


def _share(part: int, whole: int) -> float | None:
    """Return how much of it is so, or None where there is nothing."""
    return part / whole if whole else None
