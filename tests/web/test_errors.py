"""Errors: a problem document under /api, a page elsewhere, never a traceback."""

from __future__ import annotations

import inspect
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import recommender.errors
from recommender.catalogue import Catalogue, ModelRow
from recommender.errors import Busy, LabelMismatch, NoSnapshot, NotFound, SokkuriError, SpaceMismatch
from tests.indexer.disks import full_disk
from tests.web.test_uploads import send
from tests.web.world import World, draw
from web import create_app
from web.errors import PROBLEMS, explain


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/v2/shows", 404),
        ("GET", "/api//v1/shows", 404),
        ("GET", "/api/problems/none", 404),
        ("GET", "/api/v1/recommendations", 405),
        ("DELETE", "/api/v1/shows", 405),
        ("POST", "/readyz", 405),
    ],
)
def test_problem_documents(client: FlaskClient, method: str, path: str, status: int) -> None:
    """Unknown addresses and methods under /api are told in the same form as everything else."""
    response = client.open(path, method=method)
    problem = response.get_json()
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert list(problem) == ["type", "title", "status", "detail"]
    assert problem["status"] == status
    assert client.get(problem["type"]).status_code == 200
    assert ("Allow" in response.headers) == (status == 405)


def test_pages_have_error_pages(client: FlaskClient) -> None:
    """Elsewhere an error is a page of the same look."""
    response = client.get("/nowhere")
    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "There is no such thing" in response.text
    assert client.get("/shows/nowhere").status_code == 404
    assert client.get("/characters/red-sea/ada?page=99").status_code == 400


def test_every_problem_is_explained(client: FlaskClient) -> None:
    """The type of each problem is the address of a page that explains it."""
    for problem in PROBLEMS.values():
        assert problem.title in client.get(problem.address).text


FETCHING = (recommender.errors.FetchRefused, recommender.errors.FetchFailed)
"""These name a rule or a kind of failure beside the sentence."""


def test_every_family_has_a_status(app: Flask) -> None:
    """What a client can cause or meet has a status of its own; only failed builds, which no client meets, are 500."""
    families = [kind for _, kind in inspect.getmembers(recommender.errors, inspect.isclass)]
    with app.test_request_context():
        statuses = {
            kind: explain(kind("rule", "why") if issubclass(kind, FETCHING) else kind("why")).problem.status
            for kind in families
            if issubclass(kind, SokkuriError)
        }
    mistakes = {kind.__name__ for kind, status in statuses.items() if status == 500}
    batch = {"BuildError", "BadLibrary", "BadSources", "FetchFailed", "FetchRefused", "FidelityTooLow", "NoNetwork"}
    assert mistakes == {"SokkuriError", "UnknownArtefacts", *batch}


