"""The names of a library's files, read before any is opened: what is a picture, and what is left out for which reason.

A library may hold a million files, so that nearly all of them have to be told by their name and place alone. Links are
followed only where that was asked for, and never in a circle. Not here: what is in the files (`library`), the tables'
rows (`tables`).
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from recommender.errors import BadLibrary

LAYOUT = "<show>/<character>/<any name>.{jpg,jpeg,png,webp,gif,bmp}"
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})

_ENDINGS = tuple(sorted(EXTENSIONS))
_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})
"""What systems leave in folders, in lower case. Names that begin with a dot are left out as well."""
_TABLES = frozenset({"shows.csv", "characters.csv"})
_CHARACTER_DEPTH = 3
STORABLE_NS = 2**63 - 1
"""Databases count no further, some file systems do: to the year 2262."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A picture that is left out, and why. Bytes of `path` that are not UTF-8 appear as escapes.

    A folder that cannot be looked into stands for as many `pictures` as were known in it, and for one at least.
    """

    path: str
    reason: str
    pictures: int = 1


@dataclass(frozen=True, slots=True)
class File:
    """A file as its folder's listing shows it, without its being opened."""

    path: str
    size: int
    mtime_ns: int


@dataclass
class Listing:
    """The files of a library before any is opened, and where those really are that lie behind followed links.

    `closed` says of folders, by path, why they cannot be looked into. The folder `without`, wherever it lies, is not.
    """

    home: Path
    follow_links: bool
    without: os.stat_result | None = None
    pictures: list[File] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    links: dict[str, Path] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)

    def is_left_out(self, item: os.DirEntry[str]) -> bool:
        """Tell whether a folder, or what a link to one leads to, is the one to be left out."""
        return self.without is not None and os.path.samestat(item.stat(), self.without)


def changed_ns(status: os.stat_result) -> int:
    """Return when a file was last changed, in nanoseconds since 1970, as far as that can be stored."""
    return max(-STORABLE_NS, min(status.st_mtime_ns, STORABLE_NS))


def list_pictures(root: Path, listing: Listing) -> Listing:
    """Find the pictures of a library by name and place, sorted by path. Raises BadLibrary where there are none."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as items:
                found = [item for item in items if not _is_litter(item.name)]
        except OSError as error:
            if not folder:
                raise BadLibrary(f"{root} cannot be read: {error.strerror}") from error
            listing.closed[folder] = f"the folder cannot be read ({error.strerror})"
            continue
        inside = [name for item in found if (name := _place(item, folder, listing))]
        if folder.count("/") + bool(folder) < _CHARACTER_DEPTH - 1:
            _check_case(root / folder, inside)
        folders += inside
    if not listing.pictures:
        odd = [*listing.rejects, *(Reject(folder, reason) for folder, reason in listing.closed.items())]
        stray = [f"; {reject.path} does not count: {reject.reason}" for reject in odd[:1]]
        raise BadLibrary(f"{root} holds no picture in the layout {LAYOUT}{''.join(stray)}")
    listing.pictures.sort(key=attrgetter("path"))
    return listing


def _place(item: os.DirEntry[str], folder: str, listing: Listing) -> str:
    """Put a file of `folder` where it belongs in the listing; of a folder that is to be looked into return the path."""
    path = f"{folder}/{item.name}" if folder else item.name
    if _is_plain(item, path, listing):
        try:
            status = item.stat()
        except OSError as error:  # it was there when the folder was read
            listing.rejects.append(Reject(path, f"the file cannot be read: {error.strerror or error}"))
        else:
            listing.pictures.append(File(path, status.st_size, changed_ns(status)))
        return ""
    if folder in listing.links:
        listing.links[path] = listing.links[folder] / item.name
    is_folder = _is_folder(item)
    if _is_closed(item, path, is_folder=is_folder):
        listing.closed[path] = "the link leads nowhere, and what it stood for cannot be read"
    elif not is_folder and not item.name.lower().endswith(_ENDINGS):
        if path not in _TABLES:
            listing.ignored.append(printable(path))
    elif reason := _objection(item, path, listing):
        listing.rejects.append(Reject(printable(path), reason))
    elif is_folder:
        return "" if listing.is_left_out(item) else path
    else:
        status = item.stat()  # known since `_objection` asked for it: the file system is not asked twice
        listing.pictures.append(File(path, status.st_size, changed_ns(status)))
    return ""


def _is_plain(item: os.DirEntry[str], path: str, listing: Listing) -> bool:
    """Tell whether nothing can be wrong with an item but its content, as with nearly all: this has to be quick."""
    return (
        item.is_file(follow_symlinks=False)
        and path.isascii()
        and path.lower().endswith(_ENDINGS)
        and path.count("/") + 1 >= _CHARACTER_DEPTH
        and not listing.links
    )


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # links that run in a circle
        return False


def _is_closed(item: os.DirEntry[str], path: str, *, is_folder: bool) -> bool:
    """Tell whether an item is a link, in the place of a folder, to what is not there: a volume that is not mounted."""
    if is_folder or path.count("/") + 1 >= _CHARACTER_DEPTH or path in _TABLES or not item.is_symlink():
        return False
    try:
        return not Path(item.path).exists()
    except OSError:  # links that run in a circle
        return True


def _objection(item: os.DirEntry[str], path: str, listing: Listing) -> str:
    """Say why a picture or folder is left out without being opened; empty where nothing speaks against it."""
    if printable(path) != path:
        return "the name is not valid UTF-8: rename it"
    try:
        if item.is_symlink() and (reason := _link_objection(item, path, listing)):
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


def _link_objection(link: os.DirEntry[str], path: str, listing: Listing) -> str:
    """Say why a link is not followed; where it is and leads out of the library, note where to."""
    target = Path(link.path).resolve(strict=True)
    if target.is_relative_to(listing.home):
        return "a link to a folder is not followed: its pictures count where they lie" if link.is_dir() else ""
    if not listing.follow_links:
        return "a link that leads out of the library is not followed: copy what it leads to, or give --follow-links"
    if link.is_dir() and (listing.home.is_relative_to(target) or target in listing.links.values()):
        return "a link that leads in a circle, or where another one leads, is not followed"
    listing.links[path] = target
    return ""


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def printable(path: str) -> str:
    r"""Show the bytes of a file name that are not UTF-8 as \x escapes; any other name comes back as it is."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def _check_case(folder: Path, paths: Iterable[str]) -> None:
    """Refuse folders that some file systems, and most people, take for one."""
    seen: dict[str, str] = {}
    for name in sorted(path.rpartition("/")[2] for path in paths):
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            what = (
                "letter case"
                if unicodedata.normalize("NFC", name) != unicodedata.normalize("NFC", other)
                else ("how their accents are encoded (Unicode normalisation)")
            )
            raise BadLibrary(f"{folder}: the folders {other} and {name} differ only in {what}: merge or rename one")
