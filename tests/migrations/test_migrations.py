"""The migrations on real SQLite files: up, down, twice at once, and in step with the tables."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from migrations import FOLDER, current, downgrade, head, migrating, upgrade, withdraw
from recommender.catalogue import Catalogue, CollectedRow, Counts, FileRow, LibraryRows, ModelRow, PictureRow
from recommender.errors import CatalogueVersion, Corrupt
from recommender.tables import REVISION, Base, open_engine, revision_at
from recommender.types import Character, PictureId, Show, SnapshotInfo

ROOT = FOLDER.parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name a file for a catalogue; neither it nor its folder exists yet. A percent sign must not upset anything."""
    return tmp_path / "100% home" / "catalogue.db"


@pytest.fixture
def url(file: Path) -> str:
    """Return the URL of that file."""
    return f"sqlite:///{file}"


def fill(url: str) -> None:
    """Put a row into every table."""
    show = Show("show", "Show", 2001)
    hero = Character("hero", "Hero", show, "female")
    picture = PictureRow(PictureId("a" * 64), hero.label, "show/hero/1.png", "/library", 8, 8, "PNG", 99)
    file = FileRow(picture.path, 99, 1, 2, "rules", picture.id, 8, 8, "PNG", perceptual_hash=2**64 - 1)
    with Catalogue(url) as catalogue:
        catalogue.remember_files("/library", [file])
        address = "https://gallery.example/1.png"
        row = CollectedRow("/library", picture.path, picture.id, address, "page", "source", "2025-01-01T00:00:00Z", 200)
        catalogue.remember_collected([row])
        catalogue.remember_forgotten(["b" * 64], "2025-01-01T00:00:00Z")
        catalogue.add_model(ModelRow("model", "vgg19", digest="d", space="s", created="2025-01-01T00:00:00+00:00"))
        info = SnapshotInfo("snapshot", "model", "s", 1, 1, 1, created="2025-01-01T00:00:00+00:00", digest="d")
        for published in (replace(picture, id=PictureId("c" * 64)), picture):
            catalogue.publish(info, LibraryRows(((show, {"studio": "S"}),), (hero,), (published,)))


