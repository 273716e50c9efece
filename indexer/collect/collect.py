"""A run of the collector: pages are read, pictures asked for, judged and filed, and what came of it is reported.

One thread, this one, decides and writes; the hosts are asked by others (`lanes`). Not here: how any step works.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from time import monotonic

from indexer.collect.answers import Answer, AnswerShelf
from indexer.collect.borders import guarded_session, networks_of
from indexer.collect.desk import ORDINARY, CollectOptions, Desk
from indexer.collect.jobs import Clock, Doors, Outcome, Pause
from indexer.collect.journal import FOLDER, Journal
from indexer.collect.keep import Keeper
from indexer.collect.labels import write_labels
from indexer.collect.lanes import LAST_ANSWERS_SECONDS, Lanes
from indexer.collect.manners import AGENT
from indexer.collect.provenance import Provenance
from indexer.collect.report import CollectReport, SourceReport
from indexer.collect.sources import Source
from indexer.collect.stopping import Stops
from indexer.collect.visits import Visit, Visits
from indexer.collect.wishes import Wishes
from indexer.holding import held
from indexer.library import LIBRARY_LIMITS
from indexer.progress import Told, progress, say
from recommender.catalogue import Catalogue
from recommender.errors import BadLibrary, BuildError, SokkuriError
from recommender.images import Limits
from recommender.settings import Settings


def collect(
    settings: Settings,
    catalogue: Catalogue,
    sources: Sequence[Source],
    into: Path,
    options: CollectOptions = ORDINARY,
    clock: Clock | None = None,
) -> CollectReport:
    """Collect the pictures of some sources into a library.

    Raises BadLibrary and BadSources before anything is asked for, Busy where another collector is at work in the
    library, and BuildError where the disk is full; what was kept until then stays, and the next run goes on from
    there. Where no host could be reached, the report says so (`offline`).
    """
    networks = networks_of(settings.private_networks)
    if into.exists() and not into.is_dir():
        raise BadLibrary(f"{into} is not a folder: name one that pictures are to be put into")
    with held(into / FOLDER, "collect", "choose another folder with --into", shown=into):
        with _written(into):
            write_labels(into, sources)
            journal = Journal(into)
        shelf = AnswerShelf(into / FOLDER / "answers")
        agent = agent_of(settings)
        doors = Doors(lambda: guarded_session(agent, networks), lambda answer: _shelve(shelf, answer))
        lanes = Lanes(doors, journal, Pause(settings.host_delay), clock)
        try:
            desk = Desk(
                settings,
                sources,
                options,
                into,
                journal,
                shelf,
                Keeper(
                    into,
                    Limits.of(settings, LIBRARY_LIMITS.min_side),
                    journal,
                    catalogue.files(str(into.resolve())),
                    catalogue.forgotten(),
                ),
                lanes,
                Provenance(catalogue, into, journal),
                [SourceReport(source.name, source.label) for source in sources],
                Stops(_say_stopping),
            )
            return _gone_through(desk)
        finally:
            journal.close()


def agent_of(settings: Settings) -> str:
    """Return how the collector introduces itself: the project, its version, and whom to turn to."""
    from importlib.metadata import version

    contact = " ".join(settings.contact.split()).encode("latin-1", "replace").decode("latin-1")
    return f"{AGENT}/{version('sokkuri')} (picture collector; {f'+{contact}' if contact else 'no contact given'})"


def warn_without_contact(settings: Settings, sources: Sequence[Source]) -> None:
    """Tell the person at the terminal that the owners of the sites could not reach anybody."""
    if not settings.contact and any(isinstance(page, str) for source in sources for page in source.pages):
        say("no contact is set: SOKKURI_CONTACT=you@example.org tells a site's owner whom to turn to")


def _gone_through(desk: Desk) -> CollectReport:
    """Visit every source to its end, and report."""
    started = monotonic()
    with _written(desk.into), desk.stops, progress("collecting") as told:
        desk.keeper.sweep()
        desk.shelf.sweep(desk.journal.settled())
        run = _Run(desk)
        run.go(told)
    offline = ""
    if run.is_offline:
        offline = (
            f"no host can be reached ({desk.lanes.trouble}): is there a network? What is collected already stays, and "
            "the next run goes on"
        )
    return CollectReport(
        str(desk.into), tuple(desk.reports), desk.lanes.requests, monotonic() - started, offline=offline
    )


def _say_stopping() -> None:
    say(f"stopping: answers that are on their way are waited for, {LAST_ANSWERS_SECONDS:.0f} seconds at most")


@contextmanager
def _written(into: Path) -> Iterator[None]:
    """Turn what the disk objects to into one sentence."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "make room and run it again" if full else "see that it can be written to, or choose another folder"
        raise BuildError(f"{error.filename or into} cannot be used ({error.strerror or error}): {remedy}") from error


def _shelve(shelf: AnswerShelf, answer: Answer) -> None:
    """Put an answer on the shelf; one that says that nothing changed renews the one that is there, and its headers.

    What it is stays as it was, of course; what may be done with it is what the host says now (RFC 9111, 3.2).
    """
    stored = shelf.get(answer.address) if answer.status == HTTPStatus.NOT_MODIFIED else None
    if stored:
        now = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
        answer = replace(stored, fetched=answer.fetched, headers={**stored.headers, **now})
    shelf.put(answer)


class _Run:
    """One run: the order of things."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._wishes = Wishes(desk)
        self._visits = Visits(desk, self._wishes)
        self._done = 0
        self.is_offline = False

    def go(self, told: Told) -> None:
        """Visit every source to its end. KeyboardInterrupt ends it once the hosts' last answers are filed."""
        lanes = self._desk.lanes
        try:
            for number, source in enumerate(self._desk.sources):
                for page in source.pages:
                    if isinstance(page, Path):
                        self._visits.read_saved(number, page)
                    else:
                        self._visits.visit(Visit(number, 1, page))
            while lanes.open:
                self._settle(lanes.next())
                told(self._done, self._done + lanes.open)
            self.is_offline = self._has_no_network()
            if not self.is_offline:
                self._visits.blame()
        finally:
            lanes.stop()
            while not lanes.outcomes.empty():
                with suppress(SokkuriError, OSError):  # something else ends the run already, and is told
                    self._settle(lanes.next())
            self._desk.provenance.finish()
        self._count_what_stays()

    def _has_no_network(self) -> bool:
        """Tell whether it looks as if there were no network: no host that was needed could be reached.

        One host alone is no sign of it where other sources needed none, as everything of theirs is here already; nor is
        one that could not be reached before, when others could.
        """
        lanes = self._desk.lanes
        if lanes.reached:
            return False
        hosts = lanes.unreachable - self._visits.dead_before
        others_stand = any(report.stands and not report.asked for report in self._desk.reports)
        return len(hosts) > (1 if others_stand else 0)

    def _count_what_stays(self) -> None:
        """Count the files that earlier runs left and that this one did not find: nothing but `forget` removes them."""
        reports = {report.name: report for report in reversed(self._desk.reports)}
        labels = {report.label: report for report in reversed(self._desk.reports)}
        shown, names = self._wishes.shown, self._desk.provenance.sources()
        for filed in self._desk.journal.filed():
            report = reports.get(names.get(filed.path, "")) or labels.get(filed.path.rpartition("/")[0])
            if report and filed.picture not in shown and (self._desk.into / filed.path).exists():
                report.stays += 1

    def _settle(self, outcome: Outcome) -> None:
        self._done += 1
        if isinstance(outcome.job.context, Visit):
            self._visits.settle(outcome)
        else:
            self._wishes.settle(outcome)
