"""Indexes of large libraries: which kind is built, that it finds what exact search finds, and what its report says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recommender.embeddings import unit_length
from recommender.errors import BuildError, Corrupt, SettingError
from recommender.indexes import open_index
from recommender.indexes.building import IndexOptions, IndexReport, build_index
from recommender.indexes.faiss_index import FaissIndex
from recommender.indexes.ivf_index import Effort, Efforts, IvfIndex, Stored
from recommender.indexes.tuning import truth_of
from recommender.ports import NeighbourIndex
from recommender.settings import Settings
from recommender.types import Matrix

COUNT, DIMENSION = 12_000, 32
LARGE = IndexOptions(exact_numbers=0)
"""Options under which even the vectors of a test are too many for exact search."""


def clustered(count: int = COUNT, dimension: int = DIMENSION, seed: int = 0) -> Matrix:
    """Draw vectors around 100 centres that all lie on one side, as embeddings do."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(5).normal(size=(100, dimension)) + 1.0
    vectors = centres[generator.integers(0, 100, count)] + 0.4 * generator.normal(size=(count, dimension))
    return unit_length(vectors.astype(np.float32))


@pytest.fixture(scope="module")
def stored() -> Matrix:
    """Return the stored vectors."""
    return clustered()


@pytest.fixture(scope="module", params=[0, COUNT * 16], ids=["bits", "product quantisation"])
def built(request: pytest.FixtureRequest, stored: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a large library's index: with memory at will, and with 8 bytes for each code."""
    folder = tmp_path_factory.mktemp("index")
    lists = 4 * round(2 * COUNT**0.5) * DIMENSION
    memory = request.param and request.param + lists + 1024 * DIMENSION + 8_000
    build_index(folder, stored, IndexOptions(exact_numbers=0, max_memory=memory))
    return folder


@pytest.fixture
def index(built: Path) -> NeighbourIndex:
    """Return the opened index."""
    return open_index(built)


def cosines(index: NeighbourIndex, query: np.ndarray, count: int, mask: np.ndarray | None = None) -> list[float]:
    """Return the similarities that a search gives."""
    return [one.similarity for one in index.search(query, count, mask)]


def recall(index: NeighbourIndex, stored: Matrix, mask: np.ndarray | None = None) -> float:
    """Return the recall@10 of an index over 50 new queries, against sorting all cosines."""
    hits = 0
    for query in clustered(50, seed=1):
        scores = np.where(mask if mask is not None else True, stored @ query, -2.0)
        best = set(np.argsort(-scores)[:10].tolist())
        hits += len(best & {one.row for one in index.search(query, 10, mask)})
    return hits / 500


def test_a_small_library_is_searched_exactly(tmp_path: Path) -> None:
    """Few vectors are compared with each, and the report says so."""
    report = build_index(tmp_path, clustered(200))
    assert isinstance(open_index(tmp_path), FaissIndex)
    assert (report.kind, report.key, report.recall10, report.mapped_bytes_per_vector) == ("exact", "Flat", 1.0, 0.0)
    assert report.bytes_per_vector == pytest.approx(4 * DIMENSION, rel=0.05)


def test_an_index_without_a_report_is_exact(tmp_path: Path) -> None:
    """Snapshots of the time before there were kinds are opened as they were built."""
    FaissIndex.build(clustered(20)).save(tmp_path / "index.faiss")
    assert isinstance(open_index(tmp_path), FaissIndex)


def test_a_large_library_finds_what_exact_search_finds(index: NeighbourIndex, stored: Matrix) -> None:
    """At the default target, nearly all of the ten true neighbours of pictures that are not stored are found."""
    assert isinstance(index, IvfIndex)
    assert (len(index), index.dimension) == (COUNT, DIMENSION)
    assert recall(index, stored) >= 0.97


def test_similarities_are_true_cosines_and_fall(index: NeighbourIndex, stored: Matrix) -> None:
    """Whatever the codes say, what is returned is the cosine of the vectors, best first, each row once."""
    for query in clustered(20, seed=2):
        for count in (1, 10, 20, 21, 300):
            found = index.search(query, count)
            assert len({one.row for one in found}) == len(found) == count
            assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
            for one in found:
                assert one.similarity == pytest.approx(float(stored[one.row] @ query), abs=1e-4)


def test_vectors_are_kept_and_find_themselves(index: NeighbourIndex, stored: Matrix) -> None:
    """A stored vector comes back to four digits, of length 1, and is its own nearest."""
    for row in range(0, COUNT, 1111):
        vector = index.vector(row)
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, stored[row], atol=5e-5)
        nearest = index.search(stored[row], 1)[0]
        assert nearest.row == row
        assert nearest.similarity == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.05, 0.005, 0.0005])
