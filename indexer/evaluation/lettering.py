"""Lettering: which fonts can draw a text, and how it is cut and broken until it fits.

Labels are folder names, in any script and of any length: what no installed font can draw becomes a question mark, and
what is too long loses its middle. Not here: where the text stands (`canvas`, `plots`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

FONT = "DejaVu Sans"
"""Comes with matplotlib. It has Latin, Greek, Cyrillic, Arabic and Hebrew, but nothing of South and East Asia."""
REGULAR = 400
UNUSABLE = re.compile("Last Resort|Emoji")
"""Fonts that have a box for every character, or colours, which matplotlib cannot draw."""
LABEL_COLUMNS = 42
CAPTION_COLUMNS, CAPTION_LINES = 24, 5


def labels_of(texts: Iterable[str]) -> list[str]:
    """Return labels that can be drawn, in one line that is not too long."""
    return [_shortened(text.replace("\n", " ").strip(), LABEL_COLUMNS) for text in drawable(texts)]


def caption_of(text: str) -> list[str]:
    """Return the lines of a caption; what its writer put on a line of its own gets two at most."""
    parts = [wrapped(part, CAPTION_COLUMNS, 2) for part in text.split("\n")]
    return [line for part in parts for line in part][:CAPTION_LINES]


def drawable(texts: Iterable[str]) -> list[str]:
    """Return the texts with question marks for what no font has, and without control characters but line breaks."""
    plain = [
        "".join(" " if one != "\n" and (one.isspace() or unicodedata.category(one) == "Cc") else one for one in text)
        for text in (unicodedata.normalize("NFC", text) for text in texts)
    ]
    missing = families_of("".join(plain))[1]
    return ["".join("?" if one in missing else one for one in text) for text in plain]


def families_of(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the fonts that are needed for a text, in the order in which to ask them, and what none of them has."""
    return covering(frozenset(one for one in text if one != "\n"))


@lru_cache
def covering(wanted: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Take the font that comes with matplotlib and, while something is missing, the installed one that adds most."""
    from matplotlib.font_manager import findfont, fontManager

    families, missing = [FONT], wanted - _characters(findfont(FONT))
    files = {
        entry.name: entry.fname
        for entry in fontManager.ttflist
        if missing and entry.weight == REGULAR and entry.style == "normal" and not UNUSABLE.search(entry.name)
    }
    added = {name: _characters(file) & missing for name, file in sorted(files.items())}
    while best := max(added, key=lambda name: len(added[name] & missing), default=None):
        if not added[best] & missing:
            break
        families.append(best)
        missing -= added[best]
    return tuple(families), missing


def _characters(file: str) -> frozenset[str]:
    """Return what a font has a glyph for; one that is gone or damaged has nothing."""
    from matplotlib.font_manager import get_font

    with suppress(OSError, RuntimeError):
        return frozenset(map(chr, get_font(file).get_charmap()))
    return frozenset()


def _width(text: str) -> int:
    """Return how many columns a text takes: two for a wide character (Unicode Standard Annex 11)."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def _shortened(text: str, columns: int) -> str:
    """Take from the middle of a text what is too much: shows differ at the front, characters at the end."""
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    if _width(text) <= columns:
        return text
    while _width(head) + _width(tail) >= columns:
        head, tail = (head[:-1], tail) if _width(head) > _width(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def wrapped(text: str, columns: int, most: int) -> list[str]:
    """Break a text into lines, after a space or a sign where there is one, and shorten it until they are few enough."""
    length = max(columns * most, 1)
    while len(broken := _broken(_shortened(text, length), columns)) > most:
        length -= 1
    return broken


def _broken(text: str, columns: int) -> list[str]:
    """Break a text into lines of at most so many columns."""
    broken = [""]
    for word in re.findall(r"[^\s/_-]*[\s/_-]|[^\s/_-]+", text):
        if broken[-1] and _width(broken[-1] + word.rstrip()) > columns:
            broken.append("")
        for character in word:
            if _width(broken[-1] + character.rstrip()) > columns:
                broken.append("")
            broken[-1] += character
    return [line.rstrip() for line in broken]
