"""Fidelity: whether an engine gives the answers of the one that it stands for. Measured on pictures, not believed.

Not here: how the engine was made (`conversion`), nor what becomes of it (`export`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.evaluation.metrics import measure
from recommender.embeddings import EmbeddingSpace
from recommender.heads import SPACES, Heads
from recommender.ports import Backbone
from recommender.projection import Projection
from recommender.types import DecodedImage, Matrix

LEAST_AGREEMENT = 0.99
"""Of so many pictures the best label is the same, in each label space."""
LEAST_COSINE = 0.99
"""The least mean cosine between a picture's two embeddings."""
LEAST_OVERLAP = 0.95
"""So many of the ten nearest pictures are the same, on average."""
MOST_LOST = 0.5
"""Percentage points of accuracy that may be lost, in each label space."""
NEAREST = 10
SINGLES, BULKS = 7, 3
"""How often a single picture, and many at once, are timed; the median counts."""
BULK = 16
"""Pictures at once."""


@dataclass(frozen=True, slots=True)
class Exam:
    """What engines are examined on: pictures, the number of each one's character, and the heads that judge them.

    `features` (n, d) are those of the engine that others have to agree with; `projection` is what the model projects
    embeddings by before they are compared, if it does.
    """

    pictures: Sequence[DecodedImage]
    characters: NDArray[np.int64]
    heads: Heads
    space: EmbeddingSpace
    features: Matrix
    projection: Projection | None = None


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far an engine agrees with another on `pictures` pictures.

    `agreement` is the share of them with the same best label, by label space, `cosine` the mean cosine of their
    embeddings, `overlap` the share of the ten nearest pictures that are the same, `gained` the percentage points of
    accuracy that are gained (negative: lost), None where no picture has such a label.
    """

    pictures: int
    agreement: Mapping[str, float]
    cosine: float
    overlap: float
    gained: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @property
    def shortfall(self) -> str:
        """Name the first figure that is below the gate, with its bound; nothing where all pass."""
        for space, share in self.agreement.items():
            if share < LEAST_AGREEMENT:
                return f"the best {space} is the same for {share:.3f} of the pictures (at least {LEAST_AGREEMENT})"
        if self.cosine < LEAST_COSINE:
            return f"the mean cosine of the embeddings is {self.cosine:.4f} (at least {LEAST_COSINE})"
        if self.overlap < LEAST_OVERLAP:
            return f"{self.overlap:.3f} of the {NEAREST} nearest pictures are the same (at least {LEAST_OVERLAP})"
        for space, points in self.gained.items():
            if points is not None and points < -MOST_LOST:
                return f"the accuracy of {space} changes by {points:.2f} points (at least -{MOST_LOST})"
        return ""

    def to_text(self) -> str:
        """Return the figures for people, in one line."""
        same = ", ".join(f"{space} {share:.3f}" for space, share in self.agreement.items())
        change = ", ".join(f"{space} {points:+.2f}" for space, points in self.gained.items() if points is not None)
        return (
            f"same best label: {same}; cosine {self.cosine:.4f}; {NEAREST} nearest {self.overlap:.3f}; "
            f"accuracy (points): {change}; {self.pictures} pictures"
        )


def compare(exam: Exam, features: Matrix) -> Fidelity:
    """Compare the (n, d) features that an engine gives of the exam's pictures with those that it should give."""
    expected, found = exam.space.embed(exam.features), exam.space.embed(features)
    reads = exam.heads.reads == "embedding"
    said = [exam.heads.probabilities(matrix) for matrix in ((expected, found) if reads else (exam.features, features))]
    if exam.projection:
        expected, found = exam.projection.of(expected), exam.projection.of(found)
    best = [{space: getattr(one, space).argmax(axis=1) for space in SPACES if getattr(one, space).size} for one in said]
    right = [measure(one, exam.characters, exam.heads.hierarchy) for one in said]
    gained = {
        space: None if before is None else 100 * (right[1][space]["accuracy"] - before)
        for space in SPACES
        for before in [right[0][space]["accuracy"]]
    }
    return Fidelity(
        pictures=len(features),
        agreement={space: float(np.mean(best[0][space] == best[1][space])) for space in best[0]},
        cosine=float(np.einsum("nd,nd->n", expected, found).mean()),
        overlap=overlap(expected, found),
        gained=gained,
    )


def overlap(expected: Matrix, found: Matrix) -> float:
    """Return the share of each picture's ten nearest others that are the same among (n, d) unit vectors of both kinds.

    Of fewer than eleven pictures all others are near; of fewer than two, nothing can be lost.
    """
    count = min(NEAREST, len(expected) - 1)
    if count < 1:
        return 1.0
    near = []
    for vectors in (expected, found):
        cosine = vectors @ vectors.T
        np.fill_diagonal(cosine, -np.inf)
        near.append(np.argpartition(-cosine, count - 1, axis=1)[:, :count])
    same = [len(np.intersect1d(one, other)) for one, other in zip(*near, strict=True)]
    return float(np.mean(same)) / count


@dataclass(frozen=True, slots=True)
class Speed:
    """What an engine takes for a picture alone, in milliseconds, and how many a second it takes in bulk."""

    single_ms: float
    bulk_per_second: float

    def to_json(self) -> dict[str, float]:
        """Return the fields as a JSON object."""
        return {"single_ms": self.single_ms, "bulk_per_second": self.bulk_per_second}


def race(
    engines: Mapping[str, Backbone], pictures: Sequence[DecodedImage], singles: int = SINGLES, bulks: int = BULKS
) -> dict[str, Speed]:
    """Time engines in turn, round after round, so that what else the machine does falls on all; medians count."""
    many = [pictures[number % len(pictures)] for number in range(BULK)]
    single: dict[str, list[float]] = {name: [] for name in engines}
    bulk: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        engine.features(many[:1])
        engine.features(many[:4])
    for rounds, batch, taken in ((singles, many[:1], single), (bulks, many, bulk)):
        for _ in range(rounds):
            for name, engine in engines.items():
                started = perf_counter()
                engine.features(batch)
                taken[name].append(perf_counter() - started)
    return {name: Speed(1000 * float(np.median(single[name])), BULK / float(np.median(bulk[name]))) for name in engines}
