"""The jobs as JSON: for whoever has the token, about what the home knows, one at a time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from indexer.drift import Drift
from indexer.listing import Reject
from indexer.outcome import Gone, ReindexReport
from recommender.catalogue import Catalogue, FileRow
from recommender.jobs import OPTIONS, Jobs
from recommender.publication import Publication
from recommender.settings import Settings
from tests.web.test_openapi import check
from tests.web.world import World
from web import create_app
from web.openapi import DOCUMENT
from web.openapi_jobs import PATHS, document

TOKEN = "a-token-of-some-length"  # noqa: S105 - of nobody
BEARER = {"Authorization": f"Bearer {TOKEN}"}
REPORT = ReindexReport(
    snapshot="20260101T000000Z-00",
    model="fake",
    engine="fake-float32",
    **dict.fromkeys(("pictures", "characters", "shows", "added", "changed", "moved", "removed", "embedded"), 1),
    drift=Drift("s1", 0.9, 100, (("red-sea", 0.5),)),
    held="",
    index={"key": "Flat", "recall10": 1.0, "how": "built", "why": ""},
    rejects=(Reject("red-sea/ada/<b>broken</b>.png", "it is cut off"),),
    seconds={"scanning": 1.5},
    gone=Gone(0.1, (("red-sea", 1),)),
).to_json()
"""What a reindex really reports."""


def remember(world: World, library: str) -> None:
    """Let the world's home have looked through a library."""
    with Catalogue(world.settings.database_url) as catalogue:
        rows = [FileRow(row.path, 1, 1, 1, "r", row.id, 8, 8, "PNG", perceptual_hash=1) for row in world.pictures]
        catalogue.remember_files(library, rows)


@pytest.fixture
def jobs_app(own_world: World) -> Iterator[Flask]:
    """Wire an application with a token, on a world whose library was indexed."""
    remember(own_world, str(own_world.library))
    with own_world.publication() as publication:
        yield create_app(replace(own_world.settings, admin_token=TOKEN), publication)


@pytest.fixture
def jobs_client(jobs_app: Flask) -> FlaskClient:
    """Return a client of it."""
    return jobs_app.test_client()


@pytest.fixture
def jobs(own_world: World) -> Jobs:
    """Return the jobs of the world's home."""
    return Jobs(own_world.settings.home)


def ask(client: FlaskClient, **wanted: Any) -> TestResponse:
    """Ask for a job with the token."""
    return client.post("/api/v1/jobs", json=wanted, headers=BEARER)


ADDRESSES = [("GET", ""), ("POST", ""), ("GET", "/x"), ("POST", "/x/cancel")]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_without_a_token_there_is_nothing(client: FlaskClient, method: str, path: str) -> None:
    """No address of theirs exists then, nor the operator's page: they answer as any unknown one, token or not."""
    unknown = client.open(f"/api/v1/nothing{path}", method=method, headers=BEARER)
    answer = client.open(f"/api/v1/jobs{path}", method=method, headers=BEARER)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.get_json() == unknown.get_json()
    assert client.get("/admin/jobs").status_code == 404
    assert client.post("/admin/session", data={"token": ""}).status_code == 404
    assert client.get("/api/openapi.json").get_json() == DOCUMENT


def test_they_are_described_where_they_are(jobs_app: Flask, jobs_client: FlaskClient) -> None:
    """With a token the description holds every address of theirs and method, and nothing else; so does its page."""
    served = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method)
        for rule in jobs_app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] == "jobs"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(path, method.upper()) for path, operations in PATHS.items() for method in operations} == served
    assert jobs_client.get("/api/openapi.json").get_json() == document(with_jobs=True)
    page = jobs_client.get("/api/docs").text
    assert all(path in page for path in PATHS)


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
@pytest.mark.parametrize(
    ("header", "error"),
    [
        (None, False),
        ("", False),
        ("Bearer", True),
        ("Bearer ", True),
        (f"Bearer {TOKEN}x", True),
        (f"Bearer {TOKEN[:-1]}", True),
        (f"Basic {TOKEN}", False),
        (f"Token {TOKEN}", False),
        ("Bearer b\u00fc" + "x" * 20, True),
        ("Bearer " + "x" * 5000, True),
        (TOKEN, False),
    ],
)
def test_a_wrong_token_is_401(
    jobs_client: FlaskClient, jobs: Jobs, method: str, path: str, header: str | None, error: bool
) -> None:
    """Without the token nothing is told or done, whatever is sent; the answer says what is missing, and no secret.

    RFC 6750: the challenge names an error where there was a token, and none where there was not.
    """
    headers = {} if header is None else {"Authorization": header}
    answer = jobs_client.open(f"/api/v1/jobs{path}", method=method, headers=headers, data=b"{" * 100)
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    challenge = 'Bearer realm="sokkuri"' + (', error="invalid_token"' if error else "")
    assert answer.headers["WWW-Authenticate"] == challenge
    assert TOKEN not in answer.text + str(answer.headers)
    assert jobs_client.get(answer.get_json()["type"]).status_code == 200
    assert jobs.latest() == []


