"""Forgetting on demand: a picture leaves the library, the catalogue, every table of embeddings and every snapshot.

What stays is a hash of its bytes and of its addresses, so that it is not collected again. It can be stopped at any
moment and run again: what it goes by is removed last. Not here: how a snapshot is written (`indexer.publishing`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from indexer.collect.addresses import beginning, normal
from indexer.collect.answers import AnswerShelf
from indexer.collect.journal import FOLDER, Journal, copies_of, mentions
from indexer.collect.keep import further_addresses, remove_picture, rows_of_sidecars, sidecar_of
from indexer.embed import EmbeddingTable
from indexer.holding import held
from indexer.listing import EXTENSIONS
from indexer.marks import mark, unmark
from indexer.publishing import write_checked
from indexer.renewal import Renewed
from indexer.workplace import now
from recommender.catalogue import Catalogue, CollectedRow
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BadLibrary, BuildError, Corrupt, NoSnapshot, NotFound
from recommender.folders import discard, flush_each, sha256
from recommender.homes import finished
from recommender.indexes.building import Former, IndexOptions
from recommender.settings import Settings
from recommender.snapshots import MANIFEST, SnapshotContent, open_snapshot
from recommender.types import PictureId

MOST_VIEWS = 64
"""The most random views that `sokkuri train --views` takes."""
ID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was, or in a dry run would be, removed. `snapshot` is the newly published one, None where there is none.

    `missing` are libraries that are not where they were, with files of pictures that were found nowhere else.
    """

    pictures: tuple[str, ...]
    addresses: int
    files: tuple[str, ...]
    embeddings: int
    thumbnails: int
    snapshots: tuple[str, ...]
    snapshot: str | None
    dry_run: bool
    reports: bool
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}

    def to_text(self) -> str:
        """Return the report for people."""
        lost = [
            f"! {library} is not there, so no file was removed from it: if it was moved, run this again with "
            "--library and the folder that it is now"
            for library in self.missing
        ]
        if self.dry_run:
            would = (
                f"dry run, nothing removed: {len(self.pictures)} pictures in {len(self.files)} files, "
                f"and {len(self.snapshots)} snapshots that hold them"
            )
            return "\n".join([would, *lost])
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
        return "\n".join(lines + lost)


