"""Likeness: which pictures are nearly the same, told without any network.

Two pictures are when their perceptual hashes almost agree, their proportions do, and so do the mean colours of an 8 × 8
grid: flat drawings share hashes by chance, and rarely colours too. Not here: what happens to duplicates (`keep`), and
the near-duplicates of a split, which embeddings decide about as well (`indexer.split`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.split import HASH_BITS
from recommender.types import DecodedImage

GRID = 8
COLOURS_APART = 6.0
"""The most that two pictures' grids may differ on average, in steps of 0..255. Of 900 copies of real pictures, scaled
to 40 % and saved at quality 50 at worst, 98 % are within this and `HASH_BITS`; 900 real pictures have 7 such pairs, all
of one character and scene each."""
PROPORTIONS_APART = 0.04
"""The most that two pictures' ratios of width to height may differ, as a share of the larger."""


def colours_of(image: DecodedImage) -> bytes:
    """Return the mean red, green and blue of each cell of an 8 × 8 grid, row by row: 192 bytes."""
    height, width = image.pixels.shape[:2]
    rows = np.linspace(0, height, GRID, endpoint=False).astype(int)
    columns = np.linspace(0, width, GRID, endpoint=False).astype(int)
    sums = np.add.reduceat(np.add.reduceat(image.pixels, rows, axis=0, dtype=np.int64), columns, axis=1)
    tall = np.diff(np.append(rows, height))[:, None, None]
    wide = np.diff(np.append(columns, width))[None, :, None]
    return bytes((sums / np.maximum(tall * wide, 1)).astype(np.uint8).tobytes())


class Likenesses:
    """The pictures that are kept, searched by likeness."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._hashes: NDArray[np.uint64] = np.zeros(64, dtype=np.uint64)
        self._ratios: NDArray[np.float64] = np.zeros(64)
        self._colours: NDArray[np.uint8] = np.zeros((64, GRID * GRID * 3), dtype=np.uint8)

    def add(self, picture: str, hash_: int, ratio: float, colours: bytes) -> None:
        """Add a picture: its id, perceptual hash, width by height, and `colours_of`."""
        row = len(self._ids)
        if row == len(self._hashes):
            self._hashes = np.resize(self._hashes, 2 * row)
            self._ratios = np.resize(self._ratios, 2 * row)
            self._colours = np.resize(self._colours, (2 * row, self._colours.shape[1]))
        self._ids.append(picture)
        self._rows[picture] = row
        self._hashes[row], self._ratios[row] = hash_, ratio
        self._colours[row] = np.frombuffer(colours, dtype=np.uint8)

    def remove(self, picture: str) -> None:
        """Take a picture out again."""
        row = self._rows.pop(picture, None)
        if row is not None:
            self._ratios[row] = 0.0  # no picture has this shape, so nothing is like it any more

    def nearest(self, hash_: int, ratio: float, colours: bytes) -> str | None:
        """Return the id of the kept picture that is nearly the same, the nearest if there are several, or None."""
        count = len(self._ids)
        apart = np.bitwise_count(self._hashes[:count] ^ np.uint64(hash_))
        shaped = np.abs(self._ratios[:count] - ratio) <= PROPORTIONS_APART * np.maximum(self._ratios[:count], ratio)
        rows = np.flatnonzero((apart <= HASH_BITS) & shaped)
        if not len(rows):
            return None
        given = np.frombuffer(colours, dtype=np.uint8).astype(np.int16)
        distances = np.abs(self._colours[rows].astype(np.int16) - given).mean(axis=1)
        best = int(np.argmin(distances))
        return self._ids[int(rows[best])] if distances[best] <= COLOURS_APART else None
