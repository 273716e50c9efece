"""The catalogue: what is known about shows, characters, pictures, models and snapshots, read and written.

It mirrors the library that was published last, and keeps the rows of pictures that left it while a snapshot holds them,
so that a rollback misses nothing. Of every library that was scanned it remembers the files, so that the next scan is
short. Plain values go in and come out, rows of the database never do. Not here: the tables (`tables`), how their rows
are read and written (`rows`), their upgrades (`migrations`), the files of a snapshot (`snapshots`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from threading import Lock
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection, Engine

from recommender.errors import CatalogueVersion, NoSnapshot, NotFound, SnapshotError
from recommender.rows import WantedRows, each, execute_each
from recommender.tables import (
    Base,
    Characters,
    Collected,
    Files,
    Forgotten,
    FormerPictures,
    Models,
    Pictures,
    Publications,
    Shows,
    Snapshots,
    empty_log,
    open_engine,
    refuse_newer,
    refuse_older,
    revision_of,
    sqlite_file,
    translated_errors,
    writing,
)
from recommender.types import Character, PictureId, Show, SnapshotInfo

NOTHING_YET = "nothing was trained or indexed yet: run `sokkuri train LIBRARY` and `sokkuri reindex LIBRARY`"


@dataclass(frozen=True, slots=True)
class PictureRow:
    """A picture of the published library. `character` is a label, `library` an absolute folder, `path` below it."""

    id: PictureId
    character: str
    path: str
    library: str
    width: int
    height: int
    format: str
    bytes: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """What an examination found out about a file, whose `path` is relative to its library, with slashes.

    `size` is in bytes; `mtime_ns`, when the file was last changed, and `checked`, when it was examined, in nanoseconds
    since 1970. `rules` stands for all that the result depended on but the file. The rest is the result: the picture's
    id, its upright width and height in pixels, its format, and its perceptual hash of 64 bits.
    """

    path: str
    size: int
    mtime_ns: int
    checked: int
    rules: str
    picture: PictureId
    width: int
    height: int
    format: str
    perceptual_hash: int


@dataclass(frozen=True, slots=True)
class CollectedRow:
    """Where a collected picture came from: `tables.Collected` says what each field means."""

    library: str
    path: str
    picture: PictureId
    address: str
    page: str
    source: str
    fetched: str
    status: int
    etag: str = ""
    licence: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A trained model. `digest` is the SHA-256 of its model.json, `space` the fingerprint of its embedding space."""

    name: str
    backbone: str
    digest: str
    space: str
    created: str
    notice: str | None = None
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class LibraryRows:
    """All that the catalogue keeps of a library; each show comes with the further columns of its row in shows.csv."""

    shows: tuple[tuple[Show, Mapping[str, Any]], ...]
    characters: tuple[Character, ...]
    pictures: tuple[PictureRow, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the published library holds."""

    shows: int
    characters: int
    pictures: int


class Catalogue:
    """The catalogue behind a SQLAlchemy URL. It connects at the first question, and threads may share it.

    Every method raises NoSnapshot or CatalogueVersion where there are no tables that it could use, Corrupt where the
    database is damaged, and Busy where it cannot be had in time. Open it after a fork, never before.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._opening = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection. A later question opens the catalogue anew."""
        with self._opening:
            self._close()

    def published(self) -> SnapshotInfo:
        """Return the snapshot that is to be served. Raises NoSnapshot."""
        latest = select(Snapshots.__table__).join(Publications).order_by(Publications.id.desc()).limit(1)
        with self._reading() as connection:
            row = connection.execute(latest).one_or_none()
        if row is None:
            raise NoSnapshot("nothing was indexed yet: run `sokkuri reindex LIBRARY`")
        return SnapshotInfo(**row._asdict(), published=True)

    def snapshots(self) -> list[SnapshotInfo]:
        """Return every snapshot, the newest first; the published one is marked.

        Age is counted from the first publication, by its number: clocks are set back, and a rollback makes nothing new.
        """
        first = select(Publications.snapshot, func.min(Publications.id).label("number")).group_by(Publications.snapshot)
        age = first.subquery()
        newest = (
            select(Snapshots.__table__)
            .outerjoin(age, age.c.snapshot == Snapshots.id)
            .order_by(func.coalesce(age.c.number, 0).desc(), Snapshots.created.desc(), Snapshots.id.desc())
        )
        with self._reading() as connection:
            served = _published_id(connection)
            return [SnapshotInfo(**row._asdict(), published=row.id == served) for row in connection.execute(newest)]

    def models(self) -> list[ModelRow]:
        """Return every model, the newest first; the one in use is marked."""
        newest = select(Models.__table__).order_by(Models.created.desc(), Models.name)
        with self._reading() as connection:
            return [_model(row._asdict()) for row in connection.execute(newest)]

    def model(self, name: str) -> ModelRow:
        """Return the model called `name`. Raises NotFound."""
        with self._reading() as connection:
            row = connection.execute(select(Models.__table__).where(Models.name == name)).one_or_none()
        if row is None:
            raise _no_model(name)
        return _model(row._asdict())

    def model_in_use(self) -> ModelRow:
        """Return the model that was put to use last. Raises NoSnapshot where none was."""
        with self._reading() as connection:
            row = connection.execute(select(Models.__table__).where(Models.in_use.is_(True))).one_or_none()
        if row is None:
            raise NoSnapshot("no model is in use yet: run `sokkuri train LIBRARY`, or `sokkuri use MODEL`")
        return _model(row._asdict())

    def picture(self, picture_id: str) -> PictureRow:
        """Return the picture with this id, of the published library or of an earlier one. Raises NotFound."""
        with self._reading() as connection:
            for table in (Pictures, FormerPictures):
                row = connection.execute(select(table.__table__).where(table.id == picture_id)).one_or_none()
                if row is not None:
                    return PictureRow(**row._asdict())
        raise NotFound(f"there is no picture {picture_id!r}")

    def picture_ids(self) -> set[str]:
        """Return the ids of all pictures of the published library."""
        with self._reading() as connection:
            return set(connection.scalars(select(Pictures.id)))

    def pictures(self) -> list[PictureRow]:
        """Return all pictures of the published library, in no particular order."""
        with self._reading() as connection:
            return [PictureRow(*values) for values in each(connection, select(Pictures.__table__))]

    def former_pictures(self) -> list[PictureRow]:
        """Return the pictures that left the published library and are kept for snapshots that hold them."""
        with self._reading() as connection:
            return [PictureRow(*values) for values in each(connection, select(_FORMER))]

    def former_picture_ids(self) -> set[str]:
        """Return the ids of the pictures that left the published library and are kept for snapshots that hold them."""
        with self._reading() as connection:
            return set(connection.scalars(select(FormerPictures.id)))

    def drop_former_pictures(self, pictures: Iterable[str]) -> None:
        """Drop rows of pictures that left the published library, once no snapshot holds them any more."""
        with self._writing() as connection:
            statement = delete(FormerPictures).where(_FORMER.c.id == bindparam("gone"))
            execute_each(connection, statement, ({"gone": picture} for picture in pictures))

    def counts(self) -> Counts:
        """Return how many shows, characters and pictures there are, all at the same moment."""
        sizes = (select(func.count()).select_from(table).scalar_subquery() for table in (Shows, Characters, Pictures))
        with self._reading() as connection:
            return Counts(*connection.execute(select(*sizes)).one())

    def files(self, library: str) -> Mapping[str, FileRow]:
        """Return what is remembered of the files of `library`, an absolute folder, by path; unknown ones have none."""
        columns = [Files.__table__.columns[name] for name in _FILE_COLUMNS]
        with self._reading() as connection:
            found = each(connection, select(*columns).where(Files.library == library))
            return {values[0]: FileRow(*values) for values in found}

    def remember_files(self, library: str, rows: Iterable[FileRow]) -> None:
        """Make `rows` all that is remembered of `library`, an absolute folder, in one transaction.

        Only rows that differ are written; other libraries are left alone. Raises BadLibrary for a repeated path.
        """
        wanted = WantedRows.of("files", rows, attrgetter(*_FILE_COLUMNS), {"library": library})
        with self._writing() as connection:
            wanted.delete(connection, wanted.write_changes(connection))

    def libraries(self) -> list[str]:
        """Return every library of which files are remembered, an absolute folder each, in order."""
        found: list[str] = []
        with self._reading() as connection:
            # One step in the index for each library: to read all rows of a large one would take a second.
            following = connection.scalar(select(func.min(Files.library)))
            while following is not None:
                found.append(following)
                following = connection.scalar(select(func.min(Files.library)).where(Files.library > following))
        return found

    def published_library(self) -> str | None:
        """Return the library that was published last; None where nothing was, or all of it lies behind links."""
        among = self.libraries()
        with self._reading() as connection:
            return connection.scalar(select(Pictures.library).where(Pictures.library.in_(among)).limit(1))

    def remember_collected(self, rows: Sequence[CollectedRow], gone: Sequence[tuple[str, str]] = ()) -> None:
        """Add or renew where pictures came from, and drop the rows of files, by library and path, that are `gone`."""
        columns = Base.metadata.tables["collected"].columns
        places = [*((row.library, row.path) for row in rows), *gone]
        statement = delete(Collected).where(columns.library == bindparam("in"), columns.path == bindparam("at"))
        with self._writing() as connection:
            execute_each(connection, statement, ({"in": library, "at": path} for library, path in places))
            execute_each(connection, insert(Collected), map(asdict, rows))

    def collected(self, picture: str | None = None, library: str | None = None) -> list[CollectedRow]:
        """Return where pictures came from: one picture, or all of `library`, or all; by library and path."""
        query = select(Collected.__table__).order_by(Collected.library, Collected.path)
        if picture is not None:
            query = query.where(Collected.picture == picture)
        if library is not None:
            query = query.where(Collected.library == library)
        with self._reading() as connection:
            return [CollectedRow(*values) for values in each(connection, query)]

    def collected_from(self, prefix: str) -> list[CollectedRow]:
        """Return the rows whose picture's, or page's, address begins with `prefix`."""
        begins = [column.startswith(prefix, autoescape=True) for column in (Collected.address, Collected.page)]
        with self._reading() as connection:
            found = [CollectedRow(*row) for row in each(connection, select(Collected.__table__).where(or_(*begins)))]
        # SQLite's LIKE takes A for a; addresses do not.
        return [row for row in found if row.address.startswith(prefix) or row.page.startswith(prefix)]

    def file_places(self, picture: str) -> set[tuple[str, str]]:
        """Return every place, as library and path, where a picture's file was ever seen."""
        with self._reading() as connection:
            queries = (
                select(table.library, table.path).where(column == picture)
                for table, column in (
                    (Files, Files.picture),
                    (Collected, Collected.picture),
                    (Pictures, Pictures.id),
                    (FormerPictures, FormerPictures.id),
                )
            )
            return {(library, path) for query in queries for library, path in connection.execute(query)}

    def forgotten(self) -> set[str]:
        """Return the ids of the pictures that were forgotten on demand."""
        with self._reading() as connection:
            return set(connection.scalars(select(Forgotten.picture)))

    def remember_forgotten(self, pictures: Iterable[str], moment: str) -> None:
        """Note that pictures are forgotten on demand, before they are: a collector then lets none of them in."""
        with self._writing() as connection:
            known = set(connection.scalars(select(Forgotten.picture)))
            fresh = ({"picture": one, "forgotten": moment} for one in dict.fromkeys(pictures) if one not in known)
            execute_each(connection, insert(Forgotten), fresh)

    def forget_pictures(self, pictures: Sequence[str]) -> None:
        """Drop every row about pictures but that they are forgotten; characters and shows that lose all go as well.

        Nothing of them stays in the database's files either, where that is SQLite.
        """
        with self._writing() as connection:
            for column in (Pictures.id, FormerPictures.id, Files.picture, Collected.picture):
                statement = delete(column.class_).where(column == bindparam("gone"))
                execute_each(connection, statement, ({"gone": picture} for picture in pictures))
            connection.execute(delete(Characters).where(Characters.label.not_in(select(Pictures.character))))
            connection.execute(delete(Shows).where(Shows.slug.not_in(select(Characters.show))))
            engine = connection.engine
        empty_log(engine)

    def drop_snapshots(self, snapshots: Sequence[str]) -> None:
        """Remove snapshots, the published one too if it is among them: then nothing is published any more."""
        with self._writing() as connection:
            connection.execute(delete(Snapshots).where(Snapshots.id.in_(snapshots)))

    def publish_without(self, info: SnapshotInfo) -> None:
        """Make `info` the published snapshot and leave what is known of the library: it lacks some pictures of it."""
        with self._writing() as connection:
            columns = Base.metadata.tables["snapshots"].columns.keys()
            connection.execute(insert(Snapshots).values({name: getattr(info, name) for name in columns}))
            _publish(connection, info.id)

    def add_model(self, row: ModelRow, *, use: bool = True) -> None:
        """Add a model, or renew the one of that name; `use` decides whether it is in use from now, not `row.in_use`."""
        values = {name: getattr(row, name) for name in ("backbone", "digest", "space", "created", "notice")}
        with self._writing() as connection:
            if connection.execute(update(Models).where(Models.name == row.name).values(values)).rowcount == 0:
                connection.execute(insert(Models).values(name=row.name, **values))
            if use:
                _use(connection, row.name)

    def use_model(self, name: str) -> None:
        """Make `name` the model in use. Raises NotFound."""
        with self._writing() as connection:
            _use(connection, name)

    def publish(self, info: SnapshotInfo, library: LibraryRows, *, same_pictures: bool = False) -> None:
        """Make `info` the published snapshot and `library` all that the catalogue knows, in one transaction.

        Only rows that differ are written; those of pictures are not even read where the caller, who is the one that may
        write, has found that they are the same. Raises NotFound for an unknown model, BadLibrary for rows that
        contradict one another, SnapshotError where a snapshot of that id and another content exists.
        """
        with self._writing() as connection:
            if connection.scalar(select(Models.name).where(Models.name == info.model)) is None:
                raise _no_model(info.model)
            _replace_library(connection, library, same_pictures=same_pictures)
            known = connection.scalar(select(Snapshots.digest).where(Snapshots.id == info.id))
            if known is None:
                columns = Base.metadata.tables["snapshots"].columns.keys()
                connection.execute(insert(Snapshots).values({name: getattr(info, name) for name in columns}))
            elif known != info.digest:
                raise SnapshotError(f"snapshot {info.id} exists with another content: a snapshot never changes")
            _publish(connection, info.id)

    def republish(self, snapshot_id: str) -> None:
        """Publish a snapshot again that was published before. Raises NotFound."""
        with self._writing() as connection:
            _require_snapshot(connection, snapshot_id)
            _publish(connection, snapshot_id)

    def forget_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot from the catalogue. Raises NotFound, and SnapshotError for the published one."""
        with self._writing() as connection:
            _require_snapshot(connection, snapshot_id)
            if snapshot_id == _published_id(connection):
                raise SnapshotError(f"snapshot {snapshot_id} is published: publish another one before removing it")
            connection.execute(delete(Snapshots).where(Snapshots.id == snapshot_id))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Lend a connection that sees one state of the catalogue for as long as it is lent."""
        with translated_errors(self._url), self._open(NoSnapshot(NOTHING_YET)).connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Lend the one connection that may write; what is written counts once the block ends without an error."""
        missing = CatalogueVersion("there is no catalogue yet: run `sokkuri db upgrade`")
        with translated_errors(self._url), writing(self._open(missing)).begin() as connection:
            yield connection

    def _open(self, missing: SnapshotError) -> Engine:
        """Return the engine, its tables checked once; raise `missing` where there is no file or no table."""
        file = sqlite_file(self._url)
        with self._opening:
            if file is not None and not file.exists():
                self._close()  # the connections to a file that was removed would not notice its successor
                raise missing
            if self._engine is None:
                engine = open_engine(self._url)
                try:
                    with engine.connect() as connection:
                        revision = revision_of(connection)
                    if revision is None:  # its first transaction never came to its end: the disk was full, say
                        raise missing
                    refuse_older(revision)
                    refuse_newer(revision)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()


def _model(fields: dict[str, Any]) -> ModelRow:
    return ModelRow(**fields | {"in_use": bool(fields["in_use"])})


def _no_model(name: str) -> NotFound:
    return NotFound(f"there is no model {name!r}: `sokkuri models` lists them")


def _use(connection: Connection, name: str) -> None:
    connection.execute(update(Models).where(Models.in_use.is_(True)).values(in_use=None))
    if connection.execute(update(Models).where(Models.name == name).values(in_use=True)).rowcount == 0:
        raise _no_model(name)


def _published_id(connection: Connection) -> str | None:
    return connection.scalar(select(Publications.snapshot).order_by(Publications.id.desc()).limit(1))


def _require_snapshot(connection: Connection, snapshot_id: str) -> None:
    if connection.scalar(select(Snapshots.id).where(Snapshots.id == snapshot_id)) is None:
        raise NotFound(f"there is no snapshot {snapshot_id!r}: `sokkuri snapshots` lists them")


def _publish(connection: Connection, snapshot_id: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    connection.execute(insert(Publications).values(snapshot=snapshot_id, published=now))


_FORMER = Base.metadata.tables["former_pictures"]
_FILE_COLUMNS = tuple(field.name for field in fields(FileRow))


def _replace_library(connection: Connection, library: LibraryRows, *, same_pictures: bool) -> None:
    """Make shows, characters and, unless they are known to be, pictures those of `library`, writing what differs."""
    picture_columns = Base.metadata.tables["pictures"].columns.keys()
    tables = [
        WantedRows.of(
            "shows", library.shows, lambda entry: (entry[0].slug, entry[0].title, entry[0].year, dict(entry[1]))
        ),
        WantedRows.of("characters", library.characters, lambda c: (c.label, c.show.slug, c.slug, c.name, c.type)),
    ]
    if not same_pictures:
        tables.append(WantedRows.of("pictures", library.pictures, attrgetter(*picture_columns)))
    # Removed only after all is written: a picture can move to another character before the cascade of its former one
    # would take it along.
    gone = [wanted.write_changes(connection) for wanted in tables]
    if not same_pictures:
        _retire(connection, gone[-1])
    for wanted, keys in zip(tables, gone, strict=True):
        wanted.delete(connection, keys)


def _retire(connection: Connection, pictures: Sequence[str]) -> None:
    """Keep the rows of pictures that are about to leave the library; one that has come back is no former one."""
    present = Base.metadata.tables["pictures"]
    connection.execute(delete(_FORMER).where(_FORMER.c.id.in_(select(present.c.id))))
    leaving = select(present).where(present.c.id == bindparam("gone"))
    statement = insert(_FORMER).from_select(list(_FORMER.columns.keys()), leaving)
    execute_each(connection, statement, ({"gone": picture} for picture in pictures))
