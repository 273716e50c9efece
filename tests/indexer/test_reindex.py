"""`indexer.reindex`: cost follows change, nothing doubtful is published unseen, and no library is too odd."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import indexer.library
from indexer.listing import list_pictures
from indexer.outcome import Held
from indexer.rollback import rollback
from indexer.workplace import workplace
from recommender.catalogue import Catalogue
from recommender.errors import BuildError, Corrupt
from recommender.images import decode
from recommender.types import DecodedImage
from tests.indexer.disks import full_disk
from tests.indexer.homes import PICTURES, Home
from tests.indexer.running import sokkuri
from tests.pictures import picture


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give a list that grows by each picture that is decoded."""
    seen: list[str] = []

    def noted(data: bytes, *arguments: Any) -> DecodedImage:
        image = decode(data, *arguments)
        seen.append(image.id)
        return image

    monkeypatch.setattr(indexer.library, "decode", noted)
    return seen


def test_nothing_is_done_twice(home: Home, decoded: list[str]) -> None:
    """Of an unchanged library no picture is opened; the new snapshot shares the index of the one before."""
    before = home.published().info.id
    report = home.reindex()
    assert (report.added, report.changed, report.moved, report.removed, report.embedded) == (0, 0, 0, 0, 0)
    assert decoded == []
    assert report.drift is not None
    assert report.drift.overlap == 1.0
    snapshots = home.settings.home / "snapshots"
    assert (snapshots / before / "index.faiss").samefile(snapshots / str(report.snapshot) / "index.faiss")
    assert home.published().info.id == report.snapshot != before


