"""The laws of `NeighbourIndex`, held by every adapter: exact, approximate, and lines that anybody can check by eye."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender.embeddings import EmbeddingSpace, unit_length
from recommender.errors import Corrupt
from recommender.indexes.building import IndexOptions
from recommender.indexes.faiss_index import FaissIndex
from recommender.indexes.ivf_index import Effort, Efforts, IvfIndex, Stored
from recommender.indexes.lists import learned
from recommender.ports import NeighbourIndex
from recommender.snapshots import Snapshot, SnapshotContent, open_snapshot, write_snapshot
from recommender.types import Character, Filters, Matrix, Neighbours, PictureId, Show, Vector

DIMENSION = 6
WIDE = 32
TOLERANCE = 1e-4
"""Cosines are true to so much, whatever an index stores."""
STEP = 1.0 / 32_767
"""Vectors are stored to so much by an inverted file."""
Build = Callable[[Matrix], NeighbourIndex]


class BruteForce:
    """A NeighbourIndex that compares with every vector."""

    def __init__(self, vectors: Matrix) -> None:
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, vector: Vector, count: int, rows: NDArray[np.bool_] | None = None) -> Neighbours:
        """Sort them all."""
        cosines = self._vectors @ vector
        order = np.argsort(-cosines, kind="stable")
        order = (order if rows is None else order[rows[order]])[:count]
        return Neighbours(order, cosines[order])

    def vector(self, row: int) -> Vector:
        """Look it up."""
        return np.asarray(self._vectors[row], dtype=np.float32)

    def vectors(self, rows: NDArray[np.int64]) -> Matrix:
        """Look them up."""
        return np.asarray(self._vectors[rows], dtype=np.float32)


@cache
def lists(codes: str) -> Any:
    """Return lists that were learned from other vectors than those that a test stores, and hold none yet."""
    sample = unit_length(np.random.default_rng(9).normal(size=(2000, DIMENSION)).astype(np.float32))
    return learned(f"IVF4,{codes}", Stored(np.zeros(DIMENSION, np.float32), STEP, (sample / STEP).astype(np.int16)))


def inverted(codes: str, stored: Matrix) -> IvfIndex:
    """Build an index that always goes by codes, however few vectors there are, and looks at all lists."""
    kept = Stored(np.zeros(DIMENSION, np.float32), STEP, np.rint(stored / STEP).astype(np.int16))
    filled = faiss.clone_index(lists(codes))
    if len(stored):
        filled.add(kept.less_centre(slice(None)))
    return IvfIndex(filled, kept, Efforts(Effort(4, 64), Effort(4, 8)), exact=0)


BUILDERS: dict[str, Build] = {
    "brute force": BruteForce,
    "faiss": FaissIndex.build,
    "bits": partial(inverted, "RaBitQfs"),
    "product quantisation": partial(inverted, "PQ3x8np"),
}


@pytest.fixture(params=list(BUILDERS.values()), ids=list(BUILDERS))
def build(request: pytest.FixtureRequest) -> Build:
    """Return what builds an index of each kind."""
    found: Build = request.param
    return found


def vectors(count: int, seed: int = 0) -> Matrix:
    """Return random unit vectors."""
    return unit_length(np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32))


def test_rows_are_counted_and_kept(build: Build) -> None:
    """Row r is the r-th vector that was given, and there are as many rows as vectors."""
    stored = vectors(9)
    index = build(stored)
    assert len(index) == 9
    for row, vector in enumerate(stored):
        found = index.vector(row)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, vector, rtol=0, atol=STEP)
    chosen = np.array([8, 0, 3])
    np.testing.assert_allclose(index.vectors(chosen), stored[chosen], rtol=0, atol=STEP)
    assert index.vectors(np.arange(0)).shape == (0, DIMENSION)


def test_every_vector_finds_itself(build: Build) -> None:
    """A stored vector is its own nearest neighbour, with a cosine of 1."""
    stored = vectors(50)
    index = build(stored)
    for row, vector in enumerate(stored):
        nearest = index.search(vector, 1)[0]
        assert nearest.row == row
        assert nearest.similarity == pytest.approx(1.0, abs=TOLERANCE)


def test_similarity_is_the_cosine_and_falls(build: Build) -> None:
    """Neighbours come by falling cosine, each with its own, each row once."""
    stored, query = vectors(100), vectors(1, seed=1)[0]
    found = build(stored).search(query, 100)
    cosines = [one.similarity for one in found]
    assert cosines == sorted(cosines, reverse=True)
    assert sorted(one.row for one in found) == list(range(100))
    for one in found:
        assert one.similarity == pytest.approx(float(stored[one.row] @ query), abs=TOLERANCE)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (7, 7), (8, 7), (5000, 7)])
def test_there_are_never_more_than_there_are(build: Build, count: int, expected: int) -> None:
    """A search gives as many as were asked for, or all where there are fewer, and never a placeholder."""
    found = build(vectors(7)).search(vectors(1, seed=1)[0], count)
    assert len(found) == expected
    assert all(0 <= one.row < 7 for one in found)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 64, 65])
def test_a_mask_leaves_only_what_passes(build: Build, size: int) -> None:
    """Of a masked search every row passes the mask, and all passing rows are found, whatever the mask's length."""
    index, query = build(vectors(size)), vectors(1, seed=1)[0]
    generator = np.random.default_rng(size)
    for share in (0.0, 0.2, 0.8, 1.0):
        mask = generator.random(size) < share
        found = index.search(query, size, mask)
        assert sorted(one.row for one in found) == np.flatnonzero(mask).tolist()


