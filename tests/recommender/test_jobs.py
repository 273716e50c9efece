"""The jobs and their queue on real files: one at a time, nothing lost, nothing run that was not asked for."""

from __future__ import annotations

import pickle
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest

import recommender.jobs
from recommender.errors import Busy, Conflict, JobsUnusable, NotFound
from recommender.jobqueue import JobQueue, submit
from recommender.jobs import KEPT, MOST_DEATHS, OPTIONS, Job, Jobs
from tests.indexer.disks import full_disk


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    """Return the jobs of a home that is not there yet."""
    return Jobs(tmp_path / "home")


def run(jobs: Jobs) -> Job:
    """Ask for a job and claim it."""
    job = jobs.claim(jobs.add("/library", {}).id)
    assert job
    return job


def said(job: Job) -> list[str]:
    """Return what happened to a job."""
    return [one.what for one in job.history]


def test_asking_is_no_beginning(jobs: Jobs) -> None:
    """Where there never was a job, questions are answered and no file appears."""
    assert (jobs.latest(), jobs.active(), jobs.worker()) == ([], None, None)
    with pytest.raises(NotFound, match="'x'"):
        jobs.job("x")
    assert not jobs.file.exists()


def test_the_life_of_a_job(jobs: Jobs) -> None:
    """It waits, runs, tells how far it is, and ends with its report."""
    asked = jobs.add("/library", {"full": True})
    assert (asked.state, asked.started, dict(asked.options)["full"]) == ("queued", None, True)
    assert set(asked.options) == set(OPTIONS)
    running = jobs.claim(asked.id)
    assert running
    assert (running.state, running.is_active) == ("running", True)
    assert running.started
    assert jobs.tell(asked.id, "scanning", (3, 9), 1.5) is False
    active = jobs.active()
    assert active
    assert (active.stage, active.done, active.total, active.seconds_left) == ("scanning", 3, 9, 1.5)
    jobs.end(asked.id, "done", report={"snapshot": "s"})
    ended = jobs.job(asked.id)
    assert (ended.state, ended.report, ended.stage, ended.done, ended.is_active) == (
        "done",
        {"snapshot": "s"},
        None,
        None,
        False,
    )
    assert said(ended) == ["asked for", "started", "done"]
    assert jobs.active() is None


def test_one_at_a_time(jobs: Jobs) -> None:
    """A second one is refused by the name of the first, whether that waits or runs; then there is room again."""
    first = jobs.add("/library", {})
    with pytest.raises(Conflict, match=f"{first.id} is queued"):
        jobs.add("/library", {})
    jobs.claim(first.id)
    with pytest.raises(Conflict, match=f"{first.id} is running"):
        jobs.add("/library", {})
    jobs.end(first.id, "failed", "no")
    assert jobs.add("/library", {}).state == "queued"


def test_of_many_at_once_one_wins(jobs: Jobs) -> None:
    """Threads that ask at the same moment get one job and one refusal each."""
    start, won, lost = threading.Barrier(8), [], []

    def ask() -> None:
        start.wait()
        try:
            won.append(jobs.add("/library", {}).id)
        except Conflict as error:
            lost.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert all(won[0] in line for line in lost)
    assert [job.id for job in jobs.latest()] == won


def test_the_database_itself_allows_one(jobs: Jobs) -> None:
    """Whatever a later version forgets to ask, a second active job cannot be written."""
    run(jobs)
    with closing(sqlite3.connect(jobs.file)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "INSERT INTO jobs (id, state, library, options, created, history) "
            "VALUES ('x', 'queued', '', '{}', '', '[]')"
        )


def test_a_job_is_claimed_once(jobs: Jobs) -> None:
    """However often the queue names it, and when it was cancelled, it is run once or not at all."""
    job = jobs.add("/library", {})
    assert jobs.claim(job.id)
    assert jobs.claim(job.id) is None
    jobs.end(job.id, "done")
    assert jobs.claim(job.id) is None
    assert jobs.claim("no such job") is None
    other = jobs.add("/library", {})
    jobs.cancel(other.id)
    assert jobs.claim(other.id) is None


def test_cancelling_one_that_was_put_back(jobs: Jobs) -> None:
    """It had been started, and its history says nothing else."""
    job = run(jobs)
    jobs.put_back(job.id, "stopped with its worker", died=False)
    assert said(jobs.cancel(job.id)) == [
        "asked for",
        "started",
        "stopped with its worker: it waits to go on",
        "cancelled while it waited to go on",
    ]


def test_cancelling(jobs: Jobs) -> None:
    """A waiting job ends at once; a running one hears of it, however often it is asked; an ended one says so."""
    waiting = jobs.add("/library", {})
    assert jobs.cancel(waiting.id).state == "cancelled"
    assert jobs.cancel(waiting.id).state == "cancelled"
    assert said(jobs.job(waiting.id)) == ["asked for", "cancelled before it was started"]
    running = run(jobs)
    for _ in range(2):
        told = jobs.cancel(running.id)
        assert (told.state, told.cancelling) == ("running", True)
    assert jobs.tell(running.id, "scanning", None, None) is True
    ended = jobs.put_back(running.id, "stopped", died=False)
    assert (ended.state, ended.cancelling, ended.error) == ("cancelled", False, None)
    jobs.end(run(jobs).id, "done")
    with pytest.raises(Conflict, match="is done"):
        jobs.cancel(jobs.latest()[0].id)
    with pytest.raises(NotFound):
        jobs.cancel("no such job")


