"""The operator's page without a browser: who gets in, what a form needs, what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import time

import pytest
from flask.testing import FlaskClient

from recommender.jobs import Jobs
from recommender.publication import Publication
from recommender.settings import Settings
from tests.web.test_jobs import REPORT, TOKEN, remember
from tests.web.world import World
from web import create_app
from web.access import SESSION_SECONDS

PAGE = "/admin/jobs"


@pytest.fixture
def client(own_world: World) -> Iterator[FlaskClient]:
    """Return a client that has no token yet."""
    remember(own_world, str(own_world.library))
    with own_world.publication() as publication:
        yield create_app(replace(own_world.settings, admin_token=TOKEN), publication).test_client()


@pytest.fixture
def operator(client: FlaskClient) -> FlaskClient:
    """Return a client that has told the token."""
    assert client.post("/admin/session", data={"token": TOKEN}).status_code == 303
    return client


@pytest.fixture
def jobs(own_world: World) -> Jobs:
    """Return the jobs of the home."""
    return Jobs(own_world.settings.home)


def form_token(client: FlaskClient) -> str:
    """Return what the page's forms carry."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', client.get(PAGE).text)
    assert found
    return found[1]


def test_the_token_is_asked_for(client: FlaskClient, own_world: World, jobs: Jobs) -> None:
    """Whoever has not told it sees a form, and nothing of home, jobs or library; no form does anything for them."""
    job = jobs.add(str(own_world.library), {})
    tries = [
        (200, client.get(PAGE)),
        (200, client.get(f"{PAGE}/{job.id}")),
        (403, client.post(PAGE)),
        (403, client.post(f"{PAGE}/{job.id}/cancel")),
    ]
    for status, answer in tries:
        assert (answer.status_code, "SOKKURI_ADMIN_TOKEN" in answer.text) == (status, True)
        assert job.id not in answer.text
        assert str(own_world.library) not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
    assert jobs.job(job.id).state == "queued"


@pytest.mark.parametrize("wrong", ["", "x", TOKEN[:-1], TOKEN + "x", "ü" * 20, "x" * 10_000])
def test_a_wrong_token(client: FlaskClient, wrong: str) -> None:
    """It is refused in words, brings no cookie, and is not shown again."""
    answer = client.post("/admin/session", data={"token": wrong})
    assert answer.status_code == 403
    assert "not the token" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert not wrong or len(wrong) < 2 or wrong not in answer.text


def test_the_cookie(client: FlaskClient) -> None:
    """No script can read it, no other site's page sends it, it goes nowhere else, and it does not hold the token."""
    answer = client.post("/admin/session", data={"token": TOKEN})
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/admin"} <= set(cookie.split("; "))
    assert "Max-Age=28800" in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    for behind in ({"base_url": "https://localhost"}, {"headers": {"X-Forwarded-Proto": "https"}}):
        sent = client.post("/admin/session", data={"token": TOKEN}, **behind)
        assert "Secure" in sent.headers["Set-Cookie"]


