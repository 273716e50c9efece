"""What a network learns from, in batches: pictures become its inputs on threads that are a little ahead of it.

Not here: where pictures are kept and how they are decoded, which a `PictureSource` knows, and what is learnt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from indexer.views import augmented
from recommender.images import Preprocessing, prepare
from recommender.labels import Hierarchy
from recommender.types import DecodedImage

DECODERS = 2
"""Threads that read pictures while the network computes."""
AHEAD = 3
"""Batches that they may be ahead by."""


class PictureSource(Protocol):
    """Pictures by row, decoded when they are asked for, by several threads at once."""

    @property
    def characters(self) -> NDArray[np.int64]:
        """The class number of each picture's character."""

    def __len__(self) -> int: ...

    def picture(self, row: int) -> DecodedImage:
        """Decode the picture of a row."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is learnt from: the labels, how a picture becomes the network's input, and two parts of the library."""

    hierarchy: Hierarchy
    preprocessing: Preprocessing
    training: PictureSource
    validation: PictureSource


@dataclass(frozen=True, slots=True)
class Reader:
    """Makes batches of the network's inputs, with threads that are a little ahead of it."""

    preprocessing: Preprocessing
    batch: int
    kind: str

    def plain(self, source: PictureSource, rows: NDArray[np.int64]) -> Generator[tuple[Tensor, Tensor]]:
        """Yield inputs and characters of each batch of rows, in order: the pictures as they are."""
        return self._batches(source, rows, lambda image: image)

    def views(self, source: PictureSource, rows: NDArray[np.int64], epoch: int) -> Generator[tuple[Tensor, Tensor]]:
        """Yield inputs and characters of each batch of rows, in order: an epoch's random views of the pictures."""
        return self._batches(source, rows, lambda image: augmented(image, epoch))

    def _batches(
        self, source: PictureSource, rows: NDArray[np.int64], see: Callable[[DecodedImage], DecodedImage]
    ) -> Generator[tuple[Tensor, Tensor]]:
        def made(row: int) -> NDArray[np.float32]:
            return prepare(see(source.picture(row)), self.preprocessing)

        # Each thread computes on one core: with all of them it would be in the network's way.
        pool = ThreadPoolExecutor(DECODERS, "pictures", torch.set_num_threads, (1,))
        batches = deque(rows[start : start + self.batch] for start in range(0, len(rows), self.batch))
        begun: deque[tuple[NDArray[np.int64], list[Future[NDArray[np.float32]]]]] = deque()
        try:
            while batches or begun:
                while batches and len(begun) <= AHEAD:
                    begun.append((batches[0], [pool.submit(made, int(row)) for row in batches.popleft()]))
                chosen, inputs = begun.popleft()
                planes = torch.from_numpy(np.stack([each.result() for each in inputs]))
                characters = torch.from_numpy(source.characters[chosen])
                yield planes.to(self.kind, memory_format=torch.channels_last), characters.to(self.kind)
        finally:
            pool.shutdown(cancel_futures=True)
