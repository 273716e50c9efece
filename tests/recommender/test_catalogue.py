"""The catalogue on real SQLite files: what it answers, refuses, and survives."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from migrations import upgrade
from recommender.catalogue import Catalogue, CollectedRow, Counts, FileRow, LibraryRows, ModelRow, PictureRow
from recommender.errors import (
    BadLibrary,
    Busy,
    CatalogueVersion,
    Corrupt,
    NoSnapshot,
    NotFound,
    SettingError,
    SnapshotError,
)
from recommender.rows import CHUNK
from recommender.tables import open_engine, writing
from recommender.types import Character, PictureId, Show, SnapshotInfo

MODEL = ModelRow("first", "vgg19", digest="d" * 64, space="space-1", created="2025-01-01T00:00:00+00:00")
OTHER_MODEL = replace(MODEL, name="second", created="2025-01-02T00:00:00+00:00", notice="This model is untrained.")


def picture_id(number: int) -> PictureId:
    """Return the id of an invented picture."""
    return PictureId(hashlib.sha256(str(number).encode()).hexdigest())


def library_of(shows: int, pictures: int, *, folder: str = "/library") -> LibraryRows:
    """Invent a library: two characters in each show, the pictures dealt out among all of them."""
    known = [Show(f"show-{number}", f"Show {number}", 2000 + number) for number in range(shows)]
    types = ("male", None)
    characters = [Character(f"hero-{n}", f"Hero {n}", show, types[n]) for show in known for n in range(2)]
    return LibraryRows(
        shows=tuple((show, {"studio": "スタジオ", "popularity": "7"}) for show in known),
        characters=tuple(characters),
        pictures=tuple(
            PictureRow(picture_id(n), label, f"{label}/{n}.png", folder, width=64, height=48, format="PNG", bytes=999)
            for n in range(pictures)
            for label in [characters[n % len(characters)].label]
        ),
    )


def snapshot(name: str, *, day: int = 1, model: str = "first") -> SnapshotInfo:
    """Invent a snapshot; a later day makes it newer."""
    created = f"2025-02-{day:02}T00:00:00+00:00"
    return SnapshotInfo(name, model, "space-1", pictures=20, characters=4, shows=2, created=created, digest=name * 8)


def file_row(number: int) -> FileRow:
    """Invent what is remembered of a file; every value differs from file to file and within one."""
    return FileRow(
        path=f"show/ヒーロー/{number:06}.png",
        size=1_000_000 + number,
        mtime_ns=1_700_000_000_123_456_789 + number,
        checked=1_800_000_000_123_456_789 + number,
        rules=f"rules-{number}",
        picture=picture_id(number),
        width=10_000 + number,
        height=20_000 + number,
        format=f"format-{number}",
        perceptual_hash=2**63 - 1 + number,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name a file for a catalogue; it does not exist yet."""
    return tmp_path / "home" / "catalogue.db"


@pytest.fixture
def url(file: Path) -> str:
    """Return the URL of an upgraded, empty catalogue."""
    upgrade(f"sqlite:///{file}")
    return f"sqlite:///{file}"


@pytest.fixture
def catalogue(url: str) -> Iterator[Catalogue]:
    """Open an empty catalogue."""
    with Catalogue(url) as opened:
        yield opened


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    """Fill the catalogue: two models, of which the first is in use, and one published snapshot of 20 pictures."""
    catalogue.add_model(MODEL)
    catalogue.add_model(OTHER_MODEL, use=False)
    catalogue.publish(snapshot("one"), library_of(shows=2, pictures=20))
    return catalogue


READS: list[Callable[[Catalogue], object]] = [
    Catalogue.published,
    Catalogue.snapshots,
    Catalogue.models,
    Catalogue.model_in_use,
    Catalogue.picture_ids,
    Catalogue.pictures,
    Catalogue.former_picture_ids,
    Catalogue.counts,
    lambda catalogue: catalogue.files("/library"),
    lambda catalogue: catalogue.model("first"),
    lambda catalogue: catalogue.picture("0" * 64),
]


