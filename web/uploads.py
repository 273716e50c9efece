"""The picture in a request: as a form's file, as the body itself, or as base64 in JSON. It stays in memory, bounded.

So is what all of them take together: an upload takes its room before a byte of it is read, and has it until its answer
is made.

File names and declared types of single files are never looked at: what a picture is, its bytes say. Not here:
whether the bytes are a picture (`recommender.images`).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import (
    BadRequest,
    RequestEntityTooLarge,
    UnprocessableEntity,
    UnsupportedMediaType,
)
from werkzeug.wsgi import LimitedStream

from recommender.errors import Busy, TooLarge, Unreadable

FIELD = "picture"
FORM_OVERHEAD = 64_000
"""Bytes of a form around its picture: boundaries, headers, other small fields."""
SHOWN_NAMES = 5
"""How many of the names that a client made up are repeated to it, and how long each may be."""
SHOWN_LETTERS = 40
MOST_MARKS = 200_000
"""Braces, brackets and commas of a JSON body that is parsed at all; a picture needs one pair of braces."""
WRONG_SHAPE = 'the JSON has the wrong shape: it has to be an object {"base64": "<text>"}'


RETRY_SECONDS = 5
"""When to try again whoever found no room: a slow upload takes seconds."""


class UploadRoom:
    """How many bytes of uploads one process holds at once.

    The last quarter is left to uploads that are small beside all of it: a few large ones that arrive slowly are not to
    shut out the usual picture. An upload that is alone always fits.
    """

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._changing = threading.Lock()

    @property
    def taken(self) -> int:
        """How many bytes are taken now."""
        return self._taken

    @contextmanager
    def held(self, request: Request, max_bytes: int) -> Iterator[bytes]:
        """Read the picture of a request and hold it. Raises Busy before that, or what `read_picture` raises."""
        size = _announced(request, max_bytes)
        self._take(size)
        try:
            data = read_picture(request, max_bytes)
            self._return(size - len(data))
            size = len(data)
            yield data
        finally:
            self._return(size)

    def _take(self, size: int) -> None:
        small = size <= self._most // 256
        with self._changing:
            if self._taken and self._taken + size > (self._most if small else self._most * 3 // 4):
                raise Busy(f"too many uploads are arriving at once: try again in {RETRY_SECONDS} s", RETRY_SECONDS)
            self._taken += size

    def _return(self, size: int) -> None:
        with self._changing:
            self._taken -= size


def _announced(request: Request, max_bytes: int) -> int:
    """Return the most bytes that will be read of an upload: what it says, or what it may have where it says nothing."""
    most = _longest_json(max_bytes)
    if request.content_length is None:
        return most if request.headers.get("Transfer-Encoding") else 0
    return request.content_length if request.content_length <= most else 0  # refused without being read


class MemoryRequest(Request):
    """A request that never puts an upload into a temporary file; werkzeug would from 500 kB on."""

    # The parser's buffer counts towards this too, and it is filled 64 KiB at a time: less would refuse every file.
    max_form_memory_size = 500_000
    max_form_parts = 100

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        del total_content_length, content_type, filename, content_length
        return io.BytesIO()


def read_picture(request: Request, max_bytes: int) -> bytes:
    """Return the bytes of the picture that was sent, at most about `max_bytes`.

    Raises Unreadable (nothing was sent), TooLarge, or the werkzeug errors for 400, 415 and 422, each with a sentence.
    """
    kind = request.mimetype
    try:
        if kind == "multipart/form-data":
            data = _from_form(request, max_bytes)
        elif kind == "application/json":
            data = _from_json(request, max_bytes)
        elif kind.startswith("image/") or (
            not kind and not request.content_length and not request.headers.get("Transfer-Encoding")
        ):
            data = read_body(request, max_bytes)
        else:
            raise UnsupportedMediaType(
                f"a picture comes as the form field {FIELD!r} (multipart/form-data), as an image/* body, or as JSON "
                f'{{"base64": "..."}}; this request has the content type {_shown(kind) if kind else "(none)"}'
            )
    except RequestEntityTooLarge:
        raise TooLarge(
            f"the upload is too large: a picture may have {max_bytes:,} bytes, and nothing else need be sent with it"
        ) from None
    if not data:
        raise Unreadable("the upload is empty: send the bytes of a picture")
    return data


def read_body(request: Request, most: int) -> bytes:
    """Return the whole body, at most `most` bytes. Raises RequestEntityTooLarge.

    The Content-Length tells where there is one. Without one werkzeug stops reading at its limit and says nothing, so
    one byte more is allowed to tell the two apart.
    """
    request.max_content_length = most + 1
    data: bytes = request.get_data(cache=False)
    if len(data) > most:
        raise RequestEntityTooLarge
    return data


def _from_form(request: Request, max_bytes: int) -> bytes:
    pictures = _files(request, max_bytes + FORM_OVERHEAD).getlist(FIELD)
    if len(pictures) == 1:
        data: bytes = pictures[0].read()
        return data
    if pictures:
        raise BadRequest(f"the form holds {len(pictures)} files named {FIELD!r}: send one picture at a time")
    if FIELD in request.form:
        raise BadRequest(f"the form field {FIELD!r} holds text: send it as a file")
    names = [*request.files, *request.form]
    found = ", ".join(_shown(name) for name in names[:SHOWN_NAMES]) or "no field at all"
    raise BadRequest(f"the picture belongs in the form field {FIELD!r}; this form has {found}")


def _files(request: Request, most: int) -> MultiDict[str, FileStorage]:
    """Return the files of a form of `most` bytes. Raises RequestEntityTooLarge, or BadRequest for all too many fields.

    werkzeug raises the same for both, so it is seen how much of the form was read.
    """
    request.max_content_length = most
    stream = request.stream
    try:
        return request.files
    except RequestEntityTooLarge:
        if isinstance(stream, LimitedStream) and stream.tell() >= most:
            raise
        raise BadRequest(
            f"the form has more than {MemoryRequest.max_form_parts} fields, or more than "
            f"{MemoryRequest.max_form_memory_size:,} bytes of text in one: send the picture alone"
        ) from None


def _from_json(request: Request, max_bytes: int) -> bytes:
    text = read_body(request, _longest_json(max_bytes))
    if not text.strip():
        raise Unreadable('the upload is empty: send JSON of the shape {"base64": "..."}')
    # Base64 holds none of these: a body full of them is something else, and would become millions of objects.
    if sum(text.count(mark) for mark in (b"{", b"[", b",")) > MOST_MARKS:
        raise UnprocessableEntity(WRONG_SHAPE)
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest('the body is not JSON: send {"base64": "..."} in UTF-8') from None
    if not isinstance(value, dict) or not isinstance(value.get("base64"), str):
        raise UnprocessableEntity(WRONG_SHAPE)
    try:
        return base64.b64decode(value["base64"].encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(
            'the value of "base64" is not base64: use the standard alphabet with padding and no "data:" before it'
        ) from None


def _longest_json(max_bytes: int) -> int:
    """Return how long JSON with a picture in base64 may be, which is the longest form of an upload, in bytes."""
    return 4 * (max_bytes // 3 + 1) + FORM_OVERHEAD


def _shown(name: str) -> str:
    """Quote a name that the client made up, cut to a sensible length."""
    return repr(name if len(name) <= SHOWN_LETTERS else name[:SHOWN_LETTERS] + "…")
