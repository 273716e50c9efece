"""The projection: principal components of embeddings, so that what is stored and compared has fewer numbers.

It is fitted while training (`indexer.training.projecting`), kept in the model's folder, and applied to queries and
stored pictures alike, after the heads have read the embedding. Not here: where embeddings come from (`embeddings`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from recommender.embeddings import EmbeddingSpace, unit_length
from recommender.types import Matrix, Vector


@dataclass(frozen=True)
class Projection:
    """Takes embeddings, less their `mean` (d,), to the `directions` (d, m), and scales what comes out to length 1.

    `whitened` says that the directions are scaled so that all of them vary alike.
    """

    mean: Vector
    directions: Matrix
    whitened: bool

    @property
    def dimension(self) -> int:
        """How many numbers are left of an embedding."""
        return int(self.directions.shape[1])

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over every number: equal digests mean equal projections."""
        arrays = (np.ascontiguousarray(array, dtype="<f4") for array in (self.mean, self.directions))
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    @cached_property
    def _shift(self) -> Vector:
        return np.asarray(self.mean.astype(np.float64) @ self.directions.astype(np.float64), dtype=np.float32)

    def of(self, embeddings: Matrix) -> Matrix:
        """Project (n, d) embeddings to (n, m) vectors of length 1; one that is the mean itself becomes zeros."""
        return unit_length(embeddings @ self.directions - self._shift)

    def space_of(self, space: EmbeddingSpace) -> EmbeddingSpace:
        """Return the space that embeddings of `space` are projected to."""
        return space.projected(projected_name(self.digest, whitened=self.whitened), self.dimension)

    def to_json(self) -> dict[str, Any]:
        """Return what model.json says of it: `name_of` makes the space of that alone."""
        return {"dimension": self.dimension, "whitened": self.whitened, "digest": self.digest}

    def to_tensors(self) -> dict[str, Matrix]:
        """Return what `from_tensors` reads."""
        return {"mean": self.mean, "directions": np.ascontiguousarray(self.directions)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Matrix], *, whitened: bool) -> Self:
        """Read what `to_tensors` gave. Raises KeyError where a tensor is missing."""
        return cls(tensors["mean"], tensors["directions"], whitened)


def projected_name(digest: str, *, whitened: bool) -> str:
    """Return what a space says of a projection: sixteen digits of its digest stand for all of its numbers."""
    return f"{'whitened ' if whitened else ''}principal components {digest[:16]}"
