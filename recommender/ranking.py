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

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from recommender.types import Neighbour

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
    neighbours: Sequence[Neighbour], group_of: NDArray[np.int64], sizes: NDArray[np.int64]
) -> list[RankedGroup]:
    """Rank the groups that the neighbours (best first) belong to, best first; ties go to the lower number.

    `group_of[row]` is the group of a stored picture and `sizes[group]` how many pictures the group has in all.
    """
    if not neighbours:
        return []
    members: dict[int, list[Neighbour]] = {}
    for neighbour in neighbours:
        members.setdefault(int(group_of[neighbour.row]), []).append(neighbour)
    floor = neighbours[-1].similarity
    ranked = [
        RankedGroup(
            group,
            _score([neighbour.similarity for neighbour in found], int(sizes[group]), floor),
            tuple(neighbour.row for neighbour in found[:BEST]),
        )
        for group, found in members.items()
    ]
    return sorted(ranked, key=lambda one: (-one.score, one.group))


def _score(similarities: list[float], size: int, floor: float) -> float:
    """Return the expected mean of the best three of twenty pictures drawn from a group of `size`; `floor` fills up."""
    shares = _rank_shares(len(similarities), max(size, len(similarities)))
    return float(shares @ np.asarray(similarities) + (1.0 - shares.sum()) * floor)


def _rank_shares(ranks: int, size: int) -> NDArray[np.float64]:
    """Return the share in the score of each of the first `ranks` pictures of a group of `size`: at most 1 in all.

    The shares of a group of fewer than three pictures sum to less: what is missing counts as `floor`.
    """
    drawn = min(SHOWN, size)
    above = np.arange(ranks, dtype=np.float64)
    places = np.arange(drawn - 1)
    # Column k is C(size - 1 - rank, k) over C(size - 1, k): built from factors in 0..1, it cannot overflow.
    factors = np.maximum(size - 1 - above[:, np.newaxis] - places, 0.0) / (size - 1 - places)
    below = np.cumprod(np.column_stack([np.ones(ranks), factors]), axis=1)
    shares = np.zeros(ranks)
    for better in range(min(BEST, drawn)):
        others = drawn - 1 - better
        ways_above = np.prod([(above - place) / (place + 1) for place in range(better)], axis=0)
        shares += ways_above * below[:, others] * (comb(size - 1, others) / comb(size, drawn))
    return shares / BEST
