"""How far a search has to look: an index is asked for stored vectors whose true neighbours are known.

Not here: how an index is built (`building`) and searched (`ivf_index`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import sqrt
from time import perf_counter
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from recommender.indexes.ivf_index import FEW, MANY, Effort, Efforts, IvfIndex
from recommender.ports import NeighbourIndex
from recommender.types import Matrix

ASKED = 1024
"""Stored vectors that the recall of ten is measured with: its standard error is about a tenth of a point."""
ASKED_KEPT = 512
"""As many suffice to tell whether lists that are kept still find what they found."""
ASKED_MANY = 32
"""Those that the recall of a thousand is measured with."""
FACTORS_FEW = (4, 8, 16, 32, 64)
FACTORS_MANY = (1, 2, 4, 8, 16)
"""Candidates for each result that are tried."""
SURE = 2.0
"""By how many standard errors the recall of ten has to lie above its target: the first of many efforts to reach it in
a sample is often one that was lucky there, and falls short for the queries that come afterwards."""
RECALL_MANY = 0.95
"""The most that is asked of a thousand results: what stands around the thousandth place is all but equally near."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Queries, the rows that they are stored in, and the rows nearest to each, best first, without itself."""

    queries: Matrix
    rows: NDArray[np.int64]
    nearest: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Truths:
    """What FEW results are measured with, and MANY; and how long comparing one vector with all takes, in ms."""

    few: Truth
    many: Truth
    exact_ms: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found, and what it is worth: recalls, and the median latency of ten results in ms."""

    efforts: Efforts
    recall_few: float
    recall_many: float
    latency_ms: float


def truths_of(vectors: Any, blocks: Iterable[slice], asked: int = ASKED) -> Truths:
    """Compare samples of the vectors with all of them, block by block, each of which is read once."""
    few, many = _Nearest.of(vectors, asked, FEW), _Nearest.of(vectors, ASKED_MANY, MANY)
    exact = 0.0
    for block in blocks:
        stored = np.ascontiguousarray(vectors[block])
        few.look_at(stored, block.start)
        many.look_at(stored, block.start)
        exact += _one_search(few.queries[:1], stored)
    return Truths(few.truth(), many.truth(), 1000 * exact)


def truth_of(vectors: Any, blocks: Iterable[slice], asked: int, results: int) -> Truth:
    """Find the `results` rows nearest to each of a sample by comparing it with all vectors, block by block."""
    nearest = _Nearest.of(vectors, asked, results)
    for block in blocks:
        nearest.look_at(np.ascontiguousarray(vectors[block]), block.start)
    return nearest.truth()


@dataclass
class _Nearest:
    """The rows nearest to some stored vectors, those themselves among them, as far as blocks were looked at."""

    queries: Matrix
    rows: NDArray[np.int64]
    wanted: int
    similarities: Matrix
    nearest: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: Any, asked: int, results: int) -> Self:
        """Choose the queries; nothing was looked at yet."""
        count = vectors.shape[0]
        rows = np.sort(np.random.default_rng(1).choice(count, min(asked, count), replace=False))
        none = len(rows), 0
        queries = np.ascontiguousarray(vectors[rows])
        return cls(queries, rows, min(results + 1, count), np.empty(none, np.float32), np.empty(none, np.int64))

    def look_at(self, stored: Matrix, start: int) -> None:
        """Compare with vectors of which the first stands in row `start`."""
        wanted = min(self.wanted, len(stored))
        more, found = faiss.knn(self.queries, stored, wanted, faiss.METRIC_INNER_PRODUCT)
        similarities = np.concatenate([self.similarities, more], axis=1)
        nearest = np.concatenate([self.nearest, found + start], axis=1)
        best = np.argsort(-similarities, axis=1, kind="stable")[:, : self.wanted]
        self.similarities = np.take_along_axis(similarities, best, axis=1)
        self.nearest = np.take_along_axis(nearest, best, axis=1)

    def truth(self) -> Truth:
        """Return what was found, without the queries themselves."""
        others = [found[found != row][: self.wanted - 1] for row, found in zip(self.rows, self.nearest, strict=True)]
        return Truth(self.queries, self.rows, np.stack(others))


def _one_search(query: Matrix, stored: Matrix) -> float:
    """Return the seconds that comparing one vector with some takes on one thread."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    started = perf_counter()
    faiss.knn(query, stored, 1, faiss.METRIC_INNER_PRODUCT)
    taken = perf_counter() - started
    faiss.omp_set_num_threads(threads)
    return taken


