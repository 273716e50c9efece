"""An index after few changes: the lists of the one before are kept while they serve, and learned anew after that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recommender.embeddings import unit_length
from recommender.folders import sha256
from recommender.indexes import open_index
from recommender.indexes.building import Former, IndexOptions, IndexReport, build_index, read_report, still_fits
from recommender.indexes.ivf_index import IvfIndex
from recommender.types import Matrix
from tests.recommender.test_indexes import COUNT, DIMENSION, LARGE, clustered, parts, recall

NEW, GONE = 60, 90


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the index of a large library."""
    folder = tmp_path_factory.mktemp("former")
    build_index(folder, clustered(), LARGE)
    return folder


@pytest.fixture(scope="module")
def changed() -> Matrix:
    """Return the vectors once some have gone from the middle and others have come, also in front."""
    before, new = clustered(), clustered(NEW, seed=8)
    return np.concatenate([new[:10], before[:5000], before[5000 + GONE :], new[10:]])


@pytest.fixture(scope="module")
def updated(former: Path, changed: Matrix, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IndexReport]:
    """Return the folder of the index that was made of the former one, and its report."""
    folder = tmp_path_factory.mktemp("updated")
    return folder, build_index(folder, changed, LARGE, Former(former, NEW + GONE))


def test_lists_are_kept_and_the_report_is_measured(former: Path, updated: tuple[Path, IndexReport]) -> None:
    """Nothing is learned; key, recall, latency, bytes and seconds are those of this index, and stand beside it."""
    folder, report = updated
    before = read_report(former)
    assert before is not None
    assert (report.how, report.moved, report.learned_from) == ("updated", NEW + GONE, COUNT)
    assert "train" not in report.seconds
    assert (report.key, report.vectors) == (before.key, COUNT + NEW - GONE)
    assert report.recall10 >= min(0.99, before.recall10) - 0.005
    assert report.recall1000 >= 0.9
    assert 0 < report.latency_ms < 1000
    assert report.bytes_per_vector == pytest.approx((folder / "index.faiss").stat().st_size / report.vectors, rel=0.01)
    assert json.loads((folder / "index.json").read_text(encoding="utf-8")) == json.loads(json.dumps(report.to_json()))
    assert read_report(folder) == report


def test_what_came_is_found_and_what_went_is_not(updated: tuple[Path, IndexReport], changed: Matrix) -> None:
    """Rows are those of the new order; new vectors find themselves, removed ones find none that is like them."""
    index = open_index(updated[0])
    assert len(index) == len(changed)
    for row in (0, 9, 10, 5009, 5010, len(changed) - 1):
        nearest = index.search(changed[row], 1)[0]
        assert nearest.row == row
        assert nearest.similarity == pytest.approx(1.0, abs=1e-4)
    for gone in clustered()[5000 : 5000 + GONE]:
        assert index.search(gone, 1)[0].similarity < 0.9999
    assert recall(IvfIndex(*parts(index), exact=0), changed) >= 0.97


def test_the_former_index_stays_as_it_was(former: Path, changed: Matrix, tmp_path: Path) -> None:
    """What is published never changes: not a byte of the former files is written to, and no file is shared."""
    before = {file.name: sha256(file) for file in former.iterdir()}
    build_index(tmp_path, changed, LARGE, Former(former, NEW + GONE))
    assert {file.name: sha256(file) for file in former.iterdir()} == before
    assert not any((tmp_path / name).samefile(former / name) for name in before)


def test_removed_vectors_are_in_no_file(former: Path, tmp_path: Path) -> None:
    """What was taken out is gone from codes and vectors: the files are those of an index that never had it."""
    kept = clustered()[:-GONE]
    build_index(tmp_path / made("one", tmp_path), kept, LARGE, Former(former, GONE))
    more = np.concatenate([kept, clustered(GONE, seed=9)])
    build_index(tmp_path / made("more", tmp_path), more, LARGE, Former(former, 2 * GONE))
    build_index(tmp_path / made("again", tmp_path), kept, LARGE, Former(tmp_path / "more", GONE))
    for name in ("index.faiss", "vectors.npy"):
        assert sha256(tmp_path / "one" / name) == sha256(tmp_path / "again" / name)


def made(name: str, parent: Path) -> str:
    """Make a folder and return its name."""
    (parent / name).mkdir()
    return name


