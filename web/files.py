"""Picture files on their way out: only what the catalogue names, only from inside the library, only the same bytes.

A picture's address holds the SHA-256 of its bytes, so what was once right stays right: clients may keep it for ever.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from flask import Request, Response

from recommender.catalogue import PictureRow
from recommender.errors import NotFound
from recommender.files import read_regular

FOREVER = "public, max-age=31536000, immutable"
CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
}
_ID = re.compile(r"[0-9a-f]{64}")


def checked_id(text: str) -> str:
    """Return `text` where it is a picture's id. Raises NotFound, since there is no picture of any other name."""
    if not _ID.fullmatch(text):
        raise NotFound("there is no such picture: a picture's id is its SHA-256, 64 digits from 0-9 and a-f")
    return text


def picture_file(row: PictureRow, request: Request) -> Response:
    """Return a picture's file as it lies in the library. Raises NotFound where it is gone or has changed."""
    library = Path(row.library).resolve()
    path = (library / row.path).resolve()
    if not path.is_relative_to(library):
        raise NotFound(f"the file of picture {row.id} lies outside its library: run `sokkuri reindex LIBRARY`")
    data = _read(path, row.bytes)
    if data is None:
        raise NotFound(f"the file of picture {row.id} was removed from the library: run `sokkuri reindex LIBRARY`")
    if sha256(data).hexdigest() != row.id:
        raise NotFound(f"the file of picture {row.id} has changed in the library: run `sokkuri reindex LIBRARY`")
    return _kept_forever(data, CONTENT_TYPES.get(row.format.upper(), "application/octet-stream"), row.id, request)


def thumbnail_file(home: Path, picture: str, request: Request) -> Response:
    """Return a picture's thumbnail, which reindexing made. Raises NotFound where there is none."""
    try:
        data = (home / "thumbnails" / picture[:2] / f"{picture}.jpg").read_bytes()
    except OSError:
        raise NotFound(f"there is no thumbnail of picture {picture!r}") from None
    return _kept_forever(data, "image/jpeg", f"{picture}-thumbnail", request)


def _read(path: Path, size: int) -> bytes | None:
    """Return the file's bytes, one more than `size` at most, or None where it cannot be read."""
    try:
        return read_regular(path, size)
    except OSError:
        return None


def _kept_forever(data: bytes, content_type: str, tag: str, request: Request) -> Response:
    response = Response(data, content_type=content_type)
    response.headers["Cache-Control"] = FOREVER
    response.set_etag(tag)
    response.make_conditional(request)
    return response
