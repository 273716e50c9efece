"""The embedding table: every picture that ever went through a backbone, one table a space.

```
embeddings/<space>/
  space.json   the EmbeddingSpace, so that a table found later can be read
  rows.bin     fixed-size records: SHA-256 of the picture, CRC-32, embedding in float32
```

Records are only ever appended, and each proves itself: after a crash the table ends at the last whole record. Training
and reindexing share it, so that no picture goes through the same backbone twice. Not here: which pictures belong to a
library (`indexer.library`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, Busy, Corrupt, SpaceMismatch
from recommender.folders import flush
from recommender.ports import Backbone
from recommender.types import DecodedImage, Matrix, PictureId

BATCH = 16
"""Pictures that are decoded before the backbone is asked."""
BATCH_BYTES = 64_000_000
"""Pixels, in bytes, after which it is asked all the same: a very long strip is larger than it looks."""
FLUSHED_EVERY = 256
"""Records after which the table is flushed to the disk: a power cut costs no more than these."""


class EmbeddingTable:
    """Embeddings by picture id, on disk and memory-mapped. One process appends at a time; any number may read."""

    def __init__(self, folder: Path, space: EmbeddingSpace) -> None:
        self._file = folder / "rows.bin"
        self._record = np.dtype([("id", np.uint8, 32), ("check", "<u4"), ("embedding", "<f4", space.dimension)])
        self._lock = FileLock(folder / "lock", timeout=0)
        self._unflushed = 0
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise Busy(f"another sokkuri is writing to {folder}: wait until it is done") from None
        try:
            _claim(folder / "space.json", space)
            self._repair()
            self._rows = {identity.tobytes(): row for row, identity in enumerate(self._mapped()["id"])}
            self._stream = self._file.open("ab", buffering=0)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def open(cls, home: Path, space: EmbeddingSpace) -> Self:
        """Open the home's table of a space. Raises Busy where another process is writing to it."""
        return cls(home / "embeddings" / space.fingerprint, space)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, picture: PictureId) -> bool:
        return bytes.fromhex(picture) in self._rows

    def append(self, pictures: Sequence[PictureId], embeddings: Matrix) -> None:
        """Add a record for each picture. Raises BuildError where the disk does not take it; the table stays whole."""
        records = np.zeros(len(pictures), dtype=self._record)
        records["embedding"] = embeddings
        for record, picture in zip(records, pictures, strict=True):
            record["id"] = np.frombuffer(bytes.fromhex(picture), dtype=np.uint8)
            record["check"] = _check(record)
        before = self._file.stat().st_size
        try:
            data = memoryview(records.tobytes())
            while data:
                data = data[self._stream.write(data) :]
        except OSError as error:
            os.truncate(self._file, before)
            raise BuildError(f"{self._file} cannot grow ({error.strerror}): make room and run it again") from None
        first = before // self._record.itemsize
        self._rows.update((bytes.fromhex(picture), first + offset) for offset, picture in enumerate(pictures))
        self._unflushed += len(pictures)
        if self._unflushed >= FLUSHED_EVERY:
            self.flush()

    def flush(self) -> None:
        """Return when every record is on the disk."""
        os.fsync(self._stream.fileno())
        self._unflushed = 0

    def embeddings(self, pictures: Sequence[PictureId]) -> Matrix:
        """Return the embeddings of the pictures, a row for each, in their order. Raises KeyError for an unknown one."""
        rows = [self._rows[bytes.fromhex(picture)] for picture in pictures]
        return np.ascontiguousarray(self._mapped()["embedding"][rows], dtype=np.float32)

    def close(self) -> None:
        """Flush, and let others write."""
        try:
            self.flush()
        finally:
            self._stream.close()
            self._lock.release()

    def _mapped(self) -> NDArray[Any]:
        """Map the records from the file; an empty file cannot be mapped."""
        if self._file.stat().st_size == 0:
            return np.empty(0, dtype=self._record)
        return np.memmap(self._file, dtype=self._record, mode="r")

    def _repair(self) -> None:
        """Cut the file before its first bad record. Only what was not flushed yet can be bad: that much is checked."""
        self._file.touch()
        size = self._record.itemsize
        whole = self._file.stat().st_size // size
        os.truncate(self._file, whole * size)
        records = self._mapped()
        for row in range(max(0, whole - FLUSHED_EVERY - BATCH), whole):
            if int(records[row]["check"]) != _check(records[row]):
                os.truncate(self._file, row * size)
                return


def _check(record: Any) -> int:
    """Return the CRC-32 over the id and the embedding of a record."""
    return crc32(record["embedding"].tobytes(), crc32(record["id"].tobytes()))


def _claim(file: Path, space: EmbeddingSpace) -> None:
    """Write down the space of a new table, or make sure that the table is of this space.

    Raises Corrupt or SpaceMismatch.
    """
    if not file.exists():
        aside = file.with_suffix(".aside")
        aside.write_text(json.dumps(space.to_json(), indent=1), encoding="utf-8")
        flush(aside)
        aside.rename(file)
    try:
        found = EmbeddingSpace.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise Corrupt(f"{file} is damaged: move the folder away and run the same again") from None
    if found != space:
        raise SpaceMismatch(f"{file} is of another embedding space: move the folder away and run the same again")


class Embedder:
    """Feeds decoded pictures to the backbone in batches, unless the table has them already."""

    def __init__(self, backbone: Backbone, table: EmbeddingTable) -> None:
        self._backbone = backbone
        self._table = table
        self._waiting: list[DecodedImage] = []
        self._waiting_bytes = 0
        self.embedded = 0

    def add(self, image: DecodedImage) -> None:
        """Take a picture; its embedding stands in the table after the next full batch or `finish`."""
        if image.id in self._table or any(image.id == waiting.id for waiting in self._waiting):
            return
        self._waiting.append(image)
        self._waiting_bytes += image.pixels.nbytes
        if len(self._waiting) == BATCH or self._waiting_bytes >= BATCH_BYTES:
            self.finish()

    def finish(self) -> None:
        """Embed what is still waiting."""
        if self._waiting:
            pictures = [image.id for image in self._waiting]
            self._table.append(pictures, self._backbone.space.embed(self._backbone.features(self._waiting)))
            self.embedded += len(pictures)
            self._waiting, self._waiting_bytes = [], 0
