"""Approximate search for large libraries: short codes in memory find candidates, the vectors themselves decide.

```
index.faiss    an inverted file (IVF) of short codes: the part that is held in memory
vectors.npy    every vector less the centre, (n, d) int16 in equal steps, mapped: only what is compared is read
centre.npy     the mean of all vectors, (d,) float32
index.json     how it was built, and how far a search has to look (`building` measures that)
```

What all vectors have in common says nothing about which of them are alike, but would take most of the precision of the
codes; without it the order stays the same, since <q, x> = <q, centre> + <q, x - centre>. Sixteen bits in equal steps
keep cosines to about 1e-5; float16 would be ten times as rough where a few numbers are large. Not here: how an
index is built and tuned (`building`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from recommender.errors import Corrupt
from recommender.folders import shown
from recommender.types import Matrix, Neighbours, Vector

LISTS, VECTORS, CENTRE, REPORT = "index.faiss", "vectors.npy", "centre.npy", "index.json"
FEW, MANY = 10, 1000
"""The numbers of results that a search is tuned for: those of a page, and those that shows are ranked by."""
COMPARED = 2**20
"""Numbers of stored vectors that are compared at a time: 4 MB of float32, which stay in the cache."""
EXACT_NUMBERS = 2**21
"""Where the rows that pass a filter hold no more numbers than these, all are compared: about 2 ms."""
HIDDEN = 64
"""Where a filter hides no more rows than these, so many more are searched for and the hidden ones dropped."""
SURROUNDINGS = 2_500
"""The fewest candidates that are compared under a filter, which may hide a query's own surroundings: what lies further
off differs by less, and codes tell less of it apart."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How far a search looks: lists that are probed, and candidates for each result that are compared exactly."""

    probes: int
    factor: int


@dataclass(frozen=True, slots=True)
class Efforts:
    """What to do for about FEW results (up to twice as many), and for more."""

    few: Effort
    many: Effort

    def probes(self, count: int) -> int:
        """Return how many lists are probed for `count` results."""
        return self.few.probes if count <= 2 * FEW else max(self.few.probes, self.many.probes)

    def candidates(self, count: int) -> int:
        """Return how many candidates are compared for `count` results: never fewer than for fewer results."""
        least = min(count, 2 * FEW) * self.few.factor
        return least if count <= 2 * FEW else max(least, count * self.many.factor)


@dataclass(frozen=True, slots=True)
class Stored:
    """Vectors in 16 bits: vector r is `centre + step × offsets[r]`."""

    centre: Vector
    step: float
    offsets: NDArray[np.int16]

    def steps(self, vectors: Matrix) -> Matrix:
        """Return vectors as they are stored, in whole steps from the centre, should 16 bits hold them."""
        steps = np.asarray(vectors - self.centre, dtype=np.float32)
        steps /= np.float32(self.step)
        return np.rint(steps, out=steps)

    def less_centre(self, rows: Any) -> Matrix:
        """Return the vectors of some rows less the centre, float32."""
        found = np.array(self.offsets[rows], dtype=np.float32)
        found *= np.float32(self.step)
        return found


def read_lists(file: Path) -> Any:
    """Read lists of codes, without the table that FAISS makes beside those of product quantisation.

    It would hold 1,024 bytes for each list and byte of a code: two to four times what the codes themselves take where
    there are a hundred thousand vectors, and these are chosen where memory is short.
    """
    return faiss.read_index(str(file), faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)


