"""`indexer.collect.lanes`: pauses, retries, robots.txt and hosts that are left alone, told by a clock of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from requests import Session

from indexer.collect.answers import Answer
from indexer.collect.fetch import PICTURES, Moved, Question, Trouble
from indexer.collect.jobs import Doors, Job, Outcome, Pause
from indexer.collect.lanes import BY_ROBOTS, GAVE_UP, MOST_TROUBLES, TRIES, Lanes
from recommender.errors import BuildError, FetchFailed, FetchRefused
from tests.indexer.collect.clocks import QuickClock

HOST = "https://a.example"


@dataclass
class World:
    """Hosts that answer by a script: what each address gives, in turn, the last for ever. Notes when it was asked."""

    clock: QuickClock
    script: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    robots_known: dict[str, dict[str, Any]] = field(default_factory=dict)
    opening: threading.Event | None = None
    idle: float = inf

    def ask(self, _: Session, question: Question, at_head: Callable[[], None]) -> Answer | Moved:
        """Answer by the script, once the hosts have opened."""
        if self.opening:
            self.opening.wait(10)
        self.asked.append((question.address, self.clock.now()))
        answers = self.script.get(question.address, [])
        answer = (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else b"ok"
        if isinstance(answer, Exception):
            raise answer
        at_head()
        return answer if isinstance(answer, Moved) else Answer(question.address, 200, "", answer)

    def troubled(self, address: str) -> None:
        """Note that an address will be asked for again."""
        self.noted.append(f"troubled {address}")

    def robots(self, host: str) -> dict[str, Any] | None:
        """Return what is known of a host's robots.txt."""
        return self.robots_known.get(host)

    def note_robots(self, host: str, status: int, text: str, fetched: str) -> None:
        """Remember a robots.txt."""
        self.robots_known[host] = {"status": status, "text": text, "fetched": fetched}


@pytest.fixture
def world() -> World:
    """Give hosts that allow everything and answer at once."""
    return World(QuickClock(), {f"{HOST}/robots.txt": [b"User-agent: *\nDisallow: /no/"]})


def _lanes(world: World, pause: float = 1.0) -> Lanes:
    class Memory:
        troubled, robots, note_robots = world.troubled, world.robots, world.note_robots

        def idle(self) -> float:
            return world.idle

        def asked(self, address: str) -> None:
            world.noted.append(f"asked {address}")

    return Lanes(Doors(Session, lambda _: None, world.ask), Memory(), Pause(pause), world.clock)


def _job(path: str, *, urgent: bool = False) -> Job:
    return Job(Question(HOST + path if path.startswith("/") else path, 100, 1, "*/*", PICTURES), None, urgent)


def _outcomes(lanes: Lanes, *jobs: Job) -> dict[str, Outcome]:
    for job in jobs:
        lanes.add(job)
    found = {}
    while lanes.open:
        outcome = lanes.next()
        found[outcome.job.address.removeprefix(HOST)] = outcome
    lanes.stop()
    return found


def test_a_host_is_asked_for_its_rules_first_and_left_in_peace_between(world: World) -> None:
    """robots.txt comes first; at least the pause lies between two requests of one host."""
    found = _outcomes(_lanes(world), *(_job(f"/{number}") for number in range(5)))
    assert len(found) == 5
    assert world.asked[0][0] == f"{HOST}/robots.txt"
    times = [time for _, time in world.asked]
    assert all(later - sooner >= 1 for sooner, later in pairwise(times))
    assert times[-1] == pytest.approx(5)


def test_what_robots_forbids_is_never_asked(world: World) -> None:
    """A forbidden path is refused by that rule, and costs its host nothing."""
    found = _outcomes(_lanes(world), _job("/no/1"), _job("/yes"))
    refused = found["/no/1"].result
    assert isinstance(refused, FetchRefused)
    assert refused.rule == BY_ROBOTS
    assert [address for address, _ in world.asked] == [f"{HOST}/robots.txt", f"{HOST}/yes"]
    assert world.noted == [f"asked {HOST}/yes"]


def test_a_crawl_delay_counts_if_it_is_longer(world: World) -> None:
    """The host's own pause is heeded; one of an hour is a refusal."""
    world.script[f"{HOST}/robots.txt"] = [b"User-agent: *\nCrawl-delay: 7"]
    _outcomes(_lanes(world), _job("/1"), _job("/2"))
    assert world.asked[-1][1] - world.asked[-2][1] >= 7
    world.robots_known.clear()
    world.script[f"{HOST}/robots.txt"] = [b"User-agent: *\nCrawl-delay: 3600"]
    assert isinstance(_outcomes(_lanes(world), _job("/3"))["/3"].result, FetchRefused)


