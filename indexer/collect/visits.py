"""Visits: the pages of every source are read, from the disk or from their hosts, and the ones that follow them.

Not here: what a page shows (`galleries`), and what becomes of its pictures (`wishes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from indexer.collect.answers import Answer
from indexer.collect.desk import MOST_FAILS, Desk, failed_before, is_host_s, stumbling
from indexer.collect.fetch import NOT_WANTED, PAGES, UNREACHABLE, Question
from indexer.collect.galleries import PAGE_FORBIDS, LeftOut, Page, gallery_of
from indexer.collect.jobs import Job, Outcome, fresh
from indexer.collect.journal import Known
from indexer.collect.keep import FORGOTTEN
from indexer.collect.manners import FOLLOWS_NOT, directives_of, objection
from indexer.collect.wishes import Wishes
from indexer.workplace import now
from recommender.errors import FetchFailed, FetchRefused

PAGE_BYTES = 4_000_000
"""The largest page that a host may send."""
SAVED_BYTES = 32_000_000
"""The largest saved page: one of search results holds its thumbnails as text."""
PAGE_HOURS = 24
"""How long a page that was read is not asked for again: a run that is stopped goes on with the pages it has."""
NO_PAGE = "not a page"
ACCEPT = "text/html, application/xhtml+xml;q=0.9, */*;q=0.1"
_NOT_NOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""Statuses that say nothing about the page itself."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A page that a source wants, the how manieth from its start, and the address that it is known by."""

    source: int
    depth: int
    address: str