class IvfIndex:
    """A NeighbourIndex that looks at a part of the vectors; `efforts` says at how large a part."""

    def __init__(self, lists: Any, stored: Stored, efforts: Efforts, exact: int = EXACT_NUMBERS) -> None:
        self._lists = lists
        self._stored = stored
        self._efforts = efforts
        self._exact_rows = exact // self.dimension
        self._quantised = hasattr(lists, "pq")
        if self._quantised:
            lists.metric_type = faiss.METRIC_INNER_PRODUCT  # see `_by_products`; the file is as for distances

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `building.build_index` wrote; the vectors stay on the disk. Raises Corrupt."""
        try:
            report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
            efforts = Efforts(Effort(**report["few"]), Effort(**report["many"]))
            step = float(report["step"])
            lists = read_lists(folder / LISTS)
            centre = np.load(folder / CENTRE, allow_pickle=False)
            offsets = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError):
            raise Corrupt(f"{shown(folder)} holds no index that can be read: run `sokkuri reindex LIBRARY`") from None
        if (lists.ntotal, lists.d) != offsets.shape or centre.shape != (lists.d,):
            raise Corrupt(f"the files of the index in {shown(folder)} do not fit: run `sokkuri reindex LIBRARY`")
        return cls(lists, Stored(centre, step, offsets), efforts)

    def __len__(self) -> int:
        return len(self._stored.offsets)

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return len(self._stored.centre)

    def search(self, vector: Vector, count: int, rows: NDArray[np.bool_] | None = None) -> Neighbours:
        """Return the `count` nearest rows, best first, of those that `rows` (a mask) lets through; all if fewer."""
        passing = len(self) if rows is None else int(np.count_nonzero(rows))
        count = min(count, passing)
        if count == 0:
            return Neighbours(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
        if passing <= self._exact_rows:
            return self._compared(vector, np.arange(len(self)) if rows is None else np.flatnonzero(rows), count)
        hidden = len(self) - passing
        if rows is None or hidden <= HIDDEN:
            found = self._candidates(vector, count + hidden, None, len(self))
            return self._compared(vector, found if rows is None else found[rows[found]], count)
        return self._compared(vector, self._candidates(vector, count, rows, passing), count)

    def vector(self, row: int) -> Vector:
        """Return the stored vector of a row, to the precision that is stored."""
        return np.asarray(self._stored.centre + self._stored.less_centre(row), dtype=np.float32)

    def vectors(self, rows: NDArray[np.int64]) -> Matrix:
        """Return the stored vectors of some rows, to the precision that is stored."""
        found = self._stored.less_centre(rows)
        found += self._stored.centre
        return found

    def probed(self, vector: Vector, count: int, probes: int, rows: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Return up to `count` rows by their codes, best first, of the `probes` lists nearest to a vector."""
        parameters = faiss.SearchParametersIVF(nprobe=probes)  # type: ignore[call-arg]  # its annotations lack it
        if rows is not None:
            # FAISS keeps only a pointer: `selected` and `selector` have to outlive the search.
            selected = np.packbits(rows, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(rows), faiss.swig_ptr(selected))
            parameters.sel = selector
        faiss.omp_set_num_threads(1)  # why: see FaissIndex.search
        offset = (vector - self._stored.centre)[np.newaxis]
        if self._quantised:
            found = self._by_products(vector, offset, count, parameters)
        else:
            found = self._lists.search(offset, count, params=parameters)[1][0]
        return np.asarray(found[found >= 0])

    def _by_products(self, vector: Vector, offset: Matrix, count: int, parameters: Any) -> NDArray[np.int64]:
        """Return rows by the products of a vector with their codes, in the lists that are nearest by distance.

        The distance to a code takes the table that `read_lists` leaves out, or up to twice the time of a search to make
        its parts anew for each list; products take one small table for each query, and find a little less.
        """
        distances, lists = self._lists.quantizer.search(offset, parameters.nprobe)
        query = np.ascontiguousarray(vector, dtype=np.float32)
        products = np.empty(count, dtype=np.float32)
        found = np.empty(count, dtype=np.int64)
        pointers = map(faiss.swig_ptr, (lists, distances, products, found))
        # What FAISS puts in the place of this for Python takes no parameters.
        self._lists.search_preassigned_c(1, faiss.swig_ptr(query), count, *pointers, False, parameters)
        return found

    def similarities(self, vector: Vector, rows: NDArray[Any]) -> Vector:
        """Return the cosine of a vector and each of some rows, in their order."""
        shared = float(vector @ self._stored.centre)
        scaled = vector * np.float32(self._stored.step)
        step = max(1, COMPARED // self.dimension)
        # einsum and not @: BLAS would start threads for it, which spin against the other requests.
        similarities = np.empty(len(rows), dtype=np.float32)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            np.einsum("ij,j->i", self._stored.offsets[rows[part]].astype(np.float32), scaled, out=similarities[part])
        return similarities + np.float32(shared)

    def _candidates(
        self, vector: Vector, count: int, rows: NDArray[np.bool_] | None, passing: int
    ) -> NDArray[np.int64]:
        """Return at least `count` candidates of the `passing` rows.

        A filter may hide a query's own surroundings, so that its nearest lie as far off as otherwise those of a
        thousand results. The fewer pass, the more lists are probed, but by no means in the same proportion: the nearest
        of half as many stand only a little further off, in lists that come next.
        """
        lists = int(self._lists.nlist)
        usual = self._efforts.probes(count if rows is None else MANY)
        probes = min(lists, ceil(usual * sqrt(len(self) / passing)))
        wanted = self._efforts.candidates(count)
        wanted = min(passing, wanted if rows is None else max(wanted, SURROUNDINGS))
        found = self.probed(vector, wanted, probes, rows)
        return found if len(found) >= count or probes == lists else self.probed(vector, wanted, lists, rows)

    def _compared(self, vector: Vector, rows: NDArray[Any], count: int) -> Neighbours:
        """Compare a vector with rows exactly, and return the `count` nearest, best first."""
        similarities = self.similarities(vector, rows)
        if count < len(rows):
            nearest = np.argpartition(-similarities, count - 1)[:count]
            rows, similarities = rows[nearest], similarities[nearest]
        order = np.argsort(-similarities, kind="stable")
        return Neighbours(rows[order].astype(np.int64), similarities[order])
