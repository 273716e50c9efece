"""Stopping: Ctrl-C and SIGTERM are answered at once, and end a run between two steps, not in the middle of one.

Not here: how long hosts are waited for then (`lanes`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self


class Stops:
    """Hears Ctrl-C, and SIGTERM where it means the same, for as long as its block lasts.

    `told` is called at once; then KeyboardInterrupt is raised, after the step that is being taken. Whoever asks for a
    second time does not wait for it. Threads that hear no signals have this to no effect.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._before: dict[int, Any] = {}
        self._asked = self._stepping = self._pending = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(signal.getsignal(number)):  # else it is ignored, or ends the program without ado
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Take a step as a whole. Raises KeyboardInterrupt after it, if that was asked for meanwhile."""
        self._stepping = True
        try:
            yield
        finally:
            self._stepping = False
            if self._pending:
                self._pending = False
                raise KeyboardInterrupt

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked, self._pending = True, self._stepping
        self._told()
        if not self._pending:
            raise KeyboardInterrupt
