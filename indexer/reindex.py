"""The batch job `reindex`: scan, embed, compare, build, verify, publish.

Nothing is visible before it is whole: the snapshot is written aside, checked, flushed and renamed, and then one
transaction brings catalogue and publication up to date. Not here: how each step works.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from indexer.changes import Changes
from indexer.drift import measure_drift
from indexer.embed import EmbeddingTable, Projected, kept
from indexer.embedder import EMBEDDING, LOADING, Embedder
from indexer.library import LIBRARY_LIMITS, Entry, Library, in_doubt, scan
from indexer.listing import Reject
from indexer.marks import unmark
from indexer.outcome import Gone, Held, ReindexReport, objection
from indexer.progress import progress, say
from indexer.publishing import write_checked
from indexer.renewal import Source, with_vectors
from indexer.split import Vectors
from indexer.stopwatch import Stopwatch
from indexer.strangers import unknown_snapshots
from indexer.thumbnails import ThumbnailShelf
from indexer.workplace import now
from recommender.catalogue import Catalogue, FileRow, LibraryRows, PictureRow
from recommender.embeddings import EmbeddingSpace
from recommender.encoders import choose_backbone, require_answerable
from recommender.errors import BadLibrary, Corrupt, NoSnapshot
from recommender.exports import ENGINE
from recommender.images import Limits
from recommender.indexes.building import IndexOptions, read_report
from recommender.modelfolder import ModelFolder
from recommender.ports import Backbone
from recommender.settings import Settings
from recommender.snapshots import Snapshot, SnapshotContent, open_snapshot, space_of
from recommender.types import DecodedImage, PictureId

FORGOTTEN = "forgotten on demand"
TOLD = (
    "how",
    "why",
    "kind",
    "key",
    "recall10",
    "latency_ms",
    "bytes_per_vector",
    "build_seconds",
    "moved",
    "unmeasured",
)
"""What a reindex tells of the index's own report."""
MANY_VALUES = 50_000
"""So many new values, beyond those that are gone, make Python look for garbage; 700 is usual."""


@dataclass(frozen=True, slots=True)
class ReindexOptions:
    """What may be asked of a reindex."""

    dry_run: bool = False
    """Only say what would change, and how many pictures would be embedded."""
    full: bool = False
    """Read and hash every file, whatever its size and time say."""
    follow_links: bool = False
    """Take in what lies outside the library, behind links."""
    accept: bool = False
    """Publish even what was left out, or has drifted, more than the settings allow."""


