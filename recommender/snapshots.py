"""A snapshot: everything that answers are read from, frozen in one folder whose checksums are recorded.

```
snapshots/<id>/
  snapshot.json    id, model and its digest, embedding space, counts, SHA-256 of each other file
  index.json       the index's kind, and how good it is
  index.faiss      the embeddings, in rows; of a large library codes of them, beside vectors.npy and centre.npy
  pictures.npy     the SHA-256 of each row's picture: (n, 32) uint8
  characters.npy   the number of each row's character in roster.json: (n,) int64
  roster.json      shows and characters as the library described them on that day
```

The names are stored here and not only in the catalogue, so that an answer never mixes two days: the catalogue may
already describe the next snapshot while this one is still being served. Not here: how embeddings are made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.embeddings import EmbeddingSpace
from recommender.errors import Corrupt, InvalidQuery, NotFound
from recommender.folders import check_files, sha256, shown, written_aside
from recommender.indexes import EXACT, FILES, MAPPED, kind_of, open_index
from recommender.indexes.building import Former, IndexOptions, build_index
from recommender.indexes.lists import Vectors
from recommender.labels import Hierarchy
from recommender.ports import NeighbourIndex
from recommender.types import TYPE_NAMES, Character, Filters, PictureId, SnapshotInfo

FORMAT = 2
FORMATS = (1, 2)
"""Those that can be read. The first has an exact index and no report; exact ones are still written as such."""
MANIFEST = "snapshot.json"
REMEDY = "run `sokkuri rollback` to serve the one before, or `sokkuri reindex LIBRARY` to build it anew"


@dataclass(frozen=True)
class Snapshot:
    """An open snapshot. Row r is picture `pictures[r]` of `roster.characters[character_of[r]]`."""

    info: SnapshotInfo
    model_digest: str
    index: NeighbourIndex
    pictures: NDArray[np.uint8]
    character_of: NDArray[np.int64]
    roster: Hierarchy

    def picture(self, row: int) -> PictureId:
        """Return the id of a row's picture."""
        return PictureId(self.pictures[row].tobytes().hex())

    def character(self, row: int) -> Character:
        """Return the character of a row's picture."""
        return self.roster.characters[int(self.character_of[row])]

    def row(self, picture: str) -> int | None:
        """Return the row of a picture, or None where it is not in the snapshot."""
        beginnings, rows = self._rows
        try:
            beginning = np.uint64(int(picture[:16], 16))
        except (ValueError, OverflowError):  # whoever asks may ask for anything
            return None
        first = int(np.searchsorted(beginnings, beginning, side="left"))
        after = int(np.searchsorted(beginnings, beginning, side="right"))
        return next((int(row) for row in rows[first:after] if self.picture(row) == picture), None)

    @cached_property
    def _rows(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The first eight bytes of every id as a number, sorted, and the row of each: 16 bytes a picture."""
        beginnings = np.ascontiguousarray(self.pictures[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        rows = np.argsort(beginnings, kind="stable")
        return beginnings[rows], rows

    @cached_property
    def show_of(self) -> NDArray[np.int64]:
        """The number of each row's show in `roster.shows`."""
        return self.roster.show_of[self.character_of]

    @cached_property
    def type_of(self) -> NDArray[np.int64]:
        """The number of each row's type in TYPE_NAMES, or UNTYPED."""
        return self.roster.type_of[self.character_of]

    @cached_property
    def character_sizes(self) -> NDArray[np.int64]:
        """How many pictures each character has."""
        return np.bincount(self.character_of, minlength=len(self.roster.characters)).astype(np.int64)

    @cached_property
    def show_sizes(self) -> NDArray[np.int64]:
        """How many pictures each show has."""
        return np.bincount(self.show_of, minlength=len(self.roster.shows)).astype(np.int64)

    def rows_passing(self, filters: Filters) -> NDArray[np.bool_] | None:
        """Return a mask of the rows that the filters let through, or None where all pass.

        Raises NotFound for a show that is not in the snapshot and InvalidQuery for a type that does not exist.
        """
        if filters == Filters():
            return None
        for show in (filters.show, *filters.exclude_shows):
            if show is not None and show not in self.roster.show_space.positions:
                raise NotFound(f"there is no show {show!r}: GET /api/v1/shows lists them")
        if filters.type is not None and filters.type not in TYPE_NAMES:
            raise InvalidQuery(f"type has to be one of {', '.join(TYPE_NAMES)}, not {filters.type!r}")
        passing = np.array([_passes(character, filters) for character in self.roster.characters], dtype=bool)
        return np.asarray(passing[self.character_of])

    def holds(self, content: SnapshotContent) -> bool:
        """Tell whether a new snapshot has the very same vectors: of one space, for the same pictures, row by row."""
        same_space = self.info.space == content.space.fingerprint
        return same_space and self.pictures.tobytes() == bytes.fromhex("".join(content.pictures))


def _passes(character: Character, filters: Filters) -> bool:
    """Tell whether the filters let a character's pictures through. A show without a year passes no year limit."""
    year = character.show.year
    return (
        (filters.type is None or character.type == filters.type)
        and (filters.show is None or character.show.slug == filters.show)
        and character.show.slug not in filters.exclude_shows
        and (filters.year_from is None or (year is not None and year >= filters.year_from))
        and (filters.year_to is None or (year is not None and year <= filters.year_to))
    )


@dataclass(frozen=True, slots=True)
class SnapshotContent:
    """What a new snapshot is made of. `vectors` are unit length and in the order of `pictures`.

    They are not needed where `index_of` is the folder of a snapshot with the very same ones: its index is shared. With
    nearly the same ones, `former` says whose lists may be kept.
    """

    model: str
    model_digest: str
    space: EmbeddingSpace
    pictures: Sequence[PictureId]
    characters: Sequence[Character]
    vectors: Vectors
    created: str
    index_of: Path | None = None
    index: IndexOptions = field(default_factory=IndexOptions)
    former: Former | None = None


def write_snapshot(folder: Path, content: SnapshotContent, check: Callable[[Path], None]) -> SnapshotInfo:
    """Write a snapshot to `folder`, which must not exist, and return what the catalogue records of it.

    `check` looks at the finished folder before it gets its name; what it raises stops the publication.
    """
    roster = Hierarchy.of(set(content.characters))
    numbers = roster.character_space.positions
    with written_aside(folder) as aside:
        kind = _put_index(content, aside)
        identities = np.frombuffer(bytes.fromhex("".join(content.pictures)), dtype=np.uint8).reshape(-1, 32)
        np.save(aside / "pictures.npy", identities)
        np.save(aside / "characters.npy", np.array([numbers[c.label] for c in content.characters], dtype=np.int64))
        (aside / "roster.json").write_text(json.dumps(roster.to_json(), ensure_ascii=False, indent=1), encoding="utf-8")
        manifest: dict[str, Any] = {
            "format": FORMATS[0] if kind == EXACT else FORMAT,
            "id": folder.name,
            "model": content.model,
            "model_digest": content.model_digest,
            "space": content.space.to_json() | {"fingerprint": content.space.fingerprint},
            "counts": {
                "pictures": len(content.pictures),
                "characters": len(roster.characters),
                "shows": len(roster.shows),
            },
            "created": content.created,
            "files": {file.name: sha256(file) for file in sorted(aside.iterdir())},
        }
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        info = _info(manifest, sha256(aside / MANIFEST))
        check(aside)
    return info


def _put_index(content: SnapshotContent, folder: Path) -> str:
    """Build the index, or share that of a snapshot with the same vectors: files of snapshots never change.

    Returns its kind.
    """
    if content.index_of is None:
        return build_index(folder, content.vectors, content.index, content.former).kind
    for file in (content.index_of / name for name in FILES):
        if not file.exists():
            continue
        try:
            (folder / file.name).hardlink_to(file)
        except OSError:  # this file system has no hard links
            shutil.copyfile(file, folder / file.name)
    return kind_of(folder)


def open_snapshot(folder: Path, digest: str, *, mapped_later: bool = False) -> Snapshot:
    """Open a snapshot whose manifest has the SHA-256 `digest`. Raises Corrupt, naming the file that is not whole.

    `mapped_later` leaves files that are only mapped to `check_mapped`: reading all of them takes seconds.
    """
    manifest = _read_manifest(folder, digest)
    if manifest["format"] not in FORMATS:
        raise Corrupt(f"{shown(folder)} has format {manifest['format']} and this Sokkuri reads {FORMATS}: {REMEDY}")
    later = MAPPED if mapped_later else ()
    check_files(folder, {name: checksum for name, checksum in manifest["files"].items() if name not in later}, REMEDY)
    snapshot = Snapshot(
        info=_info(manifest, digest),
        model_digest=manifest["model_digest"],
        index=open_index(folder),
        pictures=np.load(folder / "pictures.npy", allow_pickle=False),
        character_of=np.load(folder / "characters.npy", allow_pickle=False),
        roster=Hierarchy.from_json(json.loads((folder / "roster.json").read_text(encoding="utf-8"))),
    )
    counts = {len(snapshot.index), len(snapshot.pictures), len(snapshot.character_of), snapshot.info.pictures}
    if len(counts) > 1:
        raise Corrupt(f"{shown(folder)} holds {sorted(counts)} pictures, depending on the file: {REMEDY}")
    return snapshot


def check_mapped(folder: Path, digest: str) -> None:
    """Check what `open_snapshot` left for later. Raises Corrupt, naming the file that is not whole."""
    files = _read_manifest(folder, digest)["files"]
    check_files(folder, {name: files[name] for name in MAPPED if name in files}, REMEDY)


def _read_manifest(folder: Path, digest: str) -> dict[str, Any]:
    """Read what a snapshot says of itself. Raises Corrupt unless it has the SHA-256 `digest`."""
    check_files(folder, {MANIFEST: digest}, REMEDY)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def space_of(folder: Path) -> EmbeddingSpace:
    """Return the space of a snapshot's vectors, without opening it. Raises Corrupt."""
    try:
        fields = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["space"])
        fields.pop("fingerprint")
        return EmbeddingSpace.from_json(fields)
    except (OSError, ValueError, KeyError, TypeError):
        raise Corrupt(f"{shown(folder / MANIFEST)} is damaged: {REMEDY}") from None


def _info(manifest: dict[str, Any], digest: str) -> SnapshotInfo:
    """Return what the catalogue records of the snapshot with this manifest."""
    return SnapshotInfo(
        id=manifest["id"],
        model=manifest["model"],
        space=manifest["space"]["fingerprint"],
        created=manifest["created"],
        digest=digest,
        **manifest["counts"],
    )
