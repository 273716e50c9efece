"""The sockets that engines plug into: small Protocols, each with at least one real adapter and one fake in the tests.

Not here: any adapter. `encoders` and `indexes` hold them, and `tests/contracts` holds each to the same laws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recommender.calibration import Calibration
from recommender.embeddings import EmbeddingSpace
from recommender.labels import Hierarchy
from recommender.types import DecodedImage, Encoding, Matrix, ModelInfo, Neighbours, Vector


class Backbone(Protocol):
    """A network without its last layer: pictures in, features out."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space that `space.embed` takes the features to."""
        ...

    @property
    def engine(self) -> str:
        """Engine and precision, as results name them: `torch-float32`."""
        ...

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return an (n, dimension) float32 matrix, a row for each picture, in the order of the pictures."""
        ...

    def make_ready(self) -> None:
        """Load what the first pictures would have to wait for, which may take seconds. Raises ModelError or Corrupt."""
        ...


class Encoder(Protocol):
    """A whole model: labels and embedding of a picture from one forward pass."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings."""
        ...

    @property
    def info(self) -> ModelInfo:
        """The model's name, as results show it."""
        ...

    @property
    def hierarchy(self) -> Hierarchy:
        """The labels that the model knows."""
        ...

    def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
        """Encode each picture, in order. A batch gives what single calls give."""
        ...

    @property
    def calibration(self) -> Calibration:
        """What the model's numbers are worth."""
        ...


class NeighbourIndex(Protocol):
    """Stored vectors, found again by similarity. Rows are numbered from 0 in the order of building."""

    def __len__(self) -> int: ...

    def search(self, vector: Vector, count: int, rows: NDArray[np.bool_] | None = None) -> Neighbours:
        """Return the `count` nearest rows, best first, of those that `rows` (a mask) lets through; all if fewer."""
        ...

    def vector(self, row: int) -> Vector:
        """Return the stored vector of a row."""
        ...

    def vectors(self, rows: NDArray[np.int64]) -> Matrix:
        """Return the stored vectors of some rows, in their order: (rows, dimension)."""
        ...
