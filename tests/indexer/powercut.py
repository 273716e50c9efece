"""Power cuts: what is left of a folder when everything that was not fsynced is lost, wholly or in part.

While a `Disk` watches, each call of this process that changes or flushes the file system, and each commit to the
catalogue or the jobs' file, is a moment: what the disk is sure to hold then (a file's bytes as of its last fsync, a
folder's entries as of the folder's), and what only memory does. `Moment.rebuild` makes the folder as it may be found
afterwards.

SQLite flushes by itself, unseen from here. What it promises (https://sqlite.org/wal.html,
https://sqlite.org/pragma.html#pragma_synchronous) is taken for granted, and no more: with synchronous=FULL the log is
on the disk when a commit returns, and its name with it; the database's own file before the log is begun anew.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import pytest
from sqlalchemy.engine.default import DefaultDialect

CALLS = ("fsync", "sync", "rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "truncate")
DATABASES = ("catalogue.db", "jobs.db")
LOG = "-wal"
"""What the name of a database's log ends with."""
PAGE = 4096
LOG_HEADER = 32
FULL = 2
"""What `PRAGMA synchronous` says of FULL."""

Content = bytes | dict[str, int]
"""Of a file its bytes, of a folder the number (inode) of each name."""


@dataclass(frozen=True)
class Moment:
    """What was on the disk for certain, and what was there to be seen: content by inode. `after` names the call."""

    after: str
    root: int
    safe: dict[int, Content]
    seen: dict[int, Content]

    def rebuild(self, target: Path, kept: float, draws: np.random.Generator) -> None:
        """Make the folder at `target` of which each change that was not flushed has a chance of `kept`, 0..1."""
        self._folder(self.root, target, kept, draws)

    def _folder(self, inode: int, target: Path, kept: float, draws: np.random.Generator) -> None:
        target.mkdir()
        safe, seen = self.safe.get(inode, {}), self.seen.get(inode, {})
        assert isinstance(safe, dict)
        assert isinstance(seen, dict)
        for name in sorted({*safe, *seen}):
            found = safe.get(name)
            if found != seen.get(name) and draws.random() < kept:
                found = seen.get(name)
            if found is None:
                continue
            if isinstance(self.seen[found], dict):
                self._folder(found, target / name, kept, draws)
            else:
                (target / name).write_bytes(self._file(found, kept, draws))

    def _file(self, inode: int, kept: float, draws: np.random.Generator) -> bytes:
        safe, seen = self.safe.get(inode, b""), self.seen[inode]
        assert isinstance(safe, bytes)
        assert isinstance(seen, bytes)
        if safe == seen or kept == 0:
            return safe
        length = len(seen) if draws.random() < kept else len(safe)
        data = bytearray(safe[:length].ljust(length, b"\0"))
        for start in range(0, length, PAGE):
            if draws.random() < kept:
                page = seen[start : min(start + PAGE, length)]
                data[start : start + len(page)] = page
        return bytes(data)


