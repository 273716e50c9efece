"""Pruning: what nothing refers to any more is removed. What is served, or could be served by a rollback, stays.

Rows go before files: a run that is killed leaves files that nobody knows of, and the next run finds them. Only where
the disk is so full that the catalogue cannot be written to, the files go first. Not here: pictures that somebody wants
removed (`indexer.collect.forget`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.strangers import refuse_strangers
from recommender.catalogue import Catalogue
from recommender.embeddings import EmbeddingSpace
from recommender.errors import Corrupt, NoRoom
from recommender.exports import FOLDER, MANIFEST, PRECISIONS
from recommender.folders import discard, shown
from recommender.homes import finished
from recommender.modelfolder import MANIFEST as MODEL
from recommender.settings import Settings
from recommender.snapshots import open_snapshot, space_of
from recommender.types import SnapshotInfo

KEPT = 3
"""How many of the newest whole snapshots stay, beside the one that is published."""


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was, or in a dry run would be, removed: snapshots and tables of embeddings by name, thumbnails, bytes.

    `pictures` counts the rows of pictures that left the library and that no snapshot holds any more. `damaged` are
    snapshots that stay, but count for none of the newest: what is wrong with each.
    """

    snapshots: tuple[str, ...]
    embeddings: tuple[str, ...]
    thumbnails: int
    pictures: int
    bytes: int
    dry_run: bool
    damaged: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the report for people."""
        what = "dry run, nothing removed" if self.dry_run else "removed"
        names = [f"snapshot {name}" for name in self.snapshots]
        names += [f"embeddings {name}, which no model and no snapshot uses" for name in self.embeddings]
        summary = (
            f"{what}: {len(self.snapshots)} snapshots, {len(self.embeddings)} tables of embeddings, "
            f"{self.thumbnails} thumbnails, {self.bytes / 1e6:.1f} MB"
        )
        stay = [f"stays, but counts for none of the newest {KEPT}: {what}" for what in self.damaged]
        return "\n".join([summary, *names, *stay])

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self)


def prune(settings: Settings, catalogue: Catalogue, *, dry_run: bool = False) -> PruneReport:
    """Remove what neither the published snapshot, nor the newest whole ones, nor any model needs.

    A damaged snapshot among those stays too, with what it can still be seen to need. Raises Corrupt where the published
    one, or a model, cannot tell what it needs, and UnknownArtefacts where models or snapshots lie there that the
    catalogue does not know: then nothing is removed.
    """
    refuse_strangers(settings, catalogue)
    home = settings.home
    known = catalogue.snapshots()
    whole, damaged = _staying(home, known)
    staying = {*whole, *damaged}
    rows = [info.id for info in known if info.id not in staying]
    snapshots = [path for path in finished(home / "snapshots") if path.name not in staying]
    needed = _spaces(home, whole, damaged)
    tables = [path for path in finished(home / "embeddings") if path.name not in needed]
    held = _pictures(home, whole, damaged)
    thumbnails = _thumbnails(home, held | catalogue.picture_ids())
    former = catalogue.former_picture_ids() - held
    freed = _sizes((*snapshots, *tables)) + sum(file.stat().st_size for file in thumbnails)
    if not dry_run:

        def drop_rows() -> None:
            catalogue.drop_snapshots(rows)
            catalogue.drop_former_pictures(former)

        try:
            drop_rows()
        except NoRoom:
            _remove((*snapshots, *tables), thumbnails)
            drop_rows()
        _remove((*snapshots, *tables), thumbnails)
    return PruneReport(
        snapshots=tuple(sorted({*rows, *(path.name for path in snapshots)})),
        embeddings=tuple(path.name for path in tables),
        thumbnails=len(thumbnails),
        pictures=len(former),
        bytes=freed,
        dry_run=dry_run,
        damaged=tuple(damaged.values()),
    )


def _staying(home: Path, known: Sequence[SnapshotInfo]) -> tuple[list[str], dict[str, str]]:
    """Choose from the newest on until enough whole ones are found: these, and what is wrong with others on the way.

    Whatever is published is among the whole ones, since it is served.
    """
    whole: list[str] = []
    damaged: dict[str, str] = {}
    for info in known:
        if len(whole) < KEPT:
            try:
                open_snapshot(home / "snapshots" / info.id, info.digest)
                whole.append(info.id)
            except Corrupt as error:
                if not info.published:
                    damaged[info.id] = str(error)
    whole += [info.id for info in known if info.published and info.id not in whole]
    return whole, damaged


def _remove(folders: Iterable[Path], files: Iterable[Path]) -> None:
    for folder in folders:
        discard(folder)
    for file in files:
        file.unlink(missing_ok=True)


def _spaces(home: Path, snapshots: Iterable[str], damaged: Iterable[str]) -> set[str]:
    """Return the tables of embeddings that snapshots, models and exports of models need, by name. Raises Corrupt."""
    spaces = [space_of(home / "snapshots" / name) for name in snapshots]
    for name in damaged:
        with suppress(Corrupt):
            spaces.append(space_of(home / "snapshots" / name))
    for folder in finished(home / "models"):
        try:
            spaces.append(_space(folder / MODEL))
        except (OSError, ValueError, KeyError, TypeError):
            raise Corrupt(
                f"{shown(folder / MODEL)} is damaged, and nobody can tell which embeddings it needs: "
                "remove the folder, or restore it"
            ) from None
        for precision in PRECISIONS:
            with suppress(OSError, ValueError, KeyError, TypeError):
                spaces.append(_space(folder / FOLDER / precision / MANIFEST))
    return {space.unprojected.fingerprint for space in spaces}


def _space(manifest: Path) -> EmbeddingSpace:
    """Read the space that a model, or an export of one, says it is of; its other files need not be whole."""
    return EmbeddingSpace.from_json(json.loads(manifest.read_text(encoding="utf-8"))["space"])


def _pictures(home: Path, snapshots: Iterable[str], damaged: Mapping[str, str]) -> set[str]:
    """Return the ids of all pictures that some snapshots hold. Raises Corrupt."""
    held: set[str] = set()
    for name in (*snapshots, *damaged):
        try:
            rows = np.load(home / "snapshots" / name / "pictures.npy", allow_pickle=False)
        except (OSError, ValueError):
            if name in damaged:
                continue
            raise Corrupt(f"snapshots/{name}/pictures.npy is damaged: run `sokkuri verify`") from None
        held.update(row.tobytes().hex() for row in rows)
    return held


def _thumbnails(home: Path, wanted: set[str]) -> list[Path]:
    """Return the thumbnails of other pictures than those, and what a crash left of unfinished ones."""
    found = []
    for folder in finished(home / "thumbnails"):
        with os.scandir(folder) as files:
            found += [Path(file.path) for file in files if file.name.removesuffix(".jpg") not in wanted]
    return found


def _sizes(folders: Iterable[Path]) -> int:
    """Return the bytes that removing some folders frees: a file that another snapshot shares is not freed."""
    files = [file.stat() for folder in folders for file in folder.rglob("*")]
    names = Counter(file.st_ino for file in files)
    return sum(
        file.st_size for file in {file.st_ino: file for file in files}.values() if names[file.st_ino] == file.st_nlink
    )
