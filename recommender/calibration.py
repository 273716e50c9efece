"""What the model's numbers are worth: when to be sure of a label, and what a similarity means.

Both maps are measured on the validation part while training (`indexer.evaluation.calibration`) and only read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from recommender.types import Prediction, Verdict


@dataclass(frozen=True, slots=True)
class Calibration:
    """`thresholds[level]`: the least probability at which a label is believed; `similarity`, `probability`: the map.

    The map is piecewise linear and never falls: the chance that two pictures of a given cosine show one character.
    """

    temperature: float = 1.0
    precision: float = 0.95
    thresholds: dict[str, float] = field(default_factory=dict)
    similarity: tuple[float, ...] = (0.0, 1.0)
    probability: tuple[float, ...] = (0.0, 1.0)

    def same_character(self, similarity: float) -> float:
        """Return the chance that two pictures of this cosine show the same character."""
        return float(np.interp(similarity, self.similarity, self.probability))

    def verdict(self, best: dict[str, Prediction]) -> Verdict:
        """Return the most specific level whose best label is believed. `best` holds a label for each level."""
        for level in ("character", "show", "type"):
            prediction = best.get(level)
            if prediction and prediction.probability >= self.thresholds.get(level, 1.0):
                return Verdict(level, prediction.label, prediction.probability)
        doubts = (prediction.probability for prediction in best.values())
        return Verdict("unknown", None, 1.0 - max(doubts, default=0.0))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {
            "temperature": self.temperature,
            "precision": self.precision,
            "thresholds": dict(self.thresholds),
            "similarity": list(self.similarity),
            "probability": list(self.probability),
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            temperature=fields["temperature"],
            precision=fields["precision"],
            thresholds=fields["thresholds"],
            similarity=tuple(fields["similarity"]),
            probability=tuple(fields["probability"]),
        )