def test_moves_and_labels_cost_no_embedding(home: Home, decoded: list[str]) -> None:
    """A renamed file, a file given to another character and a renamed show keep embeddings; answers have new names."""
    (home.root / "show-0/hero-0/0.png").rename(home.root / "show-0/hero-0/renamed.png")
    (home.root / "show-0/hero-0/1.png").rename(home.root / "show-1/hero-1/given.png")
    (home.root / "show-2").rename(home.root / "show-9")
    (home.root / "shows.csv").write_text("show,title\nshow-0,Another title\n", encoding="utf-8")
    report = home.reindex()
    assert (report.added, report.changed, report.moved, report.removed) == (0, 0, 2 + PICTURES // 3, 0)
    assert (report.embedded, decoded) == (0, [])
    titles = {show.slug: show.title for show in home.published().roster.shows}
    assert titles == {"show-0": "Another title", "show-1": "show-1", "show-9": "show-9"}
    assert home.verify().findings == ()


def test_each_change_is_told(home: Home) -> None:
    """One added, one replaced, one renamed, one removed, one that cannot be read: the report and its text say so."""
    home.put("show-0/hero-0/new.png", picture(80_001))
    home.put("show-0/hero-0/0.png", picture(80_002))
    home.put("show-0/hero-1/broken.png", b"nothing of the kind")
    (home.root / "show-1/hero-0/0.png").rename(home.root / "show-1/hero-0/renamed.png")
    (home.root / "show-1/hero-1/0.png").unlink()
    report = home.reindex()
    assert (report.added, report.changed, report.moved, report.removed, report.embedded) == (1, 1, 1, 1, 2)
    told = report.to_json()
    assert [reject["path"] for reject in told["rejects"]] == ["show-0/hero-1/broken.png"]
    assert told["pictures_per_second"] > 0
    assert set(told["seconds"]) == {
        "opening",
        "scanning",
        "loading",
        "embedding",
        "comparing",
        "building",
        "publishing",
    }
    assert 0.5 < told["drift"]["overlap"] < 1
    assert "1 added, 1 changed, 1 moved, 1 removed, 1 left out, 2 newly embedded" in report.to_text()


def test_full_reads_what_time_and_size_hide(home: Home) -> None:
    """Other bytes under the same size and time are only found with --full; what is the same is not decoded again."""
    file = home.root / "show-0/hero-0/0.png"
    status = file.stat()
    data = bytearray(picture(80_003).ljust(status.st_size, b"\0")[: status.st_size])
    file.write_bytes(data if len(picture(80_003)) <= status.st_size else bytes(data))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert home.reindex().rejects == ()
    report = home.reindex(full=True)
    assert report.changed + len(report.rejects) == 1
    assert report.pictures + len(report.rejects) == PICTURES


def test_the_index_is_rebuilt_without_a_picture_being_read(home: Home) -> None:
    """With every picture overwritten by zeros, and every snapshot gone, the same index comes of the table."""
    before = home.published()
    for file in home.root.rglob("*.png"):
        status = file.stat()
        file.write_bytes(bytes(status.st_size))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.rmtree(home.settings.home / "snapshots")
    time.sleep(1.1)  # snapshots are named by the second, and the catalogue knows the one that is gone
    report = home.reindex()
    assert (report.pictures, report.embedded, report.drift) == (PICTURES, 0, None)
    after = home.published()
    assert np.array_equal(after.pictures, before.pictures)
    for row in range(PICTURES):
        assert np.array_equal(after.index.vector(row), before.index.vector(row))


def test_a_library_of_rejects_is_held(home: Home) -> None:
    """More rejects than the setting allows stop it before publishing, with the first reason; --accept overrides."""
    before = home.published().info.id
    for number in range(PICTURES + 1):
        home.put(f"show-0/hero-0/broken-{number}.png", b"no picture")
    with pytest.raises(Held, match=r"51% of the pictures are left out .*broken-0.*SOKKURI_MAX_REJECTS = 0.5") as caught:
        home.reindex()
    assert "`--accept` publishes it all the same" in str(caught.value)
    assert caught.value.report.snapshot is None
    assert home.published().info.id == before
    assert home.with_settings(max_rejects=0.6).reindex().snapshot == home.published().info.id
    assert home.reindex(accept=True).snapshot == home.published().info.id


def test_answers_that_would_be_others_are_held(home: Home) -> None:
    """A library that lost most of its pictures drifts more than allowed; --dry-run only reports; --accept publishes."""
    before = home.published().info.id
    strict = home.with_settings(max_drift=0.3)
    for show in ("show-1", "show-2"):
        shutil.rmtree(home.root / show)
    assert strict.reindex(dry_run=True).held == ""
    with pytest.raises(Held, match=f"of the nearest neighbours are those of {before}.*SOKKURI_MAX_DRIFT = 0.3"):
        strict.reindex()
    assert home.published().info.id == before
    assert strict.reindex(accept=True).removed == PICTURES * 2 // 3
    assert home.published().info.id != before


def test_another_library_altogether_is_held_in_words(home: Home, tmp_path: Path) -> None:
    """Nothing in common is as much drift as there can be, and the line says what it is."""
    before = home.published().info.id
    other = replace(home, root=tmp_path / "other")
    for number in range(12):
        other.put(f"show-9/hero-{number % 2}/{number}.png", picture(95_000 + number))
    with pytest.raises(
        Held, match=f"^nothing in common with {before}: none of its pictures is in this one: a drift of 1"
    ):
        other.reindex()


@pytest.mark.slow
def test_a_held_report_can_be_read_by_programs(home: Home) -> None:
    """Exit 1 and one line on stderr; with --json the whole report as well, which says why."""
    for number in range(PICTURES + 1):
        home.put(f"show-0/hero-0/broken-{number}.png", b"no picture")
    arguments = ("reindex", home.root, "--home", home.settings.home)
    assert "51% of the pictures are left out" in sokkuri(*arguments).line
    done = sokkuri(*arguments, "--json")
    assert done.code == 1
    assert done.answer["snapshot"] is None
    assert done.answer["held"] in done.err
    assert len(done.err.splitlines()) == 1
    assert sokkuri(*arguments, "--accept").code == 0


def test_a_damaged_snapshot_does_not_stand_in_the_way(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """What is published cannot be compared with, which is said; the new snapshot is built from the table, whole."""
    file = home.settings.home / "snapshots" / home.published().info.id / "index.faiss"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    report = home.reindex()
    assert report.drift is None
    assert "index.faiss is damaged" in capsys.readouterr().err
    assert len(home.published().index) == PICTURES


def test_links_are_followed_when_asked(home: Home, tmp_path: Path) -> None:
    """Files and folders behind links that leave the library are rejects, and pictures with --follow-links.

    A link in a circle ends it nowhere; the catalogue says where the files really are, so that they can be served.
    """
    outside = tmp_path / "outside"
    (outside / "deeper").mkdir(parents=True)
    for number, name in enumerate(("a.png", "deeper/b.png", "c.png")):
        (outside / name).write_bytes(picture(70_000 + number))
    (outside / "deeper/back").symlink_to(outside)
    (outside / "up").symlink_to(tmp_path)
    (home.root / "show-0/hero-0/folder").symlink_to(outside)
    (home.root / "show-0/hero-1/file.png").symlink_to(outside / "c.png")
    left_out = home.reindex()
    assert {reject.path for reject in left_out.rejects} == {"show-0/hero-0/folder", "show-0/hero-1/file.png"}
    assert all("--follow-links" in reject.reason for reject in left_out.rejects)
    report = home.reindex(follow_links=True)
    assert (report.pictures, report.added) == (PICTURES + 3, 3)
    reasons = {reject.path: reject.reason for reject in report.rejects}
    assert "duplicate" in reasons.pop("show-0/hero-1/file.png") or "disagree" in str(report.rejects)
    assert all("circle" in reason for reason in reasons.values())
    with home.catalogue() as catalogue:
        rows = {row.path: row for row in catalogue.pictures() if row.library != str(home.root)}
    assert {Path(row.library) / row.path for row in rows.values()} == {
        outside / "a.png",
        outside / "deeper/b.png",
        outside / "c.png",
    }
    assert home.reindex(follow_links=True).embedded == 0


def test_the_library_is_only_read(home: Home) -> None:
    """A library on a read-only disk will do: no file in it is made, changed or removed."""

    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in home.root.rglob("*")}

    before = state()
    home.reindex(full=True)
    home.reindex()
    assert state() == before


@pytest.mark.slow
def test_odd_names_are_one_line_each(home: Home) -> None:
    """Line breaks and terminal codes in names are indexed, and shown as escapes where they are rejects."""
    home.put("show-0/hero-0/two\nlines.png", picture(70_010))
    home.put("show-0/hero-0/\x1b[31mred\n.png", b"no picture")
    home.put("show-0/new\nhero/0.png", picture(70_011))
    done = sokkuri("reindex", home.root, "--home", home.settings.home)
    assert done.code == 0, done.err
    assert "2 added" in done.out
    _runs_by_torch, left_out = done.err.splitlines()
    assert left_out.startswith(r"left out: show-0/hero-0/\x1b[31mred\n.png: ")
    with home.catalogue() as catalogue:
        paths = {row.path for row in catalogue.pictures()}
    assert {"show-0/hero-0/two\nlines.png", "show-0/new\nhero/0.png"} <= paths


def test_a_file_that_grows_is_read_again(home: Home) -> None:
    """Whatever is read of a file that is being written, the next reindex has it as it is then."""
    data = picture(70_020, size=(400, 300))
    file = home.root / "show-0/hero-0/growing.png"
    writing = threading.Event()

    def write() -> None:
        with file.open("wb") as stream:
            for start in range(0, len(data), max(1, len(data) // 40)):
                stream.write(data[start : start + max(1, len(data) // 40)])
                stream.flush()
                writing.set()
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    writing.wait()
    first = home.reindex()
    writer.join()
    second = home.reindex()
    assert first.pictures + len(first.rejects) == second.pictures == PICTURES + 1
    assert second.rejects == ()
    assert home.verify().findings == ()


def test_a_picture_that_vanishes_stops_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted between scan and read, it is a reject of this run and removed in the next."""
    file = home.put("show-0/hero-0/gone.png", picture(70_030))
    listed = list_pictures

    def deleting(*arguments: Any) -> Any:
        found = listed(*arguments)
        file.unlink(missing_ok=True)
        return found

    monkeypatch.setattr("indexer.library.list_pictures", deleting)
    (reject,) = home.reindex().rejects
    assert reject.path == "show-0/hero-0/gone.png"
    assert "No such file" in reject.reason
    monkeypatch.undo()
    assert home.reindex().rejects == ()


def test_a_full_disk_loses_nothing(home: Home) -> None:
    """Whether the table or the index does not fit: what is published stays, and what was embedded is kept."""
    before = home.published().info
    for number in range(6):
        home.put(f"show-0/hero-0/more-{number}.png", picture(70_040 + number))
    size = (home.table / "rows.bin").stat().st_size
    with full_disk(size + 100), pytest.raises(BuildError, match="make room"):
        home.reindex()
    assert home.published().info == before
    broken = home.put("show-0/hero-0/broken.png", b"no picture")
    with pytest.raises(Held) as caught:
        home.with_settings(max_rejects=0.0).reindex()
    assert caught.value.report.embedded == 6
    broken.unlink()
    with full_disk(size - 10_000), pytest.raises(BuildError, match=r"snapshots.*make room"):
        home.reindex()
    assert home.published().info == before
    report = home.reindex()
    assert (report.embedded, report.added) == (0, 6)
    assert home.verify().findings == ()


@pytest.mark.slow
def test_a_newer_catalogue_is_one_line(home: Home) -> None:
    """A catalogue of a newer Sokkuri is left as it is by every command that would write."""
    file = home.settings.home / "catalogue.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (("reindex", home.root), ("verify",), ("prune",)):
        line = sokkuri(*command, "--home", home.settings.home).line
        assert "made by a newer Sokkuri" in line


def test_a_rollback_passes_over_what_is_damaged(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and publishes the next that is whole; where none is, one line says what helps."""
    first = home.published().info.id
    second, third = home.reindex().snapshot, home.reindex().snapshot
    folder = home.settings.home / "snapshots"
    (folder / str(second) / "roster.json").write_text("{}", encoding="utf-8")
    with workplace(home.settings, "test") as catalogue:
        assert rollback(home.settings, catalogue, None).id == first
    assert home.published().info.id == first
    assert f"{second} is passed over" in capsys.readouterr().err
    for roster in folder.glob("*/roster.json"):
        if roster.parent.name != third:
            roster.write_text("{}", encoding="utf-8")
    with workplace(home.settings, "test") as catalogue:
        assert rollback(home.settings, catalogue, str(third)).id == third
        with pytest.raises(Corrupt, match="no older snapshot is whole: run `sokkuri reindex"):
            rollback(home.settings, catalogue, None)
        assert catalogue.published().id == third


def test_a_damaged_embedding_is_not_published(home: Home) -> None:
    """Where an index is made of the table alone, a bit that rotted in the middle stops it; --full makes it anew."""
    for number in range(300):
        home.put(f"show-0/hero-0/more-{number:03}.png", picture(70_000 + number))
    home.reindex(accept=True)
    before = home.published().info.id
    file = home.table / "rows.bin"
    data = bytearray(file.read_bytes())
    data[len(data) // (PICTURES + 300) * 3 + 40] ^= 1
    file.write_bytes(data)
    (home.settings.home / "snapshots" / before / "index.faiss").unlink()
    with pytest.raises(Corrupt, match=r"records of embeddings/\w+ are damaged: run `sokkuri reindex LIBRARY --full`"):
        home.reindex()
    with home.catalogue() as catalogue:
        assert catalogue.published().id == before
    assert home.reindex(full=True).embedded == 1
    assert len(home.published().pictures) == PICTURES + 300


def test_the_catalogue_knows_what_a_rollback_brings_back(home: Home) -> None:
    """Pictures that the newest library dropped are still known after a rollback, and where their files are."""
    first = home.published().info.id
    with home.catalogue() as catalogue:
        gone = [row for row in catalogue.pictures() if row.character == "show-2/hero-1"]
    shutil.rmtree(home.root / "show-2/hero-1")
    home.reindex()
    with Catalogue(home.settings.database_url) as catalogue:
        catalogue.republish(first)
        assert [catalogue.picture(row.id) for row in gone] == gone


def test_a_missing_disk_is_held(home: Home) -> None:
    """A link that leads nowhere counts as all that was known behind it, at every run until --accept."""
    strict = home.with_settings(max_rejects=0.3)
    before = home.published().info.id
    for show in ("show-1", "show-2"):
        shutil.rmtree(home.root / show)
        (home.root / show).symlink_to(home.root.parent / "not-mounted")
    for _ in range(2):
        with pytest.raises(
            Held, match=r"67% of the pictures are left out .*show-1: the link leads nowhere.*the 8 pict"
        ):
            strict.reindex()
    assert home.published().info.id == before
    assert "16 left out" in strict.reindex(accept=True).to_text()
    assert strict.reindex(accept=False).left_out == 2


def test_pictures_that_are_gone_are_told_and_held(home: Home) -> None:
    """Shows whose folders are empty now are named; more than the limit of them stops it before publishing."""
    before = home.published().info.id
    for folder in (home.root / "show-1").iterdir():
        for file in folder.iterdir():
            file.unlink()
    with pytest.raises(Held, match=r"33% of the pictures published so far .*show-1 \(8 pictures\).*is a disk missing"):
        home.with_settings(max_rejects=0.3).reindex()
    assert home.published().info.id == before
    report = home.reindex()
    assert report.gone.shows == (("show-1", 8),)
    assert report.to_text().splitlines()[-1] == "gone with all their pictures: show-1 (8 pictures)"
    assert report.to_json()["gone"] == {"share": pytest.approx(1 / 3), "shows": {"show-1": 8}}
    (home.root / "show-0").rename(home.root / "show-9")
    assert home.reindex().gone.shows == ()


def test_after_a_rollback_it_compares_with_what_is_published(home: Home) -> None:
    """What a rollback brought back is missed again, told and held, though the run that lost it was accepted before."""
    strict, first = home.with_settings(max_rejects=0.3), home.published().info.id
    for show in ("show-1", "show-2"):
        shutil.move(home.root / show, home.root.parent / show)
    fewer = strict.reindex(accept=True)
    with home.catalogue() as catalogue:
        rollback(home.settings, catalogue, first)
    assert strict.reindex(dry_run=True).removed == PICTURES * 2 // 3
    with pytest.raises(Held, match=r"67% of the pictures published so far .*show-1 \(8 pictures\), show-2"):
        strict.reindex()
    with home.catalogue() as catalogue:
        rollback(home.settings, catalogue, fewer.snapshot)
    for show in ("show-1", "show-2"):
        shutil.move(home.root.parent / show, home.root / show)
    report = strict.reindex()
    assert (report.added, report.removed, report.pictures) == (PICTURES * 2 // 3, 0, PICTURES)
    with home.catalogue() as catalogue:
        rollback(home.settings, catalogue, fewer.snapshot)
        assert strict.reindex().added == PICTURES * 2 // 3
        assert catalogue.picture_ids() == {row.id for row in catalogue.pictures()}
        assert catalogue.counts().pictures == PICTURES


def test_a_home_in_the_library_is_no_part_of_it(home: Home) -> None:
    """`cd library; sokkuri reindex .` with the default home finds the pictures and no thumbnails, however often."""
    inside = home.with_settings(home=home.root / "var")
    shutil.move(home.settings.home, inside.settings.home)
    for _ in range(2):
        report = inside.reindex()
        assert (report.pictures, report.added, report.rejects) == (PICTURES, 0, ())


def test_a_thumbnail_that_was_emptied_is_made_again(home: Home) -> None:
    """No bytes are seen at any reindex, and a lost end with --full; verify finds both."""
    first, second = sorted((home.settings.home / "thumbnails").rglob("*.jpg"))[:2]
    good = first.read_bytes(), second.read_bytes()
    first.write_bytes(b"")
    assert "1 thumbnails are missing or damaged" in home.verify().findings[0]
    home.reindex()
    assert first.read_bytes() == good[0]
    second.write_bytes(good[1][:-9])
    assert f"that of {second.stem}" in home.verify().findings[0]
    home.reindex(full=True)
    assert second.read_bytes() == good[1]
    assert home.verify().findings == ()