def reindex(
    settings: Settings, catalogue: Catalogue, root: Path, options: ReindexOptions = ReindexOptions()
) -> ReindexReport:
    """Publish a snapshot of the library with the model in use, run by the engine of the settings.

    Raises Held where a person should look at the report first, NoSnapshot, BadLibrary, ModelError, BuildError, Corrupt.
    """
    with _fewer_collections():
        return _reindex(settings, catalogue, root, options)


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Let Python look for garbage less often: it would go through the values of a large library again and again."""
    before = gc.get_threshold()
    gc.set_threshold(MANY_VALUES)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _reindex(settings: Settings, catalogue: Catalogue, root: Path, options: ReindexOptions) -> ReindexReport:
    clock = Stopwatch()
    with clock.stage("opening"):
        model = ModelFolder.open(settings.home / "models" / catalogue.model_in_use().name)
        backbone = choose_backbone(settings, model)
    space = model.stored_space(backbone.space)
    if change := _change_of_engine(settings, catalogue, model, space):
        say(change)
    job = _Job(settings, catalogue, root, options)
    if options.dry_run:
        with clock.stage("scanning"):
            library = job.look()
            missing = _missing(settings, backbone.space, library, every_byte=options.full)
        with clock.stage("comparing"):
            served = _served(settings, catalogue)
            _require_answers(settings, model, space, served)
            found = _Found.of(library, catalogue, served)
        return _report(model, backbone, found, missing, clock)
    with EmbeddingTable.open(settings.home, backbone.space) as table:
        with clock.stage("scanning"), Embedder(backbone, table) as embedder:
            if options.full and (damaged := table.remove_damaged()):
                say(f"{damaged} embeddings were damaged or stood there twice: what is missing now is made anew")
            library = job.scan(embedder)
        table.flush()  # what is published must not outlive the embeddings that it is made of
        clock.move("scanning", LOADING, embedder.loading_seconds)
        clock.move("scanning", EMBEDDING, embedder.seconds)
        for line in unknown_snapshots(settings, catalogue):
            say(line)
        snapshots = settings.home / "snapshots"
        with ExitStack() as opened:
            with clock.stage("comparing"):
                served = _served(settings, catalogue)
                _require_answers(settings, model, space, served)
                found = _Found.of(library, catalogue, served)
                bare = _content(settings, model, library, space)
                source = _source(table, backbone.space, model)
                content = opened.enter_context(with_vectors(bare, served, source, snapshots))
                report = _report(model, backbone, found, embedder.embedded, clock)
                report = replace(report, drift=measure_drift(served, content) if served else None)
            if not options.accept and (objected := objection(settings, report)):
                raise Held(replace(report, held=objected))
            with clock.stage("building"):
                info = write_checked(snapshots, content)
        with clock.stage("publishing"):
            catalogue.publish(info, found.rows, same_pictures=found.same_rows)
            unmark(snapshots / info.id)
        index = _index_told(snapshots / info.id, shared=content.index_of is not None)
        return replace(report, snapshot=info.id, index=index)


def _require_answers(settings: Settings, model: ModelFolder, space: EmbeddingSpace, served: Snapshot | None) -> None:
    """Raise EngineMissing where nothing here could answer from a new snapshot: its embeddings may all be there already.

    In the space of what is served nothing gets worse, and its engine, torch perhaps, is not loaded for that.
    """
    if served is None or served.info.space != space.fingerprint:
        require_answerable(settings, model.name, space.fingerprint)


def _change_of_engine(settings: Settings, catalogue: Catalogue, model: ModelFolder, space: EmbeddingSpace) -> str:
    """Say which engine answers so far, where the model of the same name is to make another space; else nothing."""
    try:
        published = catalogue.published()
        before = space_of(settings.home / "snapshots" / published.id)
    except (NoSnapshot, Corrupt):
        return ""
    if published.model != model.name or published.space == space.fingerprint:
        return ""
    engines = [one if one.startswith(ENGINE) else f"torch-{one}" for one in (before.precision, space.precision)]
    other = ", of another export or training" if engines[0] == engines[1] else ""
    return "{} was made with {}, and the new one will be with {}{}".format(published.id, *engines, other)


def _missing(settings: Settings, space: EmbeddingSpace, library: Library, *, every_byte: bool) -> int:
    """Return how many pictures of a library the table of a space lacks, of which there may be none yet."""
    there = kept(settings.home, space, every_byte=every_byte)
    return sum(bytes.fromhex(entry.id) not in there for entry in library.entries)


@dataclass(frozen=True, slots=True)
class _Found:
    """A library as it was read, what the catalogue is to keep of it, and how that differs from what is published.

    `same_rows` says that the catalogue has the very same rows of pictures already.
    """

    library: Library
    rows: LibraryRows
    changes: Changes
    gone: Gone
    same_rows: bool

    @classmethod
    def of(cls, library: Library, catalogue: Catalogue, served: Snapshot | None) -> Self:
        """Compare a library with the pictures that are published."""
        rows, mirrored = rows_of(library), catalogue.pictures()
        before = _published(mirrored, catalogue, served)
        changes = Changes.between(before, rows.pictures)
        gone = Gone.between(changes.removed, before, rows.pictures) if changes.removed else Gone()
        same = changes.none if before is mirrored else Changes.between(mirrored, rows.pictures).none
        return cls(library, rows, changes, gone, same)


def _published(mirrored: list[PictureRow], catalogue: Catalogue, served: Snapshot | None) -> list[PictureRow]:
    """Return the rows of the pictures that the published snapshot holds, where there is one.

    They are those of the library that the catalogue mirrors, but for a snapshot that a rollback brought back.
    """
    if served is None:
        return mirrored
    held = {identity.tobytes() for identity in served.pictures}
    if len(held) == len(mirrored) and all(bytes.fromhex(row.id) in held for row in mirrored):
        return mirrored
    return [row for row in (*mirrored, *catalogue.former_pictures()) if bytes.fromhex(row.id) in held]


def _report(model: ModelFolder, backbone: Backbone, found: _Found, embedded: int, clock: Stopwatch) -> ReindexReport:
    """Say what was found, before anything is published."""
    library, changes = found.library, found.changes
    return ReindexReport(
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
        embedded=embedded,
        drift=None,
        held="",
        index={},
        rejects=library.rejects,
        seconds=clock.seconds,
        gone=found.gone,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What reads a library: where it is, what is known of it, and what was asked for."""

    settings: Settings
    catalogue: Catalogue
    root: Path
    options: ReindexOptions

    def look(self) -> Library:
        """Read the library, and make and remember nothing."""
        known = self.catalogue.files(str(self.root.resolve()))
        return without_forgotten(self._read(known), self.catalogue.forgotten())

    def scan(self, embedder: Embedder) -> Library:
        """Read the library; its new pictures are embedded, their thumbnails made, and it is remembered in one pass."""
        absolute = str(self.root.resolve())
        forgotten = self.catalogue.forgotten()
        shelf = ThumbnailShelf(self.settings.home / "thumbnails", doubtful=self.options.full)

        def visit(entry: Entry, image: DecodedImage) -> None:
            if entry.id not in forgotten:
                embedder.add(image)
                shelf.add(image)

        def wants(picture: PictureId) -> bool:
            return picture not in forgotten and (embedder.wants(picture) or shelf.wants(picture))

        known = self.catalogue.files(absolute)
        library = without_forgotten(self._read(known, visit, wants), forgotten)
        embedder.finish()
        shelf.flush()
        unreachable = () if self.options.accept else library.unreachable  # what was accepted is missed no more
        files = (*library.files, *(row for row in unreachable if row.picture not in forgotten))
        if {row.path: row for row in files} != known:
            self.catalogue.remember_files(absolute, files)
        return library

    def _read(
        self,
        known: Mapping[str, FileRow],
        visit: Callable[[Entry, DecodedImage], None] | None = None,
        wants: Callable[[PictureId], bool] | None = None,
    ) -> Library:
        with progress("reading pictures") as told:
            return scan(
                self.root,
                limits=Limits.of(self.settings, LIBRARY_LIMITS.min_side),
                progress=told,
                visit=visit,
                known=in_doubt(known) if self.options.full else known,
                wants=wants,
                follow_links=self.options.follow_links,
                without=self.settings.home,
            )


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


