"""Waiting for what another thread does, or another process says."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable

SECONDS = 30.0
"""How long a test waits for something before it fails."""
STARTING_SECONDS = 60.0
"""How long a process may take until it says what a test waits for."""


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when something has happened; fail if it does not."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """Return what a process writes on stderr, in lines, up to the first that matches a regular expression.

    A process that does not say it in time is killed, which ends its lines and fails the test. (Asking `select` whether
    there is more would be wrong: lines that came in one piece wait in the reader's buffer, where `select` sees none.)
    """
    assert process.stderr is not None
    lines: list[str] = []
    too_late = threading.Timer(STARTING_SECONDS, process.kill)
    too_late.start()
    try:
        for line in iter(process.stderr.readline, ""):
            lines.append(line)
            if re.search(wanted, line):
                return lines
    finally:
        too_late.cancel()
    raise AssertionError(f"it ended, or was too slow, after saying {lines}")
