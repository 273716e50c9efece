"""Forgetting on demand: a picture leaves the library, the catalogue, every table of embeddings and every snapshot.

What stays is a hash of its bytes and of its addresses, so that it is not collected again. It can be stopped at any
moment and run again: what it goes by is removed last. Not here: how a snapshot is written (`indexer.publishing`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from indexer.collect.answers import AnswerShelf
from indexer.collect.journal import FOLDER, Journal
from indexer.collect.keep import remove_picture, served_by
from indexer.embed import EmbeddingTable
from indexer.library import EXTENSIONS
from indexer.publishing import write_checked
from indexer.renewal import Renewed
from indexer.workplace import now
from recommender.catalogue import Catalogue, CollectedRow
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, Corrupt, NoSnapshot, NotFound
from recommender.folders import sha256
from recommender.indexes.building import Former, IndexOptions
from recommender.settings import Settings
from recommender.snapshots import MANIFEST, SnapshotContent, open_snapshot
from recommender.types import PictureId

MOST_VIEWS = 64
"""The most random views that `sokkuri train --views` takes."""
ID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was, or in a dry run would be, removed. `snapshot` is the newly published one, None where there is none."""

    pictures: tuple[str, ...]
    addresses: int
    files: tuple[str, ...]
    embeddings: int
    thumbnails: int
    snapshots: tuple[str, ...]
    snapshot: str | None
    dry_run: bool
    reports: bool

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}

    def to_text(self) -> str:
        """Return the report for people."""
        if self.dry_run:
            return (
                f"dry run, nothing removed: {len(self.pictures)} pictures in {len(self.files)} files, "
                f"and {len(self.snapshots)} snapshots that hold them"
            )
        lines = [
            f"forgotten: {len(self.pictures)} pictures, {len(self.files)} files, {self.addresses} addresses",
            f"and {self.embeddings} embeddings, {self.thumbnails} thumbnails, {len(self.snapshots)} snapshots",
        ]
        if self.snapshot:
            lines.append(f"published {self.snapshot} without them")
        elif self.snapshots:
            lines.append("nothing is published any more: every picture of the last snapshot is forgotten")
        if self.reports:
            lines.append("! reports of `sokkuri evaluate` may still show them: remove HOME/reports, or write them anew")
        return "\n".join(lines)


def forget(
    settings: Settings, catalogue: Catalogue, *, source: str = "", picture: str = "", dry_run: bool = False
) -> ForgetReport:
    """Forget the picture with an id, or all that came from addresses, or pages, beginning with `source`.

    A `source` that names no more than a host means that host alone. Raises NotFound where nothing is known of it, and
    BuildError where it names no host: a few letters would be the beginning of everything.
    """
    if source and not names_a_source(source):
        raise BuildError(f"{source!r} names no source: it has to begin with http:// or https:// and name a host")
    rows = catalogue.collected(picture) if picture else _rows_from(catalogue, source)
    pictures = tuple(dict.fromkeys([picture] if picture else [row.picture for row in rows]))
    places = {place for one in pictures for place in catalogue.file_places(one)}
    libraries = sorted({library for library, _ in places} | {row.library for row in catalogue.collected()})
    holders = _holders(settings, catalogue, pictures)
    if picture and not places and not holders:
        raise NotFound(f"there is no picture {picture!r}: its id is the SHA-256 of its file")
    if source and not rows and not _journals_know(libraries, source):
        raise NotFound(f"nothing was collected from {source!r}: `<picture>.json` beside a file says where it came from")
    files = _files(libraries, places, pictures)
    if dry_run:
        shown = tuple(str(root / path) for root, path in files)
        return ForgetReport(pictures, 0, shown, 0, 0, tuple(holders), None, dry_run=True, reports=False)
    # From here on no collector lets them in again, whatever stops this.
    catalogue.remember_forgotten(pictures, now())
    snapshot = _publish_without(settings, catalogue, pictures, holders)
    catalogue.drop_snapshots(holders)
    for folder in holders:
        shutil.rmtree(settings.home / "snapshots" / folder, ignore_errors=True)
    embeddings = _forget_embeddings(settings, pictures)
    thumbnails = _forget_thumbnails(settings, pictures)
    for root, path in files:
        remove_picture(root, path)
    addresses = sum(_forget_addresses(Path(library), pictures, rows, source) for library in libraries)
    catalogue.forget_pictures(pictures)
    return ForgetReport(
        pictures=pictures,
        addresses=addresses,
        files=tuple(str(root / path) for root, path in files),
        embeddings=embeddings,
        thumbnails=thumbnails,
        snapshots=tuple(holders),
        snapshot=snapshot,
        dry_run=False,
        reports=(settings.home / "reports").is_dir(),
    )


def names_a_source(prefix: str) -> bool:
    """Tell whether a prefix names a scheme and a host, or a saved page (`file:luffy.html`), at least."""
    try:
        parts = urlsplit(prefix)
    except ValueError:
        return False
    return bool(parts.hostname if parts.scheme in ("http", "https") else parts.scheme == "file" and parts.path)


def comes_from(address: str, prefix: str) -> bool:
    """Tell whether an address begins with a prefix; one that ends within a host's name does not count for another."""
    if not address.startswith(prefix):
        return False
    try:
        only_host = "://" in prefix and not urlsplit(prefix).path and not urlsplit(prefix).query
    except ValueError:
        return False
    return not only_host or address[len(prefix) : len(prefix) + 1] in ("", "/", ":", "?", "#")


