"""gunicorn's threaded worker, where a thread goes to requests and not to connections.

A connection gets no thread before the header of a request has arrived, which the poller collects, and has none any more
once its answer is made: the poller sends what the client does not take at once. Requests with a body have threads of
their own, so that however many trickle theirs, a page or /healthz finds a thread. Not here: how long a client may take
(`patience`, `waiting`), and what is done with a request.
"""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from web.patience import HEADER_SECONDS, LINGER_SECONDS, PatientSocket
from web.refusals import LINE_FULL, LONG_HEADER, LONGEST_HEADER, Refusal
from web.waiting import MOST_UNSENT, Unsent, Watched

WRITTEN_FOR = "27.0.1"
"""The release of gunicorn whose methods are overridden here: none of them is promised to stay as it is."""
PAGE_THREADS = 16
"""Threads for requests without a body, beside those that gunicorn is told of."""
CONNECTIONS = 2_048
"""The most connections of a worker; fewer where the system allows fewer open files."""
BODY_LINE = 128
"""How many requests with a body may stand in line for a thread before the next is refused."""
_OWN_FILES = 256
"""Files that the rest of a worker may have open."""
_SPARE_CONNECTIONS = 64
_LONGEST_FAREWELL = 262_144
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:(?![ \t]*0+[ \t]*\r\n)", re.IGNORECASE)


def connections_that_fit() -> int:
    """Return how many connections a worker may hold, having raised the number of files that it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(_OWN_FILES, min(CONNECTIONS, soft - _OWN_FILES))


@dataclass(eq=False, slots=True)
class Line:
    """Threads for one kind of request; `requests` are those that they answer, and those that stand in line for them."""

    pool: Executor
    threads: int
    requests: int = 0

    def is_crowded(self) -> bool:
        """Tell whether a request waits for a thread."""
        return self.requests > self.threads


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """A threaded worker on PatientSockets, whose poller collects headers. All but `handle` runs in the main thread.

    `refused` is told of each refusal that the poller gives; until it is set, nobody is.
    """

    refused: Callable[[Refusal], None] | None = None

    def get_thread_pool(self) -> Executor:
        """Return the threads for requests without a body."""
        return ThreadPoolExecutor(PAGE_THREADS)

    def run(self) -> None:
        """Answer until a signal comes."""
        self._arriving = Watched(self.poller, HEADER_SECONDS, self.worker_connections // 2, self._end)
        self._leaving = Watched(self.poller, LINGER_SECONDS, self.worker_connections // 4, self._end)
        self._unsent = Unsent(self.poller, MOST_UNSENT, self._end)
        self._pages = Line(self.tpool, PAGE_THREADS)
        self._bodies = Line(ThreadPoolExecutor(self.cfg.threads), self.cfg.threads)
        super().run()
        self._bodies.pool.shutdown(wait=False, cancel_futures=True)

    def murder_keepalived(self, force: bool = False) -> None:
        """End what was kept for a next request for long enough, and the oldest of it where room gets scarce."""
        excess = self.nr_conns - self.worker_connections + _SPARE_CONNECTIONS
        for conn in islice(self.keepalived_conns, max(0, excess)):
            conn.timeout = 0.0
        super().murder_keepalived(force)

    def enqueue_req(self, conn: Any) -> None:
        """Collect the header of the next request of a connection; gunicorn would give it a thread now."""
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket(fileno=conn.sock.detach())
        if conn.parser is not None:  # a client may have sent its next request before it got an answer
            conn.sock.header += conn.parser.unreader.take_buffered()
        if not self._dispatched(conn):
            self._arriving.add(conn, self._collect)

    def handle(self, conn: Any) -> Any:
        """Answer the next request of a connection, whose time starts now."""
        header = conn.sock.begin()
        conn.init()
        conn.parser.unreader.unread(header)
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
        self._unsent.expire()

    def _cap_keepalive(self, deadline: float) -> None:
        """Leave those that may be sending a request a moment when the worker is told to stop."""
        super()._cap_keepalive(deadline)
        self._arriving.hurry(deadline - monotonic())

    def _collect(self, conn: Any) -> None:
        piece = conn.sock.arrived()
        if piece is None:
            return
        conn.sock.header += piece
        if not piece:
            self._arriving.drop(conn)
        elif not self._dispatched(conn) and len(conn.sock.header) > LONGEST_HEADER:
            self._arriving.take(conn)
            self._refuse(conn, LONG_HEADER)

    def _dispatched(self, conn: Any) -> bool:
        """Give a request whose header is complete to a thread, or refuse it where too many stand in line for one."""
        header = conn.sock.header
        while header[:2] == b"\r\n":  # allowed before a request (RFC 9112, 2.2)
            del header[:2]
        end = header.find(b"\r\n\r\n")
        if end < 0:
            return False
        if conn in self._arriving:
            self._arriving.take(conn)
        line = self._bodies if _BODY.search(header, 0, end + 2) else self._pages
        if line is self._bodies and line.requests >= line.threads + BODY_LINE:
            self._refuse(conn, LINE_FULL)
        else:
            line.requests += 1
            conn.sock.crowded = line.is_crowded
            done = line.pool.submit(self.handle, conn)
            done.add_done_callback(lambda done: self.method_queue.defer(self._handled, line, conn, done))
        return True

    def _handled(self, line: Line, conn: Any, done: Future[Any]) -> None:
        line.requests -= 1
        if conn.sock.unsent:
            self._unsent.add(conn, partial(self.finish_request, conn, done))
        else:
            self.finish_request(conn, done)

    def _refuse(self, conn: Any, refusal: Refusal) -> None:
        """Send a refusal, as far as it goes at once, and let the client go."""
        conn.sock.setblocking(False)
        with suppress(OSError):
            conn.sock.send(refusal.answer)
        if self.refused:
            self.refused(refusal)
        self._let_go(conn)

    def _let_go(self, conn: Any) -> None:
        """End our side of a connection, and close it once the client has ended its own."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._leaving.add(conn, self._discard)
        except (OSError, ValueError):
            self._end(conn)

    def _discard(self, conn: Any) -> None:
        piece = conn.sock.arrived()
        if piece is None:
            return
        conn.sock.discarded += len(piece)
        if not piece or conn.sock.discarded > _LONGEST_FAREWELL:
            self._leaving.drop(conn)

    def _end(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
