"""The real server and the real worker, each a process of its own: a job is asked for, watched, outlives a server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.indexer.homes import Home
from tests.indexer.jobbing import PICTURES, slow_home, working
from tests.web.test_jobs import BEARER, TOKEN
from tests.web.test_server import running, worker_of

pytestmark = pytest.mark.slow

SERVE = "from web.commands import serve; serve()"
SECONDS = 90.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home whose library was indexed, and then grew by most of its pictures."""
    monkeypatch.setenv("SOKKURI_ADMIN_TOKEN", TOKEN)
    home = slow_home(tmp_path)
    aside = tmp_path / "aside"
    aside.mkdir()
    pictures = sorted(home.root.rglob("*.png"))
    few = {picture for number, picture in enumerate(pictures) if number % 40 == 0}
    for number, picture in enumerate(pictures):
        if picture not in few:
            picture.rename(aside / f"{number}.png")
    home.reindex()
    for number, picture in enumerate(pictures):
        if picture not in few:
            (aside / f"{number}.png").rename(picture)
    return home


@contextmanager
def serving(home: Home) -> Iterator[tuple[int, str]]:
    """Serve the home; give the server's process and the address of the jobs."""
    with running("-c", SERVE, "--home", str(home.settings.home), "--port", "0") as (process, line):
        yield process.pid, f"{line.split()[3]}/api/v1/jobs"


def get(url: str) -> Any:
    """Ask with the token."""
    answer = requests.get(url, headers=BEARER, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait(url: str, until: Callable[[Any], object]) -> Any:
    """Return a job once something is true of it."""
    deadline = time.monotonic() + SECONDS
    while not until(job := get(url)):
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    return job


def in_the_middle(job: Any) -> bool:
    """Tell whether a job is reading pictures."""
    return bool(job["progress"]) and 0 < job["progress"]["done"] < 0.8 * PICTURES


def test_a_job_survives_a_restart_of_the_server(home: Home) -> None:
    """The server is killed while a job runs; the next one tells how far it is, then its report, and serves its work."""
    with working(home):
        with serving(home) as (server, address):
            answer = requests.post(address, headers=BEARER, timeout=20)
            assert answer.status_code == 202, answer.text
            identity = answer.json()["id"]
            assert requests.post(address, headers=BEARER, timeout=20).status_code == 409
            before = wait(f"{address}/{identity}", in_the_middle)
            assert before["worker"]["alive"]
            for process in (worker_of(server), server):
                os.kill(process, signal.SIGKILL)
        with serving(home) as (_, address):
            during = get(f"{address}/{identity}")
            assert during["state"] in ("running", "done")
            job = wait(f"{address}/{identity}", lambda job: job["ended"])
            assert (job["state"], job["report"]["pictures"]) == ("done", PICTURES)
            assert [one["what"] for one in job["history"]] == ["asked for", "started", "done"]
            ready = address.replace("/api/v1/jobs", "/readyz")
            deadline = time.monotonic() + SECONDS
            while get(ready)["snapshot"] != job["report"]["snapshot"]:
                assert time.monotonic() < deadline, "the server does not serve what the job published"
                time.sleep(0.1)


def test_without_a_worker_it_waits(home: Home) -> None:
    """The answer says that none is there; the job stands in line across a restart, and is run when one comes."""
    with serving(home) as (_, address):
        job = requests.post(address, json={"dry_run": True}, headers=BEARER, timeout=20).json()
        assert (job["state"], job["worker"]["alive"]) == ("queued", False)
    with serving(home) as (_, address):
        assert get(f"{address}/{job['id']}")["state"] == "queued"
        with working(home):
            done = wait(f"{address}/{job['id']}", lambda job: job["ended"])
    assert (done["state"], done["report"]["snapshot"]) == ("done", None)
    assert done["report"]["pictures"] == PICTURES
