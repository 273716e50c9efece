"""Connections that no thread has: the poller watches them, for so long, and so many of them.

Not here: what is done with them (`worker`), and how long a client may take (`patience`).
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from web.patience import HURRIED_RATE, REQUEST_SECONDS, STALLED_SECONDS

MOST_BYTES = 64_000_000
"""The most bytes of answers that a worker keeps for clients that have not taken them."""
_LOOK_SECONDS = 0.5


class Watched:
    """Connections that the poller watches and no thread, each for the same time; too many, and the oldest has to go.

    `end` is called with who has to go, `late` (or `end`) with whose time is over.
    """

    def __init__(
        self,
        poller: Any,
        seconds: float,
        most: int,
        end: Callable[[Any], None],
        late: Callable[[Any], None] | None = None,
    ) -> None:
        self._poller, self._seconds, self._most, self._end = poller, seconds, most, end
        self._late = late or end
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

    def drop_oldest(self) -> bool:
        """End the one that is watched for the longest time; tell whether there was one."""
        for connection in self._until:
            self.drop(connection)
            return True
        return False

    def expire(self) -> None:
        """End those whose time is over."""
        now = monotonic()
        while self._until and self._until[oldest := next(iter(self._until))] <= now:
            self.take(oldest)
            self._late(oldest)

    def hurry(self, seconds: float) -> None:
        """Leave all of them at most so many seconds."""
        until = monotonic() + seconds
        self._until = {connection: min(until, was) for connection, was in self._until.items()}


@dataclass(slots=True)
class _Rest:
    """What is unsent of an answer: bytes, when it has to be out, when some of it was taken last, what comes then."""

    left: int
    until: float
    moved: float
    then: Callable[[], None]


class Unsent:
    """Answers that were not taken at once: the poller sends what is left of them, and no thread waits for it.

    Whoever takes nothing for STALLED_SECONDS is let go, and whoever takes less than HURRIED_RATE on the whole. Where
    there are more than `most` of them, or all come to more than `most_bytes`, those go first who took nothing for the
    longest time.
    """

    def __init__(self, poller: Any, most: int, end: Callable[[Any], None], most_bytes: int = MOST_BYTES) -> None:
        self._poller, self._most, self._end, self._most_bytes = poller, most, end, most_bytes
        self._rests: dict[Any, _Rest] = {}
        self._bytes, self._looked = 0, 0.0

    def add(self, connection: Any, then: Callable[[], None]) -> None:
        """Send the rest of an answer; `then` is called once it is out."""
        left = sum(map(len, connection.sock.unsent))
        now = monotonic()
        try:
            connection.sock.setblocking(False)
            self._poller.register(connection.sock, selectors.EVENT_WRITE, lambda _socket: self._send(connection))
        except (OSError, ValueError):  # it was closed
            self._end(connection)
            return
        self._rests[connection] = _Rest(left, now + REQUEST_SECONDS + left / HURRIED_RATE, now, then)
        self._bytes += left
        while len(self._rests) > self._most or self._bytes > self._most_bytes:
            self._drop(next(iter(self._rests)))

    def expire(self) -> None:
        """End those who take their answers too slowly, or not at all."""
        now = monotonic()
        if now < self._looked + _LOOK_SECONDS:
            return
        self._looked = now
        for connection, rest in list(self._rests.items()):
            if now >= min(rest.until, rest.moved + STALLED_SECONDS):
                self._drop(connection)

    def _send(self, connection: Any) -> None:
        rest = self._rests.get(connection)
        if rest is None:  # it was ended after the poller had seen it
            return
        try:
            taken = connection.sock.send_on()
        except OSError:
            self._drop(connection)
            return
        if not connection.sock.unsent:
            self._take(connection)
            rest.then()
        elif taken:
            rest.left, rest.moved = rest.left - taken, monotonic()
            self._bytes -= taken
            self._rests[connection] = self._rests.pop(connection)  # the last to go

    def _take(self, connection: Any) -> None:
        self._bytes -= self._rests.pop(connection).left
        self._poller.unregister(connection.sock)

    def _drop(self, connection: Any) -> None:
        self._take(connection)
        connection.sock.unsent.clear()
        self._end(connection)
