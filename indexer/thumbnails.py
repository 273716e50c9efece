"""Thumbnails: small JPEGs for pages, by picture id; one that is there is not made again.

Each carries its checksum in a comment of the file, where no reader of a JPEG minds it: it needs no file of its own, and
nobody has to look at it but who doubts. Those that were made before have none, and count as whole if they decode.

A file that was not flushed may be empty after a power cut, or have zeros for some of its pages. Flushing each would
take longer than making it, so that a mark says that some are not: while it stands, what is damaged counts as missing.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from recommender.errors import InvalidImage
from recommender.folders import flush
from recommender.images import decode, thumbnail
from recommender.types import DecodedImage, PictureId

UNFLUSHED = "unflushed"
LOST = bytes(512)
"""What stands where a page was lost: the least that a disk writes. No JPEG of ours has so many zeros."""
HEAD = 20
"""Bytes of the marker that begins a JPEG and of the JFIF segment after it, which has to come first (JFIF 1.02)."""
COMMENT = b"\xff\xfe\x00\x18sokkuri crc32 "
"""What a comment segment with a checksum begins with: its marker, and the 24 bytes that it has without that."""
TABLES = b"\xff\xdb"
"""What stands in its place in a thumbnail without one: the marker of the tables of quantisation."""


class ThumbnailShelf:
    """The thumbnails of a home. `flush` is to be called when the last one was added.

    An empty one is never whole; with `doubtful`, each is read, and its checksum compared, to see whether it is.
    """

    def __init__(self, folder: Path, *, doubtful: bool = False) -> None:
        self._folder = folder
        self._mark = folder / UNFLUSHED
        self._doubtful = doubtful or self._mark.exists()
        self._marked = False
        self._whole: dict[str, set[str]] = {}

    def wants(self, picture: PictureId) -> bool:
        """Tell whether the picture has no whole thumbnail yet."""
        prefix = picture[:2]
        if prefix not in self._whole:  # listing a folder is many times quicker than asking for each file of it
            self._whole[prefix] = self._list(prefix)
        return f"{picture}.jpg" not in self._whole[prefix]

    def file(self, picture: PictureId) -> Path:
        """Return where the picture's thumbnail lies, if there is one."""
        return self._folder / picture[:2] / f"{picture}.jpg"

    def add(self, image: DecodedImage) -> None:
        """Make the picture's thumbnail unless a whole one is there."""
        if not self.wants(image.id):
            return
        if not self._marked:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._mark.touch()
            flush(self._mark)
            flush(self._folder)
            self._marked = True
        file = self.file(image.id)
        file.parent.mkdir(exist_ok=True)
        aside = file.with_suffix(".aside")
        aside.write_bytes(stamped(thumbnail(image)))
        aside.replace(file)
        self._whole[image.id[:2]].add(file.name)

    def flush(self) -> None:
        """Return when every thumbnail that was added, or was in doubt, is on the disk."""
        if self._marked or self._doubtful:
            os.sync()
            self._mark.unlink(missing_ok=True)
            self._marked = self._doubtful = False

    def _list(self, prefix: str) -> set[str]:
        try:
            with os.scandir(self._folder / prefix) as files:
                return {
                    file.name
                    for file in files
                    if (_is_whole(Path(file.path)) if self._doubtful else file.stat().st_size > 0)
                }
        except FileNotFoundError:
            return set()


def stamped(jpeg: bytes) -> bytes:
    """Return a thumbnail with its checksum in it: the CRC-32 of all its other bytes, in hexadecimal digits."""
    return jpeg[:HEAD] + COMMENT + f"{crc32(jpeg):08x}".encode() + jpeg[HEAD:]


def _is_whole(file: Path) -> bool:
    """Tell whether a thumbnail has the bytes that it was made with; one without a checksum, whether it decodes."""
    data = file.read_bytes()
    if data[HEAD : HEAD + len(TABLES)] != TABLES:
        end = HEAD + len(stamped(b""))
        return data == stamped(data[:HEAD] + data[end:])
    if LOST in data or not data.endswith(b"\xff\xd9"):
        return False
    try:
        decode(data)
    except InvalidImage:
        return False
    return True
