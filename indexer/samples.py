"""A library's pictures as numbers: embeddings, labels, and the part that each picture is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexer.library import Library
from indexer.split import Split, near_duplicate_groups, split
from recommender.labels import Hierarchy
from recommender.types import Matrix


@dataclass(frozen=True, slots=True)
class Part:
    """(n, d) embeddings of pictures, and the class number of each one's character."""

    embeddings: Matrix
    characters: NDArray[np.int64]

    def __add__(self, other: Part) -> Part:
        return Part(
            np.concatenate([self.embeddings, other.embeddings]), np.concatenate([self.characters, other.characters])
        )


@dataclass(frozen=True, slots=True)
class Samples:
    """All pictures of a library, in the order of its entries, and how they are split."""

    hierarchy: Hierarchy
    everything: Part
    split: Split

    @classmethod
    def of(cls, library: Library, embeddings: Matrix, seed: int, *, alike: bool) -> Self:
        """Label and split the pictures of a library, whose embeddings are given in the order of its entries.

        `alike` says whether embeddings that are alike mean pictures that are alike: not so in an untrained network.
        """
        positions = library.hierarchy.character_space.positions
        characters = np.array([positions[entry.character.label] for entry in library.entries], dtype=np.int64)
        hashes = [entry.perceptual_hash for entry in library.entries]
        groups = near_duplicate_groups(hashes, embeddings if alike else None)
        return cls(library.hierarchy, Part(embeddings, characters), split(characters, groups, seed))

    def part(self, name: str) -> Part:
        """Return the pictures of a part: train, validation or test."""
        rows = self.split.rows(name)
        return Part(self.everything.embeddings[rows], self.everything.characters[rows])
