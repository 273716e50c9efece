"""`indexer.renewal`: a new snapshot takes from the published one what that holds, and asks the table for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from indexer import renewal
from indexer.publishing import write_checked
from indexer.renewal import with_vectors
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError
from recommender.folders import ASIDE
from recommender.indexes.building import IndexOptions, read_report
from recommender.snapshots import Snapshot, SnapshotContent, open_snapshot
from recommender.types import Character, Matrix, PictureId, Show
from tests.indexer.disks import full_disk
from tests.recommender.test_indexes import COUNT, DIMENSION, LARGE, clustered

HERO = Character("hero", "Hero", Show("show", "Show"))
SPACE = EmbeddingSpace("toy", "0" * 64, "penultimate", "64 px", DIMENSION)
EXACT = IndexOptions()


@dataclass
class Table:
    """Vectors by picture, and how many were asked for."""

    vectors: Matrix
    asked: list[int] = field(default_factory=list)

    def __call__(self, pictures: Sequence[PictureId]) -> Matrix:
        """Look them up."""
        self.asked.append(len(pictures))
        return self.vectors[[int(picture, 16) for picture in pictures]]


def pictures(numbers: Sequence[int]) -> list[PictureId]:
    """Return the ids of pictures with these numbers."""
    return [PictureId(f"{number:064x}") for number in numbers]


def content(numbers: Sequence[int], options: IndexOptions = LARGE) -> SnapshotContent:
    """Return what a snapshot of some pictures is made of, but for their vectors."""
    nothing = np.empty((0, DIMENSION), np.float32)
    created = "2026-01-02T03:04:05Z"
    ids = pictures(numbers)
    return SnapshotContent("toy", "1" * 64, SPACE, ids, [HERO] * len(ids), nothing, created, index=options)


def published(folder: Path, table: Table, wanted: SnapshotContent, served: Snapshot | None = None) -> Snapshot:
    """Write a snapshot as a reindex does, and open it."""
    with with_vectors(wanted, served, table, folder) as whole:
        info = write_checked(folder, whole)
    return open_snapshot(folder / info.id, info.digest)


@pytest.fixture
def table() -> Table:
    """Return a table of more pictures than are published at first."""
    return Table(clustered(COUNT + 100))


@pytest.mark.parametrize("options", [LARGE, EXACT], ids=["approximate", "exact"])
def test_only_new_pictures_are_read(tmp_path: Path, table: Table, options: IndexOptions) -> None:
    """One picture more, one less, and another order: the table is asked for one; every row holds its own vector."""
    before = published(tmp_path, table, content(range(COUNT), options))
    numbers = [COUNT + 50, *range(COUNT - 1, 0, -1)]
    after = published(tmp_path, table, content(numbers, options), before)
    assert table.asked == [COUNT, 1]
    found = after.index.vectors(np.arange(len(numbers)))
    np.testing.assert_allclose(found, table.vectors[numbers], atol=5e-5)
    report = read_report(tmp_path / after.info.id)
    assert report is not None
    assert (report.how, report.moved) == (("updated", 2) if options is LARGE else ("built", 0))


def test_the_same_pictures_share_the_index(tmp_path: Path, table: Table) -> None:
    """Nothing is read, and the files are those of the snapshot before."""
    before = published(tmp_path, table, content(range(COUNT)))
    after = published(tmp_path, table, content(range(COUNT)), before)
    assert table.asked == [COUNT]
    for name in ("index.faiss", "vectors.npy", "index.json"):
        assert (tmp_path / after.info.id / name).samefile(tmp_path / before.info.id / name)


def test_other_options_alone_make_another_index(tmp_path: Path, table: Table) -> None:
    """With another target, or memory, an unchanged library gets another index, and no picture is read for it."""
    before = published(tmp_path, table, content(range(COUNT)))
    lower = published(tmp_path, table, content(range(COUNT), replace(LARGE, target_recall=0.6)), before)
    report = read_report(tmp_path / lower.info.id)
    assert report is not None
    assert (report.target_recall, report.how) == (0.6, "updated")
    small = replace(LARGE, max_memory=COUNT * 20 + 4 * 219 * DIMENSION)
    smaller = published(tmp_path, table, content(range(COUNT), small), lower)
    report = read_report(tmp_path / smaller.info.id)
    assert report is not None
    assert (report.key.rpartition(",")[2], report.how) == ("PQ8x8np", "built")
    assert table.asked == [COUNT, 0, 0]


def test_vectors_of_another_space_are_not_taken(tmp_path: Path, table: Table) -> None:
    """A snapshot of another model lends nothing, though it holds the same pictures."""
    before = published(tmp_path, table, content(range(COUNT)))
    other = replace(content(range(COUNT)), space=replace(SPACE, weights="2" * 64))
    published(tmp_path, table, other, before)
    assert table.asked == [COUNT, COUNT]


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few vectors count as many."""
    monkeypatch.setattr(renewal, "BLOCK", 1000)


@pytest.mark.usefixtures("many")
def test_many_vectors_are_held_in_a_file(tmp_path: Path, table: Table) -> None:
    """Many that were read are mapped from a file beside the snapshots, which is gone afterwards."""
    with with_vectors(content(range(COUNT)), None, table, tmp_path) as whole:
        assert isinstance(whole.vectors, np.memmap)
        assert np.array_equal(whole.vectors, table.vectors[:COUNT])
        assert len(list(tmp_path.glob(f"{ASIDE}*"))) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("many")
def test_a_full_disk_is_told(tmp_path: Path, table: Table) -> None:
    """Where the file does not fit, one line says so, and nothing is left of it."""
    with (
        full_disk(10_000),
        pytest.raises(BuildError, match=r"vectors\.npy cannot be written .*make room"),
        with_vectors(content(range(COUNT)), None, table, tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
