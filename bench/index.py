"""What the index is worth: recall, latency, memory and building against exact search, with and without filters.

All is timed in one run, on vectors that stand in for embeddings after projection (`vectors`); queries are never stored.
Not here: what ten million would come to (`extrapolation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory, gettempdir
from time import perf_counter
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.extrapolation import extrapolate, line
from bench.report import Figures
from bench.vectors import DIMENSION, Draw, Drawn, clustered, noisy, published
from indexer.progress import say
from recommender.indexes import EXACT, open_index
from recommender.indexes.building import FLAT, Former, IndexOptions, IndexReport, build_index
from recommender.indexes.faiss_index import FaissIndex
from recommender.ports import NeighbourIndex
from recommender.settings import Settings
from recommender.types import Matrix

SHARES = (0.5, 0.05, 0.005, 0.0001)
"""How much the filters keep: whole identities, as a show or a type would."""
LARGE = 1_000_000
"""The size that targets are set for, and its name in the figures."""
HUGE = 10_000_000
"""The size that is extrapolated, unless it is asked for and there is room for it."""
HUGE_QUERIES = 20
"""Queries that are compared with each of so many vectors."""
COMPACT = (16, 8)
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
    huge: int = 0


QUICK = Effort(sizes=(10_000, 100_000), queries=100, exact_queries=10, filtered=20, yardstick=10_000)


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
    pool = published(settings)
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
    for draw in (clustered, noisy):
        figures[f"{draw.__name__}_{effort.huge or HUGE}"] = _huge(draw, figures, effort, pool, lines)
    if LARGE in effort.sizes:
        figures |= _compared(figures[f"clustered_{LARGE}"])
    figures["filter_recall10_min"] = least
    lines.append(f"noisy vectors: {figures['noisy_drawn_from']}; least recall@10 under a filter {least:.3f}")
    return Figures(figures, tuple(lines))


def _huge(draw: Draw, figures: dict[str, Any], effort: Effort, pool: Matrix | None, lines: list[str]) -> dict[str, Any]:
    """Measure the largest size where it was asked for and there is room; otherwise say what it would come to."""
    name = draw.__name__
    if effort.huge and not (lacking := _lacking(effort.huge)):
        return _measured_huge(draw, effort, pool, lines)
    if effort.huge:
        lines.append(f"{name} {effort.huge:,}: not measured, {lacking}")
    known = {size: figures[f"{name}_{size}"] for size in effort.sizes}
    size = effort.huge or HUGE
    found = extrapolate({size: one for size, one in known.items() if one["key"] != FLAT}, size, DIMENSION)
    if found:
        lines.append(line(name, size, found))
    return found


def _measured_huge(draw: Draw, effort: Effort, pool: Matrix | None, lines: list[str]) -> dict[str, Any]:
    """Build and search an index of vectors that stay in a file, beside comparing with each of them there."""
    name = f"{draw.__name__} {effort.huge:,}"
    with TemporaryDirectory(prefix="sokkuri-bench-") as place:
        say(f"drawing {name}")
        drawn = draw(effort.huge, effort.queries, pool, Path(place) / "drawn.npy")
        say(f"comparing {name}")
        truth = _truth(drawn.stored, drawn.queries)
        exact = _timed(lambda query: _truth_of_one(drawn.stored, query), drawn.queries[:HUGE_QUERIES], truth)
        lines.append(_line(name, "exact", exact, 0.0, 4.0 * DIMENSION, None))
        say(f"building {name}")
        report = build_index(Path(place), drawn.stored, IndexOptions())
        index = open_index(Path(place))
        timed = _timed(_ten(index), drawn.queries, truth)
        rate = _rate(_ten(index), drawn.queries)
    lines.append(_line(name, report.key, timed, rate, report.bytes_per_vector, report.build_seconds))
    return _figures(report, timed) | {"queries_per_s_2": rate, "exact_p50_ms": exact.p50, "exact_p99_ms": exact.p99}


def _lacking(size: int) -> str:
    """Say what there is too little of for so many vectors; empty where there is enough.

    The vectors, and the index's own copy in half of the bytes, lie on the disk. What is searched, and drawn at a time,
    has to be in memory; that the vectors fit there too makes it bearable, and is left to the system.
    """
    disk = 4 * size * DIMENSION * 3 // 2 + 100 * size
    free = disk_usage(gettempdir()).free
    if free < disk:
        return f"it takes {disk / 1e9:.0f} GB in {gettempdir()}, which has {free / 1e9:.0f}: point TMPDIR elsewhere"
    memory = 4 * size * DIMENSION
    available = _available()
    if available < memory:
        return f"it takes {memory / 1e9:.0f} GB of memory, of which {available / 1e9:.0f} are available"
    return ""


def _available() -> int:
    """Return the bytes of memory that can be had; 0 where Linux is not."""
    status = Path("/proc/meminfo")
    found = status.read_text().splitlines() if status.exists() else []
    return sum(1024 * int(line.split()[1]) for line in found if line.startswith("MemAvailable"))


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
        lists = round(2 * size**0.5)
        # Code and row number of each vector, the centres and lengths of the lists, the code book, and a little.
        allowed = size * (8 + length) + lists * (4 * DIMENSION + 8) + 4 * 256 * DIMENSION + 100_000
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


def _truth_of_one(stored: Matrix, query: NDArray[Any]) -> Sequence[int]:
    """Compare one query with all, where they lie."""
    nearest: Sequence[int] = faiss.knn(query[np.newaxis], stored, 10, faiss.METRIC_INNER_PRODUCT)[1][0].tolist()
    return nearest


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
