"""Whether a picture finds its like among others: ranking by cosine, and principal components to make that better.

Vectors are unit-length rows that may lie on disk: they are read a block at a time, and never held all at once. Not
here: where the vectors come from, and which of the questions below are asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk
from scipy.special import digamma

from indexer.evaluation.intervals import Interval, mean_interval
from recommender.embeddings import unit_length
from recommender.types import Matrix

QUERY_BLOCK = 256
"""Queries that are ranked at once: their similarities to the whole gallery are held, 1 KB for each gallery picture."""
VECTOR_BLOCK = 1024
"""Gallery vectors, or vectors to fit or project, that are held at once."""
MOST_COMPONENTS = 512
DAMPING = 1e-6
"""Share of the largest variance that is added to each before whitening divides by it: what hardly varies is noise, and
would otherwise be made as loud as everything else."""
NO_VARIANCE = 1e-10
"""Vectors of length 1 that vary less than this along a direction do so by rounding alone: float32 has 7 digits."""


class Rows(Protocol):
    """Unit-length vectors as an array, a memory map, or whatever reads rows when asked for them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, and how many numbers each has."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Matrix: ...


@dataclass(frozen=True, slots=True)
class Items:
    """Pictures that seek or are found: (n, d) vectors, and for each the numbers that rankings go by, (n,) int64.

    A gallery picture is relevant when it has the query's `label`. It is left out of the query's ranking when it is of
    the same near-duplicate `group`, as the picture itself is, or has the same `apart` number, which is -1 where there
    is nothing to keep apart. Whether a character is found: label = character, apart = -1. Whether a show is, by
    its other characters: label = show, apart = character. Queries and gallery count all three from one list.
    """

    vectors: Rows
    label: NDArray[np.int64]
    apart: NDArray[np.int64]
    group: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well like is found, over the `queries` that have something to find; the `without` others are left out.

    `precision_at_1` is the share of queries whose nearest picture is relevant, `mean_average_precision` what its name
    says, `random_map` what the latter is on average when the gallery is shuffled. All are None without queries.
    """

    queries: int
    without: int
    precision_at_1: Interval | None
    mean_average_precision: Interval | None
    random_map: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components: `mean` (d,), `directions` (d, available) as columns, `variances` (available,), falling."""

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    variances: NDArray[np.float64]

    @property
    def available(self) -> int:
        """How many dimensions there are to project to, which is 0 where the vectors do not vary."""
        return len(self.variances)

    @classmethod
    def fit(cls, vectors: Rows, most: int = MOST_COMPONENTS) -> Self:
        """Find the directions in which (n, d) vectors vary most, at most `most` and fewer than n of them.

        Mean and covariance are summed up in float64, a block at a time; memory grows with d², not with n: one matrix
        is held, of which only one half is filled, since the other is the same.
        """
        count, dimension = vectors.shape
        total, products = np.zeros(dimension), np.zeros((dimension, dimension), order="F")
        for _, block in _blocks(vectors):
            exact = block.astype(np.float64)
            total += exact.sum(axis=0)
            products = dsyrk(1.0, exact.T, beta=1.0, c=products, lower=True, overwrite_c=True)
            del block, exact  # beside the next ones they would be held twice
        mean = total / max(count, 1)
        wanted = min(most, dimension, count - 1)
        if wanted < 1:
            return cls(mean, np.zeros((dimension, 0)), np.zeros(0))
        products /= count
        for column in range(dimension):
            products[:, column] -= mean * mean[column]
        variances, directions = eigh(
            products, lower=True, subset_by_index=(dimension - wanted, dimension - 1), overwrite_a=True
        )
        varied = variances > NO_VARIANCE
        return cls(mean, directions[:, varied][:, ::-1], variances[varied][::-1])

    def spread(self, dimension: int) -> NDArray[np.float64]:
        """Return what whitening divides the first components by: their standard deviations, with DAMPING."""
        return np.asarray(np.sqrt(self.variances[:dimension] + DAMPING * self.variances[0]))

    def project(self, vectors: Rows, dimension: int, *, whiten: bool) -> Matrix:
        """Return (n, dimension) unit-length vectors along the first components; one at the mean becomes zeros.

        Whitened, each component is divided by the square root of its variance (and DAMPING of the largest variance),
        so that all count the same: Jégou and Chum, "Negative evidences and co-occurrences in image retrieval: the
        benefit of PCA and whitening", 2012. Raises ValueError unless 1 <= dimension <= available.
        """
        if not 1 <= dimension <= self.available:
            raise ValueError(f"there are {self.available} components: {dimension} of them cannot be had")
        matrix = self.directions[:, :dimension]
        if whiten:
            matrix = matrix / self.spread(dimension)
        projected = np.empty((len(vectors), dimension), dtype=np.float32)
        for rows, block in _blocks(vectors):
            projected[rows] = (block - self.mean) @ matrix
        return unit_length(projected)


