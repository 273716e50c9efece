"""Clients that send a request in trickles cannot keep a server from answering others."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

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


@contextmanager
def dripping(client: socket.socket, piece: bytes) -> Iterator[None]:
    """Send a piece each hundredth of a second, beside whoever reads."""
    stopping = Event()

    def drip() -> None:
        while not stopping.wait(0.01):
            client.sendall(piece)

    thread = Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def test_an_answer_keeps_nobody_waiting(tmp_path: Path) -> None:
    """What a client does not take at once is kept, be it a page or a file, and arrives in order, byte for byte."""
    server, client = pair()
    data = bytes(range(256)) * 20_000
    (tmp_path / "file").write_bytes(b"before" + data)
    with server, client, (tmp_path / "file").open("rb") as file:
        started = monotonic()
        server.sendall(memoryview(data).cast("H"))
        assert server.sendfile(file, 6, len(data)) == len(data)
        server.sendall(b"end")
        assert monotonic() - started < 1
        assert server.gettimeout() is None
        server.setblocking(False)
        taken = bytearray()
        while server.unsent:
            server.send_on()
            taken += client.recv(100_000)
        while len(taken) < 2 * len(data) + 3:
            taken += client.recv(100_000)
    assert taken == data + data + b"end"


def test_who_is_slow_on_the_whole_is_let_go_where_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no pause, yet it holds a thread that others want: who sends enough may go on."""
    monkeypatch.setattr(patience, "HURRIED_SECONDS", 0.1)
    monkeypatch.setattr(patience, "HURRIED_RATE", 2_000)
    server, client = socket.socketpair()
    others: list[str] = []

    def read(seconds: float) -> None:
        until = monotonic() + seconds
        while monotonic() < until:
            hurried.recv(1000)

    with PatientSocket(fileno=server.detach(), crowded=lambda: bool(others)) as hurried, client:
        hurried.begin()
        with dripping(client, b"x"):
            read(0.3)  # nobody waits for the thread
            others.append("somebody")
            with pytest.raises(ConnectionResetError, match="too slowly"):
                read(5)
            hurried.begin()  # another request has a time of its own
            read(0.05)
            hurried.header += bytes(1000)  # which the poller has collected already
            assert len(hurried.begin()) == 1000
            read(0.3)
            with pytest.raises(ConnectionResetError, match="too slowly"):
                read(5)
        hurried.begin()
        with dripping(client, bytes(100)):
            read(0.5)


def test_what_the_server_does_meanwhile_is_not_the_clients_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is there when it is read has been sent quickly, however late that is."""
    monkeypatch.setattr(patience, "HURRIED_SECONDS", 0.05)
    server, client = socket.socketpair()
    with PatientSocket(fileno=server.detach(), crowded=lambda: True) as hurried, client:
        hurried.begin()
        for _ in range(3):
            client.sendall(b"xx")
            sleep(0.05)
            assert hurried.recv(1) == b"x"
