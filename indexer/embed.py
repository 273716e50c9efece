"""The embedding table: every picture that ever went through a backbone, one table a space.

```
embeddings/<space>/
  space.json   the EmbeddingSpace (unprojected), so that a table found later can be read
  rows.bin     fixed-size records: SHA-256 of the picture, CRC-32, features in float32
```

What is kept is what the backbone gave: embeddings are made of it when they are read, so that a new projection costs no
forward pass. Records are only ever appended, and each proves itself: after a crash the table ends at the last whole
record. Training, evaluation and reindexing share it, so that no picture goes through the same backbone twice. Not here:
which pictures belong to a library (`indexer.library`), nor how their features are made (`indexer.embedder`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from indexer.checked import CheckedVectors
from indexer.split import Vectors
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, Busy, Corrupt, SpaceMismatch
from recommender.folders import flush, flush_open, make_folder
from recommender.projection import Projection
from recommender.types import Matrix, PictureId

BATCH = 16
"""Records that are appended at once, at the most."""
PROJECTED = 1024
"""Vectors that are projected at once: 16 MB of a network with 4,096 features."""
FLUSHED_EVERY = 256
"""Records after which the table is flushed to the disk: a power cut costs no more than these."""


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """(n, d) vectors that stay in the file until they are asked for: `vectors[rows]` reads some and projects them."""

    mapped: Any
    rows: NDArray[np.int64]
    project: Callable[[Matrix], Matrix]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of vectors and their dimension."""
        return len(self.rows), int(self.mapped.shape[1])

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Matrix:
        return self.project(np.ascontiguousarray(self.mapped[self.rows[index]], dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Projected:
    """(n, d) vectors of length 1, read as what a projection makes of them: (n, m)."""

    vectors: Vectors
    projection: Projection

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of vectors and their dimension once they are projected."""
        return len(self.vectors), self.projection.dimension

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Matrix:
        places = np.arange(len(self))[index]
        found = np.empty((len(places), self.projection.dimension), dtype=np.float32)
        for start in range(0, len(places), PROJECTED):  # what they are made of may be many times as large
            rows = slice(start, start + PROJECTED)
            found[rows] = self.projection.of(self.vectors[places[rows]])
        return found


TABLE = ("space.json", "rows.bin")
"""The files of a table, in the order in which they come into being."""


class EmbeddingTable:
    """Features by picture id, on disk and memory-mapped. One process appends at a time; any number may read."""

    def __init__(self, folder: Path, space: EmbeddingSpace) -> None:
        self._dimension = space.dimension
        self._file = folder / "rows.bin"
        self._record = _record(space.dimension)
        self._lock = FileLock(folder / "lock", timeout=0)
        self._unflushed = 0
        make_folder(folder)
        try:
            self._lock.acquire()
        except Timeout:
            raise Busy(f"another sokkuri is writing to {folder}: wait until it is done") from None
        try:
            _claim(folder / "space.json", space)
            self._repair()
            self._rows = self._numbered()
            self._stream = self._file.open("ab", buffering=0)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def every(cls, home: Path) -> list[EmbeddingSpace]:
        """Return the spaces, unprojected, of which a home has a table. Raises Corrupt."""
        files = sorted((home / "embeddings").glob("*/space.json"))
        return [_space(file) for file in files]

    @classmethod
    def open(cls, home: Path, space: EmbeddingSpace) -> Self:
        """Open the home's table of a space, whatever its projection. Raises Busy where another process writes to it."""
        return cls(_folder(home, space), space.unprojected)

    @classmethod
    def exists(cls, home: Path, space: EmbeddingSpace) -> bool:
        """Tell whether the home has a table of a space already, whatever its projection."""
        return _folder(home, space).exists()

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

    def append(self, pictures: Sequence[PictureId], features: Matrix) -> None:
        """Add a record for each picture. Raises BuildError where the disk does not take it; the table stays whole."""
        records = np.zeros(len(pictures), dtype=self._record)
        records["features"] = features
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

    def remove(self, pictures: Iterable[PictureId]) -> int:
        """Write the table anew without some pictures, and return how many records that took out. Raises BuildError."""
        return self._remove({self._rows[row] for picture in pictures if (row := bytes.fromhex(picture)) in self._rows})

    def remove_damaged(self) -> int:
        """Read every record, write the table anew without the useless ones, and return how many these were.

        Useless is one whose checksum is wrong, and one that a later record of the same picture replaces.
        """
        state = examine(self._file.parent)
        return self._remove({*state.damaged, *state.replaced})

    def _remove(self, gone: Set[int]) -> int:
        """Write the table anew without some rows, and return how many these were. Raises BuildError."""
        if gone:
            self.flush()
            self._write_without(gone)
            self._stream.close()
            self._rows = self._numbered()
            self._stream = self._file.open("ab", buffering=0)
        return len(gone)

    def _write_without(self, gone: Set[int]) -> None:
        aside = self._file.with_suffix(".aside")
        records = self._mapped()
        try:
            with aside.open("wb") as file:
                for first in range(0, len(records), FLUSHED_EVERY):
                    rows = range(first, min(first + FLUSHED_EVERY, len(records)))
                    file.write(records[[row for row in rows if row not in gone]].tobytes())
            flush(aside)
            aside.replace(self._file)
            flush(self._file.parent)
        except OSError as error:
            raise BuildError(f"{aside} cannot be written ({error.strerror}): make room and run it again") from None
        finally:
            aside.unlink(missing_ok=True)

    def flush(self) -> None:
        """Return when every record is on the disk."""
        flush_open(self._stream.fileno(), self._file)
        self._unflushed = 0

    def features(self, pictures: Sequence[PictureId]) -> StoredVectors:
        """Return the features of the pictures, a row for each, in their order. Raises KeyError for an unknown one."""
        rows = np.array([self._rows[bytes.fromhex(picture)] for picture in pictures], dtype=np.int64)
        return StoredVectors(self._mapped()["features"], rows, np.asarray)

    def embeddings(self, pictures: Sequence[PictureId], space: EmbeddingSpace) -> StoredVectors:
        """Return the embeddings of the pictures in `space`, as `features` does. Raises SpaceMismatch, KeyError."""
        self._require(space)
        return replace(self.features(pictures), project=space.embed)

    def checked_embeddings(self, pictures: Sequence[PictureId], space: EmbeddingSpace) -> CheckedVectors:
        """Return what `embeddings` does, with each record's checksum compared as it is read, for what is published."""
        self._require(space)
        name = f"embeddings/{self._file.parent.name}"
        return CheckedVectors(self._mapped(), self.features(pictures).rows, space.embed, name)

    def _require(self, space: EmbeddingSpace) -> None:
        if (space.unprojected.fingerprint, space.dimension) != (self._file.parent.name, self._dimension):
            raise SpaceMismatch(f"{self._file} holds no features of space {space.fingerprint}")

    def close(self) -> None:
        """Flush, and let others write."""
        try:
            self.flush()
        finally:
            self._stream.close()
            self._lock.release()

    def _mapped(self) -> NDArray[Any]:
        return _map(self._file, self._record)

    def _numbered(self) -> dict[bytes, int]:
        """Return the row of each picture: the last one, where it has several."""
        return {identity: row for row, identity in enumerate(_identities(self._mapped()))}

    def _repair(self) -> None:
        """Take out bad records, and no other. Only what was not flushed yet can be bad: that much is checked.

        They mostly end the file, which is cut then; a power cut may also leave good ones behind them.
        """
        if not self._file.exists():
            self._file.touch()
            flush(self._file.parent)
        size = self._record.itemsize
        whole = self._file.stat().st_size // size
        os.truncate(self._file, whole * size)
        bad = _unsound(self._mapped())
        while bad and bad[-1] == whole - 1:
            whole = bad.pop()
        os.truncate(self._file, whole * size)
        if bad:
            self._write_without(set(bad))


@dataclass(frozen=True, slots=True)
class TableState:
    """What a table is found to hold when every byte of it is read.

    `damaged` are the rows whose checksum is wrong, `pictures` the ids of all others, `replaced` those rows of which the
    picture comes again later, and `torn` the bytes after the last whole record, which a crash leaves and the next
    opening cuts.
    """

    space: EmbeddingSpace
    pictures: frozenset[bytes]
    damaged: tuple[int, ...]
    replaced: tuple[int, ...]
    torn: int

    @property
    def repeated(self) -> int:
        """How many records there are of pictures that have another one."""
        return len(self.replaced)


def examine(folder: Path, space: EmbeddingSpace | None = None) -> TableState:
    """Check every record of a table, and change nothing. Raises Corrupt where it does not say what it is of.

    One that has lost its space.json is read as what it would be opened as, the table of `space`.
    """
    if space is None or (folder / "space.json").exists():
        space = _space(folder / "space.json")
    file = folder / "rows.bin"
    length = 32 + 4 + 4 * space.dimension
    records, torn = divmod(file.stat().st_size if file.exists() else 0, length)
    damaged: list[int] = []
    replaced: list[int] = []
    latest: dict[bytes, int] = {}
    if records:
        content = np.memmap(file, dtype=np.uint8, mode="r").data
        for row in range(records):
            record = content[row * length : (row + 1) * length]
            if int.from_bytes(record[32:36], "little") == crc32(record[36:], crc32(record[:32])):
                picture = record[:32].tobytes()
                if picture in latest:
                    replaced.append(latest[picture])
                latest[picture] = row
            else:
                damaged.append(row)
    return TableState(space, frozenset(latest), tuple(damaged), tuple(replaced), torn)


def kept(home: Path, space: EmbeddingSpace, *, every_byte: bool = False) -> Set[bytes]:
    """Return the ids of the pictures that the home's table of a space will hold when it is opened, 32 bytes each.

    Nothing is made, mended or locked. With `every_byte` all of it is read, and what is damaged does not count, as after
    `remove_damaged`. Raises Corrupt or SpaceMismatch, as opening it would.
    """
    folder = _folder(home, space)
    if (folder / "space.json").exists():  # opening the table writes one that is lost
        _require_own(folder / "space.json", space.unprojected)
    if every_byte:
        return examine(folder, space.unprojected).pictures
    records = _map(folder / "rows.bin", _record(space.dimension))
    bad = set(_unsound(records))
    return frozenset(identity for row, identity in enumerate(_identities(records)) if row not in bad)


def _record(dimension: int) -> np.dtype[Any]:
    return np.dtype([("id", np.uint8, 32), ("check", "<u4"), ("features", "<f4", dimension)])


def _map(file: Path, record: np.dtype[Any]) -> NDArray[Any]:
    """Map the whole records of a file; an empty file cannot be mapped."""
    count = file.stat().st_size // record.itemsize if file.exists() else 0
    return np.memmap(file, dtype=record, mode="r", shape=(count,)) if count else np.empty(0, dtype=record)


def _identities(records: NDArray[Any]) -> Iterator[bytes]:
    """Give the id of each row. One string that is cut is many times quicker than a string for each row."""
    identities = records["id"].tobytes()
    return (identities[start : start + 32] for start in range(0, len(identities), 32))


def _unsound(records: NDArray[Any]) -> list[int]:
    """Return the rows whose checksum is wrong of those at the end, which may not have been flushed."""
    tail = range(max(0, len(records) - FLUSHED_EVERY - BATCH), len(records))
    return [row for row in tail if int(records[row]["check"]) != _check(records[row])]


def _check(record: Any) -> int:
    """Return the CRC-32 over the id and the features of a record."""
    return crc32(record["features"].tobytes(), crc32(record["id"].tobytes()))


def _claim(file: Path, space: EmbeddingSpace) -> None:
    """Write down the space of a new table, or make sure that the table is of this space.

    Raises Corrupt or SpaceMismatch.
    """
    if not file.exists():
        aside = file.with_suffix(".aside")
        aside.write_text(json.dumps(space.to_json(), indent=1), encoding="utf-8")
        flush(aside)
        aside.rename(file)
        flush(file.parent)
    _require_own(file, space)


def _require_own(file: Path, space: EmbeddingSpace) -> None:
    """Raise SpaceMismatch unless the table is of this space, or Corrupt where it does not say of which."""
    if _space(file) != space:
        raise SpaceMismatch(f"{file} is of another embedding space: move the folder away and run the same again")


def _folder(home: Path, space: EmbeddingSpace) -> Path:
    return home / "embeddings" / space.unprojected.fingerprint


def _space(file: Path) -> EmbeddingSpace:
    """Read the space of a table."""
    try:
        return EmbeddingSpace.from_json(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise Corrupt(f"{file} is missing: run `sokkuri reindex LIBRARY`, which writes it again") from None
    except (OSError, ValueError, TypeError):
        raise Corrupt(f"{file} is damaged: remove this file alone, and run the same again, which writes it") from None
