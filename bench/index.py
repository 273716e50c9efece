"""What the index is worth: recall, latency, memory and building against exact search, with and without filters.

Vectors stand in for embeddings after projection: 256 numbers, in identities that belong to shows. The clustered ones
lie close around their identity. The noisy ones are harder: drawn between stored embeddings of the home, with noise of
half the distance to the fifth nearest, or, where nothing is published, half as wide again around their identity. All is
timed in one run; queries are never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.report import Figures
from indexer.progress import say
from recommender.catalogue import Catalogue
from recommender.embeddings import unit_length
from recommender.errors import SokkuriError
from recommender.indexes import EXACT, open_index
from recommender.indexes.building import Former, IndexOptions, IndexReport, build_index
from recommender.indexes.faiss_index import FaissIndex
from recommender.indexes.lists import BLOCK
from recommender.ports import NeighbourIndex
from recommender.settings import Settings
from recommender.snapshots import open_snapshot
from recommender.types import Matrix

DIMENSION = 256
PICTURES = 100
"""Pictures of an identity."""
IDENTITIES = 20
"""Identities of a show."""
SHARES = (0.5, 0.05, 0.005, 0.0001)
"""How much the filters keep: whole identities, as a show or a type would."""
LARGE = 1_000_000
"""The size that targets are set for, and its name in the figures."""
COMPACT = (16,)
"""Bytes of the shorter codes that are tried for the most compact index, longest first."""
ENOUGH = 0.95
"""The recall that the most compact index has to reach."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The numbers of vectors, the queries asked of each kind, and the largest size that the yardstick is built for."""

    sizes: tuple[int, ...] = (10_000, 100_000, LARGE)
    queries: int = 500
    exact_queries: int = 50
    filtered: int = 100
    yardstick: int = LARGE


QUICK = Effort(sizes=(10_000, 100_000), queries=100, exact_queries=10, filtered=20, yardstick=10_000)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Stored vectors, the identity of each, and queries of the same kind."""

    name: str
    stored: Matrix
    identities: NDArray[np.int64]
    queries: Matrix


@dataclass(frozen=True, slots=True)
class Timed:
    """What a series of searches came to: recall@10, and milliseconds for one query at a time on one thread."""

    recall: float
    p50: float
    p99: float


Search = Callable[[NDArray[Any]], Sequence[int]]


def measure_indexes(settings: Settings, effort: Effort) -> Figures:
    """Measure the index at every size, on clustered and on noisy vectors."""
    lines = [_HEAD]
    figures: dict[str, Any] = {}
    pool = _published(settings)
    figures["noisy_drawn_from"] = "synthetic" if pool is None else f"{len(pool)} embeddings of the home"
    least = 1.0
    for size in effort.sizes:
        for draw in (clustered, noisy):
            name = f"{draw.__name__} {size:,}"
            say(f"drawing {name}")
            drawn = draw(size, effort.queries, pool)
            measured = _measured(drawn, effort, name, lines)
            least = min(least, *(one["recall10"] for one in measured["filters"].values()))
            figures[f"{drawn.name}_{size}"] = measured
            del drawn
    if LARGE in effort.sizes:
        figures |= _compared(figures[f"clustered_{LARGE}"])
    figures["filter_recall10_min"] = least
    lines.append(f"noisy vectors: {figures['noisy_drawn_from']}; least recall@10 under a filter {least:.3f}")
    return Figures(figures, tuple(lines))


_HEAD = (
    f"{'vectors':<20} {'index':<20} {'recall@10':>9} {'p50 ms':>8} {'p99 ms':>8} {'q/s on 2':>9} "
    f"{'bytes/vector':>12} {'build s':>8}"
)


def _compared(large: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that are compared from outside, under their fixed names."""
    return {
        "recall10_1e6": large["recall10"],
        "p50_ms_1e6": large["p50_ms"],
        "bytes_per_vector_1e6": large["bytes_per_vector"],
        "mapped_bytes_per_vector_1e6": large["mapped_bytes_per_vector"],
        "build_s_1e6": large["build_s"],
        "exact_p50_ms_1e6": large["exact_p50_ms"],
    }


