"""What the model's numbers are worth: when to be sure of a label, and what a similarity means.

Everything here is measured while training (`indexer.evaluation.calibration`) and only read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from recommender.types import Level, Prediction, Verdict

_SPECIFIC_FIRST: tuple[Level, ...] = ("character", "show", "type")
LEVELS: tuple[str, ...] = _SPECIFIC_FIRST
"""What a verdict may name, the most specific first."""
LEAST_DOUBT = 1e-6
"""No probability counts as nearer to 0 or 1 than this: its odds have to stay finite."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near the catalogue comes to a picture, as cosines.

    `nearest` is its nearest stored picture's, and `label[level]` that of the nearest one of the best label at a level.
    """

    nearest: float = 0.0
    label: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Certainty:
    """How sure to be of the best label at one level (logistic regression), and from where on to say it aloud.

    The log-odds that the label is right are `bias + odds * (the log-odds of its probability) + nearest * (the cosine to
    the nearest stored picture) + label * (the cosine to the nearest one of that label)`. A softmax only weighs the
    labels that it knows against each other; the cosines tell whether the picture is like anything known at all.
    """

    threshold: float = 1.0
    bias: float = 0.0
    odds: float = 1.0
    nearest: float = 0.0
    label: float = 0.0

    def probability(self, probability: float, nearest: float, label: float) -> float:
        """Return the chance that a label is right, given its probability and the two cosines."""
        clipped = min(max(probability, LEAST_DOUBT), 1.0 - LEAST_DOUBT)
        score = self.bias + self.odds * np.log(clipped / (1.0 - clipped)) + self.nearest * nearest + self.label * label
        return float(1.0 / (1.0 + np.exp(-np.clip(score, -50.0, 50.0))))


@dataclass(frozen=True, slots=True)
class ProbabilityMap:
    """A piecewise linear map from a similarity, or a score made of similarities, to a probability. It never falls."""

    similarity: tuple[float, ...] = (0.0, 1.0)
    probability: tuple[float, ...] = (0.0, 1.0)

    def __call__(self, similarity: float) -> float:
        """Return the probability of a similarity."""
        return self.of_all([similarity])[0]

    def of_all(self, similarities: Sequence[float]) -> list[float]:
        """Return the probability of each similarity, in order: of many at once it takes hardly longer than of one."""
        return [float(one) for one in np.interp(similarities, self.similarity, self.probability)]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured: a temperature for each label space, a Certainty for each level, and four maps.

    `precision` is how often a verdict was to be right when the thresholds were chosen. `same_character` and `same_show`
    map the cosine of two pictures, `character_score` and `show_score` the scores of `ranking`.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    precision: float = 0.95
    certainty: Mapping[str, Certainty] = field(default_factory=dict)
    same_character: ProbabilityMap = ProbabilityMap()
    same_show: ProbabilityMap = ProbabilityMap()
    character_score: ProbabilityMap = ProbabilityMap()
    show_score: ProbabilityMap = ProbabilityMap()

    def verdict(self, best: Mapping[str, Prediction], nearness: Nearness) -> Verdict:
        """Return the most specific level whose best label is believed. `best` holds a label for each level.

        Its probability is the chance that the label is right, where the picture may also show somebody unknown.
        """
        certainties = self.certainties(best, nearness)
        for level, probability in certainties.items():
            if probability >= self.certainty.get(level, Certainty()).threshold:
                return Verdict(level, best[level].label, probability)
        return Verdict("unknown", None, 1.0 - max(certainties.values(), default=0.0))

    def certainties(self, best: Mapping[str, Prediction], nearness: Nearness) -> dict[Level, float]:
        """Return the chance that the best label of each level is right, the most specific level first."""
        return {
            level: self.certainty.get(level, Certainty()).probability(
                best[level].probability, nearness.nearest, nearness.label.get(level, 0.0)
            )
            for level in _SPECIFIC_FIRST
            if level in best
        }

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        maps = {name: asdict(getattr(self, name)) for name in _MAPS}
        levels = {level: asdict(certainty) for level, certainty in self.certainty.items()}
        return {
            "temperatures": dict(self.temperatures),
            "precision": self.precision,
            "certainty": levels,
            **{name: {field: list(values) for field, values in fields.items()} for name, fields in maps.items()},
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        maps = {
            name: ProbabilityMap(tuple(fields[name]["similarity"]), tuple(fields[name]["probability"]))
            for name in _MAPS
        }
        levels = {level: Certainty(**values) for level, values in fields["certainty"].items()}
        return cls(fields["temperatures"], fields["precision"], levels, **maps)


_MAPS = ("same_character", "same_show", "character_score", "show_score")