def test_a_filter_costs_neither_results_nor_recall(index: NeighbourIndex, stored: Matrix, share: float) -> None:
    """Of rows that a filter lets through at random, ten are found, or all where there are fewer: the true ones."""
    index = IvfIndex(*parts(index), exact=DIMENSION * 100)
    mask = np.random.default_rng(7).random(COUNT) < share
    for query in clustered(5, seed=3):
        found = index.search(query, 10, mask)
        assert len(found) == min(10, int(mask.sum()))
        assert all(mask[one.row] for one in found)
    assert recall(index, stored, mask) * 10 >= 0.97 * min(10, int(mask.sum()))


def test_a_filter_may_hide_a_query_s_own_kind(index: NeighbourIndex, stored: Matrix) -> None:
    """Without the nearest half of all vectors, what is found is all but the nearest of the rest."""
    index = IvfIndex(*parts(index), exact=0)
    for query in clustered(10, seed=6):
        mask = stored @ query < np.median(stored @ query)
        nearest = np.sort((stored @ query)[mask])[::-1][:10]
        found = cosines(index, query, 10, mask)
        np.testing.assert_allclose(found, nearest, atol=2e-3)


def parts(index: NeighbourIndex) -> tuple[object, Stored, Efforts]:
    """Take an index apart, to put it together with another limit."""
    assert isinstance(index, IvfIndex)
    return index._lists, index._stored, index._efforts


def test_a_filter_that_keeps_only_what_is_far_still_finds_enough(index: NeighbourIndex, stored: Matrix) -> None:
    """Where the lists near a query hold nothing that passes, the search goes on until it has what was asked for."""
    lists, kept, _ = parts(index)
    hasty = IvfIndex(lists, kept, Efforts(Effort(1, 4), Effort(1, 1)), exact=0)
    query = stored[0]
    mask = stored @ query < np.quantile(stored @ query, 0.2)
    for count in (10, 500):
        found = hasty.search(query, count, mask)
        assert len(found) == count
        assert all(mask[one.row] for one in found)


def test_as_many_as_there_are(index: NeighbourIndex) -> None:
    """Nothing passes: nothing is found. All are asked for: all are found, once."""
    query = clustered(1, seed=4)[0]
    assert index.search(query, 10, np.zeros(COUNT, dtype=bool)) == []
    assert index.search(query, 0) == []
    assert {one.row for one in index.search(query, COUNT + 5)} == set(range(COUNT))


def test_the_report_is_measured(built: Path) -> None:
    """Key, recall, latency, bytes and seconds stand beside the index; the bytes are those of the file in memory."""
    report = json.loads((built / "index.json").read_text(encoding="utf-8"))
    assert report["kind"] == "ivf"
    assert report["key"].startswith("IVF219,")
    assert (report["vectors"], report["dimension"], report["target_recall"]) == (COUNT, DIMENSION, 0.99)
    assert report["recall10"] >= 0.99
    assert report["recall1000"] >= 0.9
    assert 0 < report["latency_ms"] < 1000
    assert report["exact_latency_ms"] > 0
    assert report["mapped_bytes_per_vector"] == 2 * DIMENSION
    in_memory = (built / "index.faiss").stat().st_size
    assert report["bytes_per_vector"] == pytest.approx(in_memory / COUNT, rel=0.01)
    assert sum(report["seconds"].values()) <= report["build_seconds"]


def test_no_table_is_held_beside_the_codes(built: Path) -> None:
    """What FAISS would make of short codes to be quicker is larger than they are, and in nobody's report."""
    index = open_index(built)
    assert isinstance(index, IvfIndex)
    table = getattr(index._lists, "precomputed_table", None)  # other codes than those of product quantisation know none
    assert table is None or table.size() == 0