def test_busy_says_when_to_come_back(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too much work is 503 with the number of seconds to wait."""

    def refuse(*_args: object) -> None:
        raise Busy("too much", retry_after=7)

    monkeypatch.setattr("recommender.service.Recommender.recommend", refuse)
    response = client.post("/api/v1/recommendations", data=draw(0), content_type="image/png")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")


def test_mistakes_are_logged_and_not_shown(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of the server is 500: the log has the traceback, the client a sentence."""

    def fail(*_args: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("recommender.service.Recommender.recommend", fail)
    client = app.test_client()
    for path in ("/api/v1/recommendations", "/"):
        response = send(client, draw(0), url=path)
        assert response.status_code == 500
        assert "secret" not in response.text
        assert "Traceback" not in response.text
    assert "a secret detail" in caplog.text


def test_nothing_published(empty_client: FlaskClient) -> None:
    """Before anything is indexed the service says so: 503, when to come back, and the two commands to run."""
    for path in ("/api/v1/shows", "/readyz", "/api/v1/shows/x/similar"):
        response = empty_client.get(path)
        assert (response.status_code, response.content_type) == (503, "application/problem+json")
        assert int(response.headers["Retry-After"]) > 0
        assert "sokkuri reindex LIBRARY" in response.get_json()["detail"]
    assert empty_client.post("/api/v1/recommendations", data=draw(0), content_type="image/png").status_code == 503
    assert empty_client.get("/healthz").get_json() == {"status": "alive"}


@pytest.fixture
def broken_client(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """Return a client of a server whose model folder is missing."""
    with world.publication() as publication:

        def missing() -> None:
            raise NotFound("there is no model 'x' in var/models")

        monkeypatch.setattr(publication, "current", missing)
        yield create_app(world.settings, publication).test_client()


def test_missing_model_is_not_the_clients_fault(broken_client: FlaskClient) -> None:
    """A model that is missing on the server is 503: the address that the client asked for is right."""
    assert broken_client.get("/readyz").status_code == 503
    assert broken_client.get("/").status_code == 503
    assert broken_client.get("/shows").status_code == 503


def test_label_mismatch_is_503(app: Flask) -> None:
    """A model error is told as such."""
    with app.test_request_context():
        explained = explain(LabelMismatch("the labels differ"))
    assert (explained.problem.name, explained.headers) == ("no-model", {"Retry-After": "5"})


def test_damage_is_told_as_damage(own_world: World) -> None:
    """A published file that is damaged is named, with its remedy; nobody is told that nothing was published."""
    (file,) = (own_world.settings.home / "snapshots" / "s1").glob("*.faiss")
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with own_world.publication() as publication:
        client = create_app(own_world.settings, publication).test_client()
        page, document = client.get("/"), client.get("/readyz")
    assert (page.status_code, document.status_code) == (503, 503)
    assert document.get_json()["type"] == "/api/problems/damaged"
    assert file.name in document.get_json()["detail"]
    assert "What was published is damaged" in page.text
    assert file.name in page.text
    assert "sokkuri train" not in page.text
    assert int(page.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("revision", "remedy"), [("9999", "install that version"), ("0000", "sokkuri db upgrade")])
def test_a_catalogue_of_another_version_is_told_as_such(own_world: World, revision: str, remedy: str) -> None:
    """Whether Sokkuri or the catalogue is the older one, the page and /readyz say so, and not that nothing is there."""
    with closing(sqlite3.connect(own_world.settings.home / "catalogue.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    told(own_world, "catalogue-version", "The catalogue is that of another version", remedy)


def test_a_full_disk_is_told_as_such(own_world: World, tmp_path: Path) -> None:
    """Where what was committed last cannot be read for want of room, the page and /readyz say to make some."""
    copied = replace(own_world, settings=replace(own_world.settings, home=tmp_path / "left by a crash"))
    with Catalogue(own_world.settings.database_url) as catalogue:
        catalogue.add_model(ModelRow("another", "fake", "1" * 64, "space", "2026-01-02T00:00:00+00:00"))
        shutil.copytree(own_world.settings.home, copied.settings.home)
    (copied.settings.home / "catalogue.db-shm").unlink()
    with full_disk(100):
        told(copied, "no-room", "The disk is full", "make room")


def test_a_catalogue_that_cannot_be_opened_is_told_as_such(own_world: World) -> None:
    """A folder in the place of its file is no home before its first reindex."""
    file = own_world.settings.home / "catalogue.db"
    file.unlink()
    file.mkdir()
    told(own_world, "no-catalogue", "The catalogue cannot be used", "unable to open database file")


def told(world: World, name: str, title: str, sentence: str) -> None:
    """Assert what a server of this world says of its trouble: its type, its title, a sentence, and what it means."""
    with world.publication() as publication:
        client = create_app(world.settings, publication).test_client()
        page, document = client.get("/"), client.get("/readyz")
    assert (page.status_code, document.status_code) == (503, 503)
    problem = document.get_json()
    assert (problem["type"], problem["title"]) == (f"/api/problems/{name}", title)
    assert sentence in problem["detail"]
    assert title in page.text
    assert PROBLEMS[name].meaning in page.text
    assert "sokkuri train" not in page.text
    assert int(page.headers["Retry-After"]) > 0


def test_an_index_of_another_model_is_told_as_such(app: Flask) -> None:
    """Where snapshot and model do not fit there is something to answer from, but it has to be indexed anew."""
    with app.test_request_context():
        assert explain(SpaceMismatch("another space")).problem.name == "space-mismatch"
        assert explain(NoSnapshot("nothing yet")).problem.name == "no-snapshot"
