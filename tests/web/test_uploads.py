"""Every way to send a picture, and every wrong way: each has its status and a sentence that helps."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.pictures import HTML, SVG, animation, bomb, picture
from tests.web.world import World, draw

URL = "/api/v1/recommendations"
GOOD = draw(0, 99)


def send(client: FlaskClient, data: bytes, name: str = "picture.png", url: str = URL) -> TestResponse:
    """Send bytes as the file of a form, put together by hand: werkzeug's client would make temporary files itself."""
    head = f'--b\r\nContent-Disposition: form-data; name="picture"; filename="{name}"\r\n\r\n'.encode()
    return client.post(url, data=head + data + b"\r\n--b--\r\n", content_type="multipart/form-data; boundary=b")


@pytest.mark.parametrize(
    "request_",
    [
        {"data": {"picture": (io.BytesIO(GOOD), "x.png")}},
        {"data": GOOD, "content_type": "image/png"},
        {"data": GOOD, "content_type": "image/x-unheard-of; charset=binary"},
        {"json": {"base64": base64.b64encode(GOOD).decode()}},
        {"json": {"base64": base64.encodebytes(GOOD).decode()}},
    ],
    ids=["form", "body", "odd-type", "base64", "base64-lines"],
)
def test_three_ways_to_send(client: FlaskClient, request_: dict[str, Any]) -> None:
    """A form's file, the body itself and base64 in JSON give the same answer."""
    response = client.post(URL, **request_)
    assert response.status_code == 200
    assert response.get_json()["verdict"]["label"] == "red-sea/ada"


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"just some text\n" * 20, 415, "text"),
        (picture(1, kind="JPEG")[:-300], 400, "cut off"),
        (bomb(), 413, "50,000"),
        (SVG, 415, "SVG"),
        (HTML, 415, "HTML"),
        (b"\0" * 500, 415, "JPEG, PNG"),
        (b"%PDF-1.7\n" + b"x" * 200, 415, "PDF"),
        (b"\x89PNG\r\n\x1a\n", 400, "damaged"),
    ],
    ids=["empty", "text", "truncated", "bomb", "svg", "html", "zeros", "pdf", "stub"],
)
def test_not_a_picture(client: FlaskClient, data: bytes, status: int, words: str) -> None:
    """What is no readable picture is refused by its bytes, whatever it is called, with a sentence that says why."""
    for response in (send(client, data, "fine.jpg"), client.post(URL, data=data, content_type="image/jpeg")):
        problem = response.get_json()
        assert (response.status_code, problem["status"]) == (status, status), problem
        assert response.content_type == "application/problem+json"
        assert words in problem["detail"]


def test_animated_gif(client: FlaskClient) -> None:
    """An animation is answered by its first frame."""
    assert send(client, animation("GIF"), "moving.gif").status_code == 200


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\boot.ini", "a\0b.png", "", "x" * 5000, "<script>.svg"])
def test_file_name_is_ignored(client: FlaskClient, name: str) -> None:
    """A file name changes nothing, since nobody looks at it."""
    assert send(client, GOOD, name).status_code == 200


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"file": (io.BytesIO(GOOD), "x.png")}, "'picture'; this form has 'file'"),
        ({}, "no field at all"),
        ({"picture": "text"}, "holds text"),
        ({"picture": [(io.BytesIO(GOOD), "1.png"), (io.BytesIO(GOOD), "2.png")]}, "one picture at a time"),
        ({"x" * 500: "text"}, "x…'"),
    ],
    ids=["other-field", "empty-form", "text-field", "two-pictures", "long-name"],
)
def test_wrong_form(client: FlaskClient, form: dict[str, Any], words: str) -> None:
    """A form without the one field names the field that is expected and those that were found."""
    response = client.post(URL, data=form, content_type="multipart/form-data")
    assert response.status_code == 400
    assert words in response.get_json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"[]", 422, "shape"),
        (b'"text"', 422, "shape"),
        (b'{"picture": "AAAA"}', 422, "shape"),
        (b'{"base64": 7}', 422, "shape"),
        (b'{"base64": ""}', 400, "empty"),
        (b'{"base64": "%%%"}', 400, "not base64"),
        (b'{"base64": "AAA"}', 400, "not base64"),
        ('{"base64": "ä"}'.encode(), 400, "not base64"),
        (b'{"base64": "data:image/png;base64,AAAA"}', 400, "data:"),
    ],
)
def test_wrong_json(client: FlaskClient, body: bytes, status: int, words: str) -> None:
    """JSON that cannot be parsed is 400, JSON of another shape 422, and text that is not base64 400."""
    response = client.post(URL, data=body, content_type="application/json")
    assert response.status_code == status
    assert words in response.get_json()["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", None])
