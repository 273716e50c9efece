"""Pure rules that turn neighbours into ranked characters and shows. No file, no clock, no engine.

**The score of a group** (a character or a show) is the similarity that its best three pictures would have on average
if every group had shown twenty. A group is judged by a few good pictures, so one lucky picture does not carry it; and
drawing as many from each makes a show with 200 pictures no likelier to win than one with 20 alike. Groups of fewer
pictures show what they have.

The expectation has a closed form. Let n pictures be ordered by falling similarity, and draw q of them without
replacement. The picture of rank i (from 1) is drawn and has exactly j better ones drawn with it in
C(i-1, j) * C(n-i, q-1-j) of C(n, q) ways (hypergeometric distribution); it counts where j is less than three.
Pictures beyond those that the search returned are taken to be as similar as the last one returned, which they cannot
exceed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, perm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.types import Neighbours

SHOWN = 20
"""How many pictures each group is imagined to have shown. Down to this size number alone is never an advantage."""
BEST = 3
"""How many of them count."""


@dataclass(frozen=True, slots=True)
class RankedGroup:
    """A group's number, its score, and the rows of its best pictures among the neighbours."""

    group: int
    score: float
    evidence: tuple[int, ...]


def rank_groups(
    neighbours: Neighbours, group_of: NDArray[np.int64], sizes: NDArray[np.int64], limit: int | None = None
) -> list[RankedGroup]:
    """Rank the groups that the neighbours belong to, best first; ties go to the lower number. None means all.

    `group_of[row]` is the group of a stored picture and `sizes[group]` how many pictures the group has in all.
    """
    if not neighbours:
        return []
    group_of_each = group_of[neighbours.rows]
    order = np.argsort(group_of_each, kind="stable")  # group by group, within each as near as before
    ordered = group_of_each[order]
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    groups, counts = ordered[starts], np.diff(starts, append=len(order))
    shares = _rank_shares(counts, np.maximum(sizes[groups], counts))
    # The shares of a group that was not found whole sum to less than 1: what is missing counts as the last one found.
    missing = 1.0 - np.add.reduceat(shares, starts)
    found = np.add.reduceat(shares * neighbours.similarities[order], starts)
    scores = found + missing * float(neighbours.similarities[-1])
    ranked = []
    for one in np.lexsort((groups, -scores))[:limit].tolist():
        best = order[starts[one] : starts[one] + min(BEST, counts[one])]
        ranked.append(RankedGroup(int(groups[one]), float(scores[one]), tuple(neighbours.rows[best].tolist())))
    return ranked


def _rank_shares(counts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the shares in their groups' scores of each group's best `counts` pictures, group by group, best first.

    All shares of a group of three pictures or more sum to 1, those of a smaller one to less.
    """
    above = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    below = np.repeat(sizes, counts) - 1.0 - above
    # C(n, k) is n (n - 1) ... (n - k + 1) / k!, and most of the factorials cancel out.
    drawn_below = _falling(below, SHOWN - BEST)
    ways = np.zeros(len(above))
    for better in reversed(range(BEST)):
        ways += perm(SHOWN, better + 1) / factorial(better) * _falling(above, better) * drawn_below
        drawn_below *= below - (SHOWN - 1 - better)
    # A group of twenty or fewer is drawn whole.
    whole = np.repeat(sizes <= SHOWN, counts)
    chances = ways / np.repeat(_falling(np.maximum(sizes, SHOWN), SHOWN), counts)
    return np.where(whole, above < BEST, chances) / BEST


def _falling(numbers: NDArray[Any], factors: int) -> NDArray[np.float64]:
    """Return the falling factorial n (n - 1) (n - 2) ... of each number, of so many factors: 0 where n is smaller."""
    factor = numbers.astype(np.float64)
    product = np.ones(len(numbers))
    for _ in range(factors):
        product *= factor
        factor -= 1.0
    return product
