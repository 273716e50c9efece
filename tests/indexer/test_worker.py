"""The real worker in a process of its own: what it runs, and what becomes of a job that it cannot end."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from indexer.reindex import ReindexOptions
from recommender.jobs import OPTIONS, Job, Jobs
from recommender.tables import REVISION
from tests.indexer.homes import PICTURES as FEW
from tests.indexer.homes import Home
from tests.indexer.jobbing import PICTURES, ask, ended, in_the_middle, slow_home, wait, working
from tests.indexer.running import Running, sokkuri

pytestmark = pytest.mark.slow


@pytest.fixture
def slow(tmp_path: Path) -> Home:
    """Return a home whose reindex takes seconds."""
    return slow_home(tmp_path)


def said(home: Home, identity: str) -> list[str]:
    """Return what happened to a job."""
    return [one.what for one in Jobs(home.settings.home).job(identity).history]


def _started_after(job: Job, deaths: int) -> bool:
    return job.state == "running" and job.deaths == deaths


def process_of(home: Home) -> list[int]:
    """Return the processes that run a job of this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--run" in words and os.fsencode(home.settings.home) in words:
            found.append(int(folder.name))
    return found


def test_a_job_gives_the_report_of_the_command(home: Home) -> None:
    """Stage by stage to a snapshot; the report is that of `reindex --json`, and the worker ends well on SIGTERM."""
    first = home.published().info.id
    identity = ask(home)
    with working(home) as worker:
        job = wait(home, identity, ended)
        seen = Jobs(home.settings.home).worker()
        assert seen
        assert seen.alive
        assert job.state == "done", job.error
        assert job.report
        worker.signal(signal.SIGTERM)
        done = worker.wait()
    assert (done.code, done.out) == (0, "")
    assert "Traceback" not in done.err
    assert f"job {identity}: done: published {job.report['snapshot']}" in done.err
    assert Jobs(home.settings.home).worker() is None
    assert home.published().info.id == job.report["snapshot"] != first
    assert (job.report["pictures"], job.report["embedded"]) == (FEW, 0)
    command = sokkuri("reindex", home.root, "--home", home.settings.home, "--json").answer
    assert set(job.report) == set(command)
    assert set(job.report["seconds"]) == set(command["seconds"])


def test_options_are_those_of_the_command(home: Home) -> None:
    """What a job may be asked for is what a reindex takes, and arrives there."""
    assert {field.name for field in fields(ReindexOptions)} == set(OPTIONS)
    first = home.published().info.id
    with working(home):
        job = wait(home, ask(home, dry_run=True), ended)
        assert (job.state, job.report and job.report["snapshot"]) == ("done", None)
        assert home.published().info.id == first


