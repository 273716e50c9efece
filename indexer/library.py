"""A library: a folder of pictures, read into entries with their labels, and rejects with their reasons.

Decoding is nearly all of the work, and it is done once: a scan that is given what an earlier one found out decodes only
what is new or changed. Labels and duplicates are judged anew each time, by the same rules. Not here: which files
count by their names (`listing`), where it is remembered (`recommender.catalogue`), the tables' rows (`tables`),
decoding (`recommender.images`), near-duplicates (`split`), vectors (`embed`).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from indexer.listing import LAYOUT, STORABLE_NS, File, Listing, Reject, changed_ns, list_pictures, printable
from indexer.tables import Tables, read_tables
from recommender.catalogue import FileRow
from recommender.errors import BadLibrary, InvalidImage
from recommender.files import open_regular, read_regular
from recommender.images import Limits, decode, perceptual_hash, picture_id
from recommender.labels import Hierarchy
from recommender.types import Character, DecodedImage, PictureId

LIBRARY_LIMITS = Limits(min_side=32)
"""A stored picture with a shorter side than this is an icon or a scrap; a query may be one."""
MAX_THREADS = 8
"""Each thread may hold a large picture (300 MB at worst); disks gain nothing from more."""
EXAMINATION = 1
"""To be counted up when `decode` or `perceptual_hash` begins to answer otherwise: then all is examined anew."""
RACY_NS = 2_000_000_000
"""A file that was changed less than this before it was examined may have been changed again without its time telling:
FAT counts in steps of two seconds. Git calls such files racy (git-scm.com/docs/racy-git)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted picture: `path` relative to the library, with slashes; sizes in pixels (upright) and bytes."""

    id: PictureId
    path: str
    character: Character
    width: int
    height: int
    format: str
    bytes: int
    perceptual_hash: int


@dataclass(frozen=True)
class Library:
    """A folder of pictures as it was found. Entries, rejects and ignored files are each sorted by path.

    `extras` are the further columns of the tables, by label: a show's folder name, or `<show>/<character>`. `files` is
    what the next scan should know, for `Catalogue.remember_files`: a row for each entry, in their order. It says when
    each file was examined, so that it has no say in whether two libraries are equal. `links` says where the pictures
    are, by path, that lie outside the library, behind links that were followed. `unreachable` are rows of pictures that
    were known behind what cannot be looked into now: to be remembered too, so that the next scan misses them as well.
    """

    root: Path
    entries: tuple[Entry, ...]
    rejects: tuple[Reject, ...]
    extras: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    files: tuple[FileRow, ...] = field(default=(), compare=False)
    links: Mapping[str, Path] = field(default_factory=dict)
    unreachable: tuple[FileRow, ...] = field(default=(), compare=False)

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The characters that have a picture, with their shows and types."""
        return Hierarchy.of({entry.character for entry in self.entries})


@dataclass(frozen=True, slots=True)
class Names:
    """What the names of a library's files tell: how many files each character has, by label, and what cannot count."""

    files: Mapping[str, int]
    rejects: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class _Examined:
    """A usable picture: what is known about its file, and its pixels where it was decoded for that."""

    row: FileRow
    image: DecodedImage | None = None


@dataclass(frozen=True, slots=True)
class _Memory:
    """What earlier scans found out by the same `rules`, leaving out pictures whose pixels are wanted again."""

    rules: str
    files: Mapping[str, FileRow]
    pictures: Mapping[PictureId, FileRow]
    sizes: frozenset[int]

    @classmethod
    def of(cls, known: Mapping[str, FileRow], rules: str, wants: Callable[[PictureId], bool] | None) -> Self:
        """Keep those of the `known` files that need not be decoded again if they are still the same."""
        files = {path: row for path, row in known.items() if row.rules == rules and not (wants and wants(row.picture))}
        rows = files.values()
        return cls(rules, files, {row.picture: row for row in rows}, frozenset(row.size for row in rows))

    def unchanged(self, file: File) -> FileRow | None:
        """Return the row of a file that is beyond doubt the one that was examined."""
        row = self.files.get(file.path)
        if row is None or (row.size, row.mtime_ns) != (file.size, file.mtime_ns):
            return None
        return row if row.mtime_ns <= row.checked - RACY_NS else None

    def same_content(self, data: bytes) -> FileRow | None:
        """Return a row of any file that had these bytes; they are hashed only where one had so many."""
        return self.pictures.get(picture_id(data)) if len(data) in self.sizes else None


