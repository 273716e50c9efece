"""Holding: a folder is worked in by one job at a time, and whoever comes second is told who holds it.

The system frees the lock of a job that dies, however it dies. The file that names the holder only serves that message.
Whoever only looks may do so in a folder that cannot be written to, beside others who do.
Not here: what a job finds in its folder (`workplace`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EROFS
from fcntl import LOCK_NB, LOCK_SH, flock
from pathlib import Path
from time import monotonic, sleep

from filelock import FileLock, Timeout

from recommender.errors import BuildError, Busy
from recommender.folders import make_folder

NOTED_WITHIN = 0.5
"""Seconds that a job which has just taken a folder is given to write its name down."""
LOOK_EVERY = 0.02
READ_ONLY = (EROFS, EACCES)
"""The errors of a folder that is there and cannot be written to."""
_NOBODY = "another sokkuri"
_NAMED = re.compile(r"sokkuri .+ \(process ([0-9]+)\)")


@contextmanager
def held(folder: Path, job: str, remedy: str, *, shown: Path | None = None, looking: bool = False) -> Iterator[bool]:
    """Hold a folder for a job, making it where there is none, and give whether it can be written to.

    Messages call it `shown`. Raises Busy, naming the job that holds it, and BuildError, which ends with `remedy`, where
    it cannot be written to and the job is not one that is only `looking`.
    """
    owner, shown = folder / "job.owner", shown or folder
    try:
        make_folder(folder)
        lock = FileLock(folder / "job.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise Busy(f"{holder_of(owner)} is at work in {shown}: wait until it is done") from None
    except OSError as error:
        if not (looking and error.errno in READ_ONLY and folder.is_dir()):
            raise BuildError(f"{shown} cannot be used ({error.strerror}): {remedy}") from None
        with _watched(folder, owner, shown):
            yield False
        return
    try:
        with suppress(OSError):  # a disk without a byte free must not keep out who comes to make room
            owner.write_text(f"sokkuri {job} (process {os.getpid()})", encoding="utf-8")
        yield True
    finally:
        with suppress(OSError):  # it only serves a message, and must not hide what the job ended with
            owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _watched(folder: Path, owner: Path, shown: Path) -> Iterator[None]:
    """Keep jobs away that can write to a folder where this one cannot. Raises Busy where there is such a job already.

    A lock can be had of a file that can only be read (flock(2)); where there is none, nobody can be kept away.
    """
    try:
        file = (folder / "job.lock").open("rb")
    except OSError:
        yield
        return
    with file:
        try:
            flock(file, LOCK_SH | LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{holder_of(owner)} is at work in {shown}: wait until it is done") from None
        except OSError:
            pass  # not every file system has locks
        yield


def holder_of(owner: Path) -> str:
    """Return who holds a folder, as far as can be told.

    A job that was killed leaves its name behind, and the next one needs a moment to put its own in that place: a name
    of a process that is gone is nobody's.
    """
    deadline = monotonic() + NOTED_WITHIN
    while True:
        try:
            text = owner.read_text(encoding="utf-8")
        except (OSError, ValueError):
            text = ""
        named = _NAMED.fullmatch(text)
        if named and _is_alive(int(named[1])):
            return text
        if monotonic() >= deadline:
            return _NOBODY
        sleep(LOOK_EVERY)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's, and alive
        return True
    return True
