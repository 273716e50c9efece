"""gunicorn's threaded worker, with patience that ends: a client has so long to send a request, however it trickles.

A thread waits for each request that is arriving. Without a limit a few clients that send a byte now and then would
take all of them. Not here: what is done with a request.
"""

from __future__ import annotations

import ctypes
import socket
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from recommender.images import reuse_memory

REQUEST_SECONDS = 30.0
"""From the first byte of a request to its last: 20 MB arrive in that time over a line of 6 Mbit/s."""
STALLED_SECONDS = 10.0
"""The longest pause between two pieces of a request."""


_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""What `mallopt` of the GNU C library calls these three settings (malloc.h)."""
_ARENAS = 2
_OWN_PAGES = 1_048_576
"""From so many bytes on, a block has pages of its own, which go back to the system with it. A usual picture, decoded
and as a network takes it, has fewer: to get pages for each anew would take as long as to decode it."""
_KEPT = 4_194_304
"""Bytes that stay at the free end of a heap for the next picture."""


def keep_memory_flat() -> None:
    """Let fifty threads share two heaps, and return at once what large pictures took.

    The GNU C library gives every thread a heap for itself, up to eight for each core, and keeps what was freed there:
    with 200 clients a server grew for minutes. Other C libraries have no such setting, and no such heaps.
    """
    reuse_memory()
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_ARENA_MAX, _ARENAS)
    mallopt(_MMAP_THRESHOLD, _OWN_PAGES)
    mallopt(_TRIM_THRESHOLD, _KEPT)


class PatientSocket(socket.socket):
    """A connection whose reads end at `deadline`; one that was not sent in time counts as reset by the client."""

    deadline = float("inf")

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read what has arrived. Raises ConnectionResetError when the client's time is over."""
        usual = self.gettimeout()
        if usual == 0:  # gunicorn only looks whether something is there
            return super().recv(size, flags)
        left = self.deadline - monotonic()
        if left <= 0:
            raise ConnectionResetError("the client took too long to send its request")
        self.settimeout(min(left, STALLED_SECONDS if usual is None else usual))
        try:
            return super().recv(size, flags)
        except TimeoutError:
            raise ConnectionResetError("the client stopped sending") from None
        finally:
            self.settimeout(usual)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """A threaded worker on PatientSockets."""

    def init_process(self) -> None:
        """Settle how memory is kept before the first thread is there."""
        keep_memory_flat()
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        """Take a new connection over before a thread is given to it."""
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket(fileno=conn.sock.detach())
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Answer the next request of a connection, whose time starts now."""
        conn.sock.deadline = monotonic() + REQUEST_SECONDS
        return super().handle(conn)
