"""Clients that send a request in trickles cannot keep a server from answering others."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


def test_an_answer_that_nobody_takes_ends_earlier_where_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody waits for the thread, the client has its time; from then on, no more than a moment's pause."""
    monkeypatch.setattr(patience, "HURRIED_SECONDS", 0.1)
    monkeypatch.setattr(patience, "_LOOK_SECONDS", 0.02)
    server, client = socket.socketpair()
    started = monotonic()
    with PatientSocket(fileno=server.detach(), crowded=lambda: monotonic() > started + 0.3) as patient, client:
        with pytest.raises(ConnectionResetError, match="did not take"):
            patient.sendall(bytes(10_000_000))
        assert 0.3 < monotonic() - started < 2


def test_an_answer_arrives_as_it_is_taken() -> None:
    """However long it is and however small the pieces in which it is taken: byte for byte, in any kind of buffer."""
    server, client = pair()
    data = bytes(range(256)) * 20_000
    with server, client, ThreadPoolExecutor(1) as beside:
        sending = beside.submit(server.sendall, memoryview(data).cast("H"))
        taken = bytearray()
        while len(taken) < len(data):
            taken += client.recv(100_000)
        sending.result()
    assert taken == data
    assert server.gettimeout() is None


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
            hurried.recv(1)
