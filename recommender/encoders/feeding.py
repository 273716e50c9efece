"""Feeding a network: pictures are made ready on every core, and the next ones while it computes.

Resizing a picture takes a tenth of what VGG19 in 8 bits takes for it, so whoever does it on one core, before each
forward pass, leaves the other core idle. Not here: how a picture is made ready (`images`), what computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from recommender.images import Preprocessing, prepare
from recommender.processor import available_cores
from recommender.types import DecodedImage, Matrix

PIXELS = 4 * 224 * 224
"""Pixels in one forward pass: four pictures of the usual size. On two cores larger batches are no faster by OpenVINO,
and slower by torch, since their maps no longer fit the cache."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Pictures that are ready, and where their features will be."""

    inputs: Matrix
    features: Future[Matrix] = field(default_factory=Future)


class Feeder:
    """Feeds a network with batches, from any number of threads; one forward pass runs at a time, in one thread.

    What a network computes with, OpenMP's team of threads or OpenVINO's buffers, is kept for every thread that ever
    called it: with the fifty of a server that were hundreds of megabytes, and cold ones. So all calls come from one.

    A forward pass holds at most `pixels`. With `merging`, what waits for one is computed together: that pays on a
    graphics card, which a single picture leaves idle, and nowhere else.
    """

    def __init__(
        self,
        forward: Callable[[Matrix], Matrix],
        preprocessing: Preprocessing,
        dimension: int,
        pixels: int = PIXELS,
        *,
        merging: bool = False,
    ) -> None:
        self._forward = forward
        self._preprocessing = preprocessing
        self._dimension = dimension
        self._batch = max(1, pixels // preprocessing.size**2)
        self._merging = merging
        self._line: deque[_Asked] = deque()
        self._caller = ThreadPoolExecutor(1, thread_name_prefix="forward")
        self._readers = ThreadPoolExecutor(available_cores(), thread_name_prefix="prepare")

    @property
    def waiting(self) -> int:
        """How many batches are ready and wait for the network."""
        return len(self._line)

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return an (n, dimension) float32 matrix, a row for each picture, in the order of the pictures."""
        rows = np.empty((len(images), self._dimension), dtype=np.float32)
        running: tuple[slice, Future[Matrix]] | None = None
        for start in range(0, len(images), self._batch):
            place = slice(start, min(start + self._batch, len(images)))
            asked = _Asked(self._ready(images[place]))
            if running:
                rows[running[0]] = running[1].result()
            self._line.append(asked)
            self._caller.submit(self._compute)
            running = place, asked.features
        if running:
            rows[running[0]] = running[1].result()
        return rows

    def _compute(self) -> None:
        """Run the network once: on what was asked for first, and with `merging` on what came right behind it."""
        if not self._line:
            return  # it was computed together with what came before
        together = [self._line.popleft()]
        room = self._batch - len(together[0].inputs)
        while self._merging and self._line and len(self._line[0].inputs) <= room:
            together.append(self._line.popleft())
            room -= len(together[-1].inputs)
        try:
            inputs = [asked.inputs for asked in together]
            rows = self._forward(inputs[0] if len(inputs) == 1 else np.concatenate(inputs))
        except BaseException as error:  # noqa: BLE001 - it belongs to those who asked, and they raise it
            for asked in together:
                asked.features.set_exception(error)
            return
        for asked in together:
            asked.features.set_result(rows[: len(asked.inputs)])
            rows = rows[len(asked.inputs) :]

    def _ready(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return pictures as the network takes them: (n, 3, size, size). A single one is not worth another thread."""
        if len(images) == 1:
            return prepare(images[0], self._preprocessing)[np.newaxis]
        return np.stack(list(self._readers.map(self._prepare, images)))

    def _prepare(self, image: DecodedImage) -> Matrix:
        return prepare(image, self._preprocessing)
