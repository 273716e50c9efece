"""`recommender.gate`: so many inside, so many waiting, and everybody else is told at once to come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from recommender.errors import Busy
from recommender.gate import Gate

SECONDS = 10


class Crowd:
    """Threads that go through a gate and stay inside until they are let go."""

    def __init__(self, gate: Gate, pool: ThreadPoolExecutor) -> None:
        self._gate = gate
        self._pool = pool
        self._counting = threading.Lock()
        self.leave = threading.Event()
        self.inside = 0
        self.most = 0

    def send(self, count: int) -> list[Future[None]]:
        """Send threads to the gate."""
        return [self._pool.submit(self._pass) for _ in range(count)]

    def _pass(self) -> None:
        with self._gate:
            with self._counting:
                self.inside += 1
                self.most = max(self.most, self.inside)
            assert self.leave.wait(SECONDS)
            with self._counting:
                self.inside -= 1


@contextmanager
def crowd(gate: Gate) -> Iterator[Crowd]:
    """Lend a crowd, and let everybody go at the end."""
    with ThreadPoolExecutor(20) as pool:
        people = Crowd(gate, pool)
        try:
            yield people
        finally:
            people.leave.set()


def is_full(gate: Gate) -> bool:
    """Tell whether the gate sends a newcomer away; only ask where one would not have to wait."""
    try:
        with gate:
            return False
    except Busy:
        return True


def test_a_full_gate_says_busy_at_once() -> None:
    """Beyond the places and the queue a newcomer gets Busy, with a time to come back, and does not wait."""
    gate = Gate(2, 3)
    with crowd(gate) as people:
        sent = people.send(12)
        deadline = time.monotonic() + SECONDS
        while sum(one.done() for one in sent) < 12 - 2 - 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        refused = [one.exception() for one in sent if one.done()]
        assert len(refused) == 7
        assert all(isinstance(error, Busy) and error.retry_after >= 1 for error in refused)
        assert people.most == 2
        people.leave.set()
        assert sum(one.exception(SECONDS) is None for one in sent) == 2 + 3
    assert people.most == 2


def test_who_waits_gets_in() -> None:
    """A waiting thread goes in when somebody leaves, one at a time where there is one place."""
    gate = Gate(1, 8)
    with crowd(gate) as people:
        sent = people.send(9)
        people.leave.set()
        assert [one.result(SECONDS) for one in sent] == [None] * 9
        assert people.most == 1


def test_places_are_given_back_after_errors() -> None:
    """However often the work inside fails, the gate keeps all of its places."""
    gate = Gate(1, 0)
    for _ in range(50):
        with pytest.raises(ZeroDivisionError), gate:
            raise ZeroDivisionError
    assert not is_full(gate)


def test_refusals_cost_no_places() -> None:
    """Whoever was sent away takes nothing along: when the others have left, the gate is as empty as before."""
    gate = Gate(1, 0)
    with gate:
        assert all(is_full(gate) for _ in range(50))
    assert not is_full(gate)