def test_changes_add_up(updated: tuple[Path, IndexReport], changed: Matrix, tmp_path: Path) -> None:
    """What came and went is counted from the learning of the lists on; beyond a fifth they are learned anew."""
    report = build_index(tmp_path, changed, LARGE, Former(updated[0], 50))
    assert (report.how, report.moved) == ("updated", NEW + GONE + 50)
    report = build_index(tmp_path, changed, LARGE, Former(updated[0], COUNT // 5))
    assert (report.how, report.moved, report.learned_from) == ("built", 0, len(changed))
    assert report.why == "2,550 vectors came or went since the lists were learned"


def test_a_few_changes_are_not_worth_measuring(former: Path, tmp_path: Path) -> None:
    """Up to a thousandth the figures are those measured last, and it is said; after that they are measured again."""
    before = read_report(former)
    assert before is not None
    folder = former
    for number, unmeasured in enumerate([COUNT // 2000, COUNT // 1000, 0]):
        made(str(number), tmp_path)
        report = build_index(tmp_path / str(number), clustered(), LARGE, Former(folder, COUNT // 2000))
        assert (report.how, report.unmeasured) == ("updated", unmeasured)
        assert report.moved == (number + 1) * (COUNT // 2000)
        same = (report.recall10, report.latency_ms) == (before.recall10, before.latency_ms)
        assert same == bool(unmeasured)
        folder = tmp_path / str(number)
    assert read_report(folder) == report


def test_a_vector_far_from_all_makes_it_anew(former: Path, tmp_path: Path) -> None:
    """Sixteen bits reach so far and no further: a vector of the other side is not cut off, the scale is set anew."""
    far = np.concatenate([clustered(), -np.eye(1, DIMENSION, dtype=np.float32)])
    report = build_index(tmp_path, far, LARGE, Former(former, 1))
    assert (report.how, report.why) == ("built", "a vector lies too far out")
    nearest = open_index(tmp_path).search(far[-1], 1)[0]
    assert nearest.row == COUNT
    assert nearest.similarity == pytest.approx(1.0, abs=1e-4)


def test_lists_that_find_less_are_learned_anew(tmp_path: Path) -> None:
    """Where even looking further does not bring the former recall back, the report says what it fell to."""
    scattered = unit_length(np.random.default_rng(0).normal(size=(10_000, 512)).astype(np.float32))
    options = IndexOptions(max_memory=10_000 * (8 + 5) + (4 * 200 + 1024) * 512 + 8_000, exact_numbers=0)
    before = build_index(tmp_path / made("before", tmp_path), scattered, options)
    assert before.key.endswith("PQ4x8np")
    assert before.recall10 < 0.98
    report = before.to_json() | {"recall10": 0.99, "unmeasured": 11}
    (tmp_path / "before" / "index.json").write_text(json.dumps(report), encoding="utf-8")
    after = build_index(tmp_path / made("after", tmp_path), scattered, options, Former(tmp_path / "before", 0))
    assert after.how == "built"
    assert after.why.startswith("its recall fell from 0.990 to 0.")


def test_another_target_looks_less_far_with_the_same_lists(former: Path, tmp_path: Path) -> None:
    """Only how far a search looks depends on the target: that is measured again, and nothing learned."""
    lower = IndexOptions(target_recall=0.5, exact_numbers=0)
    report = build_index(tmp_path, clustered(), lower, Former(former, 0))
    before = read_report(former)
    assert before is not None
    assert before.few is not None
    assert report.few is not None
    assert (report.how, report.target_recall) == ("updated", 0.5)
    assert report.few.probes * report.few.factor < before.few.probes * before.few.factor
    assert sha256(tmp_path / "index.faiss") == sha256(former / "index.faiss")


def test_other_options_ask_for_another_index(former: Path, tmp_path: Path) -> None:
    """An index fits while kind and target are those that are asked for; of an exact one the target says nothing."""
    assert still_fits(former, LARGE)
    assert not still_fits(former, IndexOptions(target_recall=0.95, exact_numbers=0))
    assert not still_fits(former, IndexOptions(max_memory=COUNT * 20 + 4 * 219 * DIMENSION, exact_numbers=0))
    assert not still_fits(former, IndexOptions())
    build_index(tmp_path, clustered(200))
    assert still_fits(tmp_path, IndexOptions(target_recall=0.5))
    (tmp_path / "index.json").unlink()
    assert not still_fits(tmp_path, IndexOptions())


def test_a_former_exact_index_lends_no_lists(tmp_path: Path) -> None:
    """A library that has outgrown exact search gets lists of its own."""
    build_index(tmp_path / made("exact", tmp_path), clustered())
    report = build_index(tmp_path / made("large", tmp_path), clustered(), LARGE, Former(tmp_path / "exact", 0))
    assert (report.how, report.why) == ("built", "another kind of index than before")
