"""A gate in front of scarce work: so many at once, so many waiting, and everybody else is told to come back."""

from __future__ import annotations

import threading
from types import TracebackType

from recommender.errors import Busy


class Gate:
    """A context manager that lets `places` threads in at once and `waiting` more queue up; then it raises Busy."""

    def __init__(self, places: int, waiting: int) -> None:
        self._inside = threading.BoundedSemaphore(places)
        self._admitted = threading.BoundedSemaphore(places + waiting)

    def __enter__(self) -> None:
        if not self._admitted.acquire(blocking=False):
            raise Busy("too many pictures are being looked at: try again in a second")
        self._inside.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside.release()
        self._admitted.release()
