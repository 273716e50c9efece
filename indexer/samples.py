"""A library's pictures as numbers: embeddings, labels, and the part that each picture is in.

Vectors stay where they are, mostly in a file, and are read block by block: what is held in memory does not grow with
the library. Not here: where vectors come from (`embed`), how parts are drawn (`split`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexer.library import Entry
from indexer.split import HELD_OUT, Split, Vectors, near_duplicate_groups, split
from recommender.heads import Heads, Probabilities
from recommender.labels import Hierarchy
from recommender.types import Matrix

BLOCK = 1024
"""Vectors that are held in memory at once: 16 MB of a network with 4,096 features."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some pictures: `rows` of `vectors`, and the class number of each one's character (n of both)."""

    vectors: Vectors
    rows: NDArray[np.int64]
    characters: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: Vectors, characters: NDArray[np.int64]) -> Self:
        """Take all vectors."""
        return cls(vectors, np.arange(len(vectors)), characters)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    def embeddings(self, index: slice | NDArray[np.int64] = slice(None)) -> Matrix:
        """Read the embeddings of some of the pictures, by their position in this part."""
        return self.vectors[self.rows[index]]

    def blocks(self) -> Iterator[tuple[slice, Matrix]]:
        """Read all embeddings, a block at a time, each with its place in this part."""
        for start in range(0, len(self), BLOCK):
            place = slice(start, min(start + BLOCK, len(self)))
            yield place, self.embeddings(place)

    def only(self, chosen: NDArray[np.bool_]) -> Part:
        """Return the pictures that a mask (n,) lets through."""
        return replace(self, rows=self.rows[chosen], characters=self.characters[chosen])

    def at_most(self, count: int) -> Part:
        """Return so many pictures, spread evenly over the part; all where it has no more."""
        if len(self) <= count:
            return self
        places = np.linspace(0, len(self) - 1, count).astype(np.int64)
        return replace(self, rows=self.rows[places], characters=self.characters[places])

    def __add__(self, other: Part) -> Part:
        """Put two parts of one library together."""
        if self.vectors is not other.vectors:
            raise ValueError("these parts are of different libraries")
        return Part(
            self.vectors, np.concatenate([self.rows, other.rows]), np.concatenate([self.characters, other.characters])
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """The vectors of a library, with `views` for each picture: embeddings, and what the heads read."""

    vectors: Vectors
    inputs: Vectors
    views: int = 0


@dataclass(frozen=True, slots=True)
class Samples:
    """All pictures of a library, in the order of its entries, and how they are split.

    `characters` holds the class number of each entry's character, or HELD_OUT. `stored.vectors` holds the embedding of
    each entry, then that of each entry and view, then those of pictures that show nobody.
    """

    hierarchy: Hierarchy
    stored: Stored
    characters: NDArray[np.int64]
    split: Split

    @classmethod
    def of(cls, hierarchy: Hierarchy, entries: Sequence[Entry], stored: Stored, seed: int, *, alike: bool) -> Self:
        """Label and split the pictures of a library; characters that `hierarchy` does not know are held out.

        `alike` says whether embeddings that are alike mean pictures that are alike: not so in an untrained network.
        """
        characters = numbers_of(hierarchy, entries)
        hashes = [entry.perceptual_hash for entry in entries]
        groups = near_duplicate_groups(hashes, stored.vectors if alike else None)
        return cls(hierarchy, stored, characters, split(characters, groups, seed, hashes))

    def read(self, part: Part) -> Part:
        """Return what the heads read of a part's pictures."""
        return replace(part, vectors=self.stored.inputs)

    @property
    def nothing(self) -> Part:
        """The pictures that show nobody."""
        first = len(self.characters) * (self.stored.views + 1)
        rows = np.arange(first, len(self.stored.vectors))
        return Part(self.stored.vectors, rows, np.full(len(rows), HELD_OUT, dtype=np.int64))

    def part(self, name: str) -> Part:
        """Return the pictures of a part: train, validation or test."""
        return self.at(self.split.rows(name))

    def at(self, rows: NDArray[np.int64]) -> Part:
        """Return the pictures of some entries."""
        return Part(self.stored.vectors, rows, self.characters[rows])

    def seen(self, part: Part) -> Part:
        """Return the pictures of a part together with all their views: what is trained on."""
        views = self.stored.views + 1
        places = [part.rows + view * len(self.characters) for view in range(views)]
        return Part(part.vectors, np.concatenate(places), np.tile(part.characters, views))


def numbers_of(hierarchy: Hierarchy, entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Return the class number of each entry's character, or HELD_OUT."""
    positions = hierarchy.character_space.positions
    return np.array([positions.get(entry.character.label, HELD_OUT) for entry in entries], dtype=np.int64)


def predict(heads: Heads, part: Part) -> Probabilities:
    """Return the probability of every label for every picture of a part, reading it block by block."""
    found = [heads.probabilities(block) for _, block in part.blocks()]
    if not found:
        return heads.probabilities(np.zeros((0, part.dimension), dtype=np.float32))
    return Probabilities(*(np.concatenate([getattr(one, space) for one in found]) for space in Probabilities.__slots__))
