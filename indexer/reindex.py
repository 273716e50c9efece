"""The batch job `reindex`: scan, embed, build, verify, publish.

Nothing is visible before it is whole: the snapshot is written aside, checked, flushed and renamed, and then one
transaction brings catalogue and publication up to date. Not here: how each step works.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexer.embed import Embedder, EmbeddingTable
from indexer.library import LIBRARY_LIMITS, Entry, Library, Reject, scan
from indexer.progress import progress
from indexer.publishing import write_checked
from indexer.stopwatch import Stopwatch
from indexer.workplace import now
from recommender.catalogue import Catalogue, LibraryRows, PictureRow
from recommender.embeddings import EmbeddingSpace
from recommender.encoders import choose_backbone
from recommender.errors import BadLibrary, NotFound
from recommender.images import Limits, thumbnail
from recommender.indexes.building import IndexOptions
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from recommender.snapshots import SnapshotContent, open_snapshot
from recommender.types import DecodedImage, Matrix, PictureId, SnapshotInfo

FORGOTTEN = "forgotten on demand"


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a reindex did. `snapshot` is None after a dry run; `seconds` are those of each stage."""

    snapshot: str | None
    model: str
    engine: str
    pictures: int
    characters: int
    shows: int
    added: int
    removed: int
    embedded: int
    rejects: tuple[Reject, ...]
    seconds: dict[str, float]

    def to_text(self) -> str:
        """Return the report for people."""
        what = f"published {self.snapshot}" if self.snapshot else "dry run, nothing published"
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        return (
            f"{what}: {self.pictures} pictures of {self.characters} characters in {self.shows} shows "
            f"(model {self.model}, {self.engine})\n"
            f"{self.added} added, {self.removed} removed, {len(self.rejects)} left out, "
            f"{self.embedded} newly embedded; seconds: {stages}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "rejects"}
        return fields | {"rejects": [{"path": reject.path, "reason": reject.reason} for reject in self.rejects]}


def reindex(settings: Settings, catalogue: Catalogue, root: Path, *, dry_run: bool = False) -> ReindexReport:
    """Publish a snapshot of the library with the model in use, run by the engine of the settings.

    Raises NoSnapshot, BadLibrary, ModelError, BuildError or Corrupt.
    """
    clock = Stopwatch()
    model = ModelFolder.open(settings.home / "models" / catalogue.model_in_use().name)
    backbone = choose_backbone(settings, model)
    clock.lap("opening")
    with EmbeddingTable.open(settings.home, backbone.space) as table:
        embedder = Embedder(backbone, table)
        shelf = _ThumbnailShelf(settings.home / "thumbnails")

        forgotten = catalogue.forgotten()

        def visit(entry: Entry, image: DecodedImage) -> None:
            if entry.id not in forgotten:
                embedder.add(image)
                shelf.add(image)

        def wants(picture: PictureId) -> bool:
            return not dry_run and picture not in forgotten and (embedder.wants(picture) or shelf.wants(picture))

        with progress("reading pictures") as told:
            limits = Limits.of(settings, LIBRARY_LIMITS.min_side)
            known = catalogue.files(str(root.resolve()))
            library = scan(
                root, limits=limits, progress=told, visit=None if dry_run else visit, known=known, wants=wants
            )
        library = without_forgotten(library, forgotten)
        embedder.finish()
        if not dry_run:
            catalogue.remember_files(str(root.resolve()), library.files)
        clock.lap("scan and embed")
        before = set(catalogue.picture_ids())
        after = {entry.id for entry in library.entries}
        snapshot = None
        if not dry_run:
            vectors = table.embeddings([entry.id for entry in library.entries], backbone.space)[:]
            snapshot = _publish(settings, catalogue, _Made(model, backbone.space, library, vectors))
            clock.lap("build and publish")
    return ReindexReport(
        snapshot=snapshot,
        model=model.name,
        engine=backbone.engine,
        pictures=len(library.entries),
        characters=len(library.hierarchy.characters),
        shows=len(library.hierarchy.shows),
        added=len(after - before),
        removed=len(before - after),
        embedded=embedder.embedded,
        rejects=library.rejects,
        seconds=clock.seconds,
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


@dataclass(frozen=True, slots=True)
class _Made:
    """What a snapshot is made of: (n, d) vectors of a space, one for each entry of the library."""

    model: ModelFolder
    space: EmbeddingSpace
    library: Library
    vectors: Matrix


def _publish(settings: Settings, catalogue: Catalogue, made: _Made) -> str:
    """Write the snapshot, then make it the published one. Returns its id."""
    entries = made.library.entries
    content = SnapshotContent(
        model=made.model.name,
        model_digest=made.model.digest,
        space=made.space,
        pictures=[entry.id for entry in entries],
        characters=[entry.character for entry in entries],
        vectors=made.vectors,
        created=now(),
        index=IndexOptions.of(settings),
    )
    info = write_checked(settings.home / "snapshots", content)
    catalogue.publish(info, rows_of(made.library))
    return info.id


def rows_of(library: Library) -> LibraryRows:
    """Return what the catalogue keeps of a library."""
    root = str(library.root.resolve())
    return LibraryRows(
        shows=tuple((show, library.extras.get(show.slug, {})) for show in library.hierarchy.shows),
        characters=library.hierarchy.characters,
        pictures=tuple(
            PictureRow(
                entry.id,
                entry.character.label,
                entry.path,
                root,
                entry.width,
                entry.height,
                entry.format,
                entry.bytes,
            )
            for entry in library.entries
        ),
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
