"""An Encoder that needs no weights: its vectors are colours, so that a test can see which pictures are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recommender.calibration import LEVELS, Calibration, Certainty
from recommender.embeddings import EmbeddingSpace, unit_length
from recommender.heads import Heads
from recommender.labels import Hierarchy, LabelSpace
from recommender.types import Character, DecodedImage, Embedding, Encoding, Matrix, ModelInfo, Prediction, Vector

SPACE = EmbeddingSpace("fake", weights="none", layer="colours", preprocessing="grid2", dimension=12)
SURE = Calibration(certainty=dict.fromkeys(LEVELS, Certainty(threshold=0.6)))


class FakeEncoder:
    """Knows a character by the colours of one example: probability rises with the cosine to it."""

    def __init__(self, examples: Mapping[Character, DecodedImage], notice: str = "") -> None:
        self.space = SPACE
        self.info = ModelInfo("fake", "fake", "fake-float32", untrained=bool(notice), notice=notice)
        self.calibration = SURE
        self.hierarchy = Hierarchy.of(examples)
        weights = {space.name: np.zeros((len(space), SPACE.dimension), np.float32) for space in self.hierarchy.spaces}
        weights["character"] = 20 * np.stack([colours(examples[one]) for one in self.hierarchy.characters])
        biases: dict[str, Matrix] = {name: np.zeros(len(rows), np.float32) for name, rows in weights.items()}
        self._heads = Heads(self.hierarchy, weights, biases)

    def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
        """Encode each picture, in order."""
        return [self._encode(colours(image)) for image in images]

    def _encode(self, vector: Vector) -> Encoding:
        found = self._heads.probabilities(vector[np.newaxis])
        spaces = zip(self.hierarchy.spaces, (found.type, found.character, found.show), strict=True)
        types, characters, shows = (_ranked(space, rows[0].tolist()) for space, rows in spaces)
        return Encoding(types, characters, shows, Embedding(vector, SPACE.fingerprint))


def colours(image: DecodedImage) -> Vector:
    """Return the mean colour of each quarter of a picture as one vector of length 1, shape (12,)."""
    halves = np.array_split(image.pixels.astype(np.float32), 2, axis=0)
    quarters = [quarter for half in halves for quarter in np.array_split(half, 2, axis=1)]
    means = np.concatenate([quarter.mean(axis=(0, 1)) if quarter.size else np.zeros(3) for quarter in quarters])
    return unit_length((means - 120).astype(np.float32))


def _ranked(space: LabelSpace, probabilities: Sequence[float]) -> tuple[Prediction, ...]:
    pairs = zip(space.labels, probabilities, strict=True)
    return tuple(sorted((Prediction(*pair) for pair in pairs), key=lambda one: -one.probability))
