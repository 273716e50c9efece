"""How long a client may take: a socket whose reads and writes end, and connections that are watched for so long.

A request has its time, and no pause in it may be long; while others stand in line for a thread it has to be quicker.
Not here: who waits for whom (`worker`).
"""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

REQUEST_SECONDS = 30.0
"""From the first byte of a request to its last: 20 MB arrive in that time over a line of 6 Mbit/s."""
STALLED_SECONDS = 10.0
"""The longest pause between two pieces of a request, or of a file that is not taken."""
HURRIED_SECONDS = 2.0
"""The same while others stand in line for a thread, and for any answer that is not taken."""
HURRIED_RATE = 8_000
"""Bytes a second that a request has to arrive with meanwhile, on average, once it was waited for HURRIED_SECONDS: what
any line of today carries. Apache (mod_reqtimeout, MinRate) asks for 500 at any time, Kestrel for 240; with so little,
a few kilobytes a second would hold every thread."""
HEADER_SECONDS = 10.0
"""From a connection, or the first byte of a further request on it, to the end of that request's header."""
LINGER_SECONDS = 2.0
"""How long a connection is kept after its last answer, so that the answer is not lost to a reset (RFC 9112, 9.6)."""
_LOOK_SECONDS = 0.5
_PIECE = 65_536


class PatientSocket(socket.socket):
    """A connection whose reads end at `deadline`; one that was not sent in time counts as reset by the client.

    `header` is what the poller has collected of the next request; `crowded` tells whether others stand in line for the
    thread that has it.
    """

    deadline = float("inf")
    discarded = 0

    def __init__(self, *arguments: Any, crowded: Callable[[], bool] = lambda: False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.header = bytearray()
        self.crowded = crowded
        self._received, self._waited = 0, 0.0

    def begin(self) -> bytes:
        """Let the time of the request begin whose header was collected, and hand that over."""
        header = bytes(self.header)
        self.header.clear()
        self.deadline = monotonic() + REQUEST_SECONDS
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
        """Read what has arrived. Raises ConnectionResetError when the client's time is over."""
        usual = self.gettimeout()
        if usual == 0:  # somebody only looks whether something is there
            return super().recv(size, flags)
        started, patience = monotonic(), STALLED_SECONDS if usual is None else usual
        try:
            while True:
                now = monotonic()
                if now >= self.deadline:
                    raise _reset("the client took too long to send its request")
                crowded = self.crowded()
                pause = min(patience, HURRIED_SECONDS) if crowded else patience
                left = min(self.deadline, started + pause) - now
                if left <= 0:
                    raise _reset("the client stopped sending")
                if crowded and self._is_slow(self._waited + now - started):
                    raise _reset("the client sends too slowly while others wait")
                self.settimeout(min(left, _LOOK_SECONDS))
                with suppress(TimeoutError):
                    piece = super().recv(size, flags)
                    self._received += len(piece)
                    return piece
        finally:
            self._waited += monotonic() - started
            self.settimeout(usual)

    def _is_slow(self, waited: float) -> bool:
        """Tell whether too little of the request has arrived in the seconds that were spent on waiting for it."""
        return waited > HURRIED_SECONDS and self._received < HURRIED_RATE * waited

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send an answer, which a client has as long to take as to send its request. Raises ConnectionResetError."""
        usual = self.gettimeout()
        left = memoryview(data).cast("B")
        started = moved = monotonic()
        try:
            while left:
                pause = HURRIED_SECONDS if self.crowded() else REQUEST_SECONDS
                seconds = min(started + REQUEST_SECONDS, moved + pause) - monotonic()
                if seconds <= 0:
                    raise _reset("the client did not take its answer")
                self.settimeout(min(seconds, _LOOK_SECONDS))
                with suppress(TimeoutError):
                    left = left[super().send(left, flags) :]
                    moved = monotonic()
        finally:
            self.settimeout(usual)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file, as long as the client goes on taking it. Raises ConnectionResetError."""
        usual = self.gettimeout()
        self.settimeout(STALLED_SECONDS)
        try:
            return super().sendfile(file, offset, count)
        except TimeoutError:
            raise _reset("the client stopped taking its file") from None
        finally:
            self.settimeout(usual)


def _reset(why: str) -> ConnectionResetError:
    """Return the error with its number: without it gunicorn takes it for a fault of its own, and logs a traceback."""
    return ConnectionResetError(errno.ECONNRESET, why)


class Watched:
    """Connections that the poller watches and no thread, each for the same time; too many, and the oldest has to go."""

    def __init__(self, poller: Any, seconds: float, most: int, end: Callable[[Any], None]) -> None:
        self._poller, self._seconds, self._most, self._end = poller, seconds, most, end
        self._until: dict[Any, float] = {}

    def add(self, connection: Any, readable: Callable[[Any], None]) -> None:
        """Watch a connection; `readable` is called with it whenever something has arrived."""

        def told(_socket: socket.socket) -> None:
            if connection in self:  # or it was ended after the poller had seen it
                readable(connection)

        connection.sock.setblocking(False)
        self._poller.register(connection.sock, selectors.EVENT_READ, told)
        self._until[connection] = monotonic() + self._seconds
        if len(self._until) > self._most:
            self.drop(next(iter(self._until)))

    def __contains__(self, connection: Any) -> bool:
        return connection in self._until

    def take(self, connection: Any) -> None:
        """Watch a connection no longer."""
        del self._until[connection]
        self._poller.unregister(connection.sock)

    def drop(self, connection: Any) -> None:
        """Watch a connection no longer, and end it."""
        self.take(connection)
        self._end(connection)

    def expire(self) -> None:
        """End those whose time is over."""
        now = monotonic()
        while self._until and self._until[oldest := next(iter(self._until))] <= now:
            self.drop(oldest)

    def hurry(self, seconds: float) -> None:
        """Leave all of them at most so many seconds."""
        until = monotonic() + seconds
        self._until = {connection: min(until, was) for connection, was in self._until.items()}
