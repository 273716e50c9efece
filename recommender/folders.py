"""Folders that appear whole or not at all, and checksums to prove it. Models and snapshots are published this way.

A folder is written under a hidden name beside its place, flushed to the disk file by file, and renamed. POSIX makes
the rename atomic; flushing before and after it makes the order hold through a power cut.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from recommender.errors import Corrupt

FULL = (ENOSPC, EDQUOT, EFBIG)
"""The errors of a disk that is full. The last is that of a file that may not grow, which comes to the same."""
PROBE = 1_000_000
"""Bytes that a disk should have left for more than a moment's work."""
ASIDE = ".aside-"
"""What the name of an unfinished folder starts with; one that is found was left by a crash."""


@contextmanager
def written_aside(target: Path, *, replacing: bool = False) -> Iterator[Path]:
    """Give a folder to fill, and put it at `target` when the block ends well; otherwise nothing remains of it.

    Raises FileExistsError where `target` exists already: what was published is never overwritten. With `replacing`,
    what is there goes once the new folder is whole.
    """
    if target.exists() and not replacing:
        raise FileExistsError(target)
    make_folder(target.parent)
    aside = target.parent / f"{ASIDE}{target.name}-{uuid4().hex[:8]}"
    aside.mkdir()
    try:
        yield aside
        for file in aside.iterdir():
            _let_be_read(file, aside)
            flush(file)
        flush(aside)
        if replacing and target.exists():
            discard(target)
        aside.rename(target)
        flush(target.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, such that a power cut does not take it away again with all that it holds."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        with suppress(PermissionError):  # what may only be passed through cannot be opened to be flushed
            flush(path.parent)


def discard(folder: Path) -> None:
    """Remove a folder such that whatever interrupts it leaves no half of one: only what `sweep` removes."""
    aside = folder.parent / f"{ASIDE}{folder.name}-{uuid4().hex[:8]}"
    with suppress(OSError):  # a disk without a byte free may have none for the new name either
        folder = folder.rename(aside)
        flush(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        flush(folder.parent)  # or a power cut brings it back, hidden, until the next job sweeps


def _let_be_read(file: Path, folder: Path) -> None:
    """Give a new file the permissions that the umask gives: those of its new folder, without the right to enter.

    Some libraries (safetensors) make files that only their owner can read, and a server may be another user. What is
    linked from an earlier folder is left as it is.
    """
    if file.is_file() and file.stat().st_nlink == 1:
        file.chmod(stat.S_IMODE(folder.stat().st_mode) & 0o666)


def sweep(parent: Path) -> None:
    """Remove what crashes left unfinished among the folders of `parent`. Call it only where nobody else writes."""
    for folder in parent.glob(f"{ASIDE}*"):
        shutil.rmtree(folder, ignore_errors=True)


def flush(path: Path) -> None:
    """Return when the file's bytes, or the folder's entries, are on the disk (fsync). An OSError names the path."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush_open(descriptor, path)
    finally:
        os.close(descriptor)


def flush_each(folders: Iterable[Path]) -> None:
    """Do as `flush` with those of some folders that are there."""
    for folder in sorted(set(folders)):
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # as in `make_folder`
            flush(folder)


def flush_open(descriptor: int, path: Path) -> None:
    """Do as `flush` with a file that is open."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise


def is_full(folder: Path) -> bool:
    """Tell whether the disk has no room for PROBE more bytes in a folder; what else is wrong there does not count."""
    try:
        with TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(PROBE))
            os.fsync(file.fileno())  # some file systems find out only then
            return file.tell() < PROBE
    except OSError as error:
        return error.errno in FULL


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shown(path: Path) -> str:
    """Return a path as messages show it: from the kind of artefact on, `snapshots/<id>/index.faiss`.

    A message may travel to a stranger's browser, whom it does not concern where the home lies.
    """
    parts = path.parts
    for kind in ("snapshots", "models"):
        if kind in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(kind) :])
    return "/".join(parts[-2:])


def check_files(folder: Path, checksums: dict[str, str], remedy: str) -> None:
    """Raise Corrupt, naming the file, unless each file of the folder has its checksum. `remedy` ends the message."""
    for name, expected in checksums.items():
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise Corrupt(f"{shown(folder / name)} cannot be read ({error.strerror}): {remedy}") from None
        if found != expected:
            raise Corrupt(f"{shown(folder / name)} is damaged (its SHA-256 is not the one recorded): {remedy}")
