"""Lines of the log that strangers cause: so many a minute, then only how many more there were."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

MOST_NOTES = 10
NOTE_SECONDS = 60.0
LONGEST_NOTE = 300


class Notes:
    """Passes on to `write` the first MOST_NOTES lines of each NOTE_SECONDS, and the number of the others.

    Threads may share it.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._changing = threading.Lock()
        self._begun, self._count = 0.0, 0

    def add(self, line: str) -> None:
        """Note a line, or only count it."""
        self.look()
        with self._changing:
            if not self._count:
                self._begun = monotonic()
            self._count += 1
            told = self._count <= MOST_NOTES
        if told:
            self._write(line[:LONGEST_NOTE])

    def look(self) -> None:
        """Tell how many were only counted, once their time is over; whoever notes lines calls this now and then."""
        with self._changing:
            if not self._count or monotonic() < self._begun + NOTE_SECONDS:
                return
            more, self._count = self._count - MOST_NOTES, 0
        if more > 0:
            self._write(f"{more:,} more like that within {NOTE_SECONDS:.0f} s")
