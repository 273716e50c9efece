"""What is to be collected: SOURCES.toml, read and checked as a whole before anything is asked for.

Not here: what a page holds (`galleries`), and how it is fetched (`fetch`).
"""

from __future__ import annotations

import os
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from soupsieve import SelectorSyntaxError
from soupsieve import compile as compile_selector

from indexer.collect.addresses import is_of_the_web, normal
from recommender.errors import BadSources
from recommender.types import TYPE_NAMES

MOST_PAGES = 10
"""Pages of one gallery that are looked at unless its source says how many: next-page links can go on for ever."""

_FORBIDDEN = frozenset('/\\:*?"<>|')
"""What one of the usual file systems takes in no name."""
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)
"""Names of devices on Windows, with any ending (Microsoft, "Naming Files, Paths, and Namespaces")."""
_LONGEST_NAME = 255
"""Bytes of a file's name that the usual file systems take."""
_LAST_YEAR = 9999
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where pictures of one character are. `show` and `character` are the library's folders.

    `pages` are addresses, and saved HTML files as `Path`; `base` is the address that a saved file's relative links
    refer to. `select` and `next` are CSS selectors, empty where the general rules serve; `max_pages` and `max_pictures`
    limit each start page and the whole source; a picture whose shorter side has fewer than `min_side` pixels is left
    out. `licence` and `author` count where the page states none. `folder` is that of the list, below which saved
    files are called by their paths.
    """

    name: str
    show: str
    character: str
    type: str | None
    pages: tuple[str | Path, ...]
    title: str = ""
    year: int | None = None
    character_name: str = ""
    base: str = ""
    select: str = ""
    next: str = ""
    max_pages: int = MOST_PAGES
    max_pictures: int | None = None
    min_side: int | None = None
    licence: str = ""
    author: str = ""
    folder: Path = Path()

    def name_of(self, file: Path) -> str:
        """Return what a saved page is called in provenance: `file:` and its path from where the list lies."""
        return f"file:{Path(os.path.relpath(file, self.folder)).as_posix()}"

    @property
    def label(self) -> str:
        """The character's label, which is its folder in the library."""
        return f"{self.show}/{self.character}"


@dataclass(frozen=True)
class _Document:
    """A TOML document that knows on which line each key of each source stands."""

    path: Path
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def error(self, what: str, source: int | None = None, key: str | None = None) -> BadSources:
        """Say what is wrong, with file, line and key."""
        place = f"{self.path}, line {self.line(source, key)}"
        named = f", {key}" if key else ""
        return BadSources(f"{place}{named}: {what}")

    def line(self, source: int | None, key: str | None) -> int:
        """Return the line on which a key begins, counted from 1.

        A document may be cut off after any line that ends a value. The key begins after the longest such beginning that
        does not hold it yet.
        """

        def holds(data: Mapping[str, Any]) -> bool:
            if source is None:
                return key in data
            tables = data.get("source", [])
            if not isinstance(tables, list) or len(tables) <= source:
                return False
            return key is None or not isinstance(tables[source], dict) or key in tables[source]

        lines = self.text.splitlines()
        whole = 0
        for count in range(1, len(lines) + 1):
            data = _parsed(lines[:count])
            if data is None:
                continue
            if holds(data):
                break
            whole = count
        return whole + 1


def _parsed(lines: list[str]) -> dict[str, Any] | None:
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return None


def read_sources(path: Path) -> tuple[Source, ...]:
    """Read a list of sources. Raises BadSources, which names the file, the line and the key."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadSources(f"{path} cannot be read ({error.strerror}): name a TOML file with sources") from error
    except UnicodeDecodeError:
        raise BadSources(f"{path} is not text in UTF-8: save it as UTF-8") from None
    try:
        document = _Document(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadSources(f"{path} is no valid TOML: {error}") from None
    except RecursionError:
        raise BadSources(f"{path} is no valid TOML: lists within lists without end") from None
    for key in document.data:
        if key != "source":
            raise document.error("is no key that Sokkuri knows: a list of [[source]] tables is expected", None, key)
    tables = document.data.get("source")
    if not isinstance(tables, list) or not tables:
        raise BadSources(f"{path} has no [[source]]: each begins with such a line")
    sources = [_source(document, number) for number in range(len(tables))]
    _check_names(document, sources)
    _check_agreement(document, sources)
    _check_case(document, sources)
    return tuple(sources)


def _source(document: _Document, number: int) -> Source:
    """Check one table and make it a Source."""
    table = document.data["source"][number]
    if not isinstance(table, dict):
        raise document.error("a source has to be a table: begin it with [[source]]", number)
    values: dict[str, Any] = {"type": None}
    for key, value in table.items():
        if key not in _KEYS:
            raise document.error(f"is no key of a source, which are {', '.join(_KEYS)}", number, key)
        try:
            values["character_name" if key == "name" else key] = _KEYS[key](value)
        except _Wrong as wrong:
            raise document.error(str(wrong), number, key) from None
    for key in ("show", "character", "pages"):
        if key not in table:
            raise document.error(f"the source lacks the key {key}", number)
    values["name"] = values.pop("id", "") or f"{values['show']}/{values['character']}"
    folder = values["folder"] = document.path.parent
    values["pages"] = tuple(page if is_of_the_web(page) else folder / page for page in values["pages"])
    for page in values["pages"]:
        if isinstance(page, Path) and not _is_file(page):
            raise document.error(
                f"there is no file {page}, and it is no address with http:// or https://", number, "pages"
            )
    return Source(**values)


def _check_names(document: _Document, sources: list[Source]) -> None:
    """Refuse two sources of one id, which the report could not tell apart; number those that have none of their own."""
    seen: dict[str, int] = {}
    tables = document.data["source"]
    for number, source in enumerate(sources):
        name, count = source.name, 1
        while name in seen:
            if "id" in tables[number]:
                raise document.error(f"{source.name!r} is the id of another source already", number, "id")
            count += 1
            name = f"{source.name} ({count})"
        seen[name] = number
        if name != source.name:
            values = {key: getattr(source, key) for key in Source.__slots__}
            sources[number] = Source(**values | {"name": name})


def _check_agreement(document: _Document, sources: list[Source]) -> None:
    """Refuse two sources of one character, or show, that describe it differently."""
    first: dict[tuple[str, str], object] = {}
    for number, source in enumerate(sources):
        said = {
            "type": (source.label, source.type),
            "name": (source.label, source.character_name or None),
            "title": (source.show, source.title or None),
            "year": (source.show, source.year),
        }
        for key, (label, value) in said.items():
            if value is not None and first.setdefault((key, label), value) != value:
                raise document.error(
                    f"{value!r} contradicts another source, which says {first[key, label]!r} of {label}", number, key
                )


def _check_case(document: _Document, sources: list[Source]) -> None:
    """Refuse names of folders that differ in case alone: on some disks they are one folder."""
    first: dict[str, str] = {}
    for number, source in enumerate(sources):
        for key, label in (("show", source.show), ("character", source.label)):
            if (other := first.setdefault(label.casefold(), label)) != label:
                raise document.error(
                    f"{label!r} differs from {other!r} in capital letters alone, which is one folder on some disks",
                    number,
                    key,
                )


class _Wrong(Exception):
    """A value is not of the kind that its key asks for; the message says which that is."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"has to be a text between quotes, not {_kind(value)}")
    return value.strip()


