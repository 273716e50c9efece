"""The vectors of a new snapshot: those that the published one holds come from its index, the others from the table.

What is read is read in blocks, and vectors that are made of features are held in a mapped file where they are many, so
that memory does not grow with the library. Not here: the table (`embed`), what is published (`reindex`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from indexer.split import Vectors
from recommender.folders import ASIDE, make_folder
from recommender.indexes.building import Former, still_fits
from recommender.indexes.lists import BLOCK, blocks, written
from recommender.snapshots import Snapshot, SnapshotContent
from recommender.types import Matrix, PictureId

NEW = -1
"""Stands for the row of a picture that a snapshot does not hold."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """(n, d) vectors, of which `rows[i]` is where the i-th stands in a snapshot's index, or NEW.

    `fresh` are the new ones, in their order.
    """

    snapshot: Snapshot
    rows: NDArray[np.int64]
    fresh: Vectors

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of vectors and their dimension."""
        return len(self.rows), len(self.snapshot.index.vector(0))

    @property
    def moved(self) -> int:
        """How many vectors came, and how many of the snapshot went."""
        new = int(np.count_nonzero(self.rows == NEW))
        return new + len(self.snapshot.pictures) - (len(self.rows) - new)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Matrix:
        places = np.arange(len(self.rows))[index]
        rows = self.rows[places]
        new = rows == NEW
        if not new.any():
            return self.snapshot.index.vectors(rows)
        found = np.empty((len(rows), self.shape[1]), np.float32)
        found[~new] = self.snapshot.index.vectors(rows[~new])
        # The i-th vector is the so-manieth new one as there are new ones before it.
        found[new] = self.fresh[np.cumsum(self.rows == NEW)[places[new]] - 1]
        return found


Source = Callable[[Sequence[PictureId]], Vectors]
"""Gives what is stored of some pictures' embeddings, to be read in blocks."""


@contextmanager
def with_vectors(
    content: SnapshotContent, served: Snapshot | None, source: Source, snapshots: Path
) -> Iterator[SnapshotContent]:
    """Add the vectors of a new snapshot, or whose index holds them already and is what was asked for.

    What the index of the `served` snapshot holds is taken from there; the source is only asked for new pictures.
    Raises BuildError where the disk is full, or no index of them fits into the memory that is allowed.
    """
    if served is None or served.info.space != content.space.fingerprint:
        with _held(source(content.pictures), snapshots) as vectors:
            yield replace(content, vectors=vectors)
        return
    folder = snapshots / served.info.id
    if served.holds(content) and still_fits(folder, content.index):
        yield replace(content, index_of=folder)
        return
    rows = _rows_in(served, content.pictures)
    new = [content.pictures[place] for place in np.flatnonzero(rows == NEW).tolist()]
    with _held(source(new), snapshots) as fresh:
        renewed = Renewed(served, rows, fresh)
        yield replace(content, vectors=renewed, former=Former(folder, renewed.moved))


def _rows_in(snapshot: Snapshot, pictures: Sequence[PictureId]) -> NDArray[np.int64]:
    """Return the row of each picture in a snapshot, or NEW."""
    stored = {identity.tobytes(): row for row, identity in enumerate(snapshot.pictures)}
    return np.array([stored.get(bytes.fromhex(picture), NEW) for picture in pictures], dtype=np.int64)


@contextmanager
def _held(vectors: Vectors, beside: Path) -> Iterator[Vectors]:
    """Give vectors that were read, and projected, once: in memory, or where they are many, mapped from a file.

    The file lies `beside` the snapshots until the block ends; `sweep` removes what a crash left of it. Raises
    BuildError where the disk is full.
    """
    shape = (len(vectors), vectors.shape[1])
    if shape[0] * shape[1] <= BLOCK:
        yield _filled(vectors, np.empty(shape, np.float32))
        return
    make_folder(beside)
    with TemporaryDirectory(prefix=f"{ASIDE}vectors-", dir=beside) as folder:
        yield written(Path(folder) / "vectors.npy", shape, "<f4", (vectors[rows] for rows in blocks(shape)))


def _filled(vectors: Vectors, place: Matrix) -> Matrix:
    for rows in blocks(place.shape):
        place[rows] = vectors[rows]
    return place
