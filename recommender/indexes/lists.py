"""The parts of an inverted file: the vectors in 16 bits, the lists that are learned from them, and the codes in these.

Not here: which kind of codes, and whether lists are learned anew (`building`); how they are searched (`ivf_index`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from recommender.errors import BuildError
from recommender.indexes.ivf_index import Stored
from recommender.types import Matrix, Vector

BLOCK = 2**24
"""Numbers that are in memory at a time while an index is built: 64 MB of float32."""
WIDEST = 32_767
"""The largest number that 16 bits hold."""
HEADROOM = 1.25
"""How much wider than the widest vector the steps reach, so that those that are added later fit too."""
FEWEST = 10_000
"""Fewer vectors than these cannot be sorted into lists that are worth it: they are compared with each."""
POINTS = 40
"""Vectors for each list that the lists are learned from; FAISS asks for 39 at least."""
ROUNDS = 8
"""Rounds of k-means: later ones hardly move the lists."""
POINTS_NUMBERS = 2**27
"""The most numbers that lists are learned from: 512 MB of float32."""
PQ_ROUNDS = 6
"""Rounds of k-means for the codes of product quantisation."""


class Vectors(Protocol):
    """(n, d) float32 vectors that need not be in memory: only blocks of rows are read."""

    @property
    def shape(self) -> Any:
        """The number of vectors and their dimension."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any:
        """Return the rows of a slice or an array of their numbers as a matrix."""
        ...


def blocks(shape: Any) -> Iterator[slice]:
    """Give the rows of a matrix of this shape in blocks of BLOCK numbers."""
    step = max(1, BLOCK // shape[1])
    for first in range(0, shape[0], step):
        yield slice(first, min(first + step, shape[0]))


def scale_of(vectors: Vectors) -> tuple[Vector, float]:
    """Return the mean of all vectors, and the step in which 16 bits hold them less that, with HEADROOM."""
    total = np.zeros(vectors.shape[1], dtype=np.float64)
    lowest = np.full(vectors.shape[1], np.inf, dtype=np.float32)
    highest = -lowest
    for rows in blocks(vectors.shape):
        block = vectors[rows]
        total += block.sum(axis=0, dtype=np.float64)
        lowest, highest = np.minimum(lowest, block.min(axis=0)), np.maximum(highest, block.max(axis=0))
    centre = (total / vectors.shape[0]).astype(np.float32)
    widest = float(np.maximum(highest - centre, centre - lowest).max())
    return centre, max(HEADROOM * widest, 1e-9) / WIDEST


def store(file: Path, vectors: Vectors, centre: Vector, step: float) -> Stored | None:
    """Write vectors less a centre, in steps, to a file and return them mapped; None where one is too far from it."""
    empty = Stored(centre, step, np.empty((0, len(centre)), np.int16))

    def steps() -> Iterator[Matrix]:
        for rows in blocks(vectors.shape):
            found = empty.steps(vectors[rows])
            if found.size and max(-float(found.min()), float(found.max())) > WIDEST:
                raise _TooFarError
            yield found

    try:
        return Stored(centre, step, written(file, vectors.shape, "<i2", steps()))
    except _TooFarError:
        return None


class _TooFarError(Exception):
    """A vector lies farther from the centre than 16 bits reach."""


def written(file: Path, shape: Any, kind: str, rows: Iterable[Matrix]) -> NDArray[Any]:
    """Write a matrix that comes in blocks of rows to a file, as `numpy.save` would, and return it mapped.

    Raises BuildError where the disk is full: to write through a mapping would end the process then.
    """
    header = {"descr": kind, "fortran_order": False, "shape": tuple(shape)}
    try:
        with file.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for block in rows:
                stream.write(np.ascontiguousarray(block, dtype=kind).data)
    except OSError as error:
        raise BuildError(f"{file} cannot be written ({error.strerror}): make room and run it again") from None
    mapped: NDArray[Any] = np.load(file, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    return mapped


def learned(key: str, stored: Stored) -> Any:
    """Return empty lists of codes, learned from a sample of the stored vectors."""
    count, dimension = stored.offsets.shape
    lists: Any = faiss.index_factory(dimension, key)
    lists.cp.niter, lists.cp.max_points_per_centroid = ROUNDS, POINTS
    most = min(count, max(FEWEST, POINTS * lists.nlist), POINTS_NUMBERS // dimension)
    rows = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    sample = stored.less_centre(rows)
    every_core()
    if not hasattr(lists, "pq"):
        lists.train(sample)
        return lists
    lists.use_precomputed_table = -1  # none is made: `IvfIndex` searches without
    # The codes are learned in steps so short that threads would mostly wait for one another.
    lists.train_q1(len(sample), faiss.swig_ptr(sample), False, lists.metric_type)
    lists.pq.cp.niter = PQ_ROUNDS
    faiss.omp_set_num_threads(1)
    lists.train(sample)
    return lists


def fill(lists: Any, stored: Stored, file: Path) -> None:
    """Put codes of all stored vectors, and of nothing else, into lists, row by row, and write them to a file."""
    every_core()
    lists.reset()
    for rows in blocks(stored.offsets.shape):
        lists.add(stored.less_centre(rows))
    faiss.write_index(lists, str(file))


def every_core() -> None:
    """Let FAISS compute on all cores of this process from here on."""
    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
