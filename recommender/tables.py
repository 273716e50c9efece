"""The catalogue's tables, and how the database that holds them is opened.

Kept apart from `catalogue`, because the migrations need the tables and the engine but none of the queries.
Not here: what is read and written (`catalogue`), how older tables become these (`migrations`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    text,
)
from sqlalchemy import inspect as look_at
from sqlalchemy.engine import Connection, Dialect, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from recommender.errors import BadLibrary, Busy, CatalogueVersion, Corrupt, NoRoom, SettingError, SnapshotError
from recommender.folders import is_full

REVISION = "0004"
"""The migration that makes the tables below. Revisions are numbered, so that their names sort by age."""

WAIT_SECONDS = 5
"""How long one connection to SQLite waits for another that is writing."""

MIGRATION_WAIT_SECONDS = 60
"""The same for a migration, which may have to wait for another one to copy whole tables."""


class Unsigned64(TypeDecorator[int]):
    """A whole number in 0..2**64-1, stored as the signed number of the same 64 bits: databases have no other."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: Dialect) -> int | None:
        """Return the number as it is stored."""
        return value if value is None or value < 2**63 else value - 2**64

    def process_result_value(self, value: int | None, _dialect: Dialect) -> int | None:
        """Return the number as it was meant."""
        return value if value is None else value % 2**64


