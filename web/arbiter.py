"""The process that watches over the workers, and what a signal means to it.

SIGTERM, Ctrl-C (SIGINT), SIGQUIT and SIGHUP end the server in order: nobody new is let in, and what has begun is
finished. Ctrl-C or SIGQUIT once more ends it at once. Under nohup SIGHUP stays ignored. Not here: how a worker ends.
"""

from __future__ import annotations

import signal
from typing import Any

from gunicorn.arbiter import Arbiter

from web.worker import HELD_BACK


class PatientArbiter(Arbiter):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's arbiter, which starts nothing anew on a signal: it was started from here, with a socket of ours."""

    def init_signals(self) -> None:
        """Leave SIGHUP ignored where whoever started the server wanted that."""
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def spawn_worker(self) -> Any:
        """Start a worker, to which no signal is lost that comes before it can hear it: it is told once it can."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def handle_hup(self) -> None:
        """End in order: the terminal is gone."""
        self.handle_term()

    def handle_int(self) -> None:
        """End in order; `stop` looks whether it comes again."""
        self.handle_term()

    def handle_quit(self) -> None:
        """End in order; `stop` looks whether it comes again."""
        self.handle_term()

    def handle_usr2(self) -> None:
        """Do nothing: the program cannot be replaced while it serves."""
