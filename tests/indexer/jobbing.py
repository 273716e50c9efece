"""A home whose reindex takes some seconds, a worker for it, and how to wait for what becomes of a job."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.tiny import make_model
from indexer.library import scan
from recommender.jobqueue import submit
from recommender.jobs import Job, Jobs
from recommender.settings import Settings
from tests.indexer.homes import Home, age
from tests.indexer.libraries import library
from tests.indexer.running import Running

EACH = 80
PICTURES = 6 * EACH
SECONDS = 90.0
"""What takes longer than this hangs."""


def slow_home(folder: Path) -> Home:
    """Make a library and a model below `folder` that are reindexed for seconds; nothing is published yet."""
    home = Home(Settings(home=folder / "home", threads=1), library(folder / "library", shows=3, pictures=EACH))
    for file in home.root.rglob("*.png"):
        age(file)
    make_model(home.settings, scan(home.root).hierarchy, size=224)
    return home


def ask(home: Home, **options: bool) -> str:
    """Ask for a job as a server does, and return its id."""
    return submit(home.settings.home, str(home.root.resolve()), options).id


def wait(home: Home, identity: str, until: Callable[[Job], object]) -> Job:
    """Return a job once something is true of it."""
    deadline = time.monotonic() + SECONDS
    while True:
        job = Jobs(home.settings.home).job(identity)
        if until(job):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def in_the_middle(job: Job) -> bool:
    """Tell whether a job has embedded some of its pictures and not nearly all."""
    return job.state == "running" and 0 < (job.done or 0) < 0.8 * PICTURES


def ended(job: Job) -> bool:
    """Tell whether a job has ended."""
    return not job.is_active


@contextmanager
def working(home: Home) -> Iterator[Running]:
    """Start a worker, and kill it at the end unless it has ended."""
    worker = Running("worker", "--home", home.settings.home)
    try:
        yield worker
    finally:
        with suppress(ValueError):  # it was waited for already
            worker.signal(signal.SIGKILL)
            worker.wait()
