"""Jobs: what somebody asked for over HTTP, how far it is, and how it ended, in a file of the home, `jobs.db`.

The record is the truth and the queue beside it, in the same file, only brings it to a worker: what the queue loses, a
worker finds here. It is no part of the catalogue, which may lie on a server of its own and serve several homes: a job
belongs to the home whose pictures it works through, and what it tells of its progress must never wait for a library
that is being published, nor hold it up. Nothing that is answered from is lost with this file.

Not here: the queue (`jobqueue`), and what is done in a job (`indexer`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Any, Literal, get_args

from recommender.errors import Busy, Conflict, JobsUnusable, NotFound
from recommender.tables import WAIT_SECONDS, configure

State = Literal["queued", "running", "cancelled", "failed", "done"]
STATES: tuple[State, ...] = get_args(State)
OPTIONS = ("dry_run", "full", "follow_links", "accept")
"""What may be asked of a job, by the names of `indexer.reindex.ReindexOptions`."""
KEPT = 50
"""Ended jobs that are remembered."""
BEAT_SECONDS = 5.0
"""How often a worker says that it is there."""
SILENT_SECONDS = 15.0
"""After so long a worker that said nothing counts as gone."""
MOST_DEATHS = 3
"""So many times a job may take its process with it; after that it is not tried again."""

_VERSION = 1
_TABLES = (
    """CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, library TEXT NOT NULL,
        options TEXT NOT NULL, created TEXT NOT NULL, started TEXT, ended TEXT, stage TEXT, done INTEGER, total INTEGER,
        seconds_left REAL, cancelling INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0, error TEXT,
        report TEXT, history TEXT NOT NULL
    )""",
    # The database itself sees to it that there is one at a time.
    """CREATE UNIQUE INDEX one_at_a_time ON jobs (state IN ('queued', 'running'))
        WHERE state IN ('queued', 'running')""",
    "CREATE TABLE worker (id INTEGER PRIMARY KEY CHECK (id = 1), process INTEGER NOT NULL, seen REAL NOT NULL)",
)
_SHORT = (
    "id, state, library, options, created, started, ended, stage, done, total, seconds_left, cancelling, deaths, error"
)
_ACTIVE = "state IN ('queued', 'running')"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a job: when, in UTC and ISO 8601, and what."""

    at: str
    what: str


