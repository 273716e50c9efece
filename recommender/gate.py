"""A gate in front of scarce work: so many at once, so many waiting in line, and everybody else is told to come back.

Who waits is let in in the order of coming, and leaves the line when nobody wants the answer any more. Not here: what is
scarce (`capacity`), and how it is known that somebody is gone (whoever asks says so).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from recommender.errors import Abandoned, Busy

LOOK_SECONDS = 0.25
"""How often who waits is asked whether the answer is still wanted; once more when its turn has come."""
LONGEST_RETRY = 60
"""The longest time to come back, in seconds, that a message names."""
_MEMORY = 0.1
"""The weight of the latest in the running mean of the seconds inside."""


def always() -> bool:
    """Say that the answer is wanted: what a caller means that cannot hang up."""
    return True


class Gate:
    """Lets `places` threads in at once and `waiting` more stand in line; then it raises Busy."""

    def __init__(self, places: int, waiting: int) -> None:
        self._places = self._free = places
        self._longest = waiting
        self._line: deque[threading.Event] = deque()
        self._changing = threading.Lock()
        self._seconds = 0.0
        self.refused = 0
        self.abandoned = 0

    @property
    def waiting(self) -> int:
        """How many stand in line now."""
        return len(self._line)

    @contextmanager
    def entered(self, wanted: Callable[[], bool] = always) -> Iterator[None]:
        """Wait for a place and hold it. Raises Busy at once where the line is full, Abandoned once `wanted` denies."""
        self._enter(wanted)
        started = monotonic()
        try:
            yield
        finally:
            self._leave(monotonic() - started)

    def require_room(self) -> None:
        """Raise Busy where the line is full, before anything is done for somebody who would not get in."""
        with self._changing:
            self._require_room()

    def _require_room(self) -> None:
        if not self._free and len(self._line) >= self._longest:
            self.refused += 1
            seconds = math.ceil(len(self._line) * self._seconds / self._places)
            wait = min(max(1, seconds), LONGEST_RETRY)
            raise Busy(f"too many pictures are being looked at: try again in {wait} s", wait)

    def _enter(self, wanted: Callable[[], bool]) -> None:
        with self._changing:
            self._require_room()
            if self._free:
                if not wanted():
                    raise self._gone()
                self._free -= 1
                return
            turn = threading.Event()
            self._line.append(turn)
        while not turn.wait(LOOK_SECONDS):
            if not wanted():
                with self._changing:
                    if not turn.is_set():
                        self._line.remove(turn)
                        raise self._gone()
                break  # its turn came at this very moment
        if not wanted():
            self._leave(None)
            raise self._gone()

    def _leave(self, seconds: float | None) -> None:
        """Hand the place on to the first in line; `seconds` is how long it was held by somebody who worked."""
        with self._changing:
            if seconds is not None:
                self._seconds += (seconds - self._seconds) * (_MEMORY if self._seconds else 1.0)
            if self._line:
                self._line.popleft().set()
            else:
                self._free += 1

    def _gone(self) -> Abandoned:
        self.abandoned += 1
        return Abandoned("whoever asked hung up, or the server is stopping: nothing was done")
