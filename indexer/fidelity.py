"""Fidelity: whether an engine gives the answers of the one that it stands for. Measured on pictures, not believed.

Not here: how the engine was made (`conversion`), nor what becomes of it (`export`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any, Self

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
SINGLES, BULKS = 7, 5
"""How often a single picture, and many at once, are timed at least; the median counts."""
WARM = 2
"""How often an engine sees so many pictures before it is timed: torch takes up to twice as long for the first two."""
MOST_ROUNDS = 21
"""How often at most, where networks are so small that a moment of other work would decide."""
BULK = 16
"""Pictures at once."""


@dataclass(frozen=True, slots=True)
class Exam:
    """What engines are examined on: pictures, the number of each one's character, and the heads that judge them.

    `features` (n, d) are those of the engine that others have to agree with; `projection` is what the model projects
    embeddings by before they are compared, if it does. `gallery` (m, d) are its features of further pictures, among
    which, and each other, the pictures look for their nearest.
    """

    pictures: Sequence[DecodedImage]
    characters: NDArray[np.int64]
    heads: Heads
    space: EmbeddingSpace
    features: Matrix
    projection: Projection | None = None
    gallery: Matrix | None = None

    def compared(self, features: Matrix) -> Matrix:
        """Return the embeddings that are stored and searched of an (n, d) matrix of features."""
        embeddings = self.space.embed(features)
        return self.projection.of(embeddings) if self.projection else embeddings


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far an engine agrees with another on `pictures` pictures.

    `agreement` is the share of them with the same best label, by label space, `cosine` the mean cosine of their
    embeddings, `overlap` the share of the ten nearest pictures that are the same, `gained` the percentage points of
    accuracy that are gained (negative: lost), None where no picture has such a label. Nearest are looked for among the
    other pictures and `gallery` further ones.
    """

    pictures: int
    agreement: Mapping[str, float]
    cosine: float
    overlap: float
    gained: Mapping[str, float | None]
    gallery: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises KeyError, TypeError, ValueError, AttributeError or OverflowError."""
        agreement, gained = dict(fields["agreement"].items()), dict(fields["gained"].items())
        if not agreement.keys() | gained.keys() <= set(SPACES):
            raise ValueError("no such label space")
        return cls(
            pictures=int(fields["pictures"]),
            agreement={space: float(share) for space, share in agreement.items()},
            cosine=float(fields["cosine"]),
            overlap=float(fields["overlap"]),
            gained={space: None if points is None else float(points) for space, points in gained.items()},
            gallery=int(fields.get("gallery", 0)),  # those that were made earlier had none
        )

    @property
    def shortfall(self) -> str:
        """Name the first figure that is below the gate, with its bound; nothing where all pass. NaN never does."""
        # Each is asked whether it passes: NaN is neither below a bound nor above it.
        for space, share in self.agreement.items():
            if not share >= LEAST_AGREEMENT:
                return f"the best {space} is the same for {share:.3f} of the pictures (at least {LEAST_AGREEMENT})"
        if not self.cosine >= LEAST_COSINE:
            return f"the mean cosine of the embeddings is {self.cosine:.4f} (at least {LEAST_COSINE})"
        if not self.overlap >= LEAST_OVERLAP:
            return (
                f"{self.overlap:.3f} of the {NEAREST} nearest among {self.among} pictures are the same "
                f"(at least {LEAST_OVERLAP})"
            )
        for space, points in self.gained.items():
            if points is not None and not points >= -MOST_LOST:
                return f"the accuracy of {space} changes by {points:.2f} points (at least -{MOST_LOST})"
        return ""

    @property
    def among(self) -> int:
        """How many pictures the nearest of each one are looked for among."""
        return self.pictures + self.gallery - 1

    def to_text(self) -> str:
        """Return the figures for people, in one line."""
        same = ", ".join(f"{space} {share:.3f}" for space, share in self.agreement.items())
        change = ", ".join(f"{space} {points:+.2f}" for space, points in self.gained.items() if points is not None)
        return (
            f"same best label: {same}; cosine {self.cosine:.4f}; {NEAREST} nearest among {self.among} "
            f"{self.overlap:.3f}; "
            f"accuracy (points): {change}; {self.pictures} pictures"
        )


def compare(exam: Exam, features: Matrix) -> Fidelity:
    """Compare the (n, d) features that an engine gives of the exam's pictures with those that it should give.

    The pictures look for their nearest among each other: `widened` lets them look further.
    """
    expected, found = exam.space.embed(exam.features), exam.space.embed(features)
    reads = exam.heads.reads == "embedding"
    said = [exam.heads.probabilities(matrix) for matrix in ((expected, found) if reads else (exam.features, features))]
    expected, found = exam.compared(exam.features), exam.compared(features)
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


def widened(exam: Exam, fidelity: Fidelity, features: Matrix, gallery: Matrix) -> Fidelity:
    """Return what `compare` found of (n, d) features, but for an overlap that is counted among the gallery as well.

    `gallery` (m, d) is what the engine makes of the gallery's pictures, in their order.
    """
    if exam.gallery is None:
        return fidelity
    expected, found = (np.concatenate(pair) for pair in ((exam.features, exam.gallery), (features, gallery)))
    wide = overlap(exam.compared(expected), exam.compared(found), queries=len(features))
    return replace(fidelity, overlap=wide, gallery=len(gallery))


def overlap(expected: Matrix, found: Matrix, queries: int | None = None) -> float:
    """Return the share of a picture's ten nearest others that are the same among (n, d) unit vectors of both kinds.

    It is the mean over the first `queries` pictures, or all. Of fewer than eleven pictures all others are near; of
    fewer than two, nothing can be lost.
    """
    count = min(NEAREST, len(expected) - 1)
    if count < 1:
        return 1.0
    near = []
    for vectors in (expected, found):
        cosine = vectors[:queries] @ vectors.T
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

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises KeyError, TypeError, ValueError or OverflowError."""
        return cls(float(fields["single_ms"]), float(fields["bulk_per_second"]))


