"""The pages: they work as plain forms, say what they know, and let a browser do nothing but that."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.test_uploads import send
from tests.web.world import build, draw
from web import create_app
from web.wording import percent


def ask(client: FlaskClient, data: bytes) -> TestResponse:
    """Send the page's form."""
    return send(client, data, url="/")


def test_before_the_first_picture(client: FlaskClient) -> None:
    """The page says what it does, how much it knows and with which model."""
    page = client.get("/")
    assert page.status_code == 200
    for words in ("<dd>3</dd>", "<dd>5</dd>", "<dd>20</dd>", "<strong>fake</strong>", 'name="picture"'):
        assert words in page.text


def test_answer(client: FlaskClient) -> None:
    """The answer names the character, shows the picture again without storing it, and links to more."""
    page = ask(client, draw(0, 50))
    assert page.status_code == 200
    for words in ("Ada <", "from Red Sea", "data:image/jpeg;base64,", "Shows drawn like it", "/characters/red-sea/ada"):
        assert words in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_names_are_escaped(client: FlaskClient) -> None:
    """A title is text, whatever characters are in it."""
    page = ask(client, draw(4, 50)).text
    assert "&lt;b&gt;No &amp; Year&lt;/b&gt;" in page
    assert "<b>No" not in page


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [(b"", 400, "empty"), (b"text " * 99, 415, "text"), (bytes(3_000_000), 413, "2,000,000")],
)
def test_errors_are_shown_on_the_page(client: FlaskClient, data: bytes, status: int, words: str) -> None:
    """A refused picture leaves the form in place, with the sentence and the status."""
    page = ask(client, data)
    assert page.status_code == status
    assert 'role="alert"' in page.text
    assert words in page.text
    assert 'name="picture"' in page.text


def test_nothing_published(empty_client: FlaskClient) -> None:
    """Before anything is indexed the page says what to run, with status 503."""
    for page in (empty_client.get("/"), ask(empty_client, draw(0))):
        assert page.status_code == 503
        assert "sokkuri train LIBRARY\nsokkuri reindex LIBRARY" in page.text
    assert empty_client.get("/shows").status_code == 503
    assert empty_client.get("/api/docs").status_code == 200


def test_other_pages(client: FlaskClient) -> None:
    """Shows, a show and a character have pages that link to each other."""
    assert "/shows/red-sea" in client.get("/shows").text
    show = client.get("/shows/red-sea").text
    assert "/characters/red-sea/ada" in show
    assert "/shows/blue-hills" in show
    assert client.get("/characters/red-sea/ada").text.count("/thumbnail") == 4


def test_model_notice(tmp_path: Path) -> None:
    """What a model says about itself stands beside its results."""
    world = build(tmp_path, notice="Only a toy.")
    with world.publication() as publication:
        client = create_app(world.settings, publication).test_client()
        for page in (ask(client, draw(0)), client.get("/shows/red-sea")):
            assert 'role="note"' in page.text
            assert "Only a toy." in page.text


@pytest.mark.parametrize("path", ["/", "/shows", "/nowhere", "/api/docs", "/api/v1/shows", "/static/sokkuri.css"])
def test_headers(client: FlaskClient, path: str) -> None:
    """Every answer forbids frames, foreign hosts, inline code and guessing of content types."""
    with client.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"


def test_no_inline_code_and_no_foreign_host(client: FlaskClient) -> None:
    """No page holds inline script or style, nor the address of another host."""
    for page in (client.get("/"), ask(client, draw(0)), client.get("/shows/red-sea"), client.get("/nowhere")):
        assert " style=" not in page.text
        assert " onclick" not in page.text
        assert "<script>" not in page.text
        assert "//" not in page.text.replace("data:image/jpeg;base64,", "").split("base64", maxsplit=1)[0]


def test_no_cookie(client: FlaskClient) -> None:
    """Nobody is followed: no answer sets a cookie."""
    assert "Set-Cookie" not in ask(client, draw(0)).headers


def test_percent() -> None:
    """A percentage claims neither certainty nor impossibility."""
    shown = [percent(share).replace("\u202f", " ") for share in (0, 0.001, 0.914, 0.9999, 1)]
    assert shown == ["0 %", "< 1 %", "91 %", "> 99 %", "100 %"]


def test_app_needs_no_secret(app: Flask) -> None:
    """There is no session, so there is nothing to configure."""
    assert app.secret_key is None
