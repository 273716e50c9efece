"""`indexer.collect.fetch`: one request, answered by a host that does as its path says."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from urllib.parse import quote

import pytest
from requests import Session

from indexer.collect.answers import Answer
from indexer.collect.borders import guarded_session, networks_of
from indexer.collect.fetch import PICTURES, Moved, Question, Trouble, ask, cut
from indexer.collect.manners import objection
from recommender.errors import BuildError, FetchFailed, FetchRefused

MOST = 100_000


class _Host(BaseHTTPRequestHandler):
    """Sends what the path names, without caring for HTTP."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Write no line to the terminal."""

    def do_GET(self) -> None:
        """Answer by the path."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
        moved = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
        raw = {
            "/garbage": b"\x00\x1b[31m" * 100,
            "/chunk": head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nxx",
            "/lie": head + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nlies",
            "/length": head + b"Content-Length: 99999999999999999999999\r\n\r\n",
            "/heads": head + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n",
            "/long": head + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
            "/zip": head + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(50 * MOST)),
            "/tags": head + b'X-Robots-Tag: googlebot: noindex\r\nX-Robots-Tag:  noai\r\nETag: "a\r\n b"\r\n'
            b"Content-Length: 3\r\n\r\nfew",
            "/moved-utf-8": moved + "/ルフィ.jpg".encode() + b"\r\n\r\n",
            "/moved-latin-1": moved + "/é.jpg".encode("latin-1") + b"\r\n\r\n",
            "/moved-long": moved + b"/" + b"a" * 5_000 + b"\r\n\r\n",
            "/moved-port": moved + b"http://127.0.0.1:99999/\r\n\r\n",
            "/moved-bracket": moved + b"http://[::1/\r\n\r\n",
            "/few": head + b"Content-Length: 3\r\n\r\nfew",
        }.get(self.path, head + b"\r\n")
        self.close_connection = True
        self.wfile.write(raw)
        try:
            while self.path == "/endless":
                self.wfile.write(b"#" * 999 + b"\n")
            while self.path == "/drip":
                self.wfile.write(b"#")
                sleep(0.1)
            if self.path == "/silent":
                self.connection.recv(1)
        except OSError:
            pass


@pytest.fixture
def host() -> Iterator[str]:
    """Give the address of such a host."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Host) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session that may reach this machine."""
    with guarded_session("test", networks_of("127.0.0.0/8")) as session:
        yield session


def _question(address: str, *, clipped: bool = False, packed: bool = False) -> Question:
    return Question(address, MOST, 5.0, "*/*", PICTURES, clipped=clipped, packed=packed)


@pytest.mark.parametrize(
    ("path", "kind", "why"),
    [
        ("garbage", Trouble, "cut off"),
        ("chunk", Trouble, "cut off"),
        ("heads", Trouble, "cut off"),
        ("long", Trouble, "cut off"),
        ("lie", FetchFailed, "no proper answer"),
        ("length", FetchRefused, "too large"),
        ("endless", FetchRefused, "too large"),
        ("zip", FetchRefused, "too large"),
        ("moved-long", FetchFailed, "no proper answer"),
        ("moved-port", FetchFailed, "no proper answer"),
        ("moved-bracket", FetchFailed, "no proper answer"),
    ],
)
def test_what_is_no_answer_is_an_error(
    host: str, session: Session, path: str, kind: type[FetchFailed] | type[FetchRefused], why: str
) -> None:
    """Whatever a host sends that is not what was asked for has a name, and costs no more than its limit."""
    with pytest.raises(kind) as caught:
        ask(session, _question(f"{host}/{path}"))
    error: BuildError = caught.value
    assert (error.rule if isinstance(error, FetchRefused) else getattr(error, "why", "")) == why


@pytest.mark.parametrize(("path", "name"), [("moved-utf-8", "ルフィ.jpg"), ("moved-latin-1", "é.jpg")])
def test_a_redirect_is_read_as_it_was_sent(host: str, session: Session, path: str, name: str) -> None:
    """Where a redirect leads may be told in UTF-8 without escapes, or in Latin-1."""
    assert ask(session, _question(f"{host}/{path}")) == Moved(f"{host}/{quote(name)}")


def test_headers_that_came_several_times(host: str, session: Session) -> None:
    """What one X-Robots-Tag tells another robot does not hide what the next one tells everybody; folds are blanks."""
    answer = ask(session, _question(f"{host}/tags"))
    assert isinstance(answer, Answer)
    assert answer.headers["X-Robots-Tag"].split("\n") == ["googlebot: noindex", "noai"]
    assert objection(answer.headers) == "X-Robots-Tag: noai"
    again = replace(_question(f"{host}/tags"), etag=answer.headers["ETag"])
    assert isinstance(ask(session, again), Answer)


@pytest.mark.parametrize("path", ["endless", "zip"])
def test_a_clipped_answer_is_its_beginning(host: str, session: Session, path: str) -> None:
    """Where the beginning is enough, the rest is left unread, and the next answer is a whole one."""
    answer = ask(session, _question(f"{host}/{path}", clipped=True, packed=True))
    assert isinstance(answer, Answer)
    assert len(answer.data) == MOST
    after = ask(session, _question(f"{host}/few", clipped=True))
    assert isinstance(after, Answer)
    assert after.data == b"few"


def test_nobody_there(session: Session) -> None:
    """A host that refuses connections, and a name that leads nowhere, are unreachable."""
    with socket.socket() as free:
        free.bind(("127.0.0.9", 0))
        address = f"http://127.0.0.9:{free.getsockname()[1]}/"
    for one in (address, "http://name.invalid/"):
        with pytest.raises(Trouble) as caught:
            ask(session, _question(one))
        assert caught.value.unreachable
        assert caught.value.why == "unreachable"


def test_an_answer_without_a_length_is_late_too(host: str, session: Session) -> None:
    """Byte after byte, without a length and without an end: the time for it is over all the same."""
    started = monotonic()
    with pytest.raises(FetchFailed, match=r"not there within 0\.5 seconds"):
        ask(session, Question(f"{host}/drip", MOST, 0.5, "*/*", PICTURES))
    assert monotonic() - started < 3


def test_another_thread_may_cut_it(host: str, session: Session) -> None:
    """An answer that does not come is ended from outside, at once."""
    threading.Timer(0.3, cut, [session]).start()
    started = monotonic()
    with pytest.raises(Trouble):
        ask(session, _question(f"{host}/silent"))
    assert monotonic() - started < 3