def retrieve(queries: Items, gallery: Items, seed: int = 0) -> Retrieval:
    """Rank the gallery by cosine for each query, and measure how far up the relevant pictures are.

    Average precision is the mean, over all relevant pictures, of the precision at their rank. Equal cosines are one
    step: all of them are at the last rank of theirs, and the first place is shared, so that the order of the gallery
    decides nothing. The intervals draw near-duplicate groups of queries: `intervals` tells why. The gallery
    is read once for every QUERY_BLOCK queries.
    """
    figures = np.full((len(queries.label), 3), np.nan)
    for start in range(0, len(queries.label), QUERY_BLOCK):
        rows = slice(start, start + QUERY_BLOCK)
        similarity = _similarity(queries.vectors[rows], gallery.vectors)
        ranked, relevant = _ranked_and_relevant(queries, rows, gallery)
        figures[rows] = [_figures(*row) for row in zip(similarity, ranked, relevant, strict=True)]
    asked = ~np.isnan(figures[:, 0])
    first, average, random = figures[asked].T
    return Retrieval(
        queries=len(first),
        without=int(np.count_nonzero(~asked)),
        precision_at_1=mean_interval(first, queries.group[asked], seed),
        mean_average_precision=mean_interval(average, queries.group[asked], seed),
        random_map=float(random.mean()) if len(random) else None,
    )


def random_average_precision(relevant: int, ranked: int) -> float:
    """Return the average precision to expect when `relevant` (1 or more) of `ranked` pictures are at random ranks.

    A relevant picture is at each rank k with the same chance, and of the k - 1 before it a share of
    (relevant - 1) / (ranked - 1) is relevant too. The mean precision (1 + (k - 1) × share) / k over all k is
    share + (1 - share) × H / ranked, where H is the harmonic number of `ranked`. The share of relevant pictures, which
    is often taken for it, is well below that where few are relevant.
    Source: Bestgen, "Exact Expected Average Precision of the Random Baseline for System Evaluation", 2015.
    """
    share = (relevant - 1) / max(ranked - 1, 1)
    harmonic = float(digamma(ranked + 1)) + np.euler_gamma
    return share + (1.0 - share) * harmonic / ranked


def _blocks(vectors: Rows) -> Iterator[tuple[slice, Matrix]]:
    """Yield the vectors VECTOR_BLOCK at a time, each block with the rows that it is."""
    for start in range(0, len(vectors), VECTOR_BLOCK):
        rows = slice(start, start + VECTOR_BLOCK)
        yield rows, vectors[rows]


def _similarity(queries: Matrix, gallery: Rows) -> Matrix:
    """Return the cosine of each query with each gallery picture: (queries, gallery) float32."""
    similarity = np.empty((len(queries), len(gallery)), dtype=np.float32)
    for rows, block in _blocks(gallery):
        similarity[:, rows] = queries @ block.T
    return similarity


def _ranked_and_relevant(queries: Items, rows: slice, gallery: Items) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which gallery pictures each query of these rows ranks, and which of those are relevant."""
    label, apart, group = (numbers[rows, np.newaxis] for numbers in (queries.label, queries.apart, queries.group))
    ranked = (group != gallery.group) & ((apart != gallery.apart) | (apart < 0))
    return ranked, ranked & (label == gallery.label)


def _figures(similarity: Matrix, ranked: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return one query's precision at 1, average precision and what chance would make of it; nan without relevant."""
    if not relevant.any():
        return np.nan, np.nan, np.nan
    everything, like = np.sort(similarity[ranked]), np.sort(similarity[relevant])
    # How many are at least as near as each relevant picture: among all, and among the relevant.
    rank = len(everything) - np.searchsorted(everything, like, side="left")
    found = len(like) - np.searchsorted(like, like, side="left")
    nearest = everything[-1]
    first = np.count_nonzero(like == nearest) / np.count_nonzero(everything == nearest)
    return first, float(np.mean(found / rank)), random_average_precision(len(like), len(everything))