def test_put_back_until_it_died_too_often(jobs: Jobs) -> None:
    """A stop counts for nothing; deaths are counted, and after some of them the job fails and says why."""
    job = run(jobs)
    for _ in range(MOST_DEATHS + 1):
        assert jobs.put_back(job.id, "stopped with its worker", died=False).state == "queued"
        assert jobs.claim(job.id)
    for death in range(1, MOST_DEATHS):
        back = jobs.put_back(job.id, "the process died", died=True)
        assert (back.state, back.deaths) == ("queued", death)
        assert said(back)[-1] == "the process died: it waits to go on"
        assert jobs.claim(job.id)
    ended = jobs.put_back(job.id, "the process died", died=True)
    assert ended.state == "failed"
    assert ended.error
    assert ended.error.startswith(f"the process died, {MOST_DEATHS} times by now")
    assert jobs.put_back(job.id, "again", died=True) == ended


def test_old_jobs_are_forgotten(jobs: Jobs) -> None:
    """The last ones stay, the newest first, and one that has just been asked for beside them."""
    made = []
    for _ in range(KEPT + 3):
        made.append(run(jobs).id)
        jobs.end(made[-1], "done", report={"rejects": []})
    made.append(jobs.add("/library", {}).id)
    assert [job.id for job in jobs.latest()] == made[:-52:-1]
    with pytest.raises(NotFound):
        jobs.job(made[0])


def test_a_worker_is_seen(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there while it says so, counts as gone when it is silent, and at once where it takes its leave."""
    jobs.beat(42)
    seen = jobs.worker()
    assert seen
    assert (seen.process, seen.alive) == (42, True)
    monkeypatch.setattr(recommender.jobs, "SILENT_SECONDS", 0.05)
    sleep(0.1)
    silent = jobs.worker()
    assert silent
    assert not silent.alive
    jobs.leave()
    assert jobs.worker() is None


def test_what_is_committed_survives_whoever_wrote_it(jobs: Jobs) -> None:
    """Each call is on its own: nothing is held open that a killed process could take along."""
    job = run(jobs)
    assert Jobs(jobs.file.parent).job(job.id) == job


def test_locked(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else keeps locked is an error that passes, for the record and for the queue."""
    run(jobs)
    for module in ("recommender.jobs", "recommender.jobqueue"):
        monkeypatch.setattr(f"{module}.WAIT_SECONDS", 0)
    with closing(sqlite3.connect(jobs.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="another process is writing"):
            jobs.beat(1)
        assert jobs.latest()
        with pytest.raises(Busy):
            JobQueue(jobs.file.parent)
        other.execute("ROLLBACK")
    jobs.beat(1)


def test_damaged(jobs: Jobs) -> None:
    """A file that is something else is told with what to do."""
    jobs.file.parent.mkdir()
    jobs.file.write_bytes(b"no database " * 1000)
    for ask in (jobs.latest, jobs.active, lambda: jobs.add("/library", {}), lambda: JobQueue(jobs.file.parent)):
        with pytest.raises(JobsUnusable, match="damaged"):
            ask()


def test_newer(jobs: Jobs) -> None:
    """Tables of a newer Sokkuri are left alone."""
    run(jobs)
    with closing(sqlite3.connect(jobs.file)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JobsUnusable, match="newer"):
        jobs.latest()


def test_full_disk_while_asking(jobs: Jobs) -> None:
    """Where there is no room for a job it is refused as a whole, and taken when there is."""
    jobs.end(run(jobs).id, "done")
    with full_disk(1), pytest.raises(JobsUnusable, match="disk full"):
        submit(jobs.file.parent, "/library", {})
    assert jobs.active() is None
    assert submit(jobs.file.parent, "/library", {}).state == "queued"


def test_a_home_that_cannot_be_written_to(tmp_path: Path) -> None:
    """A file in the place of the home is told in a line."""
    (tmp_path / "home").write_text("a file")
    with pytest.raises(JobsUnusable, match="cannot be written to"):
        Jobs(tmp_path / "home").add("/library", {})


def test_the_queue_holds_an_id_and_no_pickle(jobs: Jobs) -> None:
    """What is stored is JSON that names the job; a pickle that somebody put there is not loaded."""
    job = submit(jobs.file.parent, "/library", {})
    with closing(sqlite3.connect(jobs.file)) as connection:
        ((stored,),) = connection.execute("SELECT data FROM task").fetchall()
        assert job.id.encode() in stored
        with pytest.raises(pickle.UnpicklingError):
            pickle.loads(stored)  # noqa: S301 - it must not be one
        connection.execute("UPDATE task SET data = ?", (pickle.dumps(_Bomb()),))
        connection.commit()
    performed: list[str] = []
    with JobQueue(jobs.file.parent, performed.append) as queue, pytest.raises(UnicodeDecodeError):
        queue._huey.dequeue()
    assert not _Bomb.went_off
    assert performed == []


class _Bomb:
    """Goes off when its pickle is loaded."""

    went_off = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (setattr, (_Bomb, "went_off", True))


def test_a_job_that_the_queue_did_not_take_waits(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between record and queue everything may break: the job is there for a worker to find."""

    def fail(_queue: JobQueue, _job: str) -> None:
        raise Busy("the jobs are busy")

    monkeypatch.setattr(JobQueue, "put", fail)
    assert submit(jobs.file.parent, "/library", {}) == jobs.job(jobs.latest()[0].id)
    with JobQueue(jobs.file.parent) as queue:
        assert len(queue) == 0
