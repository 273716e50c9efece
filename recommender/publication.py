"""What a server holds: the recommender of whatever is published now.

A `Publication` notices a newly published snapshot, opens it aside and swaps one reference, so that a request in
progress keeps what it started with. Not here: how a question is answered (`service`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from recommender.capacity import Capacity
from recommender.catalogue import Catalogue
from recommender.errors import Busy, Corrupt, LabelMismatch, NoSnapshot, SokkuriError
from recommender.folders import check_files
from recommender.homes import lost
from recommender.images import Limits
from recommender.ports import Encoder
from recommender.service import Recommender
from recommender.settings import Settings
from recommender.snapshots import check_mapped, open_snapshot
from recommender.types import SnapshotInfo

RETRY_SECONDS = 30.0
"""How long a snapshot that could not be opened is left alone: every try reads all of its files."""
SHORTEST_POLL = 0.05
"""Seconds between two looks for a new snapshot, whatever the settings say: less would only burn a core."""

logger = logging.getLogger(__name__)


class Publication:
    """The recommender of whatever is published now, for a server: `current()` is as cheap as reading a variable."""

    def __init__(
        self, settings: Settings, open_encoder: Callable[[Settings, SnapshotInfo], Encoder] | None = None
    ) -> None:
        self._settings = settings
        self._open_encoder = open_encoder or self._open_model
        self._catalogue = Catalogue(settings.database_url)
        self.capacity = Capacity.of(settings)
        self._recommender: Recommender | None = None
        self._seen: SnapshotInfo | None = None
        self._failed: SnapshotInfo | None = None
        self._retry_at = 0.0
        self._trouble: SokkuriError | None = None
        self._stopping = threading.Event()
        self._refreshing = threading.Lock()
        self._watcher: threading.Thread | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that the publication is read from."""
        return self._catalogue

    def current(self) -> Recommender:
        """Return the recommender to answer with. Raises what stood in the way of opening one."""
        recommender = self._recommender
        if recommender is None:
            trouble = self._trouble or NoSnapshot("the published snapshot is still being opened: try again in a second")
            # A fresh error each time: raising one object in several threads would tangle their tracebacks.
            raise type(trouble)(str(trouble))
        return recommender

    def refresh(self) -> None:
        """Open what is published now, if it is not open yet. Trouble is kept for `current`.

        A snapshot that could not be opened is tried again when another was published, or after RETRY_SECONDS.
        """
        with self._refreshing:
            try:
                published = self._catalogue.published()
                if published == self._failed and monotonic() < self._retry_at:
                    return
                if published != self._seen or self._recommender is None:
                    if published != self._failed:
                        self._trouble = None  # that of another snapshot: this one is only being opened
                    self._failed, self._retry_at = published, monotonic() + RETRY_SECONDS
                    self._recommender = self._open(published)
                    self._seen = published
                    self._check_mapped(published)
                self._failed = self._trouble = None
            except SokkuriError as error:
                if isinstance(error, Busy):
                    self._failed = None  # nothing is wrong with the snapshot
                self._trouble = self._explained(error)

    def watch(self) -> None:
        """Refresh now and then every `poll_seconds` in a thread of its own, until `close`. Trouble is logged once."""
        self._watcher = threading.Thread(target=self._watch, name="publication", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Stop watching and let go of the catalogue."""
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
        self._catalogue.close()

    def _watch(self) -> None:
        told = ""
        while True:
            try:
                self.refresh()
            except Exception:
                # Nobody foresaw this one. A server that stopped looking would keep to an old snapshot for ever.
                logger.exception("the published snapshot cannot be opened")
            trouble = str(self._trouble or "")
            if trouble and trouble != told:
                logger.warning("%s", trouble)
            told = trouble
            if self._stopping.wait(max(self._settings.poll_seconds, SHORTEST_POLL)):
                return

    def _open(self, published: SnapshotInfo) -> Recommender:
        """Open a snapshot with its model; the model that is open already is used again where it is the same."""
        settings = self._settings
        snapshot = open_snapshot(settings.home / "snapshots" / published.id, published.digest, mapped_later=True)
        open_now = self._recommender
        same = (snapshot.model_digest, snapshot.info.space)
        if open_now and (open_now.snapshot.model_digest, open_now.snapshot.info.space) == same:
            encoder = open_now.encoder
        else:
            expected = self._catalogue.model(published.model).digest
            if snapshot.model_digest != expected:
                raise LabelMismatch(
                    f"snapshot {published.id} was made with another model named {published.model}: "
                    "run `sokkuri reindex LIBRARY`"
                )
            encoder = self._open_encoder(settings, published)
        return Recommender(encoder, snapshot, Limits.of(settings), self.capacity)

    def _explained(self, error: SokkuriError) -> SokkuriError:
        """Return an error, or a truer one: it is not so that nothing was indexed yet where the catalogue is lost."""
        with suppress(SokkuriError):
            return (isinstance(error, NoSnapshot) and lost(self._settings)) or error
        return error

    def _check_mapped(self, published: SnapshotInfo) -> None:
        """Read the files that are only mapped, while requests are answered already. Raises Corrupt; then none is."""
        try:
            check_mapped(self._settings.home / "snapshots" / published.id, published.digest)
        except Corrupt:
            self._recommender = None
            raise

    def _open_model(self, settings: Settings, published: SnapshotInfo) -> Encoder:
        """Open a snapshot's model, unchanged since it was trained, with the very engine of the snapshot's space."""
        from recommender.encoders import open_encoder
        from recommender.modelfolder import MANIFEST, REMEDY

        name = published.model
        check_files(settings.home / "models" / name, {MANIFEST: self._catalogue.model(name).digest}, REMEDY)
        return open_encoder(settings, name, published.space)
