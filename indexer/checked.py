"""Stored vectors that prove themselves as they are read: what snapshots are made of.

Opening a table checks only what a crash can have left; a bit that rots later, in the middle, is noticed here. Training
and evaluation read the same rows again and again, and do without. Not here: the table (`embed`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from recommender.errors import Corrupt
from recommender.types import Matrix


@dataclass(frozen=True, slots=True)
class CheckedVectors:
    """(n, d) vectors as StoredVectors are, whose records prove themselves each time that they are read.

    Reading raises Corrupt where one is damaged: what is published is made of no bit that has rotted in the table.
    """

    records: Any
    rows: NDArray[np.int64]
    project: Callable[[Matrix], Matrix]
    name: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of vectors and their dimension."""
        return len(self.rows), int(self.records["features"].shape[1])

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Matrix:
        records = self.records[self.rows[index]]
        length = records.dtype.itemsize
        content = memoryview(records.tobytes())
        found = [
            crc32(content[start + 36 : start + length], crc32(content[start : start + 32]))
            for start in range(0, len(content), length)
        ]
        damaged = np.count_nonzero(records["check"] != np.array(found, dtype=np.uint32))
        if damaged:
            raise Corrupt(
                f"{damaged} or more records of {self.name} are damaged: run `sokkuri reindex LIBRARY --full`, which "
                "makes them anew"
            )
        return self.project(np.ascontiguousarray(records["features"], dtype=np.float32))