def test_a_crawl_delay_counts_from_robots_txt_on(world: World) -> None:
    """The host's own pause lies between its robots.txt and the first page, and between all that follows."""
    world.script[f"{HOST}/robots.txt"] = [b"User-agent: *\nCrawl-delay: 7"]
    _outcomes(_lanes(world), *(_job(f"/{number}") for number in range(4)))
    times = [time for _, time in world.asked]
    assert times == pytest.approx([0, 7, 14, 21, 28])


def test_the_longest_crawl_delay_of_a_host_counts(world: World) -> None:
    """Both http and https of one name have a robots.txt each; the host is left in peace as long as either wants."""
    world.script["http://a.example/robots.txt"] = [b"User-agent: *\nCrawl-delay: 9"]
    _outcomes(_lanes(world), _job("http://a.example/1"), _job("/2"), _job("/3"))
    times = [time for _, time in world.asked]
    assert all(later - sooner >= 9 for sooner, later in pairwise(times))


def test_a_resumed_run_keeps_the_pause(world: World) -> None:
    """A host that an earlier run asked two seconds ago is left in peace for the rest of its pause, and no longer."""
    world.script[f"{HOST}/robots.txt"] = [b"User-agent: *\nCrawl-delay: 7"]
    _outcomes(_lanes(world), _job("/1"))
    ended, world.idle = world.clock.now(), 2.0
    _outcomes(_lanes(world), _job("/2"))
    address, time = world.asked[-1]
    assert address == f"{HOST}/2"
    assert time == pytest.approx(ended + 5)


def test_a_resumed_run_asks_a_new_host_at_once(world: World) -> None:
    """A host that no earlier run asked is not left in peace because one ended a moment ago."""
    world.idle = 0.0
    _outcomes(_lanes(world), _job("https://new.example/1"))
    assert world.asked[0] == ("https://new.example/robots.txt", 0.0)


def test_a_robots_txt_that_is_known_is_not_asked_for(world: World) -> None:
    """A resumed run goes by the rules that an earlier one was given, for a day."""
    _outcomes(_lanes(world), _job("/1"))
    _outcomes(_lanes(world), _job("/2"))
    assert [address for address, _ in world.asked].count(f"{HOST}/robots.txt") == 1
    world.robots_known[HOST]["fetched"] = "2020-01-01T00:00:00+00:00"
    _outcomes(_lanes(world), _job("/3"))
    assert [address for address, _ in world.asked].count(f"{HOST}/robots.txt") == 2


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        (FetchFailed("404", "not there"), True),
        (FetchFailed("403", "not for you"), True),
        (FetchRefused("not a picture", "the answer is image/png"), True),
        (Moved("file:///secret"), True),
        (FetchRefused("a private address", "127.0.0.1"), False),
        (FetchFailed("too slow", "late"), False),
        (Trouble("503", "down"), False),
    ],
)
def test_a_host_without_robots_txt(world: World, answer: Any, allowed: bool) -> None:
    """None at all allows everything; one that cannot be had allows nothing, and is not asked for again and again."""
    world.script[f"{HOST}/robots.txt"] = [answer]
    found = _outcomes(_lanes(world), *(_job(f"/{number}") for number in range(6)))
    assert all(isinstance(outcome.result, Answer) is allowed for outcome in found.values())
    assert [address for address, _ in world.asked].count(f"{HOST}/robots.txt") <= TRIES


def test_robots_may_be_moved(world: World) -> None:
    """A robots.txt is followed to where it moved."""
    world.script[f"{HOST}/robots.txt"] = [Moved(f"{HOST}/rules.txt")]
    world.script[f"{HOST}/rules.txt"] = [b"User-agent: *\nDisallow: /"]
    assert isinstance(_outcomes(_lanes(world), _job("/1"))["/1"].result, FetchRefused)


def test_what_may_pass_is_tried_again_later(world: World) -> None:
    """A server's error is waited out, longer each time, while other addresses go on."""
    world.script[f"{HOST}/1"] = [Trouble("500", "oh"), Trouble("500", "oh"), b"ok"]
    found = _outcomes(_lanes(world, 0.1), _job("/1"), _job("/2"))
    assert isinstance(found["/1"].result, Answer)
    times = [time for address, time in world.asked if address == f"{HOST}/1"]
    assert times[1] - times[0] >= 2
    assert times[2] - times[1] >= 8
    assert world.noted.count(f"troubled {HOST}/1") == 2


