"""What puts pictures through a backbone and into the table of embeddings, in batches, beside whoever decodes them.

Not here: the table (`indexer.embed`), and which pictures there are (`indexer.library`).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from types import TracebackType
from typing import Self

from indexer.embed import BATCH, EmbeddingTable
from recommender.ports import Backbone
from recommender.types import DecodedImage, PictureId

BATCH_BYTES = 64_000_000
"""Pixels, in bytes, after which the backbone is asked though no batch is full: a long strip is larger than it looks."""


class Embedder:
    """Feeds decoded pictures to the backbone in batches, unless the table has them already.

    One batch is embedded and appended while the next one is decoded: use it as a context, which ends when the last one
    stands in the table. `embedded` counts pictures, and `seconds` are those that the backbone and the table took.
    """

    def __init__(self, backbone: Backbone, table: EmbeddingTable) -> None:
        self._backbone = backbone
        self._table = table
        self._waiting: dict[PictureId, DecodedImage] = {}
        self._waiting_bytes = 0
        self._running: Future[None] | None = None
        self._runs: Set[PictureId] = frozenset()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self.embedded = 0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error, the table must not be closed under the batch that is being appended.
        try:
            if kind is None:
                self.finish()
        finally:
            self._worker.shutdown(wait=True)

    def wants(self, picture: PictureId) -> bool:
        """Tell whether the picture has yet to go through the backbone."""
        return picture not in self._waiting and picture not in self._runs and picture not in self._table

    def add(self, image: DecodedImage) -> None:
        """Take a picture; its features stand in the table some batches later, at the latest after `finish`."""
        if not self.wants(image.id):
            return
        self._waiting[image.id] = image
        self._waiting_bytes += image.pixels.nbytes
        if len(self._waiting) == BATCH or self._waiting_bytes >= BATCH_BYTES:
            self._send()

    def finish(self) -> None:
        """Return when everything that was added stands in the table. Raises what the backbone or the table raised."""
        self._send()
        self._settle()

    def _send(self) -> None:
        """Have what is waiting embedded, once the batch before is."""
        self._settle()
        if self._waiting:
            batch, self._waiting, self._waiting_bytes = self._waiting, {}, 0
            self._runs = batch.keys()
            self._running = self._worker.submit(self._embed, list(batch.values()))

    def _settle(self) -> None:
        """Wait for the batch that is being embedded."""
        running, self._running = self._running, None
        if running:
            running.result()

    def _embed(self, batch: Sequence[DecodedImage]) -> None:
        started = perf_counter()
        self._table.append([image.id for image in batch], self._backbone.features(batch))
        self.embedded += len(batch)
        self.seconds += perf_counter() - started