def test_the_cookie_opens_the_page_alone(operator: FlaskClient) -> None:
    """The interface for programs wants its token with each request: so no page of another site can ride on a cookie."""
    assert "Start a job" in operator.get(PAGE).text
    assert operator.get("/api/v1/jobs").status_code == 401
    assert operator.get(PAGE, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_forged_or_old_cookie(client: FlaskClient, own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not signed with this token, was changed, or is over, is no session."""
    client.post("/admin/session", data={"token": TOKEN})
    found = client.get_cookie("sokkuri_admin", path="/admin")
    assert found
    good = found.value
    until, number, signature = good.split(".")
    forged = [
        "",
        "x",
        "..",
        f"{until}.{number}.",
        f"{until}.{number}.{'0' * 64}",
        f"{int(until) + 1}.{number}.{signature}",
        f"{until}.{number[::-1]}.{signature}",
        f"{until}.{number}.{signature}ü",
        "9" * 4000,
    ]
    for value in forged:
        client.set_cookie("sokkuri_admin", value, path="/admin")
        assert "SOKKURI_ADMIN_TOKEN" in client.get(PAGE).text, value
    client.set_cookie("sokkuri_admin", good, path="/admin")
    assert "Start a job" in client.get(PAGE).text
    with own_world.publication() as publication:
        other = create_app(replace(own_world.settings, admin_token=TOKEN[::-1]), publication)
        stranger = other.test_client()
        stranger.set_cookie("sokkuri_admin", good, path="/admin")
        assert "SOKKURI_ADMIN_TOKEN" in stranger.get(PAGE).text
    now = time()
    monkeypatch.setattr("web.access.time", lambda: now + SESSION_SECONDS + 1)
    assert "SOKKURI_ADMIN_TOKEN" in client.get(PAGE).text


def test_start_and_cancel(operator: FlaskClient, jobs: Jobs, own_world: World) -> None:
    """The forms do what the interface does, and lead back to the page; one that comes too late is told."""
    token = form_token(operator)
    wanted = {"form_token": token, "library": str(own_world.library), "full": "on"}
    assert operator.post(PAGE, data=wanted).status_code == 303
    (job,) = jobs.latest()
    assert (job.library, job.options["full"], job.options["accept"]) == (str(own_world.library), True, False)
    page = operator.get(PAGE).text
    assert job.id in page
    assert "No worker is there" in page
    again = operator.post(PAGE, data=wanted)
    assert (again.status_code, job.id in again.text, 'role="alert"' in again.text) == (409, True, True)
    assert operator.post(f"{PAGE}/{job.id}/cancel", data={"form_token": token}).status_code == 303
    assert jobs.job(job.id).state == "cancelled"
    other = operator.post(PAGE, data=wanted | {"library": "/etc"})
    assert (other.status_code, len(jobs.latest())) == (422, 1)


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/x/cancel", "/admin/leave"])
@pytest.mark.parametrize("token", [None, "", "0" * 64, "ü"])
def test_a_form_of_another_page_does_nothing(operator: FlaskClient, jobs: Jobs, path: str, token: str | None) -> None:
    """Without what only a page of this session knows, a form is refused although the cookie is right."""
    data = {} if token is None else {"form_token": token}
    assert operator.post(path, data=data).status_code == 403
    assert jobs.latest() == []
    assert "Start a job" in operator.get(PAGE).text


def test_forms_of_two_sessions_differ(operator: FlaskClient) -> None:
    """What one browser's forms carry is worth nothing in another."""
    first = form_token(operator)
    operator.post("/admin/session", data={"token": TOKEN})
    assert form_token(operator) != first


def test_leaving(operator: FlaskClient) -> None:
    """After that the token is asked for again."""
    operator.post("/admin/leave", data={"form_token": form_token(operator)})
    assert "SOKKURI_ADMIN_TOKEN" in operator.get(PAGE).text


def test_what_it_shows(operator: FlaskClient, jobs: Jobs, own_world: World) -> None:
    """Snapshot, worker, stage, pictures and time left of the running job; error and report of those that ended."""
    job = jobs.add(str(own_world.library), {})
    jobs.claim(job.id)
    jobs.beat(4711)
    jobs.tell(job.id, "scanning", (1234, 2406), 98.4)
    page = operator.get(PAGE).text
    for said in ("s1", "20 pictures", "process 4711", "1,234 of 2,406 pictures", "1\u202fmin 38\u202fs left"):
        assert said in page
    assert re.search(r'<progress max="2406" value="1234"', page)
    jobs.cancel(job.id)
    assert "Stopping at the next safe point" in operator.get(PAGE).text
    jobs.put_back(job.id, "stopped", died=False)
    job = jobs.add(str(own_world.library), {})
    jobs.claim(job.id)
    jobs.end(job.id, "failed", "only <b>half</b> of it; nothing was published", REPORT | {"snapshot": None})
    page = operator.get(PAGE).text
    assert "Only &lt;b&gt;half&lt;/b&gt; of it; nothing was published." in page
    page = operator.get(f"{PAGE}/{job.id}").text
    for said in (
        "Nothing was published",
        "90.0 %",
        "red-sea",
        "&lt;b&gt;broken&lt;/b&gt;.png",
        "Asked for.",
        "Started.",
    ):
        assert said in page
    assert "newly embedded" in page
    assert operator.get(f"{PAGE}/nothing").status_code == 404


def test_a_dry_run_shows_what_is_to_be_embedded(operator: FlaskClient, jobs: Jobs, own_world: World) -> None:
    """Its report says how many pictures a run would embed, and does not call them embedded."""
    job = jobs.add(str(own_world.library), {"dry_run": True})
    jobs.claim(job.id)
    jobs.end(job.id, "done", report=REPORT | {"snapshot": None, "embedded": 4321})
    page = operator.get(f"{PAGE}/{job.id}").text
    assert re.search(r"to be embedded</dt>\s*<dd>4,321", page)
    assert "newly embedded" not in page


def test_before_anything_was_indexed(tmp_path: Path) -> None:
    """An empty home is told what to run at its terminal, and nobody can start anything."""
    publication = Publication(Settings(home=tmp_path / "nothing"))
    client = create_app(Settings(home=tmp_path / "nothing", admin_token=TOKEN), publication).test_client()
    client.post("/admin/session", data={"token": TOKEN})
    page = client.get(PAGE)
    assert page.status_code == 200
    assert "sokkuri reindex LIBRARY" in page.text
    assert "<select" not in page.text
    publication.close()


def test_a_damaged_file_is_told(operator: FlaskClient, jobs: Jobs) -> None:
    """The page is there all the same, and says what is wrong with the jobs."""
    jobs.file.write_bytes(b"no database " * 1000)
    page = operator.get(PAGE)
    assert (page.status_code, "is damaged" in page.text) == (503, True)


def test_huge_forms_are_refused(operator: FlaskClient) -> None:
    """A form of ours is small: a huge one is not read."""
    assert operator.post(PAGE, data={"library": "x" * 100_000}).status_code == 413
    assert operator.post("/admin/session", data={"token": "x" * 100_000}).status_code == 413
