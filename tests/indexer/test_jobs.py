"""What a job tells of itself, and where it can be stopped, without a worker's process around it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

import indexer.jobs
from indexer.embedder import EMBEDDING, LOADING
from indexer.jobs import WAITING, WINDOW, Pace, Stop, Stopped, Watch
from indexer.progress import heard_by, progress
from recommender.jobs import Jobs
from tests.indexer.homes import PICTURES, Home
from tests.pictures import picture
from web.wording import STAGES

TOLD = ("opening", "scanning", "comparing", "building", "publishing")
TURNED = (LOADING, EMBEDDING)
"""Those that a reindex turns to while it counts pictures, where some are new."""


class Heard:
    """Notes what it hears, and may stop at the beginning of a stage or at a picture."""

    def __init__(self, stop_at: str | int | None = None) -> None:
        self.stages: list[str] = []
        self.turns: list[str] = []
        self.counts: list[tuple[int, int]] = []
        self._stop_at = stop_at

    def began(self, stage: str) -> None:
        """Hear of a stage."""
        self.stages.append(stage)
        if stage == self._stop_at:
            raise Stopped

    def turned_to(self, stage: str) -> None:
        """Hear of a stage within what is counted."""
        self.turns.append(stage)
        if stage == self._stop_at:
            raise Stopped

    def counted(self, done: int, total: int) -> None:
        """Hear of a picture."""
        self.counts.append((done, total))
        if done == self._stop_at:
            raise Stopped


def test_what_a_reindex_tells(home: Home) -> None:
    """Each stage when it begins, each picture when it is done; the stages are those that the report times."""
    heard = Heard()
    with heard_by(heard):
        report = home.reindex(full=True)
    assert (tuple(heard.stages), heard.turns) == (TOLD, [])
    assert {*TOLD, *TURNED} == set(report.seconds)
    assert heard.counts == [(number, PICTURES) for number in range(1, PICTURES + 1)]
    home.reindex()
    assert tuple(heard.stages) == TOLD, "nobody listens any more"


def test_every_stage_has_words() -> None:
    """The operator's page says in words what a job is about, whatever that is."""
    assert set(STAGES) == {WAITING, *TOLD, *TURNED}


