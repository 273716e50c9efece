"""`recommender.snapshots`: what is written is what is opened, and nothing damaged is ever opened."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from recommender.embeddings import unit_length
from recommender.errors import Corrupt, InvalidQuery, NotFound
from recommender.folders import sha256
from recommender.indexes.building import IndexOptions
from recommender.snapshots import MANIFEST, Snapshot, SnapshotContent, open_snapshot, write_snapshot
from recommender.types import Character, Filters, PictureId, Show, SnapshotInfo
from tests.fakes import SPACE

EARLY = Show("early", "Early", 1999)
LATE = Show("late", "Läte そ", 2016)
UNDATED = Show("undated", "Undated")
CAST = (
    Character("ada", "Ada", EARLY, "female"),
    Character("bob", "Bob", EARLY, "male"),
    Character("cat", "Cat", LATE, "non-human"),
    Character("dan", "Dan", LATE, None),
    Character("eve", "Eve", UNDATED, "female"),
)
ROWS = (3, 0, 1, 4, 0, 2, 1, 3, 0)
"""The character of each row, as a number into CAST: in no particular order, as in a library."""
FILES = ("snapshot.json", "index.json", "index.faiss", "pictures.npy", "characters.npy", "roster.json")


def content(rows: tuple[int, ...] = ROWS) -> SnapshotContent:
    """Invent a snapshot's content."""
    vectors = np.random.default_rng(0).normal(size=(len(rows), SPACE.dimension)).astype(np.float32)
    return SnapshotContent(
        model="fake",
        model_digest="d" * 64,
        space=SPACE,
        pictures=[PictureId(hashlib.sha256(str(row).encode()).hexdigest()) for row in range(len(rows))],
        characters=[CAST[number] for number in rows],
        vectors=unit_length(vectors),
        created="2026-01-01T00:00:00Z",
    )