def test_asking(jobs_client: FlaskClient, jobs: Jobs, own_world: World) -> None:
    """202 says where the job is, that it is about the published library, and that no worker is there to run it."""
    answer = jobs_client.post("/api/v1/jobs", headers=BEARER)
    job = answer.get_json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == job["url"] == f"/api/v1/jobs/{job['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (job["state"], job["library"]) == ("queued", str(own_world.library))
    assert job["options"] == dict.fromkeys(OPTIONS, False)
    assert job["worker"]["alive"] is False
    assert "sokkuri worker" in job["worker"]["notice"]
    jobs.beat(1)
    again = jobs_client.get(job["url"], headers=BEARER).get_json()
    assert again["worker"] | {"seen": ""} == {"alive": True, "seen": "", "notice": ""}
    assert jobs_client.get(job["url"], headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_asking_for_more(jobs_client: FlaskClient, own_world: World) -> None:
    """Library and options are taken as they are named."""
    job = ask(jobs_client, library=f"{own_world.library}/", full=True, accept=False).get_json()
    assert (job["library"], job["options"]["full"], job["options"]["accept"]) == (str(own_world.library), True, False)


def test_one_at_a_time(jobs_client: FlaskClient, jobs: Jobs) -> None:
    """The second one is told which the first is."""
    first = ask(jobs_client).get_json()
    for _ in range(2):
        answer = ask(jobs_client)
        assert answer.status_code == 409
        assert first["id"] in answer.get_json()["detail"]
        jobs.claim(first["id"])
    jobs.end(first["id"], "done", report=REPORT)
    assert ask(jobs_client).status_code == 202


def test_of_two_at_once_one_wins(jobs_app: Flask, jobs: Jobs) -> None:
    """Requests that come in the same moment: one 202, all others 409, one job."""
    start, statuses = threading.Barrier(6), []

    def post() -> None:
        client = jobs_app.test_client()
        start.wait()
        statuses.append(ask(client).status_code)

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [202, 409, 409, 409, 409, 409]
    assert len(jobs.latest()) == 1


@pytest.mark.parametrize("library", ["/etc", "/", "", "library", "..", "x\0y", "/" * 5000, "~"])
def test_no_other_folder_is_opened(jobs_client: FlaskClient, jobs: Jobs, own_world: World, library: str) -> None:
    """What was never indexed here is refused without a look at it, and what is known is named."""
    answer = ask(jobs_client, library=library)
    assert answer.status_code == 422
    assert str(own_world.library) in answer.get_json()["detail"]
    assert jobs.latest() == []


def test_parts_of_a_library_are_other_folders(jobs_client: FlaskClient, own_world: World) -> None:
    """Neither what is in it, nor where it lies, nor another way to write a folder is let in."""
    for other in (own_world.library / "red-sea", own_world.library.parent, f"{own_world.library}/../home"):
        assert ask(jobs_client, library=str(other)).status_code == 422


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe{}", "application/json", 400),
        (b"[" * 15_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'"full"', "application/json", 422),
        (b'{"full": 1}', "application/json", 422),
        (b'{"full": "yes"}', "application/json", 422),
        (b'{"library": ["/etc"]}', "application/json", 422),
        (b'{"library": null}', "application/json", 422),
        (b'{"home": "/etc"}', "application/json", 422),
        (b'{"target_recall": 0}', "application/json", 422),
        (b'{"full": true}', "text/plain", 415),
        (b"full=true", "application/x-www-form-urlencoded", 415),
        (json.dumps({"library": "x" * 30_000}).encode(), "application/json", 413),
    ],
)
def test_hostile_bodies(jobs_client: FlaskClient, jobs: Jobs, body: bytes, kind: str, status: int) -> None:
    """What is no job is refused by its own status, in a problem document, and nothing is started."""
    answer = jobs_client.post("/api/v1/jobs", data=body, content_type=kind, headers=BEARER)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert len(answer.get_json()["detail"]) < 500
    assert jobs.latest() == []


