"""Clients that send a request in trickles cannot keep a server from answering others."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from time import monotonic

import pytest

from web import patience
from web.patience import PatientSocket


def pair() -> tuple[PatientSocket, socket.socket]:
    """Return a server's and a client's end of one connection."""
    server, client = socket.socketpair()
    return PatientSocket(fileno=server.detach()), client


def test_what_was_sent_is_read() -> None:
    """Before its deadline a patient socket is like any other, and its own timeout is left as it was."""
    server, client = pair()
    with server, client:
        server.deadline = monotonic() + 5
        client.sendall(b"GET")
        assert server.recv(10) == b"GET"
        assert server.gettimeout() is None


def test_a_trickle_ends_at_the_deadline() -> None:
    """A byte now and then does not push the deadline back."""
    server, client = pair()
    with server, client:
        server.deadline = monotonic() + 0.2
        started = monotonic()
        with pytest.raises(ConnectionResetError, match="too long"):
            trickle(client, server)
        assert monotonic() - started < 2


def trickle(client: socket.socket, server: PatientSocket) -> None:
    """Send and receive one byte at a time, forever."""
    while True:
        client.sendall(b"x")
        server.recv(1)


def test_silence_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops sending is let go long before the deadline."""
    monkeypatch.setattr(patience, "STALLED_SECONDS", 0.1)
    server, client = pair()
    with server, client:
        server.deadline = monotonic() + 60
        started = monotonic()
        with pytest.raises(ConnectionResetError, match="stopped sending") as caught:
            server.recv(1)
        assert caught.value.errno == errno.ECONNRESET  # gunicorn logs a traceback of any other
        assert monotonic() - started < 2


def test_looking_without_waiting_is_left_alone() -> None:
    """A non-blocking look at a silent client says so at once, as the poller expects."""
    server, client = pair()
    with server, client:
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


def test_silence_ends_earlier_where_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """While others stand in line, a client that stops sending is let go at once."""
    monkeypatch.setattr(patience, "HURRIED_SECONDS", 0.1)
    server, client = socket.socketpair()
    with PatientSocket(fileno=server.detach(), crowded=lambda: True) as hurried, client:
        started = monotonic()
        with pytest.raises(ConnectionResetError, match="stopped sending"):
            hurried.recv(1)
        assert monotonic() - started < 2


def test_an_answer_that_nobody_takes_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A client that asks for much and reads nothing loses its connection, be it a page or a file."""
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(patience, "STALLED_SECONDS", 0.1)
    (tmp_path / "file").write_bytes(bytes(10_000_000))
    for send in (PatientSocket.sendall, PatientSocket.sendfile):
        server, client = pair()
        with server, client, (tmp_path / "file").open("rb") as file:
            started = monotonic()
            with pytest.raises(ConnectionResetError, match=r"take|taking") as caught:
                send(server, file if send is PatientSocket.sendfile else file.read())
            assert monotonic() - started < 2
            assert caught.value.errno == errno.ECONNRESET
