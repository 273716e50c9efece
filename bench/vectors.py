"""Vectors that stand in for embeddings after projection: 256 numbers, in identities that belong to shows.

The clustered ones lie close around their identity. The noisy ones are harder: drawn between stored embeddings of the
home, with noise of half the distance to the fifth nearest, or, where nothing is published, half as wide again around
their identity. Not here: what is measured with them (`index`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from recommender.catalogue import Catalogue
from recommender.embeddings import unit_length
from recommender.errors import SokkuriError
from recommender.indexes.lists import BLOCK
from recommender.settings import Settings
from recommender.snapshots import open_snapshot
from recommender.types import Matrix

DIMENSION = 256
PICTURES = 100
"""Pictures of an identity."""
IDENTITIES = 20
"""Identities of a show."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Stored vectors, the identity of each, and queries of the same kind."""

    name: str
    stored: Matrix
    identities: NDArray[np.int64]
    queries: Matrix


Draw = Callable[..., Drawn]
"""Draws so many stored vectors and queries, around a pool of embeddings if there is one, and into a file if given."""


def published(settings: Settings) -> Matrix | None:
    """Return the embeddings that are published in the home, of DIMENSION numbers, or None where there are none."""
    try:
        with Catalogue(settings.database_url) as catalogue:
            info = catalogue.published()
        index = open_snapshot(settings.home / "snapshots" / info.id, info.digest).index
    except SokkuriError:
        return None
    vectors = index.vectors(np.arange(len(index)))
    if vectors.shape[1] < DIMENSION or len(vectors) < DIMENSION:
        return None
    # The DIMENSION directions in which they differ most; what they have in common tells none from another.
    vectors = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return unit_length(vectors @ directions[:, : -DIMENSION - 1 : -1])


def clustered(  # the last two are `noisy`'s
    size: int,
    queries: int,
    pool: Matrix | None,  # noqa: ARG001  # drawn as `noisy` is
    file: Path | None = None,
    *,
    spread: float = 0.6,
    decay: float = 0.3,
) -> Drawn:
    """Draw identities around shows and pictures around identities; direction i is as wide as i to the power -decay."""
    generator = np.random.default_rng(size)
    wide = (np.arange(1, DIMENSION + 1) ** -decay).astype(np.float32)
    wide /= np.linalg.norm(wide)
    identities = max(1, size // PICTURES)
    shows = generator.standard_normal((max(1, identities // IDENTITIES), DIMENSION), dtype=np.float32) * wide
    centres = 0.6 * shows[generator.integers(0, len(shows), identities)]
    centres += 0.8 * generator.standard_normal((identities, DIMENSION), dtype=np.float32) * wide
    chosen = generator.integers(0, identities, size + queries)
    return _drawn("clustered", chosen, lambda rows: centres[rows], spread * wide, size, file)


def noisy(size: int, queries: int, pool: Matrix | None, file: Path | None = None) -> Drawn:
    """Draw vectors between near embeddings of the pool, with noise; without a pool, wide around identities."""
    if pool is None:
        drawn = clustered(size, queries, None, file, spread=0.9, decay=0.5)
        return Drawn("noisy", drawn.stored, drawn.identities, drawn.queries)
    generator = np.random.default_rng(size)
    similarities, near = faiss.knn(pool, pool, 6, faiss.METRIC_INNER_PRODUCT)
    length = float(np.median(np.sqrt(np.maximum(0, 2 - 2 * similarities[:, 5])))) / 2
    wide = pool.std(axis=0)
    wide *= length / np.linalg.norm(wide)
    chosen = generator.integers(0, len(pool), size + queries)

    def between(rows: NDArray[np.int64]) -> Matrix:
        other = near[rows, generator.integers(1, 6, len(rows))]
        part = generator.random((len(rows), 1), dtype=np.float32) / 2
        return np.asarray((1 - part) * pool[rows] + part * pool[other], dtype=np.float32)

    return _drawn("noisy", chosen, between, wide, size, file)


def _drawn(
    name: str,
    chosen: NDArray[np.int64],
    around: Callable[[NDArray[np.int64]], Matrix],
    wide: NDArray[Any],
    size: int,
    file: Path | None,
) -> Drawn:
    """Add noise to what lies around the chosen identities, in blocks, and scale to length 1; hold it in a file."""
    generator = np.random.default_rng(len(chosen) + 1)
    shape = (len(chosen), DIMENSION)
    vectors = np.empty(shape, np.float32) if file is None else open_memmap(file, "w+", np.float32, shape)
    step = BLOCK // DIMENSION
    for first in range(0, len(chosen), step):
        rows = chosen[first : first + step]
        noise = generator.standard_normal((len(rows), DIMENSION), dtype=np.float32) * wide
        vectors[first : first + step] = unit_length(around(rows) + noise)
    return Drawn(name, vectors[:size], chosen[:size], vectors[size:])
