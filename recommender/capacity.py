"""What all questions of a process share: the line before the model, and what was made of the latest pictures.

It outlives the snapshots, so that its bounds hold while one is exchanged for another. A picture itself is never kept:
the key is the digest of its bytes, and the value what one forward pass said of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple, Self

from recommender.gate import Gate
from recommender.processor import available_cores
from recommender.settings import Settings
from recommender.types import Encoding, PictureId


class EncodingKey(NamedTuple):
    """What an encoding depends on: the picture's bytes, the model (its heads too), and the space of the engine."""

    picture: PictureId
    model: str
    space: str


class Encodings:
    """The encodings of the latest `most` pictures, in memory alone; who was not asked for the longest is dropped."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[EncodingKey, Encoding] = OrderedDict()
        self._changing = threading.Lock()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: EncodingKey) -> Encoding | None:
        """Return what is known of a picture, or None."""
        with self._changing:
            found = self._kept.get(key)
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
                self._kept.move_to_end(key)
            return found

    def sent_meanwhile(self, key: EncodingKey) -> Encoding | None:
        """Return what became known of a picture while somebody who was told None waited: that was no miss then."""
        with self._changing:
            found = self._kept.get(key)
            if found is not None:
                self.hits += 1
                self.misses -= 1
                self._kept.move_to_end(key)
            return found

    def keep(self, key: EncodingKey, encoding: Encoding) -> None:
        """Keep an encoding, in the place of the one that was not asked for the longest."""
        with self._changing:
            self._kept[key] = encoding
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


class Capacity:
    """The bounds of one process. `working` lets pictures in, `encoding` lets them to the network.

    One forward pass uses every core, and a second beside it would only slow both, so the network computes one by one.
    The next picture is made ready meanwhile, and follows at once; on a graphics card, as many as there are cores to
    make them ready go through the network together. One more is decoded, and no further one: decoded they take some
    megabytes.
    """

    def __init__(self, waiting: int = 32, encodings: int = 0) -> None:
        cores = available_cores()
        self.working = Gate(cores + 1, waiting)
        self.encoding = Gate(max(2, cores), cores + 1 + waiting)
        self.encodings = Encodings(encodings)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the bounds from the settings."""
        return cls(settings.queue, settings.cache)
