"""Training, validation and test part of a library, with near-duplicates kept on one side.

A picture and its near-duplicate on both sides of a split feign accuracy: the model is tested on what it was shown.
So pictures are grouped first, and a group goes to one part as a whole. Two pictures are near-duplicates when their
perceptual hashes almost agree and the embeddings do not object, or when their embeddings all but coincide. The
embeddings of an untrained network are all alike: it has no say in this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recommender.types import Matrix


class Vectors(Protocol):
    """(n, d) vectors of unit length, in memory (an array) or on the disk (`indexer.embed.StoredVectors`)."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, and their dimension."""
        ...

    def __getitem__(self, index: slice | NDArray[np.int64], /) -> Matrix: ...


PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.2, 0.1)
"""How much of each character goes to which part."""
HASH_BITS = 6
"""Perceptual hashes that differ in at most so many of 64 bits almost agree."""
HASH_SIMILARITY = 0.93
"""Flat drawings share hashes by chance: below this cosine two pictures with one hash are strangers all the same, unless
they are more alike than ALIKE of all pairs of the library's pictures. What a cosine means differs between networks: of
those pictures' copies at half size MobileNetV2 sees some at 0.85, where pictures of any two scenes are at 0.72."""
ALIKE = 0.95
SAMPLED = 1000
"""Pictures whose pairs tell what is usual in a library, evenly picked; where there are fewer than FEW, nothing is."""
FEW = 50
SAME_SIMILARITY = 0.98
"""From this cosine on, two pictures count as one, whatever their hashes say. Both limits were set by looking at pairs
of real pictures, embedded by an ImageNet SqueezeNet: from 0.98 on all were one scene, from 0.97 on every second."""
ROUNDING = 1e-9
"""Shares of one size may differ by this after some subtractions."""
BLOCK = 1024


HELD_OUT = -1
"""Stands in `Split.part` for a picture of a character that the model is not to know, and in `labels` below."""


@dataclass(frozen=True, slots=True)
class Split:
    """The part of each picture (a number into PARTS, or HELD_OUT), its near-duplicate group, and what drew it."""

    part: NDArray[np.int64]
    group: NDArray[np.int64]
    seed: int

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the rows of a part, in order."""
        return np.flatnonzero(self.part == PARTS.index(part))

    @property
    def held_out(self) -> NDArray[np.int64]:
        """The rows of pictures that are in no part."""
        return np.flatnonzero(self.part == HELD_OUT)

    def naive(self) -> Split:
        """Return the split by picture that this one is better than: near-duplicates fall where they may."""
        drawn = np.random.default_rng(self.seed).choice(len(PARTS), size=len(self.part), p=SHARES)
        return replace(self, part=np.where(self.part == HELD_OUT, HELD_OUT, drawn))

    def leaks(self) -> int:
        """Count the pictures outside training that have a near-duplicate in it: 0, unless the split is naive."""
        trained = np.zeros(self.group.max(initial=0) + 1, dtype=bool)
        trained[self.group[self.part == 0]] = True
        return int(np.count_nonzero(trained[self.group] & (self.part > 0)))


def split(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int, hashes: Sequence[int] = ()) -> Split:
    """Divide pictures 70/20/10, stratified by label, a whole group at a time. The same input gives the same split.

    With `hashes`, pictures are first divided by these alone, and only then groups that straddle the parts are moved as
    a whole to where most of them are: so two backbones, which see a few near-duplicates differently, still share nearly
    all of their test pictures, and can be compared on them. Pictures labelled HELD_OUT stay out of every part.
    """
    known = np.flatnonzero(labels != HELD_OUT)
    first = (
        np.unique(np.array(hashes, dtype=np.uint64)[known], return_inverse=True)[1] if len(hashes) else groups[known]
    )
    part = np.full(len(labels), HELD_OUT, dtype=np.int64)
    part[known] = _divide(labels[known], first, SHARES, seed)
    part[known] = _settled(part[known], labels[known], groups[known])
    return Split(part, groups, seed)


def folds(labels: NDArray[np.int64], groups: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Divide pictures into `count` parts of one size, stratified by label, a whole group at a time."""
    return _divide(labels, groups, (1 / count,) * count, seed, even=True)


