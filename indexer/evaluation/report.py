"""A report as a folder: one page that needs nothing else, the same figures for programs, and each plot as a file.

```
report.html    every plot inside it; no script, no other host; opens from a disk, prints, reads on a phone
metrics.json   all figures, in full
<name>.png     each plot
<name>.csv     each table, in full precision (RFC 4180)
```

Not here: what is reported. That is put together from the parts below by whoever measured it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from math import isfinite
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from indexer.evaluation.canvas import DPI
from recommender.errors import BuildError
from recommender.folders import ASIDE, flush, written_aside

PAGE = "report.html"
METRICS = "metrics.json"
CSS_DPI = 96
"""Pixels of style sheets in an inch (CSS Values and Units 3, section 6.2)."""
LONG = 24
"""Rows that a table may have and still be shown as a whole: with a few more, nobody would see that it goes on."""
SMALL = 500
"""Pixels that a plot may be wide and still be scaled down to a phone's screen: its letters stay readable there."""
UNKNOWN = "–"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PNG_WIDTH, _PNG_HEIGHT = slice(16, 20), slice(20, 24)
"""Where the first chunk tells the size (Portable Network Graphics Specification, section 11.2.2)."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture of figures. `name` is that of its file, `alt` says what it shows to those who do not see it."""

    name: str
    title: str
    png: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The picture itself, as the address of a picture."""
        return f"data:image/png;base64,{b64encode(self.png).decode('ascii')}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on a page, where an inch has fewer pixels than in the file."""
        width, height = (int.from_bytes(self.png[place], "big") for place in (_PNG_WIDTH, _PNG_HEIGHT))
        return round(width * CSS_DPI / DPI), round(height * CSS_DPI / DPI)


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in rows, of which the first cell is the name. None and NaN stand for a figure that there is not."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    note: str = ""

    @property
    def is_long(self) -> bool:
        """Whether the page shows the first rows only, and lets the others be scrolled to."""
        return len(self.rows) > LONG

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers only, and at least one."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        known = [[cell for cell in map(_plain, column) if cell is not None] for column in columns]
        return tuple(bool(cells) and all(_is_number(cell) for cell in cells) for cells in known)


@dataclass(frozen=True, slots=True)
class Section:
    """Plots and tables that answer one question. `lead` says which, and how to read them."""

    title: str
    lead: str
    parts: tuple[Plot | Table, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A page: what has to be known first, the figures that sum it up (what it is, how much), and the sections."""

    title: str
    notices: tuple[str, ...]
    summary: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def write_report(report: Report, metrics: Mapping[str, Any], folder: Path) -> None:
    """Write the report's files to a folder, which appears at once and whole.

    Where the folder exists its files are replaced one by one, each at once, the page last; what else lies there stays.
    Numbers that are not finite become None (JSON has no others). Raises BuildError where the folder is a file or
    cannot be written to.
    """
    files = _files(report, metrics)
    if folder.exists() and not folder.is_dir():
        raise BuildError(f"{folder} is a file: name a folder for the report")
    try:
        if folder.exists():
            _replace(folder, files)
        else:
            with written_aside(folder) as aside:
                for name, content in files.items():
                    (aside / name).write_bytes(content)
    except OSError as error:
        full = error.errno in (ENOSPC, EDQUOT)
        remedy = "make room and run it again" if full else "name another folder for the report"
        raise BuildError(f"{folder} cannot be written ({error.strerror}): {remedy}") from None


def _files(report: Report, metrics: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files by name, the page last. Raises ValueError where two parts have one name, or one is no name."""
    parts = [part for section in report.sections for part in section.parts]
    names = [part.name for part in parts]
    if wrong := {name for name in names if names.count(name) > 1 or not _NAME.fullmatch(name)}:
        raise ValueError(f"parts of a report need names of their own that can be file names, not {sorted(wrong)}")
    files = {METRICS: _encoded(json.dumps(_plain(metrics), indent=1, ensure_ascii=False, allow_nan=False) + "\n")}
    for part in parts:
        if isinstance(part, Plot):
            files[f"{part.name}.png"] = part.png
        else:
            files[f"{part.name}.csv"] = _encoded(_csv(part))
    return files | {PAGE: _encoded(_page(report))}


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write each file aside, flush it to the disk and rename it over the one that is there."""
    for name, content in files.items():
        aside = folder / f"{ASIDE}{name}-{uuid4().hex[:8]}"
        try:
            aside.write_bytes(content)
            flush(aside)
            aside.replace(folder / name)
        finally:
            with suppress(OSError):  # must not hide what went wrong
                aside.unlink(missing_ok=True)
    flush(folder)


def _csv(table: Table) -> str:
    """Return a table as comma-separated values; a figure that there is not is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return text.getvalue()


def _page(report: Report) -> str:
    """Return the page."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["shown"] = _shown
    return templates.get_template(PAGE).render(report=report, metrics=METRICS, small=SMALL)


def _shown(value: object) -> str:
    """Return a cell as the page shows it: three decimals, and a dash for what there is not."""
    value = _plain(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")
    return UNKNOWN if value is None else str(value)


def _plain(value: object) -> Any:
    """Return a value as JSON knows it: numpy's numbers and arrays as Python's, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _encoded(text: str) -> bytes:
    """Return text in UTF-8, with question marks for halves of characters, which no encoding has."""
    return text.encode("utf-8", "replace")
