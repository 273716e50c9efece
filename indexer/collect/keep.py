"""Keeping: a picture's bytes become a file of the library with a sidecar, unless they are no use or there already.

`<show>/<character>/<SHA-256>.<ending>` holds the bytes as they came, and `….json` beside it where they came from. Not
here: how they were fetched (`fetch`), and what duplicates are (`likeness`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from indexer.collect.answers import Answer
from indexer.collect.galleries import PictureReference
from indexer.collect.journal import Filed, Journal
from indexer.collect.likeness import Likenesses, colours_of
from indexer.collect.sources import Source
from recommender.catalogue import CollectedRow, FileRow
from recommender.errors import BuildError, FetchRefused, InvalidImage, TooLarge, TooSmall, UnsupportedFormat
from recommender.folders import flush
from recommender.images import Limits, decode, perceptual_hash, picture_id
from recommender.types import DecodedImage, PictureId

ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
ASIDE = ".aside-"
EXACT, NEAR, FORGOTTEN = "the same file", "nearly the same picture", "forgotten on demand"
_ID = re.compile("[0-9a-f]{64}")
_RULES = {TooLarge: "too large", TooSmall: "too small", UnsupportedFormat: "not a picture"}


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A picture that is not kept, because `picture` is; `how` says how much alike they are.

    `own` is the id that it has itself, where that is another one.
    """

    picture: str
    how: str
    own: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture that is kept, with its provenance; `replaces` is the path of a smaller one that went for it."""

    row: CollectedRow
    replaces: str = ""


class Keeper:
    """Files pictures in a library. `brought` are the files that the user put there: they stay, whatever comes."""

    def __init__(
        self, root: Path, limits: Limits, journal: Journal, brought: Mapping[str, FileRow], forgotten: set[str]
    ) -> None:
        self._root, self._limits, self._journal, self._forgotten = root, limits, journal, forgotten
        self._library = str(root.resolve())
        self._likenesses = Likenesses()
        filed = journal.filed()
        for one in filed:
            self._likenesses.add(one.picture, one.hash, one.width / one.height, bytes.fromhex(one.colours))
        ours = {one.path for one in filed}
        self._brought = {row.picture: path for path, row in brought.items() if path not in ours}

    def sweep(self) -> None:
        """Remove what a killed run left unfinished, and what it had replaced but not yet removed."""
        replaced = self._journal.replaced()
        for file in self._root.glob("*/*/*"):
            if file.name.startswith(ASIDE) or file.name.partition(".")[0] in replaced:
                file.unlink(missing_ok=True)

    def keep(self, source: Source, reference: PictureReference, answer: Answer) -> Kept | Duplicate:
        """Keep a picture, or say which one is kept already. Raises FetchRefused, or BuildError where the disk is full.

        Of two that are nearly the same the one with more pixels is kept, wherever the other one is filed.
        """
        picture = picture_id(answer.data)
        if picture in self._forgotten:
            raise FetchRefused(FORGOTTEN, "the picture was forgotten on demand")
        if self._journal.picture(picture) or picture in self._brought:
            return Duplicate(picture, EXACT)
        image = self._decoded(answer.data, source)
        filed = Filed(
            picture=picture,
            path=f"{source.label}/{picture}.{ENDINGS[image.format]}",
            address=reference.address,
            width=image.width,
            height=image.height,
            hash=perceptual_hash(image),
            colours=colours_of(image).hex(),
        )
        ratio, colours = image.width / image.height, bytes.fromhex(filed.colours)
        twin = self._likenesses.nearest(filed.hash, ratio, colours)
        other = self._journal.picture(twin) if twin else None
        if other and other.width * other.height >= image.width * image.height:
            self._take_back(filed.path)
            return Duplicate(other.picture, NEAR, picture)
        row = self._row(source, reference, answer, filed)
        self._write(row, image, answer, reference.saved_from)
        self._journal.kept(filed, replaces=other.picture if other else "")
        self._likenesses.add(picture, filed.hash, ratio, colours)
        if other:
            self._likenesses.remove(other.picture)
            remove_picture(self._root, other.path)
        return Kept(row, other.path if other else "")

    def complete(self, path: str, saved_from: str) -> None:
        """Note where a page was saved from, if an earlier version filed its picture and did not. Raises OSError."""
        told = _told(self._root, path)
        if saved_from and str(told.get("page", "")).startswith("file:") and "saved_from" not in told:
            _put(sidecar_of(self._root / path), _json(told | {"saved_from": saved_from}))

    def _take_back(self, path: str) -> None:
        """Remove what a run wrote that was killed before it could note it: meanwhile there is a larger picture."""
        if sidecar_of(self._root / path).exists():
            remove_picture(self._root, path)

    def limits_of(self, source: Source) -> Limits:
        """Return what the pictures of a source may be."""
        return replace(self._limits, min_side=source.min_side) if source.min_side else self._limits

    def _decoded(self, data: bytes, source: Source) -> DecodedImage:
        try:
            return decode(data, self.limits_of(source))
        except InvalidImage as error:
            raise FetchRefused(_RULES.get(type(error), "unreadable"), str(error), error.needs) from None

    def _row(self, source: Source, reference: PictureReference, answer: Answer, filed: Filed) -> CollectedRow:
        return CollectedRow(
            library=self._library,
            path=filed.path,
            picture=PictureId(filed.picture),
            address=reference.address,
            page=reference.page,
            source=source.name,
            fetched=answer.fetched,
            status=answer.status,
            etag=answer.headers.get("ETag", ""),
            licence=reference.credit.licence,
            author=reference.credit.author,
        )

    def _write(self, row: CollectedRow, image: DecodedImage, answer: Answer, saved_from: str) -> None:
        """Write sidecar and picture, in this order: no picture is ever without its provenance."""
        file = self._root / row.path
        told = {
            **{name: value for name, value in asdict(row).items() if name not in ("library", "path", "picture")},
            "served_by": answer.address if answer.address != row.address else "",
            "saved_from": saved_from,
            "modified": answer.headers.get("Last-Modified", ""),
            "media_type": answer.kind,
            "sha256": row.picture,
            "format": image.format,
            "width": image.width,
            "height": image.height,
            "bytes": len(answer.data),
        }
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _put(sidecar_of(file), _json(told))
            _put(file, answer.data)
        except OSError as error:
            with suppress(OSError):
                remove_picture(self._root, row.path)
            raise BuildError(
                f"{file.parent} cannot be written ({error.strerror}): make room and run it again"
            ) from error


def sidecar_of(file: Path) -> Path:
    """Return the file that says where a picture came from."""
    return file.with_name(file.name + ".json")


def row_of_sidecar(root: Path, path: str) -> CollectedRow | None:
    """Read a picture's provenance from its sidecar; None where there is none that can be read."""
    try:
        told = json.loads(sidecar_of(root / path).read_text(encoding="utf-8"))
        texts = ("sha256", "address", "page", "source", "fetched", "etag", "licence", "author")
        if any(not isinstance(told[name], str) for name in texts) or not _ID.fullmatch(told["sha256"]):
            return None  # it lies beside a picture, but is somebody else's
        fields = {name: told[name] for name in (*texts[1:], "status")}
        return CollectedRow(str(root.resolve()), path, PictureId(told["sha256"]), **fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def rows_of_sidecars(root: Path) -> list[CollectedRow]:
    """Read the provenance of every picture of a library from its sidecars."""
    paths = (file.relative_to(root).as_posix().removesuffix(".json") for file in sorted(root.glob("*/*/*.json")))
    return [row for path in paths if (row := row_of_sidecar(root, path))]


def further_addresses(root: Path, path: str) -> list[str]:
    """Return what only a sidecar has: the address that redirects led to, and that of the page before it was saved."""
    told = _told(root, path)
    found = [told.get(name) for name in ("served_by", "saved_from")]
    return [one for one in found if isinstance(one, str) and one]


def _told(root: Path, path: str) -> dict[str, Any]:
    """Return what a picture's sidecar says; nothing where there is none that can be read."""
    try:
        told = json.loads(sidecar_of(root / path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _json(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def remove_picture(root: Path, path: str) -> None:
    """Remove a picture and its sidecar."""
    file = root / path
    for one in (file, sidecar_of(file)):
        one.unlink(missing_ok=True)


def _put(file: Path, data: bytes) -> None:
    """Write a file so that it is there as a whole or not at all."""
    aside = file.with_name(f"{ASIDE}{file.name}")
    try:
        aside.write_bytes(data)
        flush(aside)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
