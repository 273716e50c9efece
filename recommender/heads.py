"""The last layer: one linear softmax head for each label space, made consistent by the hierarchy.

**Joint heads**: a character's score is the sum of three linear scores: its own, its show's and its type's. One softmax
over all characters turns scores into probabilities; a show's probability is the sum of its characters', a type's
likewise, so that the three lists can never contradict each other.

**Separate heads**: three models that know nothing of each other, a softmax each. They may contradict each other, which
an answer must not: `consistent` keeps the one of the characters.

Written in numpy, since a server needs no torch for it; `indexer.training.heads` trains the same formulas, and a test
holds the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from recommender.errors import LabelMismatch
from recommender.labels import UNTYPED, Hierarchy
from recommender.types import Matrix

SPACES = ("type", "character", "show")
Input = Literal["embedding", "features"]


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Row by row, the probability of every label: (n, 3), (n, characters) and (n, shows) float64 matrices."""

    type: NDArray[np.float64]
    character: NDArray[np.float64]
    show: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heads:
    """Three linear layers: `weights[space]` is (labels, dimension), `biases[space]` (labels,).

    `reads` says what the layers take: embeddings, or the backbone's features as they are. Scores are divided by their
    label space's temperature, which is 1 where none is given.
    """

    hierarchy: Hierarchy
    weights: Mapping[str, Matrix]
    biases: Mapping[str, Matrix]
    temperatures: Mapping[str, float] = field(default_factory=dict)
    joint: bool = True
    reads: Input = "embedding"

    @classmethod
    def from_tensors(cls, hierarchy: Hierarchy, tensors: Mapping[str, Matrix]) -> Self:
        """Read `<space>.weight` and `<space>.bias`. Raises LabelMismatch where a shape does not fit the labels."""
        for space, labels in zip(SPACES, hierarchy.spaces, strict=True):
            for name in (f"{space}.weight", f"{space}.bias"):
                if name not in tensors or len(tensors[name]) != len(labels):
                    raise LabelMismatch(
                        f"the heads hold no {name} for the {len(labels)} labels of the model: train the model again"
                    )
        weights = {space: tensors[f"{space}.weight"] for space in SPACES}
        return cls(hierarchy, weights, {space: tensors[f"{space}.bias"] for space in SPACES})

    def to_tensors(self) -> dict[str, Matrix]:
        """Return what `from_tensors` reads."""
        return {f"{space}.weight": self.weights[space] for space in SPACES} | {
            f"{space}.bias": self.biases[space] for space in SPACES
        }

    def consistent(self) -> Heads:
        """Return heads whose lists cannot contradict each other: joint ones as they are, of separate ones one part."""
        if self.joint:
            return self
        zero = {space: np.zeros_like(self.weights[space]) for space in ("type", "show")}
        none = {space: np.zeros_like(self.biases[space]) for space in ("type", "show")}
        return replace(self, weights={**self.weights, **zero}, biases={**self.biases, **none}, joint=True)

    def scores(self, vectors: Matrix) -> dict[str, Matrix]:
        """Return the linear scores of every label: (n, labels) for each label space."""
        return {space: vectors @ self.weights[space].T + self.biases[space] for space in SPACES}

    def probabilities(self, vectors: Matrix) -> Probabilities:
        """Turn (n, dimension) embeddings (or features, see `reads`) into the probability of every label."""
        return self.combined(self.scores(vectors))

    def combined(self, scores: Mapping[str, Matrix]) -> Probabilities:
        """Turn linear scores into the probability of every label."""
        scaled = {space: scores[space] / np.float32(self.temperatures.get(space, 1.0)) for space in SPACES}
        if not self.joint:
            return Probabilities(*(_softmax(scaled[space]) for space in ("type", "character", "show")))
        hierarchy = self.hierarchy
        joint = (scaled["character"] + scaled["show"][:, hierarchy.show_of]).astype(np.float64)
        typed = hierarchy.type_of != UNTYPED
        joint[:, typed] += scaled["type"][:, hierarchy.type_of[typed]]
        joint[:, ~typed] += _log_mean_exp(scaled["type"])
        character = _softmax(joint)
        show = character @ np.eye(len(hierarchy.shows))[hierarchy.show_of]
        type_ = character[:, typed] @ np.eye(len(hierarchy.type_space))[hierarchy.type_of[typed]]
        # A sum that is 1 may come out a little above it.
        return Probabilities(np.minimum(type_, 1.0), character, np.minimum(show, 1.0))


def _softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Turn each row of scores into probabilities."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log_mean_exp(scores: Matrix) -> Matrix:
    """Return the score of an untyped character's type: every type is as likely as the head finds it. Shape (n, 1)."""
    top = scores.max(axis=1, keepdims=True)
    return np.asarray(top + np.log(np.exp(scores - top).mean(axis=1, keepdims=True)))