class Visits:
    """The pages of one run."""

    def __init__(self, desk: Desk, wishes: Wishes) -> None:
        self._desk, self._wishes = desk, wishes
        self._waiting: dict[str, list[Visit]] = {}
        self._visited: set[tuple[int, str]] = set()
        self._served: set[str] = set()
        self._unreachable: dict[str, FetchFailed] = {}
        self.dead_before: set[str] = set()
        """The hosts of pages that could not be reached in an earlier run either, though there was a network."""

    def read_saved(self, number: int, file: Path) -> None:
        """Take the pictures of a saved page."""
        source, report = self._desk.sources[number], self._desk.reports[number]
        try:
            if file.stat().st_size > SAVED_BYTES:
                report.trouble(str(file), "refused", "too large", f"the page has more than {SAVED_BYTES:,} bytes")
                return
            page = Page.saved(file, source.base)
        except OSError as error:
            report.trouble(str(file), "failed", "unreadable", f"the file cannot be read: {error.strerror}")
            return
        report.pages += 1
        try:
            with stumbling():
                gallery = gallery_of(page, source, name=source.name_of(file))
        except FetchFailed as error:
            report.trouble(str(file), "failed", error.why, str(error))
            return
        self._wishes.take_all(number, gallery, file.parent)

    def visit(self, visit: Visit) -> None:
        """Read a page that is on the shelf, or ask for it."""
        desk = self._desk
        if (visit.source, visit.address) in self._visited:
            return
        self._visited.add((visit.source, visit.address))
        final = desk.followed(visit.address)
        stored = desk.shelf.get(final)
        if stored and self._is_fresh(stored):
            self._read(visit, stored)
            return
        known = desk.journal.known(final)
        if known and known.fate == "failed" and known.reason == UNREACHABLE:
            self.dead_before.add(urlsplit(final).hostname or "")
        if desk.is_forgotten(visit.address):
            desk.reports[visit.source].trouble(visit.address, "refused", FORGOTTEN, "the page was forgotten on demand")
        elif known and not stored and self._has_failed(known):
            desk.reports[visit.source].trouble(visit.address, "failed", known.reason, failed_before(known))
        elif known and known.fate == "no page" and self._is_recent(known.when):
            desk.reports[visit.source].trouble(visit.address, "refused", known.reason, known.what)
        elif final in self._waiting:
            self._waiting[final].append(visit)
            desk.reports[visit.source].asked = True
        else:
            self._waiting[final] = [visit]
            desk.ask(visit.source, Job(self._question(final, stored), visit, urgent=True))

    def _has_failed(self, known: Known) -> bool:
        """Tell whether a page that never was read has failed as often as it may."""
        failed = known.fate == "failed" and known.fails >= MOST_FAILS
        return failed and not self._desk.options.retry_failed

    def settle(self, outcome: Outcome) -> None:
        """Read a page that was asked for, or say why it cannot be."""
        desk, job = self._desk, outcome.job
        visits = self._waiting.pop(job.address)
        result = desk.led_on(job, outcome.result)
        if isinstance(result, Job):
            self._follow(visits, result)
            return
        if isinstance(result, Answer):
            desk.journal.page(job.address)
            self._served.add(job.address)
        else:
            self._remember([job.address, *job.via, *(visit.address for visit in visits)], result)
            for visit in visits:
                self._note(visit, result)
            if not may_pass(result):
                desk.shelf.drop(job.address)
        # A page that cannot be had today is still as good as it was; one that is gone, or forbidden now, is not.
        stored = desk.shelf.get(job.address)
        for visit in visits:
            if stored:
                self._read(visit, stored)

    def _follow(self, visits: list[Visit], target: Job) -> None:
        """Follow a redirect, unless the page that it leads to is here, or asked for, already."""
        desk = self._desk
        stored = desk.shelf.get(target.address)
        if desk.journal.is_forgotten(target.address):
            for visit in visits:
                self._note(visit, FetchRefused(FORGOTTEN, "the page was forgotten on demand"))
        elif stored and self._is_fresh(stored):
            for visit in visits:
                self._read(visit, stored)
        elif target.address in self._waiting:
            self._waiting[target.address].extend(visits)
        else:
            self._waiting[target.address] = visits
            for visit in visits:
                desk.reports[visit.source].asked = True
            desk.lanes.add(target)

    def _is_fresh(self, stored: Answer) -> bool:
        """Tell whether a page that is here need not be asked for again."""
        return stored.address in self._served or self._is_recent(stored.fetched)

    def _is_recent(self, moment: str) -> bool:
        """Tell whether what was found of a page at a moment still holds."""
        return fresh(moment, PAGE_HOURS) and not self._desk.options.refresh

    def _question(self, address: str, stored: Answer | None) -> Question:
        headers = stored.headers if stored else {}
        return Question(
            address,
            PAGE_BYTES,
            self._desk.settings.fetch_seconds,
            ACCEPT,
            PAGES,
            packed=True,
            etag=headers.get("ETag", ""),
            modified=headers.get("Last-Modified", ""),
        )

    def _remember(self, addresses: list[str], error: object) -> None:
        """Note why a page cannot be had, or is none, unless it is its host that may not, or cannot, be asked.

        The first of the addresses is its own, the others led to it: where it is gone, they may lead to another by now.
        Whether a host that cannot be reached counts is known at the end of the run (`blame`).
        """
        if isinstance(error, FetchFailed) and error.why == UNREACHABLE:
            self._unreachable[addresses[0]] = error
        if isinstance(error, FetchFailed) and not is_host_s(error):
            for address in addresses[:1] if may_pass(error) else dict.fromkeys(addresses):
                self._desk.journal.failed(address, error.why, str(error))
        elif isinstance(error, FetchRefused) and not is_host_s(error):
            self._desk.journal.no_page(addresses[0], *_told(error), now())

    def blame(self) -> None:
        """Count it as failures of theirs that pages' hosts could not be reached: it was not for want of a network."""
        for address, error in self._unreachable.items():
            self._desk.journal.failed(address, error.why, str(error))

    def _note(self, visit: Visit, error: object) -> None:
        report = self._desk.reports[visit.source]
        if isinstance(error, FetchRefused):
            report.trouble(visit.address, "refused", *_told(error))
        elif isinstance(error, FetchFailed):
            report.trouble(visit.address, "failed", error.why, str(error))

    def _read(self, visit: Visit, answer: Answer) -> None:
        """Take the pictures of a page, and visit the next one."""
        source, report = self._desk.sources[visit.source], self._desk.reports[visit.source]
        report.pages += 1
        report.stands = True
        try:
            with stumbling():
                gallery = gallery_of(Page(answer.address, answer.data, answer.charset), source)
        except FetchFailed as error:
            report.trouble(visit.address, "failed", error.why, str(error))
            return
        rule = objection(answer.headers)
        if rule:
            refused = tuple(LeftOut(one.address, f"{PAGE_FORBIDS} ({rule})") for one in gallery.pictures)
            gallery = replace(gallery, pictures=(), left_out=(*gallery.left_out, *refused))
        self._wishes.take_all(visit.source, gallery)
        follows = not directives_of(answer.headers) & set(FOLLOWS_NOT)
        if gallery.next and follows and visit.depth < source.max_pages and not self._wishes.are_full(visit.source):
            self.visit(Visit(visit.source, visit.depth + 1, gallery.next))


def _told(error: FetchRefused) -> tuple[str, str]:
    """Return the rule by which a page is refused, and the sentence: those of `fetch` are about pictures."""
    if error.rule == NOT_WANTED:
        return NO_PAGE, f"{error}, which is no page with pictures on it"
    return error.rule, str(error)


def may_pass(error: object) -> bool:
    """Tell whether a page that could not be had may be there all the same: it is its host, or the network, that ails.

    The statuses from 400 to 499 speak of the page (RFC 9110, 15.5), but for those that ask for patience.
    """
    if not isinstance(error, FetchFailed):
        return False
    status = int(error.why) if error.why.isdigit() else 0
    return status in _NOT_NOW or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