def _measured(drawn: Drawn, effort: Effort, name: str, lines: list[str]) -> dict[str, Any]:
    """Build every index of one set of vectors, and add a line for each."""
    truth = _truth(drawn.stored, drawn.queries)
    plain = _exact(drawn, truth, effort.exact_queries, name, lines)
    with TemporaryDirectory(prefix="sokkuri-bench-") as place:
        say(f"building {name}")
        report = build_index(Path(place), drawn.stored, IndexOptions())
        before = _anonymous()
        started = perf_counter()
        index = open_index(Path(place))
        opened = perf_counter() - started
        held = (_anonymous() - before) / len(drawn.stored)
        timed = _timed(_ten(index), drawn.queries, truth)
        rate = _rate(_ten(index), drawn.queries)
        lines.append(_line(name, report.key, timed, rate, report.bytes_per_vector, report.build_seconds))
        filters = _filtered(drawn, index, effort.filtered, lines)
        updated = _updated(drawn, Path(place), report, lines)
    measured = _figures(report, timed) | {
        "queries_per_s_2": rate,
        "open_s": opened,
        "held_bytes_per_vector": held,
        "exact_p50_ms": plain.p50,
        "exact_p99_ms": plain.p99,
        "filters": filters,
        "updated": updated,
    }
    if len(drawn.stored) > QUICK.sizes[0] and drawn.name == "clustered":
        measured["compact"] = _compact(drawn, truth, name, lines)
    if len(drawn.stored) <= effort.yardstick and drawn.name == "clustered":
        measured["hnswlib"] = _yardstick(drawn, truth, name, lines)
    return measured


def _updated(drawn: Drawn, former: Path, before: IndexReport, lines: list[str]) -> dict[str, Any] | None:
    """Measure the index after one vector of each hundred has gone, with the lists of the one before."""
    if before.kind == EXACT:
        return None
    kept = drawn.stored[np.arange(len(drawn.stored)) % 100 > 0]
    with TemporaryDirectory(prefix="sokkuri-bench-") as place:
        report = build_index(Path(place), kept, IndexOptions(), Former(former, len(drawn.stored) - len(kept)))
        timed = _timed(_ten(open_index(Path(place))), drawn.queries, _truth(kept, drawn.queries))
    name = f"1 % fewer, {report.how}"
    lines.append(_line("", name, timed, 0.0, report.bytes_per_vector, report.build_seconds))
    return _figures(report, timed) | {"how": report.how}


def _exact(drawn: Drawn, truth: NDArray[np.int64], asked: int, name: str, lines: list[str]) -> Timed:
    """Measure comparing with every vector."""
    index = FaissIndex.build(drawn.stored)
    timed = _timed(_ten(index), drawn.queries[:asked], truth)
    rate = _rate(_ten(index), drawn.queries[:asked])
    lines.append(_line(name, "exact", timed, rate, 4.0 * DIMENSION, None))
    return timed


def _ten(index: NeighbourIndex, mask: NDArray[np.bool_] | None = None) -> Search:
    """Return a search for the ten rows nearest to a query."""
    return lambda query: [one.row for one in index.search(query, 10, mask)]


def _figures(report: IndexReport, timed: Timed) -> dict[str, Any]:
    """Return what is told of an index."""
    return {
        "key": report.key,
        "recall10": timed.recall,
        "recall1000": report.recall1000,
        "p50_ms": timed.p50,
        "p99_ms": timed.p99,
        "bytes_per_vector": report.bytes_per_vector,
        "mapped_bytes_per_vector": report.mapped_bytes_per_vector,
        "build_s": report.build_seconds,
        "build_stages_s": report.seconds,
    }


def _compact(drawn: Drawn, truth: NDArray[np.int64], name: str, lines: list[str]) -> dict[str, Any]:
    """Build indexes of ever shorter codes and return the figures of the shortest that is good enough."""
    best: dict[str, Any] = {}
    size = len(drawn.stored)
    for length in COMPACT:
        allowed = size * (8 + length) + 4 * round(2 * size**0.5) * DIMENSION
        with TemporaryDirectory(prefix="sokkuri-bench-") as place:
            report = build_index(Path(place), drawn.stored, IndexOptions(ENOUGH, allowed, 0))
            index = open_index(Path(place))
            timed = _timed(_ten(index), drawn.queries, truth)
        lines.append(_line(name, report.key, timed, 0.0, report.bytes_per_vector, report.build_seconds))
        if timed.recall >= ENOUGH:
            best = _figures(report, timed)
    return best