def test_parameters_are_refused(jobs_client: FlaskClient) -> None:
    """A query string, of which none is known, is not ignored."""
    for path in ("/api/v1/jobs", "/api/v1/jobs/x"):
        assert jobs_client.get(f"{path}?full=true", headers=BEARER).status_code == 400


def test_cancel(jobs_client: FlaskClient, jobs: Jobs) -> None:
    """A waiting job is cancelled at once, a running one is about to be; an ended one is 409, an unknown one 404."""
    job = ask(jobs_client).get_json()
    assert jobs_client.post(f"{job['url']}/cancel", headers=BEARER).get_json()["state"] == "cancelled"
    job = ask(jobs_client).get_json()
    jobs.claim(job["id"])
    told = jobs_client.post(f"{job['url']}/cancel", headers=BEARER).get_json()
    assert (told["state"], told["cancelling"]) == ("running", True)
    jobs.end(job["id"], "done")
    assert jobs_client.post(f"{job['url']}/cancel", headers=BEARER).status_code == 409
    for path in ("/api/v1/jobs/x", "/api/v1/jobs/%00", "/api/v1/jobs/" + "x" * 5000):
        assert jobs_client.get(path, headers=BEARER).status_code == 404
        assert jobs_client.post(f"{path}/cancel", headers=BEARER).status_code == 404


def test_answers_have_the_described_shape(jobs_client: FlaskClient, jobs: Jobs) -> None:
    """While it waits, runs and after it ended, and in the list, a job has exactly the described fields."""
    job = ask(jobs_client).get_json()
    jobs.beat(1)
    schemas = document(with_jobs=True)["components"]["schemas"]

    def looked() -> dict[str, Any]:
        found: dict[str, Any] = jobs_client.get(job["url"], headers=BEARER).get_json()
        check(found, schemas["Job"], "Job")
        check(jobs_client.get("/api/v1/jobs", headers=BEARER).get_json(), schemas["Jobs"], "Jobs")
        return found

    assert looked()["progress"] is None
    jobs.claim(job["id"])
    jobs.tell(job["id"], "scanning", (3, 9), 2.5)
    running = looked()
    assert (running["stage"], running["progress"], running["seconds_left"]) == (
        "scanning",
        {"done": 3, "total": 9},
        2.5,
    )
    jobs.end(job["id"], "done", report=REPORT)
    assert looked()["report"] == REPORT


def test_newest_first(jobs_client: FlaskClient, jobs: Jobs, own_world: World) -> None:
    """The list has the newest on top, and what may be reindexed."""
    first = ask(jobs_client).get_json()["id"]
    jobs.cancel(first)
    second = ask(jobs_client).get_json()["id"]
    found = jobs_client.get("/api/v1/jobs", headers=BEARER).get_json()
    assert [job["id"] for job in found["jobs"]] == [second, first]
    assert found["libraries"] == [str(own_world.library)]


def test_before_anything_was_indexed(tmp_path: Any) -> None:
    """An empty home has no jobs, and says what to run first."""
    settings = Settings(home=tmp_path / "nothing", admin_token=TOKEN)
    publication = Publication(settings)
    client = create_app(settings, publication).test_client()
    assert client.get("/api/v1/jobs", headers=BEARER).get_json()["jobs"] == []
    answer = ask(client)
    assert answer.status_code == 422
    assert "sokkuri reindex LIBRARY" in answer.get_json()["detail"]
    publication.close()


def test_a_damaged_file_is_503(jobs_client: FlaskClient, jobs: Jobs) -> None:
    """Where the jobs cannot be read, that is told, and everything else is answered as ever."""
    jobs.file.write_bytes(b"no database " * 1000)
    answer = jobs_client.get("/api/v1/jobs", headers=BEARER)
    assert (answer.status_code, answer.get_json()["type"]) == (503, "/api/problems/no-jobs")
    assert ask(jobs_client).status_code == 503
    assert jobs_client.get("/api/v1/shows").status_code == 200


def test_what_a_server_needs_for_jobs_is_light() -> None:
    """Asking for a job and showing it loads neither a network library nor anything of `indexer`."""
    script = "import sys, web.jobs, web.admin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "huey" in loaded
    assert {"torch", "openvino", "indexer", "multiprocessing.pool"}.isdisjoint(loaded)