def forget(
    settings: Settings,
    catalogue: Catalogue,
    *,
    source: str = "",
    picture: str = "",
    moved: Sequence[Path] = (),
    dry_run: bool = False,
) -> ForgetReport:
    """Forget the picture with an id, or all that came from addresses, or pages, beginning with `source`.

    A `source` that names no more than a host means that host alone. `moved` are libraries that this home does not know
    of where they are: they were moved, or another home collected them. Raises NotFound where nothing is known of it,
    BuildError where it names no host (a few letters would be the beginning of everything), BadLibrary where one of
    `moved` is no folder, and Busy where a collector is at work in a library that holds any of it.
    """
    if source and not names_a_source(source):
        raise BuildError(
            f"{source!r} names no source: it has to begin with http:// or https:// and name a host, or with file: and "
            "name a saved page"
        )
    named = _libraries(moved)
    known = [*catalogue.collected(), *(row for library in named for row in rows_of_sidecars(Path(library)))]
    rows = [row for row in known if row.picture == picture] if picture else _rows_from(known, catalogue, source)
    pictures = tuple(dict.fromkeys([picture] if picture else [row.picture for row in rows]))
    places = {place for one in pictures for place in catalogue.file_places(one)}
    places |= {(row.library, row.path) for row in rows}
    libraries = sorted({library for library, _ in places} | {row.library for row in known} | set(named))
    holders = _holders(settings, catalogue, pictures)
    mine = {normal(row.address) for row in rows}

    def concerns(address: str) -> bool:
        return bool(address) and (address in mine or (bool(source) and comes_from(address, source)))

    told = [library for library in libraries if mentions(Path(library), set(pictures), concerns)]
    with ExitStack() as stack:
        for library in () if dry_run else told:
            stack.enter_context(held(Path(library) / FOLDER, "forget", "make it writable", shown=Path(library)))
        files = _files(libraries, places, pictures, named)
        if picture and not (places or holders or files or told):
            raise NotFound(
                f"there is no picture {picture!r}: its id is the SHA-256 of its file, and --library names a library "
                "that was moved"
            )
        if source and not rows and not told:
            raise NotFound(
                f"nothing was collected from {source!r}: `<picture>.json` beside a file says where it came from, and "
                "--library names a library that was moved"
            )
        missing = _missing(places, files)
        removed = tuple(str(root / path) for root, path, _ in files)
        if dry_run:
            return ForgetReport(
                pictures, 0, removed, 0, 0, tuple(holders), None, dry_run=True, reports=False, missing=missing
            )
        # From here on no collector lets them in again, whatever stops this.
        copies = {one for library in told if picture for one in copies_of(Path(library), {picture})}
        catalogue.remember_forgotten([*pictures, *sorted(copies)], now())
        snapshot = _publish_without(settings, catalogue, pictures, holders)
        folders = [settings.home / "snapshots" / name for name in holders]
        for folder in folders:
            mark(folder)
        catalogue.drop_snapshots(holders)
        for folder in folders:
            discard(folder)
        embeddings = _forget_embeddings(settings, pictures)
        thumbnails = _forget_thumbnails(settings, pictures)
        for root, path, _ in files:
            remove_picture(root, path)
        _remove_lone_sidecars(places)
        # The rows say where these were, and go next: nothing may come back once they are gone.
        emptied = [*(root / path for root, path, _ in files), *(Path(library) / path for library, path in places)]
        flush_each(file.parent for file in emptied)
        addresses = sum(
            _forget_addresses(Path(library), pictures, rows, concerns, alike=bool(picture)) for library in told
        )
        catalogue.forget_pictures(pictures)
    return ForgetReport(
        pictures=pictures,
        addresses=addresses,
        files=removed,
        embeddings=embeddings,
        thumbnails=thumbnails,
        snapshots=tuple(holders),
        snapshot=snapshot,
        dry_run=False,
        reports=(settings.home / "reports").is_dir(),
        missing=missing,
    )


def names_a_source(prefix: str) -> bool:
    """Tell whether a prefix names a scheme and a host, or a saved page (`file:luffy.html`), at least."""
    try:
        parts = urlsplit(prefix.strip())
    except ValueError:
        return False
    return bool(parts.hostname if parts.scheme in ("http", "https") else parts.scheme == "file" and parts.path)


def comes_from(address: str, prefix: str) -> bool:
    """Tell whether an address begins with a prefix; one that ends within a host's name does not count for another.

    However either of them is written, their one form (`addresses`) is compared.
    """
    address, prefix = normal(address), beginning(prefix)
    if not address.startswith(prefix):
        return False
    try:
        only_host = "://" in prefix and not urlsplit(prefix).path and not urlsplit(prefix).query
    except ValueError:
        return False
    return not only_host or address[len(prefix) : len(prefix) + 1] in ("", "/", ":", "?", "#")


def _libraries(folders: Sequence[Path]) -> list[str]:
    """Return libraries by their whole paths. Raises BadLibrary."""
    for folder in folders:
        if not folder.is_dir():
            raise BadLibrary(f"{folder} is not a folder: name the library as it is now")
    return [str(folder.resolve()) for folder in folders]


def _rows_from(known: Sequence[CollectedRow], catalogue: Catalogue, source: str) -> list[CollectedRow]:
    """Return the rows whose picture's or page's address begins with a source, or led to, or was, one that does."""
    return [
        row
        for row in known
        if comes_from(row.address, source)
        or comes_from(row.page, source)
        or any(
            comes_from(address, source)
            for root in _roots(row, catalogue)
            for address in further_addresses(root, row.path)
        )
    ]