def in_doubt(known: Mapping[str, FileRow]) -> dict[str, FileRow]:
    """Return what is known such that every file will be read and hashed again, whatever its size and time say."""
    return {path: replace(row, checked=-STORABLE_NS) for path, row in known.items()}


def scan(  # noqa: PLR0913 - all but the folder may be left out
    root: Path,
    *,
    limits: Limits = LIBRARY_LIMITS,
    progress: Callable[[int, int], None] | None = None,
    visit: Callable[[Entry, DecodedImage], None] | None = None,
    known: Mapping[str, FileRow] | None = None,
    wants: Callable[[PictureId], bool] | None = None,
    follow_links: bool = False,
    without: Path | None = None,
) -> Library:
    """Read a library: its tables first, then the names of its files, then every picture.

    `progress` is told how many pictures are done and how many there are. `visit` is given each entry that was decoded,
    with its pixels, in the order of the paths, so that they can be embedded in the same pass. A picture that cannot be
    used is a reject and stops nothing; so is a link that leads out of the library, unless `follow_links` is set. The
    folder `without`, Sokkuri's home, is left out wherever it lies in the library: its pictures are thumbnails and
    plots. Raises BadLibrary where the folder as a whole is of no use or a table is wrong.

    `known` is what `Catalogue.files` remembers of this library. A file with the size and time of change of its row is
    not opened; one that is in doubt, or has moved, is read and hashed, but not decoded where its bytes are known.
    Neither is visited, unless `wants`, which is asked about every known picture before the first is opened, says that
    its pixels are needed: then it is decoded as if it were new. The result is that of a scan without `known`, but for a
    file that has other bytes under its former size and time, or cannot be read any more: it counts as it was.
    """
    tables, listing = _survey(root, follow_links=follow_links, without=without)
    unreachable = _count_closed(listing, known or {})
    memory = _Memory.of(known or {}, _rules(limits), wants)
    kept: dict[PictureId, Entry] = {}
    characters: dict[str, Character] = {}
    files: list[FileRow] = []
    rejects = listing.rejects
    for done, examined in enumerate(_examine_all(root, listing.pictures, limits, memory), start=1):
        if isinstance(examined, Reject):
            rejects.append(examined)
        elif isinstance(found := _judge(examined.row, _character(examined.row.path, tables, characters), kept), Reject):
            rejects.append(found)
        else:
            kept[found.id] = found
            files.append(examined.row)
            if visit and examined.image:
                visit(found, examined.image)
        if progress:
            progress(done, len(listing.pictures))
    rejects.sort(key=lambda reject: reject.path)
    if not kept:
        first = f"the first is {rejects[0].path}: {rejects[0].reason}"
        raise BadLibrary(f"none of the {len(rejects)} pictures in {root} can be used; {first}")
    ignored = tuple(sorted(listing.ignored))
    return Library(
        root, tuple(kept.values()), tuple(rejects), tables.extras, ignored, tuple(files), listing.links, unreachable
    )


def first_pictures(root: Path, limits: Limits, count: int, without: Path | None = None) -> list[DecodedImage]:
    """Decode the first few usable pictures of a library. Raises BadLibrary."""
    found: list[DecodedImage] = []
    for file in _survey(root, without=without)[1].pictures:
        if len(found) == count:
            break
        with suppress(InvalidImage, OSError):
            found.append(decode(read_regular(root / file.path, limits.max_bytes), limits))
    return found


def require_library(root: Path, without: Path | None = None) -> Names:
    """Raise what `scan` would raise before it opens a picture: cheap, for whoever has costly work to do before."""
    listing = _survey(root, without=without)[1]
    labels = (file.path.rsplit("/", file.path.count("/") - 1)[0] for file in listing.pictures)
    return Names(Counter(labels), tuple(listing.rejects))