def test_errors_are_the_lines_of_the_terminal(home: Home) -> None:
    """A library that lost too much fails with the command's line and its report, one that is gone with its line."""
    for file in sorted(home.root.rglob("*.png"))[: FEW * 3 // 4]:
        file.write_bytes(b"no picture " + str(file).encode())
    first = home.published().info.id
    with working(home):
        job = wait(home, ask(home), ended)
        command = sokkuri("reindex", home.root, "--home", home.settings.home, "--json")
        assert (job.state, command.code) == ("failed", 1)
        assert command.err == f"sokkuri: {job.error}\n"
        assert job.report
        assert {name: job.report[name] for name in ("held", "rejects", "drift", "snapshot")} == {
            name: command.answer[name] for name in ("held", "rejects", "drift", "snapshot")
        }
        assert home.published().info.id == first
        assert wait(home, ask(home, accept=True), ended).state == "done"
        home.root.rename(home.root.with_name("elsewhere"))
        job = wait(home, ask(home), ended)
        assert sokkuri("reindex", home.root.resolve(), "--home", home.settings.home).line == f"sokkuri: {job.error}"


def test_progress_is_told(slow: Home) -> None:
    """That the model is loaded, with the pictures so far; then their number grows, and the time left is told."""
    identity = ask(slow)
    with working(slow):
        loading = wait(slow, identity, lambda job: job.stage == "loading")
        assert (loading.total, loading.seconds_left) == (PICTURES, None)
        assert 0 < (loading.done or 0) < PICTURES
        early = wait(slow, identity, lambda job: in_the_middle(job) and job.seconds_left)
        assert (early.stage, early.total) == ("embedding", PICTURES)
        late = wait(slow, identity, lambda job: (job.done or 0) > (early.done or 0))
        assert late.seconds_left is not None
        assert wait(slow, identity, ended).state == "done"


def test_killed_in_the_middle(slow: Home) -> None:
    """After kill -9 the job ends with its worker; the next worker sees that, and goes on with what is left to embed."""
    identity = ask(slow)
    with working(slow) as worker:
        before = wait(slow, identity, in_the_middle)
        worker.signal(signal.SIGKILL)
        worker.wait()
    deadline = time.monotonic() + 5
    while process_of(slow):
        assert time.monotonic() < deadline, "the job outlives its worker"
        time.sleep(0.05)
    assert Jobs(slow.settings.home).job(identity).state == "running"
    with working(slow):
        job = wait(slow, identity, ended)
    assert (job.state, job.deaths) == ("done", 1)
    assert job.report
    assert job.report["pictures"] == PICTURES
    assert job.report["embedded"] <= PICTURES - (before.done or 0) + 16
    assert said(slow, identity) == [
        "asked for",
        "started",
        "the worker that ran it died: it waits to go on",
        "started again",
        "done",
    ]
    assert slow.verify().findings == ()


def test_a_job_that_is_killed_leaves_its_worker(slow: Home) -> None:
    """A process that the system kills, for want of memory say, is told by its worker, which tries the job again."""
    identity = ask(slow)
    with working(slow):
        wait(slow, identity, in_the_middle)
        (process,) = process_of(slow)
        os.kill(process, signal.SIGKILL)
        job = wait(slow, identity, ended)
    assert (job.state, job.deaths) == ("done", 1)
    assert "the process that ran it ended with SIGKILL: it waits to go on" in said(slow, identity)


def test_not_for_ever(slow: Home) -> None:
    """A job that takes its process with it each time fails after three of them, and says why."""
    identity = ask(slow)
    with working(slow):
        for death in range(3):
            wait(slow, identity, partial(_started_after, deaths=death))
            deadline = time.monotonic() + 20
            while not process_of(slow):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            for process in process_of(slow):
                os.kill(process, signal.SIGKILL)
        job = wait(slow, identity, ended)
    assert (job.state, job.deaths) == ("failed", 3)
    assert job.error
    assert "SIGKILL, 3 times by now" in job.error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_in_the_middle(slow: Home, number: signal.Signals) -> None:
    """The job stops at its next safe point and waits for the next worker; nothing is lost, and no death is counted."""
    identity = ask(slow)
    with working(slow) as worker:
        before = wait(slow, identity, in_the_middle)
        worker.signal(number)
        done = worker.wait()
    assert done.code == (130 if number == signal.SIGINT else 0)
    assert "Traceback" not in done.err
    waiting = Jobs(slow.settings.home).job(identity)
    assert (waiting.state, waiting.deaths, waiting.stage) == ("queued", 0, None)
    assert Jobs(slow.settings.home).worker() is None
    with working(slow):
        job = wait(slow, identity, ended)
    assert job.state == "done"
    assert job.report
    assert job.report["embedded"] <= PICTURES - (before.done or 0) + 16
    assert "stopped with its worker: it waits to go on" in said(slow, identity)


def test_stopped_at_once(slow: Home) -> None:
    """A worker that is told twice waits for no safe point, which a job that hangs would never reach."""
    identity = ask(slow)
    with working(slow) as worker:
        wait(slow, identity, in_the_middle)
        (process,) = process_of(slow)
        os.kill(process, signal.SIGSTOP)
        worker.signal(signal.SIGTERM)
        time.sleep(1)
        assert worker.alive
        worker.signal(signal.SIGTERM)
        assert worker.wait().code == 0
    job = Jobs(slow.settings.home).job(identity)
    assert (job.state, job.deaths) == ("queued", 0)


def test_cancelled_in_the_middle(slow: Home) -> None:
    """What was embedded stays, nothing is published, and the worker is free for the next job, which uses it."""
    identity = ask(slow)
    jobs = Jobs(slow.settings.home)
    with working(slow):
        before = wait(slow, identity, in_the_middle)
        jobs.cancel(identity)
        job = wait(slow, identity, ended)
        assert (job.state, job.error, job.report) == ("cancelled", None, None)
        with slow.catalogue() as catalogue:
            assert catalogue.snapshots() == []
        again = wait(slow, ask(slow), ended)
    assert again.state == "done"
    assert again.report
    assert again.report["embedded"] <= PICTURES - (before.done or 0) + 16


def test_cancelled_while_it_waits(home: Home) -> None:
    """It never starts, although the queue still names it."""
    identity = ask(home)
    Jobs(home.settings.home).cancel(identity)
    first = home.published().info.id
    with working(home):
        assert wait(home, ask(home, dry_run=True), ended).state == "done"
    assert said(home, identity) == ["asked for", "cancelled before it was started"]
    assert home.published().info.id == first


def test_one_worker_is_enough(home: Home) -> None:
    """A second one ends in a line that names the first."""
    with working(home):
        deadline = time.monotonic() + 20
        while not (seen := Jobs(home.settings.home).worker()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert f"has a worker already (process {seen.process})" in sokkuri("worker", "--home", home.settings.home).line


def test_a_damaged_file_is_a_line(home: Home) -> None:
    """A worker that cannot read its jobs says so, and ends."""
    (home.settings.home / "jobs.db").write_bytes(b"no database " * 1000)
    assert "jobs.db in the home is damaged" in sokkuri("worker", "--home", home.settings.home).line


def test_a_command_at_the_terminal_holds_the_home(home: Home) -> None:
    """A short one is waited for; where it stays, the job fails with the line that the terminal would get."""
    home.settings.home.joinpath("job.owner").write_text("sokkuri train (process 1)")
    lock = FileLock(home.settings.home / "job.lock")
    with working(home):
        with lock:
            identity = ask(home)
            wait(home, identity, lambda job: job.stage == "waiting")
        assert wait(home, identity, ended).state == "done"
        home.settings.home.joinpath("job.owner").write_text("sokkuri train (process 1)")
        with lock:
            job = wait(home, ask(home), ended)
            assert job.state == "failed"
            line = sokkuri("reindex", home.root, "--home", home.settings.home).line
            assert line == f"sokkuri: {job.error}"
            assert "sokkuri train (process 1) is at work" in line


def test_a_job_that_the_queue_lost(home: Home) -> None:
    """What has a record is run, whatever became of its place in the queue: before a worker starts, and after."""
    jobs = Jobs(home.settings.home)
    early = jobs.add(str(home.root.resolve()), {}).id
    with working(home):
        assert wait(home, early, ended).state == "done"
        late = jobs.add(str(home.root.resolve()), {}).id
        assert wait(home, late, ended).state == "done"


def test_a_locked_file_delays_and_loses_nothing(home: Home) -> None:
    """While another process holds the jobs' file, nothing can be noted; afterwards the job is run and noted."""
    identity = ask(home)
    with working(home) as worker:
        with closing(sqlite3.connect(home.settings.home / "jobs.db", isolation_level=None)) as other:
            deadline = time.monotonic() + 20
            while Jobs(home.settings.home).worker() is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            other.execute("PRAGMA busy_timeout = 5000")
            other.execute("BEGIN IMMEDIATE")
            time.sleep(7)  # longer than anybody waits for the file
            other.execute("ROLLBACK")
        assert wait(home, identity, ended).state == "done"
        worker.signal(signal.SIGTERM)
        assert "Traceback" not in worker.wait().err


def test_a_full_disk_fails_the_job_and_not_the_worker(slow: Home) -> None:
    """No file may grow: the job fails, or waits, with a line that says so; nothing is published; the worker stays."""
    identity = ask(slow)
    worker = Running("worker", "--home", slow.settings.home, limit=400_000)
    try:
        job = wait(slow, identity, ended)
        assert job.state == "failed"
        assert job.error
        assert "make room" in job.error
        assert worker.alive
    finally:
        worker.signal(signal.SIGTERM)
        assert worker.wait().code == 0
    with working(slow):
        assert wait(slow, ask(slow), ended).state == "done"
    assert slow.verify().findings == ()


def set_revision(home: Home, revision: str) -> None:
    """Let the catalogue say that another version of Sokkuri made its tables."""
    with closing(sqlite3.connect(home.settings.home / "catalogue.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_a_catalogue_of_a_newer_version_is_told_at_once(home: Home) -> None:
    """No worker waits for jobs that could only fail: it ends with the line of every command, and leaves no trace."""
    set_revision(home, "9999")
    command = sokkuri("snapshots", "--home", home.settings.home).line
    assert "made by a newer Sokkuri (tables of revision 9999" in command
    with working(home) as worker:
        assert worker.wait().line == command
    assert not (home.settings.home / "jobs.db").exists()


def test_a_catalogue_that_becomes_newer_fails_the_job(home: Home) -> None:
    """A worker that was there before goes on, and its jobs fail with the same line until that version is gone."""
    with working(home) as worker:
        assert wait(home, ask(home, dry_run=True), ended).state == "done"
        set_revision(home, "9999")
        job = wait(home, ask(home), ended)
        assert (job.state, job.report) == ("failed", None)
        assert sokkuri("snapshots", "--home", home.settings.home).line == f"sokkuri: {job.error}"
        assert worker.alive
        set_revision(home, REVISION)
        assert wait(home, ask(home), ended).state == "done"
