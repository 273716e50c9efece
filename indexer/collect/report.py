"""What a run of the collector says: for each source how much was found, and what became of every picture of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from indexer.collect.borders import PRIVATE

LISTED = 10
"""Pictures of a source that are refused or failed and listed one by one at the terminal; `--json` lists all."""


LONGEST = 200
"""Letters of an address that is shown as a whole: two or three lines of a terminal."""
LET_IN = "private addresses are collected from only where SOKKURI_PRIVATE_NETWORKS lists their network"


@dataclass(frozen=True, slots=True)
class Line:
    """An address that gave nothing, and why: the rule or kind of failure, and the sentence."""

    address: str
    outcome: str
    reason: str
    what: str

    def to_json(self) -> dict[str, str]:
        """Return the line as a JSON object."""
        return {"address": self.address, "outcome": self.outcome, "reason": self.reason, "what": self.what}


@dataclass
class SourceReport:
    """What became of one source: all that are `found` are `kept`, `duplicate`, `refused` or `failed`.

    Earlier runs count in, except for `new`, which are those that are kept since this run. `stays` are pictures of
    earlier runs that are still in the library although they were not found again, or are forbidden by now. `asked`
    tells whether anything of this source was asked of a host, and `stands`, whether anything is here from the web
    already that so was not.
    """

    name: str
    label: str
    pages: int = 0
    found: int = 0
    kept: int = 0
    new: int = 0
    duplicate: int = 0
    stays: int = 0
    asked: bool = False
    stands: bool = False
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    lines: list[Line] = field(default_factory=list)

    @property
    def barred(self) -> str:
        """Which address was refused for being private, where nothing is kept; empty where none was."""
        if self.kept:
            return ""
        return next((line.what for line in self.lines if line.reason == PRIVATE), "")

    def refuse(self, address: str, rule: str, what: str) -> None:
        """Count a picture that may not, or should not, be had."""
        self.refused[rule] += 1
        self.lines.append(Line(shown(address), "refused", rule, legible(what)))

    def fail(self, address: str, why: str, what: str) -> None:
        """Count a picture that could not be had."""
        self.failed[why] += 1
        self.lines.append(Line(shown(address), "failed", why, legible(what)))

    def trouble(self, address: str, outcome: str, reason: str, what: str) -> None:
        """Note a page that could not or may not be read."""
        self.lines.append(Line(shown(address), f"page {outcome}", reason, legible(what)))

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        names = ("name", "label", "pages", "found", "kept", "new", "duplicate", "stays")
        return {name: getattr(self, name) for name in names} | {
            "refused": dict(self.refused),
            "failed": dict(self.failed),
            "lines": [line.to_json() for line in self.lines],
        }

    def to_lines(self) -> list[str]:
        """Return the report for people."""
        parts = [f"{self.found} found", f"{self.kept} kept ({self.new} new)", f"{self.duplicate} duplicates"]
        parts += [f"{total} {word}{_by(counts)}" for word, counts, total in self._troubles() if total]
        lines = [f"{self.name}: {', '.join(parts)}"]
        if not self.kept:
            lines.append(f"! {self.name} yielded nothing: {self._why_nothing()}")
        if self.stays:
            lines.append(
                f"  {self.stays} pictures of earlier runs were not found again, or are forbidden by now: they stay "
                "until `sokkuri forget` removes them"
            )
        lines += [f"  {line.outcome}: {line.address}: {line.what}" for line in self.lines[:LISTED]]
        if len(self.lines) > LISTED:
            lines.append(f"  and {len(self.lines) - LISTED} more (--json lists all)")
        return lines

    def _troubles(self) -> list[tuple[str, Counter[str], int]]:
        return [("refused", self.refused, self.refused.total()), ("failed", self.failed, self.failed.total())]

    def _why_nothing(self) -> str:
        if not self.found:
            page = next((line for line in self.lines if line.outcome.startswith("page")), None)
            return page.what if page else f"no picture on {self.pages} pages (try `select` with a CSS selector)"
        if self.duplicate == self.found:
            return "every picture is a duplicate of one that is kept"
        reasons = self.refused + self.failed + Counter({"duplicates of pictures that are kept": self.duplicate})
        reason, count = reasons.most_common(1)[0]
        return reason if count == self.found else f"{reason} ({count} of {self.found})"


@dataclass(frozen=True)
class CollectReport:
    """What a run did, for all sources together. `offline` says why no host could be reached, where none could."""

    library: str
    sources: tuple[SourceReport, ...]
    requests: int
    seconds: float
    offline: str = ""

    @property
    def is_worth_reading(self) -> bool:
        """Whether there is more to say than that no host could be reached."""
        return not self.offline or any(source.pages for source in self.sources)

    @property
    def barred(self) -> str:
        """Why every source yielded nothing, where a private address was refused to each; empty where it is otherwise.

        That is for whoever runs this to decide, as no network is to mend; what a host forbids is an answer.
        """
        reasons = [source.barred for source in self.sources]
        return f"every source yielded nothing: {reasons[0]}; {LET_IN}" if reasons and all(reasons) else ""

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "library": self.library,
            "requests": self.requests,
            "seconds": self.seconds,
            "offline": self.offline,
            "barred": self.barred,
            "sources": [source.to_json() for source in self.sources],
        }

    def to_warning(self) -> str:
        """Return which sources yielded nothing, for a place where nobody can overlook it; nothing where none did so."""
        empty = [source for source in self.sources if not source.kept]
        if not empty:
            return ""
        names = ", ".join(source.name for source in empty[:LISTED])
        names += f" and {len(empty) - LISTED} more" if len(empty) > LISTED else ""
        hint = f" ({LET_IN})" if any(source.barred for source in empty) else ""
        return f"! {len(empty)} of {len(self.sources)} sources yielded nothing: {names}{hint}"

    def to_text(self) -> str:
        """Return the report for people."""
        kept, new, stay = (sum(getattr(source, name) for source in self.sources) for name in ("kept", "new", "stays"))
        lines = [line for source in self.sources for line in source.to_lines()]
        staying = f", and {stay} of earlier runs stay there" if stay else ""
        lines.append(f"{kept} pictures kept in {self.library}, {new} of them new{staying}; {self.requests} requests")
        return "\n".join(lines)


def shown(address: str) -> str:
    """Return an address as a line can hold it."""
    text = f"{address[:160]}… ({len(address):,} letters)" if len(address) > LONGEST else address
    return legible(text)


def legible(text: str) -> str:
    """Return a text with what a terminal would obey written as an escape: hosts may send anything."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _by(counts: Counter[str]) -> str:
    return f" ({', '.join(f'{reason} {count}' for reason, count in counts.most_common())})"
