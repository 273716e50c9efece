"""Bodies that nobody read are drained after the answer, within limits; clients that stall or leave harm nobody."""

from __future__ import annotations

import errno
import io
import socket
import time
from threading import Event, Thread

import pytest
from flask.testing import FlaskClient

from web import draining
from web.draining import drain
from web.patience import PatientSocket, TooSlow

API = "/api/v1/recommendations"


class Endless(io.RawIOBase):
    """A body that never ends, and counts what was read of it."""

    def __init__(self) -> None:
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """Return as much as is asked for, slowly."""
        time.sleep(0.001)
        self.count += size
        return bytes(size)


class Stalled(io.RawIOBase):
    """A body whose sender falls silent: the socket's timeout strikes."""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, _buffer: object) -> int:
        """Give up."""
        raise TimeoutError


def test_ends_with_the_body() -> None:
    """A body is read to its end."""
    body = io.BytesIO(bytes(1_000_000))
    drain(body)
    assert body.read() == b""


def test_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body without end holds a thread only for the set time."""
    monkeypatch.setattr(draining, "DRAIN_SECONDS", 0.2)
    started = time.monotonic()
    drain(Endless())
    assert 0.2 <= time.monotonic() - started < 1


def test_ends_with_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick sender is heard for the set number of bytes."""
    monkeypatch.setattr(draining, "DRAIN_BYTES", 1_000_000)
    body = Endless()
    drain(body)
    assert body.count == 1_000_000


def test_a_trickle_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that goes on until it has what it was asked for holds a thread no longer where bytes keep arriving."""
    monkeypatch.setattr(draining, "DRAIN_SECONDS", 0.3)
    end, client = socket.socketpair()
    stop = Event()

    def trickle() -> None:
        while not stop.wait(0.05):
            client.sendall(b"x")

    class Whole(io.RawIOBase):
        """A body that is read as gunicorn reads one."""

        def read(self, size: int = -1) -> bytes:
            """Return as much as is asked for."""
            parts = b""
            while len(parts) < size:
                parts += connection.recv(size)
            return parts

    with PatientSocket(fileno=end.detach()) as connection, client:
        connection.deadline = time.monotonic() + 5
        sender = Thread(target=trickle)
        sender.start()
        try:
            started = time.monotonic()
            drain(Whole(), connection)
            assert 0.3 <= time.monotonic() - started < 2
        finally:
            stop.set()
            sender.join()


@pytest.mark.parametrize("path", [API, "/api/v1/shows"])
def test_stalled_sender(client: FlaskClient, path: str) -> None:
    """A sender that falls silent gets an error of its own, and draining does not wait for it again."""
    response = client.post(
        path, content_type="image/png", environ_overrides={"wsgi.input": Stalled(), "CONTENT_LENGTH": "1000"}
    )
    assert response.status_code in (400, 405)
    assert response.content_type == "application/problem+json"


class Slow(Stalled):
    """A body whose sender's time is over; it counts how often it is read."""

    reads = 0

    def readinto(self, _buffer: object) -> int:
        """Give up, for the reason that is told."""
        self.reads += 1
        raise TooSlow(errno.ECONNRESET, "the client stopped sending: it may pause for 10 s")


def test_slow_sender(client: FlaskClient) -> None:
    """A sender whose time is over is told so, with the status that says it, and is not waited for again."""
    body = Slow()
    with client.post(
        API,
        content_type="image/png",
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": "1000"},
    ) as response:
        assert (response.status_code, response.content_type) == (408, "application/problem+json")
        assert response.json is not None
        assert "pause for 10 s" in response.json["detail"]
    assert body.reads == 1


def test_answer_comes_first(client: FlaskClient) -> None:
    """The answer does not wait for what the client is still sending."""
    body = io.BytesIO(bytes(1000))
    response = client.post("/api/v1/shows", input_stream=body, content_length=1000)
    assert response.status_code == 405
    response.close()
    assert body.read() == b""
