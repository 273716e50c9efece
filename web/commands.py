"""The command `sokkuri serve`: gunicorn with threads, started from here so that nothing has to be configured.

Nothing heavy is imported before the fork: FAISS, OpenVINO and torch start threads of their own, which a fork would
leave behind, and each worker builds its own application. Not here: the application (`create_app`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recommender.cli import home_option, settings_of
from recommender.errors import SettingError
from recommender.processor import available_cores
from recommender.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

SPARE_THREADS = 16
"""Threads for uploads beside those that wait for the model: for reading them, and for saying 503."""
BACKLOG = 256
MAX_PORT = 65_535
GUNICORN: dict[str, Any] = {
    "backlog": BACKLOG,
    "timeout": 60,  # a worker whose main thread is silent for so long is replaced
    "graceful_timeout": 12,  # a worker that is told to stop and has not ended by itself by then is killed
    "keepalive": 5,
    "loglevel": "warning",
    "accesslog": None,
    "control_socket_disable": True,  # it would open a socket in the user's home
}


@click.command(epilog="\b\nExamples:\n  sokkuri serve\n  sokkuri serve --host 0.0.0.0 --port 8080 --workers 2")
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at; :: is all of them.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, MAX_PORT), help="0 takes a free one.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
def serve(home: Path | None, host: str, port: int, workers: int) -> None:
    """Serve the page and the JSON interface until Ctrl-C or SIGTERM."""
    serve_at(listen(host, port), host, settings_of(home), workers)


def serve_at(listener: socket.socket, host: str, settings: Settings, workers: int = 1) -> None:
    """Serve at a socket until a signal comes, then leave the process; `host` is what it is called in the greeting."""
    settings = shared_among(workers, settings)
    shown = f"[{host}]" if ":" in host else host
    greeting = f"Sokkuri is at http://{shown}:{listener.getsockname()[1]} (Ctrl-C stops it)"
    run(partial(_load, settings), listener, {"workers": workers, "threads": threads_for(settings)}, greeting)


def threads_for(settings: Settings) -> int:
    """Return how many threads a worker needs so that a full line leaves some for the next upload."""
    return settings.queue + available_cores() + 1 + SPARE_THREADS


def shared_among(workers: int, settings: Settings) -> Settings:
    """Divide the cores among the workers where the settings leave it open: two on every core would thrash."""
    if settings.threads:
        return settings
    return replace(settings, threads=max(1, available_cores() // workers))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises SettingError, which names the next free port where this one is taken."""
    try:
        return _listener(host, port)
    except socket.gaierror as error:
        raise SettingError(f"there is no address {host!r} to listen at ({error.strerror})") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(f"port {port} is in use: {_suggestion(host, port)}") from None
        if error.errno == errno.EACCES:
            raise SettingError(f"port {port} needs a privilege that this user lacks: try --port 8000") from None
        raise SettingError(f"cannot listen at {host} port {port}: {error.strerror}") from None


def run(load: Callable[[], Flask], listener: socket.socket, size: dict[str, int], greeting: str) -> None:
    """Serve what `load` makes until a signal comes; then leave the process with exit status 0.

    `size` tells the number of `workers`, and of `threads` in each.
    """
    # gunicorn reads its class settings when it is imported, so this is for the process that serves, not for `web`.
    from gunicorn.app.base import BaseApplication

    from web.arbiter import PatientArbiter
    from web.limits import connections_that_fit
    from web.worker import PatientWorker

    connections = connections_that_fit()

    class Application(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
        """gunicorn without its command line and its configuration files."""

        def load_config(self) -> None:
            options = GUNICORN | size | {"worker_class": PatientWorker}
            options |= {"post_fork": _forked, "post_worker_init": _starter(greeting)}
            options["worker_connections"] = connections
            # The descriptor belongs to gunicorn from here on, which closes it once it has its own.
            options["bind"] = f"fd://{listener.detach()}"
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            return load()

        def run(self) -> None:
            PatientArbiter(self).run()

    Application().run()


def _load(settings: Settings) -> Flask:
    from web import create_app

    return create_app(settings)


def _forked(_server: Any, _worker: Any) -> None:
    """Settle how a worker keeps its memory, before its first thread is there."""
    from web.memory import keep_memory_flat

    keep_memory_flat()


def _starter(greeting: str) -> Callable[[Any], None]:
    """Return a hook for a worker that has loaded the application, which is to count what the worker refuses by itself.

    The first one greets, unless it was told to stop meanwhile; later ones stay silent.
    """

    def start(worker: Any) -> None:
        from web.wiring import wiring_of

        worker.refused = wiring_of(worker.wsgi).metrics.count_refusal
        if worker.age == 1 and worker.alive:
            click.echo(greeting, err=True)

    return start


def _listener(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # "::" is every address of the machine: those of IPv4 too, which otherwise only a setting of the system decides.
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)


def _suggestion(host: str, port: int) -> str:
    """Suggest the next port that is free; only the hundred after it are tried."""
    for candidate in range(port + 1, min(port + 100, MAX_PORT)):
        try:
            _listener(host, candidate).close()
        except OSError:
            continue
        return f"try --port {candidate}"
    return "choose another with --port"