@pytest.mark.parametrize("read", READS)
def test_missing_file(read: Callable[[Catalogue], object], tmp_path: Path) -> None:
    """Every read of a missing catalogue names the next commands and creates neither file nor folder."""
    with (
        Catalogue(f"sqlite:///{tmp_path / 'no' / 'catalogue.db'}") as catalogue,
        pytest.raises(NoSnapshot, match=r"nothing was trained or indexed yet: run `sokkuri train LIBRARY`"),
    ):
        read(catalogue)
    assert list(tmp_path.iterdir()) == []


def test_write_to_missing_file(tmp_path: Path) -> None:
    """A write does not create a catalogue either: that is the migrations' work."""
    with (
        Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}") as catalogue,
        pytest.raises(CatalogueVersion, match="sokkuri db upgrade"),
    ):
        catalogue.add_model(MODEL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [b"", None])
@pytest.mark.parametrize("read", READS)
def test_unfinished_file(read: Callable[[Catalogue], object], left: bytes | None, tmp_path: Path) -> None:
    """A disk that was full at the first command leaves a file without a table: nothing is there yet, old or new."""
    file = tmp_path / "catalogue.db"
    if left is None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode=wal")
    else:
        file.write_bytes(left)
    with (
        Catalogue(f"sqlite:///{file}") as catalogue,
        pytest.raises(NoSnapshot, match=r"nothing was trained or indexed yet: run `sokkuri train LIBRARY`"),
    ):
        read(catalogue)
    with (
        Catalogue(f"sqlite:///{file}") as catalogue,
        pytest.raises(CatalogueVersion, match="there is no catalogue yet"),
    ):
        catalogue.add_model(MODEL)
    upgrade(f"sqlite:///{file}")
    with Catalogue(f"sqlite:///{file}") as catalogue:
        catalogue.add_model(MODEL)


def test_empty_catalogue(catalogue: Catalogue) -> None:
    """A catalogue without rows answers lists with nothing and says what to run where one row is asked for."""
    assert (catalogue.snapshots(), catalogue.models(), catalogue.picture_ids()) == ([], [], set())
    assert (catalogue.pictures(), catalogue.former_picture_ids()) == ([], set())
    assert catalogue.counts() == Counts(0, 0, 0)
    with pytest.raises(NoSnapshot, match="sokkuri reindex LIBRARY"):
        catalogue.published()
    with pytest.raises(NoSnapshot, match="sokkuri train LIBRARY"):
        catalogue.model_in_use()


def test_not_a_database(tmp_path: Path) -> None:
    """A file that is no database is Corrupt, told in one line, and stays as it was."""
    file = tmp_path / "catalogue.db"
    file.write_bytes(b"anything but a database " * 100)
    before = file.read_bytes()
    with Catalogue(f"sqlite:///{file}") as catalogue, pytest.raises(Corrupt) as caught:
        catalogue.published()
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == before


def test_unopenable(tmp_path: Path) -> None:
    """A folder in the place of the file is reported as one sentence."""
    with Catalogue(f"sqlite:///{tmp_path}") as catalogue, pytest.raises(SnapshotError, match="cannot be used"):
        catalogue.published()


@pytest.mark.parametrize("url", ["nonsense", "nonsense://here", "postgresql+nonsense://user:secret@here/name"])
def test_bad_url(url: str) -> None:
    """An address that is no database URL is reported by the name of its setting, without its password."""
    with Catalogue(url) as catalogue, pytest.raises(SettingError, match="SOKKURI_DATABASE") as caught:
        catalogue.published()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("revision", "message"), [("9999", "newer Sokkuri"), ("0000", "sokkuri db upgrade")])