@pytest.mark.parametrize("stop_at", [*TOLD, 1, PICTURES // 2])
def test_stopped_anywhere(home: Home, stop_at: str | int) -> None:
    """Wherever it is stopped nothing is published, all is whole, and the next run goes on as if nothing had been."""
    first = home.published().info.id
    (home.root / "show-0/hero-0/0.png").unlink()
    with heard_by(Heard(stop_at)), pytest.raises(Stopped):
        home.reindex()
    assert home.published().info.id == first
    report = home.reindex()
    assert (report.removed, report.embedded) == (1, 0)
    assert home.verify().findings == ()


def test_new_pictures_are_told_to_be_embedded(home: Home) -> None:
    """The stage is true while pictures are counted on; stopped there, what is on its way is kept."""
    home.put("show-0/hero-0/new.png", picture(80_001))
    heard = Heard(EMBEDDING)
    with heard_by(heard), pytest.raises(Stopped):
        home.reindex()
    assert (heard.stages, heard.turns[-1]) == (["opening", "scanning"], EMBEDDING)
    assert len(heard.counts) == PICTURES + 1
    heard = Heard()
    with heard_by(heard):
        report = home.reindex()
    assert (tuple(heard.stages), report.added, report.embedded, heard.turns) == (TOLD, 1, 0, [])


def test_a_turn_keeps_the_count(home: Home, clock: Callable[[float], None]) -> None:
    """A new stage within the same count goes on from there, with an estimate of its own; a stage that begins has none.

    The first count of a stage is told at once, however long it took to tell of the stage.
    """
    jobs = Jobs(home.settings.home)
    job = jobs.claim(jobs.add("/library", {}).id)
    assert job

    def noted() -> tuple[object, ...]:
        found = jobs.job(job.id)
        return found.stage, found.done, found.total, found.seconds_left

    watch = Watch(jobs, job.id, Stop())
    watch.began("scanning")
    assert noted() == ("scanning", None, None, None)
    watch.counted(1, 100)
    assert noted() == ("scanning", 1, 100, None)
    clock(1)
    watch.counted(51, 100)
    assert noted() == ("scanning", 51, 100, pytest.approx(0.98, abs=0.1))
    watch.turned_to(LOADING)
    assert noted() == (LOADING, 51, 100, None)
    clock(10)
    watch.turned_to(EMBEDDING)
    watch.counted(52, 100)
    clock(11)
    watch.counted(54, 100)
    assert noted() == (EMBEDDING, 54, 100, None)
    clock(12)
    watch.counted(56, 100)
    assert noted() == (EMBEDDING, 56, 100, pytest.approx(22.0, abs=0.1))
    watch.began("comparing")
    assert noted() == ("comparing", None, None, None)


def test_listeners_are_heard_where_they_listen() -> None:
    """One listener gives way to another and comes back."""
    outer, inner = Heard(), Heard()
    with heard_by(outer):
        with heard_by(inner), progress("this") as told:
            told(1, 2)
        with progress("that") as told:
            told(2, 2)
    with progress("nothing") as told:
        told(3, 3)
    assert (outer.counts, inner.counts) == ([(2, 2)], [(1, 2)])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock of the jobs, and return what sets it."""
    now = [0.0]
    monkeypatch.setattr(indexer.jobs, "monotonic", lambda: now[0])

    def at(seconds: float) -> None:
        now[0] = seconds

    return at


def test_time_left(clock: Callable[[float], None]) -> None:
    """It follows the pace of the last half minute: what was quick at first does not promise that all will be."""
    pace = Pace()
    assert pace.seconds_left(1, 10_000) is None
    clock(10)
    assert pace.seconds_left(5_001, 10_000) == pytest.approx(4_999 / 500, abs=0.1)
    left = None
    for second in range(11, 120):
        clock(second)
        left = pace.seconds_left(5_001 + 10 * (second - 10), 10_000)
    assert left == pytest.approx((10_000 - 5_001 - 10 * 109) / 10, rel=0.05)
    clock(121)
    assert pace.seconds_left(10_000, 10_000) == 0.0
    assert WINDOW < 109


def test_no_progress_promises_nothing(clock: Callable[[float], None]) -> None:
    """While nothing moves there is no estimate, and none that divides by nothing."""
    pace = Pace()
    pace.seconds_left(5, 10)
    clock(20)
    assert pace.seconds_left(5, 10) is None


def test_telling_is_cheap(home: Home, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand pictures in a second two are noted; where noting takes long, it is done the less often."""
    jobs = Jobs(home.settings.home)
    job = jobs.claim(jobs.add("/library", {}).id)
    assert job
    noted: list[object] = []
    cost = [0.0]
    now = [0.0]

    def note(*told: object) -> bool:
        noted.append(told)
        now[0] += cost[0]
        clock(now[0])
        return False

    monkeypatch.setattr(jobs, "tell", note)
    watch = Watch(jobs, job.id, Stop())
    watch.began("scanning")
    for number in range(1, 1_001):
        now[0] = number / 1000
        clock(now[0])
        watch.counted(number, 5_000)
    assert len(noted) == 1 + 2
    cost[0] = 1.0
    for number in range(2_000, 4_000):
        now[0] = max(now[0], number / 100)
        clock(now[0])
        watch.counted(number, 5_000)
    assert len(noted) == 1 + 2 + 1


def test_a_watch_stops_what_is_cancelled(home: Home) -> None:
    """Whoever cancels is heard at the next note, whoever stops the process at the next picture."""
    jobs = Jobs(home.settings.home)
    job = jobs.claim(jobs.add("/library", {}).id)
    assert job
    stop = Stop()
    watch = Watch(jobs, job.id, stop)
    watch.began("scanning")
    jobs.cancel(job.id)
    with pytest.raises(Stopped):
        watch.began("comparing")
    stop.signalled(signal.SIGTERM, None)
    with pytest.raises(Stopped):
        watch.counted(1, 2)
    with pytest.raises(KeyboardInterrupt):
        stop.signalled(signal.SIGTERM, None)


def test_a_job_goes_on_where_nobody_can_hear_it(home: Home) -> None:
    """Damaged notes are no reason to end what is at work."""
    jobs = Jobs(home.settings.home)
    job = jobs.claim(jobs.add("/library", {}).id)
    assert job
    jobs.file.write_bytes(b"no database " * 1000)
    watch = Watch(jobs, job.id, Stop())
    watch.began("scanning")
    watch.counted(1, 1)
