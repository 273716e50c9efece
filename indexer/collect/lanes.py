"""Lanes: one for each host. Many hosts are asked at once, each by one connection and with pauses.

A lane asks for its host's robots.txt first, heeds it, waits as long as host and settings want, tries again what may
pass, and leaves a host alone that asks for it. Not here: one request (`fetch`), the rules (`manners`), and what comes
of an answer (`collect`).
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from queue import SimpleQueue
from time import monotonic
from urllib.parse import urlsplit

from requests import Session

from indexer.collect.answers import Answer
from indexer.collect.borders import PRIVATE
from indexer.collect.fetch import CUT_OFF, NOT_WANTED, Moved, Question, Trouble, media_types, unforeseen
from indexer.collect.jobs import Clock, Doors, Job, Memory, Outcome, Pause, RealClock, Result, fresh
from indexer.collect.lane import Lane, Origin
from indexer.collect.manners import LONGEST_CRAWL_DELAY, Robots
from recommender.errors import FetchFailed, FetchRefused, SokkuriError

HOSTS_AT_ONCE = 32
TRIES = 3
"""How often an address is asked for in one run, if what went wrong may pass."""
MOST_TROUBLES = 2 * TRIES
"""How often in a row a host may say that it is asked too much, before it is left alone in this run."""
BACK_OFF = 2.0
"""Seconds before the second try; before each further one, four times as many."""
LONGEST_WAIT = 120.0
"""Seconds. A host that wants to be left alone for longer is not asked again in this run."""
LONGEST_NAP = 1.0
"""Seconds after which a lane that waits to try something again looks whether there is something new to do."""
LAST_ANSWERS_SECONDS = 5.0
"""How long answers that are on their way are waited for where a run is stopped; then their connections are cut."""
CUT_SECONDS = 1.0
"""How long a lane whose connection was cut may take to notice."""
ROBOTS_BYTES = 512_000
"""At least 500 KiB of a robots.txt have to be read (RFC 9309, 2.5); what comes after them is nobody's rule."""
ROBOTS_HOPS = 5
ROBOTS_SECONDS = 20.0
ROBOTS_HOURS = 24
"""How long a robots.txt holds (RFC 9309, 2.4)."""
BY_ROBOTS = "robots.txt forbids it"
GAVE_UP = "the host is left alone"
_TEXTS = media_types("text/", "application/")