def _survey(root: Path, *, follow_links: bool = False, without: Path | None = None) -> tuple[Tables, Listing]:
    """Read the tables and the names of the files. Raises BadLibrary."""
    if not root.is_dir():
        raise BadLibrary(f"{root} {'is not a folder' if root.exists() else 'does not exist'}: name a folder {LAYOUT}")
    home = without.stat() if without and without.exists() else None
    if home and os.path.samestat(home, root.stat()):
        raise BadLibrary(f"{root} is the home, where Sokkuri keeps its own files: name a folder {LAYOUT}")
    return read_tables(root), list_pictures(root, Listing(root.resolve(), follow_links, home))


def _count_closed(listing: Listing, known: Mapping[str, FileRow]) -> tuple[FileRow, ...]:
    """Make a reject of each folder that cannot be looked into, for all pictures known in it, and return their rows."""
    lost: list[FileRow] = []
    for folder, reason in listing.closed.items():
        rows = [row for path, row in known.items() if path.startswith(f"{folder}/")]
        told = f"{reason}, nor can the {len(rows)} pictures that were known in it" if rows else reason
        listing.rejects.append(Reject(printable(folder), told, max(1, len(rows))))
        lost += rows
    return tuple(lost)


def _rules(limits: Limits) -> str:
    """Return a digest of what the examination of a file depends on besides the file."""
    text = json.dumps([EXAMINATION, asdict(limits)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _character(path: str, tables: Tables, known: dict[str, Character]) -> Character:
    """Return the character in whose folder a picture lies; those that are `known` already need no table."""
    show, slug, _ = path.split("/", 2)
    label = f"{show}/{slug}"
    if label not in known:
        known[label] = tables.character(show, slug)
    return known[label]


def _judge(row: FileRow, character: Character, kept: Mapping[PictureId, Entry]) -> Entry | Reject:
    """Decide about one usable picture of a character, given those kept so far by their id."""
    path = row.path
    twin = kept.get(row.picture)
    if twin and twin.character != character:
        return Reject(path, f"the labels disagree: the same file is {twin.path}, which is kept")
    if twin:
        return Reject(path, f"a duplicate: the same file is {twin.path}, which is kept")
    return Entry(row.picture, path, character, row.width, row.height, row.format, row.size, row.perceptual_hash)


def _examine_all(root: Path, files: Sequence[File], limits: Limits, memory: _Memory) -> Iterator[_Examined | Reject]:
    """Yield what is known about each file, in their order. Only those are opened whose row may no longer hold."""
    rows = [memory.unchanged(file) for file in files]
    doubtful = (file.path for file, row in zip(files, rows, strict=True) if row is None)
    with closing(_open_all(root, doubtful, limits, memory)) as opened:
        for row in rows:
            yield _Examined(row) if row else next(opened)


def _open_all(
    root: Path, paths: Iterable[str], limits: Limits, memory: _Memory
) -> Generator[_Examined | Reject, None, None]:
    """Examine pictures on all cores and yield them in the order of `paths`, holding no more than a few at a time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(cores, MAX_THREADS)
    waiting: deque[Future[_Examined | Reject]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="library") as pool:
        try:
            for path in paths:
                waiting.append(pool.submit(_examine, root, path, limits, memory))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # After an error in `visit`, or Ctrl-C, the pictures still in the queue are not worth waiting for.
            pool.shutdown(wait=True, cancel_futures=True)


def _examine(root: Path, path: str, limits: Limits, memory: _Memory) -> _Examined | Reject:
    """Open one picture, and decode it unless its bytes are known. Whatever is wrong with it becomes a reason."""
    # Taken before the file is looked at: whatever is written to it from here on has a later time.
    checked = time.time_ns()
    try:
        with open_regular(root / path) as file:
            mtime_ns = changed_ns(os.fstat(file.fileno()))
            data = file.read(limits.max_bytes + 1)
        if row := memory.same_content(data):
            return _Examined(replace(row, path=path, mtime_ns=mtime_ns, checked=checked))
        image = decode(data, limits)
    except InvalidImage as error:
        return Reject(path, str(error))
    except OSError as error:
        return Reject(path, f"the file cannot be read: {error.strerror or error}")
    row = FileRow(
        path=path,
        size=len(data),
        mtime_ns=mtime_ns,
        checked=checked,
        rules=memory.rules,
        picture=image.id,
        width=image.width,
        height=image.height,
        format=image.format,
        perceptual_hash=perceptual_hash(image),
    )
    return _Examined(row, image)
