"""Exact inner-product search in FAISS: every query looks at every vector, so nothing is ever missed.

Not here: what the rows mean (`snapshots`) or how they were embedded.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from recommender.errors import Corrupt
from recommender.folders import shown
from recommender.types import Matrix, Neighbours, Vector


class FaissIndex:
    """A NeighbourIndex over unit-length vectors, whose inner product is their cosine."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Matrix) -> Self:
        """Index an (n, d) float32 matrix, row by row."""
        return cls.of_blocks(vectors.shape[1], [vectors])

    @classmethod
    def of_blocks(cls, dimension: int, blocks: Iterable[Matrix]) -> Self:
        """Index vectors that come in blocks of rows."""
        index = faiss.IndexFlatIP(dimension)
        for block in blocks:
            index.add(np.ascontiguousarray(block, dtype=np.float32))
        return cls(index)

    @classmethod
    def open(cls, file: Path) -> Self:
        """Read an index that `save` wrote. Raises Corrupt where FAISS cannot."""
        try:
            return cls(faiss.read_index(str(file)))
        except RuntimeError:
            raise Corrupt(f"{shown(file)} is not an index that FAISS can read: run `sokkuri reindex LIBRARY`") from None

    def save(self, file: Path) -> None:
        """Write the index to a file."""
        faiss.write_index(self._index, str(file))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self._index.d)

    def search(self, vector: Vector, count: int, rows: NDArray[np.bool_] | None = None) -> Neighbours:
        """Return the `count` nearest rows, best first, of those that `rows` (a mask) lets through; all if fewer."""
        count = min(count, len(self) if rows is None else int(np.count_nonzero(rows)))
        if count == 0:
            return Neighbours(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
        parameters = None
        if rows is not None:
            # FAISS reads bit i of the map for row i, lowest bit of a byte first. It keeps only a pointer: `selected`
            # has to outlive the search.
            selected = np.packbits(rows, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(rows), faiss.swig_ptr(selected))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # its annotations lack it
        # A second thread only costs a single query: it spins at OpenMP's barriers, against the other requests' threads
        # (100,000 × 256 numbers on two busy cores: 32 ms with two, 8 ms with one). OpenMP counts for each calling
        # thread, so once at opening would not do.
        faiss.omp_set_num_threads(1)
        similarities, found = self._index.search(vector[np.newaxis], count, params=parameters)
        there = found[0] >= 0  # FAISS fills up with -1
        return Neighbours(found[0][there], similarities[0][there])

    def vector(self, row: int) -> Vector:
        """Return the stored vector of a row."""
        return np.asarray(self._index.reconstruct(row), dtype=np.float32)

    def vectors(self, rows: NDArray[np.int64]) -> Matrix:
        """Return the stored vectors of some rows."""
        if not len(rows):
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(rows)), dtype=np.float32)
