"""Embeddings: vectors of unit length, and the space that each of them lives in.

Not here: the network that makes them (`encoders`), nor the index that searches them (`indexes`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from recommender.errors import SpaceMismatch
from recommender.types import Matrix


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Everything that has to be equal before two vectors may be compared.

    `weights` is the SHA-256 of the backbone's weights and `preprocessing` describes how a picture becomes the
    network's input; `dimension` counts the numbers of one vector.
    """

    backbone: str
    weights: str
    layer: str
    preprocessing: str
    dimension: int
    projection: str = "none"
    precision: str = "float32"

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that differ wherever two spaces differ."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**fields)


def unit_length(vectors: Matrix) -> Matrix:
    """Scale each row of an (n, d) matrix to length 1. A row of zeros stays zero: it is similar to nothing."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def require_same_space(found: str, expected: str, where: str) -> None:
    """Raise SpaceMismatch unless the two fingerprints are equal; `where` names the artefact that does not fit."""
    if found != expected:
        raise SpaceMismatch(
            f"{where} holds embeddings of space {found}, but the model makes space {expected}: "
            "run `sokkuri reindex LIBRARY` with the model that is to be served"
        )