def test_a_mask_takes_nothing_from_the_count(build: Build) -> None:
    """Masked-out rows are no reason for fewer results: the nearest passing ones fill the list."""
    stored, query = vectors(200), vectors(1, seed=1)[0]
    index = build(stored)
    best = index.search(query, 100)
    mask = np.ones(200, dtype=bool)
    mask[[one.row for one in best]] = False
    found = index.search(query, 10, mask)
    assert len(found) == 10
    cosines = np.sort((stored @ query)[mask])[::-1]
    np.testing.assert_allclose([one.similarity for one in found], cosines[:10], atol=TOLERANCE)


def test_an_empty_index_finds_nothing(build: Build) -> None:
    """An index without rows finds none."""
    index = build(np.zeros((0, DIMENSION), np.float32))
    assert len(index) == 0
    assert index.search(vectors(1)[0], 5) == []


def test_searching_changes_nothing(build: Build) -> None:
    """The query and the mask are the caller's: a search leaves them alone and gives the same twice."""
    index, query, mask = build(vectors(40)), vectors(1, seed=1)[0], np.arange(40) % 3 == 0
    before = query.copy(), mask.copy()
    assert index.search(query, 10, mask) == index.search(query, 10, mask)
    assert np.array_equal(query, before[0])
    assert np.array_equal(mask, before[1])


def test_threads_may_search_at_once(build: Build) -> None:
    """Searches of several threads, with masks of their own, do not disturb each other."""
    index, queries = build(vectors(500)), vectors(60, seed=1)
    masks = [np.random.default_rng(number).random(500) < 0.5 for number in range(60)]
    alone = [index.search(query, 20, mask) for query, mask in zip(queries, masks, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: index.search(queries[number], 20, masks[number]), range(60)))
    assert together == alone