@dataclass(frozen=True, slots=True)
class Job:
    """A reindex of `library`, an absolute folder, that somebody asked for.

    `stage` is what it is about; of the pictures of that stage `done` are dealt with out of `total`, and `seconds_left`
    is an estimate of how long the others take; None where nothing is counted. `cancelling` says that it is to stop at
    the next safe point, `deaths` how many processes ended in the middle of it. `error` is one line; `report` what the
    command gives with `--json`. Moments are in UTC, ISO 8601.
    """

    id: str
    state: State
    library: str
    options: Mapping[str, bool]
    created: str
    started: str | None
    ended: str | None
    stage: str | None
    done: int | None
    total: int | None
    seconds_left: float | None
    cancelling: bool
    deaths: int
    error: str | None
    report: dict[str, Any] | None = None
    history: tuple[Happening, ...] = ()

    @property
    def is_active(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker: its process, when it last said that it was there, and whether it still counts as being there."""

    process: int
    at: str
    alive: bool


class Jobs:
    """The jobs of a home. Any number of threads and processes may share the file; every call opens it anew.

    Each method raises Busy where the file cannot be had in time, and JobsUnusable.
    """

    def __init__(self, home: Path) -> None:
        self.file = home / "jobs.db"

    def add(self, library: str, options: Mapping[str, bool]) -> Job:
        """Note a job that is wanted. Raises Conflict, naming the one that is there, unless there is none."""
        created = _moment()
        identity = f"{created.replace('-', '').replace(':', '')}-{token_hex(3)}"
        chosen = {name: bool(options.get(name, False)) for name in OPTIONS}
        values = (identity, library, json.dumps(chosen), created, _history((), "asked for"))
        with self._writing() as connection:
            active = connection.execute(f"SELECT id, state FROM jobs WHERE {_ACTIVE}").fetchone()
            if active:
                raise Conflict(f"one job at a time: {active[0]} is {active[1]}; wait until it has ended, or cancel it")
            connection.execute(
                "INSERT INTO jobs (id, state, library, options, created, history) VALUES (?, 'queued', ?, ?, ?, ?)",
                values,
            )
            connection.execute(
                f"DELETE FROM jobs WHERE NOT {_ACTIVE} AND number NOT IN "
                f"(SELECT number FROM jobs WHERE NOT {_ACTIVE} ORDER BY number DESC LIMIT ?)",
                (KEPT,),
            )
            return _job(connection, identity)

    def job(self, identity: str) -> Job:
        """Return a job with its report and its history. Raises NotFound."""
        with self._reading() as connection:
            if connection is None:
                raise _unknown(identity)
            return _job(connection, identity)

    def latest(self, most: int = KEPT + 1) -> list[Job]:
        """Return the jobs without report and history, the newest first."""
        with self._reading() as connection:
            if connection is None:
                return []
            found = connection.execute(f"SELECT {_SHORT} FROM jobs ORDER BY number DESC LIMIT ?", (most,))
            return [_made(row) for row in found]

    def active(self) -> Job | None:
        """Return the job that has not ended, without report and history."""
        with self._reading() as connection:
            row = connection and connection.execute(f"SELECT {_SHORT} FROM jobs WHERE {_ACTIVE}").fetchone()
            return _made(row) if row else None

    def worker(self) -> Seen | None:
        """Return the worker that was there last; None where none ever was, or it said that it was leaving."""
        with self._reading() as connection:
            row = connection and connection.execute("SELECT process, seen FROM worker").fetchone()
        if not row:
            return None
        return Seen(row[0], _moment(row[1]), alive=time() - row[1] < SILENT_SECONDS)

    def cancel(self, identity: str) -> Job:
        """Let a job end: a queued one at once, a running one at its next safe point. Raises NotFound, Conflict."""
        with self._writing() as connection:
            job = _job(connection, identity)
            if job.state == "queued":
                while_what = "while it waited to go on" if job.started else "before it was started"
                _end(connection, job, "cancelled", f"cancelled {while_what}")
            elif job.state == "running" and not job.cancelling:
                _set(connection, job, "to be cancelled", cancelling=1)
            elif job.state in ("done", "failed"):
                raise Conflict(f"job {identity} has ended already: it is {job.state}")
            return _job(connection, identity)

    # What a worker says

    def beat(self, process: int) -> None:
        """Say that a worker is there."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO worker VALUES (1, ?, ?)", (process, time()))

    def leave(self) -> None:
        """Say that there is no worker any more."""
        with self._writing() as connection:
            connection.execute("DELETE FROM worker")

    def claim(self, identity: str) -> Job | None:
        """Take a queued job to run it; None where it is not queued any more, however often the queue names it."""
        with self._writing() as connection:
            row = connection.execute(f"SELECT {_SHORT} FROM jobs WHERE id = ?", (identity,)).fetchone()
            if row is None or row[1] != "queued":
                return None
            job = _job(connection, identity)
            what = "started again" if job.started else "started"
            _set(connection, job, what, state="running", started=job.started or _moment(), **_NO_PROGRESS)
            return _job(connection, identity)

    def tell(self, identity: str, stage: str, counted: tuple[int, int] | None, seconds_left: float | None) -> bool:
        """Note how far a running job is; return whether it is to be cancelled, or is not running any more."""
        done, total = counted or (None, None)
        with self._writing(durable=False) as connection:
            found = connection.execute(
                "UPDATE jobs SET stage = ?, done = ?, total = ?, seconds_left = ? WHERE id = ? AND state = 'running' "
                "RETURNING cancelling",
                (stage, done, total, seconds_left, identity),
            ).fetchone()
            return found is None or bool(found[0])

    def put_back(self, identity: str, why: str, *, died: bool) -> Job:
        """Let a running job wait for a worker again; one that `died` too often, or is to be cancelled, ends instead."""
        with self._writing() as connection:
            job = _job(connection, identity)
            deaths = job.deaths + died
            if job.state != "running":
                return job
            if job.cancelling:
                _end(connection, job, "cancelled", "cancelled", deaths=deaths)
            elif deaths >= MOST_DEATHS:
                error = f"{why}, {deaths} times by now: it is not tried again (is there too little memory?)"
                _end(connection, job, "failed", error, deaths=deaths, error=error)
            else:
                _set(connection, job, f"{why}: it waits to go on", state="queued", deaths=deaths, **_NO_PROGRESS)
            return _job(connection, identity)

    def end(self, identity: str, state: State, error: str | None = None, report: dict[str, Any] | None = None) -> None:
        """Note how a running job ended."""
        with self._writing() as connection:
            job = _job(connection, identity)
            if job.state == "running":
                text = None if report is None else json.dumps(report, ensure_ascii=False)
                _end(connection, job, state, error or state, error=error, report=text)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Lend a connection; None where there never was a job."""
        if not self.file.exists():
            yield None
            return
        with self._open() as connection:
            yield connection if _version(connection) else None

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a transaction, which counts once the block ends without an error.

        One that is not `durable` may be lost in a power cut, but not with its process; no disk is waited for then.
        """
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobsUnusable(f"the home cannot be written to ({error.strerror})") from None
        with self._open() as connection:
            if not durable:
                connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                if not _version(connection):
                    for table in _TABLES:
                        connection.execute(table)
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with _translated(), closing(sqlite3.connect(self.file)) as connection:
            configure(connection, foreign_keys=True, wait_seconds=WAIT_SECONDS)
            yield connection