def written(folder: Path) -> SnapshotInfo:
    """Write the snapshot."""
    return write_snapshot(folder, content(), lambda _folder: None)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Return an open snapshot that nobody changes."""
    folder = tmp_path_factory.mktemp("snapshots") / "s1"
    return open_snapshot(folder, written(folder).digest)


def test_what_is_written_is_what_is_opened(snapshot: Snapshot) -> None:
    """Every row comes back with its picture, its character, its show and its vector."""
    given = content()
    assert len(snapshot.index) == len(ROWS)
    for row, picture in enumerate(given.pictures):
        assert snapshot.picture(row) == picture
        assert snapshot.row(picture) == row
        assert snapshot.character(row) == given.characters[row]
        assert snapshot.roster.shows[snapshot.show_of[row]] == given.characters[row].show
        np.testing.assert_allclose(snapshot.index.vector(row), given.vectors[row])
    assert snapshot.row("0" * 64) is None
    assert snapshot.model_digest == given.model_digest


def test_the_facts_are_recorded(snapshot: Snapshot, tmp_path: Path) -> None:
    """What the catalogue is told counts what is there, and opening gives the same facts as writing."""
    info = written(tmp_path / "s1")
    assert info == replace(snapshot.info, digest=info.digest)  # the index's report tells how long it took
    assert (info.id, info.model, info.space, info.created) == ("s1", "fake", SPACE.fingerprint, "2026-01-01T00:00:00Z")
    assert (info.pictures, info.characters, info.shows) == (len(ROWS), len(CAST), 3)
    assert info.digest == sha256(tmp_path / "s1" / MANIFEST)
    assert snapshot.character_sizes.tolist() == [3, 2, 1, 2, 1]
    assert snapshot.show_sizes.tolist() == [5, 3, 1]


def test_a_snapshot_holds_these_files(tmp_path: Path) -> None:
    """A snapshot's folder holds what its description says, every file but the manifest with its checksum in it."""
    written(tmp_path / "s1")
    assert {file.name for file in (tmp_path / "s1").iterdir()} == set(FILES)
    manifest = json.loads((tmp_path / "s1" / MANIFEST).read_text(encoding="utf-8"))
    assert {MANIFEST, *manifest["files"]} == set(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    """One changed bit, a missing end or a missing file: opening raises Corrupt, which names the file and a remedy."""
    info = written(tmp_path / "s1")
    file = tmp_path / "s1" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "flipped":
        file.write_bytes(data)
    elif damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    else:
        file.unlink()
    with pytest.raises(Corrupt, match=rf"s1/{name} .*sokkuri (rollback|reindex)"):
        open_snapshot(tmp_path / "s1", info.digest)


def test_the_manifest_has_to_be_the_recorded_one(tmp_path: Path) -> None:
    """A folder that is whole in itself but not the one that was published is refused."""
    written(tmp_path / "s1")
    with pytest.raises(Corrupt, match=MANIFEST):
        open_snapshot(tmp_path / "s1", "0" * 64)
    with pytest.raises(Corrupt, match="nowhere"):
        open_snapshot(tmp_path / "nowhere", "0" * 64)


@pytest.mark.parametrize("change", [{"format": 3}, {"counts": {"pictures": 8, "characters": 5, "shows": 3}}])
def test_a_manifest_that_cannot_be_followed_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """A later format, or counts that contradict the files, are told although every checksum is right."""
    written(tmp_path / "s1")
    file = tmp_path / "s1" / MANIFEST
    manifest = json.loads(file.read_text(encoding="utf-8")) | change
    file.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(Corrupt, match="s1"):
        open_snapshot(tmp_path / "s1", sha256(file))


@pytest.mark.slow
def test_a_large_snapshot_is_opened_with_its_index(tmp_path: Path) -> None:
    """Past what exact search serves, codes and vectors lie in the folder, all with checksums, under a later format."""
    given = content(tuple(range(len(CAST))) * 2_000)
    large = replace(given, index=IndexOptions(exact_numbers=0))
    info = write_snapshot(tmp_path / "s1", large, lambda _folder: None)
    manifest = json.loads((tmp_path / "s1" / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["format"] == 2
    assert set(manifest["files"]) == {*FILES, "vectors.npy", "centre.npy"} - {MANIFEST}
    opened = open_snapshot(tmp_path / "s1", info.digest)
    for row in (0, 4_711, 9_999):
        assert opened.row(large.pictures[row]) == row
        assert opened.index.search(large.vectors[row], 1)[0].row == row
    assert opened.row("z" * 64) is opened.row("") is opened.row(large.pictures[0].upper()) is None


def test_nothing_is_visible_when_the_check_fails(tmp_path: Path) -> None:
    """The check sees the finished folder before it has its name; what it raises leaves nothing behind."""

    def check(folder: Path) -> None:
        assert {file.name for file in folder.iterdir()} == set(FILES)
        assert folder != tmp_path / "s1"
        raise Corrupt("a sample does not find itself")

    with pytest.raises(Corrupt, match="sample"):
        write_snapshot(tmp_path / "s1", content(), check)
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_never_changes(tmp_path: Path) -> None:
    """Writing a snapshot to a folder that exists is refused, and the folder stays as it is."""
    info = written(tmp_path / "s1")
    with pytest.raises(FileExistsError):
        written(tmp_path / "s1")
    assert open_snapshot(tmp_path / "s1", info.digest).info == info


def labels(snapshot: Snapshot, mask: NDArray[np.bool_] | None) -> set[str]:
    """Return the characters whose pictures a mask lets through, all of them or none."""
    assert mask is not None
    passing = {snapshot.character(int(row)).slug for row in np.flatnonzero(mask)}
    assert not passing & {snapshot.character(int(row)).slug for row in np.flatnonzero(~mask)}
    return passing


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(type="female"), "ada eve"),
        (Filters(type="non-human"), "cat"),
        (Filters(show="early"), "ada bob"),
        (Filters(exclude_shows=("early",)), "cat dan eve"),
        (Filters(exclude_shows=("early", "late", "undated")), ""),
        (Filters(show="early", exclude_shows=("early",)), ""),
        (Filters(show="late", type="female"), ""),
        (Filters(year_from=1999), "ada bob cat dan"),
        (Filters(year_from=2000), "cat dan"),
        (Filters(year_from=2016), "cat dan"),
        (Filters(year_from=2017), ""),
        (Filters(year_to=2016), "ada bob cat dan"),
        (Filters(year_to=2015), "ada bob"),
        (Filters(year_to=1998), ""),
        (Filters(year_from=1999, year_to=1999), "ada bob"),
        (Filters(year_from=2016, year_to=1999), ""),
        (Filters(year_from=0), "ada bob cat dan"),
    ],
)
def test_filters_let_through_what_they_say(snapshot: Snapshot, filters: Filters, expected: str) -> None:
    """Type, show, excluded shows and years, both ends included; what has no type or year passes no such filter."""
    assert labels(snapshot, snapshot.rows_passing(filters)) == set(expected.split())


def test_no_filter_is_no_mask(snapshot: Snapshot) -> None:
    """Without filters every row passes, and no mask is made."""
    assert snapshot.rows_passing(Filters()) is None


@pytest.mark.parametrize("filters", [Filters(show="nowhere"), Filters(exclude_shows=("early", "nowhere"))])
def test_an_unknown_show_is_named(snapshot: Snapshot, filters: Filters) -> None:
    """A filter for a show that the snapshot does not hold is no empty answer but NotFound."""
    with pytest.raises(NotFound, match="'nowhere'"):
        snapshot.rows_passing(filters)


def test_an_unknown_type_is_named(snapshot: Snapshot) -> None:
    """A filter for a type that does not exist lists those that do."""
    with pytest.raises(InvalidQuery, match="male, female, non-human, not 'robot'"):
        snapshot.rows_passing(Filters(type="robot"))
