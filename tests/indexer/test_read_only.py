"""A home that cannot be written to: what changes nothing works there, and what would is refused in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.holding import held
from indexer.workplace import workplace
from recommender.errors import Busy, CatalogueVersion
from recommender.folders import ASIDE
from tests.indexer.disks import read_only
from tests.indexer.homes import PICTURES, Home
from tests.indexer.running import sokkuri
from tests.pictures import picture

pytestmark = pytest.mark.slow


@pytest.fixture
def frozen(home: Home, tmp_path: Path) -> Iterator[Home]:
    """Return a published home that can only be read, with a new picture in its library and what a crash left."""
    home.put("show-0/hero-0/new.png", picture(80_001))
    (home.settings.home / "embeddings" / f"{ASIDE}x").mkdir()
    with read_only(home.settings.home, tmp_path / "frozen") as path:
        yield home.with_settings(home=path)


def state(home: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of all that lies in a home."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in home.rglob("*")}


@pytest.mark.parametrize("locked_once", [True, False])
def test_what_only_looks_works(home: Home, tmp_path: Path, *, locked_once: bool) -> None:
    """`verify` and the dry runs tell what they tell elsewhere, say nothing of the disk, and leave all as it is."""
    home.put("show-0/hero-0/new.png", picture(80_001))
    (home.settings.home / "job.lock").unlink(missing_ok=True)
    if locked_once:
        (home.settings.home / "job.lock").touch()
    before = state(home.settings.home)
    with read_only(home.settings.home, tmp_path / "frozen") as path:
        verified = sokkuri("verify", "--home", path)
        assert (verified.code, verified.err) == (0, "")
        assert verified.out.startswith(f"all is well: 2 snapshots, {PICTURES} embeddings")
        foretold = sokkuri("reindex", home.root, "--dry-run", "--json", "--home", path)
        assert (foretold.code, foretold.err) == (0, "")
        assert (foretold.answer["added"], foretold.answer["embedded"], foretold.answer["snapshot"]) == (1, 1, None)
        assert sokkuri("reindex", home.root, "--dry-run", "--full", "--home", path).code == 0
        pruned = sokkuri("prune", "--dry-run", "--home", path)
        assert (pruned.code, pruned.err) == (0, "")
        assert pruned.out.startswith("dry run, nothing removed: 0 snapshots")
        forgotten = sokkuri("forget", "--picture", home.published().picture(0), "--dry-run", "--home", path)
        assert (forgotten.code, forgotten.err) == (0, "")
    assert state(home.settings.home) == before


def test_what_would_change_something_is_refused(frozen: Home) -> None:
    """One line says why, and what to do."""
    for command in (("reindex", frozen.root), ("prune",), ("rollback",)):
        line = sokkuri(*command, "--home", frozen.settings.home).line
        assert f"{frozen.settings.home} cannot be used (" in line
        assert "choose another folder with --home" in line


def test_what_a_crash_left_is_no_finding(frozen: Home) -> None:
    """What would be swept away elsewhere is passed over."""
    with workplace(frozen.settings, "test", looking=True) as catalogue:
        assert len(catalogue.pictures()) == PICTURES
    assert sokkuri("verify", "--home", frozen.settings.home).code == 0


def test_whoever_writes_is_waited_for(home: Home, tmp_path: Path) -> None:
    """A job that works in the same home, from where it can be written to, is named, as far as its lock is there."""
    with read_only(home.settings.home, tmp_path / "frozen") as path:
        frozen = home.with_settings(home=path)
        if path == home.settings.home:
            pytest.skip("only root can have both")
        with (
            held(home.settings.home, "collect", "x"),
            pytest.raises(Busy, match=r"^sokkuri collect \(process [0-9]+\) is at work in"),
            workplace(frozen.settings, "test", looking=True),
        ):
            pass
        with (
            held(path, "test", "x", looking=True),
            held(path, "another", "x", looking=True),
            pytest.raises(Busy),
            held(home.settings.home, "collect", "x"),
        ):
            pass
        with held(home.settings.home, "collect", "x"):
            pass


def test_an_older_catalogue_is_left_as_it_is(home: Home, tmp_path: Path) -> None:
    """Where it cannot be upgraded, the line says which command does so elsewhere."""
    with closing(sqlite3.connect(home.settings.home / "catalogue.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    with (
        read_only(home.settings.home, tmp_path / "frozen") as path,
        pytest.raises(CatalogueVersion, match="older Sokkuri: run `sokkuri db upgrade`"),
        workplace(home.with_settings(home=path).settings, "test", looking=True) as catalogue,
    ):
        catalogue.pictures()
