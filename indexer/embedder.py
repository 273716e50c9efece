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
from indexer.progress import turn_to
from recommender.ports import Backbone
from recommender.types import DecodedImage, PictureId

BATCH_BYTES = 64_000_000
"""Pixels, in bytes, after which the backbone is asked though no batch is full: a long strip is larger than it looks."""

LOADING = "loading"
"""The stage in which pictures wait for the backbone to be loaded."""
EMBEDDING = "embedding"
"""The stage in which pictures are embedded while others are read."""


class Embedder:
    """Feeds decoded pictures to the backbone in batches, unless the table has them already.

    One batch is embedded and appended while the next one is decoded: use it as a context, which ends when the last one
    stands in the table. `embedded` counts pictures, and `seconds` are those that the backbone and the table took for
    them, `loading_seconds` those before, from the first picture until the backbone was ready.
    """

    def __init__(self, backbone: Backbone, table: EmbeddingTable) -> None:
        self._backbone = backbone
        self._table = table
        self._waiting: dict[PictureId, DecodedImage] = {}
        self._waiting_bytes = 0
        self._running: Future[None] | None = None
        self._runs: Set[PictureId] = frozenset()
        self._loading: Future[None] | None = None
        self._stage = ""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self.embedded = 0
        self.seconds = 0.0
        self.loading_seconds = 0.0

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
        if self._loading is None:
            self._loading = self._worker.submit(self._load)
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
            if self._loading and self._loading.done():
                self._tell(EMBEDDING)

    def _settle(self) -> None:
        """Wait for the batch that is being embedded, and for the backbone before that."""
        running, self._running = self._running, None
        if running and self._loading:
            if not self._loading.done():
                self._tell(LOADING)
            self._loading.result()
            self._tell(EMBEDDING)
            running.result()

    def _tell(self, stage: str) -> None:
        """Tell whoever listens to this thread what it waits for; what is counted are pictures, as before."""
        if stage != self._stage:
            self._stage = stage
            turn_to(stage)

    def _load(self) -> None:
        started = perf_counter()
        self._backbone.make_ready()
        self.loading_seconds = perf_counter() - started

    def _embed(self, batch: Sequence[DecodedImage]) -> None:
        if self._loading:
            self._loading.result()  # it has ended before; where it failed, this must not try again
        started = perf_counter()
        self._table.append([image.id for image in batch], self._backbone.features(batch))
        self.embedded += len(batch)
        self.seconds += perf_counter() - started
