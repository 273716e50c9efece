"""How long each stage of a job took."""

from __future__ import annotations

from time import perf_counter


class Stopwatch:
    """Seconds by stage, in the order of the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage: it took the time since the one before ended."""
        ended = perf_counter()
        self.seconds[stage] = round(ended - self._started, 3)
        self._started = ended