def tune(index_with: Callable[[Efforts], IvfIndex], truths: Truths, lists: int, target: float) -> Tuned:
    """Find the least effort that surely reaches the target recall for FEW results, and one that does for MANY.

    Of several ways to reach it the fastest wins; where none does, the one of the best recall.
    """
    index = index_with(Efforts(Effort(1, 1), Effort(1, 1)))
    few = _least_effort(index, truths.few, lists, target, FEW, SURE)
    # What is found of a thousand is said in the report but promised to nobody.
    many = _least_effort(index, truths.many, lists, min(target, RECALL_MANY), MANY, 0.0)
    return measured(index_with, truths, Efforts(few, many))


def measured(index_with: Callable[[Efforts], IvfIndex], truths: Truths, efforts: Efforts) -> Tuned:
    """Return what some efforts are worth."""
    index = index_with(efforts)
    recall_few, took = _measured(index, truths.few, FEW)
    recall_many, _ = _measured(index, truths.many, MANY)
    return Tuned(efforts, recall_few, recall_many, took)


def latency(index: NeighbourIndex, vectors: Any, asked: int = 32) -> float:
    """Return the median time of a search for FEW results, in ms; 0 for an empty index."""
    times = []
    for row in np.linspace(0, vectors.shape[0] - 1, min(asked, vectors.shape[0])).astype(int):
        query = np.asarray(vectors[row : row + 1])[0]
        started = perf_counter()
        index.search(query, FEW)
        times.append(perf_counter() - started)
    return 1000 * float(np.median(times)) if times else 0.0


def _least_effort(index: IvfIndex, truth: Truth, lists: int, target: float, count: int, sure: float) -> Effort:
    """Return the cheapest effort that reaches the target for `count` results, by so many standard errors."""
    factors = FACTORS_FEW if count == FEW else FACTORS_MANY
    reaching: list[tuple[float, Effort]] = []
    best, best_recall = Effort(lists, factors[-1]), -1.0
    probes = 1
    while True:
        for factor, shares in zip(factors, _recalls(index, truth, probes, factors, count), strict=True):
            recall = float(shares.mean())
            if recall > best_recall:
                best, best_recall = Effort(probes, factor), recall
            if recall - sure * float(shares.std()) / sqrt(len(shares)) >= target:
                reaching.append((_duration(index, truth, Effort(probes, factor), count), Effort(probes, factor)))
                break
        # Four times the lists of the first that sufficed may allow fewer candidates; more never pay.
        if probes == lists or (reaching and probes >= 4 * reaching[0][1].probes):
            break
        probes = min(2 * probes, lists)
    return min(reaching, key=lambda one: one[0])[1] if reaching else best


def _recalls(index: IvfIndex, truth: Truth, probes: int, factors: tuple[int, ...], count: int) -> NDArray[np.float64]:
    """Return the share of its nearest that each query finds, a row for each number of candidates a result.

    Fewer candidates are the first ones of a search for more.
    """
    shares = np.zeros((len(factors), len(truth.rows)))
    for number, (query, row, nearest) in enumerate(zip(truth.queries, truth.rows, truth.nearest, strict=True)):
        wanted = set(nearest[:count].tolist())
        found = index.probed(query, min(len(index), factors[-1] * count + 1), probes)
        found = found[found != row]
        similarities = index.similarities(query, found) if len(found) else np.empty(0, np.float32)
        for place, factor in enumerate(factors):
            candidates = similarities[: factor * count]
            kept = np.argsort(-candidates, kind="stable")[:count]
            shares[place, number] = len(wanted.intersection(found[kept].tolist())) / max(1, len(wanted))
    return shares


def _duration(index: IvfIndex, truth: Truth, effort: Effort, count: int) -> float:
    """Return the median time that some searches take with an effort, in ms."""
    times = []
    for query in truth.queries[:ASKED_MANY]:
        started = perf_counter()
        found = index.probed(query, min(len(index), effort.factor * count), effort.probes)
        np.argsort(-index.similarities(query, found))
        times.append(perf_counter() - started)
    return 1000 * float(np.median(times))


def _measured(index: NeighbourIndex, truth: Truth, count: int) -> tuple[float, float]:
    """Return recall and median latency (ms) of whole searches for `count` results."""
    hits, total, times = 0, 0, []
    for query, row, nearest in zip(truth.queries, truth.rows, truth.nearest, strict=True):
        started = perf_counter()
        found = index.search(query, count + 1)
        times.append(perf_counter() - started)
        rows = [one.row for one in found if one.row != row][:count]
        wanted = set(nearest[:count].tolist())
        hits += len(wanted.intersection(rows))
        total += len(wanted)
    return hits / max(1, total), 1000 * float(np.median(times))
