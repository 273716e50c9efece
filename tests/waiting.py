"""Waiting for what another thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 30.0
"""How long a test waits for something before it fails."""


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when something has happened; fail if it does not."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)