def _yardstick(drawn: Drawn, truth: NDArray[np.int64], name: str, lines: list[str]) -> dict[str, Any] | None:
    """Measure hnswlib on the same vectors, where it is installed."""
    try:
        import hnswlib
    except ModuleNotFoundError:
        lines.append(f"{name:<20} hnswlib is not installed (pip install hnswlib): nothing from outside to compare with")
        return None
    started = perf_counter()
    index = hnswlib.Index(space="ip", dim=DIMENSION)
    index.init_index(max_elements=len(drawn.stored), M=16, ef_construction=100, random_seed=0)
    before = _anonymous()
    index.add_items(drawn.stored, num_threads=2)
    built = perf_counter() - started
    # hnswlib reserves its memory at once and touches it as vectors come: what was touched is what it takes.
    held = (_anonymous() - before) / len(drawn.stored)

    def search(query: NDArray[Any]) -> Sequence[int]:
        return [int(row) for row in index.knn_query(query, 10, num_threads=1)[0][0]]

    timed = Timed(0.0, 0.0, 0.0)
    for width in (16, 32, 64, 128, 256, 512):
        index.set_ef(width)
        timed = _timed(search, drawn.queries, truth)
        if timed.recall >= IndexOptions().target_recall:
            break
    rate = _rate(search, drawn.queries)
    lines.append(_line(name, "hnswlib M=16", timed, rate, held, built))
    return {
        "recall10": timed.recall,
        "p50_ms": timed.p50,
        "p99_ms": timed.p99,
        "bytes_per_vector": held,
        "build_s": built,
    }


def _filtered(drawn: Drawn, index: NeighbourIndex, asked: int, lines: list[str]) -> dict[str, Any]:
    """Measure searches among whole identities that make up each share."""
    found = {}
    generator = np.random.default_rng(3)
    order = generator.permutation(int(drawn.identities.max()) + 1)
    for share in SHARES:
        wanted = max(10, round(share * len(drawn.stored)))
        sizes = np.bincount(drawn.identities, minlength=len(order))[order]
        kept = order[: int(np.searchsorted(np.cumsum(sizes), wanted)) + 1]
        mask = np.isin(drawn.identities, kept)
        rows = np.flatnonzero(mask)
        queries = drawn.queries[:asked]
        truth = rows[_truth(drawn.stored[rows], queries)]
        fewest = min(len(index.search(query, 10, mask)) for query in queries[:10])
        timed = _timed(_ten(index, mask), queries, truth)
        found[str(share)] = {
            "rows": len(rows),
            "recall10": timed.recall,
            "p50_ms": timed.p50,
            "p99_ms": timed.p99,
            "fewest_found": fewest,
        }
        lines.append(_line("", f"keeps {100 * share:g} %", timed, 0.0, None, None))
    return found


def _line(name: str, index: str, timed: Timed, rate: float, held: float | None, built: float | None) -> str:
    """Return a line of the table; what was not measured stays empty."""
    return (
        f"{name:<20} {index:<20} {timed.recall:>9.4f} {timed.p50:>8.3f} {timed.p99:>8.3f} "
        f"{f'{rate:,.0f}' if rate else '':>9} {'' if held is None else f'{held:.1f}':>12} "
        f"{'' if built is None else f'{built:.1f}':>8}"
    ).rstrip()


def _truth(stored: Matrix, queries: Matrix) -> NDArray[np.int64]:
    """Return the ten rows nearest to each query, by comparing with all."""
    faiss.omp_set_num_threads(2)
    return np.asarray(faiss.knn(queries, stored, min(10, len(stored)), faiss.METRIC_INNER_PRODUCT)[1])


def _timed(search: Search, queries: Matrix, truth: NDArray[np.int64]) -> Timed:
    """Ask one query after another on one thread."""
    faiss.omp_set_num_threads(1)
    for query in queries[:5]:
        search(query)
    times, hits = [], 0
    for query, nearest in zip(queries, truth, strict=False):
        started = perf_counter()
        rows = search(query)
        times.append(1000 * (perf_counter() - started))
        hits += len(set(rows) & set(nearest.tolist()))
    p50, p99 = np.percentile(times, [50, 99])
    return Timed(hits / truth[: len(queries)].size, float(p50), float(p99))


