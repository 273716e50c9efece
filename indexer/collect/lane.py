"""A lane: one host, the jobs that wait for it, what its robots.txt says, and when it may be asked again.

Not here: the asking (`lanes`).
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from math import inf
from urllib.parse import urlsplit

from indexer.collect.jobs import Job
from indexer.collect.manners import Robots
from recommender.errors import FetchFailed, FetchRefused


@dataclass
class Origin:
    """One scheme, host and port: its robots.txt, once it is known, and what speaks against asking for more."""

    name: str
    robots: Robots | None = None
    objection: FetchRefused | FetchFailed | None = None
    troubles: int = 0


class Lane:
    """One host: its jobs, the urgent ones first, and everything that is known about it."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.urgent: deque[Job] = deque()
        self.jobs: deque[Job] = deque()
        self.later: list[tuple[float, int, Job]] = []
        self.running = False
        self.origins: dict[str, Origin] = {}
        self.last = -inf
        self.not_before = -inf

    def __bool__(self) -> bool:
        return bool(self.urgent or self.jobs or self.later)

    def origin(self, address: str) -> Origin:
        """Return what is known about an address's scheme, host and port."""
        name = origin_of(address)
        return self.origins.setdefault(name, Origin(name))

    def ready_at(self, pause: float) -> float:
        """Return when the host may be asked again: after the pause, or that of the robots.txt that wants most."""
        delays = [origin.robots.delay for origin in self.origins.values() if origin.robots]
        return max(self.not_before, self.last + max(pause, *delays, 0.0))

    def put(self, job: Job) -> None:
        """Queue a job."""
        (self.urgent if job.urgent else self.jobs).append(job)

    def take(self, now: float) -> Job | float:
        """Return the next job, or in how many seconds the next one is ready."""
        if self.later and self.later[0][0] <= now:
            return heapq.heappop(self.later)[2]
        if self.urgent:
            return self.urgent.popleft()
        if self.jobs:
            return self.jobs.popleft()
        return self.later[0][0] - now


def origin_of(address: str) -> str:
    """Return scheme, host and port of an address: what a robots.txt is for (RFC 9309, 2.3)."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
