"""The queue that brings jobs to a worker: Huey on SQLite, in the file of the jobs. This is Huey's only home.

What waits in it is the id of a job and nothing else, as JSON: Huey would store a pickle, and loading one runs whatever
is in it. The queue hands every id out once and forgets it, so the record in `jobs` decides what becomes of a job: an id
that comes twice is claimed once, and one that got lost with a process is put in again.

Not here: what a job does (`indexer.jobs`).
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huey import SqliteHuey
from huey.consumer import Consumer
from huey.registry import Message
from huey.serializer import Serializer

from recommender.errors import SokkuriError
from recommender.jobs import Job, Jobs, trouble_of
from recommender.tables import WAIT_SECONDS

NAME = "sokkuri"
LONGEST_POLL = 1.0
"""Seconds between two looks at an empty queue, at most."""

logger = logging.getLogger(__name__)


class _AsJson(Serializer):  # type: ignore[misc]  # Huey is not typed
    """Writes a message as JSON."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(data).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(*json.loads(data))


def _nobody(job: str) -> None:
    """Stand in for what runs a job where jobs are only asked for."""
    raise NotImplementedError(job)


class JobQueue:
    """The queue of a home. `perform` is called with the id of each job that comes out of it, one after the other.

    The methods raise Busy and JobsUnusable, as those of `Jobs` do. Close it before the process forks.
    """

    def __init__(self, home: Path, perform: Callable[[str], None] = _nobody) -> None:
        def run(job: str) -> None:
            perform(job)

        with _translated():
            self._huey = SqliteHuey(
                NAME,
                filename=str(home / "jobs.db"),
                results=False,
                serializer=_AsJson(),
                timeout=WAIT_SECONDS,
                fsync=True,
            )
        self._run = self._huey.task(name="run")(run)

    def __enter__(self) -> JobQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, job: str) -> None:
        """Let a job be run when a worker is free."""
        with _translated():
            self._run(job)

    def __len__(self) -> int:
        with _translated():
            return int(self._huey.pending_count())

    def consumer(self) -> Consumer:
        """Return what takes jobs out and performs them in a thread, from its `start()` to its `stop()`.

        `start()` must be called in the main thread, and sets handlers of signals: set others after it. It looks again
        after a file that was locked or damaged, and says nothing of it: whoever watches the jobs meets the same error.
        """
        for part in ("Worker", "Scheduler"):
            logging.getLogger(f"huey.consumer.{part}").addFilter(_no_trouble_of_the_file)
        return Consumer(
            self._huey, workers=1, periodic=False, max_delay=LONGEST_POLL, scheduler_interval=60, worker_type="thread"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._huey.storage.close()


def submit(home: Path, library: str, options: Mapping[str, bool]) -> Job:
    """Ask for a job: note it, and put it into the queue. Raises Conflict, Busy, JobsUnusable."""
    job = Jobs(home).add(library, options)
    try:
        with JobQueue(home) as queue:
            queue.put(job.id)
    except SokkuriError as error:
        logger.warning("job %s waits for a worker to find it: %s", job.id, error)  # which is what workers look for
    return job


def _no_trouble_of_the_file(record: logging.LogRecord) -> bool:
    """Keep what Huey logs, but for an error of SQLite: it comes with a traceback, once a second."""
    return not (record.exc_info and isinstance(record.exc_info[1], sqlite3.Error))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise trouble_of(error) from error
