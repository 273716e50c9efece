"""What is true of drawn shows: how alike their styles are, and how well a ranking of shows agrees with that.

Styles are known to the number, so that "drawn like it" need not be a matter of taste here. Popularity is made up, with
a known share that the style decides. Not here: what a model answers (`indexer.evaluation`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.demo.style import RANGES, Style

TOP = 3
"""How many similar shows a person looks at."""
LIKED = ("saturation", "eye_height")
"""What popularity depends on: the public of this world likes loud colours and large eyes."""
USUAL = 4.5
"""The decimal logarithm of a usual show's members: some 30,000."""
LIKING = 1.2
"""How many powers of ten lie between one end of a liked parameter and the other."""
NOISE = LIKING / 6**0.5
"""Standard deviation, in powers of ten, of what the style does not decide."""


def distance(one: Style, other: Style) -> float:
    """Return the Euclidean distance of two styles: 1 for a number from end to end, or for another choice."""
    return float(np.linalg.norm(one.vector() - other.vector()))


def relevance(style: Style, shows: Mapping[str, Style]) -> dict[str, float]:
    """Return how relevant each of the shows is to whoever seeks this style: by label, the nearest first.

    Relevance is (farthest - distance) / (farthest - nearest): 1 for the nearest show, 0 for the farthest, in proportion
    in between. Distances in many dimensions are all much the same, and would by themselves make any ranking look good.
    Where all shows are equally near, each is as relevant as can be: 1.
    """
    near = {label: distance(style, other) for label, other in shows.items()}
    least, most = min(near.values()), max(near.values())
    ranked = sorted(near, key=lambda label: (near[label], label))
    return {label: (most - near[label]) / (most - least) if most > least else 1.0 for label in ranked}


def ndcg(ranking: Sequence[str], truth: Mapping[str, float], k: int = TOP) -> float:
    """Return the normalised discounted cumulative gain of the first k shows of a ranking, 0..1; 1 is a perfect one.

    `truth` is the `relevance` of every show that could have been ranked; a ranking of fewer than k gains nothing for
    the rest. Raises ValueError where one is ranked twice or is not among them, the show that was asked about, say.
    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with gains as they are
    and the logarithm of 1 + rank to the base of 2.
    """
    if len(set(ranking)) < len(ranking) or not set(ranking) <= set(truth):
        raise ValueError(f"a ranking of {', '.join(sorted(truth))} holds each once at most, not {', '.join(ranking)}")
    gains = np.array([truth[label] for label in ranking[:k]])
    return float(gains @ _discounts(len(gains))) / _most(truth, k)


def random_ndcg(truth: Mapping[str, float], k: int = TOP) -> float:
    """Return what `ndcg` is on average when all shows are ranked at random.

    This is exact: each show is as likely as any other at each rank, so that the gain to expect there is the mean one.
    """
    mean = float(np.mean(list(truth.values())))
    return mean * float(_discounts(min(k, len(truth))).sum()) / _most(truth, k)


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the rank correlation of two lists of figures, -1..1, or None where one has no two different figures.

    It is Pearson's correlation of the ranks, where equal figures share the mean of theirs.
    Source: Spearman, "The Proof and Measurement of Association between Two Things", 1904.
    """
    if min(len(set(one)), len(set(other))) <= 1:
        return None
    first, second = (ranks - ranks.mean() for ranks in (_ranks(one), _ranks(other)))
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))


def popularity(style: Style, dice: random.Random) -> int:
    """Return how many members of a ranking site have seen a show in this style.

    log10(members) = USUAL + LIKING × (saturation - 1/2) + LIKING × (eye_height - 1/2) + noise, with both parameters
    scaled to 0..1 as in `Style.vector`, and noise normal with a standard deviation of NOISE. Over styles that are
    drawn evenly (`random_style`) a parameter has variance 1/12, so that the style decides 2 × LIKING² / 12 of the
    variance and the noise NOISE² = LIKING² / 6, as much again: the style explains half of it, R² = 0.5, and no more
    can be learned from pictures. A few shows are no even sample: theirs varies around that.
    """
    scaled = dict(zip(RANGES, style.vector().tolist(), strict=False))
    liking = sum(LIKING * (scaled[name] - 0.5) for name in LIKED)
    return round(math.pow(10.0, USUAL + liking + dice.gauss(0.0, NOISE)))


def _discounts(count: int) -> NDArray[np.float64]:
    """Return what a gain at each of the first ranks counts."""
    return np.asarray(1.0 / np.log2(np.arange(2, count + 2)))


def _most(truth: Mapping[str, float], k: int) -> float:
    """Return the discounted cumulative gain of the best ranking."""
    best = np.sort(np.array(list(truth.values())))[::-1][:k]
    return float(best @ _discounts(len(best)))


def _ranks(figures: Sequence[float]) -> NDArray[np.float64]:
    """Return the rank of each figure, the smallest first; equal ones share the mean of their ranks."""
    _, place, count = np.unique(np.asarray(figures, dtype=np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place])
