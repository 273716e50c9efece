"""Bodies that nobody read: they are received and thrown away after the answer, within limits.

A server that closes a connection while bytes are still arriving makes the kernel send a reset, and the client loses
the answer that was already on its way (RFC 9112, section 9.6). So the answer is sent first; then what the client is
still sending is read for a moment. Not here: how large an upload may be (`uploads`).
"""

from __future__ import annotations

import io
import socket
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, HTTPException, RequestTimeout
from werkzeug.wsgi import ClosingIterator, get_input_stream

from web.patience import STALLED_SECONDS, PatientSocket, TooSlow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

    from _typeshed import SupportsRead, WriteableBuffer
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DRAIN_SECONDS = 1.5
DRAIN_BYTES = 1_000_000_000
_PIECE = 1 << 18


class DrainedRequests:
    """WSGI middleware: what `application` leaves unread of a body is drained once the answer is out."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("CONTENT_LENGTH", "0") in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._application(environ, start_response)
        # gunicorn lends the socket; other servers have no such key and keep their own ways.
        connection = environ.get("gunicorn.socket")
        if connection is not None:
            connection.settimeout(STALLED_SECONDS)
        body = Body(get_input_stream(environ), connection)
        # From here on the end of the body is the end of the stream, whatever the server: reading on is safe.
        environ["wsgi.input"], environ["wsgi.input_terminated"] = body, True
        return ClosingIterator(self._application(environ, start_response), partial(_drained, body, connection))


def _drained(body: Body, connection: socket.socket | None) -> None:
    """Drain a body, unless its client took too long, or was never told to send it."""
    if not body.ended and not getattr(connection, "owes_continue", False):
        drain(body, connection)


class Body(io.RawIOBase):
    """The body of a request, whose errors are the client's: a wrong chunk of it is a BadRequest (RFC 9112, 7.1).

    A client that waits to be told to send it is told so when it is first read. `ended` tells that no more will come.
    """

    def __init__(self, body: IO[bytes], connection: socket.socket | None = None) -> None:
        self._body, self._connection = body, connection
        self.ended = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read as much as fits, or less. Raises BadRequest, or RequestTimeout for a client that is too slow."""
        if isinstance(self._connection, PatientSocket):
            self._connection.proceed()
        view = memoryview(buffer).cast("B")
        try:
            piece = self._body.read(len(view))
        except TooSlow as slow:
            self.ended = True
            raise RequestTimeout(slow.strerror) from None
        except ParseException:
            raise BadRequest(
                "the body is not what `Transfer-Encoding: chunked` promises: each piece needs its length in "
                "hexadecimal digits before it and a line's end after it, and the last one has the length 0"
            ) from None
        view[: len(piece)] = piece
        return len(piece)


def drain(body: SupportsRead[bytes], connection: socket.socket | None = None) -> None:
    """Read what is left of `body`, for at most DRAIN_SECONDS and DRAIN_BYTES, and keep nothing of it.

    A PatientSocket that had more to give is to be closed: its request's time is over.
    """
    deadline = monotonic() + DRAIN_SECONDS
    if isinstance(connection, PatientSocket):
        # A read goes on until it has what it was asked for: a timeout for each piece would never strike a trickle.
        connection.deadline = min(connection.deadline, deadline)
    left = DRAIN_BYTES
    try:
        while left > 0 and (seconds := deadline - monotonic()) > 0:
            if connection is not None:
                connection.settimeout(seconds)
            piece = body.read(min(_PIECE, left))
            if not piece:
                return
            left -= len(piece)
    except (OSError, HTTPException):
        return