def test_other_revision(revision: str, message: str, file: Path, url: str) -> None:
    """Tables of another revision are refused: newer ones by name, older ones with the command that upgrades them."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with Catalogue(url) as catalogue, pytest.raises(CatalogueVersion, match=message):
        catalogue.counts()


def test_no_tables(file: Path) -> None:
    """A database without tables holds nothing yet, and is read without a restart once it had it."""
    file.parent.mkdir()
    sqlite3.connect(file).close()
    with Catalogue(f"sqlite:///{file}") as catalogue:
        with pytest.raises(NoSnapshot, match="nothing was trained or indexed yet"):
            catalogue.counts()
        upgrade(f"sqlite:///{file}")
        assert catalogue.counts() == Counts(0, 0, 0)


def test_replaced_file(file: Path, filled: Catalogue) -> None:
    """A catalogue whose file is removed says so, and reads the file that takes its place."""
    for part in file.parent.iterdir():
        part.unlink()
    with pytest.raises(NoSnapshot):
        filled.counts()
    upgrade(f"sqlite:///{file}")
    assert filled.counts() == Counts(0, 0, 0)


def test_connection_settings(url: str) -> None:
    """Each connection has a write-ahead log, full synchronisation, foreign keys and patience, and deletes for good."""
    engine = open_engine(url)
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            values = [
                connection.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "secure_delete")
            ]
            assert values == ["wal", 2, 1, 5000, 1]
    engine.dispose()


def test_new_file_in_use(tmp_path: Path) -> None:
    """A new file that another connection is writing to gets its write-ahead log: SQLite itself would not wait."""
    file = tmp_path / "new.db"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE anything (x)")
        other.execute("BEGIN IMMEDIATE")
        finish = threading.Timer(0.2, other.execute, ["COMMIT"])
        finish.start()
        engine = open_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        engine.dispose()
        finish.join()


def test_cascade(filled: Catalogue, url: str) -> None:
    """Deleting a show takes its characters along, and they their pictures."""
    engine = open_engine(url)
    with writing(engine).begin() as connection:
        connection.execute(text("DELETE FROM shows WHERE slug = 'show-0'"))
    engine.dispose()
    assert filled.counts() == Counts(shows=1, characters=2, pictures=10)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE characters SET type = 'robot'",
        "UPDATE pictures SET id = 'short' WHERE path LIKE '%/1.png'",
        "UPDATE pictures SET character = 'show-0/nobody'",
        "UPDATE models SET in_use = 1",
        "UPDATE models SET in_use = 0",
        "INSERT INTO publications (snapshot, published) VALUES ('nothing', 'now')",
        "DELETE FROM models WHERE name = 'first'",
    ],
)
@pytest.mark.usefixtures("filled")
def test_constraints(statement: str, url: str) -> None:
    """The database itself refuses rows that no part of Sokkuri may write."""
    engine = open_engine(url)
    with pytest.raises(IntegrityError), writing(engine).begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_models(filled: Catalogue) -> None:
    """Models come newest first; exactly the one that was put to use last is in use."""
    first, second = replace(MODEL, in_use=True), OTHER_MODEL
    assert filled.models() == [second, first]
    assert (filled.model("second"), filled.model_in_use()) == (second, first)
    filled.use_model("second")
    assert filled.model_in_use() == replace(second, in_use=True)
    assert [model.in_use for model in filled.models()] == [True, False]


def test_model_is_renewed(filled: Catalogue) -> None:
    """A model that is trained again under its name replaces its row and leaves the others alone."""
    filled.add_model(replace(MODEL, digest="e" * 64), use=False)
    assert filled.model("first") == replace(MODEL, digest="e" * 64, in_use=True)
    assert filled.model("second") == OTHER_MODEL


def test_unknown_model(filled: Catalogue) -> None:
    """Using, reading or publishing with an unknown model is refused and changes nothing."""
    for ask in (filled.model, filled.use_model):
        with pytest.raises(NotFound, match="sokkuri models"):
            ask("third")
    with pytest.raises(NotFound, match="third"):
        filled.publish(snapshot("two", model="third"), library_of(shows=1, pictures=1))
    assert filled.model_in_use().name == "first"
    assert filled.published().id == "one"


def test_picture(filled: Catalogue) -> None:
    """A picture is found by its id alone; anything else is not found, whatever it looks like."""
    row = filled.picture(picture_id(1))
    assert row == library_of(shows=2, pictures=20).pictures[1]
    assert filled.picture_ids() == {picture_id(number) for number in range(20)}
    for nonsense in ("../x", "", "'; DROP TABLE pictures; --", picture_id(1).upper(), "%"):
        with pytest.raises(NotFound):
            filled.picture(nonsense)
    assert len(filled.picture_ids()) == 20


def test_publish_replaces_the_library(filled: Catalogue, file: Path) -> None:
    """After a publication the catalogue holds the new library: what is new, what changed, nothing that vanished."""
    wanted = library_of(shows=3, pictures=15, folder="/elsewhere")
    renamed = replace(wanted.shows[0][0], title="Renamed", year=None)
    filled.publish(snapshot("two"), replace(wanted, shows=((renamed, {"rank": "1"}), *wanted.shows[1:])))
    assert filled.counts() == Counts(shows=3, characters=6, pictures=15)
    assert {filled.picture(row.id) for row in wanted.pictures} == set(wanted.pictures)
    with closing(sqlite3.connect(file)) as connection:
        first = connection.execute("SELECT title, year, extra FROM shows ORDER BY slug").fetchone()
    assert first == ("Renamed", None, '{"rank": "1"}')


def test_pictures_that_left_are_kept_for_snapshots(filled: Catalogue) -> None:
    """A picture that a newer library lacks is found as it was, without its character; coming back it is no former one.

    It counts as no picture of the library, and goes when it is dropped or forgotten.
    """
    library = library_of(shows=2, pictures=20)
    fewer = library_of(shows=1, pictures=4)
    filled.publish(snapshot("two", day=2), fewer)
    kept = {row.id for row in fewer.pictures}
    gone = {row.id: row for row in library.pictures if row.id not in kept}
    assert filled.former_picture_ids() == set(gone)
    assert {row.id: filled.picture(row.id) for row in gone.values()} == gone
    assert {row.id: row for row in filled.former_pictures()} == gone
    assert filled.picture_ids() == kept == {row.id for row in filled.pictures()}
    assert filled.counts().pictures == 4
    back = library_of(shows=2, pictures=10, folder="/elsewhere")
    filled.publish(snapshot("three", day=3), back)
    assert filled.picture(back.pictures[7].id) == back.pictures[7]
    assert filled.former_picture_ids() == {row.id for row in library.pictures[10:]}
    filled.drop_former_pictures([library.pictures[10].id])
    filled.forget_pictures([library.pictures[11].id])
    assert filled.former_picture_ids() == {row.id for row in library.pictures[12:]}
    with pytest.raises(NotFound):
        filled.picture(library.pictures[10].id)


def test_moved_picture_survives(filled: Catalogue) -> None:
    """A picture that moved to another character stays when its former character and show vanish."""
    library = library_of(shows=2, pictures=20)
    kept = [picture if "show-0" in picture.character else None for picture in library.pictures]
    moved = [replace(p, character="show-1/hero-0", path=f"show-1/hero-0/{n}.png") for n, p in enumerate(kept) if p]
    filled.publish(snapshot("two"), LibraryRows(library.shows[1:], library.characters[2:], tuple(moved)))
    assert filled.counts() == Counts(shows=1, characters=2, pictures=10)
    assert filled.picture(moved[0].id) == moved[0]


def test_publications(filled: Catalogue) -> None:
    """The last publication wins; snapshots come newest first; publishing an older one again is a rollback."""
    filled.publish(snapshot("two", day=2), library_of(shows=1, pictures=5))
    assert filled.published() == replace(snapshot("two", day=2), published=True)
    filled.republish("one")
    assert filled.published() == replace(snapshot("one"), published=True)
    assert filled.snapshots() == [snapshot("two", day=2), replace(snapshot("one"), published=True)]
    with pytest.raises(NotFound, match="sokkuri snapshots"):
        filled.republish("three")


def test_the_order_is_that_of_publication(filled: Catalogue) -> None:
    """Whatever the clock says: what was published first is the oldest, and publishing it again makes it no newer."""
    filled.publish(snapshot("three", day=9), library_of(shows=1, pictures=5))
    filled.publish(snapshot("a-two", day=2), library_of(shows=1, pictures=5))
    filled.publish_without(snapshot("a-one", day=2))
    assert [info.id for info in filled.snapshots()] == ["a-one", "a-two", "three", "one"]
    filled.republish("three")
    filled.publish(snapshot("one"), library_of(shows=1, pictures=5))
    assert [info.id for info in filled.snapshots()] == ["a-one", "a-two", "three", "one"]
    assert filled.published().id == "one"


def test_snapshot_never_changes(filled: Catalogue) -> None:
    """A snapshot can be published again as it was, but not with another content under its id."""
    filled.publish(snapshot("one"), library_of(shows=2, pictures=20))
    with pytest.raises(SnapshotError, match="never changes"):
        filled.publish(replace(snapshot("one"), digest="other"), library_of(shows=1, pictures=1))
    assert filled.counts().pictures == 20


def test_forget(filled: Catalogue) -> None:
    """Any snapshot but the published one can be forgotten, and what is published stays so."""
    filled.publish(snapshot("two", day=2), library_of(shows=1, pictures=5))
    with pytest.raises(SnapshotError, match="two is published"):
        filled.forget_snapshot("two")
    filled.forget_snapshot("one")
    assert [info.id for info in filled.snapshots()] == [filled.published().id] == ["two"]
    with pytest.raises(NotFound):
        filled.forget_snapshot("one")


def bad_libraries() -> dict[str, LibraryRows]:
    """Libraries that contradict themselves, each in a row that is written after others were."""
    good = library_of(shows=3, pictures=30)
    last = good.pictures[-1]
    return {
        "unknown type": replace(good, characters=(*good.characters[:-1], replace(good.characters[-1], type="robot"))),
        "unknown show": replace(good, shows=good.shows[:-1]),
        "unknown character": replace(good, pictures=(*good.pictures, replace(last, id=picture_id(99), character="x"))),
        "short id": replace(good, pictures=(*good.pictures, replace(last, id=PictureId("short")))),
        "twice": replace(good, pictures=(*good.pictures, last)),
    }


@pytest.mark.parametrize("name", bad_libraries())
def test_failed_publication(name: str, filled: Catalogue) -> None:
    """A publication that fails half-way leaves the earlier one whole."""
    with pytest.raises(BadLibrary):
        filled.publish(snapshot("two"), bad_libraries()[name])
    assert filled.counts() == Counts(shows=2, characters=4, pictures=20)
    assert [info.id for info in filled.snapshots()] == [filled.published().id] == ["one"]


KILLED = """
    import os, signal, sys
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from recommender.catalogue import Catalogue
    from tests.recommender.test_catalogue import library_of, snapshot

    @event.listens_for(Engine, "before_cursor_execute")
    def kill(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(Engine, "commit")
    def kill_before_commit(connection):
        kill(None, None, "COMMIT", None, None, None)

    Catalogue(sys.argv[1]).publish(snapshot("two", day=2), library_of(shows=30, pictures=3000))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["UPDATE pictures", "DELETE FROM pictures", "INSERT INTO publications", "COMMIT"])