def test_what_does_not_pass_fails_at_last(world: World) -> None:
    """After so many tries an address has failed, and how often is said."""
    world.script[f"{HOST}/1"] = [Trouble("500", "the host answers 500")]
    result = _outcomes(_lanes(world), _job("/1"))["/1"].result
    assert isinstance(result, FetchFailed)
    assert (result.why, str(result)) == ("500", f"the host answers 500 ({TRIES} times)")
    assert len(world.asked) == 1 + TRIES


def test_retry_after_is_heeded_by_the_whole_host(world: World) -> None:
    """A host that wants 30 seconds of peace gets them, from every address."""
    world.script[f"{HOST}/1"] = [Trouble("429", "too many", 30, of_host=True), b"ok"]
    found = _outcomes(_lanes(world), _job("/1"), _job("/2"))
    assert all(isinstance(outcome.result, Answer) for outcome in found.values())
    times = dict(reversed(world.asked))
    assert times[f"{HOST}/2"] - times[f"{HOST}/1"] >= 30


def test_a_host_that_wants_an_hour_is_left_alone(world: World) -> None:
    """What is longer than a run should last ends the run for this host: every address fails, none is asked."""
    world.script[f"{HOST}/0"] = [Trouble("503", "closed", 3600, of_host=True)]
    found = _outcomes(_lanes(world), *(_job(f"/{number}") for number in range(50)))
    assert {getattr(outcome.result, "why", "") for outcome in found.values()} == {GAVE_UP}
    assert len(world.asked) == 2


def test_a_host_that_always_minds_is_left_alone(world: World) -> None:
    """A host that answers 429 to everything is asked a few times in all, not a few times for each address."""
    for number in range(50):
        world.script[f"{HOST}/{number}"] = [Trouble("429", "too many", None, of_host=True)]
    found = _outcomes(_lanes(world), *(_job(f"/{number}") for number in range(50)))
    assert len(found) == 50
    assert len(world.asked) == 1 + MOST_TROUBLES


def test_an_unreachable_host_fails_as_a_whole(world: World) -> None:
    """After so many tries every address of the host has failed; that there may be no network is known."""
    gone = Trouble("unreachable", "the host's name is not known", unreachable=True)
    world.script[f"{HOST}/robots.txt"] = [gone]
    lanes = _lanes(world)
    found = _outcomes(lanes, *(_job(f"/{number}") for number in range(50)))
    assert {getattr(outcome.result, "why", "") for outcome in found.values()} == {"unreachable"}
    assert len(world.asked) == TRIES
    assert not lanes.reached
    assert "a.example" in lanes.trouble


def test_pages_come_before_pictures(world: World) -> None:
    """An urgent job overtakes those that wait."""
    world.opening = threading.Event()
    lanes = _lanes(world)
    for job in (*(_job(f"/{number}") for number in range(9)), _job("/page", urgent=True)):
        lanes.add(job)
    world.opening.set()  # not before, or a quick lane would have asked for most of them
    _outcomes(lanes)
    places = [address for address, _ in world.asked]
    assert places.index(f"{HOST}/page") < 5


def test_hosts_do_not_wait_for_each_other() -> None:
    """Each host has its own pause, many are asked at once, and http and https of one name are one host."""
    world = World(QuickClock())
    jobs = [_job(f"https://h{host}.example/{number}") for host in range(60) for number in range(2)]
    assert len(_outcomes(_lanes(world, 0.0), *jobs)) == 120
    world = World(QuickClock())
    _outcomes(_lanes(world), _job("https://one.example/1"), _job("http://one.example/2"))
    times = [time for _, time in world.asked]
    assert len(times) == 4
    assert all(later - sooner >= 1 for sooner, later in pairwise(times))


def test_what_nobody_foresaw_is_one_failure(world: World) -> None:
    """An answer that makes the program stumble ends its own job, and no other."""
    world.script[f"{HOST}/1"] = [KeyError("oh")]
    found = _outcomes(_lanes(world), _job("/1"), _job("/2"))
    assert isinstance(found["/2"].result, Answer)
    result = found["/1"].result
    assert isinstance(result, FetchFailed)
    assert (result.why, str(result)) == ("unforeseen", "it made the collector stumble (KeyError: 'oh')")


@pytest.mark.parametrize("error", [BuildError("the journal cannot grow"), OSError("the disk is full")])
def test_what_is_no_hosts_fault_is_raised(world: World, error: Exception) -> None:
    """What the disk objects to ends the run where its outcomes are taken, and not in silence."""
    world.script[f"{HOST}/1"] = [error]
    lanes = _lanes(world)
    lanes.add(_job("/1"))
    with pytest.raises(type(error), match="the "):
        lanes.next()
    lanes.stop()