def _divide(
    labels: NDArray[np.int64], groups: NDArray[np.int64], shares: tuple[float, ...], seed: int, *, even: bool = False
) -> NDArray[np.int64]:
    """Give each picture a part.

    Each group goes where its label lacks most; large groups first, so that the small ones even things out. A group of
    several labels counts for the label that most of it has. Of parts that lack it equally the first is taken or, to
    have them `even`, the one where most is lacking of all labels.
    """
    part = np.empty(len(labels), dtype=np.int64)
    if not len(labels):
        return part
    generator = np.random.default_rng(seed)
    members = _members(groups)
    order = sorted(generator.permutation(len(members)), key=lambda group: -len(members[group]))
    wanted = np.outer(np.bincount(labels), shares)
    for group in order:
        label = int(np.bincount(labels[members[group]]).argmax())
        chosen = _neediest(wanted, label) if even else int(wanted[label].argmax())
        part[members[group]] = chosen
        wanted[label, chosen] -= len(members[group])
    return part


def _neediest(wanted: NDArray[np.float64], label: int) -> int:
    """Return the part where a label lacks most and, among equals, where most is lacking of all labels together."""
    best = np.flatnonzero(wanted[label] >= wanted[label].max() - ROUNDING)
    return int(best[wanted.sum(axis=0)[best].argmax()])


def _settled(part: NDArray[np.int64], labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move each group that straddles parts to the part that holds most of it; ties go where the label lacks most."""
    part = part.copy()
    straddling = [members for members in _members(groups) if len(np.unique(part[members])) > 1]
    if not straddling:
        return part
    moving = np.zeros(len(part), dtype=bool)
    moving[np.concatenate(straddling)] = True
    lacking = np.outer(np.bincount(labels), SHARES)
    np.subtract.at(lacking, (labels[~moving], part[~moving]), 1.0)
    for members in sorted(straddling, key=len, reverse=True):
        held = np.bincount(part[members], minlength=len(PARTS))
        label = int(np.bincount(labels[members]).argmax())
        chosen = int(np.where(held == held.max(), lacking[label], -np.inf).argmax())
        part[members] = chosen
        lacking[label, chosen] -= len(members)
    return part


def near_duplicate_groups(hashes: Sequence[int], vectors: Vectors | None) -> NDArray[np.int64]:
    """Give each group of near-duplicates a number: rows with one number belong together, directly or through others.

    `hashes` are 64-bit perceptual hashes, `vectors` (n, d) unit-length embeddings of the same pictures, or None where
    only the hashes can be trusted.
    """
    parent = np.arange(len(hashes))
    for one, other in _near_pairs(np.array(hashes, dtype=np.uint64), vectors):
        _join(parent, one, other)
    roots = np.array([_root(parent, row) for row in range(len(parent))], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _near_pairs(hashes: NDArray[np.uint64], vectors: Vectors | None) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rows that are near-duplicates, block by block so that memory stays small."""
    starts = range(0, len(hashes), BLOCK)
    enough = 1.0 if vectors is None else _not_objecting(vectors, len(hashes))
    for first in starts:
        # `vectors` may go on behind the pictures that are looked at.
        rows = slice(first, min(first + BLOCK, len(hashes)))
        held = None if vectors is None else vectors[rows]
        for second in starts[first // BLOCK :]:
            columns = slice(second, min(second + BLOCK, len(hashes)))
            near = np.bitwise_count(hashes[rows, np.newaxis] ^ hashes[np.newaxis, columns]) <= HASH_BITS
            if vectors is not None and held is not None:
                cosine = held @ (held if first == second else vectors[columns]).T
                near = (cosine >= SAME_SIMILARITY) | (near & (cosine >= enough))
            for one, other in np.argwhere(near):
                if first + one < second + other:
                    yield first + int(one), second + int(other)


def _not_objecting(vectors: Vectors, count: int) -> float:
    """Return the cosine from which on embeddings do not object to two of the first `count` pictures being one."""
    if count < FEW:
        return HASH_SIMILARITY
    sample = vectors[np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).astype(np.int64))]
    usual = np.quantile((sample @ sample.T)[np.triu_indices(len(sample), 1)], ALIKE)
    return min(HASH_SIMILARITY, float(usual))


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
