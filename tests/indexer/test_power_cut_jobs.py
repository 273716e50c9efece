"""A power cut loses no job that was noted: one that was to be run is run, and one that has ended stays ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from indexer.worker import Worker
from recommender.errors import Conflict
from recommender.jobqueue import JobQueue, submit
from recommender.jobs import Job, Jobs
from recommender.settings import Settings
from tests.indexer.powercut import Disk

LIBRARY = "/library"
CHANCES = (0.0, 0.5, 1.0)
"""Of each change that was not flushed, to be there: none is, some are, or all, as after kill -9."""


@contextmanager
def worker(home: Path) -> Iterator[JobQueue]:
    """Lend the queue after a worker has looked what is there, as it does when it begins."""
    with JobQueue(home, lambda _: None) as queue:
        Worker(Settings(home=home)).look(queue)
        yield queue


def found_after(disk: Disk, folder: Path) -> Iterator[tuple[int, Jobs]]:
    """Give, for each cut, the number of the moment and the jobs as they are found then."""
    draws = np.random.default_rng(0)
    for number, moment in enumerate(disk.moments):
        for chance in CHANCES:
            target = folder / f"cut-{number}-{chance}"
            moment.rebuild(target, chance, draws)
            yield number, Jobs(target)


def the_job(jobs: Jobs) -> Job | None:
    """Return the only job there is."""
    found = jobs.latest()
    assert len(found) <= 1
    return jobs.job(found[0].id) if found else None


def goes_on(jobs: Jobs) -> Job:
    """Let a new worker look, and take what its queue names: a job that has not ended, and only once."""
    with worker(jobs.file.parent) as queue:
        assert len(queue) >= 1
    job = the_job(jobs)
    assert job
    assert job.state == "queued"
    again = jobs.claim(job.id)
    assert again
    assert jobs.claim(job.id) is None
    jobs.end(job.id, "done", report={"snapshot": "s"})
    return again


def test_a_job_that_is_asked_for(tmp_path: Path) -> None:
    """Once whoever asked has the answer it is there, with what was asked for, and a worker finds it."""
    home = tmp_path / "home"
    home.mkdir()
    disk = Disk(home)
    with disk.watched():
        asked = submit(home, LIBRARY, {"full": True})
        answered = disk.note("the answer")
    seen = set()
    for number, jobs in found_after(disk, tmp_path):
        job = the_job(jobs)
        seen.add(job is not None)
        assert job is not None or number < answered, disk.moments[number].after
        if job is None:
            assert submit(jobs.file.parent, LIBRARY, {}).state == "queued"
            continue
        assert (job.id, job.state, job.library, job.options) == (asked.id, "queued", LIBRARY, asked.options)
        assert goes_on(jobs).deaths == 0
    assert seen == {False, True}


def test_a_job_that_runs(tmp_path: Path) -> None:
    """It starts again until it was noted how it ended; from then on it has ended, with its report."""
    home = tmp_path / "home"
    home.mkdir()
    identity = submit(home, LIBRARY, {}).id
    jobs, disk = Jobs(home), Disk(home)
    with disk.watched():
        assert jobs.claim(identity)
        claimed = disk.note("claimed")
        jobs.tell(identity, "scanning", (3, 9), 1.0)
        jobs.tell(identity, "building", None, None)
        jobs.end(identity, "done", report={"snapshot": "s"})
        ended = disk.note("ended")
    seen = set()
    for number, found in found_after(disk, tmp_path):
        job = the_job(found)
        assert job
        seen.add(job.state)
        if job.state == "done":
            assert found.job(identity).report == {"snapshot": "s"}
            with worker(found.file.parent):
                assert found.active() is None
            continue
        assert number < ended, disk.moments[number].after
        assert job.state == "running" or number < claimed, disk.moments[number].after
        again = goes_on(found)
        assert (again.id, again.deaths) == (identity, job.state == "running")
    assert seen == {"queued", "running", "done"}


def test_a_job_that_is_cancelled(tmp_path: Path) -> None:
    """Once whoever cancelled it has the answer it is run no more, and the next one may be asked for."""
    home = tmp_path / "home"
    home.mkdir()
    identity = submit(home, LIBRARY, {}).id
    jobs, disk = Jobs(home), Disk(home)
    with disk.watched():
        jobs.cancel(identity)
        cancelled = disk.note("cancelled")
    for number, found in found_after(disk, tmp_path):
        job = the_job(found)
        assert job
        if job.state == "cancelled":
            assert found.claim(identity) is None
            assert submit(found.file.parent, LIBRARY, {}).state == "queued"
            continue
        assert number < cancelled, disk.moments[number].after
        try:
            submit(found.file.parent, LIBRARY, {})
        except Conflict:
            assert goes_on(found).id == identity
        else:
            raise AssertionError("two jobs at a time")
