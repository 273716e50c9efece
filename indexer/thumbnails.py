"""Thumbnails: small JPEGs for pages, by picture id; one that is there is not made again.

A file that was not flushed may be empty after a power cut, or have zeros for some of its pages. Flushing each would
take longer than making it, so that a mark says that some are not: while it stands, what looks so counts as missing.
"""

from __future__ import annotations

import os
from pathlib import Path

from recommender.folders import flush
from recommender.images import thumbnail
from recommender.types import DecodedImage, PictureId

UNFLUSHED = "unflushed"
LOST = bytes(512)
"""What stands where a page was lost: the least that a disk writes. No JPEG of ours has so many zeros."""


class ThumbnailShelf:
    """The thumbnails of a home. `flush` is to be called when the last one was added.

    An empty one is never whole; with `doubtful`, each is read to see whether it is.
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
        file = self._folder / image.id[:2] / f"{image.id}.jpg"
        file.parent.mkdir(exist_ok=True)
        aside = file.with_suffix(".aside")
        aside.write_bytes(thumbnail(image))
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


def _is_whole(file: Path) -> bool:
    """Tell whether a JPEG begins and ends as one, and has lost nothing between."""
    data = file.read_bytes()
    return data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9") and LOST not in data
