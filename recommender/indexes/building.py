"""Building an index: which kind, by size, memory and measured recall, and the report that is written beside it.

Exact search serves while it is fast enough. Then an inverted file holds codes of one bit a number (RaBitQ: Gao and
Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound", 2024), or of a few bytes a vector
(product quantisation: Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011) where memory
is short; either only finds candidates, which are compared exactly. Not here: the search (`faiss_index`, `ivf_index`),
and how far it has to look (`tuning`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, Self

import faiss
import numpy as np

from recommender.errors import BuildError, SettingError
from recommender.indexes import EXACT, IVF
from recommender.indexes.faiss_index import FaissIndex
from recommender.indexes.ivf_index import CENTRE, LISTS, REPORT, VECTORS, Effort, IvfIndex, Stored
from recommender.indexes.tuning import Truth, latency, truth_of, tune
from recommender.settings import Settings

EXACT_NUMBERS = 2**24
"""Numbers in all vectors together up to which every search compares with each: 65,536 × 256, about 5 ms."""
FEWEST = 10_000
"""Fewer vectors than these cannot be sorted into lists that are worth it: they are compared with each as well."""
BLOCK = 2**24
"""Numbers that are in memory at a time while an index is built: 64 MB of float32."""
WIDEST = 32_767
"""The largest number that 16 bits hold."""
POINTS = 40
"""Vectors for each list that the lists are learned from; FAISS asks for 39 at least."""
ROUNDS = 8
"""Rounds of k-means: later ones hardly move the lists."""
POINTS_NUMBERS = 2**27
"""The most numbers that lists are learned from: 512 MB of float32."""
PQ_BITS = 8
"""Bits of one code of product quantisation: a byte."""
PQ_ROUNDS = 6
"""Rounds of k-means for the codes of product quantisation."""
SHORTEST = 4
"""Bytes of the shortest code of product quantisation: shorter ones tell too little apart."""
ROW_NUMBER = 8
"""Bytes in which FAISS keeps the row of each code."""


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


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What an index is to be: the recall@10 that it is tuned for, and the most bytes it may hold in memory (0: any)."""

    target_recall: float = 0.99
    max_memory: int = 0
    exact_numbers: int = EXACT_NUMBERS

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the options that the settings ask for. Raises SettingError."""
        if not 0 < settings.target_recall <= 1:
            raise SettingError(f"SOKKURI_TARGET_RECALL has to be above 0 and at most 1, not {settings.target_recall}")
        return cls(settings.target_recall, settings.max_memory)


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What was built and how good it is. Latencies are medians in ms for ten results, one query at a time.

    `recall10` and `recall1000` are shares of the true nearest that are found, of stored vectors that are asked for and
    not counted themselves; bytes are those of one vector, in memory and in the file that is only mapped.
    """

    kind: str
    key: str
    vectors: int
    dimension: int
    target_recall: float
    recall10: float
    recall1000: float
    latency_ms: float
    exact_latency_ms: float
    bytes_per_vector: float
    mapped_bytes_per_vector: float
    build_seconds: float
    seconds: dict[str, float]
    step: float = 0.0
    few: Effort | None = None
    many: Effort | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self)


def build_index(folder: Path, vectors: Vectors, options: IndexOptions | None = None) -> IndexReport:
    """Build an index of unit vectors in a folder, measure it against exact search, and write the report beside it.

    Raises BuildError where no index fits into the memory that the options allow.
    """
    options = options or IndexOptions()
    started = perf_counter()
    key = _chosen(vectors.shape[0], vectors.shape[1], options)
    build = _build_exact if key == "Flat" else _build_ivf
    report = build(folder, vectors, key, options)
    report |= {"vectors": vectors.shape[0], "dimension": vectors.shape[1], "target_recall": options.target_recall}
    made = IndexReport(**report, key=key, build_seconds=perf_counter() - started)
    (folder / REPORT).write_text(json.dumps(made.to_json(), indent=1), encoding="utf-8")
    return made


