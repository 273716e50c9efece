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
_LINES = ("slopes", "shifts")


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
    label space's temperature, which is 1 where none is given; in joint heads the (characters,) `slopes` then multiply
    the characters' own scores, and `shifts` are added to them.
    """

    hierarchy: Hierarchy
    weights: Mapping[str, Matrix]
    biases: Mapping[str, Matrix]
    temperatures: Mapping[str, float] = field(default_factory=dict)
    slopes: Matrix | None = None
    shifts: Matrix | None = None
    joint: bool = True
    reads: Input = "embedding"

    @classmethod
    def from_tensors(cls, hierarchy: Hierarchy, tensors: Mapping[str, Matrix]) -> Self:
        """Read `<space>.weight`, `<space>.bias`, and `slopes` and `shifts` where there are any.

        Raises LabelMismatch where a shape does not fit the labels.
        """
        expected = {
            f"{space}.{part}": len(labels)
            for space, labels in zip(SPACES, hierarchy.spaces, strict=True)
            for part in ("weight", "bias")
        }
        expected |= {name: len(hierarchy.characters) for name in _LINES if name in tensors}
        for name, labels in expected.items():
            if name not in tensors or len(tensors[name]) != labels:
                raise LabelMismatch(
                    f"the heads hold no {name} for the {labels} labels of the model: train the model again"
                )
        weights, biases = ({space: tensors[f"{space}.{part}"] for space in SPACES} for part in ("weight", "bias"))
        return cls(hierarchy, weights, biases, slopes=tensors.get("slopes"), shifts=tensors.get("shifts"))

    def to_tensors(self) -> dict[str, Matrix]:
        """Return what `from_tensors` reads."""
        lines = {name: tensor for name in _LINES if (tensor := getattr(self, name)) is not None}
        return (
            {f"{space}.weight": self.weights[space] for space in SPACES}
            | {f"{space}.bias": self.biases[space] for space in SPACES}
            | lines
        )

    @property
    def uncalibrated(self) -> Heads:
        """The heads as they were trained."""
        return replace(self, temperatures={}, slopes=None, shifts=None)

    def calibrated_like(self, other: Heads) -> Heads:
        """Return these heads with the calibration of others, which know all of these characters."""
        calibrated = replace(self, temperatures=other.temperatures)
        if other.slopes is None or other.shifts is None:
            return calibrated
        places = other.hierarchy.character_space.positions
        rows = [places[label] for label in self.hierarchy.character_space.labels]
        return replace(calibrated, slopes=other.slopes[rows], shifts=other.shifts[rows])

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
        hierarchy = self.hierarchy
        if not self.joint:
            scaled = self._scaled(scores)
            return Probabilities(*(_softmax(scaled[space]) for space in ("type", "character", "show")))
        character = _softmax(self.joined(scores))
        typed = hierarchy.type_of != UNTYPED
        show = character @ np.eye(len(hierarchy.shows))[hierarchy.show_of]
        type_ = character[:, typed] @ np.eye(len(hierarchy.type_space))[hierarchy.type_of[typed]]
        # A sum that is 1 may come out a little above it.
        return Probabilities(np.minimum(type_, 1.0), character, np.minimum(show, 1.0))

    def joined(self, scores: Mapping[str, Matrix]) -> NDArray[np.float64]:
        """Return the (n, characters) scores of joint heads: a character's own, its show's and its type's together."""
        scaled, hierarchy = self._scaled(scores), self.hierarchy
        own = scaled["character"]
        if self.slopes is not None and self.shifts is not None:
            own = own * self.slopes + self.shifts
        joint = (own + scaled["show"][:, hierarchy.show_of]).astype(np.float64)
        typed = hierarchy.type_of != UNTYPED
        joint[:, typed] += scaled["type"][:, hierarchy.type_of[typed]]
        joint[:, ~typed] += _log_mean_exp(scaled["type"])
        return joint

    def _scaled(self, scores: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Divide scores by their temperatures."""
        return {space: scores[space] / np.float32(self.temperatures.get(space, 1.0)) for space in SPACES}


def _softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Turn each row of scores into probabilities."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log_mean_exp(scores: Matrix) -> Matrix:
    """Return the score of an untyped character's type: every type is as likely as the head finds it. Shape (n, 1)."""
    top = scores.max(axis=1, keepdims=True)
    return np.asarray(top + np.log(np.exp(scores - top).mean(axis=1, keepdims=True)))
