"""Jobs: what lanes are asked to do and what they answer, and what they need for it.

Not here: how they go about it (`lanes`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol

from requests import Session

from indexer.collect.answers import Answer
from indexer.collect.fetch import Moved, Question, ask, cut
from recommender.errors import FetchFailed, FetchRefused


class Clock(Protocol):
    """Tells the time in seconds, and lets it pass."""

    def now(self) -> float:
        """Return the seconds since some moment."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after so many seconds, or as soon as `stop` is set."""
        ...


class RealClock:
    """The clock on the wall."""

    def now(self) -> float:
        """Return the seconds since some moment."""
        return monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after so many seconds, or as soon as `stop` is set."""
        stop.wait(seconds)


class Memory(Protocol):
    """What the lanes note, and what an earlier run noted (`journal.Journal`)."""

    def idle(self) -> float:
        """Return for how many seconds nothing had been noted when this run began."""
        ...

    def asked(self, address: str) -> None:
        """Note that an address is about to be asked for."""
        ...

    def troubled(self, address: str) -> None:
        """Note that an address was not served, and will be asked for again."""
        ...

    def robots(self, host: str) -> Any:
        """Return what was noted of a host's robots.txt, or None."""
        ...

    def note_robots(self, host: str, status: int, text: str, fetched: str) -> None:
        """Note what a host answered."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A question, what it is asked for (`context`, which the lanes do not look into), and the redirects so far."""

    question: Question
    context: Any
    urgent: bool = False
    via: tuple[str, ...] = ()
    tries: int = 0

    @property
    def address(self) -> str:
        """The address that is asked for."""
        return self.question.address


Result = Answer | Moved | FetchRefused | FetchFailed | BaseException


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: an answer, the place that the address moved to, or an error."""

    job: Job
    result: Result


@dataclass(frozen=True, slots=True)
class Pause:
    """How long a host is left in peace between the beginnings of two requests, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Doors:
    """How a lane reaches its host: a new session, one exchange, and what is done with an answer before it is told."""

    session: Callable[[], Session]
    shelve: Callable[[Answer], None]
    ask: Callable[[Session, Question, Callable[[], None]], Answer | Moved] = ask
    cut: Callable[[Session], None] = cut


def fresh(fetched: str, hours: float) -> bool:
    """Tell whether a moment, in ISO 8601, is less than so many hours ago."""
    try:
        return datetime.now(UTC) - datetime.fromisoformat(fetched) < timedelta(hours=hours)
    except (ValueError, TypeError):
        return False