def _rate(search: Callable[[NDArray[Any]], Any], queries: Matrix) -> float:
    """Return how many queries a second two threads get answered."""
    with ThreadPoolExecutor(2) as pool:
        started = perf_counter()
        list(pool.map(search, queries))
        return len(queries) / (perf_counter() - started)


def _anonymous() -> int:
    """Return the bytes of memory that belong to this process alone, mapped files left out; 0 where Linux is not."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return sum(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("RssAnon"))


def _published(settings: Settings) -> Matrix | None:
    """Return the embeddings that are published in the home, of DIMENSION numbers, or None where there are none."""
    try:
        with Catalogue(settings.database_url) as catalogue:
            info = catalogue.published()
        index = open_snapshot(settings.home / "snapshots" / info.id, info.digest).index
    except SokkuriError:
        return None
    vectors = index.vectors(np.arange(len(index)))
    if vectors.shape[1] < DIMENSION or len(vectors) < DIMENSION:
        return None
    # The DIMENSION directions in which they differ most; what they have in common tells none from another.
    vectors = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return unit_length(vectors @ directions[:, : -DIMENSION - 1 : -1])


def clustered(size: int, queries: int, pool: Matrix | None, spread: float = 0.6, decay: float = 0.3) -> Drawn:  # noqa: ARG001  # drawn as `noisy` is
    """Draw identities around shows and pictures around identities; direction i is as wide as i to the power -decay."""
    generator = np.random.default_rng(size)
    wide = (np.arange(1, DIMENSION + 1) ** -decay).astype(np.float32)
    wide /= np.linalg.norm(wide)
    identities = max(1, size // PICTURES)
    shows = generator.standard_normal((max(1, identities // IDENTITIES), DIMENSION), dtype=np.float32) * wide
    centres = 0.6 * shows[generator.integers(0, len(shows), identities)]
    centres += 0.8 * generator.standard_normal((identities, DIMENSION), dtype=np.float32) * wide
    chosen = generator.integers(0, identities, size + queries)
    return _drawn("clustered", chosen, lambda rows: centres[rows], spread * wide, size)


def noisy(size: int, queries: int, pool: Matrix | None) -> Drawn:
    """Draw vectors between near embeddings of the pool, with noise; without a pool, wide around identities."""
    if pool is None:
        drawn = clustered(size, queries, None, spread=0.9, decay=0.5)
        return Drawn("noisy", drawn.stored, drawn.identities, drawn.queries)
    generator = np.random.default_rng(size)
    similarities, near = faiss.knn(pool, pool, 6, faiss.METRIC_INNER_PRODUCT)
    length = float(np.median(np.sqrt(np.maximum(0, 2 - 2 * similarities[:, 5])))) / 2
    wide = pool.std(axis=0)
    wide *= length / np.linalg.norm(wide)
    chosen = generator.integers(0, len(pool), size + queries)

    def between(rows: NDArray[np.int64]) -> Matrix:
        other = near[rows, generator.integers(1, 6, len(rows))]
        part = generator.random((len(rows), 1), dtype=np.float32) / 2
        return np.asarray((1 - part) * pool[rows] + part * pool[other], dtype=np.float32)

    return _drawn("noisy", chosen, between, wide, size)


def _drawn(
    name: str, chosen: NDArray[np.int64], around: Callable[[NDArray[np.int64]], Matrix], wide: NDArray[Any], size: int
) -> Drawn:
    """Add noise to what lies around the chosen identities, in blocks, and scale to length 1."""
    generator = np.random.default_rng(len(chosen) + 1)
    vectors = np.empty((len(chosen), DIMENSION), dtype=np.float32)
    step = BLOCK // DIMENSION
    for first in range(0, len(chosen), step):
        rows = chosen[first : first + step]
        noise = generator.standard_normal((len(rows), DIMENSION), dtype=np.float32) * wide
        vectors[first : first + step] = unit_length(around(rows) + noise)
    return Drawn(name, vectors[:size], chosen[:size], vectors[size:])