ROWS = 20_000
KEEPS = {"half": 0.5, "one in twenty": 0.05, "one in two hundred": 0.005, "one in ten thousand": 0.0001}
"""Shows, and the share of all pictures that each has; the others are of a show called rest."""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Return a snapshot of shows of very different sizes, each drawn in its own way; its index is replaced below."""
    draw = np.random.default_rng(4)
    shares = [*KEEPS.values()]
    sizes = [round(share * ROWS) for share in shares]
    show_of = draw.permutation(np.repeat(np.arange(5), [*sizes, ROWS - sum(sizes)]))
    shows = [Show(name.replace(" ", "-"), name, year) for year, name in enumerate([*KEEPS, "rest"], start=2000)]
    cast = [Character("hero", "Hero", show, ("male", "female")[number % 2]) for number, show in enumerate(shows)]
    centres = draw.normal(size=(5, 200, WIDE))
    around = centres[show_of, draw.integers(0, 200, len(show_of))] + 2.0 * draw.normal(size=(5, WIDE))[show_of]
    stored = unit_length((around + 0.5 * draw.normal(size=around.shape)).astype(np.float32))
    content = SnapshotContent(
        model="toy",
        model_digest="0" * 64,
        space=EmbeddingSpace("toy", "0" * 64, "penultimate", "64 px", WIDE),
        pictures=[PictureId(f"{row:064x}") for row in range(len(stored))],
        characters=[cast[show] for show in show_of],
        vectors=stored,
        created="2026-01-02T03:04:05Z",
        index=IndexOptions(exact_numbers=0),
    )
    folder = tmp_path_factory.mktemp("catalogue") / "snapshot"
    info = write_snapshot(folder, content, lambda _: None)
    return open_snapshot(folder, info.digest)


@pytest.fixture(params=["brute force", "faiss", "inverted file", "inverted file, whatever the size"])
def searched(request: pytest.FixtureRequest, catalogue: Snapshot) -> NeighbourIndex:
    """Return the catalogue's vectors in an index of each kind, as it is built and tuned for a large library."""
    assert isinstance(catalogue.index, IvfIndex)
    stored = catalogue.index.vectors(np.arange(len(catalogue.index)))
    if request.param == "brute force":
        return BruteForce(stored)
    if request.param == "faiss":
        return FaissIndex.build(stored)
    if request.param == "inverted file":
        return catalogue.index
    return IvfIndex(catalogue.index._lists, catalogue.index._stored, catalogue.index._efforts, exact=0)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(type="female"),
        *(Filters(show=name.replace(" ", "-")) for name in KEEPS),
        Filters(exclude_shows=("half",)),
        Filters(exclude_shows=("half", "rest", "one-in-twenty")),
        Filters(year_from=2002, year_to=2003),
        Filters(type="female", year_from=2003),
    ],
    ids=str,
)
def test_no_filter_costs_results(searched: NeighbourIndex, catalogue: Snapshot, filters: Filters) -> None:
    """There are as many results as were asked for, where enough pass; all pass, and nearly all are the nearest."""
    mask = catalogue.rows_passing(filters)
    assert mask is not None
    stored = catalogue.index.vectors(np.arange(len(catalogue.index)))
    brute = BruteForce(stored)
    found_of_true = 0.0
    for row in range(0, ROWS - 100, ROWS // 8):
        query = unit_length(stored[row : row + 1] + 0.02)[0]
        for count in (1, 10, 100, 1000):
            found = searched.search(query, count, mask)
            assert len(found) == min(count, int(mask.sum()))
            assert mask[found.rows].all()
            if count == 10:
                true = brute.search(query, count, mask).similarities
                found_of_true += float(np.mean(found.similarities >= true[-1] - TOLERANCE))
    assert found_of_true >= 0.9 * 8


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 40), count=st.integers(1, 50), share=st.floats(0, 1))
def test_faiss_finds_what_brute_force_finds(seed: int, size: int, count: int, share: float) -> None:
    """For any vectors and any mask both give the same cosines in the same order."""
    stored, query = vectors(size, seed), vectors(1, seed + 1)[0]
    mask = np.random.default_rng(seed).random(size) < share
    for rows in (None, mask):
        exact = BruteForce(stored).search(query, count, rows)
        found = FaissIndex.build(stored).search(query, count, rows)
        np.testing.assert_allclose(
            [one.similarity for one in found], [one.similarity for one in exact], rtol=0, atol=1e-5
        )


def test_a_saved_index_is_the_same(tmp_path: Path) -> None:
    """What FAISS wrote to a file gives the same answers when it is opened."""
    index, query = FaissIndex.build(vectors(30)), vectors(1, seed=1)[0]
    index.save(tmp_path / "index")
    again = FaissIndex.open(tmp_path / "index")
    assert (len(again), again.dimension) == (30, DIMENSION)
    assert again.search(query, 10) == index.search(query, 10)


@pytest.mark.parametrize("data", [b"", b"no index at all", None])
def test_what_faiss_cannot_read_is_corrupt(tmp_path: Path, data: bytes | None) -> None:
    """A missing or senseless file is named in a Corrupt, not in an error of FAISS."""
    if data is not None:
        (tmp_path / "index").write_bytes(data)
    with pytest.raises(Corrupt, match="/index is not an index"):
        FaissIndex.open(tmp_path / "index")


def test_a_search_starts_no_threads() -> None:
    """A single query runs on the thread that asks: another would only spin against the other requests."""
    index, query = FaissIndex.build(vectors(20_000)), vectors(1, seed=1)[0]
    tasks = Path("/proc/self/task")

    def search() -> int:
        before = len(list(tasks.iterdir()))
        index.search(query, 10)
        return len(list(tasks.iterdir())) - before

    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert pool.submit(search).result() <= 0
