"""Tiny libraries of generated pictures."""

from __future__ import annotations

from pathlib import Path

from tests.pictures import picture

TYPES = ("male", "female", "non-human")


def library(root: Path, shows: int = 3, characters: int = 2, pictures: int = 8) -> Path:
    """Make a library: `show-0/hero-0/0.png` and so on, with both tables. The last character has no type."""
    rows = ["show,character,name,type"]
    for show in range(shows):
        for character in range(characters):
            folder = root / f"show-{show}" / f"hero-{character}"
            folder.mkdir(parents=True)
            for number in range(pictures):
                (folder / f"{number}.png").write_bytes(picture(10_000 * show + 1_000 * character + number))
            kind = TYPES[(show + character) % len(TYPES)]
            rows.append(f"show-{show},hero-{character},Hero {show}-{character},{kind}")
    rows[-1] = rows[-1].rpartition(",")[0] + ","
    (root / "characters.csv").write_text("\n".join(rows), encoding="utf-8")
    titles = [f"show-{show},Show {show},{1990 + show}" for show in range(shows)]
    (root / "shows.csv").write_text("\n".join(["show,title,year", *titles]), encoding="utf-8")
    return root