def _chosen(count: int, dimension: int, options: IndexOptions) -> str:
    """Return what to build, as FAISS's index factory names it."""
    allowed = options.max_memory or 2**63
    exact = 4 * count * dimension
    if exact <= allowed and (count < FEWEST or count * dimension <= options.exact_numbers):
        return "Flat"
    if count >= FEWEST:
        lists = round(2 * sqrt(count))
        spare = (allowed - 4 * lists * dimension) / count - ROW_NUMBER
        # Codes stand in blocks of 32, so that each list has 16 places to spare on average.
        if spare >= _rabitq_bytes(dimension) * (1 + 16 * lists / count):
            return f"IVF{lists},RaBitQfs"
        fitting = [parts for parts in range(SHORTEST, dimension // 4 + 1) if dimension % parts == 0 and parts <= spare]
        if fitting:
            # np: without sorting the codes by their Hamming distance, which takes minutes and which nothing here uses.
            return f"IVF{lists},PQ{fitting[-1]}x{PQ_BITS}np"
    raise BuildError(
        f"no index of {count:,} vectors of {dimension} numbers fits into {options.max_memory:,} bytes: "
        "allow more with --max-memory"
    )


def _rabitq_bytes(dimension: int) -> int:
    """Return the bytes of one RaBitQ code: a bit for each number, and two float32 that correct the estimate."""
    return (dimension + 7) // 8 + 8


def _build_exact(folder: Path, vectors: Vectors, key: str, options: IndexOptions) -> dict[str, Any]:  # noqa: ARG001  # the shape of a builder
    """Build an index that compares with every vector."""
    index = FaissIndex.build(vectors[:])
    index.save(folder / LISTS)
    took = latency(index, vectors)
    size = (folder / LISTS).stat().st_size / max(1, vectors.shape[0])
    return {
        "kind": EXACT,
        "recall10": 1.0,
        "recall1000": 1.0,
        "latency_ms": took,
        "exact_latency_ms": took,
        "bytes_per_vector": size,
        "mapped_bytes_per_vector": 0.0,
        "seconds": {},
    }


def _build_ivf(folder: Path, vectors: Vectors, key: str, options: IndexOptions) -> dict[str, Any]:
    """Build lists of codes and the file of vectors, and tune how far a search looks."""
    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    started = perf_counter()
    stored = _stored(folder / VECTORS, vectors)
    np.save(folder / CENTRE, stored.centre)
    written = perf_counter()
    lists = _trained(key, stored)
    trained = perf_counter()
    for rows in _blocks(vectors.shape):
        lists.add(stored.less_centre(rows))
    faiss.write_index(lists, str(folder / LISTS))
    filled = perf_counter()
    truth = truth_of(vectors, _blocks(vectors.shape))
    found = tune(lambda efforts: IvfIndex(lists, stored, efforts), truth, int(lists.nlist), options.target_recall)
    return {
        "kind": IVF,
        "recall10": found.recall_few,
        "recall1000": found.recall_many,
        "latency_ms": found.latency_ms,
        "exact_latency_ms": _exact_latency(vectors, truth),
        "bytes_per_vector": ((folder / LISTS).stat().st_size + stored.centre.nbytes) / vectors.shape[0],
        "mapped_bytes_per_vector": 2.0 * vectors.shape[1],
        "seconds": {
            "store": written - started,
            "train": trained - written,
            "add": filled - trained,
            "measure": perf_counter() - filled,
        },
        "step": stored.step,
        "few": found.efforts.few,
        "many": found.efforts.many,
    }


def _blocks(shape: Any) -> Iterator[slice]:
    """Give the rows of a matrix of this shape in blocks of BLOCK numbers."""
    step = max(1, BLOCK // shape[1])
    for first in range(0, shape[0], step):
        yield slice(first, min(first + step, shape[0]))


def _stored(file: Path, vectors: Vectors) -> Stored:
    """Write the vectors less their mean to a file, in the finest steps that 16 bits allow, and return them mapped."""
    total = np.zeros(vectors.shape[1], dtype=np.float64)
    lowest = np.full(vectors.shape[1], np.inf, dtype=np.float32)
    highest = -lowest
    for rows in _blocks(vectors.shape):
        block = vectors[rows]
        total += block.sum(axis=0, dtype=np.float64)
        lowest, highest = np.minimum(lowest, block.min(axis=0)), np.maximum(highest, block.max(axis=0))
    centre = (total / vectors.shape[0]).astype(np.float32)
    widest = float(np.maximum(highest - centre, centre - lowest).max())
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.int16, shape=tuple(vectors.shape))
    stored = Stored(centre, max(widest, 1e-9) / WIDEST, mapped)
    for rows in _blocks(vectors.shape):
        mapped[rows] = stored.rounded(vectors[rows])
    mapped.flush()
    return stored


def _trained(key: str, stored: Stored) -> Any:
    """Return empty lists of codes, learned from a sample of the stored vectors."""
    count, dimension = stored.offsets.shape
    lists: Any = faiss.index_factory(dimension, key)
    lists.cp.niter, lists.cp.max_points_per_centroid = ROUNDS, POINTS
    most = min(count, max(FEWEST, POINTS * lists.nlist), POINTS_NUMBERS // dimension)
    rows = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    sample = stored.less_centre(rows)
    if not hasattr(lists, "pq"):
        lists.train(sample)
        return lists
    # The codes are learned in steps so short that threads would mostly wait for one another.
    lists.train_q1(len(sample), faiss.swig_ptr(sample), False, lists.metric_type)
    lists.pq.cp.niter = PQ_ROUNDS
    faiss.omp_set_num_threads(1)
    lists.train(sample)
    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    return lists


def _exact_latency(vectors: Vectors, truth: Truth) -> float:
    """Return how long comparing with every vector takes, in ms, on one thread; reading them does not count."""
    faiss.omp_set_num_threads(1)
    total = 0.0
    for rows in _blocks(vectors.shape):
        block = vectors[rows]
        started = perf_counter()
        faiss.knn(truth.queries[:1], block, 1, faiss.METRIC_INNER_PRODUCT)
        total += perf_counter() - started
    return 1000 * total
