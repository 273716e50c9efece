"""Publishing: a snapshot is written where no other is, and has to prove itself before it gets its name.

Not here: what a snapshot holds (`recommender.snapshots`), and the row that makes it the one that is served.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexer.marks import mark
from recommender.errors import BuildError, Corrupt
from recommender.folders import sha256
from recommender.indexes.lists import Vectors
from recommender.snapshots import MANIFEST, SnapshotContent, open_snapshot, write_snapshot
from recommender.types import SnapshotInfo

CHECKED = 30
"""How many stored pictures have to find themselves before a snapshot is published."""
ITSELF = 0.999
"""The least cosine between a stored vector and the embedding that it was made from."""


def write_checked(snapshots: Path, content: SnapshotContent) -> SnapshotInfo:
    """Write a snapshot among the others, and return what the catalogue records of it.

    It is marked as unpublished (`marks`) until the caller has published it. Raises Corrupt, BuildError.
    """
    folder = _unused(snapshots, content.created)

    def prove(aside: Path) -> None:
        _require_itself(aside, content.vectors)
        mark(aside)

    try:
        return write_snapshot(folder, content, prove)
    except RuntimeError as error:  # what FAISS makes of a full disk, at length and over several lines
        what = str(error).split("failed: ")[-1].splitlines()[0]
        raise BuildError(f"{folder} cannot be written ({what}): make room and run it again") from error


def _require_itself(folder: Path, vectors: Vectors) -> None:
    """Open the finished snapshot and let a sample of its pictures find themselves. Raises Corrupt.

    Without vectors its index is one that has passed this before, and only has to be whole still.
    """
    snapshot = open_snapshot(folder, sha256(folder / MANIFEST))
    rows = np.linspace(0, len(vectors) - 1, min(CHECKED, len(vectors))).astype(int)
    for row, vector in zip(rows, vectors[rows] if len(rows) else (), strict=True):
        if not vector.any():
            continue  # a picture without any feature is similar to nothing, itself included
        nearest = snapshot.index.search(vector, 1)[0]
        if float(snapshot.index.vector(int(row)) @ vector) < ITSELF or nearest.similarity < ITSELF:
            raise Corrupt(f"picture {snapshot.picture(int(row))} does not find itself in the new index: run it again")


def _unused(snapshots: Path, created: str) -> Path:
    """Return a folder for a snapshot of this second: its name sorts by time, after all others of the second.

    A gap is not filled: what was pruned was older.
    """
    stem = created.replace(":", "").replace("-", "")
    numbers = (path.name.removeprefix(f"{stem}-") for path in snapshots.glob(f"{stem}-*"))
    number = 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)
    return snapshots / f"{stem}-{number:02}"