def test_other_content_types(client: FlaskClient, kind: str | None) -> None:
    """A body of another type is 415, and the sentence lists the three ways to send a picture."""
    response = client.post(URL, data=GOOD, content_type=kind)
    assert response.status_code == 415
    assert "multipart/form-data" in response.get_json()["detail"]


def test_nothing_at_all(client: FlaskClient) -> None:
    """A request without a body is told that it is empty."""
    response = client.post(URL)
    assert response.status_code == 400
    assert "empty" in response.get_json()["detail"]


@pytest.mark.parametrize("kind", ["image/png", "application/json", "multipart/form-data; boundary=b"])
def test_too_many_bytes_are_not_read(client: FlaskClient, world: World, kind: str) -> None:
    """A Content-Length over the limit is answered without a byte being parsed; the limit is in the sentence."""
    response = client.post(URL, data=b"0" * (2 * world.settings.max_bytes), content_type=kind)
    assert response.status_code == 413
    assert f"{world.settings.max_bytes:,}" in response.get_json()["detail"]


@pytest.mark.parametrize(("fields", "size"), [(2000, 1), (1, 600_000)])
@pytest.mark.parametrize("terminated", [True, False])
def test_what_is_too_much_of_a_form_is_told(client: FlaskClient, fields: int, size: int, terminated: bool) -> None:
    """A form of too many fields, or with a long text, is no picture that is too large: the sentence says what it is."""
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"y" * size + b"\r\n"
    response = client.post(
        URL,
        data=part * fields + b"--b--\r\n",
        content_type="multipart/form-data; boundary=b",
        environ_overrides={"wsgi.input_terminated": True} if terminated else {},
    )
    assert response.status_code == 400
    assert "100 fields" in response.get_json()["detail"]


def test_largest_base64_is_accepted(client: FlaskClient, world: World) -> None:
    """The limit counts the picture's bytes, also where base64 makes a third more of them."""
    data = GOOD + bytes(world.settings.max_bytes - len(GOOD))
    assert client.post(URL, json={"base64": base64.b64encode(data).decode()}).status_code == 200
    assert client.post(URL, data=data, content_type="image/png").status_code == 200
    assert send(client, data).status_code == 200
    assert send(client, data + b"0").status_code == 413


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make an empty folder the place for temporary files, and forbid any other file to be opened for writing."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a temporary file was made")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_stored(client: FlaskClient, world: World, watched: Path) -> None:
    """An upload, however large, leaves no file behind: neither a temporary one nor one in the home."""
    before = {path: path.stat().st_mtime_ns for path in files_below(world.settings.home)}
    data = GOOD + bytes(world.settings.max_bytes - len(GOOD))
    assert send(client, data).status_code == 200
    assert send(client, data, url="/").status_code == 200
    assert {path: path.stat().st_mtime_ns for path in files_below(world.settings.home)} == before
    assert not any(watched.iterdir())


def files_below(folder: Path) -> list[Path]:
    """List the files of a folder, except SQLite's, which it touches for a reader too."""
    return [path for path in folder.rglob("*") if path.is_file() and "catalogue.db-" not in path.name]