class Base(DeclarativeBase):
    """What the tables share: every constraint has a name that can be foretold, or no migration could drop it."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


class Shows(Base):
    """The shows of the published library; `extra` holds the further columns of shows.csv."""

    __tablename__ = "shows"

    slug: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    year: Mapped[int | None]
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)


class Characters(Base):
    """The characters of the published library; `label` is `<show>/<slug>`."""

    __tablename__ = "characters"
    __table_args__ = (
        UniqueConstraint("show", "slug"),
        CheckConstraint("type IN ('male', 'female', 'non-human')", name="type"),
    )

    label: Mapped[str] = mapped_column(primary_key=True)
    show: Mapped[str] = mapped_column(ForeignKey("shows.slug", ondelete="CASCADE"))
    slug: Mapped[str]
    name: Mapped[str]
    type: Mapped[str | None]


class Pictures(Base):
    """The pictures of the published library; `path` is relative to `library`, an absolute folder."""

    __tablename__ = "pictures"
    __table_args__ = (CheckConstraint("length(id) = 64", name="id_length"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    character: Mapped[str] = mapped_column(ForeignKey("characters.label", ondelete="CASCADE"), index=True)
    path: Mapped[str]
    library: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    format: Mapped[str]
    bytes: Mapped[int]


class FormerPictures(Base):
    """Pictures that left the published library, for snapshots that still hold them; the columns are as in `Pictures`.

    Their characters may be gone: nothing here refers to another table.
    """

    __tablename__ = "former_pictures"
    __table_args__ = (CheckConstraint("length(id) = 64", name="id_length"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    character: Mapped[str]
    path: Mapped[str]
    library: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    format: Mapped[str]
    bytes: Mapped[int]


class Files(Base):
    """What was found out about files of any library, whether it was published or not.

    `path` is relative to `library`, an absolute folder. `mtime_ns` and `checked`, the moments of the last change and of
    the examination, are nanoseconds since 1970; `rules` stands for all that the examination depended on but the file.
    """

    __tablename__ = "files"
    __table_args__ = (CheckConstraint("length(picture) = 64", name="picture_length"),)

    library: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    checked: Mapped[int] = mapped_column(BigInteger)
    rules: Mapped[str]
    picture: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    format: Mapped[str]
    perceptual_hash: Mapped[int] = mapped_column(Unsigned64)


class Collected(Base):
    """Where a collected picture came from; `path` is relative to `library`, an absolute folder.

    `address` is the picture's own and `page` that of the page that showed it; `source` is its source's name. `fetched`
    is UTC in ISO 8601, `status` the host's (0 where nothing was asked for); the rest is as host and page state it.
    """

    __tablename__ = "collected"
    __table_args__ = (CheckConstraint("length(picture) = 64", name="picture_length"),)

    library: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    picture: Mapped[str] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(Text)
    page: Mapped[str] = mapped_column(Text)
    source: Mapped[str]
    fetched: Mapped[str]
    status: Mapped[int]
    etag: Mapped[str]
    licence: Mapped[str]
    author: Mapped[str]


class Forgotten(Base):
    """Pictures that were forgotten on demand: the hash, so that they are not collected again, and when."""

    __tablename__ = "forgotten"
    __table_args__ = (CheckConstraint("length(picture) = 64", name="picture_length"),)

    picture: Mapped[str] = mapped_column(primary_key=True)
    forgotten: Mapped[str]


class Models(Base):
    """The trained models. `in_use` is true or null and unique: the database itself allows one model in use."""

    __tablename__ = "models"
    __table_args__ = (CheckConstraint("in_use", name="in_use_true_or_null"), UniqueConstraint("in_use"))

    name: Mapped[str] = mapped_column(primary_key=True)
    backbone: Mapped[str]
    digest: Mapped[str]
    space: Mapped[str]
    notice: Mapped[str | None]
    created: Mapped[str]
    in_use: Mapped[bool | None]


class Snapshots(Base):
    """The snapshots that were ever finished and not pruned."""

    __tablename__ = "snapshots"

    id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(ForeignKey("models.name"))
    space: Mapped[str]
    pictures: Mapped[int]
    characters: Mapped[int]
    shows: Mapped[int]
    created: Mapped[str]
    digest: Mapped[str]


class Publications(Base):
    """Which snapshot was published when; the latest row names the one that is served."""

    __tablename__ = "publications"
    # Without AUTOINCREMENT SQLite gives the number of a deleted last row to the next one.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  # SQLAlchemy's spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    snapshot: Mapped[str] = mapped_column(ForeignKey("snapshots.id", ondelete="CASCADE"))
    published: Mapped[str]


def sqlite_file(url: str) -> Path | None:
    """Return the file that a SQLite URL names; None for a database in memory or on a server. Raises SettingError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _bad_url() from error
    name = parsed.database or ":memory:"
    if parsed.get_backend_name() != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def open_engine(url: str, *, migrating: bool = False) -> Engine:
    """Return an engine for `url`; nothing is connected yet. Raises SettingError.

    A migration rebuilds tables by copying them, and SQLite empties a table before it drops it: with foreign keys on,
    that would cascade into the tables that refer to it. So `migrating` leaves them off, and waits longer for its turn.
    """
    try:
        engine = create_engine(url)
    except (ArgumentError, ImportError) as error:
        raise _bad_url() from error
    if engine.dialect.name == "sqlite":
        wait_seconds = MIGRATION_WAIT_SECONDS if migrating else WAIT_SECONDS

        @event.listens_for(engine, "do_connect")
        def _connect(dialect: Dialect, _record: object, arguments: Any, options: Any) -> Any:
            connection: Any = dialect.connect(*arguments, **options)
            try:
                configure(connection, foreign_keys=not migrating, wait_seconds=wait_seconds)
            except BaseException as error:
                connection.close()  # the pool does not know the connection yet and would leak it
                frozen = isinstance(error, sqlite3.OperationalError) and not migrating and _frozen(sqlite_file(url))
                if not frozen:
                    raise
                return frozen
            return connection

        @event.listens_for(engine, "checkin")
        def _returned(connection: object, record: Any) -> None:
            if isinstance(connection, _Frozen):
                record.invalidate()  # the next one sees what has changed, and may be able to write

        @event.listens_for(engine, "begin")
        def _begun(connection: Connection) -> None:
            # A writer that starts as a reader can be refused half-way; one that starts as a writer waits its turn.
            writing = connection.get_execution_options().get("writing", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


class _Frozen(sqlite3.Connection):
    """A connection to a file as it stands: it reads without the files that SQLite lays beside it, and cannot write."""


def _frozen(file: Path | None) -> _Frozen | None:
    """Open a file for one look at it; None where it may not be whole without its write-ahead log.

    A log needs 32 kB beside the file even to be read (https://sqlite.org/wal.html), so on a full disk, or one that
    cannot be written to, a server that is started would have nothing to answer from. What is looked at that way must
    not change meanwhile, which it hardly can there: an empty log says that nobody was about to.
    """
    try:
        log = file and file.with_name(file.name + "-wal")
        if file is None or not file.stat().st_size or (log and log.exists() and log.stat().st_size):
            return None
        connection = sqlite3.connect(
            f"{file.resolve().as_uri()}?immutable=1", uri=True, check_same_thread=False, factory=_Frozen
        )
        connection.isolation_level = None
    except (OSError, sqlite3.OperationalError):
        return None
    return connection


def writing(engine: Engine) -> Engine:
    """Return `engine` such that its transactions hold the right to write from their first moment on."""
    return engine.execution_options(writing=True)


def empty_log(engine: Engine) -> None:
    """Write what SQLite's log holds into the file, so that rows which were deleted are in neither of them.

    Waits for readers, but not for ever: where one is at it all the while, the log goes when it is full.
    """
    if engine.dialect.name != "sqlite":
        return
    lent = engine.raw_connection()  # the log cannot be written within a transaction
    try:
        with suppress(sqlite3.OperationalError):  # on a full disk: the rows are gone all the same
            lent.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        lent.close()


def _bad_url() -> SettingError:
    """Name the setting and not its value, which may hold a password."""
    return SettingError(
        "SOKKURI_DATABASE has to be a SQLAlchemy URL whose driver is installed, such as sqlite:////data/catalogue.db"
    )


def configure(connection: sqlite3.Connection, *, foreign_keys: bool, wait_seconds: int) -> None:
    """Set what SQLite forgets with each connection (https://sqlite.org/pragma.html).

    So that threads and processes may read and write one file at once, and nothing is lost that was committed.
    """
    connection.isolation_level = None  # Python's driver begins nothing by itself; `open_engine` does
    connection.execute(f"PRAGMA busy_timeout = {wait_seconds * 1000}")
    connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    # NORMAL may lose the last commits of a write-ahead log in a power cut; what was published must not be lost.
    connection.execute("PRAGMA synchronous = FULL")
    # Where a row was, nothing is left of it: what is forgotten on demand is gone. Not every SQLite does so unasked.
    connection.execute("PRAGMA secure_delete = ON")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # readers never wait for a writer, nor it for them
        except sqlite3.OperationalError as error:
            # Two connections that ask for this on a new file at once are refused whatever busy_timeout says.
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def translated_errors(url: str) -> Iterator[None]:
    """Turn what a damaged, busy or unreachable database at `url` raises into Sokkuri's errors; mistakes stay."""
    try:
        yield
    except IntegrityError as error:
        raise BadLibrary(f"the catalogue refuses a row: {error.orig}") from error
    except NoFreeConnection as error:
        raise Busy("every connection to the catalogue is in use") from error
    except DatabaseError as error:
        kind = getattr(error.orig, "sqlite_errorname", "")
        if kind.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise Corrupt(f"the catalogue is damaged ({error.orig}): restore it from a copy, or remove it") from error
        if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise Busy("the catalogue is busy: another process is writing to it") from error
        if isinstance(error, OperationalError):
            file = sqlite_file(url)
            if kind.startswith("SQLITE_FULL") or (file and is_full(file.parent)):
                told = f"the catalogue cannot be used ({error.orig}): the disk is full, make room and try again"
                raise NoRoom(told) from error
            raise SnapshotError(
                f"the catalogue cannot be used: {error.orig} (may its folder be written to?)"
            ) from error
        raise


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the tables in the database, None where there are none yet."""
    if not look_at(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def revision_at(url: str) -> str | None:
    """Return the revision of the tables at `url`; None where there are none, or no database. Nothing is created."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return None
    engine = open_engine(url)
    try:
        with translated_errors(url), engine.connect() as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


def refuse_older(revision: str) -> None:
    """Raise CatalogueVersion where tables of `revision` have to be upgraded before this version can read them."""
    if revision < REVISION:
        raise CatalogueVersion("the catalogue was made by an older Sokkuri: run `sokkuri db upgrade`")


def refuse_newer(revision: str | None) -> None:
    """Raise CatalogueVersion where this version does not know tables of `revision`."""
    if revision is not None and revision > REVISION:
        raise CatalogueVersion(
            f"the catalogue was made by a newer Sokkuri (tables of revision {revision}; this version reads {REVISION}):"
            " install that version, or choose another SOKKURI_HOME"
        )
