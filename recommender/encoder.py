"""A trained model at work: any backbone, the heads on top of it, and the calibration of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.calibration import Calibration
from recommender.embeddings import EmbeddingSpace, require_same_space
from recommender.exports import is_exported_from
from recommender.heads import Heads
from recommender.labels import Hierarchy, LabelSpace
from recommender.modelfolder import ModelFolder
from recommender.ports import Backbone
from recommender.types import DecodedImage, Embedding, Encoding, ModelInfo, Prediction

KEPT = 100
"""How many labels of a space an encoding holds: as many as the largest answer."""


class ModelEncoder:
    """The Encoder of a model folder: labels and embedding come from one pass through the backbone.

    The backbone is the model's own, or an export of it.
    """

    def __init__(self, folder: ModelFolder, backbone: Backbone) -> None:
        if not is_exported_from(backbone.space, folder.space):
            require_same_space(folder.space.fingerprint, backbone.space.fingerprint, f"model {folder.name}")
        self._backbone = backbone
        self._space = folder.stored_space(backbone.space)
        self._projection = folder.projection()
        # Separate heads may contradict each other, and an answer must not.
        self._heads: Heads = folder.heads().consistent()
        self._calibration = folder.calibration
        self._info = ModelInfo(folder.name, folder.space.backbone, backbone.engine, folder.untrained, folder.notice)

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings: projected, where the model projects them."""
        return self._space

    @property
    def info(self) -> ModelInfo:
        """The model's name, as results show it."""
        return self._info

    @property
    def hierarchy(self) -> Hierarchy:
        """The labels that the model knows."""
        return self._heads.hierarchy

    def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
        """Encode each picture, in order. A batch gives what single calls give."""
        features = self._backbone.features(images)
        vectors = self._backbone.space.embed(features)
        probabilities = self._heads.probabilities(vectors if self._heads.reads == "embedding" else features)
        stored = self._projection.of(vectors) if self._projection else vectors
        type_space, character_space, show_space = self.hierarchy.spaces
        fingerprint = self.space.fingerprint
        encodings = []
        for row in range(len(images)):
            types = _best(type_space, probabilities.type[row])
            characters = _best(character_space, probabilities.character[row])
            shows = _best(show_space, probabilities.show[row])
            embedding = Embedding(stored[row], fingerprint)
            encodings.append(Encoding(types, characters, shows, embedding))
        return encodings

    @property
    def calibration(self) -> Calibration:
        """What the model's numbers are worth."""
        return self._calibration


def _best(space: LabelSpace, probabilities: NDArray[np.float64]) -> tuple[Prediction, ...]:
    """Return the labels by falling probability, as many as are kept; equal ones keep the order of the space."""
    order = np.argsort(-probabilities, kind="stable")[:KEPT]
    return tuple(Prediction(space.labels[number], float(probabilities[number])) for number in order)