@pytest.mark.slow
@pytest.mark.parametrize("memory", [400_000, 300_000, 240_000])
def test_the_memory_that_is_allowed_is_kept_to(tmp_path: Path, stored: Matrix, memory: int) -> None:
    """The shorter the codes have to be, the shorter they are; they never take more than was allowed."""
    report = build_index(tmp_path, stored, IndexOptions(max_memory=memory))
    assert report.bytes_per_vector * COUNT <= memory
    assert report.recall10 >= 0.9


def test_too_little_memory_is_refused(tmp_path: Path, stored: Matrix) -> None:
    """No code is short enough for one byte a vector: the message names the figures and the option."""
    with pytest.raises(BuildError, match=r"12,000 vectors of 32 numbers .* 12,000 bytes: .*--max-memory"):
        build_index(tmp_path, stored, IndexOptions(max_memory=COUNT))


@pytest.mark.slow
def test_a_lower_target_looks_less_far(tmp_path: Path, stored: Matrix) -> None:
    """What is asked for decides how far a search looks: at half the recall fewer candidates are compared."""

    def looked_at(report: IndexReport) -> int:
        assert report.few is not None
        return report.few.probes * report.few.factor

    high, low = (build_index(tmp_path, stored, IndexOptions(target, 0, 0)) for target in (0.99, 0.5))
    assert looked_at(low) < looked_at(high)
    assert low.recall10 >= 0.5


@pytest.mark.parametrize("target", [0.0, 1.5])
def test_a_target_that_makes_no_sense_is_refused(target: float) -> None:
    """A share is above 0 and at most 1."""
    with pytest.raises(SettingError, match="SOKKURI_TARGET_RECALL"):
        IndexOptions.of(Settings(target_recall=target))


def test_the_truth_is_what_sorting_gives(stored: Matrix) -> None:
    """Block by block the same neighbours are found as by sorting all cosines at once; the query itself is none."""
    parts = (slice(first, min(first + 5000, COUNT)) for first in range(0, COUNT, 5000))
    truth = truth_of(stored, parts, 7, 1000)
    for query, row, nearest in zip(truth.queries, truth.rows, truth.nearest, strict=True):
        assert np.array_equal(query, stored[row])
        order = np.argsort(-(stored @ query))
        assert nearest[:50].tolist() == order[order != row][:50].tolist()


@pytest.mark.parametrize("name", ["index.json", "index.faiss", "vectors.npy", "centre.npy"])
@pytest.mark.parametrize("data", [b"", b"nothing of the kind", None])
def test_what_cannot_be_read_is_corrupt(built: Path, tmp_path: Path, name: str, data: bytes | None) -> None:
    """A file that is missing or senseless is told as Corrupt, with what to do."""
    for file in built.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    elif name == "index.json":
        return  # without a report it is an index of the time before there were kinds
    with pytest.raises(Corrupt, match="sokkuri reindex LIBRARY"):
        open_index(tmp_path)


def test_files_of_two_indexes_do_not_meet(built: Path, tmp_path: Path) -> None:
    """Vectors of another number than the codes are refused, though each file is whole."""
    for file in built.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.save(tmp_path / "vectors.npy", np.zeros((5, DIMENSION), dtype=np.int16))
    with pytest.raises(Corrupt, match="do not fit"):
        open_index(tmp_path)


def test_a_kind_of_a_later_day_is_named(tmp_path: Path) -> None:
    """An index that this version does not know is no riddle."""
    (tmp_path / "index.json").write_text('{"kind": "oracle"}')
    with pytest.raises(Corrupt, match="oracle"):
        open_index(tmp_path)


def test_equal_vectors_can_be_indexed(tmp_path: Path) -> None:
    """A library of one picture, over and over, has no width in any direction: ten of them are found all the same."""
    same = np.repeat(clustered(1), 10_000, axis=0)
    build_index(tmp_path, same, LARGE)
    found = open_index(tmp_path).search(same[0], 10)
    assert len(found) == 10
    assert found[0].similarity == pytest.approx(1.0, abs=1e-4)