class Lanes:
    """Asks many hosts at once. Jobs go in by `add`; `outcomes` gives what came of each, in no order.

    `reached` tells whether any host could be spoken to, `trouble` what the first one that was in trouble said, and
    `unreachable` which could not be spoken to; `requests` counts what hosts were asked for, robots.txt included.
    """

    def __init__(self, doors: Doors, memory: Memory, pause: Pause, clock: Clock | None = None) -> None:
        self._doors, self._memory, self._pause = doors, memory, pause
        self._clock = clock or RealClock()
        self._lock = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._pending: deque[Lane] = deque()
        self._threads: set[threading.Thread] = set()
        self._sessions: set[Session] = set()
        self._asking: set[str] = set()
        self._stop, self._cut = threading.Event(), threading.Event()
        self._began = self._clock.now()
        self._numbers = itertools.count()
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self.open = 0
        self.reached = False
        self.trouble = ""
        self.unreachable: set[str] = set()
        self.requests = 0

    def add(self, job: Job) -> None:
        """Queue a job at its host."""
        host = urlsplit(job.address).hostname or ""
        with self._lock:
            self.open += 1
            lane = self._lanes.setdefault(host, Lane(host))
            lane.put(job)
            if not lane.running and lane not in self._pending:
                self._pending.append(lane)
            self._start()

    def next(self) -> Outcome:
        """Return the next outcome, waiting for it. Raises what is no host's fault."""
        outcome = self.outcomes.get()
        self.open -= 1
        if not isinstance(outcome.result, (Answer, Moved, FetchRefused, FetchFailed)):
            raise outcome.result
        return outcome

    def stop(self, patience: float = LAST_ANSWERS_SECONDS) -> None:
        """Let every lane end what it is about, and no more. What they still answer stands in `outcomes`.

        What takes longer than `patience` seconds is cut off, and will be asked for again by the next run.
        """
        self._stop.set()
        with self._lock:
            self._pending.clear()
        deadline = monotonic() + patience
        while (threads := self._alive()) and (left := deadline - monotonic()) > 0:
            threads[0].join(left)
        self._cut.set()
        deadline = monotonic() + CUT_SECONDS
        while (threads := self._alive()) and monotonic() < deadline:
            with self._lock:
                sessions = list(self._sessions)
            for session in sessions:
                self._doors.cut(session)
            threads[0].join(CUT_SECONDS / 10)
        with self._lock:
            asking = list(self._asking)
        for address in asking:  # of lanes that are still looking a name up, or waiting for a connection
            self._give_back(address)

    def _give_back(self, address: str) -> None:
        """Note that an address may be asked for again: it was this program that ended it, and not its host."""
        with suppress(SokkuriError, OSError):
            self._memory.troubled(address)

    def _alive(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _start(self) -> None:
        """Start lanes while there is room. Called with the lock held."""
        while self._pending and len(self._threads) < HOSTS_AT_ONCE and not self._stop.is_set():
            lane = self._pending.popleft()
            lane.running = True
            thread = threading.Thread(target=self._run, args=(lane,), name=f"lane {lane.host}", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _run(self, lane: Lane) -> None:
        """Work off a lane, and make room for the next one."""
        session = self._doors.session()
        with self._lock:
            self._sessions.add(session)
        try:
            while not self._stop.is_set():
                with self._lock:
                    if not lane:
                        break
                    job = lane.take(self._clock.now())
                if isinstance(job, float):
                    self._clock.wait(min(job, LONGEST_NAP), self._stop)
                else:
                    self._work(lane, session, job)
        finally:
            session.close()
            with self._lock:
                self._sessions.discard(session)
                lane.running = False
                self._threads.discard(threading.current_thread())
                if lane and not self._stop.is_set():
                    self._pending.append(lane)
                self._start()

    def _work(self, lane: Lane, session: Session, job: Job) -> None:
        try:
            result = self._result(lane, session, job)
        except Trouble as trouble:
            if not self._cut.is_set():
                with self._lock:
                    self._asking.discard(job.address)
                self._again_or_not(lane, job, trouble)
                return
            result = trouble
        except (FetchRefused, FetchFailed) as error:
            self.reached = self.reached or isinstance(error, FetchFailed)
            result = error
        except (SokkuriError, OSError) as error:  # the disk's: raised again where the outcomes are taken
            result = error
        except Exception as error:  # noqa: BLE001  # whatever a host sends ends this job, and no other
            result = unforeseen(error)
        except BaseException as error:  # noqa: BLE001  # it is raised again where the outcomes are taken
            result = error
        with self._lock:
            self._asking.discard(job.address)
        if self._cut.is_set():
            self._give_back(job.address)
        elif result is not None:
            self.outcomes.put(Outcome(job, result))

    def _result(self, lane: Lane, session: Session, job: Job) -> Result | None:
        """Ask for one job, if the host allows it; None where the program is stopping meanwhile."""
        origin = lane.origin(job.address)
        if origin.robots is None and origin.objection is None:
            self._learn_robots(lane, origin, session)
        if origin.objection:
            return origin.objection
        if origin.robots is None:
            return None
        if not origin.robots.allows(job.address):
            return FetchRefused(BY_ROBOTS, f"robots.txt of {origin.name} forbids it")
        if not self._wait_turn(lane):
            return None
        self._memory.asked(job.address)
        with self._lock:
            self._asking.add(job.address)
        answer = self._ask(lane, session, job.question)
        self.reached, origin.troubles = True, 0
        if self._cut.is_set():  # where no length was given, an answer that was cut off looks like a whole one
            raise Trouble(CUT_OFF, "the run was stopped")
        if isinstance(answer, Answer):
            try:
                self._doors.shelve(answer)
            except OSError:  # there is no room for it: with room it may be had
                self._give_back(job.address)
                raise
            return replace(answer, data=b"")
        return answer

    def _wait_turn(self, lane: Lane) -> bool:
        """Wait until the host may be asked again; tell whether the program still goes on."""
        while (left := lane.ready_at(self._pause.seconds) - self._clock.now()) > 0 and not self._stop.is_set():
            self._clock.wait(left, self._stop)
        self._rest(lane)
        return not self._stop.is_set()

    def _ask(self, lane: Lane, session: Session, question: Question) -> Answer | Moved:
        """Ask once, and count it, unless it came to no connection."""
        connected = True
        try:
            return self._doors.ask(session, question, lambda: self._rest(lane))
        except FetchRefused as error:
            connected = error.rule != PRIVATE
            raise
        except Trouble as trouble:
            connected = not trouble.unreachable
            raise
        finally:
            with self._lock:
                self.requests += connected

    def _rest(self, lane: Lane) -> None:
        """Leave the host in peace from now on: told before it is asked, and again when it begins to answer."""
        lane.last = self._clock.now()

    def _again_or_not(self, lane: Lane, job: Job, trouble: Trouble) -> None:
        """Queue a job again, or give up: the job, or the whole host."""
        self.reached = self.reached or not trouble.unreachable
        self.trouble = self.trouble or f"{lane.host}: {trouble}"
        if trouble.unreachable:
            with self._lock:
                self.unreachable.add(lane.host)
        origin = lane.origin(job.address)
        tries = job.tries + 1
        wait = trouble.wait if trouble.wait is not None else BACK_OFF * 4 ** (tries - 1)
        if trouble.of_host:
            origin.troubles += 1
            lane.not_before = max(lane.not_before, self._clock.now() + min(wait, LONGEST_WAIT))
        if trouble.of_host and wait > LONGEST_WAIT:
            origin.objection = FetchFailed(GAVE_UP, f"{trouble}; the host wants {wait:,.0f} seconds of peace")
        elif origin.troubles >= (TRIES if trouble.unreachable or origin.robots is None else MOST_TROUBLES):
            origin.objection = FetchFailed(trouble.why, str(trouble))
        elif tries < TRIES:
            self._memory.troubled(job.address)
            again = replace(job, tries=tries)
            with self._lock:
                if trouble.of_host:
                    lane.put(again)  # behind the others: it may be this address that the host minds
                else:
                    heapq.heappush(lane.later, (self._clock.now() + wait, next(self._numbers), again))
            return
        self.outcomes.put(Outcome(job, origin.objection or FetchFailed(trouble.why, f"{trouble} ({TRIES} times)")))

    def _learn_robots(self, lane: Lane, origin: Origin, session: Session) -> None:
        """Find out what a robots.txt says. Raises Trouble where it cannot be had yet."""
        known = self._memory.robots(origin.name)
        if known is not None:  # an earlier run has asked this host, perhaps a moment ago
            lane.last = max(lane.last, self._began - self._memory.idle())
        if known is None or not fresh(known["fetched"], ROBOTS_HOURS):
            try:
                found = self._ask_robots(lane, origin, session)
            except Trouble as trouble:
                # Without it nothing may be asked for: the trouble is the host's, whatever it is.
                raise Trouble(
                    trouble.why, f"robots.txt cannot be had: {trouble}", trouble.wait,
                    of_host=True, unreachable=trouble.unreachable,
                ) from trouble  # fmt: skip
            if found is None:
                return
            known = {"status": found[0], "text": found[1]}
            self._memory.note_robots(origin.name, *found, datetime.now(UTC).isoformat(timespec="seconds"))
        origin.robots = Robots(known["text"])
        if origin.robots.delay > LONGEST_CRAWL_DELAY:
            origin.objection = FetchRefused(
                BY_ROBOTS, f"robots.txt of {origin.name} wants {origin.robots.delay:,.0f} seconds between two requests"
            )

    def _ask_robots(self, lane: Lane, origin: Origin, session: Session) -> tuple[int, str] | None:
        """Ask for robots.txt and return its status and text: a host without one allows everything (RFC 9309, 2.3.1).

        Returns None where the host is out of the question, or the program is stopping. Raises Trouble.
        """
        address = f"{origin.name}/robots.txt"
        for _ in range(ROBOTS_HOPS + 1):
            if urlsplit(address).scheme not in ("http", "https"):
                break
            if not self._wait_turn(lane):
                return None
            question = Question(
                address, ROBOTS_BYTES, ROBOTS_SECONDS, "text/plain, */*;q=0.5", _TEXTS, packed=True, clipped=True
            )
            try:
                answer = self._ask(lane, session, question)
            except Trouble:
                raise
            except (FetchFailed, FetchRefused) as error:
                return self._without_robots(origin, error)
            self.reached = True
            if isinstance(answer, Answer):
                text = answer.data.decode("utf-8", "replace")
                whole = text if len(answer.data) < ROBOTS_BYTES else text.rpartition("\n")[0]
                return answer.status, whole
            address = answer.to
        # After five redirects, or one to nowhere, a crawler may take it that there is none (RFC 9309, 2.3.1.2).
        return 404, ""

    def _without_robots(self, origin: Origin, error: FetchFailed | FetchRefused) -> tuple[int, str] | None:
        """Return what a robots.txt says that is not there, or note why its host is out of the question."""
        if isinstance(error, FetchRefused):
            if error.rule == NOT_WANTED:  # a picture in its place says nothing
                return 200, ""
            origin.objection = FetchRefused(error.rule, f"robots.txt of {origin.name} cannot be had: {error}")
            return None
        self.reached = True
        if error.why.isdigit():
            return int(error.why), ""
        origin.objection = FetchFailed(error.why, f"robots.txt of {origin.name} cannot be had: {error}")
        return None