def _served(settings: Settings, catalogue: Catalogue) -> Snapshot | None:
    """Open what is published, where anything is and is whole."""
    try:
        published = catalogue.published()
        return open_snapshot(settings.home / "snapshots" / published.id, published.digest)
    except NoSnapshot:
        return None
    except Corrupt as error:
        say(f"the answers are not compared with those so far: {error}")
        return None


def _content(settings: Settings, model: ModelFolder, library: Library, space: EmbeddingSpace) -> SnapshotContent:
    """Say what the snapshot is made of, but for its vectors."""
    return SnapshotContent(
        model=model.name,
        model_digest=model.digest,
        space=space,
        pictures=[entry.id for entry in library.entries],
        characters=[entry.character for entry in library.entries],
        vectors=np.empty((0, space.dimension), np.float32),
        created=now(),
        index=IndexOptions.of(settings),
    )


def _source(table: EmbeddingTable, space: EmbeddingSpace, model: ModelFolder) -> Source:
    """Return what reads a table of the backbone's `space` as vectors that are stored."""
    projection = model.projection()

    def vectors(pictures: Sequence[PictureId]) -> Vectors:
        embeddings = table.checked_embeddings(pictures, space)
        return Projected(embeddings, projection) if projection else embeddings

    return vectors


def _index_told(folder: Path, *, shared: bool) -> dict[str, Any]:
    """Return what the report says of the index of a snapshot."""
    report = read_report(folder)
    if report is None:
        return {}
    told = report.to_json()
    return {name: told[name] for name in TOLD} | ({"how": "shared"} if shared else {})


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