def test_killed_publication(moment: str, filled: Catalogue, url: str) -> None:
    """A process that is killed inside the transaction leaves the earlier publication whole, and no lock behind."""
    filled.publish(snapshot("one"), library_of(shows=2, pictures=3010))
    before = (filled.published(), filled.snapshots(), filled.counts(), filled.picture_ids())
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), url, moment], check=False, timeout=60)
    assert child.returncode == -9
    assert (filled.published(), filled.snapshots(), filled.counts(), filled.picture_ids()) == before
    filled.publish(snapshot("three", day=3), library_of(shows=1, pictures=1))
    assert filled.published().id == "three"


@pytest.mark.slow
def test_readers_during_publications(filled: Catalogue, url: str) -> None:
    """Whoever reads during publications sees the library before or after one, never between, and never fails."""
    small, large = library_of(shows=2, pictures=20), library_of(shows=40, pictures=2000)
    whole = {Counts(2, 4, 20), Counts(40, 80, 2000)}
    done = threading.Event()
    seen: list[set[Counts]] = []
    failures: list[BaseException] = []

    def read() -> None:
        mine: set[Counts] = set()
        try:
            with Catalogue(url) as catalogue:
                while not done.is_set():
                    mine.add(catalogue.counts())
                    assert catalogue.published().id in ("one", "two")
        except BaseException as error:  # noqa: BLE001  # reported by the main thread
            failures.append(error)
        seen.append(mine)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(5):
        filled.publish(snapshot("two", day=2), large)
        filled.publish(snapshot("one"), small)
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert len(seen) == 3
    assert set().union(*seen) == whole


