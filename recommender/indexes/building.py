"""Building an index: which kind, by size, memory and measured recall, and the report that is written beside it.

Exact search serves while it is fast enough. Then an inverted file holds codes of one bit a number (RaBitQ: Gao and
Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound", 2024), or of a few bytes a vector
(product quantisation: Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011) where memory
is short; either only finds candidates, which are compared exactly. Where few vectors came or went, the lists of the
index before are filled anew instead of being learned anew, while they find as much. Not here: the search
(`faiss_index`, `ivf_index`), the parts of an inverted file (`lists`), and how far a search has to look (`tuning`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np

from recommender.errors import BuildError, SettingError
from recommender.indexes import EXACT, IVF
from recommender.indexes.faiss_index import FaissIndex
from recommender.indexes.ivf_index import (
    CENTRE,
    LISTS,
    REPORT,
    VECTORS,
    Effort,
    Efforts,
    IvfIndex,
    Stored,
    read_lists,
)
from recommender.indexes.lists import FEWEST, Vectors, blocks, fill, learned, scale_of, store
from recommender.indexes.tuning import ASKED, ASKED_KEPT, Truths, Tuned, latency, measured, truths_of, tune
from recommender.settings import Settings

FLAT = "Flat"
"""The key of exact search, as FAISS's index factory names it."""
BUILT, UPDATED = "built", "updated"
"""Lists that were learned for this index, and those of a former one."""
EXACT_NUMBERS = 2**24
"""Numbers in all vectors together up to which every search compares with each: 65,536 × 256, about 5 ms."""
PQ_BITS = 8
"""Bits of one code of product quantisation: a byte."""
SHORTEST = 4
"""Bytes of the shortest code of product quantisation: shorter ones tell too little apart."""
HEADERS = 1024
"""Bytes that the files of an index have beside all that grows with it."""
ROW_NUMBER = 8
"""Bytes in which FAISS keeps the row of each code."""
MOST_MOVED = 0.2
"""Where more vectors than this share came or went since the lists were learned, they are learned anew."""
SLACK = 0.005
"""How much less recall than before counts as luck: two samples of a thousand vectors may differ by as much."""
MOST_UNMEASURED = 0.001
"""The share of vectors that may come or go before kept lists are measured again. All others keep their codes, and one
that came is on average among the ten nearest of ten: far too little to be seen in a sample."""


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
    not counted themselves; bytes are those of one vector, in memory and in the file that is only mapped. `how` is
    BUILT or UPDATED, and `why` says what former lists could not serve for. The lists were learned when there were
    `learned_from` vectors; `moved` came or went since, `unmeasured` of them after recalls and latencies were measured.
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
    how: str = BUILT
    why: str = ""
    learned_from: int = 0
    moved: int = 0
    unmeasured: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Former:
    """The index of an earlier snapshot with nearly the same vectors, of which `moved` came or went since then."""

    folder: Path
    moved: int


def build_index(
    folder: Path, vectors: Vectors, options: IndexOptions | None = None, former: Former | None = None
) -> IndexReport:
    """Make an index of unit vectors in a folder, measure it against exact search, and write the report beside it.

    The lists of a `former` one are kept where they still serve. Raises BuildError where no index fits into the memory
    that the options allow.
    """
    options = options or IndexOptions()
    started = perf_counter()
    key = _chosen(vectors.shape[0], vectors.shape[1], options)
    facts = _build_exact(folder, vectors) if key == FLAT else _build_ivf(folder, vectors, key, options, former)
    facts |= {"vectors": vectors.shape[0], "dimension": vectors.shape[1], "target_recall": options.target_recall}
    made = IndexReport(**facts, build_seconds=perf_counter() - started)
    (folder / REPORT).write_text(json.dumps(made.to_json(), indent=1), encoding="utf-8")
    return made


def read_report(folder: Path) -> IndexReport | None:
    """Read the report beside an index; None where there is none, or one of another Sokkuri."""
    try:
        fields = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        efforts = {name: fields[name] and Effort(**fields[name]) for name in ("few", "many")}
        return IndexReport(**fields | efforts)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def still_fits(folder: Path, options: IndexOptions) -> bool:
    """Tell whether an index is what would be made of its vectors with these options. Raises BuildError as building."""
    report = read_report(folder)
    if report is None or _codes(report.key) != _codes(_chosen(report.vectors, report.dimension, options)):
        return False
    return report.key == FLAT or report.target_recall == options.target_recall


def _codes(key: str) -> str:
    """Return what a key says of the codes: how many lists there are grows with the library."""
    return key.rpartition(",")[2]


