"""What a reindex comes to: its report, and what speaks against publishing what it made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from indexer.drift import Drift
from indexer.listing import Reject
from recommender.catalogue import PictureRow
from recommender.errors import BuildError
from recommender.settings import Settings

SHOWN = 5
"""Shows that a line names."""


@dataclass(frozen=True, slots=True)
class Gone:
    """How many of the pictures that were published so far, in 0..1, are not in the library any more.

    `shows` are those that have lost all of their pictures, with how many these were, the largest first.
    """

    share: float = 0.0
    shows: tuple[tuple[str, int], ...] = ()

    @classmethod
    def between(cls, removed: int, before: Sequence[PictureRow], after: Sequence[PictureRow]) -> Self:
        """Compare what was published last with what was found, given how many pictures were removed, of one or more."""
        had = Counter(_show(row) for row in before)
        has = {_show(row) for row in after}
        present = {row.id for row in after}
        moved = Counter(_show(row) for row in before if row.id in present)
        lost = ((show, count - moved[show]) for show, count in had.most_common() if show not in has)
        return cls(removed / len(before), tuple((show, count) for show, count in lost if count))

    def to_text(self) -> str:
        """Return which shows are gone, in one line; empty where none is."""
        named = ", ".join(f"{show} ({count} pictures)" for show, count in self.shows[:SHOWN])
        more = f" and {len(self.shows) - SHOWN} more" if len(self.shows) > SHOWN else ""
        return f"gone with all their pictures: {named}{more}" if named else ""


def _show(row: PictureRow) -> str:
    return row.character.partition("/")[0]


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a reindex did, or after a dry run would do. `snapshot` is None then, and where `held` says why.

    `drift` is None where there was nothing to compare with; `index` is taken from the index's own report, and empty
    where none was made. `seconds` are those that the job waited for each stage.
    """

    snapshot: str | None
    model: str
    engine: str
    pictures: int
    characters: int
    shows: int
    added: int
    changed: int
    moved: int
    removed: int
    embedded: int
    drift: Drift | None
    held: str
    index: dict[str, Any]
    rejects: tuple[Reject, ...]
    seconds: dict[str, float]
    gone: Gone = Gone()

    @property
    def left_out(self) -> int:
        """How many pictures are left out, those in folders that cannot be read among them."""
        return sum(reject.pictures for reject in self.rejects)

    @property
    def pictures_per_second(self) -> float:
        """How many pictures of the library were dealt with in a second of the whole run."""
        return round((self.pictures + len(self.rejects)) / max(sum(self.seconds.values()), 1e-3), 1)

    def to_text(self) -> str:
        """Return the report for people."""
        what = f"published {self.snapshot}" if self.snapshot else "dry run, nothing published"
        embedded = "newly embedded" if self.snapshot or self.held else "to be embedded"
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        text = (
            f"{what}: {self.pictures} pictures of {self.characters} characters in {self.shows} shows "
            f"(model {self.model}, {self.engine})\n"
            f"{self.added} added, {self.changed} changed, {self.moved} moved, {self.removed} removed, "
            f"{self.left_out} left out, {self.embedded} {embedded}\n"
            f"{self.pictures_per_second:.0f} pictures a second; seconds: {stages}"
        )
        lines = [
            text,
            *([_index_text(self.index)] if self.index else []),
            *([self.drift.to_text()] if self.drift else []),
            *([gone] if (gone := self.gone.to_text()) else []),
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        fields = {name: getattr(self, name) for name in (*self.__slots__, "pictures_per_second")}
        return fields | {
            "drift": self.drift.to_json() if self.drift else None,
            "left_out": self.left_out,
            "gone": {"share": self.gone.share, "shows": dict(self.gone.shows)},
            "rejects": [{"path": reject.path, "reason": reject.reason} for reject in self.rejects],
        }


def _index_text(index: dict[str, Any]) -> str:
    """Return one line about the index: what it is, how good, and whether it was learned anew."""
    how = {"shared": "shared with the snapshot before", "updated": "lists kept", "built": "built"}[index["how"]]
    moved = f", {index['moved']:,} vectors came or went since they were learned" if index["how"] == "updated" else ""
    why = f" anew: {index['why']}" if index["why"] and index["how"] == "built" else ""
    last = " when last measured" if index.get("unmeasured") else ""
    figures = f"recall@10 {index['recall10']:.3f}{last}, {index['bytes_per_vector']:.0f} bytes a vector in memory"
    return f"index {index['key']}: {figures}; {how}{moved}{why}"


class Held(BuildError):
    """A reindex was stopped before it published: too much was left out, or answers would change too much."""

    def __init__(self, report: ReindexReport) -> None:
        super().__init__(report.held)
        self.report = report


def objection(settings: Settings, report: ReindexReport) -> str:
    """Say what speaks against publishing; empty where nothing does."""
    remedy = "nothing was published: `--accept` publishes it all the same"
    left_out = report.left_out / (report.left_out + report.pictures)
    if left_out > settings.max_rejects:
        first = max(report.rejects, key=lambda reject: reject.pictures)  # the first of the largest
        nth = "the first" if first is report.rejects[0] else "the largest part"
        return (
            f"{left_out:.0%} of the pictures are left out ({nth} is {first.path}: {first.reason}), "
            f"more than SOKKURI_MAX_REJECTS = {settings.max_rejects:g} allows; {remedy}"
        )
    if report.drift and 1.0 - report.drift.overlap > settings.max_drift:
        only = "only " if report.drift.pictures else ""
        return (
            f"{only}{report.drift.to_text()}: a drift of {1.0 - report.drift.overlap:.2f}, "
            f"more than SOKKURI_MAX_DRIFT = {settings.max_drift:g} allows; {remedy}"
        )
    if report.gone.share > settings.max_rejects:
        shows = f" ({shows})" if (shows := report.gone.to_text()) else ""
        return (
            f"{report.gone.share:.0%} of the pictures published so far are not in the library any more{shows}, "
            f"more than SOKKURI_MAX_REJECTS = {settings.max_rejects:g} allows: is a disk missing? {remedy}"
        )
    return ""
