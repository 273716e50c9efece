"""One job in a process of its own: a reindex whose stages, progress and end are noted in the jobs of the home.

The process listens to what the reindex tells anyway (`progress`), and stops it from there: every such call is a point
at which what was embedded is kept and nothing is published. Not here: who starts this process (`worker`).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from types import FrameType

from indexer.outcome import Held
from indexer.progress import heard_by
from indexer.reindex import ReindexOptions, reindex
from indexer.workplace import workplace
from recommender.catalogue import Catalogue
from recommender.cli import line_of, one_line
from recommender.errors import Busy, SokkuriError
from recommender.jobs import Jobs
from recommender.settings import Settings

WAITING = "waiting"
"""The stage in which another command holds the home."""
PATIENCE = 10.0
"""Seconds that a job waits for another command to end: most take less, and a training takes hours."""
EVERY = 0.5
"""Seconds between two notes of progress."""
SHARE = 50
"""A note that took long is followed by a pause so many times as long: telling never costs more than two percent."""
WINDOW = 30.0
"""Seconds of work that the estimate of the time left is made from."""
INSISTING = 60.0
"""Seconds for which the end of a job is tried to be noted, where the disk is full or the file is busy."""

logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """The job is to end at this point. No error: nothing that deals with errors of a picture may swallow it."""


def run_job(settings: Settings, identity: str) -> None:
    """Run a job that was claimed, and note how it ended. Raises NotFound, Busy, JobsUnusable."""
    jobs = Jobs(settings.home)
    job = jobs.job(identity)
    watch = Watch(jobs, identity, Stop.of_this_process())
    try:
        with heard_by(watch), _catalogue(settings, watch) as catalogue:
            report = reindex(settings, catalogue, Path(job.library), ReindexOptions(**job.options))
    except (Stopped, KeyboardInterrupt):
        _insist(lambda: jobs.put_back(identity, "stopped with its worker", died=False))
    except Held as held:
        line, held_back = str(held), held.report.to_json()
        _insist(lambda: jobs.end(identity, "failed", one_line(line), held_back))
    except Exception as error:  # noqa: BLE001 - whatever it was, the job has to end with it
        line = line_of(error) or _mistake(error)
        _insist(lambda: jobs.end(identity, "failed", one_line(line)))
    else:
        _insist(lambda: jobs.end(identity, "done", report=report.to_json()))


class Stop:
    """Whether this process is to stop: after SIGTERM, at the next safe point; after a second one, at once."""

    def __init__(self) -> None:
        self.wanted = False

    @classmethod
    def of_this_process(cls) -> Stop:
        """Listen to SIGTERM, and die with the worker, however it ends: the system closes its end of our input then."""
        stop = cls()
        signal.signal(signal.SIGTERM, stop.signalled)
        threading.Thread(target=_die_with_worker, name="worker", daemon=True).start()
        return stop

    def signalled(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True


class Watch:
    """Hears how far the job is, notes it now and then, and stops the job where that is wanted."""

    def __init__(self, jobs: Jobs, identity: str, stop: Stop) -> None:
        self._jobs, self._identity, self._stop = jobs, identity, stop
        self._stage = ""
        self._counted: tuple[int, int] | None = None
        self._pace = Pace()
        self._next = 0.0

    def began(self, stage: str) -> None:
        """Hear that a stage begins. Raises Stopped."""
        self._counted = None
        self.turned_to(stage)

    def turned_to(self, stage: str) -> None:
        """Hear that another stage goes on with the same count, at a pace of its own. Raises Stopped."""
        self._stage, self._pace = stage, Pace()
        self._tell(None)

    def counted(self, done: int, total: int) -> None:
        """Hear how many pictures are done. Raises Stopped."""
        self.check()
        first, self._counted = self._counted is None, (done, total)
        if monotonic() >= self._next or first or done == total:
            self._tell(self._pace.seconds_left(done, total))

    def check(self) -> None:
        """Raise Stopped where the process is to stop."""
        if self._stop.wanted:
            raise Stopped

    def _tell(self, seconds_left: float | None) -> None:
        self.check()
        started = monotonic()
        cancelled = False
        with suppress(SokkuriError):  # no job fails because nobody can hear how far it is
            cancelled = self._jobs.tell(self._identity, self._stage, self._counted, seconds_left)
        ended = monotonic()
        self._next = ended + max(EVERY, SHARE * (ended - started))
        if cancelled:
            raise Stopped


class Pace:
    """How fast pictures are dealt with lately: those that are known take no time, new ones a forward pass."""

    def __init__(self) -> None:
        self._lately: deque[tuple[float, int]] = deque()

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return how long the others take at this pace; None where too little is known yet."""
        now = monotonic()
        self._lately.append((now, done))
        while len(self._lately) > 2 and now - self._lately[1][0] > WINDOW:  # noqa: PLR2004 - both ends of the window
            self._lately.popleft()
        then, before = self._lately[0]
        if done >= total:
            return 0.0
        if now - then < EVERY or done == before:
            return None
        return round((total - done) * (now - then) / (done - before), 1)


@contextmanager
def _catalogue(settings: Settings, watch: Watch) -> Iterator[Catalogue]:
    """Hold the home, once others have let go of it. Raises Busy, in the words of the terminal, where they do not."""
    watch.began(WAITING)
    deadline = monotonic() + PATIENCE
    with ExitStack() as held:
        while True:
            try:
                catalogue = held.enter_context(workplace(settings, "worker"))
            except Busy:
                if monotonic() > deadline:
                    raise
                watch.began(WAITING)
                sleep(0.5)
            else:
                break
        yield catalogue


def _die_with_worker() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)  # as if it were killed too, which a reindex is made for: waiting for safe points could take minutes


def _mistake(error: Exception) -> str:
    """Log what nobody foresaw, and return a line that says so."""
    logger.error("a job failed", exc_info=error)
    return f"something went wrong in the worker and was logged there ({type(error).__name__}: {error})"


def _insist(note: Callable[[], object]) -> None:
    """Note how a job ended, and try again for a while where that fails. Raises Busy, JobsUnusable."""
    deadline = monotonic() + INSISTING
    while True:
        try:
            note()
        except SokkuriError:
            if monotonic() > deadline:
                raise
            sleep(1.0)
        else:
            return
