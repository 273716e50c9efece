"""`indexer.prune`: old snapshots and what only they needed go; what is served or may be rolled back to stays whole."""

from __future__ import annotations

import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import indexer.prune
from bench.tiny import make_model
from indexer.library import scan
from recommender.errors import Corrupt, NoRoom
from recommender.folders import discard
from tests.indexer.disks import full_disk
from tests.indexer.homes import Home
from tests.pictures import picture


def files(home: Home) -> set[Path]:
    """Return the files and folders of a home but those of the catalogue and the lock."""
    return {path for path in home.settings.home.rglob("*") if path.parent != home.settings.home}


def publish(home: Home, number: int) -> str:
    """Replace a picture and publish; return the snapshot's id."""
    home.put("show-0/hero-0/0.png", picture(90_000 + number))
    return home.reindex().snapshot or ""


def test_the_last_three_and_what_is_published_stay(home: Home) -> None:
    """Of six snapshots, the oldest of which is served again, the three newest stay beside it; all are whole."""
    oldest = home.published().info.id
    names = [publish(home, number) for number in range(4)]
    with home.catalogue() as catalogue:
        catalogue.republish(oldest)
        before = [info.id for info in catalogue.snapshots()]
        gone = [name for name in before if name not in (oldest, *names[-3:])]
    report = home.prune()
    assert set(report.snapshots) == set(gone)
    assert {path.name for path in (home.settings.home / "snapshots").iterdir()} == {oldest, *names[-3:]}
    with home.catalogue() as catalogue:
        assert {info.id for info in catalogue.snapshots()} == {oldest, *names[-3:]}
        assert catalogue.published().id == oldest
    assert home.verify().findings == ()


def test_what_no_snapshot_holds_any_more_goes(home: Home) -> None:
    """Thumbnails and rows of replaced pictures stay while a kept snapshot holds them, and go with the last one."""
    with home.catalogue() as catalogue:
        first = next(row.id for row in catalogue.pictures() if row.path == "show-0/hero-0/0.png")
    thumbnail = home.settings.home / "thumbnails" / first[:2] / f"{first}.jpg"
    publish(home, 0)
    home.prune()
    assert thumbnail.exists()
    for number in range(1, 4):
        publish(home, number)
    report = home.prune()
    assert (report.thumbnails, report.pictures) == (2, 2)
    assert not thumbnail.exists()
    with home.catalogue() as catalogue:
        assert len(catalogue.former_picture_ids()) == 2
    assert home.prune().snapshots == ()


def test_a_dry_run_removes_nothing(home: Home) -> None:
    """It says what would go, and how many bytes that are."""
    for number in range(4):
        publish(home, number)
    before = files(home)
    report = home.prune(dry_run=True)
    assert len(report.snapshots) >= 2
    assert report.bytes > 0
    assert "dry run, nothing removed" in report.to_text()
    assert files(home) == before
    assert home.prune().snapshots == report.snapshots


def test_what_a_crash_left_goes(home: Home) -> None:
    """A finished folder without a row, left by a crash before the commit, is removed; an unfinished thumbnail too."""
    served = home.settings.home / "snapshots" / home.published().info.id
    orphan = served.with_name("20200101T000000Z-00")
    shutil.copytree(served, orphan)
    scrap = home.settings.home / "thumbnails" / "ab"
    scrap.mkdir(exist_ok=True)
    (scrap / "unfinished.aside").write_bytes(b"")
    report = home.prune()
    assert orphan.name in report.snapshots
    assert not orphan.exists()
    assert not (scrap / "unfinished.aside").exists()


def test_embeddings_stay_while_a_model_or_a_snapshot_needs_them(home: Home) -> None:
    """A table goes once its model is gone and no kept snapshot was made from it."""
    former = home.table
    shutil.rmtree(home.settings.home / "models" / "tiny")
    make_model(home.settings, scan(home.root).hierarchy, size=40)
    for number in range(3):
        publish(home, number)
        if number < 2:
            assert home.prune().embeddings == ()
    assert home.prune().embeddings == (former.name,)
    assert not former.exists()
    assert home.reindex().embedded == 0


def test_room_is_made_on_a_disk_without_a_byte(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the catalogue has no room for its log, files go first, and then their rows."""
    for number in range(4):
        publish(home, number)
    expected = home.prune(dry_run=True)
    nothing, limit = resource.RLIM_INFINITY, resource.RLIMIT_FSIZE

    def freed(folder: Path) -> None:
        discard(folder)
        resource.setrlimit(limit, (nothing, nothing))

    monkeypatch.setattr(indexer.prune, "discard", freed)
    with full_disk(0):
        report = home.prune()
    assert report == replace(expected, dry_run=False)
    assert len(report.snapshots) >= 2
    with home.catalogue() as catalogue:
        assert {info.id for info in catalogue.snapshots()} == {
            path.name for path in (home.settings.home / "snapshots").iterdir()
        }
    assert home.verify().findings == ()


def test_a_full_disk_with_nothing_to_remove_is_one_line(home: Home) -> None:
    """It then takes somebody else to make room."""
    with full_disk(0), pytest.raises(NoRoom, match="the disk is full, make room"):
        home.prune()


def test_a_damaged_snapshot_counts_for_none(home: Home) -> None:
    """The three newest whole ones stay whatever lies between them; what is damaged stays, is told, and goes in time."""
    names = [home.published().info.id, *(publish(home, number) for number in range(5))]
    for name, file in ((names[-2], "snapshot.json"), (names[-3], "pictures.npy")):
        (home.settings.home / "snapshots" / name / file).write_bytes(b"damaged")
    report = home.prune()
    assert set(report.snapshots).isdisjoint(names[1:])
    assert {path.name for path in (home.settings.home / "snapshots").iterdir()} == set(names[1:])
    assert "snapshot.json is damaged" in report.to_text()
    assert [line.split("/")[1] for line in report.damaged] == [names[-2], names[-3]]
    later = [publish(home, number) for number in range(5, 8)]
    report = home.prune()
    assert (report.snapshots, report.damaged) == (tuple(names[1:]), ())
    assert {path.name for path in (home.settings.home / "snapshots").iterdir()} == set(later)
    assert home.verify().findings == ()


def test_nothing_goes_where_it_is_not_clear_what_is_needed(home: Home) -> None:
    """A snapshot or model that stays and cannot be read stops it, in one line, before anything is removed."""
    for number in range(4):
        publish(home, number)
    (home.settings.home / "models" / "tiny" / "model.json").write_text("{}")
    before = files(home)
    with pytest.raises(Corrupt, match=r"models/tiny/model\.json is damaged"):
        home.prune()
    assert files(home) == before
