"""The batch job `reindex`: scan, embed, compare, build, verify, publish.

Nothing is visible before it is whole: the snapshot is written aside, checked, flushed and renamed, and then one
transaction brings catalogue and publication up to date. Not here: how each step works.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexer.changes import Changes
from indexer.drift import Coming, Drift, measure_drift
from indexer.embed import Embedder, EmbeddingTable
from indexer.library import LIBRARY_LIMITS, Entry, Library, Reject, in_doubt, scan
from indexer.progress import progress, say
from indexer.publishing import write_checked
from indexer.stopwatch import Stopwatch
from indexer.workplace import now
from recommender.catalogue import Catalogue, LibraryRows, PictureRow
from recommender.encoders import choose_backbone
from recommender.errors import BadLibrary, BuildError, Corrupt, NoSnapshot, NotFound
from recommender.images import Limits, thumbnail
from recommender.modelfolder import ModelFolder
from recommender.ports import Backbone
from recommender.settings import Settings
from recommender.snapshots import SnapshotContent, open_snapshot
from recommender.types import DecodedImage, Matrix, PictureId, SnapshotInfo

FORGOTTEN = "forgotten on demand"


@dataclass(frozen=True, slots=True)
class ReindexOptions:
    """What may be asked of a reindex."""

    dry_run: bool = False
    """Only say what would change."""
    full: bool = False
    """Read and hash every file, whatever its size and time say."""
    follow_links: bool = False
    """Take in what lies outside the library, behind links."""
    accept: bool = False
    """Publish even what was left out, or has drifted, more than the settings allow."""


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a reindex did. `snapshot` is None after a dry run, and where `held` says why nothing was published.

    `drift` is None where there was nothing to compare with. `seconds` are those that the job waited for each stage.
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
    rejects: tuple[Reject, ...]
    seconds: dict[str, float]

    @property
    def pictures_per_second(self) -> float:
        """How many pictures of the library were dealt with in a second of the whole run."""
        return round((self.pictures + len(self.rejects)) / max(sum(self.seconds.values()), 1e-3), 1)

    def to_text(self) -> str:
        """Return the report for people."""
        what = f"published {self.snapshot}" if self.snapshot else "dry run, nothing published"
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        text = (
            f"{what}: {self.pictures} pictures of {self.characters} characters in {self.shows} shows "
            f"(model {self.model}, {self.engine})\n"
            f"{self.added} added, {self.changed} changed, {self.moved} moved, {self.removed} removed, "
            f"{len(self.rejects)} left out, {self.embedded} newly embedded\n"
            f"{self.pictures_per_second:.0f} pictures a second; seconds: {stages}"
        )
        return f"{text}\n{self.drift.to_text()}" if self.drift else text

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        fields = {name: getattr(self, name) for name in (*self.__slots__, "pictures_per_second")}
        return fields | {
            "drift": self.drift.to_json() if self.drift else None,
            "rejects": [{"path": reject.path, "reason": reject.reason} for reject in self.rejects],
        }


class Held(BuildError):
    """A reindex was stopped before it published: too much was left out, or answers would change too much."""

    def __init__(self, report: ReindexReport) -> None:
        super().__init__(report.held)
        self.report = report


def reindex(
    settings: Settings, catalogue: Catalogue, root: Path, options: ReindexOptions = ReindexOptions()
) -> ReindexReport:
    """Publish a snapshot of the library with the model in use, run by the engine of the settings.

    Raises Held where a person should look at the report first, NoSnapshot, BadLibrary, ModelError, BuildError, Corrupt.
    """
    clock = Stopwatch()
    model = ModelFolder.open(settings.home / "models" / catalogue.model_in_use().name)
    backbone = choose_backbone(settings, model)
    clock.lap("opening")
    with EmbeddingTable.open(settings.home, backbone.space) as table:
        job = _Job(settings, catalogue, root, options, Embedder(backbone, table))
        library = job.scan()
        clock.lap("scanning")
        clock.move("scanning", "embedding", job.embedder.seconds)
        rows = rows_of(library)
        changes = Changes.between(catalogue.pictures(), rows.pictures)
        report = ReindexReport(
            snapshot=None,
            model=model.name,
            engine=backbone.engine,
            pictures=len(library.entries),
            characters=len(library.hierarchy.characters),
            shows=len(library.hierarchy.shows),
            added=changes.added,
            changed=changes.changed,
            moved=changes.moved,
            removed=changes.removed,
            embedded=job.embedder.embedded,
            drift=None,
            held="",
            rejects=library.rejects,
            seconds=clock.seconds,
        )
        if options.dry_run:
            return report
        vectors = table.embeddings([entry.id for entry in library.entries], backbone.space)[:]
        made = _Made(model, backbone, library, rows, vectors)
        report = replace(report, drift=_drift(settings, catalogue, made))
        clock.lap("comparing")
        if not options.accept and (held := _objection(settings, report)):
            raise Held(replace(report, held=held))
        return replace(report, snapshot=_publish(settings, catalogue, made, clock))


@dataclass(frozen=True, slots=True)
class _Job:
    """Where a library is scanned, its new pictures embedded, and their thumbnails made, in one pass."""

    settings: Settings
    catalogue: Catalogue
    root: Path
    options: ReindexOptions
    embedder: Embedder

    def scan(self) -> Library:
        """Read the library; unless it is a dry run, everything that it needs is made and remembered then."""
        absolute = str(self.root.resolve())
        forgotten = self.catalogue.forgotten()
        shelf = _ThumbnailShelf(self.settings.home / "thumbnails")
        dry_run = self.options.dry_run

        def visit(entry: Entry, image: DecodedImage) -> None:
            if entry.id not in forgotten:
                self.embedder.add(image)
                shelf.add(image)

        def wants(picture: PictureId) -> bool:
            return not dry_run and picture not in forgotten and (self.embedder.wants(picture) or shelf.wants(picture))

        with progress("reading pictures") as told:
            known = self.catalogue.files(absolute)
            library = scan(
                self.root,
                limits=Limits.of(self.settings, LIBRARY_LIMITS.min_side),
                progress=told,
                visit=None if dry_run else visit,
                known=in_doubt(known) if self.options.full else known,
                wants=wants,
                follow_links=self.options.follow_links,
            )
        library = without_forgotten(library, forgotten)
        self.embedder.finish()
        if not dry_run:
            self.catalogue.remember_files(absolute, library.files)
        return library


def without_forgotten(library: Library, forgotten: Set[str]) -> Library:
    """Leave out what was forgotten on demand, though somebody brought it back. Raises BadLibrary where nothing is left.

    A copy of a forgotten file, which is a reject already, gets the same reason: what it is a copy of is not kept.
    """
    gone = tuple(Reject(entry.path, FORGOTTEN) for entry in library.entries if entry.id in forgotten)
    if not gone:
        return library
    entries = tuple(entry for entry in library.entries if entry.id not in forgotten)
    if not entries:
        raise BadLibrary(f"none of the pictures in {library.root} can be used; {gone[0].path}: {FORGOTTEN}")
    kept = tuple(f"the same file is {reject.path}, which is kept" for reject in gone)
    others = (Reject(one.path, FORGOTTEN) if one.reason.endswith(kept) else one for one in library.rejects)
    return replace(
        library,
        entries=entries,
        rejects=tuple(sorted((*others, *gone), key=lambda reject: reject.path)),
        files=tuple(row for row in library.files if row.picture not in forgotten),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """What a snapshot is made of: (n, d) vectors that a model's backbone gave, one for each entry of the library."""

    model: ModelFolder
    backbone: Backbone
    library: Library
    rows: LibraryRows
    vectors: Matrix