def test_shared_by_threads(filled: Catalogue) -> None:
    """Threads may share one catalogue from its first question on."""
    filled.close()
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(filled.counts().pictures)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [20] * 16


def test_two_writers(filled: Catalogue, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that finds another one at work for too long gets Busy; readers do not notice either of them."""
    engine = open_engine(url)
    monkeypatch.setattr("recommender.tables.WAIT_SECONDS", 0)
    with writing(engine).begin():
        assert filled.published().id == "one"
        with Catalogue(url) as second, pytest.raises(Busy):
            second.use_model("second")
    engine.dispose()


def test_cost_of_one_change(filled: Catalogue) -> None:
    """Publishing 20,000 pictures of which one changed takes well under a second of computing."""
    library = library_of(shows=50, pictures=20_000)
    started = time.process_time()
    filled.publish(snapshot("two", day=2), library)
    first = time.process_time() - started
    changed = (replace(library.pictures[0], width=65), *library.pictures[1:])
    started = time.process_time()
    filled.publish(snapshot("three", day=3), replace(library, pictures=changed))
    again = time.process_time() - started
    print(f"20,000 pictures: first publication {first:.2f} s, one changed {again:.2f} s")  # noqa: T201  # shown with -s
    assert filled.picture(changed[0].id).width == 65
    assert again < 1.5


@contextmanager
def written_rows() -> Iterator[list[tuple[str, int]]]:
    """Give a list that grows by the first word of each statement that writes, and how many rows it is given."""
    seen: list[tuple[str, int]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not statement.startswith(("SELECT", "PRAGMA", "BEGIN")):
            seen.append((statement.split(maxsplit=1)[0], len(parameters) if many else 1))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_files(catalogue: Catalogue) -> None:
    """What was found out about files comes back as it was, by path; 64 unsigned bits and nanoseconds survive."""
    rows = [
        *map(file_row, range(3)),  # on both sides of the largest signed number
        replace(file_row(3), perceptual_hash=0),
        replace(file_row(4), perceptual_hash=2**64 - 1, mtime_ns=1 - 2**63, checked=2**63 - 1),
    ]
    catalogue.remember_files("/library", rows)
    assert catalogue.files("/library") == {row.path: row for row in rows}
    assert catalogue.files("/library/") == {}


def test_files_are_replaced(catalogue: Catalogue) -> None:
    """The last memory of a library is the only one, and none of another library's business."""
    catalogue.remember_files("/library", map(file_row, range(5)))
    catalogue.remember_files("/other", map(file_row, range(3)))
    renewed = replace(file_row(9), path=file_row(2).path)
    catalogue.remember_files("/library", [file_row(1), renewed, file_row(7)])
    assert set(catalogue.files("/library").values()) == {file_row(1), renewed, file_row(7)}
    assert set(catalogue.files("/other").values()) == set(map(file_row, range(3)))
    catalogue.remember_files("/library", [])
    assert catalogue.files("/library") == {}
    assert len(catalogue.files("/other")) == 3


def test_files_outlive_publications(filled: Catalogue) -> None:
    """What is remembered of files does not depend on what is published."""
    filled.remember_files("/library", [file_row(1)])
    filled.publish(snapshot("two", day=2), LibraryRows((), (), ()))
    assert filled.files("/library") == {file_row(1).path: file_row(1)}


@pytest.mark.parametrize("bad", [[file_row(2), file_row(0)], [replace(file_row(2), picture=PictureId("short"))]])
def test_refused_files(bad: list[FileRow], catalogue: Catalogue) -> None:
    """A path that comes twice, or an id that is none, is refused, and the former memory stays whole."""
    catalogue.remember_files("/library", [file_row(0), file_row(1)])
    with pytest.raises(BadLibrary):
        catalogue.remember_files("/library", [file_row(0), replace(file_row(1), size=1), *bad])
    assert set(catalogue.files("/library").values()) == {file_row(0), file_row(1)}


def test_cost_of_one_changed_file(catalogue: Catalogue) -> None:
    """Of many files only those are written that changed, appeared or vanished; the first time in chunks."""
    rows = [file_row(number) for number in range(2 * CHUNK + 5)]
    with written_rows() as written:
        catalogue.remember_files("/library", rows)
    assert written == [("INSERT", CHUNK), ("INSERT", CHUNK), ("INSERT", 5)]
    rows[7] = replace(rows[7], size=1)
    started = time.process_time()
    with written_rows() as written:
        catalogue.remember_files("/library", [*rows[:-1], file_row(99_999)])
    seconds = time.process_time() - started
    print(f"{len(rows):,} files, one changed: {seconds:.2f} s")  # noqa: T201  # shown with -s
    assert written == [("INSERT", 1), ("UPDATE", 1), ("DELETE", 1)]
    assert seconds < 1.5
    with written_rows() as written:
        catalogue.remember_files("/library", [*rows[:-1], file_row(99_999)])
    assert written == []


def collected_row(number: int, library: str = "/library") -> CollectedRow:
    """Return where a picture came from."""
    picture = PictureId(f"{number:064x}")
    address = f"https://a.example/100%_off/{number}.png"
    return CollectedRow(library, f"s/c/{number}.png", picture, address, "https://a.example/page", "s/c", "2026", 200)


def test_collected(catalogue: Catalogue) -> None:
    """Where pictures came from is read back as it was written, by picture and by library, and can be renewed."""
    rows = [collected_row(number) for number in range(5)]
    catalogue.remember_collected([*rows, collected_row(1, "/other")])
    assert catalogue.collected(library="/library") == rows
    assert catalogue.collected(rows[1].picture) == [rows[1], collected_row(1, "/other")]
    renewed = replace(rows[0], author="Ann")
    catalogue.remember_collected([renewed], [(rows[1].library, rows[1].path)])
    assert catalogue.collected(library="/library") == [renewed, *rows[2:]]
    assert catalogue.file_places(rows[2].picture) == {("/library", "s/c/2.png")}


@pytest.mark.parametrize(
    ("prefix", "count"),
    [
        ("https://a.example/", 3),
        ("https://a.example/100%_off/1", 1),
        ("https://a.example/page", 3),
        ("https://a.example/100%", 3),
        ("https://a.example/1000_", 0),
        ("https://a.example/100_", 0),
        ("HTTPS://A.EXAMPLE/", 0),
    ],
)
def test_collected_from(prefix: str, count: int, catalogue: Catalogue) -> None:
    """A prefix of the picture's or the page's address finds rows by its letters, wildcards of SQL included."""
    catalogue.remember_collected([collected_row(number) for number in range(3)])
    assert len(catalogue.collected_from(prefix)) == count


def test_forgotten_pictures(filled: Catalogue) -> None:
    """A forgotten picture leaves no row but its hash; what has nothing left goes too; twice is as good as once."""
    before = filled.counts()
    gone = min(filled.picture_ids())
    filled.remember_collected([replace(collected_row(1), picture=PictureId(gone))])
    for _ in range(2):
        filled.remember_forgotten([gone, gone], "2026-01-01T00:00:00Z")
        filled.forget_pictures([gone])
    assert filled.forgotten() == {gone}
    assert filled.collected() == []
    assert filled.counts().pictures == before.pictures - 1
    filled.forget_pictures(sorted(filled.picture_ids()))
    assert filled.counts() == Counts(0, 0, 0)


def test_dropped_snapshots(filled: Catalogue) -> None:
    """Snapshots go on demand, the published one too: then nothing is published."""
    filled.drop_snapshots([info.id for info in filled.snapshots()])
    assert filled.snapshots() == []
    with pytest.raises(NoSnapshot):
        filled.published()


def test_libraries(catalogue: Catalogue) -> None:
    """Every library that was looked through is known, in order; the published one is told apart from the others."""
    assert catalogue.libraries() == []
    assert catalogue.published_library() is None
    for folder in ("/library", "/another", "/library/within"):
        catalogue.remember_files(folder, [file_row(1), file_row(2)])
    assert catalogue.libraries() == ["/another", "/library", "/library/within"]
    assert catalogue.published_library() is None
    catalogue.add_model(MODEL)
    catalogue.publish(snapshot("a"), library_of(1, 4, folder="/elsewhere"))
    assert catalogue.published_library() is None
    catalogue.publish(snapshot("b"), library_of(1, 4))
    assert catalogue.published_library() == "/library"
