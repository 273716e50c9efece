"""The mark of a snapshot's folder that its catalogue need not know: it never was published, or was taken out of it.

A snapshot is written with the mark and loses it once its row is committed; what is taken out for good gets it before
its row goes. So what a job that died has left may be removed, while a snapshot that is unknown and has no mark was
published: then it is the catalogue that was lost, or restored from an older copy. Not here: who removes (`prune`).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from recommender.catalogue import Catalogue
from recommender.folders import flush

MARK = "unpublished"
"""The name of an empty file in the folder, beside what its manifest lists."""


def mark(folder: Path) -> None:
    """Mark a snapshot, before its row goes or while there is none; a disk that has no room for the mark lacks it."""
    with suppress(OSError):
        (folder / MARK).touch()
        flush(folder)


def unmark(folder: Path) -> None:
    """Take the mark away, once the row is committed. Where that fails, `unmark_known` does it before the next job."""
    with suppress(OSError):
        (folder / MARK).unlink(missing_ok=True)
        flush(folder)


def is_marked(folder: Path) -> bool:
    """Tell whether the catalogue need not know a snapshot."""
    return (folder / MARK).exists()


def unmark_known(snapshots: Path, catalogue: Catalogue) -> None:
    """Take the mark from snapshots that the catalogue knows: a job died between its commit and the mark."""
    if marked := [file.parent for file in snapshots.glob(f"*/{MARK}")]:
        known = {info.id for info in catalogue.snapshots()}
        for folder in marked:
            if folder.name in known:
                unmark(folder)
