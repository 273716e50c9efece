"""A run of the collector: pages are read, pictures asked for, judged and filed, and every one accounted for.

One thread, this one, decides and writes; the hosts are asked by others (`lanes`). Not here: how any step works.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from indexer.collect.answers import Answer, AnswerShelf
from indexer.collect.borders import PRIVATE, guarded_session, networks_of
from indexer.collect.fetch import PAGES, PICTURES, UNREACHABLE, Moved, Question, unforeseen
from indexer.collect.galleries import PAGE_FORBIDS, Gallery, LeftOut, Page, PictureReference, gallery_of
from indexer.collect.journal import FOLDER, Journal, Known
from indexer.collect.keep import FORGOTTEN, Duplicate, Keeper, row_of_sidecar
from indexer.collect.labels import write_labels
from indexer.collect.lanes import BY_ROBOTS, GAVE_UP, Clock, Doors, Job, Lanes, Outcome, Pause, fresh
from indexer.collect.manners import AGENT, FOLLOWS_NOT, directives, objection
from indexer.collect.report import CollectReport, SourceReport
from indexer.collect.sources import Source
from indexer.library import LIBRARY_LIMITS
from indexer.progress import Told, progress, say
from indexer.workplace import now
from recommender.catalogue import Catalogue, CollectedRow
from recommender.errors import BadLibrary, BuildError, FetchFailed, FetchRefused, NoNetwork, SokkuriError
from recommender.folders import sha256
from recommender.images import Limits
from recommender.settings import Settings

PAGE_BYTES = 4_000_000
"""The largest page that a host may send."""
SAVED_BYTES = 32_000_000
"""The largest saved page: one of search results holds its thumbnails as text."""
PAGE_HOURS = 24
"""How long a page that was read is not asked for again: a run that is stopped goes on with the pages it has."""
HOPS = 5
"""Redirects that are followed."""
MOST_FAILS = 2
"""Runs in which an address may fail before it is left alone."""
ROWS_AT_ONCE = 64
"""Provenance that is written to the catalogue in one transaction; until then the sidecars have it."""
INTERRUPTED = "interrupted"
LOCAL = 0
"""The status of what was asked of no host."""

ACCEPT_PAGES = "text/html, application/xhtml+xml;q=0.9, */*;q=0.1"
ACCEPT_PICTURES = "image/webp, image/jpeg, image/png, image/gif, image/bmp, */*;q=0.1"


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """What a run may do: ask again for everything that failed, and for pages that are not a day old."""

    retry_failed: bool = False
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class _Wish:
    """A picture that a source wants."""

    source: int
    reference: PictureReference


@dataclass(frozen=True, slots=True)
class _Visit:
    """A page that a source wants, the how manieth from its start, and the address that it is known by."""

    source: int
    depth: int
    address: str


def collect(
    settings: Settings,
    catalogue: Catalogue,
    sources: Sequence[Source],
    into: Path,
    options: CollectOptions = CollectOptions(),
    clock: Clock | None = None,
) -> CollectReport:
    """Collect the pictures of some sources into a library.

    Raises BadLibrary and BadSources before anything is asked for, NoNetwork where no host can be reached, and
    BuildError where the disk is full; what was kept until then stays, and the next run goes on from there.
    """
    started = monotonic()
    networks = networks_of(settings.private_networks)
    if into.exists() and not into.is_dir():
        raise BadLibrary(f"{into} is not a folder: name one that pictures are to be put into")
    with _written(into):
        into.mkdir(parents=True, exist_ok=True)
        write_labels(into, sources)
        journal = Journal(into)
    shelf = AnswerShelf(into / FOLDER / "answers")
    agent = agent_of(settings)
    doors = Doors(lambda: guarded_session(agent, networks), lambda answer: _shelve(shelf, answer))
    lanes = Lanes(doors, journal, Pause(settings.host_delay), clock)
    try:
        keeper = Keeper(
            into,
            Limits.of(settings, LIBRARY_LIMITS.min_side),
            journal,
            catalogue.files(str(into.resolve())),
            catalogue.forgotten(),
        )
        keeper.sweep()
        desk = _Desk(into, journal, shelf, keeper, lanes, _Provenance(catalogue, into, journal))
        run = _Run(sources, options, settings, desk)
        with _written(into), progress("collecting") as told:
            run.go(told)
    finally:
        journal.close()
    if lanes.trouble and not lanes.online:
        raise NoNetwork(
            f"no host can be reached ({lanes.trouble}): is there a network? What is collected already stays"
        )
    return CollectReport(str(into), tuple(run.reports), lanes.requests, monotonic() - started)


def agent_of(settings: Settings) -> str:
    """Return how the collector introduces itself: the project, its version, and whom to turn to."""
    from importlib.metadata import version

    contact = " ".join(settings.contact.split()).encode("latin-1", "replace").decode("latin-1")
    return f"{AGENT}/{version('sokkuri')} (picture collector; {f'+{contact}' if contact else 'no contact given'})"


@contextmanager
def _written(into: Path) -> Iterator[None]:
    """Turn what the disk objects to into one sentence."""
    try:
        yield
    except OSError as error:
        where = error.filename or into
        raise BuildError(f"{where} cannot be used ({error.strerror or error}): make room and run it again") from error


@contextmanager
def _stumbling() -> Iterator[None]:
    """Turn what nobody foresaw of a page or picture into its failure; what the disk objects to ends the run."""
    try:
        yield
    except (SokkuriError, OSError):
        raise
    except Exception as error:  # whatever a page makes of the parsers ends that page, and no other
        raise unforeseen(error) from error


def _shelve(shelf: AnswerShelf, answer: Answer) -> None:
    """Put an answer on the shelf; one that says that nothing changed renews the one that is there."""
    stored = shelf.get(answer.address) if answer.status == HTTPStatus.NOT_MODIFIED else None
    shelf.put(replace(stored, fetched=answer.fetched) if stored else answer)


class _Provenance:
    """Writes where pictures came from into the catalogue, some at a time."""

    def __init__(self, catalogue: Catalogue, into: Path, journal: Journal) -> None:
        self._catalogue, self._library = catalogue, str(into.resolve())
        self._rows: list[CollectedRow] = []
        self._gone: list[tuple[str, str]] = []
        known = {row.path for row in catalogue.collected(library=self._library)}
        filed = {one.path for one in journal.filed()}
        # What a killed run had filed but not yet written here, and what it had replaced.
        self._rows += [row for path in sorted(filed - known) if (row := row_of_sidecar(into, path))]
        self._gone += [(self._library, path) for path in sorted(known - filed) if not (into / path).exists()]
        self.finish()

    def add(self, row: CollectedRow, replaces: str) -> None:
        """Take a row, and drop that of the file it replaces."""
        self._rows = [one for one in self._rows if one.path != replaces] + [row]
        if replaces:
            self._gone.append((self._library, replaces))
        if len(self._rows) >= ROWS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Write what is waiting."""
        if self._rows or self._gone:
            self._catalogue.remember_collected(self._rows, self._gone)
        self._rows, self._gone = [], []


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a run works with."""

    into: Path
    journal: Journal
    shelf: AnswerShelf
    keeper: Keeper
    lanes: Lanes
    provenance: _Provenance


class _Run:
    """What one run knows."""

    def __init__(self, sources: Sequence[Source], options: CollectOptions, settings: Settings, desk: _Desk) -> None:
        self._sources, self._options, self._settings = sources, options, settings
        self._into, self._journal, self._shelf = desk.into, desk.journal, desk.shelf
        self._keeper, self._lanes, self._provenance = desk.keeper, desk.lanes, desk.provenance
        self._taken: dict[str, int] = {}
        self._shared: dict[str, list[int]] = {}
        self._lost: dict[str, object] = {}
        self._pages: dict[str, list[_Visit]] = {}
        self._visited: set[tuple[int, str]] = set()
        self._seen: list[set[str]] = [set() for _ in sources]
        self._left_out = [0] * len(sources)
        self._counted: dict[str, tuple[int, bool]] = {}
        self._done = 0
        self.reports = [SourceReport(source.name, source.label) for source in sources]

    def go(self, told: Told) -> None:
        """Visit every source to its end. KeyboardInterrupt ends it once the hosts' last answers are filed."""
        try:
            for number, source in enumerate(self._sources):
                for page in source.pages:
                    if isinstance(page, Path):
                        self._read_saved(number, page)
                    else:
                        self._visit(_Visit(number, 1, page))
            while self._lanes.open:
                self._settle(self._lanes.next())
                told(self._done, self._done + self._lanes.open)
        finally:
            self._lanes.stop()
            while not self._lanes.outcomes.empty():
                self._settle(self._lanes.next())
            self._provenance.finish()

    # Pages

    def _read_saved(self, number: int, file: Path) -> None:
        """Take the pictures of a saved page."""
        source, report = self._sources[number], self.reports[number]
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
            with _stumbling():
                gallery = gallery_of(page, source, name=f"file:{file.name}")
        except FetchFailed as error:
            report.trouble(str(file), "failed", error.why, str(error))
            return
        self._take_all(number, gallery, file.parent)

    def _visit(self, visit: _Visit) -> None:
        """Read a page that is on the shelf, or ask for it."""
        if (visit.source, visit.address) in self._visited:
            return
        self._visited.add((visit.source, visit.address))
        final = self._followed(visit.address)
        stored = self._shelf.get(final)
        if stored and fresh(stored.fetched, PAGE_HOURS) and not self._options.refresh:
            self._read(visit, stored)
            return
        known = self._journal.known(final)
        if self._journal.is_forgotten(visit.address):
            self.reports[visit.source].trouble(visit.address, "refused", FORGOTTEN, "the page was forgotten on demand")
        elif known and known.fate == "failed" and known.fails >= MOST_FAILS and not self._options.retry_failed:
            self.reports[visit.source].trouble(visit.address, "failed", known.reason, _again(known))
        elif final in self._pages:
            self._pages[final].append(visit)
        else:
            self._pages[final] = [visit]
            self._lanes.add(Job(self._page_question(final, stored), visit, urgent=True))

    def _followed(self, address: str) -> str:
        """Return where an address led to, as far as that is known."""
        for _ in range(HOPS):
            known = self._journal.known(address)
            if not known or not known.moved:
                break
            address = known.moved
        return address

    def _page_question(self, address: str, stored: Answer | None) -> Question:
        headers = stored.headers if stored else {}
        return Question(
            address,
            PAGE_BYTES,
            self._settings.fetch_seconds,
            ACCEPT_PAGES,
            PAGES,
            packed=True,
            etag=headers.get("ETag", ""),
            modified=headers.get("Last-Modified", ""),
        )

    def _settle_page(self, outcome: Outcome) -> None:
        """Read a page that was asked for, or say why it cannot be."""
        job, result = outcome.job, outcome.result
        visits = self._pages.pop(job.address)
        if isinstance(result, Moved):
            target = self._target(job, result)
            if isinstance(target, Job):
                self._journal.moved(job.address, target.address)
                self._pages.setdefault(target.address, []).extend(visits)
                self._lanes.add(target)
                return
            result = target
        stored = self._shelf.get(job.address)
        if isinstance(result, Answer):
            self._journal.page(job.address)
        else:
            for visit in visits:
                self._note_page(visit, result)
            # A page that cannot be had again today is still as good as it was.
        for visit in visits:
            if stored:
                self._read(visit, stored)

    def _note_page(self, visit: _Visit, error: object) -> None:
        report = self.reports[visit.source]
        if isinstance(error, FetchRefused):
            report.trouble(visit.address, "refused", error.rule, str(error))
        elif isinstance(error, FetchFailed):
            if not _is_host_s(error):
                self._journal.failed(self._followed(visit.address), error.why, str(error))
            report.trouble(visit.address, "failed", error.why, str(error))

    def _read(self, visit: _Visit, answer: Answer) -> None:
        """Take the pictures of a page, and visit the next one."""
        source, report = self._sources[visit.source], self.reports[visit.source]
        report.pages += 1
        try:
            with _stumbling():
                gallery = gallery_of(Page(answer.address, answer.data, answer.charset), source)
        except FetchFailed as error:
            report.trouble(visit.address, "failed", error.why, str(error))
            return
        rule = objection(answer.headers)
        if rule:
            refused = tuple(LeftOut(one.address, f"{PAGE_FORBIDS} ({rule})") for one in gallery.pictures)
            gallery = replace(gallery, pictures=(), left_out=(*gallery.left_out, *refused))
        self._take_all(visit.source, gallery)
        follows = not directives([answer.headers.get("X-Robots-Tag", "")]) & set(FOLLOWS_NOT)
        if gallery.next and follows and visit.depth < source.max_pages and not self._full(visit.source):
            self._visit(_Visit(visit.source, visit.depth + 1, gallery.next))

    def _full(self, number: int) -> bool:
        """Tell whether a source has as many pictures as it wants."""
        most = self._sources[number].max_pictures
        return most is not None and self.reports[number].found - self._left_out[number] >= most

    # Pictures

    def _take_all(self, number: int, gallery: Gallery, folder: Path | None = None) -> None:
        report, seen = self.reports[number], self._seen[number]
        for one in gallery.left_out:
            key = key_of(one.address, folder)
            if key not in seen:
                seen.add(key)
                report.found += 1
                self._left_out[number] += 1
                report.refuse(key, one.rule, one.rule)
        for reference in gallery.pictures:
            key = key_of(reference.address, folder)
            if key not in seen and not self._full(number):
                seen.add(key)
                report.found += 1
                self._take(_Wish(number, replace(reference, address=key)), reference.address)

    def _take(self, wish: _Wish, link: str) -> None:
        """Ask for a picture that a page shows, unless its fate is known."""
        number, key = wish.source, wish.reference.address
        known = self._journal.known(key)
        if self._taken.setdefault(key, number) != number:
            self._share(number, key)
        elif self._journal.is_forgotten(key):
            self._lose(number, key, FetchRefused(FORGOTTEN, "the picture was forgotten on demand"))
        elif known and known.fate not in ("asked", "failed"):
            self._recall(number, key, known)
        elif link.startswith(("data:", "file:")):
            self._keep_local(wish, link)
        elif not self._from_shelf(wish):
            self._ask_or_not(wish)

    def _share(self, number: int, key: str) -> None:
        """Count a picture that is another source's: a duplicate, unless, or until, that source cannot have it."""
        if key in self._lost:
            self._count_lost(number, key, self._lost[key])
        else:
            self.reports[number].duplicate += 1
            self._shared.setdefault(key, []).append(number)

    def _lose(self, number: int, key: str, error: object, addresses: tuple[str, ...] = ()) -> None:
        """Count a picture that is not to be had, for every source that wants it."""
        self._count_lost(number, key, error)
        for address in dict.fromkeys((key, *addresses)):
            self._lost[address] = error
            for other in self._shared.pop(address, ()):
                self.reports[other].duplicate -= 1
                self._count_lost(other, address, error)

    def _count_lost(self, number: int, key: str, error: object) -> None:
        if isinstance(error, FetchRefused):
            self.reports[number].refuse(key, error.rule, str(error))
        elif isinstance(error, FetchFailed):
            self.reports[number].fail(key, error.why, str(error))

    def _recall(self, number: int, key: str, known: Known) -> None:
        """Count a picture whose fate an earlier run decided."""
        report = self.reports[number]
        filed = self._journal.picture(known.picture) if known.picture else None
        if known.fate == "refused":
            self._lose(number, key, FetchRefused(known.reason, known.what))
        elif known.fate == "kept" and filed and filed.picture == known.picture:
            if (self._into / filed.path).exists():
                report.kept += 1
                self._counted[filed.path] = (number, False)
            else:
                self._lose(number, key, FetchRefused("removed by hand", "its file is gone from the library"))
        else:
            report.duplicate += 1

    def _from_shelf(self, wish: _Wish) -> bool:
        """File a picture that an earlier run had received, but not yet filed."""
        final = self._followed(wish.reference.address)
        answer = self._shelf.get(final)
        if answer is None:
            return False
        self._file(wish, answer, (wish.reference.address, final))
        self._shelf.drop(final)
        return True

    def _ask_or_not(self, wish: _Wish) -> None:
        """Queue a picture, unless it was asked for as often as it may be."""
        address = wish.reference.address
        final = self._followed(address)
        last = self._journal.known(final)
        if last and not self._options.retry_failed:
            if last.fate == "asked":
                what = "a run ended while it was asked for (--retry-failed asks again)"
                self._lose(wish.source, address, FetchFailed(INTERRUPTED, what), (final,))
                return
            if last.fate == "failed" and last.fails >= MOST_FAILS:
                self._lose(wish.source, address, FetchFailed(last.reason, _again(last)), (final,))
                return
        question = Question(final, self._settings.max_bytes, self._settings.fetch_seconds, ACCEPT_PICTURES, PICTURES)
        via = (address,) if final != address else ()
        self._lanes.add(Job(question, wish, via=via))

    def _keep_local(self, wish: _Wish, link: str) -> None:
        """File a picture that a page brings along."""
        try:
            with _stumbling():
                if link.startswith("data:"):
                    kind, data = data_of(link, self._settings.max_bytes)
                else:
                    kind, data = "", _saved_bytes(link, self._settings.max_bytes)
        except (FetchRefused, FetchFailed) as error:
            self._lose(wish.source, wish.reference.address, error)
            return
        answer = Answer(wish.reference.address, LOCAL, now(), data, {"Content-Type": kind} if kind else {})
        self._file(wish, answer, (wish.reference.address,))

    def _settle(self, outcome: Outcome) -> None:
        """Decide about what came of a job."""
        job, result = outcome.job, outcome.result
        self._done += 1
        if isinstance(job.context, _Visit):
            self._settle_page(outcome)
            return
        wish: _Wish = job.context
        addresses = tuple(dict.fromkeys((wish.reference.address, *job.via, job.address)))
        if isinstance(result, Moved):
            target = self._target(job, result)
            if isinstance(target, Job):
                self._follow(wish, job, target)
                return
            result = target
        if isinstance(result, Answer):
            answer = self._shelf.get(job.address)
            if answer is None:
                result = FetchFailed(INTERRUPTED, "its answer is gone from the disk")
            else:
                self._file(wish, answer, addresses)
                self._shelf.drop(job.address)
                return
        self._note(wish, result, addresses)

    def _follow(self, wish: _Wish, job: Job, target: Job) -> None:
        """Follow a redirect, unless what it leads to is, or was, asked for anyway."""
        self._journal.moved(job.address, target.address)
        known = self._journal.known(target.address)
        if self._journal.is_forgotten(target.address):
            self._lose(
                wish.source, wish.reference.address, FetchRefused(FORGOTTEN, "the picture was forgotten on demand")
            )
        elif target.address in self._lost:
            self._note(wish, self._lost[target.address], (wish.reference.address,))
        elif target.address in self._taken or (known and known.fate in ("kept", "same")):
            self._taken.setdefault(target.address, wish.source)
            self._share(wish.source, target.address)
            for address in dict.fromkeys((wish.reference.address, *target.via)):
                self._journal.same(address, known.picture if known else "", "the same address")
        elif known and known.fate == "refused":
            self._note(wish, FetchRefused(known.reason, known.what), (wish.reference.address,))
        else:
            self._taken[target.address] = wish.source
            self._lanes.add(target)

    def _target(self, job: Job, moved: Moved) -> Job | FetchFailed | FetchRefused:
        """Return the job that a redirect makes of another, or what speaks against it."""
        if urlsplit(moved.to).scheme not in ("http", "https") or not urlsplit(moved.to).hostname:
            return FetchRefused("a redirect to nowhere", f"the host redirects to {moved.to[:100]}")
        if moved.to in job.via or moved.to == job.address:
            return FetchFailed("a redirect loop", f"the host redirects in a circle, to {moved.to[:100]} again")
        if len(job.via) >= HOPS:
            return FetchFailed("too many redirects", f"the host redirects more than {HOPS} times")
        question = replace(job.question, address=moved.to, etag="", modified="")
        return replace(job, question=question, via=(*job.via, job.address), tries=0)

    def _file(self, wish: _Wish, answer: Answer, addresses: tuple[str, ...]) -> None:
        """Keep a picture that is here, and note what became of every address that led to it."""
        report = self.reports[wish.source]
        try:
            if rule := objection(answer.headers):
                raise FetchRefused(rule, f"the host forbids keeping it ({rule})")
            with _stumbling():
                kept = self._keeper.keep(self._sources[wish.source], wish.reference, answer)
        except (FetchRefused, FetchFailed) as error:
            self._note(wish, error, addresses)
            return
        if isinstance(kept, Duplicate):
            report.duplicate += 1
            for address in dict.fromkeys(addresses):
                self._journal.same(address, kept.picture, kept.how)
            return
        report.kept += 1
        report.new += 1
        self._counted[kept.row.path] = (wish.source, True)
        self._provenance.add(kept.row, kept.replaces)
        self._uncount(kept.replaces)
        for address in dict.fromkeys(addresses[1:]):
            if address != addresses[0]:
                self._journal.same(address, kept.row.picture, "the same address")

    def _uncount(self, path: str) -> None:
        """Count a picture that went for a larger one among the duplicates."""
        if path in self._counted:
            number, new = self._counted.pop(path)
            report = self.reports[number]
            report.kept, report.new, report.duplicate = report.kept - 1, report.new - new, report.duplicate + 1

    def _note(self, wish: _Wish, error: object, addresses: tuple[str, ...]) -> None:
        """Note that a picture is not to be had, at every address that led to it."""
        self._lose(wish.source, wish.reference.address, error, addresses)
        for address in dict.fromkeys(addresses):
            known = self._journal.known(address)
            if _is_host_s(error):
                if known and known.fate == "asked":
                    self._journal.troubled(address)
            elif isinstance(error, FetchFailed):
                self._journal.failed(address, error.why, str(error))
            elif isinstance(error, FetchRefused) and known and known.fate == "asked":
                self._journal.refused(address, error.rule, str(error))


