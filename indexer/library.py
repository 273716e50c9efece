"""A library: a folder of pictures, read into entries with their labels, and rejects with their reasons.

Not here: the tables' rows (`tables`), decoding (`recommender.images`), near-duplicates (`split`), vectors (`embed`).
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from indexer.tables import Tables, read_tables
from recommender.errors import BadLibrary, InvalidImage
from recommender.images import Limits, decode, perceptual_hash
from recommender.labels import Hierarchy
from recommender.types import Character, DecodedImage, PictureId

LAYOUT = "<show>/<character>/<any name>.{jpg,jpeg,png,webp,gif,bmp}"
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})
LIBRARY_LIMITS = Limits(min_side=32)
"""A stored picture with a shorter side than this is an icon or a scrap; a query may be one."""
MAX_THREADS = 8
"""Each thread may hold a large picture (300 MB at worst); disks gain nothing from more."""

_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})
"""What systems leave in folders, in lower case. Names that begin with a dot are left out as well."""
_TABLES = frozenset({"shows.csv", "characters.csv"})
_CHARACTER_DEPTH = 3


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


@dataclass(frozen=True, slots=True)
class Reject:
    """A picture that is left out, and why. Bytes of `path` that are not UTF-8 appear as escapes."""

    path: str
    reason: str


@dataclass(frozen=True)
class Library:
    """A folder of pictures as it was found. Entries, rejects and ignored files are each sorted by path.

    `extras` are the further columns of the tables, by label: a show's folder name, or `<show>/<character>`.
    """

    root: Path
    entries: tuple[Entry, ...]
    rejects: tuple[Reject, ...]
    extras: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The characters that have a picture, with their shows and types."""
        return Hierarchy.of({entry.character for entry in self.entries})


@dataclass
class _Listing:
    """The files of a library before any is opened."""

    pictures: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Examined:
    """One opened file: a decoded picture with its size in bytes and hash, or the reason against it."""

    path: str
    image: DecodedImage | None = None
    bytes: int = 0
    perceptual_hash: int = 0
    reason: str = ""


def scan(
    root: Path,
    *,
    limits: Limits = LIBRARY_LIMITS,
    progress: Callable[[int, int], None] | None = None,
    visit: Callable[[Entry, DecodedImage], None] | None = None,
) -> Library:
    """Read a library: its tables first, then the names of its files, then every picture.

    `progress` is told how many pictures are done and how many there are; `visit` is given each entry with its pixels,
    in the order of the paths, so that they can be embedded in the same pass. A picture that cannot be used is a
    reject and stops nothing. Raises BadLibrary where the folder as a whole is of no use or a table is wrong.
    """
    tables, listing = _survey(root)
    entries: list[Entry] = []
    rejects = listing.rejects
    kept: dict[PictureId, Entry] = {}
    for done, examined in enumerate(_examine_all(root, listing.pictures, limits), start=1):
        found = _judge(examined, tables, kept)
        if isinstance(found, Reject):
            rejects.append(found)
        else:
            kept[found.id] = found
            entries.append(found)
            if visit and examined.image:
                visit(found, examined.image)
        if progress:
            progress(done, len(listing.pictures))
    rejects.sort(key=lambda reject: reject.path)
    if not entries:
        first = f"the first is {rejects[0].path}: {rejects[0].reason}"
        raise BadLibrary(f"none of the {len(rejects)} pictures in {root} can be used; {first}")
    return Library(root, tuple(entries), tuple(rejects), tables.extras, tuple(sorted(listing.ignored)))


def require_library(root: Path) -> None:
    """Raise what `scan` would raise before it opens a picture: cheap, for whoever has costly work to do before."""
    _survey(root)


def _survey(root: Path) -> tuple[Tables, _Listing]:
    """Read the tables and the names of the files. Raises BadLibrary."""
    if not root.is_dir():
        raise BadLibrary(f"{root} {'is not a folder' if root.exists() else 'does not exist'}: name a folder {LAYOUT}")
    return read_tables(root), _list(root)


def _judge(examined: _Examined, tables: Tables, kept: Mapping[PictureId, Entry]) -> Entry | Reject:
    """Decide about one picture, given those kept so far by their id."""
    image, path = examined.image, examined.path
    if image is None:
        return Reject(path, examined.reason)
    show, slug, *_ = path.split("/")
    character = tables.character(show, slug)
    twin = kept.get(image.id)
    if twin and twin.character != character:
        return Reject(path, f"the labels disagree: the same file is {twin.path}, which is kept")
    if twin:
        return Reject(path, f"a duplicate: the same file is {twin.path}, which is kept")
    return Entry(
        image.id, path, character, image.width, image.height, image.format, examined.bytes, examined.perceptual_hash
    )


