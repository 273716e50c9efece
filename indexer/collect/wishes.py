"""Wishes: the pictures that sources want are asked for, judged and filed, and every one is accounted for.

Not here: which pictures a page shows (`galleries`), how hosts are asked (`lanes`), and what is kept (`keep`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from indexer.collect.addresses import is_of_the_web
from indexer.collect.answers import Answer
from indexer.collect.brought import data_of, key_of, saved_bytes
from indexer.collect.desk import MOST_FAILS, Desk, failed_before, is_host_s, stumbling
from indexer.collect.fetch import PICTURES, Question
from indexer.collect.galleries import Gallery, PictureReference
from indexer.collect.jobs import Job, Outcome
from indexer.collect.journal import DECIDED, Known
from indexer.collect.keep import FORGOTTEN, Duplicate
from indexer.collect.manners import objection
from indexer.workplace import now
from recommender.errors import FetchFailed, FetchRefused

INTERRUPTED = "interrupted"
LOCAL = 0
"""The status of what was asked of no host."""
ACCEPT = "image/webp, image/jpeg, image/png, image/gif, image/bmp, */*;q=0.1"


@dataclass(frozen=True, slots=True)
class Wish:
    """A picture that a source wants."""

    source: int
    reference: PictureReference


class Wishes:
    """The pictures of one run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._taken: dict[str, int] = {}
        self._shared: dict[str, list[Wish]] = {}
        self._lost: dict[str, object] = {}
        self._seen: list[set[str]] = [set() for _ in desk.sources]
        self._left_out = [0] * len(desk.sources)
        self._counted: dict[str, tuple[int, bool]] = {}
        self.shown: set[str] = set()
        """The pictures of the library that pages show, themselves or in smaller copies."""

    def take_all(self, number: int, gallery: Gallery, folder: Path | None = None) -> None:
        """Take the pictures of a page for a source; `folder` is that of a saved page."""
        report, seen = self._desk.reports[number], self._seen[number]
        for one in gallery.left_out:
            key = key_of(one.address, folder)
            if key not in seen:
                seen.add(key)
                report.found += 1
                self._left_out[number] += 1
                report.refuse(key, one.rule, one.rule)
        for reference in gallery.pictures:
            key = key_of(reference.address, folder)
            if key not in seen and not self.are_full(number):
                seen.add(key)
                report.found += 1
                self._take(Wish(number, replace(reference, address=key)), reference.address)

    def are_full(self, number: int) -> bool:
        """Tell whether a source has as many pictures as it wants."""
        most = self._desk.sources[number].max_pictures
        return most is not None and self._desk.reports[number].found - self._left_out[number] >= most

    def _take(self, wish: Wish, link: str) -> None:
        """Ask for a picture that a page shows, unless its fate is known."""
        number, key = wish.source, wish.reference.address
        known = self._desk.journal.known(key)
        if self._is_filed_for_another(wish, known):
            self._desk.reports[number].duplicate += 1
        elif not self._claim(wish):
            self._share(wish, key)
        elif self._desk.is_forgotten(key):
            self._lose(number, key, FetchRefused(FORGOTTEN, "the picture was forgotten on demand"))
        elif known and known.fate in DECIDED and not self._may_pass(wish, _refusal(known)):
            self._recall(wish, known)
        elif link.startswith(("data:", "file:")):
            self._keep_local(wish, link)
        elif not self._from_shelf(wish):
            self._ask_or_not(wish)

    def _is_filed_for_another(self, wish: Wish, known: Known | None) -> bool:
        """Tell whether an earlier run filed a picture for another character."""
        filed = self._desk.journal.picture(known.picture) if known and known.fate == "kept" else None
        if not known or not filed or filed.picture != known.picture:
            return False
        self.shown.add(filed.picture)
        label = self._desk.sources[wish.source].label
        return not filed.path.startswith(f"{label}/") and (self._desk.into / filed.path).exists()

    def _claim(self, wish: Wish) -> bool:
        """Tell whether a picture is this source's: the first one's that wants it, unless only its limits refused it."""
        number, key = wish.source, wish.reference.address
        if self._taken.setdefault(key, number) != number and self._may_pass(wish, self._lost.get(key)):
            self._taken[key] = number
            del self._lost[key]
        return self._taken[key] == number

    def _may_pass(self, wish: Wish, error: object) -> bool:
        """Tell whether a picture that limits refused, another source's or those of then, may pass these ones."""
        limits = self._desk.keeper.limits_of(self._desk.sources[wish.source])
        return isinstance(error, FetchRefused) and limits.meet(error.needs)

    def _share(self, wish: Wish, key: str) -> None:
        """Count a picture that is another source's: a duplicate, unless, or until, that source cannot have it."""
        if key in self._lost:
            self._count_lost(wish.source, key, self._lost[key])
        else:
            self._desk.reports[wish.source].duplicate += 1
            self._shared.setdefault(key, []).append(wish)

    def _heir(self, error: object, addresses: tuple[str, ...]) -> Wish | None:
        """Return a wish for a picture that only the limits of the first source refused, no longer counted elsewhere."""
        for address in addresses:
            for wish in self._shared.get(address, ()):
                if self._may_pass(wish, error):
                    self._shared[address].remove(wish)
                    self._desk.reports[wish.source].duplicate -= 1
                    self._taken[address] = wish.source
                    return wish
        return None

    def _lose(self, number: int, key: str, error: object, addresses: tuple[str, ...] = ()) -> None:
        """Count a picture that is not to be had, for every source that wants it."""
        self._count_lost(number, key, error)
        for address in dict.fromkeys((key, *addresses)):
            self._lost[address] = error
            for other in self._shared.pop(address, ()):
                self._desk.reports[other.source].duplicate -= 1
                self._count_lost(other.source, address, error)

    def _count_lost(self, number: int, key: str, error: object) -> None:
        if isinstance(error, FetchRefused):
            self._desk.reports[number].refuse(key, error.rule, str(error))
        elif isinstance(error, FetchFailed):
            self._desk.reports[number].fail(key, error.why, str(error))

    def _recall(self, wish: Wish, known: Known) -> None:
        """Count a picture whose fate an earlier run decided."""
        number, key = wish.source, wish.reference.address
        report = self._desk.reports[number]
        filed = self._desk.journal.picture(known.picture) if known.picture else None
        report.stands = report.stands or is_of_the_web(key)
        self.shown |= {filed.picture} if filed else set()
        if known.fate == "refused":
            self._lose(number, key, _refusal(known))
        elif known.fate == "kept" and filed and filed.picture == known.picture:
            if (self._desk.into / filed.path).exists():
                report.kept += 1
                self._counted[filed.path] = (number, False)
                self._desk.keeper.complete(filed.path, wish.reference.saved_from)
            else:
                self._lose(number, key, FetchRefused("removed by hand", "its file is gone from the library"))
        else:
            report.duplicate += 1

    def _from_shelf(self, wish: Wish) -> bool:
        """File a picture that an earlier run had received, but not yet filed."""
        final = self._desk.followed(wish.reference.address)
        answer = self._desk.shelf.get(final)
        if answer is None:
            return False
        self._file(wish, answer, (wish.reference.address, final), shelved=final)
        return True

    def _ask_or_not(self, wish: Wish) -> None:
        """Queue a picture, unless it was asked for as often as it may be."""
        address = wish.reference.address
        final = self._desk.followed(address)
        if error := self._given_up(final):
            self._lose(wish.source, address, error, (final,))
            return
        question = Question(final, self._desk.settings.max_bytes, self._desk.settings.fetch_seconds, ACCEPT, PICTURES)
        via = (address,) if final != address else ()
        self._desk.ask(wish.source, Job(question, wish, via=via))

    def _given_up(self, address: str) -> FetchFailed | None:
        """Return why an address is not asked for again in this run, None where it may be."""
        last = self._desk.journal.known(address)
        if last and not self._desk.options.retry_failed:
            if last.fate == "asked":
                return FetchFailed(INTERRUPTED, "a run ended while it was asked for (--retry-failed asks again)")
            if last.fate == "failed" and last.fails >= MOST_FAILS:
                return FetchFailed(last.reason, failed_before(last))
        return None

    def _keep_local(self, wish: Wish, link: str) -> None:
        """File a picture that a page brings along."""
        try:
            with stumbling():
                if link.startswith("data:"):
                    kind, data = data_of(link, self._desk.settings.max_bytes)
                else:
                    kind, data = "", saved_bytes(link, self._desk.settings.max_bytes)
        except (FetchRefused, FetchFailed) as error:
            self._lose(wish.source, wish.reference.address, error)
            return
        answer = Answer(wish.reference.address, LOCAL, now(), data, {"Content-Type": kind} if kind else {})
        self._file(wish, answer, (wish.reference.address,))

    def settle(self, outcome: Outcome) -> None:
        """Decide about what came of a picture that was asked for."""
        job = outcome.job
        wish: Wish = job.context
        addresses = tuple(dict.fromkeys((wish.reference.address, *job.via, job.address)))
        result = self._desk.led_on(job, outcome.result)
        if isinstance(result, Job):
            self._follow(wish, result)
            return
        if isinstance(result, Answer):
            answer = self._desk.shelf.get(job.address)
            if answer is None:
                result = FetchFailed(INTERRUPTED, "its answer is gone from the disk")
            else:
                self._file(wish, answer, addresses, shelved=job.address)
                return
        self._note(wish, result, addresses)

    def _follow(self, wish: Wish, target: Job) -> None:
        """Follow a redirect, unless what it leads to is, or was, asked for anyway."""
        known = self._desk.journal.known(target.address)
        if self._desk.journal.is_forgotten(target.address):
            self._lose(
                wish.source, wish.reference.address, FetchRefused(FORGOTTEN, "the picture was forgotten on demand")
            )
        elif target.address in self._lost:
            self._note(wish, self._lost[target.address], (wish.reference.address,))
        elif target.address in self._taken or (known and known.fate in ("kept", "same")):
            self._taken.setdefault(target.address, wish.source)
            self._share(wish, target.address)
            for address in dict.fromkeys((wish.reference.address, *target.via)):
                self._desk.journal.same(address, known.picture if known else "", "the same address")
        elif known and known.fate == "refused" and not self._may_pass(wish, _refusal(known)):
            self._note(wish, _refusal(known), (wish.reference.address,))
        elif not self._from_shelf(wish):
            if given_up := self._given_up(target.address):
                self._note(wish, given_up, (wish.reference.address,))
                return
            self._taken[target.address] = wish.source
            self._desk.ask(wish.source, target)

    def _file(self, wish: Wish, answer: Answer, addresses: tuple[str, ...], shelved: str = "") -> None:
        """Keep a picture that is here, or was on the shelf, and note what became of every address that led to it."""
        with self._desk.stops.step():
            self._judge(wish, answer, addresses)
            if shelved:
                self._desk.shelf.drop(shelved)

    def _judge(self, wish: Wish, answer: Answer, addresses: tuple[str, ...]) -> None:
        report = self._desk.reports[wish.source]
        try:
            if rule := objection(answer.headers):
                raise FetchRefused(rule, f"the host forbids keeping it ({rule})")
            with stumbling():
                kept = self._desk.keeper.keep(self._desk.sources[wish.source], wish.reference, answer)
        except (FetchRefused, FetchFailed) as error:
            if heir := self._heir(error, addresses):
                self._count_lost(wish.source, wish.reference.address, error)
                self._judge(heir, answer, tuple(dict.fromkeys((heir.reference.address, *addresses))))
            else:
                self._note(wish, error, addresses)
            return
        self.shown.add(kept.picture if isinstance(kept, Duplicate) else kept.row.picture)
        if isinstance(kept, Duplicate):
            report.duplicate += 1
            for address in dict.fromkeys(addresses):
                self._desk.journal.same(address, kept.picture, kept.how, kept.own)
            return
        report.kept += 1
        report.new += 1
        self._counted[kept.row.path] = (wish.source, True)
        self._desk.provenance.add(kept.row, kept.replaces)
        self._uncount(kept.replaces)
        for address in dict.fromkeys(addresses[1:]):
            if address != addresses[0]:
                self._desk.journal.same(address, kept.row.picture, "the same address")

    def _uncount(self, path: str) -> None:
        """Count a picture that went for a larger one among the duplicates."""
        if path in self._counted:
            number, new = self._counted.pop(path)
            report = self._desk.reports[number]
            report.kept, report.new, report.duplicate = report.kept - 1, report.new - new, report.duplicate + 1

    def _note(self, wish: Wish, error: object, addresses: tuple[str, ...]) -> None:
        """Note that a picture is not to be had, at every address that led to it."""
        self._lose(wish.source, wish.reference.address, error, addresses)
        for address in dict.fromkeys(addresses):
            known = self._desk.journal.known(address)
            if is_host_s(error):
                # What led to it has been answered: the next run begins where that leads to.
                if known and known.fate == "asked" and not known.moved:
                    self._desk.journal.troubled(address)
            elif isinstance(error, FetchFailed):
                self._desk.journal.failed(address, error.why, str(error))
            elif isinstance(error, FetchRefused) and known and known.fate in ("asked", "refused"):
                self._desk.journal.refused(address, error.rule, str(error), error.needs)


def _refusal(known: Known) -> FetchRefused:
    """Return why an earlier run refused a picture."""
    return FetchRefused(known.reason, known.what, known.needs)
