"""A disk that is full, and one that can only be read, for tests of whatever writes files."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """Let no file of this process grow beyond `most` bytes."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


@contextmanager
def read_only(folder: Path, at: Path) -> Iterator[Path]:
    """Give a path of a folder by which nothing can be written: `at` where root may mount it there, else its own."""
    if os.geteuid():
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
        try:
            for path, mode in modes.items():
                path.chmod(mode & 0o555)
            yield folder
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    at.mkdir()
    if _run("mount", "--bind", folder, at):
        pytest.skip("this root may not mount")
    try:
        assert _run("mount", "-o", "remount,ro,bind", at) == 0
        yield at
    finally:
        assert _run("umount", "--lazy", at) == 0


def _run(*command: str | Path) -> int:
    return subprocess.run(command, check=False, capture_output=True).returncode