def _is_host_s(error: object) -> bool:
    """Tell whether it was the host, and not the address, that could not or may not be asked: tomorrow it may be."""
    if isinstance(error, FetchFailed):
        return error.why in (UNREACHABLE, GAVE_UP)
    return isinstance(error, FetchRefused) and error.rule in (PRIVATE, BY_ROBOTS)


def key_of(link: str, folder: Path | None = None) -> str:
    """Return the address that a picture is known by: its own, but for those that a page brings along.

    What is `data:` is known by its hash, and a file by its path below the folder of its page, and its own hash: folders
    of one name may be many.
    """
    if link.startswith("data:"):
        kind = link[5:].partition(",")[0].partition(";")[0]
        return f"data:{kind};sha256={hashlib.sha256(link.encode()).hexdigest()}"
    if link.startswith("file:") and folder is not None:
        path = Path(unquote(urlsplit(link).path))
        name = f"file:{folder.resolve().name}/{os.path.relpath(path, folder.resolve())}"
        try:
            return f"{name};sha256={sha256(path)}" if path.is_file() and not path.is_symlink() else name
        except (OSError, ValueError):
            return name
    return link


def data_of(link: str, most: int) -> tuple[str, bytes]:
    """Return media type and bytes of a `data:` link (RFC 2397). Raises FetchRefused."""
    head, comma, body = link[5:].partition(",")
    kind, *parameters = (part.strip().lower() for part in head.split(";"))
    if not comma:
        raise FetchRefused("unreadable", "the data: link holds no data")
    if len(body) > 4 * most:
        raise FetchRefused("too large", f"the data: link has more than {most:,} bytes")
    try:
        data = unquote_to_bytes(body)
        if "base64" in parameters:
            data = base64.b64decode(b"".join(data.split()) + b"==", validate=False)
    except (binascii.Error, ValueError):
        raise FetchRefused("unreadable", "the data: link is not what base64 looks like") from None
    return kind, data


def _saved_bytes(link: str, most: int) -> bytes:
    """Return the bytes of a file that lies beside a saved page. Raises FetchRefused."""
    file = Path(unquote(urlsplit(link).path))
    try:
        if not file.is_file() or file.is_symlink():
            raise FetchRefused("unreadable", "the saved page came without this file")
        with file.open("rb") as stream:
            return stream.read(most + 1)
    except OSError as error:
        raise FetchRefused("unreadable", f"the file cannot be read: {error.strerror}") from None


def _again(known: Known) -> str:
    return f"{known.what}; so it was {known.fails} times (--retry-failed asks again)"


def warn_without_contact(settings: Settings, sources: Sequence[Source]) -> None:
    """Tell the person at the terminal that the owners of the sites could not reach anybody."""
    if not settings.contact and any(isinstance(page, str) for source in sources for page in source.pages):
        say("no contact is set: SOKKURI_CONTACT=you@example.org tells a site's owner whom to turn to")
