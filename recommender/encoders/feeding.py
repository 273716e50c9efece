"""Feeding a network: pictures are made ready on every core, and the next ones while it computes.

Resizing a picture takes a tenth of what VGG19 in 8 bits takes for it, so whoever does it on one core, before each
forward pass, leaves the other core idle. Not here: how a picture is made ready (`images`), what computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from recommender.images import Preprocessing, prepare
from recommender.processor import available_cores
from recommender.types import DecodedImage, Matrix

PIXELS = 4 * 224 * 224
"""Pixels in one forward pass: four pictures of the usual size. On two cores larger batches are no faster by OpenVINO,
and slower by torch, since their maps no longer fit the cache."""


class Feeder:
    """Feeds a network with batches, from any number of threads; one forward pass runs at a time, in one thread.

    What a network computes with, OpenMP's team of threads or OpenVINO's buffers, is kept for every thread that ever
    called it: with the fifty of a server that were hundreds of megabytes, and cold ones. So all calls come from one.
    """

    def __init__(self, forward: Callable[[Matrix], Matrix], preprocessing: Preprocessing, dimension: int) -> None:
        self._forward = forward
        self._preprocessing = preprocessing
        self._dimension = dimension
        self._batch = max(1, PIXELS // preprocessing.size**2)
        self._caller = ThreadPoolExecutor(1, thread_name_prefix="forward")
        self._readers = ThreadPoolExecutor(available_cores(), thread_name_prefix="prepare")

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return an (n, dimension) float32 matrix, a row for each picture, in the order of the pictures."""
        rows = np.empty((len(images), self._dimension), dtype=np.float32)
        running: tuple[slice, Future[Matrix]] | None = None
        for start in range(0, len(images), self._batch):
            place = slice(start, min(start + self._batch, len(images)))
            inputs = self._ready(images[place])
            if running:
                rows[running[0]] = running[1].result()
            running = place, self._caller.submit(self._forward, inputs)
        if running:
            rows[running[0]] = running[1].result()
        return rows

    def _ready(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return pictures as the network takes them: (n, 3, size, size). A single one is not worth another thread."""
        if len(images) == 1:
            return prepare(images[0], self._preprocessing)[np.newaxis]
        return np.stack(list(self._readers.map(self._prepare, images)))

    def _prepare(self, image: DecodedImage) -> Matrix:
        return prepare(image, self._preprocessing)