def _rows_from(catalogue: Catalogue, source: str) -> list[CollectedRow]:
    """Return the rows whose picture's or page's address begins with a source, or led to one that does."""
    return [
        row
        for row in catalogue.collected()
        if comes_from(row.address, source)
        or comes_from(row.page, source)
        or comes_from(served_by(Path(row.library), row.path), source)
    ]


def _journals_know(libraries: Iterable[str], source: str) -> bool:
    return any(
        comes_from(address, source)
        for library in libraries
        if (Path(library) / FOLDER).is_dir()
        for address in _addresses(Path(library))
    )


def _addresses(library: Path) -> list[str]:
    journal = Journal(library)
    try:
        return journal.addresses()
    finally:
        journal.close()


def _holders(settings: Settings, catalogue: Catalogue, pictures: Sequence[str]) -> list[str]:
    """Return the snapshots that hold any of the pictures. One that cannot be read counts, unless it is served."""
    wanted = {bytes.fromhex(picture) for picture in pictures}
    found = []
    for info in catalogue.snapshots():
        try:
            rows = np.load(settings.home / "snapshots" / info.id / "pictures.npy", allow_pickle=False)
            holds = any(row.tobytes() in wanted for row in rows)
        except (OSError, ValueError):
            if info.published:
                raise Corrupt(f"snapshot {info.id} cannot be read: run `sokkuri reindex LIBRARY` first") from None
            holds = True
        if holds:
            found.append(info.id)
    return found


def _publish_without(
    settings: Settings, catalogue: Catalogue, pictures: Sequence[str], holders: Sequence[str]
) -> str | None:
    """Publish what is served without the pictures, if it holds any; return the new snapshot's id."""
    try:
        served = catalogue.published()
    except NoSnapshot:
        return None
    if served.id not in holders:
        return None
    folder = settings.home / "snapshots" / served.id
    snapshot = open_snapshot(folder, served.digest)
    gone = {bytes.fromhex(picture) for picture in pictures}
    kept = np.array([identity.tobytes() not in gone for identity in snapshot.pictures], dtype=bool)
    rows = np.flatnonzero(kept)
    if not len(rows):
        return None
    vectors = Renewed(snapshot, rows, fresh=np.empty((0, len(snapshot.index.vector(0))), np.float32))
    fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["space"]
    content = SnapshotContent(
        model=served.model,
        model_digest=snapshot.model_digest,
        space=EmbeddingSpace.from_json({name: value for name, value in fields.items() if name != "fingerprint"}),
        pictures=[snapshot.picture(row) for row in rows.tolist()],
        characters=[snapshot.character(row) for row in rows.tolist()],
        vectors=vectors,
        created=now(),
        index=IndexOptions.of(settings),
        former=Former(folder, vectors.moved),
    )
    info = write_checked(settings.home / "snapshots", content)
    catalogue.publish_without(info)
    return info.id


def _forget_embeddings(settings: Settings, pictures: Sequence[str]) -> int:
    """Take the pictures, and every view of them, out of every table; return how many records that were."""
    identities = [PictureId(picture) for picture in pictures]
    with suppress(ImportError):  # without torch no view of a picture was ever made here
        from indexer.views import ALTERATIONS, augmented_name, view_id

        names = [*map(augmented_name, range(1, MOST_VIEWS + 1)), *ALTERATIONS]
        identities += [view_id(PictureId(picture), name) for picture in pictures for name in names]
    removed = 0
    for space in EmbeddingTable.every(settings.home):
        with EmbeddingTable.open(settings.home, space) as table:
            removed += table.remove(identities)
    return removed


def _forget_thumbnails(settings: Settings, pictures: Sequence[str]) -> int:
    files = [settings.home / "thumbnails" / picture[:2] / f"{picture}.jpg" for picture in pictures]
    there = [file for file in files if file.exists()]
    for file in there:
        file.unlink(missing_ok=True)
    return len(there)


def _files(
    libraries: Iterable[str], places: Iterable[tuple[str, str]], pictures: Sequence[str]
) -> list[tuple[Path, str]]:
    """Return every file of the pictures, as library and path, copies of any name in their libraries included."""
    wanted = set(pictures)
    found = {
        (Path(library), path)
        for library, path in places
        if (Path(library) / path).is_file() and sha256(Path(library) / path) in wanted
    }
    sizes = {(root / path).stat().st_size for root, path in found}
    for library in libraries:
        for folder, _, names in os.walk(library):
            for name in names:
                file = Path(folder) / name
                if file.suffix.lower() not in EXTENSIONS or file.is_symlink() or not file.is_file():
                    continue
                if file.stat().st_size in sizes and sha256(file) in wanted:
                    found.add((Path(library), file.relative_to(library).as_posix()))
    return sorted(found)


def _forget_addresses(library: Path, pictures: Sequence[str], rows: Sequence[CollectedRow], source: str) -> int:
    """Leave only hashes of the addresses in a library's journal; return how many they were."""
    if not (library / FOLDER).is_dir():
        return 0
    mine = {row.address for row in rows}
    pages = {row.page for row in rows}
    journal = Journal(library)
    try:
        gone = journal.forget(
            set(pictures), lambda address: address in mine or (bool(source) and comes_from(address, source))
        )
    finally:
        journal.close()
    shelf = AnswerShelf(library / FOLDER / "answers")
    for address in {*gone, *pages}:
        shelf.drop(address)
    return len(gone)