@dataclass(frozen=True, slots=True)
class Race:
    """The seconds that engines took, round after round: for a single picture, and for BULK at once."""

    single: Mapping[str, Sequence[float]]
    bulk: Mapping[str, Sequence[float]]

    def speed(self, name: str) -> Speed:
        """Return the medians of an engine."""
        return Speed(1000 * float(np.median(self.single[name])), BULK / float(np.median(self.bulk[name])))

    def bulk_over(self, name: str, other: str) -> float:
        """Return how many times as many pictures a second an engine takes as another: the median of all rounds."""
        return float(np.median(_ratios(self.bulk, name, other)))

    def single_over(self, name: str, other: str) -> float:
        """Return how many times as fast an engine takes a single picture as another: the median of all rounds."""
        return float(np.median(_ratios(self.single, name, other)))

    def spread(self, name: str, other: str) -> float:
        """Return by what share rounds in bulk disagree on `bulk_over`: from the lower quartile to the upper one."""
        low, middle, high = np.percentile(_ratios(self.bulk, name, other), [25, 50, 75])
        return float((high - low) / middle)


def _ratios(taken: Mapping[str, Sequence[float]], name: str, other: str) -> NDArray[np.float64]:
    """Compare two engines in each round: what slows both leaves the ratio as it is."""
    ratios: NDArray[np.float64] = np.array(taken[other]) / np.array(taken[name])
    return ratios


def race(
    engines: Mapping[str, Backbone],
    pictures: Sequence[DecodedImage],
    singles: int = SINGLES,
    bulks: int = BULKS,
    seconds: float = 0.0,
) -> Race:
    """Time engines in turn, round after round, so that what else the machine does falls on all.

    There are at least so many rounds, and more until they have taken `seconds`, of each kind; MOST_ROUNDS at most.
    """
    many = [pictures[number % len(pictures)] for number in range(BULK)]
    single: dict[str, list[float]] = {name: [] for name in engines}
    bulk: dict[str, list[float]] = {name: [] for name in engines}
    for least, batch, taken in ((singles, many[:1], single), (bulks, many, bulk)):
        for _ in range(WARM):
            for engine in engines.values():
                engine.features(batch)
        began, rounds = perf_counter(), 0
        while rounds < least or (rounds < MOST_ROUNDS and perf_counter() - began < seconds):
            rounds += 1
            for name, engine in engines.items():
                started = perf_counter()
                engine.features(batch)
                taken[name].append(perf_counter() - started)
    return Race(single, bulk)
