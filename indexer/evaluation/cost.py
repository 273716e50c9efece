"""What a forward pass costs: time for one picture and in bulk, and the size of the weights."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from recommender.encoders.torch_encoder import TorchBackbone
from recommender.modelfolder import BACKBONE, ModelFolder
from recommender.types import DecodedImage, PictureId

SINGLE = 12
"""Single pictures whose latency is measured."""
SIDE = 448
"""Their side, in pixels: that of a decoded photograph."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds for one picture (median), pictures a second in bulk, and the weights in megabytes.

    `resident_mb` is the most that this process ever held, torch and all that it did before included.
    """

    single_ms: float
    bulk_per_second: float
    weights_mb: float
    resident_mb: float

    def to_json(self) -> dict[str, float]:
        """Return the fields as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure_cost(model: ModelFolder, backbone: TorchBackbone) -> Cost:
    """Time a backbone, preprocessing included, on noise: what a picture shows does not change how long it takes."""
    draw = np.random.default_rng(0)
    pictures = [
        DecodedImage(PictureId("0" * 64), draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), "PNG", SIDE, SIDE)
        for _ in range(SINGLE)
    ]
    backbone.features(pictures[:1])
    single = []
    for picture in pictures:
        started = perf_counter()
        backbone.features([picture])
        single.append(perf_counter() - started)
    started = perf_counter()
    backbone.features(pictures)
    return Cost(
        single_ms=1000 * float(np.median(single)),
        bulk_per_second=len(pictures) / (perf_counter() - started),
        weights_mb=(model.path / BACKBONE).stat().st_size / 1e6,
        resident_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    )