def rows(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables but those of SQLite and Alembic."""
    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()  # noqa: S608  # names of our tables
            for name in names
            if not name.startswith(("sqlite_", "alembic_"))
        }


def test_upgrade_creates(file: Path, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    """An upgrade creates folder, file and tables in silence, and does nothing the second time."""
    assert current(url) is None
    assert not file.parent.exists()
    upgrade(url)
    before = rows(file)
    upgrade(url)
    assert current(url) == head()
    assert rows(file) == before == {table: [] for table in Base.metadata.tables}
    assert capfd.readouterr() == ("", "")


def test_withdraw(file: Path, url: str) -> None:
    """What was made for nothing goes, with all that lies beside it; a single row anywhere keeps it."""
    upgrade(url)
    withdraw(url)
    assert list(file.parent.iterdir()) == []
    upgrade(url)
    fill(url)
    before = rows(file)
    withdraw(url)
    assert rows(file) == before


def test_withdraw_where_there_is_no_file(tmp_path: Path) -> None:
    """Of a database whose file is not ours to remove the tables go: then there is no catalogue either."""
    url = f"sqlite:///file:{tmp_path / 'catalogue.db'}?uri=true"
    upgrade(url)
    assert current(url) == head()
    withdraw(url)
    assert current(url) is None
    assert rows(tmp_path / "catalogue.db") == {}
    upgrade(url)
    assert current(url) == head()


def test_revision_is_head() -> None:
    """The newest revision is the one that the catalogue reads, and the numbers of the revisions follow their order."""
    revisions = [script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()]
    assert revisions[0] == head() == REVISION
    assert revisions == sorted(revisions, reverse=True)


def test_same_as_tables(url: str) -> None:
    """The migrations make exactly the tables that the code declares."""
    upgrade(url)
    with migrating(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_same_constraints_as_tables(file: Path, tmp_path: Path, url: str) -> None:
    """Names and texts of all constraints are those that the code declares, checks included."""

    def constraints(database: Path) -> dict[str, list[str]]:
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'").fetchall()
        return {
            name: sorted(line.strip().rstrip(",") for line in sql.splitlines() if "CONSTRAINT" in line)
            for name, sql in found
            if name in Base.metadata.tables
        }

    upgrade(url)
    declared = tmp_path / "declared.db"
    engine = open_engine(f"sqlite:///{declared}")
    Base.metadata.create_all(engine)
    engine.dispose()
    assert constraints(file) == constraints(declared)
    assert sum(map(len, constraints(file).values())) >= 16


def test_walk_down_and_up(file: Path, url: str) -> None:
    """Each revision can be left and reached with rows in every table; a table that stays keeps its rows."""
    upgrade(url)
    fill(url)
    before = rows(file)
    assert all(before.values())
    revisions = [script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()]
    for revision in [*revisions[1:], "base"]:
        downgrade(url, revision)
        assert current(url) == (None if revision == "base" else revision)
        after = rows(file)
        assert {name: len(kept) for name, kept in after.items()} == {name: len(before[name]) for name in after}
    assert rows(file) == {}
    for revision in reversed(revisions):
        upgrade(url, revision)
    fill(url)
    assert rows(file).keys() == before.keys()
    with Catalogue(url) as catalogue:
        assert catalogue.counts() == Counts(1, 1, 1)


def test_upgrade_keeps_rows(file: Path, url: str) -> None:
    """An upgrade of a catalogue that needs none leaves every row as it was."""
    upgrade(url)
    fill(url)
    before = rows(file)
    upgrade(url)
    assert rows(file) == before


def test_upgrade_from_first(file: Path, url: str) -> None:
    """A catalogue of the first revision keeps every row, and begins without a memory of files."""
    upgrade(url)
    fill(url)
    before = rows(file)
    downgrade(url, "0001")
    assert "files" not in rows(file)
    upgrade(url)
    assert rows(file) == before | {"files": [], "collected": [], "forgotten": [], "former_pictures": []}


def test_upgrade_from_second(file: Path, url: str) -> None:
    """A catalogue of the second revision keeps every row, and begins without anything collected or forgotten."""
    upgrade(url)
    fill(url)
    before = rows(file)
    downgrade(url, "0002")
    assert not {"collected", "forgotten"} & rows(file).keys()
    upgrade(url)
    assert rows(file) == before | {"collected": [], "forgotten": [], "former_pictures": []}


def test_upgrade_from_third(file: Path, url: str) -> None:
    """A catalogue of the third revision keeps every row, and begins without pictures that left the library."""
    upgrade(url)
    fill(url)
    before = rows(file)
    downgrade(url, "0003")
    assert "former_pictures" not in rows(file)
    upgrade(url)
    assert rows(file) == before | {"former_pictures": []}


def test_failed_migration(file: Path, url: str) -> None:
    """A migration that ends with a dangling reference is undone as a whole."""
    upgrade(url)
    fill(url)
    before = rows(file)

    def migrate() -> None:
        with migrating(url) as connection:
            connection.exec_driver_sql("DROP TABLE publications")
            connection.exec_driver_sql("DELETE FROM shows")

    with pytest.raises(Corrupt, match="characters refers to a row of shows"):
        migrate()
    assert rows(file) == before


def test_newer(file: Path, url: str) -> None:
    """A catalogue of a newer Sokkuri is neither upgraded nor downgraded."""
    upgrade(url)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CatalogueVersion, match="newer Sokkuri"):
        upgrade(url)
    with pytest.raises(CatalogueVersion, match="newer Sokkuri"):
        downgrade(url, "base")
    assert current(url) == "9999"


def test_the_revision_of_what_is_there(file: Path, url: str) -> None:
    """It is told where there are tables; asking creates nothing."""
    assert revision_at(url) is None
    assert not file.parent.exists()
    upgrade(url)
    assert revision_at(url) == REVISION
    downgrade(url, "0003")
    assert revision_at(url) == "0003"


def test_not_a_database(file: Path, url: str) -> None:
    """A file that is something else is reported and left alone."""
    file.parent.mkdir()
    file.write_bytes(b"something else entirely " * 50)
    for action in (upgrade, current, lambda where: downgrade(where, "base")):
        with pytest.raises(Corrupt):
            action(url)
    assert file.read_bytes() == b"something else entirely " * 50


def test_downgrade_of_nothing(file: Path, url: str) -> None:
    """A downgrade does not create what it is to take apart."""
    with pytest.raises(CatalogueVersion, match="there is no catalogue"):
        downgrade(url, "base")
    assert not file.parent.exists()


def upgrade_together(urls: list[str], barrier: Barrier) -> None:
    """Upgrade one catalogue after the other, each as soon as all processes are ready to (runs in each of them)."""
    for url in urls:
        barrier.wait(timeout=60)
        upgrade(url)


@pytest.mark.slow
def test_upgrades_at_once(tmp_path: Path) -> None:
    """Processes that upgrade a new catalogue at the same moment all succeed."""
    urls = [f"sqlite:///{tmp_path / str(number) / 'catalogue.db'}" for number in range(10)]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [context.Process(target=upgrade_together, args=(urls, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert {current(url) for url in urls} == {head()}


@pytest.mark.slow
def test_alembic_command(tmp_path: Path) -> None:
    """A developer's `alembic` finds the settings' catalogue, upgrades it, and sees nothing left to do."""
    environment = {**os.environ, "SOKKURI_HOME": str(tmp_path / "home")}
    for arguments in (["upgrade", "head"], ["check"]):
        command = [sys.executable, "-m", "alembic", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert current(f"sqlite:///{tmp_path / 'home' / 'catalogue.db'}") == head()