_NO_PROGRESS: dict[str, Any] = dict.fromkeys(("stage", "done", "total", "seconds_left"))


def _version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables, 0 where there are none yet. Raises JobsUnusable for that of a newer Sokkuri."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > _VERSION:
        raise JobsUnusable("jobs.db in the home was made by a newer Sokkuri: install that version")
    return found


def _job(connection: sqlite3.Connection, identity: str) -> Job:
    row = connection.execute(f"SELECT {_SHORT}, report, history FROM jobs WHERE id = ?", (identity,)).fetchone()
    if row is None:
        raise _unknown(identity)
    return _made(row)


def _unknown(identity: str) -> NotFound:
    return NotFound(f"there is no job {identity[:40]!r}: GET /api/v1/jobs lists the latest")


def _made(row: tuple[Any, ...]) -> Job:
    """Make a job of a row: of the short columns, which report and history may follow."""
    values = dict(zip((*_SHORT.split(", "), "report", "history"), row, strict=False))
    values["options"] = json.loads(values["options"])
    values["cancelling"] = bool(values["cancelling"])
    values["report"] = json.loads(values.get("report") or "null")
    values["history"] = tuple(Happening(*one) for one in json.loads(values.get("history", "[]")))
    return Job(**values)


def _set(connection: sqlite3.Connection, job: Job, what: str, **values: Any) -> None:
    """Change columns of a job, and note what has happened. Columns are named in this file alone."""
    values["history"] = _history(job.history, what)
    columns = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*values.values(), job.id))


def _end(connection: sqlite3.Connection, job: Job, state: State, what: str, **values: Any) -> None:
    _set(connection, job, what, state=state, ended=_moment(), cancelling=0, **_NO_PROGRESS, **values)


def _history(before: tuple[Happening, ...], what: str) -> str:
    return json.dumps([*([one.at, one.what] for one in before), [_moment(), what]], ensure_ascii=False)


def _moment(seconds: float | None = None) -> str:
    """Return a moment, now unless `seconds` since 1970 are given, in UTC and ISO 8601, to the second."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what a busy, damaged or full database raises into Sokkuri's errors."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise trouble_of(error) from error


def trouble_of(error: sqlite3.DatabaseError) -> Busy | JobsUnusable:
    """Say what an error of the file that jobs are kept in means, and what helps."""
    kind = getattr(error, "sqlite_errorname", "")
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Busy("the jobs are busy: another process is writing to jobs.db in the home")
    if kind.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return JobsUnusable(
            f"jobs.db in the home is damaged ({error}): stop the worker and remove it; nothing but jobs is lost with it"
        )
    return JobsUnusable(f"jobs.db in the home cannot be used: {error} (is the disk full? then make room)")
