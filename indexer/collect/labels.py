"""Labels: what the sources say of shows and characters, written into the library's two tables.

A row that is there already is the user's: what it leaves open is filled in, what it says differently is an error. Not
here: how the tables are read (`indexer.tables`).
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from indexer.collect.sources import Source
from indexer.tables import read_tables
from recommender.errors import BadLibrary, BadSources
from recommender.folders import flush

_Key = tuple[str, ...]


def write_labels(root: Path, sources: Sequence[Source]) -> None:
    """Bring `shows.csv` and `characters.csv` up to date. Raises BadLibrary, BadSources where the two disagree."""
    read_tables(root)  # says what is wrong with a table before anything is added to it
    shows: dict[_Key, dict[str, str]] = {
        (source.show,): {"title": source.title, "year": "" if source.year is None else str(source.year)}
        for source in _merged(sources, "show")
    }
    characters: dict[_Key, dict[str, str]] = {
        (source.show, source.character): {"name": source.character_name, "type": source.type or ""}
        for source in _merged(sources, "label")
    }
    _update(root / "shows.csv", ("show",), ("title", "year"), shows)
    _update(root / "characters.csv", ("show", "character"), ("name", "type"), characters)


def _merged(sources: Sequence[Source], by: str) -> list[Source]:
    """Return one source for each label, with all that any of them says (they do not contradict one another)."""
    merged: dict[str, dict[str, object]] = {}
    for source in sources:
        fields = merged.setdefault(getattr(source, by), {name: getattr(source, name) for name in Source.__slots__})
        for name in ("title", "year", "character_name", "type"):
            if fields[name] in (None, ""):
                fields[name] = getattr(source, name)
    return [Source(**fields) for fields in merged.values()]  # type: ignore[arg-type]  # they come from a Source


def _update(
    file: Path, keys: tuple[str, ...], columns: tuple[str, ...], wanted: Mapping[_Key, Mapping[str, str]]
) -> None:
    """Add missing rows and cells to a table; a table that has all of them is not touched."""
    rows = _rows(file) or [[*keys, *columns]]
    header = [cell.strip() for cell in rows[0]]
    rows[0] = header + [column for column in columns if column not in header]
    places = {name: rows[0].index(name) for name in (*keys, *columns)}
    known = {tuple(_cell(row, places[key]) for key in keys): row for row in rows[1:]}
    changed = rows[0] != header or not file.exists()
    for key, values in wanted.items():
        row = known.get(tuple(map(_composed, key)))
        if row is None:
            row = [""] * len(rows[0])
            for name, part in zip(keys, key, strict=True):
                row[places[name]] = part
            rows.append(row)
            changed = True
        row += [""] * (len(rows[0]) - len(row))
        for column, value in values.items():
            there = _cell(row, places[column])
            if value and there and there != _composed(value) and column == "type":
                label = "/".join(key)
                raise BadSources(f"{label} is {value} in the sources and {there} in {file}: correct one of them")
            if value and not there:
                row[places[column]] = value
                changed = True
    if changed:
        _write(file, rows)


def _rows(file: Path) -> list[list[str]]:
    if not file.exists():
        return []
    return list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))


def _write(file: Path, rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    aside = file.with_name(f".{file.name}.aside")
    try:
        aside.write_text(text.getvalue(), encoding="utf-8")
        flush(aside)
        aside.replace(file)
    except OSError as error:
        raise BadLibrary(f"{file} cannot be written ({error.strerror}): make room, or choose another folder") from error
    finally:
        aside.unlink(missing_ok=True)


def _cell(row: Sequence[str], place: int) -> str:
    return _composed(row[place].strip()) if place < len(row) else ""


def _composed(text: str) -> str:
    """Compose accents, as `indexer.tables` does when it reads."""
    return unicodedata.normalize("NFC", text)
