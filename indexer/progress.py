"""Progress: a bar for people, now and then a line for a log file, always on stderr; and for whoever else listens.

What works tells one place how far it is. A job that was asked for over HTTP listens there (`heard_by`), and may stop
the work by raising: each call is a point at which it can be stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Protocol

from tqdm import tqdm

DELAY = 0.5
"""Seconds before a bar appears: what is done sooner needs none."""
EVERY = 30.0
"""Seconds between two lines where nobody looks on."""


class Told(Protocol):
    """Takes how much is done and how much there is, and a note on how it stands."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Hear of progress."""
        ...


class Listener(Protocol):
    """Hears how far a job is. What it raises ends the job."""

    def began(self, stage: str) -> None:
        """Hear that a stage begins."""
        ...

    def turned_to(self, stage: str) -> None:
        """Hear that what is counted has come to another stage; the count goes on."""
        ...

    def counted(self, done: int, total: int) -> None:
        """Hear how much of the stage is done, out of how much."""
        ...


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Let somebody hear what is told in this thread meanwhile."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def begin(stage: str) -> None:
    """Tell that a stage of a job begins; on a terminal it is the bars that tell."""
    if listener := _listener.get():
        listener.began(stage)


def turn_to(stage: str) -> None:
    """Tell that what is being counted has come to another stage, which does not begin to count anew."""
    if listener := _listener.get():
        listener.turned_to(stage)


@contextmanager
def progress(what: str, unit: str = "picture", *, keep: bool = True) -> Iterator[Told]:
    """Give a function to tell progress to: a bar on a terminal, elsewhere a line every half minute.

    `keep` says whether the bar stays when the work is done.
    """
    interactive = sys.stderr.isatty()
    listener = _listener.get()
    lines = _Lines(what, unit)
    with tqdm(
        desc=what,
        unit=f" {unit}s",
        delay=DELAY,
        disable=not interactive,
        dynamic_ncols=True,
        smoothing=0.1,
        leave=keep,
    ) as bar:

        def told(done: int, total: int, note: str = "") -> None:
            if listener:
                listener.counted(done, total)
            if not interactive:
                lines.told(done, total, note)
                return
            bar.total = total
            if note:
                bar.set_postfix_str(note, refresh=False)
            bar.update(done - bar.n)

        yield told


class _Lines:
    """Lines for a log: the first when the work has taken EVERY seconds, the next as long after."""

    def __init__(self, what: str, unit: str) -> None:
        self._what, self._unit, self._last = what, unit, monotonic()

    def told(self, done: int, total: int, note: str) -> None:
        if monotonic() - self._last < EVERY:
            return
        self._last = monotonic()
        say(f"{self._what}: {done} of {total} {self._unit}s{f', {note}' if note else ''}")


def say(line: str) -> None:
    """Tell the person at the terminal something that is no result: on stderr."""
    tqdm.write(line, file=sys.stderr)
