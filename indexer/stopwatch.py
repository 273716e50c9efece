"""How long each stage of a job took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from indexer.progress import begin


class Stopwatch:
    """Seconds by stage, in the order of the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = perf_counter()

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Time a stage, and tell whoever listens that it begins."""
        begin(stage)
        yield
        self.lap(stage)

    def lap(self, stage: str) -> None:
        """End a stage: it took the time since the one before ended."""
        ended = perf_counter()
        self.seconds[stage] = round(ended - self._started, 3)
        self._started = ended

    def move(self, stage: str, other: str, seconds: float) -> None:
        """Say that so many seconds of a stage belong to another one, which ran within it."""
        self.seconds[stage] = round(self.seconds[stage] - seconds, 3)
        self.seconds[other] = round(self.seconds.get(other, 0.0) + seconds, 3)
