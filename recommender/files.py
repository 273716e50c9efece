"""Opening a picture's file that lies among other people's files, where anything may have taken its place by now.

Not here: what is in it (`images`), folders that are ours (`folders`).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a file to be read. Raises OSError, also where it is a named pipe or a device, and never waits for one.

    Whether it is one is asked of the file that is open: what a listing said may not hold any more.
    """
    # Without O_NONBLOCK, opening a pipe waits for its writer; files and the reading of them do not change by it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """Return a file's bytes, one more than `most` at most, however long it is. Raises OSError as `open_regular`."""
    with open_regular(path) as file:
        return file.read(most + 1)
