"""How long a client may take: a socket whose reads end in time, and whose answers keep no thread waiting.

A request has its time, and no pause in it may be long; while others stand in line for a thread it has to be quicker.
Not here: connections that have no thread (`waiting`), and who waits for whom (`worker`).
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

REQUEST_SECONDS = 30.0
"""From the first byte of a request to its last: 20 MB arrive in that time over a line of 6 Mbit/s."""
STALLED_SECONDS = 10.0
"""The longest pause between two pieces of a request, or of an answer that is not taken."""
HURRIED_SECONDS = 2.0
"""The same for a request while others stand in line for a thread."""
HURRIED_RATE = 8_000
"""Bytes a second that a request has to arrive with meanwhile, on average, once it was waited for HURRIED_SECONDS: what
any line of today carries. Apache (mod_reqtimeout, MinRate) asks for 500 at any time, Kestrel for 240; with so little,
a few kilobytes a second would hold every thread."""
HEADER_SECONDS = 10.0
"""From a connection, or the first byte of a further request on it, to the end of that request's header."""
LINGER_SECONDS = 2.0
"""How long a connection is kept after its last answer, so that the answer is not lost to a reset (RFC 9112, 9.6)."""
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
_LOOK_SECONDS = 0.5
_PIECE = 65_536
_LONGEST_PIECE = 1_048_576


class TooSlow(ConnectionResetError):
    """A client's time is over. It has the number of a reset: without it gunicorn logs a traceback."""


class PatientSocket(socket.socket):
    """A connection whose reads end at `deadline`; one that was not sent in time counts as reset by the client.

    `header` is what the poller has collected of the next request, `unsent` what the client did not take of its answer
    so far. `request` is what is being answered, `answered` tells whether any of that was sent, and `owes_continue`
    whether the client waits to be told to send its body. `crowded` tells whether others stand in line for the thread
    that has it, `given_up` whether nobody will get an answer any more who has none yet.
    """

    deadline = float("inf")
    discarded = 0
    request: Any = None
    answered = False
    owes_continue = False
    _was_asked = False

    def __init__(self, *arguments: Any, crowded: Callable[[], bool] = lambda: False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.header = bytearray()
        self.unsent: deque[memoryview] = deque()
        self.crowded = crowded
        self.given_up: Callable[[], bool] = bool
        self._received, self._waited = 0, 0.0

    def begin(self) -> bytes:
        """Let the time of the request begin whose header was collected, and hand that over."""
        header = bytes(self.header)
        self.header.clear()
        self.deadline = monotonic() + REQUEST_SECONDS
        self.request, self.answered, self.owes_continue, self._was_asked = None, False, False, False
        self._received, self._waited = len(header), 0.0
        self.setblocking(True)
        return header

    def arrived(self) -> bytes | None:
        """Return what has arrived, without waiting: b"" where nothing can any more, None where nothing has yet."""
        try:
            return super().recv(_PIECE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read what has arrived. Raises TooSlow, a ConnectionResetError, when the client's time is over."""
        usual = self.gettimeout()
        if usual == 0:  # somebody only looks whether something is there
            return super().recv(size, flags)
        started, patience = monotonic(), STALLED_SECONDS if usual is None else usual
        try:
            while True:
                now = monotonic()
                if now >= self.deadline:
                    raise self._ended(f"the request took too long to arrive: it has {REQUEST_SECONDS:.0f} s")
                crowded = self.crowded()
                pause = min(patience, HURRIED_SECONDS) if crowded else patience
                left = min(self.deadline, started + pause) - now
                if left <= 0:
                    raise self._ended(f"the client stopped sending: it may pause for {pause:.0f} s")
                if crowded and self._is_slow(self._waited + now - started):
                    raise self._ended(
                        f"the client sends too slowly while others wait: {HURRIED_RATE:,} bytes a second are asked for"
                    )
                self.settimeout(min(left, _LOOK_SECONDS))
                with suppress(TimeoutError):
                    piece = super().recv(size, flags)
                    self._received += len(piece)
                    return piece
        finally:
            self._waited += monotonic() - started
            self.settimeout(usual)

    def _ended(self, why: str) -> TooSlow:
        if self.request is not None:
            self.request.force_close()  # whatever still comes of it is no next request
        return TooSlow(errno.ECONNRESET, why)

    def proceed(self) -> None:
        """Tell a client that waits for it to send its body: an answer that leaves it unread ends the connection."""
        if self.owes_continue:
            self.owes_continue = self.request.must_close = False
            self.sendall(_INTERIM)
            self.answered = False

    def asked(self) -> bool:
        """Send an interim answer, once, to a client that may be gone: one that is resets the connection.

        Tell whether that is possible. Raises OSError where it is gone already.
        """
        if self.request is None or self.request.version < (1, 1):
            return False
        if not self._was_asked:
            self._was_asked = True
            self.sendall(_INTERIM)
            self.answered = False
        return True

    def _is_slow(self, waited: float) -> bool:
        """Tell whether too little of the request has arrived in the seconds that were spent on waiting for it."""
        return waited > HURRIED_SECONDS and self._received < HURRIED_RATE * waited

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send what can be sent at once of an answer; the rest is kept in `unsent`. Raises OSError."""
        self.answered = True
        left = memoryview(data).cast("B")
        if not self.unsent:
            usual = self.gettimeout()
            self.setblocking(False)
            try:
                left = left[self._taken(left, flags) :]
            finally:
                self.settimeout(usual)
        if left:
            self.unsent.append(memoryview(bytes(left)))

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file like any answer: those that are served as such are small parts of the page."""
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        self.sendall(data)
        return len(data)

    def send_on(self) -> int:
        """Send more of what is `unsent`, without waiting; return how many bytes it was. Raises OSError."""
        piece = self.unsent.popleft()
        taken = self._taken(piece[:_LONGEST_PIECE])
        if taken < len(piece):
            self.unsent.appendleft(piece[taken:])
        return taken

    def _taken(self, piece: memoryview, flags: int = 0) -> int:
        try:
            return super().send(piece, flags)
        except BlockingIOError:
            return 0