def _drift(settings: Settings, catalogue: Catalogue, made: _Made) -> Drift | None:
    """Compare with what is published, where anything is and can be opened."""
    try:
        published = catalogue.published()
        before = open_snapshot(settings.home / "snapshots" / published.id, published.digest)
    except NoSnapshot:
        return None
    except Corrupt as error:
        say(f"the answers are not compared with those so far: {error}")
        return None
    entries = made.library.entries
    coming = Coming(
        made.backbone.space.fingerprint,
        [entry.id for entry in entries],
        [entry.character for entry in entries],
        made.vectors,
    )
    return measure_drift(before, coming)


def _objection(settings: Settings, report: ReindexReport) -> str:
    """Say what speaks against publishing; empty where nothing does."""
    remedy = "nothing was published: `--accept` publishes it all the same"
    left_out = len(report.rejects) / (len(report.rejects) + report.pictures)
    if left_out > settings.max_rejects:
        first = report.rejects[0]
        return (
            f"{left_out:.0%} of the pictures are left out (the first is {first.path}: {first.reason}), "
            f"more than SOKKURI_MAX_REJECTS = {settings.max_rejects:g} allows; {remedy}"
        )
    if report.drift and 1.0 - report.drift.overlap > settings.max_drift:
        return (
            f"only {report.drift.to_text()}: a drift of {1.0 - report.drift.overlap:.2f}, "
            f"more than SOKKURI_MAX_DRIFT = {settings.max_drift:g} allows; {remedy}"
        )
    return ""


