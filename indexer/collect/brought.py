"""What a page brings along: pictures inside its text (`data:`) and files beside a saved page, and their names.

Not here: which of them a page shows (`galleries`), and what becomes of them (`wishes`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from recommender.errors import FetchRefused
from recommender.folders import sha256


def key_of(link: str, folder: Path | None = None) -> str:
    """Return the address that a picture is known by: its own, but for those that a page brings along.

    What is `data:` is known by its hash, and a file by its path below the folder of its page, and its own hash: folders
    of one name may be many.
    """
    if link.startswith("data:"):
        kind = link[5:].partition(",")[0].partition(";")[0]
        return f"data:{kind};sha256={hashlib.sha256(link.encode()).hexdigest()}"
    if link.startswith("file:") and folder is not None:
        path = Path(unquote(urlsplit(link).path))
        name = f"file:{folder.resolve().name}/{os.path.relpath(path, folder.resolve())}"
        try:
            return f"{name};sha256={sha256(path)}" if path.is_file() and not path.is_symlink() else name
        except (OSError, ValueError):
            return name
    return link


def data_of(link: str, most: int) -> tuple[str, bytes]:
    """Return media type and bytes of a `data:` link (RFC 2397). Raises FetchRefused."""
    head, comma, body = link[5:].partition(",")
    kind, *parameters = (part.strip().lower() for part in head.split(";"))
    if not comma:
        raise FetchRefused("unreadable", "the data: link holds no data")
    if len(body) > 4 * most:
        raise FetchRefused(
            "too large", f"the data: link has more than {most:,} bytes", {"max_bytes": -(-len(body) // 4)}
        )
    try:
        data = unquote_to_bytes(body)
        if "base64" in parameters:
            data = base64.b64decode(b"".join(data.split()) + b"==", validate=False)
    except (binascii.Error, ValueError):
        raise FetchRefused("unreadable", "the data: link is not what base64 looks like") from None
    return kind, data


def saved_bytes(link: str, most: int) -> bytes:
    """Return the bytes of a file that lies beside a saved page. Raises FetchRefused."""
    file = Path(unquote(urlsplit(link).path))
    try:
        if not file.is_file() or file.is_symlink():
            raise FetchRefused("unreadable", "the saved page came without this file")
        with file.open("rb") as stream:
            return stream.read(most + 1)
    except OSError as error:
        raise FetchRefused("unreadable", f"the file cannot be read: {error.strerror}") from None
