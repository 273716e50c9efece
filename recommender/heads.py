"""The last layer: one linear softmax head for each label space, made consistent by the hierarchy.

A character's score is the sum of three linear scores: its own, its show's and its type's. One softmax over all
characters turns scores into probabilities; a show's probability is the sum of its characters', a type's likewise,
so that the three lists can never contradict each other. Written in numpy, since a server needs no torch for it;
`indexer.training.heads` trains the same formula, and a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender.errors import LabelMismatch
from recommender.labels import UNTYPED, Hierarchy
from recommender.types import Matrix

SPACES = ("type", "character", "show")


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Row by row, the probability of every label: (n, 3), (n, characters) and (n, shows) float64 matrices."""

    type: NDArray[np.float64]
    character: NDArray[np.float64]
    show: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heads:
    """Three linear layers on the embedding: `weights[space]` is (labels, dimension), `biases[space]` (labels,)."""

    hierarchy: Hierarchy
    weights: Mapping[str, Matrix]
    biases: Mapping[str, Matrix]
    temperature: float = 1.0

    @classmethod
    def from_tensors(cls, hierarchy: Hierarchy, tensors: Mapping[str, Matrix], temperature: float) -> Self:
        """Read `<space>.weight` and `<space>.bias`. Raises LabelMismatch where a shape does not fit the labels."""
        for space, labels in zip(SPACES, hierarchy.spaces, strict=True):
            for name in (f"{space}.weight", f"{space}.bias"):
                if name not in tensors or len(tensors[name]) != len(labels):
                    raise LabelMismatch(
                        f"the heads hold no {name} for the {len(labels)} labels of the model: train the model again"
                    )
        weights = {space: tensors[f"{space}.weight"] for space in SPACES}
        return cls(hierarchy, weights, {space: tensors[f"{space}.bias"] for space in SPACES}, temperature)

    def to_tensors(self) -> dict[str, Matrix]:
        """Return what `from_tensors` reads."""
        return {f"{space}.weight": self.weights[space] for space in SPACES} | {
            f"{space}.bias": self.biases[space] for space in SPACES
        }

    def probabilities(self, embeddings: Matrix) -> Probabilities:
        """Turn (n, dimension) embeddings into the probability of every label."""
        hierarchy = self.hierarchy
        scores = {space: embeddings @ self.weights[space].T + self.biases[space] for space in SPACES}
        joint = (scores["character"] + scores["show"][:, hierarchy.show_of]).astype(np.float64)
        typed = hierarchy.type_of != UNTYPED
        joint[:, typed] += scores["type"][:, hierarchy.type_of[typed]]
        joint[:, ~typed] += _log_mean_exp(scores["type"])
        joint /= self.temperature
        joint -= joint.max(axis=1, keepdims=True)
        character = np.exp(joint)
        character /= character.sum(axis=1, keepdims=True)
        show = character @ np.eye(len(hierarchy.shows))[hierarchy.show_of]
        type_ = character[:, typed] @ np.eye(len(hierarchy.type_space))[hierarchy.type_of[typed]]
        # A sum that is 1 may come out a little above it.
        return Probabilities(np.minimum(type_, 1.0), character, np.minimum(show, 1.0))


def _log_mean_exp(scores: Matrix) -> Matrix:
    """Return the score of an untyped character's type: every type is as likely as the head finds it. Shape (n, 1)."""
    top = scores.max(axis=1, keepdims=True)
    return np.asarray(top + np.log(np.exp(scores - top).mean(axis=1, keepdims=True)))
