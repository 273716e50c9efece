"""`recommender.gate`: so many inside, so many waiting, and everybody else is told at once to come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from recommender.errors import Abandoned, Busy
from recommender.gate import Gate
from tests.waiting import wait_until

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
        with self._gate.entered():
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
        with gate.entered():
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
        with pytest.raises(ZeroDivisionError), gate.entered():
            raise ZeroDivisionError
    assert not is_full(gate)


def test_refusals_cost_no_places() -> None:
    """Whoever was sent away takes nothing along: when the others have left, the gate is as empty as before."""
    gate = Gate(1, 0)
    with gate.entered():
        assert all(is_full(gate) for _ in range(50))
    assert not is_full(gate)


def test_who_came_first_goes_in_first() -> None:
    """The line is a line: places are handed on in the order of coming."""
    gate, order = Gate(1, 9), list[int]()

    def go_in(number: int) -> None:
        with gate.entered():
            order.append(number)

    with ThreadPoolExecutor(9) as pool, gate.entered():
        for number in range(9):
            pool.submit(go_in, number)
            wait_until(partial(waits, gate, number + 1))
    assert order == list(range(9))


def test_who_is_gone_takes_no_free_place() -> None:
    """Whoever hung up while nobody stood in line is not worked for either, and takes no place along."""
    gate = Gate(1, 0)
    with pytest.raises(Abandoned):
        enter(gate, lambda: False)
    assert gate.abandoned == 1
    assert not is_full(gate)


def test_who_is_gone_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody whose answer is not wanted any more makes room while waiting, and does nothing when the turn comes."""
    monkeypatch.setattr("recommender.gate.LOOK_SECONDS", 0.01)
    gate, gone = Gate(1, 1), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        with gate.entered():
            left = pool.submit(enter, gate, lambda: not gone.is_set())
            wait_until(lambda: gate.waiting == 1)
            gone.set()
            assert isinstance(left.exception(SECONDS), Abandoned)
            assert gate.waiting == 0
            patient = pool.submit(enter, gate, lambda: True)
        assert patient.result(SECONDS)
    assert (gate.abandoned, gate.refused) == (1, 0)
    assert not is_full(gate)


def test_who_left_at_the_last_moment_hands_the_place_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the turn comes before anybody looked again, it is looked then, and the next in line is not forgotten."""
    monkeypatch.setattr("recommender.gate.LOOK_SECONDS", 60)
    gate = Gate(1, 2)
    with ThreadPoolExecutor(2) as pool:
        with gate.entered():
            left = pool.submit(enter, gate, lambda: False)
            wait_until(lambda: gate.waiting == 1)
            next_one = pool.submit(enter, gate, lambda: True)
            wait_until(lambda: gate.waiting == 2)
        assert isinstance(left.exception(SECONDS), Abandoned)
        assert next_one.result(SECONDS)


def test_the_time_to_come_back_grows_with_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With pictures of three seconds and two waiting for one place, a newcomer is told to come back in six."""
    clock = iter(range(0, 300, 3))
    monkeypatch.setattr("recommender.gate.monotonic", lambda: next(clock))
    gate = Gate(1, 2)
    with gate.entered():
        pass
    with crowd(gate) as people:
        people.send(3)
        wait_until(lambda: gate.waiting == 2)
        for ask in (gate.require_room, lambda: enter(gate, lambda: True)):
            with pytest.raises(Busy, match="again in 6 s") as caught:
                ask()
            assert caught.value.retry_after == 6
    assert gate.refused == 2


def enter(gate: Gate, wanted: Callable[[], bool]) -> bool:
    """Go through a gate."""
    with gate.entered(wanted):
        return True


def waits(gate: Gate, count: int) -> bool:
    """Tell whether so many stand in line."""
    return gate.waiting == count
