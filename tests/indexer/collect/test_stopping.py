"""`indexer.collect.stopping`: a run that is told to stop ends between two steps, and says so at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from indexer.collect.stopping import Stops


class Work:
    """Notes what happens, in order."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def run(self, work: Callable[[Stops], None]) -> None:
        """Work until it ends, or is stopped."""
        with Stops(lambda: self.noted.append("told")) as stops:
            work(stops)
            self.noted.append("end")


def _interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_step_is_taken_to_its_end() -> None:
    """Ctrl-C within a step is told at once and ends the run after it; the handler is the old one afterwards."""
    work = Work()

    def step(stops: Stops) -> None:
        with stops.step():
            _interrupt()
            work.noted.append("the rest of the step")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work.run(step)
    assert work.noted == ["told", "the rest of the step"]
    assert signal.getsignal(signal.SIGINT) is before


def test_between_steps_it_ends_at_once() -> None:
    """Where no step is being taken nothing is waited for."""
    work = Work()

    def steps(stops: Stops) -> None:
        with stops.step():
            work.noted.append("step")
        _interrupt()

    with pytest.raises(KeyboardInterrupt):
        work.run(steps)
    assert work.noted == ["step", "told"]


def test_a_second_time_is_heard_within_a_step() -> None:
    """Whoever asks twice does not wait for the step, and is told once."""
    work = Work()

    def step(stops: Stops) -> None:
        with stops.step():
            _interrupt()
            _interrupt()
            work.noted.append("never")

    with pytest.raises(KeyboardInterrupt):
        work.run(step)
    assert work.noted == ["told"]


def test_other_threads_hear_nothing() -> None:
    """A run in another thread leaves the program's signals alone."""
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []
    thread = threading.Thread(target=Work().run, args=(lambda _: seen.append(signal.getsignal(signal.SIGINT)),))
    thread.start()
    thread.join()
    assert seen == [before]