def _folder(value: object) -> str:
    name = unicodedata.normalize("NFC", _text(value))  # as the library's tables have it
    if not name or name.startswith(".") or name.endswith((".", " ")) or name.lower() in _LITTER:
        raise _Wrong(f"has to be a folder's name, not {name!r}")
    if bad := sorted(_FORBIDDEN & set(name)) or [letter for letter in name if not letter.isprintable()]:
        raise _Wrong(f"{name!r} holds {bad[0]!r}, which not every disk takes in a folder's name")
    if name.lower().partition(".")[0].rstrip() in _RESERVED:
        raise _Wrong(f"{name!r} is the name of a device on Windows, and so of no folder")
    if len(name.encode()) > _LONGEST_NAME:
        raise _Wrong(f"{name[:40]!r}… has {len(name.encode())} bytes: a folder's name has {_LONGEST_NAME} at most")
    return name


def _phrase(value: object) -> str:
    """Read a text that is shown in one line, and stands in a table."""
    text = _text(value)
    if bad := [letter for letter in text if unicodedata.category(letter) == "Cc"]:
        raise _Wrong(f"{text!r} holds {bad[0]!r}, a control character: write it in one line")
    return text


def _type(value: object) -> str:
    name = _text(value)
    if name not in TYPE_NAMES:
        raise _Wrong(f"has to be {', '.join(TYPE_NAMES[:-1])} or {TYPE_NAMES[-1]}, not {name!r}")
    return name


def _pages(value: object) -> list[str]:
    pages = [value] if isinstance(value, str) else value
    if not isinstance(pages, list) or not pages:
        given = "an empty one" if pages == [] else _kind(value)
        raise _Wrong(f"has to be a list of addresses and saved HTML files, not {given}")
    found = [_address(page) if "://" in page else page for page in map(_phrase, pages)]
    return list(dict.fromkeys(found))


def _address(value: object) -> str:
    address = _text(value)
    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        whole = False
    if not whole:
        raise _Wrong(f"{address!r} is no address: it has to begin with http:// or https:// and name a host")
    return normal(address)


def _selector(value: object) -> str:
    selector = _text(value)
    try:
        compile_selector(selector)
    except SelectorSyntaxError as error:
        raise _Wrong(f"{selector!r} is no CSS selector: {str(error).splitlines()[0]}") from None
    return selector


def _count(least: int) -> Callable[[object], int]:
    def count(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise _Wrong(f"has to be a whole number of {least} or more, not {_kind(value)}")
        return value

    return count


def _year(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LAST_YEAR:
        raise _Wrong(f"has to be a whole number from 1 to {_LAST_YEAR}, not {_kind(value)}")
    return value


def _kind(value: object) -> str:
    """Describe a value as TOML calls it."""
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    names = {str: "the text", int: "the number", float: "the number", list: "a list", dict: "a table"}
    name = names.get(type(value), "a date")
    return name if isinstance(value, (list, dict)) else f"{name} {value!r}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its name is too long for any
        return False


_KEYS: dict[str, Callable[[object], Any]] = {
    "show": _folder,
    "character": _folder,
    "type": _type,
    "pages": _pages,
    "id": _phrase,
    "title": _phrase,
    "year": _year,
    "name": _phrase,
    "base": _address,
    "select": _selector,
    "next": _selector,
    "max_pages": _count(1),
    "max_pictures": _count(1),
    "min_side": _count(1),
    "licence": _phrase,
    "author": _phrase,
}
"""The keys of a source, in the order in which messages list them, and what each takes."""
