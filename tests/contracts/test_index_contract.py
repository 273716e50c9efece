"""The laws of `NeighbourIndex`, held by every adapter: FAISS, and the few lines that anybody can check by eye."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender.embeddings import unit_length
from recommender.errors import Corrupt
from recommender.indexes.faiss_index import FaissIndex
from recommender.ports import NeighbourIndex
from recommender.types import Matrix, Neighbours, Vector

DIMENSION = 6
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


@pytest.fixture(params=[BruteForce, FaissIndex.build], ids=["brute force", "faiss"])
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
        assert np.array_equal(found, vector)


def test_every_vector_finds_itself(build: Build) -> None:
    """A stored vector is its own nearest neighbour, with a cosine of 1."""
    stored = vectors(50)
    index = build(stored)
    for row, vector in enumerate(stored):
        nearest = index.search(vector, 1)[0]
        assert nearest.row == row
        assert nearest.similarity == pytest.approx(1.0, abs=1e-5)


def test_similarity_is_the_cosine_and_falls(build: Build) -> None:
    """Neighbours come by falling cosine, each with its own, each row once."""
    stored, query = vectors(100), vectors(1, seed=1)[0]
    found = build(stored).search(query, 100)
    cosines = [one.similarity for one in found]
    assert cosines == sorted(cosines, reverse=True)
    assert sorted(one.row for one in found) == list(range(100))
    for one in found:
        assert one.similarity == pytest.approx(float(stored[one.row] @ query), abs=1e-5)


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
    np.testing.assert_allclose([one.similarity for one in found], cosines[:10], atol=1e-5)


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
