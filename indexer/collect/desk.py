"""The desk: what a run works with, and what pages and pictures need to know alike.

Not here: what becomes of pages (`visits`) and of pictures (`wishes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from indexer.collect.answers import AnswerShelf
from indexer.collect.borders import PRIVATE
from indexer.collect.fetch import UNREACHABLE, Moved, unforeseen
from indexer.collect.jobs import Job, Result
from indexer.collect.journal import Journal, Known
from indexer.collect.keep import Keeper
from indexer.collect.lanes import BY_ROBOTS, GAVE_UP, Lanes
from indexer.collect.provenance import Provenance
from indexer.collect.report import SourceReport
from indexer.collect.sources import Source
from indexer.collect.stopping import Stops
from recommender.errors import FetchFailed, FetchRefused, SokkuriError
from recommender.settings import Settings

HOPS = 5
"""Redirects that are followed."""
MOST_FAILS = 2
"""Runs in which an address may fail before it is left alone."""


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """What a run may do: ask again for everything that failed, and for pages that are not a day old."""

    retry_failed: bool = False
    refresh: bool = False


ORDINARY = CollectOptions()


@dataclass(frozen=True, slots=True)
class Desk:
    """What a run works with; `reports` has one report for each of the sources, in their order."""

    settings: Settings
    sources: Sequence[Source]
    options: CollectOptions
    into: Path
    journal: Journal
    shelf: AnswerShelf
    keeper: Keeper
    lanes: Lanes
    provenance: Provenance
    reports: Sequence[SourceReport]
    stops: Stops

    def followed(self, address: str) -> str:
        """Return where an address led to, as far as that is known."""
        for _ in range(HOPS):
            known = self.journal.known(address)
            if not known or not known.moved:
                break
            address = known.moved
        return address

    def is_forgotten(self, address: str) -> bool:
        """Tell whether an address, or the one that it is known to lead to, was forgotten on demand."""
        return any(map(self.journal.is_forgotten, {address, self.followed(address)}))

    def ask(self, number: int, job: Job) -> None:
        """Have a host asked for something that a source needs."""
        self.reports[number].asked = True
        self.lanes.add(job)

    def led_on(self, job: Job, result: Result) -> Job | Result:
        """Return the job that a redirect makes of another, or what speaks against it; any other result as it is.

        Where it leads is noted. A place of which it is known that it leads on was asked for already.
        """
        found: Job | Result = result
        while isinstance(found, Moved):
            found = redirected(job, found)
            if isinstance(found, Job):
                self.journal.moved(job.address, found.address)
                job, known = found, self.journal.known(found.address)
                found = Moved(known.moved) if known and known.moved else job
        return found


def redirected(job: Job, moved: Moved) -> Job | FetchFailed | FetchRefused:
    """Return the job that a redirect makes of another, or what speaks against it."""
    if urlsplit(moved.to).scheme not in ("http", "https") or not urlsplit(moved.to).hostname:
        return FetchRefused("a redirect to nowhere", f"the host redirects to {moved.to[:100]}")
    if moved.to in job.via or moved.to == job.address:
        return FetchFailed("a redirect loop", f"the host redirects in a circle, to {moved.to[:100]} again")
    if len(job.via) >= HOPS:
        return FetchFailed("too many redirects", f"the host redirects more than {HOPS} times")
    question = replace(job.question, address=moved.to, etag="", modified="")
    return replace(job, question=question, via=(*job.via, job.address), tries=0)


def is_host_s(error: object) -> bool:
    """Tell whether it was the host, and not the address, that could not or may not be asked: tomorrow it may be."""
    if isinstance(error, FetchFailed):
        return error.why in (UNREACHABLE, GAVE_UP)
    return isinstance(error, FetchRefused) and error.rule in (PRIVATE, BY_ROBOTS)


def failed_before(known: Known) -> str:
    """Say what happened to an address that has failed as often as it may."""
    return f"{known.what}; so it was {known.fails} times (--retry-failed asks again)"


@contextmanager
def stumbling() -> Iterator[None]:
    """Turn what nobody foresaw of a page or picture into its failure; what the disk objects to ends the run."""
    try:
        yield
    except (SokkuriError, OSError):
        raise
    except Exception as error:  # whatever a page makes of the parsers ends that page, and no other
        raise unforeseen(error) from error
