"""The demo world on disk: a library of drawn shows, and strangers that are in no catalogue.

```
FOLDER/
  world.json                           what was drawn, written last: only a whole world has it
  library/<show>/<character>/01.jpg    with shows.csv, characters.csv, styles.csv
  strangers/<show>/<character>/01.jpg  with the same tables
```

The same plan gives the same files, whatever interrupts the drawing. Only files that a world is known to have are ever
removed. Not here: how a picture is drawn (`drawing`) and by whom (`production`), what is true of the shows (`truth`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from errno import EDQUOT, EFBIG, ENOSPC
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from indexer.demo.cast import SHOWS, STRANGERS, DrawnShow
from indexer.demo.production import Order, carry_out, dice_of, write_whole
from indexer.demo.truth import popularity
from indexer.progress import Told, say
from recommender.errors import BuildError, Busy
from recommender.folders import ASIDE, flush

WHOLE, UNFINISHED = "world.json", "unfinished.json"
"""Where it is written down what a folder holds, or is to hold when it is finished."""
TABLES = ("shows.csv", "characters.csv", "styles.csv")
DRAWS = ("drawing.py", "identity.py", "light.py", "shot.py", "style.py", "parts/*.py")
"""The modules that decide how a picture looks. The cast is no part of them: it stands in the plan."""

_WHAT = "sokkuri demo world"
_LOCK = "lock"
_Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a world is made of: shows with `pictures` of each character, and others that are kept out of the library."""

    seed: int = 0
    pictures: int = 24
    stranger_pictures: int = 3
    shows: tuple[DrawnShow, ...] = SHOWS
    strangers: tuple[DrawnShow, ...] = STRANGERS

    @property
    def parts(self) -> dict[str, tuple[tuple[DrawnShow, ...], int]]:
        """The folders of a world, each with its shows and how many pictures a character has."""
        return {"library": (self.shows, self.pictures), "strangers": (self.strangers, self.stranger_pictures)}

    @property
    def cast(self) -> str:
        """A digest of all shows and characters."""
        cast = json.dumps([[asdict(show) for show in shows] for shows, _ in self.parts.values()], sort_keys=True)
        return hashlib.sha256(cast.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return all that the files of a world depend on besides the drawer; the `cast` as a digest."""
        return {
            "seed": self.seed,
            "cast": self.cast,
            "parts": {
                part: {
                    "pictures": pictures,
                    "characters": {show.label: [one.label for one in show.characters] for show in shows},
                }
                for part, (shows, pictures) in self.parts.items()
            },
        }


@dataclass(frozen=True, slots=True)
class World:
    """A whole world, and how many of its pictures were drawn just now."""

    folder: Path
    drawn: int

    @property
    def library(self) -> Path:
        """The library of shows."""
        return self.folder / "library"

    @property
    def strangers(self) -> Path:
        """Pictures, laid out as in a library, of characters that are in none."""
        return self.folder / "strangers"


def draw_world(folder: Path, plan: Plan, told: Told, *, processes: int | None = None) -> World:
    """Draw what is missing of a world, so that it is whole. `told` hears of pictures that are there, and of all.

    A world of another plan, or by another drawer, is removed file by file and drawn anew. Raises Busy where another
    process draws there, BuildError where the folder holds anything else or cannot be written to.
    """
    record = _record(plan)
    try:
        if _read(folder / WHOLE) == record and _is_whole(folder, plan):
            return World(folder, 0)
        with _held(folder):
            _make_ready(folder, record)
            drawn = _fill(folder, plan, told, processes)
            (folder / UNFINISHED).replace(folder / WHOLE)
            flush(folder)
    except OSError as error:
        full = error.errno in (ENOSPC, EDQUOT, EFBIG)
        remedy = "make room and run it again, it goes on where it stopped" if full else "name another folder"
        raise BuildError(f"{folder} cannot be written ({error.strerror or error}): {remedy}") from None
    return World(folder, drawn)


def is_drawn(folder: Path, plan: Plan) -> bool:
    """Tell whether a folder holds the whole world of this plan, by this drawer, as its record has it."""
    return _read(folder / WHOLE) == _record(plan)


def _record(plan: Plan) -> _Record:
    """Return what is written down of a world."""
    return {"what": _WHAT, "drawer": drawer_version()} | plan.to_json()


def drawer_version() -> str:
    """Return a digest of all that decides how a shot looks: the modules that draw, the renderer, the JPEG encoder."""
    digest = hashlib.sha256(f"{version('resvg-py')} {version('pillow')}".encode())
    home = Path(__file__).parent
    for file in sorted(file for pattern in DRAWS for file in home.glob(pattern)):
        digest.update(f"\n{file.relative_to(home).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _is_whole(folder: Path, plan: Plan) -> bool:
    """Return whether every file of the world is there."""
    return not _missing(folder, plan) and all((folder / part / name).exists() for part in plan.parts for name in TABLES)


def _missing(folder: Path, plan: Plan) -> list[Order]:
    """Return the orders for the pictures that are not there yet."""
    orders = (
        Order(
            folder / _picture(part, show.label, character.label, number),
            show.style,
            character.identity,
            f"{plan.seed}/{part}/{show.label}/{character.label}/{number}",
        )
        for part, (shows, pictures) in plan.parts.items()
        for show in shows
        for character in show.characters
        for number in range(1, pictures + 1)
    )
    return [order for order in orders if not order.is_done]


def _fill(folder: Path, plan: Plan, told: Told, processes: int | None) -> int:
    """Write the tables and pictures that are missing; return how many pictures were."""
    for part, (shows, _) in plan.parts.items():
        (folder / part).mkdir(exist_ok=True)
        for name, rows in _tables(shows, plan.seed).items():
            if not (folder / part / name).exists():
                write_whole(folder / part / name, _csv(rows))
    missing = _missing(folder, plan)
    total = sum(pictures * len(show.characters) for shows, pictures in plan.parts.values() for show in shows)
    told(total - len(missing), total)
    with closing(carry_out(missing, processes)) as drawn:
        for done in drawn:
            told(total - len(missing) + done, total)
    return len(missing)


def _tables(shows: Sequence[DrawnShow], seed: int) -> dict[str, list[dict[str, object]]]:
    """Return the rows of each table, cells by column."""
    return {
        "shows.csv": [
            {
                "show": show.label,
                "title": show.title,
                "year": show.year,
                "popularity": popularity(show.style, dice_of(f"{seed}/{show.label}/popularity")),
                "studio": show.studio,
            }
            for show in shows
        ],
        "characters.csv": [
            {"show": show.label, "character": one.label, "name": one.name, "type": one.identity.type}
            for show in shows
            for one in show.characters
        ],
        "styles.csv": [{"show": show.label, **show.style.to_json()} for show in shows],
    }


def _csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return a table as comma-separated values (RFC 4180) in UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes from drawing in the folder. Raises Busy, and BuildError where it is none of ours."""
    if folder.exists() and not folder.is_dir():
        raise BuildError(f"{folder} is a file: name a folder for the demo world")
    folder.mkdir(parents=True, exist_ok=True)
    _found(folder)
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(f"another sokkuri is drawing in {folder}: wait until it is done") from None
    try:
        yield
    finally:
        lock.release()


def _make_ready(folder: Path, record: _Record) -> None:
    """Leave nothing in the folder but what belongs to the world that is to be drawn, marked as unfinished."""
    found = _found(folder)
    if (folder / WHOLE).exists():
        (folder / WHOLE).replace(folder / UNFINISHED)
    for part in ("", *record["parts"]):
        for left in (folder / part).glob(f"{'**/' if part else ''}{ASIDE}*"):
            left.unlink()
    if found not in (None, record):
        say(f"{folder} holds a demo world of another plan or drawer: it is drawn anew")
        _clear(folder, found)
    write_whole(folder / UNFINISHED, json.dumps(record, indent=1).encode(), durable=True)


def _found(folder: Path) -> _Record | None:
    """Return the record of the world that the folder holds, finished or not, or None where it holds nothing.

    Raises BuildError where it holds anything else.
    """
    for name in (WHOLE, UNFINISHED):
        if found := _read(folder / name):
            return found
    if any(item.name != _LOCK and not item.name.startswith(ASIDE) for item in folder.iterdir()):
        raise BuildError(f"{folder} holds something other than a demo world: name an empty folder")
    return None


def _read(file: Path) -> _Record | None:
    """Return a record, or None where the file is missing, damaged, or holds something else."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["what"] != _WHAT:
            return None
        list(_files(record))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(record)


def _files(record: _Record) -> Iterator[str]:
    """Yield the path of each file of a world, below its folder."""
    for part, content in record["parts"].items():
        yield from (f"{part}/{table}" for table in TABLES)
        for show, characters in content["characters"].items():
            for character in characters:
                for number in range(1, content["pictures"] + 1):
                    yield _picture(part, show, character, number)


def _picture(part: str, show: str, character: str, number: int) -> str:
    """Return the path of a picture below the folder of its world."""
    return f"{part}/{show}/{character}/{number:02}.jpg"


def _clear(folder: Path, record: _Record) -> None:
    """Remove the files of a world, and its folders where nothing else lies in them; what leads elsewhere stays."""
    home = folder.resolve()
    files = [folder / name for name in _files(record)]
    inside = [place for place in {file.parent for file in files} if place.resolve().is_relative_to(home)]
    for file in files:
        if file.parent in inside:
            file.unlink(missing_ok=True)
    for place in inside:
        with suppress(OSError):  # something else lies there, or it is gone already
            place.rmdir()
            place.parent.rmdir()
