"""The worker: takes jobs out of the queue of a home, and runs each in a process of its own.

So the worker itself stays small, what a job took of memory goes back to the system, and a job that dies (of too little
memory, say) leaves a worker that tells so. A job dies with its worker and never goes on alone: whoever holds
`worker.lock` knows that no other job is running. Not here: what a job does (`jobs`), how it waits (`jobqueue`).
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType

from filelock import FileLock, Timeout

from indexer.progress import say
from recommender.cli import MAIN, one_line
from recommender.errors import BuildError, Busy, SokkuriError
from recommender.jobqueue import JobQueue
from recommender.jobs import BEAT_SECONDS, Job, Jobs
from recommender.settings import Settings

LOOK_SECONDS = 1.0
"""How often a worker looks whether a job waits that its queue does not name."""
TROUBLE_SECONDS = 5.0
"""How long it leaves a queue alone that cannot be used."""
HEALTH_SECONDS = 10.0


class Worker:
    """The one worker of a home."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self._jobs = Jobs(settings.home)
        self._stopping = threading.Event()
        self._at_once = threading.Event()
        self._signal = 0
        self._at_work = ""
        self._told = ""

    def run(self) -> None:
        """Run jobs until SIGTERM or SIGHUP, or SIGINT, which ends in KeyboardInterrupt. A running job is put back then.

        Raises Busy where the home has a worker already, BuildError, JobsUnusable.
        """
        logging.getLogger("huey").setLevel(logging.ERROR)  # what it says below that is of use to its authors
        with self._alone(), JobQueue(self._home, self._perform) as queue:
            self._jobs.beat(os.getpid())
            self.look(queue)
            consumer = queue.consumer()
            consumer.start()
            try:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    signal.signal(number, self._signalled)
                say(f"Sokkuri's worker waits for jobs in {self._home} (Ctrl-C stops it)")
                self._watch_over(queue, consumer.check_worker_health)
            finally:
                self._stopping.set()
                consumer.stop(graceful=True)
                with suppress(SokkuriError):
                    self._jobs.leave()
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt

    def _watch_over(self, queue: JobQueue, check_health: Callable[[], object]) -> None:
        """Say now and then that the worker is there, and look for jobs that got lost on their way."""
        beat, health = monotonic() + BEAT_SECONDS, monotonic() + HEALTH_SECONDS
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                if monotonic() >= beat:
                    self._jobs.beat(os.getpid())
                    beat = monotonic() + BEAT_SECONDS
                self.look(queue)
                self._told = ""
            except SokkuriError as error:
                self._tell_trouble(error)
            if monotonic() >= health:
                check_health()
                health = monotonic() + HEALTH_SECONDS

    def look(self, queue: JobQueue) -> None:
        """Put a job that waits into the queue where it is not named there, and one whose process is gone back."""
        job = self._jobs.active()
        if job is None or job.id == self._at_work:
            return
        if job.state == "running":
            job = self._jobs.put_back(job.id, "the worker that ran it died", died=True)
        if job.state == "queued" and not len(queue):
            queue.put(job.id)

    def _perform(self, identity: str) -> None:
        """Run a job, unless it was cancelled or run meanwhile."""
        self._at_work = identity
        try:
            job = self._jobs.claim(identity)
            if job:
                say(one_line(f"job {identity}: reindexing {job.library}"))
                code = self._run(identity)
                stopped = self._stopping.is_set()
                why = "stopped with its worker" if stopped else f"the process that ran it ended with {_named(code)}"
                # One that said how it ended is left as it is.
                self._tell_end(self._jobs.put_back(identity, why, died=not stopped))
        except SokkuriError as error:
            self._tell_trouble(error)
            self._stopping.wait(TROUBLE_SECONDS)  # the job waits, or will be put back, and then it is tried again
        finally:
            self._at_work = ""

    def _run(self, identity: str) -> int:
        """Run a job in a process of its own and return its exit code; where the worker is stopped, stop it as well."""
        command = [sys.executable, "-c", MAIN, "worker", "--home", str(self._home), "--run", identity]
        # In a session of its own a Ctrl-C reaches only the worker. Its input is a pipe that ends when the worker does.
        with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:  # noqa: S603 - itself
            asked = False
            while True:
                try:
                    return process.wait(0.1)
                except subprocess.TimeoutExpired:
                    if self._at_once.is_set():
                        process.kill()
                    elif self._stopping.is_set() and not asked:
                        process.terminate()
                        asked = True

    def _tell_end(self, job: Job) -> None:
        published = job.report and job.report["snapshot"]
        what = job.error or (f"published {published}" if published else "")
        say(one_line(f"job {job.id}: {job.state}{f': {what}' if what else ''}"))

    def _tell_trouble(self, error: SokkuriError) -> None:
        """Tell what stands in the way, once."""
        if str(error) != self._told:
            self._told = str(error)
            say(one_line(f"sokkuri: {error}"))

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        """Stop in order; where that was asked for before, at once."""
        if self._stopping.is_set():
            self._at_once.set()
        self._signal = self._signal or number
        self._stopping.set()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only worker of the home. The system frees the lock of one that dies."""
        lock = FileLock(self._home / "worker.lock", timeout=0)
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            seen = self._jobs.worker()
            which = f"process {seen.process}" if seen else "it has just been started"
            raise Busy(f"{self._home} has a worker already ({which}): one is enough") from None
        except OSError as error:
            raise BuildError(
                f"{self._home} cannot be used ({error.strerror}): choose another folder with --home"
            ) from None
        try:
            yield
        finally:
            lock.release()


def _named(code: int) -> str:
    """Return what an exit code says: the name of a signal, or the number."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