def _chosen(count: int, dimension: int, options: IndexOptions) -> str:
    """Return what to build, as FAISS's index factory names it."""
    allowed = options.max_memory or 2**63
    exact = 4 * count * dimension
    if exact <= allowed and (count < FEWEST or count * dimension <= options.exact_numbers):
        return FLAT
    if count >= FEWEST:
        lists = round(2 * sqrt(count))
        # A centre for each list, one of all vectors, beside the codes and with them; how long each list is.
        spare = allowed - HEADERS - 4 * dimension * (lists + 2) - (8 * lists + ROW_NUMBER * count)
        # Codes stand in blocks of 32: at worst each list has 31 places to spare.
        if spare >= _rabitq_bytes(dimension) * (count + 31 * lists):
            return f"IVF{lists},RaBitQfs"
        spare -= 4 * dimension * 2**PQ_BITS  # the code book, which is shared by all lists
        fitting = [
            parts for parts in range(SHORTEST, dimension // 4 + 1) if dimension % parts == 0 and parts * count <= spare
        ]
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


def _build_exact(folder: Path, vectors: Vectors) -> dict[str, Any]:
    """Build an index that compares with every vector."""
    index = FaissIndex.of_blocks(vectors.shape[1], (vectors[rows] for rows in blocks(vectors.shape)))
    index.save(folder / LISTS)
    took = latency(index, vectors)
    size = (folder / LISTS).stat().st_size / max(1, vectors.shape[0])
    return {
        "kind": EXACT,
        "key": FLAT,
        "recall10": 1.0,
        "recall1000": 1.0,
        "latency_ms": took,
        "exact_latency_ms": took,
        "bytes_per_vector": size,
        "mapped_bytes_per_vector": 0.0,
        "seconds": {},
    }


def _build_ivf(
    folder: Path, vectors: Vectors, key: str, options: IndexOptions, former: Former | None
) -> dict[str, Any]:
    """Build lists of codes and the file of vectors, and measure; former lists are kept where they serve."""
    attempt = _Attempt(folder, vectors, options)
    if former is None:
        return attempt.anew(key, "")
    report = read_report(former.folder)
    if report is None or _codes(report.key) != _codes(key):
        return attempt.anew(key, "another kind of index than before")
    moved = report.moved + former.moved
    if moved > MOST_MOVED * report.learned_from:
        return attempt.anew(key, f"{moved:,} vectors came or went since the lists were learned")
    why = attempt.kept(former.folder, replace(report, moved=moved, unmeasured=report.unmeasured + former.moved))
    return attempt.facts or attempt.anew(key, why)


class _Attempt:
    """Making an inverted file in a folder: first with lists that are there, then with new ones."""

    def __init__(self, folder: Path, vectors: Vectors, options: IndexOptions) -> None:
        self._folder, self._vectors, self._options = folder, vectors, options
        self._seconds: dict[str, float] = {}
        self._since = perf_counter()
        self.facts: dict[str, Any] = {}

    def _lap(self, stage: str) -> None:
        now = perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def _truths(self, asked: int = ASKED) -> Truths:
        return truths_of(self._vectors, blocks(self._vectors.shape), asked)

    def kept(self, folder: Path, report: IndexReport) -> str:
        """Try the lists of another folder; afterwards there are facts, or it returns why they do not serve.

        `report` is that of the folder, its `moved` and `unmeasured` as they are now.
        """
        lists = read_lists(folder / LISTS)
        centre = np.load(folder / CENTRE, allow_pickle=False)
        stored = store(self._folder / VECTORS, self._vectors, centre, report.step)
        if stored is None:
            return "a vector lies too far out"
        self._lap("store")
        fill(lists, stored, self._folder / LISTS)
        self._lap("add")
        same_target = self._options.target_recall == report.target_recall
        former = _tuned(report) if same_target else None
        if former and report.unmeasured <= MOST_UNMEASURED * len(stored.offsets):
            self._finish(report.key, stored, former, report.exact_latency_ms)
            self.facts |= _updated(report, report.unmeasured)
            return ""
        least = min(self._options.target_recall, report.recall10) - SLACK

        def index_with(efforts: Efforts) -> IvfIndex:
            return IvfIndex(lists, stored, efforts)

        found = None
        if former:
            truths = self._truths(ASKED_KEPT)
            found = measured(index_with, truths, former.efforts)
        if found is None or found.recall_few < least:
            truths = self._truths()
            found = tune(index_with, truths, int(lists.nlist), self._options.target_recall)
        if same_target and found.recall_few < least:
            self._lap("measure")
            return f"its recall fell from {report.recall10:.3f} to {found.recall_few:.3f}"
        self._finish(report.key, stored, found, truths.exact_ms)
        self.facts |= _updated(report, 0)
        return ""

    def anew(self, key: str, why: str) -> dict[str, Any]:
        """Learn the lists from the vectors, and return the facts."""
        centre, step = scale_of(self._vectors)
        stored = store(self._folder / VECTORS, self._vectors, centre, step)
        if stored is None:
            raise BuildError("a vector changed while the index was built: run it again")
        self._lap("store")
        lists = learned(key, stored)
        self._lap("train")
        fill(lists, stored, self._folder / LISTS)
        self._lap("add")
        truths = self._truths()
        found = tune(
            lambda efforts: IvfIndex(lists, stored, efforts), truths, int(lists.nlist), self._options.target_recall
        )
        self._finish(key, stored, found, truths.exact_ms)
        self.facts |= {"why": why, "learned_from": self._vectors.shape[0]}
        return self.facts

    def _finish(self, key: str, stored: Stored, found: Tuned, exact_ms: float) -> None:
        """Put down what is true of either."""
        np.save(self._folder / CENTRE, stored.centre)
        self._lap("measure")
        count, dimension = self._vectors.shape
        self.facts = {
            "kind": IVF,
            "key": key,
            "recall10": found.recall_few,
            "recall1000": found.recall_many,
            "latency_ms": found.latency_ms,
            "exact_latency_ms": exact_ms,
            "bytes_per_vector": ((self._folder / LISTS).stat().st_size + stored.centre.nbytes) / count,
            "mapped_bytes_per_vector": 2.0 * dimension,
            "seconds": self._seconds,
            "step": stored.step,
            "few": found.efforts.few,
            "many": found.efforts.many,
        }


def _tuned(report: IndexReport) -> Tuned | None:
    """Return what was found when the index of a report was measured last; None for one that is exact."""
    if report.few is None or report.many is None:
        return None
    return Tuned(Efforts(report.few, report.many), report.recall10, report.recall1000, report.latency_ms)


def _updated(report: IndexReport, unmeasured: int) -> dict[str, Any]:
    """Return what is said of lists that were kept, the report of which counts what moved until now."""
    return {"how": UPDATED, "learned_from": report.learned_from, "moved": report.moved, "unmeasured": unmeasured}