def _publish(settings: Settings, catalogue: Catalogue, made: _Made, clock: Stopwatch) -> str:
    """Write the snapshot, then make it the published one. Returns its id."""
    entries = made.library.entries
    content = SnapshotContent(
        model=made.model.name,
        model_digest=made.model.digest,
        space=made.backbone.space,
        pictures=[entry.id for entry in entries],
        characters=[entry.character for entry in entries],
        vectors=made.vectors,
        created=now(),
    )
    info = write_checked(settings.home / "snapshots", content)
    clock.lap("building")
    catalogue.publish(info, made.rows)
    clock.lap("publishing")
    return info.id


def rows_of(library: Library) -> LibraryRows:
    """Return what the catalogue keeps of a library. A picture behind a link that was followed lies where that leads."""
    root = str(library.root.resolve())

    def row(entry: Entry) -> PictureRow:
        target = library.links.get(entry.path)
        folder, path = (str(target.parent), target.name) if target else (root, entry.path)
        facts = (entry.width, entry.height, entry.format, entry.bytes)
        return PictureRow(entry.id, entry.character.label, path, folder, *facts)

    return LibraryRows(
        shows=tuple((show, library.extras.get(show.slug, {})) for show in library.hierarchy.shows),
        characters=library.hierarchy.characters,
        pictures=tuple(map(row, library.entries)),
    )


class _ThumbnailShelf:
    """Small JPEGs for pages, by picture id; one that is there is not made again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def wants(self, picture: PictureId) -> bool:
        """Tell whether the picture has no whole thumbnail yet."""
        file = self._file(picture)
        return not file.exists() or not file.stat().st_size

    def add(self, image: DecodedImage) -> None:
        """Make the picture's thumbnail unless a whole one is there."""
        if not self.wants(image.id):
            return
        file = self._file(image.id)
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(".aside")
        aside.write_bytes(thumbnail(image))
        aside.replace(file)

    def _file(self, picture: PictureId) -> Path:
        return self._folder / picture[:2] / f"{picture}.jpg"


def rollback(settings: Settings, catalogue: Catalogue, snapshot: str | None) -> SnapshotInfo:
    """Publish an earlier snapshot again, once it has proved whole: the one named, or the next older one.

    Raises NotFound, or Corrupt where the snapshot is damaged.
    """
    known = catalogue.snapshots()
    published = catalogue.published()
    if snapshot is None:
        older = [info for info in known if info.id < published.id]
        if not older:
            raise NotFound(f"there is no snapshot older than {published.id}: `sokkuri snapshots` lists them")
        chosen = older[0]
    else:
        named = [info for info in known if info.id == snapshot]
        if not named:
            raise NotFound(f"there is no snapshot {snapshot!r}: `sokkuri snapshots` lists them")
        chosen = named[0]
    open_snapshot(settings.home / "snapshots" / chosen.id, chosen.digest)
    catalogue.republish(chosen.id)
    return chosen
