"""Whether everything that is kept is what it should be: every checksum, every count, and a sample embedded again.

Nothing is changed. What is wrong becomes a finding, one line each, which says what to do; the next thing is looked at
all the same. Not here: how a snapshot or a table is checked (`recommender.snapshots`, `embed`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexer.embed import TABLE, examine
from indexer.stopwatch import Stopwatch
from indexer.strangers import strangers
from indexer.thumbnails import ThumbnailShelf
from recommender.catalogue import Catalogue, PictureRow
from recommender.encoders import open_encoder, require_answerable
from recommender.errors import InvalidImage, NoSnapshot, SokkuriError
from recommender.files import read_regular
from recommender.homes import finished
from recommender.images import Limits, decode
from recommender.modelfolder import ModelFolder
from recommender.ports import Encoder
from recommender.settings import Settings
from recommender.snapshots import Snapshot, open_snapshot, space_of
from recommender.types import DecodedImage, PictureId, SnapshotInfo

SAMPLE = 20
"""Pictures that are embedded again."""
ITSELF = 0.99
"""The least cosine between a stored embedding and the same picture's embedding now: an index may round, no more."""
REINDEX = "run `sokkuri reindex LIBRARY`"
FULL = "run `sokkuri reindex LIBRARY --full`"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found wrong, and how much was looked at.

    `compared` pictures were embedded again, and `least_cosine` is that of the least similar one; None without any.
    """

    findings: tuple[str, ...]
    snapshots: int
    embeddings: int
    compared: int
    least_cosine: float | None
    seconds: dict[str, float]

    def to_text(self) -> str:
        """Return a line for each finding, or one that says that all is well."""
        if self.findings:
            return "\n".join(self.findings)
        cosine = "" if self.least_cosine is None else f" (least cosine {self.least_cosine:.4f})"
        return (
            f"all is well: {self.snapshots} snapshots, {self.embeddings} embeddings, "
            f"{self.compared} pictures embedded again{cosine}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self)


def verify(settings: Settings, catalogue: Catalogue) -> VerifyReport:
    """Look at all that a home keeps for answers. Raises only where the catalogue itself cannot be read."""
    clock = Stopwatch()
    inspection = _Inspection(settings, catalogue)
    inspection.findings += strangers(settings, catalogue)
    inspection.snapshots()
    clock.lap("snapshots")
    inspection.tables()
    clock.lap("embeddings")
    inspection.compare_catalogue()
    clock.lap("catalogue")
    inspection.thumbnails()
    clock.lap("thumbnails")
    inspection.embed_again()
    clock.lap("embedding again")
    cosines = inspection.cosines
    return VerifyReport(
        findings=tuple(inspection.findings),
        snapshots=inspection.looked_at,
        embeddings=sum(map(len, inspection.stored.values())),
        compared=len(cosines),
        least_cosine=min(cosines, default=None),
        seconds=clock.seconds,
    )


@dataclass
class _Inspection:
    """One walk through a home."""

    settings: Settings
    catalogue: Catalogue
    findings: list[str] = field(default_factory=list)
    whole: dict[str, Snapshot] = field(default_factory=dict)
    looked_at: int = 0
    engines: dict[tuple[str, str], str] = field(default_factory=dict)
    stored: dict[str, frozenset[bytes]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    cosines: list[float] = field(default_factory=list)

    def snapshots(self) -> None:
        """Check every file of every snapshot, what the catalogue says of it, and the model that it was made with."""
        kept = {info.id for info in self._published_and_newest()}
        digests: dict[str, str] = {}
        for info in self.catalogue.snapshots():
            self.looked_at += 1
            try:
                snapshot = open_snapshot(self.settings.home / "snapshots" / info.id, info.digest)
                if info.model not in digests:
                    digests[info.model] = ModelFolder.open(self.settings.home / "models" / info.model).digest
            except SokkuriError as error:
                self.findings.append(str(error))
                continue
            self._compare_counts(info, snapshot)
            if snapshot.model_digest != digests[info.model]:
                self.findings.append(f"snapshot {info.id} was made with another model {info.model}: {REINDEX}")
            elif reason := self._unanswerable(info):
                self.findings.append(f"nothing here can answer from snapshot {info.id}: {reason}")
            if info.id in kept:
                self.whole[info.id] = snapshot

    def _unanswerable(self, info: SnapshotInfo) -> str:
        """Say what is wrong with the engine that a snapshot was made with; nothing where it is there and whole."""
        if (info.model, info.space) not in self.engines:
            try:
                require_answerable(self.settings, info.model, info.space)
            except SokkuriError as error:
                self.engines[info.model, info.space] = str(error)
            else:
                self.engines[info.model, info.space] = ""
        return self.engines[info.model, info.space]

    def _add(self, finding: str) -> None:
        """Add a finding, unless another one tells it already."""
        if not any(finding in told for told in self.findings):
            self.findings.append(finding)

    def _published_and_newest(self) -> list[SnapshotInfo]:
        """Return the snapshot that is served, and the one that the catalogue mirrors: mostly they are one."""
        known = self.catalogue.snapshots()
        return [info for info in known if info.published or info == known[0]]

    def _compare_counts(self, info: SnapshotInfo, snapshot: Snapshot) -> None:
        if replace(info, published=False) != snapshot.info:
            self.findings.append(f"the catalogue describes snapshot {info.id} otherwise than it does itself: {REINDEX}")
        roster = snapshot.roster
        if (len(roster.characters), len(roster.shows)) != (info.characters, info.shows):
            self.findings.append(f"snapshot {info.id} lists other characters or shows than it counts: {REINDEX}")
        if len(np.unique(snapshot.pictures, axis=0)) != info.pictures:
            self.findings.append(f"snapshot {info.id} holds a picture more than once: {REINDEX}")
        if snapshot.character_of.size and not 0 <= snapshot.character_of.min() <= snapshot.character_of.max() < len(
            roster.characters
        ):
            self.findings.append(f"snapshot {info.id} has pictures of characters that it does not list: {REINDEX}")

    def tables(self) -> None:
        """Check every record of every table of embeddings."""
        for folder in finished(self.settings.home / "embeddings"):
            if not any((folder / name).exists() for name in TABLE):
                continue  # a job died as it began the table
            try:
                state = examine(folder)
            except SokkuriError as error:
                self.findings.append(str(error))
                self.unreadable.add(folder.name)
                continue
            self.stored[folder.name] = state.pictures
            remedy = "run `sokkuri reindex LIBRARY --full`, which makes them anew"
            name = f"embeddings/{folder.name}"
            if state.damaged:
                rows = f"{len(state.damaged)} records of {name} are damaged (the first is number {state.damaged[0]})"
                self.findings.append(f"{rows}: {remedy}")
            if state.repeated:
                self.findings.append(f"{state.repeated} pictures stand in {name} more than once: {remedy}")
            if state.space.unprojected.fingerprint != folder.name:
                self.findings.append(f"{name} holds another space than its name says: move the folder away")

    def compare_catalogue(self) -> None:
        """Compare the catalogue with the snapshots that are served and newest, in both directions."""
        rows = {bytes.fromhex(row.id): row for row in self.catalogue.pictures()}
        former = {bytes.fromhex(picture) for picture in self.catalogue.former_picture_ids()}
        kept = self._published_and_newest()
        for info in kept:
            snapshot = self.whole.get(info.id)
            if snapshot is None:
                continue
            held = {identity.tobytes(): row for row, identity in enumerate(snapshot.pictures)}
            self._tell(held.keys() - rows.keys() - former, f"of snapshot {info.id} are unknown to the catalogue")
            if info == kept[0]:
                self._tell(rows.keys() - held.keys(), f"of the catalogue are not in the index of snapshot {info.id}")
                other = {
                    identity
                    for identity, row in held.items()
                    if identity in rows and rows[identity].character != snapshot.character(row).label
                }
                self._tell(other, f"have another character in the catalogue than in snapshot {info.id}")
            table = space_of(self.settings.home / "snapshots" / info.id).unprojected.fingerprint
            if table not in self.unreadable:  # which is told, and says nothing of what is in it
                without = held.keys() - self.stored.get(table, frozenset())
                self._tell(without, f"of snapshot {info.id} have no embedding in embeddings/{table}")

    def _tell(self, pictures: Iterable[bytes], what: str) -> None:
        """Make a finding of some pictures, where there are any."""
        found = sorted(pictures)
        if found:
            self.findings.append(f"{len(found)} pictures {what} (the first is {found[0].hex()}): {REINDEX}")

    def thumbnails(self) -> None:
        """Look whether each picture of the library has a whole thumbnail, and those that left it no damaged one."""
        shelf = ThumbnailShelf(self.settings.home / "thumbnails", doubtful=True)
        lacking, former = (
            [picture for picture in map(PictureId, sorted(pictures)) if shelf.wants(picture)]
            for pictures in (self.catalogue.picture_ids(), self.catalogue.former_picture_ids())
        )
        if lacking:
            self.findings.append(
                f"{len(lacking)} thumbnails are missing or damaged (the first is that of {lacking[0]}): "
                f"{FULL}, which makes them anew"
            )
        if damaged := [file for file in map(shelf.file, former) if file.exists()]:
            self.findings.append(
                f"{len(damaged)} thumbnails of pictures that left the library are damaged (the first is {damaged[0]}): "
                "remove them, pages do without"
            )

    def embed_again(self) -> None:
        """Embed a sample of what is served again, and compare. A file that is gone or changed since is passed over."""
        try:
            info = self.catalogue.published()
        except NoSnapshot:
            return
        snapshot = self.whole.get(info.id)
        if snapshot is None:
            return
        order = np.random.default_rng(0).permutation(len(snapshot.pictures))
        sample: list[tuple[int, DecodedImage]] = []
        for row in order:
            if len(sample) < SAMPLE and (image := self._image(snapshot.picture(int(row)))):
                sample.append((int(row), image))
        if sample:
            self._compare(info, snapshot, sample)
        elif len(order):
            self.findings.append(
                f"none of the {len(order)} pictures of snapshot {info.id} lies where it did, so that none was "
                "embedded again: put their library back in its place, or run `sokkuri reindex LIBRARY`"
            )

    def _compare(self, info: SnapshotInfo, snapshot: Snapshot, sample: Iterable[tuple[int, DecodedImage]]) -> None:
        """Embed pictures, each with its row in the snapshot, and compare."""
        try:
            encoder: Encoder = open_encoder(self.settings, info.model, info.space)
        except SokkuriError as error:
            self._add(str(error))
            return
        for row, image in sample:
            now = encoder.encode([image])[0].embedding.vector
            if not now.any():
                continue  # a picture without any feature is similar to nothing, itself included
            cosine = float(snapshot.index.vector(row) @ now)
            self.cosines.append(cosine)
            if cosine < ITSELF:
                self.findings.append(
                    f"picture {image.id} is embedded otherwise now (cosine {cosine:.3f}) than in snapshot {info.id}: "
                    f"{REINDEX} --full"
                )

    def _image(self, picture: str) -> DecodedImage | None:
        """Read a picture from its library, where it still lies there as it was."""
        try:
            row: PictureRow = self.catalogue.picture(picture)
            limits = Limits.of(self.settings)
            image = decode(read_regular(Path(row.library) / row.path, limits.max_bytes), limits)
        except (InvalidImage, OSError, SokkuriError):
            return None
        return image if image.id == picture else None
