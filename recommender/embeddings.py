"""Embeddings: vectors of unit length, and the space that each of them lives in.

Not here: the network that makes them (`encoders`), nor the index that searches them (`indexes`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from recommender.errors import SpaceMismatch
from recommender.types import Matrix

SIGNED_SQRT = "signed-sqrt"
"""Each number becomes the square root of its size and keeps its sign, so that a few loud features do not drown the
others (power normalisation: Perronnin, Sánchez and Mensink, "Improving the Fisher Kernel", 2010)."""
NONE = "none"
"""The features as the network gives them."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Everything that has to be equal before two vectors may be compared.

    `weights` is the SHA-256 of the backbone's weights and `preprocessing` describes how a picture becomes the
    network's input; `dimension` counts the numbers of one vector. `projection` is what is done to the input of the
    network's last layer before it is scaled to length 1; `features` counts the numbers of that input where the
    projection leaves fewer of them.
    """

    backbone: str
    weights: str
    layer: str
    preprocessing: str
    dimension: int
    projection: str = SIGNED_SQRT
    precision: str = "float32"
    features: int | None = None

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that differ wherever two spaces differ."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def embed(self, features: Matrix) -> Matrix:
        """Turn the network's (n, dimension) features into embeddings: projected, then scaled to length 1."""
        if self.projection == NONE:
            return unit_length(features)
        if self.projection != SIGNED_SQRT:
            raise SpaceMismatch(f"this Sokkuri does not know the projection {self.projection!r}: train the model again")
        return unit_length(np.sign(features) * np.sqrt(np.abs(features)))

    @property
    def unprojected(self) -> EmbeddingSpace:
        """The space of the features themselves: equal for all spaces that differ only in what is made of features."""
        return replace(self, projection=NONE, dimension=self.features or self.dimension, features=None)

    def projected(self, name: str, dimension: int) -> EmbeddingSpace:
        """Return the space that a projection of that name takes embeddings of this one to (see `projection`)."""
        name = f"{self.projection}, {name}"
        return replace(self, projection=name, dimension=dimension, features=self.features or self.dimension)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object; `features` only where it says something."""
        fields = asdict(self)
        return fields if self.features else {name: value for name, value in fields.items() if name != "features"}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**fields)


def unit_length(vectors: Matrix) -> Matrix:
    """Scale each row of an (n, d) matrix to length 1. A row of zeros stays zero: it is similar to nothing."""
    # Summed in float64: the squares of very small or large numbers do not fit float32.
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors, dtype=np.float64))[..., np.newaxis]
    return np.asarray(vectors / np.where(lengths > 0.0, lengths, 1.0), dtype=np.float32)


def require_same_space(found: str, expected: str, where: str) -> None:
    """Raise SpaceMismatch unless the two fingerprints are equal; `where` names the artefact that does not fit."""
    if found != expected:
        raise SpaceMismatch(
            f"{where} holds embeddings of space {found}, but the model makes space {expected}: "
            "run `sokkuri reindex LIBRARY` with the model that is to be served"
        )
