"""The two tables of a library, `shows.csv` and `characters.csv`, read and checked before any picture is touched.

Not here: the pictures, and which of the shows and characters have a folder (`library`).
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recommender.errors import BadLibrary
from recommender.types import TYPE_NAMES, Character, Show

_YEAR = re.compile(r"[+-]?[0-9]{1,9}")
"""Python's `int` also takes `1_999` and digits of other scripts; a table that says so is more likely a mistake."""

_Row = dict[str, str]


@dataclass(frozen=True)
class Tables:
    """What the tables say about shows and characters, whether these have a folder or not.

    `extras` holds the further columns of both tables, by label: a show's folder name, or `<show>/<character>`.
    """

    shows: Mapping[str, Show] = field(default_factory=dict)
    characters: Mapping[tuple[str, str], tuple[str, str | None]] = field(default_factory=dict)
    extras: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def show(self, slug: str) -> Show:
        """Describe the show in the folder `slug`; without a row the folder's name is its title."""
        row = self.shows.get(_key(slug))
        return Show(slug, row.title or slug, row.year) if row else Show(slug, slug)

    def character(self, show: str, slug: str) -> Character:
        """Describe the character in the folder `show`/`slug`; without a row the folder's name is its name."""
        name, kind = self.characters.get((_key(show), _key(slug)), ("", None))
        return Character(slug, name or slug, self.show(show), kind)


def read_tables(root: Path) -> Tables:
    """Read `shows.csv` and `characters.csv` of a library, each of which may be missing.

    Raises BadLibrary, which names the file, the row (as a spreadsheet counts: the header is row 1) and the column.
    """
    shows: dict[str, Show] = {}
    characters: dict[tuple[str, str], tuple[str, str | None]] = {}
    extras: dict[str, dict[str, str]] = {}
    path = root / "shows.csv"
    for number, row in _rows(path, ("show",)):
        year = row.pop("year", "")
        if year and not _YEAR.fullmatch(year):
            raise _bad(path, number, "year", f"has to be a whole number, not {year!r}")
        slug = row.pop("show")
        shows[slug] = Show(slug, row.pop("title", ""), int(year) if year else None)
        extras[slug] = row
    path = root / "characters.csv"
    for number, row in _rows(path, ("show", "character"), "type"):
        kind = row.pop("type", "")
        if kind and kind not in TYPE_NAMES:
            raise _bad(path, number, "type", f"has to be {', '.join(TYPE_NAMES)} or empty, not {kind!r}")
        show, slug = row.pop("show"), row.pop("character")
        characters[show, slug] = (row.pop("name", ""), kind or None)
        extras[f"{show}/{slug}"] = row
    return Tables(shows, characters, {label: row for label, row in extras.items() if row})


def _key(name: str) -> str:
    """Bring a name to the form that composes accents: macOS writes file names apart, editors write tables together."""
    return unicodedata.normalize("NFC", name)


def _bad(path: Path, number: int, column: str, what: str) -> BadLibrary:
    return BadLibrary(f"{path}, row {number}, column {column}: {what}")


def _rows(path: Path, keys: tuple[str, ...], *further: str) -> list[tuple[int, _Row]]:
    """Read a table whose columns `keys` name each row: row numbers and cells by column. No file, no rows.

    The `further` columns have to be there too, since a misspelt name would silently lose what they say.
    """
    if not path.exists():
        return []
    header, *records = _records(path) or [(1, [])]
    columns = [cell.strip() for cell in header[1]]
    for key in (*keys, *further):
        if key not in columns:
            found = ", ".join(columns) or "nothing"
            raise BadLibrary(f"{path}, row 1: there is no column {key} in the header, which has {found}")
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise BadLibrary(f"{path}, row 1: the column {twice or '(without a name)'} appears twice")
    rows: list[tuple[int, _Row]] = []
    seen: dict[tuple[str, ...], int] = {}
    for number, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        row = _row(path, number, columns, cells)
        name = tuple(row[key] for key in keys)
        if "" in name:
            raise _bad(path, number, keys[name.index("")], "is empty")
        if name in seen:
            raise _bad(path, number, keys[-1], f"{'/'.join(name)} already has row {seen[name]}")
        seen[name] = number
        rows.append((number, row))
    return rows


def _row(path: Path, number: int, columns: list[str], cells: list[str]) -> _Row:
    """Name a row's cells by their columns; what is missing at its end is empty."""
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise BadLibrary(
            f"{path}, row {number}: has {len(cells)} cells, but the header has {len(columns)} columns "
            "(text that holds a comma belongs between double quotes)"
        )
    cells = [*cells, *[""] * (len(columns) - len(cells))]
    return {column: _key(cell.strip()) for column, cell in zip(columns, cells, strict=False)}


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """Read the rows of a comma-separated file (RFC 4180) in UTF-8, with or without a byte order mark."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise BadLibrary(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise BadLibrary(f"{path}, row {row}: is not UTF-8: save the table again as CSV in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            records.append((len(records) + 1, cells))  # the error below needs the rows read so far
    except csv.Error as error:
        raise BadLibrary(f"{path}, row {len(records) + 1}: is not a comma-separated row ({error})") from error
    return records
