"""gunicorn's threaded worker, where a thread goes to requests and not to connections.

A connection gets no thread before the header of a request has arrived, which the poller collects, and has none any more
once its answer is made: the poller sends what the client does not take at once. Requests with a body have threads of
their own, so that however many trickle theirs, a page or /healthz finds a thread. Not here: how long a client may take
(`patience`, `waiting`), and what is done with a request.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from web.expectations import hold_back, require_unambiguous
from web.limits import OUT_OF_FILES
from web.notes import Notes
from web.patience import HEADER_SECONDS, LINGER_SECONDS, PatientSocket
from web.refusals import (
    LINE_FULL,
    LONG_HEADER,
    LONGEST_HEADER,
    OWN_MISTAKE,
    SLOW_HEADER,
    STOPPING,
    Refusal,
    refusal_of,
)
from web.waiting import Unsent, Watched

WRITTEN_FOR = "27.0.1"
"""The release of gunicorn whose methods are overridden here: none of them is promised to stay as it is."""
PAGE_THREADS = 16
"""Threads for requests without a body, beside those that gunicorn is told of."""
BODY_LINE = 128
"""How many requests with a body may stand in line for a thread before the next is refused; fewer with few files."""
STOP_SECONDS = 8.0
"""How long a worker that is told to stop lets requests take that have begun."""
LAST_SECONDS = 1.0
"""How long after that who still stands in line may take to be refused; then the worker ends whatever is left."""
HELD_BACK = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1))
"""Signals that whoever forks a worker blocks meanwhile: it hears of them once it has handlers of its own."""
_SPARE_CONNECTIONS = 64
"""How many connections are kept free where that is possible, for those who come next."""
_DEAF_SECONDS = 1.0
_HASTE_SECONDS = 0.2
_LONGEST_FAREWELL = 262_144
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:(?![ \t]*0+[ \t]*\r\n)", re.IGNORECASE)


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
    """A threaded worker on PatientSockets, whose poller collects headers.

    Requests are handled by threads; all else runs in the main one.

    `refused` is told of each answer that the application has no part in; until it is set, nobody is.
    """

    refused: Callable[[Refusal], None] | None = None

    def get_thread_pool(self) -> Executor:
        """Return the threads for requests without a body."""
        return ThreadPoolExecutor(PAGE_THREADS)

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Let a worker have more threads than connections: where it may open few files, most of its threads idle."""

    def init_signals(self) -> None:
        """Leave SIGHUP ignored where it is; elsewhere it stops a worker as SIGTERM does.

        Then what came since the fork is heard: until here it would have gone to the handlers of the arbiter.
        """
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else self.handle_exit)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop in order, and at once where that has begun: a terminal sends Ctrl-C to every process of a server."""
        if not self.alive:
            os._exit(0)
        self.handle_exit(sig, frame)

    def run(self) -> None:
        """Answer until a signal comes, finish what has begun, and leave the process."""
        self._arriving = Watched(self.poller, HEADER_SECONDS, self.worker_connections // 2, self._end, self._late)
        self._leaving = Watched(self.poller, LINGER_SECONDS, self.worker_connections // 8, self._end)
        self._unsent = Unsent(self.poller, self.worker_connections // 8, self._end)
        self._pages = Line(self.tpool, PAGE_THREADS)
        self._bodies = Line(ThreadPoolExecutor(self.cfg.threads), self.cfg.threads)
        self._most_bodies = min(self._bodies.threads + BODY_LINE, self.worker_connections // 2)
        self._spare = min(_SPARE_CONNECTIONS, self.worker_connections // 4)
        self.max_keepalived = self.worker_connections - self._spare
        self._deaf_until = 0.0
        self._notes = Notes(self.log.warning)
        self._given_up = False
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        while self.alive and self.is_parent_alive():
            may_accept = self.nr_conns < self.worker_connections and monotonic() >= self._deaf_until
            self.set_accept_enabled(may_accept)
            self._turn()
        self._refuse_connections()
        self._finish()
        # Nobody waits for an answer any more: a thread that still makes one would only hold up the end.
        os._exit(0)

    def _turn(self) -> None:
        """Do what is to be done now, or within a second."""
        self.notify()
        self.wait_for_and_dispatch_events(timeout=1.0 if self.alive else _HASTE_SECONDS)
        self.murder_keepalived()
        self.murder_pending()
        while self.nr_conns > self.worker_connections - self._spare and self._one_gave_way():
            pass

    def _refuse_connections(self) -> None:
        """Take those that are connected already, and close our side: whoever comes now is refused at once."""
        self.alive = False
        self.set_accept_enabled(True)
        self.set_accept_enabled(False)
        for listener in self.sockets:
            before = -1
            while before < self.nr_conns:
                before = self.nr_conns
                self.accept(listener)
            listener.close()

    def _finish(self) -> None:
        """Answer what has begun, for so long; then refuse those that still wait for a thread or for the model."""
        now = monotonic()
        self._cap_keepalive(now + STOP_KEEPALIVE_LINGER)
        self._arriving.hurry(STOP_KEEPALIVE_LINGER)
        while self.nr_conns and monotonic() < now + STOP_SECONDS:
            self._turn()
        self._given_up = True
        for line in (self._pages, self._bodies):
            line.pool.shutdown(wait=False, cancel_futures=True)
        while self.nr_conns and monotonic() < now + STOP_SECONDS + LAST_SECONDS:
            self._turn()

    def accept(self, listener: Any) -> None:
        """Take a new connection. Where no more files may be opened, the oldest of those that wait makes room."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in OUT_OF_FILES:
                raise
            self._notes.add("No more open files: the oldest connections that wait give way (`ulimit -n` has the limit)")
            if not self._one_gave_way():
                self._deaf_until = monotonic() + _DEAF_SECONDS

    def _one_gave_way(self) -> bool:
        """End a connection that waits, the oldest of those that are missed least; tell whether there was one."""
        return self._leaving.drop_oldest() or self._end_kept() or self._arriving.drop_oldest()

    def _end_kept(self) -> bool:
        """End the connection that was kept for its next request for the longest time; tell whether there was one."""
        for conn in islice(self.keepalived_conns, 1):
            conn.timeout = 0.0
            self.murder_keepalived()
            return True
        return False

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

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose header gunicorn has understood."""
        require_unambiguous(req)
        hold_back(req, conn.sock)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Refuse a request that could not be read, unless its answer has begun; what is our fault is logged in full."""
        del req
        refusal = refusal_of(exc)
        if refusal is OWN_MISTAKE:
            self.log.error("Error handling a request of %s", addr, exc_info=exc)
        else:
            self._notes.add(f"Refused a request of {addr[0]} with {refusal.status.value}: {exc}")
        if not client.answered:
            with suppress(OSError):
                client.sendall(refusal.answer)
            if self.refused:
                self.refused(refusal)

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
        self._notes.look()

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
        if line is self._bodies and line.requests >= self._most_bodies:
            self._refuse(conn, LINE_FULL)
        else:
            line.requests += 1
            conn.sock.given_up = lambda: self._given_up
            conn.sock.crowded = lambda: line.is_crowded() or not self.alive
            done = line.pool.submit(self.handle, conn)
            done.add_done_callback(lambda done: self.method_queue.defer(self._handled, line, conn, done))
        return True

    def _handled(self, line: Line, conn: Any, done: Future[Any]) -> None:
        line.requests -= 1
        if done.cancelled():
            self._refuse(conn, STOPPING)
        elif conn.sock.unsent:
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

    def _late(self, conn: Any) -> None:
        """End a connection whose header did not arrive in time; whoever had begun to send one is told."""
        if conn.sock.header:
            self._refuse(conn, SLOW_HEADER if self.alive else STOPPING)
        else:
            self._end(conn)

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