def _roots(row: CollectedRow, catalogue: Catalogue) -> list[Path]:
    """Return where a row's sidecar may be: in its library, or, where that is gone, wherever the picture was seen."""
    if Path(row.library).is_dir():
        return [Path(row.library)]
    return [Path(library) for library in sorted({place[0] for place in catalogue.file_places(row.picture)})]


def _holders(settings: Settings, catalogue: Catalogue, pictures: Sequence[str]) -> list[str]:
    """Return the snapshots, known to the catalogue or not, that hold any of the pictures.

    One that cannot be read counts, unless it is served: then it raises Corrupt.
    """
    wanted = {bytes.fromhex(picture) for picture in pictures}
    known = catalogue.snapshots()
    served = {info.id for info in known if info.published}
    folders = settings.home / "snapshots"
    found = []
    # What is unknown was left by a job that died, this one among them, or is what a lost catalogue knew.
    for name in dict.fromkeys([*(info.id for info in known), *(folder.name for folder in finished(folders))]):
        try:
            rows = np.load(folders / name / "pictures.npy", allow_pickle=False)
            holds = any(row.tobytes() in wanted for row in rows)
        except (OSError, ValueError):
            if name in served:
                raise Corrupt(f"snapshot {name} cannot be read: run `sokkuri reindex LIBRARY` first") from None
            holds = True
        if holds:
            found.append(name)
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
    unmark(settings.home / "snapshots" / info.id)
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
    flush_each(file.parent for file in there)
    return len(there)


def _files(
    libraries: Iterable[str], places: Iterable[tuple[str, str]], pictures: Sequence[str], named: Sequence[str]
) -> list[tuple[Path, str, str]]:
    """Return every file of the pictures, as library, path and id, copies of any name in their libraries included.

    A file is read where it is as large as one of the pictures, or where a library was named because nothing is known of
    the files in it.
    """
    wanted = set(pictures)
    found = {
        (Path(library), path, digest)
        for library, path in places
        if (Path(library) / path).is_file() and (digest := sha256(Path(library) / path)) in wanted
    }
    sizes = {(root / path).stat().st_size for root, path, _ in found}
    for library in libraries:
        for folder, _, names in os.walk(library):
            for name in names:
                file = Path(folder) / name
                if file.suffix.lower() not in EXTENSIONS or file.is_symlink() or not file.is_file():
                    continue
                if (library in named or file.stat().st_size in sizes) and (digest := sha256(file)) in wanted:
                    found.add((Path(library), file.relative_to(library).as_posix(), digest))
    return sorted(found)


def _remove_lone_sidecars(places: Iterable[tuple[str, str]]) -> None:
    """Remove what tells of pictures whose files somebody has removed by hand."""
    for library, path in places:
        if not (Path(library) / path).exists():
            with suppress(FileNotFoundError, NotADirectoryError):
                sidecar_of(Path(library) / path).unlink()


def _missing(places: Iterable[tuple[str, str]], files: Iterable[tuple[Path, str, str]]) -> tuple[str, ...]:
    """Return the libraries that are gone, unless what they held was found elsewhere.

    Where a library is gone, its path below it is what a moved one has too.
    """
    found = {path for _, path, _ in files}
    return tuple(sorted({library for library, path in places if not Path(library).is_dir() and path not in found}))


def _forget_addresses(
    library: Path,
    pictures: Sequence[str],
    rows: Sequence[CollectedRow],
    concerns: Callable[[str], bool],
    *,
    alike: bool,
) -> int:
    """Leave only hashes of the addresses in a library's journal; return how many they were.

    Whoever wants one picture gone wants no smaller copy of it in its place (`alike`); whoever wants a source gone says
    nothing about what others show.
    """
    journal = Journal(library)
    try:
        gone = journal.forget(set(pictures), concerns, alike=alike)
    finally:
        journal.close()
    shelf = AnswerShelf(library / FOLDER / "answers")
    for address in {*gone, *(written for row in rows for written in (row.page, normal(row.page)))}:
        shelf.drop(address)
    return len(gone)
