"""Progress on the terminal: a bar for people, nothing in a log file, always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

DELAY = 0.5
"""Seconds before a bar appears: what is done sooner needs none."""


@contextmanager
def progress(what: str, unit: str = "picture") -> Iterator[Callable[[int, int], None]]:
    """Give a function that takes how much is done and how much there is, and draws a bar where a person looks on."""
    with tqdm(desc=what, unit=f" {unit}s", delay=DELAY, disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def told(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield told


def say(line: str) -> None:
    """Tell the person at the terminal something that is no result: on stderr."""
    tqdm.write(line, file=sys.stderr)
