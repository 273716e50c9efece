"""gunicorn's threaded worker, where a thread goes to requests and not to connections, and patience ends.

A connection gets no thread before the header of a request has arrived: the poller collects it. Requests with a body
have threads of their own, so that however many trickle theirs, a page or /healthz finds a thread. A client has so long
to send a request and to take its answer. Not here: what is done with a request.
"""

from __future__ import annotations

import ctypes
import errno
import re
import resource
import selectors
import socket
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from recommender.images import reuse_memory

REQUEST_SECONDS = 30.0
"""From the first byte of a request to its last: 20 MB arrive in that time over a line of 6 Mbit/s."""
STALLED_SECONDS = 10.0
"""The longest pause between two pieces of a request, or of a long answer that is not taken."""
HURRIED_SECONDS = 2.0
"""The same while others stand in line for a thread to send their body to."""
HEADER_SECONDS = 10.0
"""From a connection, or the first byte of a further request on it, to the end of that request's header."""
LINGER_SECONDS = 2.0
"""How long a connection is kept after its last answer, so that the answer is not lost to a reset (RFC 9112, 9.6)."""
PAGE_THREADS = 16
"""Threads for requests without a body, beside those that gunicorn is told of."""
CONNECTIONS = 2_048
"""The most connections of a worker; fewer where the system allows fewer open files."""
BODY_LINE = 128
"""How many requests with a body may stand in line for a thread before the next is refused."""
_OWN_FILES = 256
"""Files that the rest of a worker may have open."""
_SPARE_CONNECTIONS = 64
_LONGEST_HEADER = 65_536
_LONGEST_FAREWELL = 262_144
_LOOK_SECONDS = 0.5
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:(?![ \t]*0+[ \t]*\r\n)", re.IGNORECASE)
_BUSY = (
    b'{"type": "/api/problems/busy", "title": "Too much work at once", "status": 503, '
    b'"detail": "too many uploads are arriving at once: try again in 5 s"}'
)
_CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_BUSY), _BUSY)
)
_LONG_HEADER = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


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
    """A connection whose reads end at `deadline`; one that was not sent in time counts as reset by the client.

    `header` is what the poller has collected of the next request; `crowded` tells whether others stand in line.
    """

    deadline = float("inf")
    discarded = 0

    def __init__(self, *arguments: Any, crowded: Callable[[], bool] = lambda: False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.header = bytearray()
        self._crowded = crowded

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
                pause = min(patience, HURRIED_SECONDS) if self._crowded() else patience
                left = min(self.deadline, started + pause) - now
                if left <= 0:
                    raise _reset("the client stopped sending")
                self.settimeout(min(left, _LOOK_SECONDS))
                with suppress(TimeoutError):
                    return super().recv(size, flags)
        finally:
            self.settimeout(usual)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send an answer, which a client has as long to take as to send its request. Raises ConnectionResetError."""
        usual = self.gettimeout()
        self.settimeout(REQUEST_SECONDS)
        try:
            super().sendall(data, flags)
        except TimeoutError:
            raise _reset("the client did not take its answer") from None
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


def connections_that_fit() -> int:
    """Return how many connections a worker may hold, having raised the number of files that it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(_OWN_FILES, min(CONNECTIONS, soft - _OWN_FILES))


class Watched:
    """Connections that the poller watches and no thread, each for the same time; too many, and the oldest has to go."""

    def __init__(self, poller: Any, seconds: float, most: int, end: Callable[[Any], None]) -> None:
        self._poller, self._seconds, self._most, self._end = poller, seconds, most, end
        self._until: dict[Any, float] = {}

    def add(self, connection: Any, readable: Callable[[Any, Any], None]) -> None:
        """Watch a connection; `readable` is called with it whenever something has arrived."""
        connection.sock.setblocking(False)
        self._poller.register(connection.sock, selectors.EVENT_READ, partial(readable, connection))
        self._until[connection] = monotonic() + self._seconds
        if len(self._until) > self._most:
            self._drop(next(iter(self._until)))

    def __contains__(self, connection: Any) -> bool:
        return connection in self._until

    def take(self, connection: Any) -> None:
        """Watch a connection no longer."""
        del self._until[connection]
        self._poller.unregister(connection.sock)

    def expire(self) -> None:
        """End those whose time is over."""
        now = monotonic()
        while self._until and self._until[oldest := next(iter(self._until))] <= now:
            self._drop(oldest)

    def hurry(self, seconds: float) -> None:
        """Leave all of them at most so many seconds."""
        until = monotonic() + seconds
        self._until = {connection: min(until, was) for connection, was in self._until.items()}

    def _drop(self, connection: Any) -> None:
        self.take(connection)
        self._end(connection)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """A threaded worker on PatientSockets, whose poller collects headers. All but `handle` runs in the main thread."""

    def init_process(self) -> None:
        """Settle how memory is kept before the first thread is there."""
        keep_memory_flat()
        super().init_process()

    def get_thread_pool(self) -> Executor:
        """Return the threads for requests without a body."""
        return ThreadPoolExecutor(PAGE_THREADS)

    def run(self) -> None:
        """Answer until a signal comes."""
        self._arriving = Watched(self.poller, HEADER_SECONDS, self.worker_connections // 2, self._end)
        self._leaving = Watched(self.poller, LINGER_SECONDS, self.worker_connections // 4, self._end)
        self._readers = ThreadPoolExecutor(self.cfg.threads)
        self._bodies = 0
        super().run()
        self._readers.shutdown(wait=False, cancel_futures=True)

    def murder_keepalived(self, force: bool = False) -> None:
        """End what was kept for a next request for long enough, and the oldest of it where room gets scarce."""
        excess = self.nr_conns - self.worker_connections + _SPARE_CONNECTIONS
        for conn in islice(self.keepalived_conns, max(0, excess)):
            conn.timeout = 0.0
        super().murder_keepalived(force)

    def enqueue_req(self, conn: Any) -> None:
        """Collect the header of the next request of a connection; gunicorn would give it a thread now."""
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket(fileno=conn.sock.detach(), crowded=self._crowded)
        if conn.parser is not None:  # a client may have sent its next request before it got an answer
            conn.sock.header += conn.parser.unreader.take_buffered()
        if not self._dispatched(conn):
            self._arriving.add(conn, self._collect)

    def handle(self, conn: Any) -> Any:
        """Answer the next request of a connection, whose time starts now."""
        conn.sock.deadline = monotonic() + REQUEST_SECONDS
        conn.sock.setblocking(True)
        conn.init()
        conn.parser.unreader.unread(bytes(conn.sock.header))
        conn.sock.header.clear()
        return super().handle(conn)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep a connection for its next request, or let it go; gunicorn would wait here until the client has gone."""
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._let_go(conn)

    def murder_pending(self) -> None:
        """End what has been watched for long enough; called once a second, and after whatever happened."""
        self._arriving.expire()
        self._leaving.expire()

    def _cap_keepalive(self, deadline: float) -> None:
        """Leave those that may be sending a request a moment when the worker is told to stop."""
        super()._cap_keepalive(deadline)
        self._arriving.hurry(deadline - monotonic())

    def _collect(self, conn: Any, _socket: socket.socket) -> None:
        if conn not in self._arriving:  # it was ended after the poller had seen it
            return
        header = conn.sock.header
        try:
            piece = conn.sock.recv(_LONGEST_HEADER)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        header += piece
        if not piece:
            self._arriving.take(conn)
            self._end(conn)
        elif self._dispatched(conn, watched=True):
            return
        elif len(header) > _LONGEST_HEADER:
            self._arriving.take(conn)
            self._refuse(conn, _LONG_HEADER)

    def _dispatched(self, conn: Any, *, watched: bool = False) -> bool:
        """Give a request whose header is complete to a thread, or refuse it where too many stand in line for one."""
        header = conn.sock.header
        while header[:2] == b"\r\n":  # allowed before a request (RFC 9112, 2.2)
            del header[:2]
        end = header.find(b"\r\n\r\n")
        if end < 0:
            return False
        if watched:
            self._arriving.take(conn)
        if not _BODY.search(header, 0, end + 2):
            self._submit(self.tpool, conn, self.finish_request)
        elif self._bodies < self.cfg.threads + BODY_LINE:
            self._bodies += 1
            self._submit(self._readers, conn, self._finish_body)
        else:
            self._refuse(conn, _CROWDED)
        return True

    def _submit(self, pool: Executor, conn: Any, finish: Callable[[Any, Future[Any]], None]) -> None:
        pool.submit(self.handle, conn).add_done_callback(lambda done: self.method_queue.defer(finish, conn, done))

    def _finish_body(self, conn: Any, done: Future[Any]) -> None:
        self._bodies -= 1
        self.finish_request(conn, done)

    def _crowded(self) -> bool:
        return bool(self._bodies > self.cfg.threads)

    def _refuse(self, conn: Any, answer: bytes) -> None:
        """Send a short answer, as far as it goes at once, and let the client go."""
        conn.sock.setblocking(False)
        with suppress(OSError):
            conn.sock.send(answer)
        self._let_go(conn)

    def _let_go(self, conn: Any) -> None:
        """End our side of a connection, and close it once the client has ended its own."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._leaving.add(conn, self._discard)
        except (OSError, ValueError):
            self._end(conn)

    def _discard(self, conn: Any, _socket: socket.socket) -> None:
        if conn not in self._leaving:
            return
        try:
            count = len(conn.sock.recv(_LONGEST_HEADER))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        conn.sock.discarded += count
        if not count or conn.sock.discarded > _LONGEST_FAREWELL:
            self._leaving.take(conn)
            self._end(conn)

    def _end(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
