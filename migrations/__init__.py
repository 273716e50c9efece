"""How a catalogue's tables come into being and change, revision by revision; nothing here knows what they mean.

`recommender` must not import this package: it only names the revision that it reads. A new revision is a numbered file
in `versions/`, and `recommender.tables.REVISION` follows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select

from recommender.errors import CatalogueVersion, Corrupt
from recommender.tables import (
    Base,
    open_engine,
    refuse_newer,
    revision_at,
    revision_of,
    sqlite_file,
    translated_errors,
    writing,
)

FOLDER = Path(__file__).parent

# Alembic keeps the migration that is running in a global of its own; other processes are held off by the database.
_one_at_a_time = Lock()


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the catalogue at `url` to `revision`, creating the database if need be. Nothing to do when it is there.

    All of it happens in one transaction, and any number of processes may ask for it at once. Raises CatalogueVersion
    for a catalogue of a newer Sokkuri, Corrupt for a file that is something else.
    """
    with _one_at_a_time, migrating(url) as connection:
        refuse_newer(revision_of(connection))
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the catalogue at `url` back to `revision`, or to nothing with `base`, in one transaction.

    Raises CatalogueVersion where there is no catalogue or a newer one.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise CatalogueVersion(f"there is no catalogue at {file}")
    with _one_at_a_time, migrating(url) as connection:
        refuse_newer(revision_of(connection))
        command.downgrade(_config(connection), revision)


def withdraw(url: str) -> None:
    """Take back a catalogue that was made for nothing: one that holds a row of anything stays.

    The file of a SQLite database goes, of another one the tables. Raises as `upgrade`, and OSError.
    """
    with _one_at_a_time, migrating(url) as connection:
        if any(connection.execute(select(table).limit(1)).first() for table in Base.metadata.sorted_tables):
            return
        file = sqlite_file(url)
        if file is None:
            command.downgrade(_config(connection), "base")
    # Not within the transaction: SQLite removes what lies beside its file when the last one closes that.
    for ending in ("", "-wal", "-shm") if file else ():
        Path(f"{file}{ending}").unlink(missing_ok=True)


def current(url: str) -> str | None:
    """Return the revision of the catalogue at `url`; None where there are no tables or there is no database."""
    return revision_at(url)


def head() -> str:
    """Return the newest revision."""
    newest = ScriptDirectory(str(FOLDER)).get_current_head()
    if newest is None:
        raise CatalogueVersion(f"there are no revisions in {FOLDER}: install Sokkuri again")
    return newest


@contextmanager
def migrating(url: str) -> Iterator[Connection]:
    """Lend a connection inside a transaction that commits at the end, if every foreign key still holds then.

    The file of a SQLite database is created where it is missing, and the folders above it.
    """
    file = sqlite_file(url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    engine = open_engine(url, migrating=True)
    try:
        with translated_errors(url), writing(engine).begin() as connection:
            yield connection
            if connection.dialect.name == "sqlite":
                # `open_engine` says why SQLite did not watch over them itself.
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise Corrupt(f"row {broken[1]} of {broken[0]} refers to a row of {broken[2]} that does not exist")
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config