class _Watched(sqlite3.Connection):
    """A connection whose commits are moments of a disk; SQLAlchemy opens its own ones."""

    def __init__(self, disk: Disk, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._disk = disk

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Execute a statement."""
        if statement != "COMMIT":
            return super().execute(statement, *parameters)
        self._disk._committed(self, lambda: self._commit(statement))
        return self.cursor()

    def commit(self) -> None:
        """Commit."""
        self._disk._committed(self, super().commit)

    def _commit(self, statement: str) -> None:
        super().execute(statement)


@dataclass
class Disk:
    """The disk under a folder, which lies there safely when the watch begins."""

    root: Path
    moments: list[Moment] = field(default_factory=list)
    _safe: dict[int, Content] = field(default_factory=dict)
    _seen: dict[int, Content] = field(default_factory=dict)
    _open: dict[int, int] = field(default_factory=dict)
    _lock: Any = field(default_factory=RLock)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the moments of whatever is done in this block, by any thread."""
        self._look()
        self._safe = dict(self._seen)
        self.moments.clear()
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, partial(self._called, name, getattr(os, name)))
            commit: Callable[..., None] = DefaultDialect.do_commit
            connect = sqlite3.connect
            patch.setattr(
                DefaultDialect, "do_commit", lambda *told: self._committed(told[1], lambda: commit(told[0], told[1]))
            )
            patch.setattr(sqlite3, "connect", partial(connect, factory=partial(_Watched, self)))
            try:
                yield
                self._note("the end")
            finally:
                for descriptor in self._open.values():
                    os.close(descriptor)
                self._open.clear()

    def _called(self, name: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with self._lock:
            self._note(f"before {name}")
            if name == "fsync":
                inode = os.fstat(arguments[0]).st_ino
                if inode in self._seen:
                    self._safe[inode] = self._seen[inode]
            elif name == "sync":
                self._safe = dict(self._seen)
            found = call(*arguments, **options)
            self._note(f"after {name}")
            return found

    def _committed(self, connection: Any, commit: Callable[[], None]) -> None:
        with self._lock:
            self._note("before a commit")
            commit()
            self._look()
            names = self._seen[self._inode]
            assert isinstance(names, dict)
            if connection.execute("PRAGMA synchronous").fetchone()[0] >= FULL:
                entries = self._safe[self._inode]
                assert isinstance(entries, dict)
                database = Path(connection.execute("PRAGMA database_list").fetchone()[2]).name
                log = database + LOG
                kept = {name: names[name] for name in (database, log) if name in names}
                self._safe[self._inode] = entries | kept
                if log in kept:
                    self._safe[kept[log]] = self._seen[kept[log]]
            self._note("after a commit")

    def note(self, what: str) -> int:
        """Take this for a moment, whether anything is other than before or not; return its number."""
        with self._lock:
            self._look()
            self._checkpointed()
            self.moments.append(Moment(what, self._inode, dict(self._safe), dict(self._seen)))
            return len(self.moments) - 1

    @property
    def _inode(self) -> int:
        return self.root.stat().st_ino

    def _note(self, after: str) -> None:
        with self._lock:
            self._look()
            self._checkpointed()
            if not self.moments or (self.moments[-1].safe, self.moments[-1].seen) != (self._safe, self._seen):
                self.moments.append(Moment(after, self._inode, dict(self._safe), dict(self._seen)))

    def _checkpointed(self) -> None:
        """Count a database's file as flushed where its log is gone or was begun anew: SQLite does that before."""
        names, known = self._seen[self._inode], self._safe.get(self._inode, {})
        assert isinstance(names, dict)
        assert isinstance(known, dict)
        for database in DATABASES:
            if database not in names:
                continue
            log = self._seen.get(names.get(database + LOG, -1), b"")
            before = self._safe.get(known.get(database + LOG, -1), b"")
            if log[:LOG_HEADER] != before[:LOG_HEADER]:  # type: ignore[index]  # both are files
                self._safe[names[database]] = self._seen[names[database]]

    def _look(self) -> None:
        """Read all that is there. An inode stays open, so that its number is given to no other file meanwhile."""
        waiting = [self.root]
        while waiting:
            folder = waiting.pop()
            entries: dict[str, int] = {}
            with os.scandir(folder) as items:
                for item in items:
                    inode = item.inode()
                    entries[item.name] = inode
                    if inode not in self._open:
                        self._open[inode] = os.open(item.path, os.O_RDONLY)
                    if item.is_dir(follow_symlinks=False):
                        waiting.append(Path(item.path))
                    else:
                        self._see(inode, self._read(inode))
            self._see(folder.stat().st_ino, entries)

    def _see(self, inode: int, content: Content) -> None:
        if self._seen.get(inode) != content:
            self._seen[inode] = content

    def _read(self, inode: int) -> bytes:
        descriptor = self._open[inode]
        status = os.fstat(descriptor)
        assert stat.S_ISREG(status.st_mode)
        return os.pread(descriptor, status.st_size, 0)