def _examine_all(root: Path, paths: Iterable[str], limits: Limits) -> Iterator[_Examined]:
    """Decode pictures on all cores and yield them in the order of `paths`, holding no more than a few at a time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(cores, MAX_THREADS)
    waiting: deque[Future[_Examined]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="library") as pool:
        try:
            for path in paths:
                waiting.append(pool.submit(_examine, root, path, limits))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # After an error in `visit`, or Ctrl-C, the pictures still in the queue are not worth waiting for.
            pool.shutdown(wait=True, cancel_futures=True)


def _examine(root: Path, path: str, limits: Limits) -> _Examined:
    """Open, decode and hash one picture. Whatever is wrong with it becomes a reason."""
    try:
        with (root / path).open("rb") as file:
            data = file.read(limits.max_bytes + 1)
        image = decode(data, limits)
    except InvalidImage as error:
        return _Examined(path, reason=str(error))
    except OSError as error:
        return _Examined(path, reason=f"the file cannot be read: {error.strerror or error}")
    return _Examined(path, image, len(data), perceptual_hash(image))


def _list(root: Path) -> _Listing:
    """Find the pictures of a library by name and place, sorted by path. Raises BadLibrary where there are none."""
    listing = _Listing()
    home = root.resolve()
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as items:
                found = [item for item in items if not _is_litter(item.name)]
        except OSError as error:
            if not folder:
                raise BadLibrary(f"{root} cannot be read: {error.strerror}") from error
            listing.rejects.append(Reject(folder, f"the folder cannot be read: {error.strerror}"))
            continue
        inside = [name for item in found if (name := _place(item, folder, home, listing))]
        if folder.count("/") + bool(folder) < _CHARACTER_DEPTH - 1:
            _check_case(root / folder, inside)
        folders += inside
    if not listing.pictures:
        stray = [f"; {reject.path} does not count: {reject.reason}" for reject in listing.rejects[:1]]
        raise BadLibrary(f"{root} holds no picture in the layout {LAYOUT}{''.join(stray)}")
    listing.pictures.sort()
    return listing


def _place(item: os.DirEntry[str], folder: str, home: Path, listing: _Listing) -> str:
    """Put a file of `folder` where it belongs in the listing; of a folder that is to be looked into return the path."""
    path = f"{folder}/{item.name}" if folder else item.name
    is_folder = _is_folder(item)
    if not is_folder and Path(item.name).suffix.lower() not in EXTENSIONS:
        if path not in _TABLES:
            listing.ignored.append(_printable(path))
    elif reason := _objection(item, path, home):
        listing.rejects.append(Reject(_printable(path), reason))
    elif is_folder:
        return path
    else:
        listing.pictures.append(path)
    return ""


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # links that run in a circle
        return False


def _objection(item: os.DirEntry[str], path: str, home: Path) -> str:
    """Say why a picture or folder is left out without being opened; empty where nothing speaks against it."""
    if _printable(path) != path:
        return "the name is not valid UTF-8: rename it"
    try:
        if item.is_symlink() and (reason := _link_objection(item, home)):
            return reason
        is_file = stat.S_ISREG(item.stat().st_mode)
    except (OSError, RuntimeError):  # RuntimeError is how Path tells of links that run in a circle before Python 3.13
        return "the file is gone, or is a link that leads nowhere"
    if item.is_dir():
        return ""
    if path.count("/") + 1 < _CHARACTER_DEPTH:
        return "it lies in no character's folder: move it to <show>/<character>/"
    # Opening a named pipe would wait for ever.
    return "" if is_file else "it is not a regular file"


def _link_objection(link: os.DirEntry[str], home: Path) -> str:
    if not Path(link.path).resolve(strict=True).is_relative_to(home):
        return "a link that leads out of the library is not followed: copy what it leads to"
    return "a link to a folder is not followed: its pictures count where they lie" if link.is_dir() else ""


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _printable(path: str) -> str:
    r"""Show the bytes of a file name that are not UTF-8 as \x escapes; any other name comes back as it is."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _check_case(folder: Path, paths: Iterable[str]) -> None:
    """Refuse folders that some file systems, and most people, take for one."""
    seen: dict[str, str] = {}
    for name in sorted(path.rpartition("/")[2] for path in paths):
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise BadLibrary(
                f"{folder}: the folders {other} and {name} differ only in letter case: merge or rename one"
            )
