"""Connections that no thread has: each ends in time, too many give way in turn, and answers arrive whole."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from web import waiting
from web.patience import PatientSocket
from web.waiting import Unsent, Watched


class Connection:
    """A connection with both its ends."""

    def __init__(self) -> None:
        mine, self.other = socket.socketpair()
        self.sock = PatientSocket(fileno=mine.detach())

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.sock.close()
        self.other.close()


@pytest.fixture
def poller() -> Iterator[selectors.DefaultSelector]:
    """Return what watches sockets."""
    with selectors.DefaultSelector() as poller:
        yield poller


def turn(poller: selectors.DefaultSelector) -> None:
    """Do what is to be done now."""
    for key, _ in poller.select(0):
        key.data(key.fileobj)


def test_silence_ends_and_the_oldest_gives_way(poller: selectors.DefaultSelector) -> None:
    """What is watched ends after its time, earlier where too many come, and is told apart from what was taken."""
    ended: list[Connection] = []
    with ExitStack() as stack:
        watched = Watched(poller, 0.1, 2, ended.append)
        some = [stack.enter_context(Connection()) for _ in range(4)]
        for one in some[:3]:
            watched.add(one, lambda *_: None)
        assert ended == some[:1]
        watched.take(some[1])
        watched.expire()
        assert ended == some[:1]
        time.sleep(0.11)
        watched.add(some[3], lambda *_: None)
        watched.expire()
        assert ended == [some[0], some[2]]
        assert some[3] in watched


LONG = 3_000_000


def test_an_answer_goes_out_as_it_is_taken(poller: selectors.DefaultSelector) -> None:
    """The rest of an answer is sent whenever there is room for more; then comes what was to come, once."""
    ended: list[Connection] = []
    done: list[str] = []
    data = bytes(range(250)) * (LONG // 250)
    with Connection() as one:
        unsent = Unsent(poller, 9, ended.append)
        one.sock.sendall(data)
        unsent.add(one, lambda: done.append("done"))
        taken = bytearray()
        while not done:
            turn(poller)
            taken += one.other.recv(100_000)
        one.sock.close()
        while piece := one.other.recv(100_000):
            taken += piece
        assert taken == data
        assert (done, ended, len(poller.get_map())) == (["done"], [], 0)


def test_who_takes_nothing_is_let_go(poller: selectors.DefaultSelector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes nothing for too long ends, who takes a little now and then does not, who hung up ends at once."""
    monkeypatch.setattr(waiting, "STALLED_SECONDS", 0.3)
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.0)
    ended: list[Connection] = []
    with ExitStack() as stack:
        unsent = Unsent(poller, 9, ended.append)
        deaf, slow, gone = (stack.enter_context(Connection()) for _ in range(3))
        for one in (deaf, slow, gone):
            one.sock.sendall(bytes(LONG))
            unsent.add(one, lambda: None)
        gone.other.close()
        turn(poller)
        assert ended == [gone]
        for _ in range(5):
            time.sleep(0.1)
            slow.other.recv(300_000)
            turn(poller)
            unsent.expire()
        assert ended == [gone, deaf]
        assert not deaf.sock.unsent


def test_who_takes_too_little_is_let_go(poller: selectors.DefaultSelector, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has its time and a little for each byte, however often a little of it is taken."""
    monkeypatch.setattr(waiting, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "HURRIED_RATE", 10 * LONG)
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.0)
    ended: list[Connection] = []
    with Connection() as one:
        unsent = Unsent(poller, 9, ended.append)
        one.sock.sendall(bytes(LONG))
        unsent.add(one, lambda: None)
        started = time.monotonic()
        while not ended and time.monotonic() < started + 5:
            time.sleep(0.02)
            one.other.recv(10_000)
            turn(poller)
            unsent.expire()
        assert 0.2 < time.monotonic() - started < 2


@pytest.mark.parametrize(("most", "most_bytes"), [(3, 9 * LONG), (9, 3 * LONG)])
def test_who_took_nothing_longest_gives_way(poller: selectors.DefaultSelector, most: int, most_bytes: int) -> None:
    """Where there are too many answers, or too many bytes of them, whoever took some of its own stays longer."""
    ended: list[Connection] = []
    with ExitStack() as stack:
        unsent = Unsent(poller, most, ended.append, most_bytes)
        some = [stack.enter_context(Connection()) for _ in range(4)]
        for place, one in enumerate(some):
            if place == 3:
                assert ended == []
                some[0].other.recv(300_000)
                turn(poller)
            one.sock.sendall(bytes(LONG))
            unsent.add(one, lambda: None)
        assert ended == [some[1]]


def test_a_closed_connection_is_no_trouble(poller: selectors.DefaultSelector) -> None:
    """What was closed meanwhile is ended, and nothing is watched."""
    ended: list[Connection] = []
    with Connection() as one:
        one.sock.sendall(bytes(LONG))
        one.sock.close()
        Unsent(poller, 9, ended.append).add(one, lambda: None)
        assert ended == [one]
