"""Training, validation and test part of a library, with near-duplicates kept on one side.

A picture and its near-duplicate on both sides of a split feign accuracy: the model is tested on what it was shown.
So pictures are grouped first, and a group goes to one part as a whole. Two pictures are near-duplicates when their
perceptual hashes almost agree and the embeddings do not object, or when their embeddings all but coincide. The
embeddings of an untrained network are all alike: it has no say in this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.types import Matrix

PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.2, 0.1)
"""How much of each character goes to which part."""
HASH_BITS = 6
"""Perceptual hashes that differ in at most so many of 64 bits almost agree."""
HASH_SIMILARITY = 0.93
"""Flat drawings share hashes by chance: below this cosine two pictures with one hash are strangers all the same."""
SAME_SIMILARITY = 0.98
"""From this cosine on, two pictures count as one, whatever their hashes say. Both limits were set by looking at pairs
of real pictures, embedded by an ImageNet SqueezeNet: from 0.98 on all were one scene, from 0.97 on every second."""
BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Split:
    """The part of each picture (a number into PARTS), its near-duplicate group, and what drew it."""

    part: NDArray[np.int64]
    group: NDArray[np.int64]
    seed: int

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the rows of a part, in order."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def leaks_of_naive_split(self) -> int:
        """Count the pictures outside training whose near-duplicate a split by picture would have trained on."""
        naive = np.random.default_rng(self.seed).choice(len(PARTS), size=len(self.part), p=SHARES)
        trained = np.zeros(self.group.max(initial=0) + 1, dtype=bool)
        trained[self.group[naive == 0]] = True
        return int(np.count_nonzero(trained[self.group] & (naive != 0)))


def split(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> Split:
    """Divide pictures 70/20/10, stratified by label, a whole group at a time. The same input gives the same split.

    Each group goes where its label lacks most; large groups first, so that the small ones even things out. A group of
    several labels counts for the label that most of it has.
    """
    generator = np.random.default_rng(seed)
    members = _members(groups)
    order = sorted(generator.permutation(len(members)), key=lambda group: -len(members[group]))
    wanted = np.outer(np.bincount(labels), SHARES)
    part = np.empty(len(labels), dtype=np.int64)
    for group in order:
        label = int(np.bincount(labels[members[group]]).argmax())
        chosen = int(wanted[label].argmax())
        part[members[group]] = chosen
        wanted[label, chosen] -= len(members[group])
    return Split(part, groups, seed)


def near_duplicate_groups(hashes: Sequence[int], vectors: Matrix | None) -> NDArray[np.int64]:
    """Give each group of near-duplicates a number: rows with one number belong together, directly or through others.

    `hashes` are 64-bit perceptual hashes, `vectors` (n, d) unit-length embeddings of the same pictures, or None where
    only the hashes can be trusted.
    """
    parent = np.arange(len(hashes))
    for one, other in _near_pairs(np.array(hashes, dtype=np.uint64), vectors):
        _join(parent, one, other)
    roots = np.array([_root(parent, row) for row in range(len(parent))], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _near_pairs(hashes: NDArray[np.uint64], vectors: Matrix | None) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rows that are near-duplicates, block by block so that memory stays small."""
    starts = range(0, len(hashes), BLOCK)
    for first, second in ((first, second) for first in starts for second in starts if first <= second):
        rows, columns = slice(first, first + BLOCK), slice(second, second + BLOCK)
        near = np.bitwise_count(hashes[rows, np.newaxis] ^ hashes[np.newaxis, columns]) <= HASH_BITS
        if vectors is not None:
            cosine = vectors[rows] @ vectors[columns].T
            near = (cosine >= SAME_SIMILARITY) | (near & (cosine >= HASH_SIMILARITY))
        for one, other in np.argwhere(near):
            if first + one < second + other:
                yield first + int(one), second + int(other)


def _root(parent: NDArray[np.int64], row: int) -> int:
    """Follow the parents to the row that stands for the group, and shorten the way for the next time."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = int(parent[row])
    return row


def _join(parent: NDArray[np.int64], one: int, other: int) -> None:
    """Make two rows members of one group."""
    parent[_root(parent, one)] = _root(parent, other)


def _members(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each group."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
