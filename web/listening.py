"""Whether whoever asked still waits for the answer. Nobody tells a server: it has to look at the connection.

Not here: what is spared where nobody listens any more (`recommender.gate`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from recommender.gate import always

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def still_wanted(environ: WSGIEnvironment) -> Callable[[], bool]:
    """Return what tells whether the answer to this request, whose body has been read, is still wanted.

    gunicorn lends the socket; under another server nothing is known, so every answer is wanted.
    """
    connection = environ.get("gunicorn.socket")
    return always if connection is None else partial(_is_wanted, connection)


def _is_wanted(connection: socket.socket) -> bool:
    given_up: Callable[[], bool] = getattr(connection, "given_up", bool)
    return not given_up() and is_listening(connection)


def is_listening(connection: socket.socket) -> bool:
    """Tell whether the other end is there, without waiting and without taking anything from what it sent.

    A client that ended its side of the connection counts as gone, as it does for most servers and proxies.
    """
    usual = connection.gettimeout()
    connection.settimeout(0)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True  # there, and silent
    except OSError:
        return False
    finally:
        connection.settimeout(usual)
