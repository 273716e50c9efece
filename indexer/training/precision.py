"""The precision of the feature cache: the fastest one that keeps the results.

Sixteen bits are half the work where the processor computes with them, and change features in the third digit. Whether
that changes an answer is measured on pictures of the library, not believed. Not here: how features are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recommender.encoders.torch_encoder import Precision, TorchBackbone, computes_bfloat16
from recommender.types import DecodedImage

SAMPLE = 32
"""Pictures that both precisions are compared on."""
LEAST_COSINE = 0.999
"""The least cosine between a picture's embeddings in both precisions. Neighbours of real pictures lie farther apart."""
LEAST_AGREEMENT = 0.95
"""How many of the pictures must have the same nearest picture in both."""


def choose_precision(build: Callable[[Precision], TorchBackbone], pictures: Sequence[DecodedImage]) -> Precision:
    """Return bfloat16 where the processor computes with it and the pictures' embeddings stay what they are."""
    if not computes_bfloat16() or not pictures:
        return "float32"
    return "bfloat16" if keeps_results(build("float32"), build("bfloat16"), pictures) else "float32"


def keeps_results(exact: TorchBackbone, faster: TorchBackbone, pictures: Sequence[DecodedImage]) -> bool:
    """Tell whether embeddings of the faster backbone may stand for those of the exact one."""
    one, other = (backbone.space.embed(backbone.features(pictures)) for backbone in (exact, faster))
    cosines = np.einsum("nd,nd->n", one, other)
    if len(pictures) == 1:
        return bool(cosines.min() >= LEAST_COSINE)
    nearest = [np.argmax(vectors @ vectors.T - 2 * np.eye(len(vectors)), axis=1) for vectors in (one, other)]
    return bool(cosines.min() >= LEAST_COSINE and np.mean(nearest[0] == nearest[1]) >= LEAST_AGREEMENT)
