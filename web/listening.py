"""Whether whoever asked still waits for the answer. Nobody tells a server: it has to look at the connection.

Not here: what is spared where nobody listens any more (`recommender.gate`).
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from recommender.gate import always
from web.patience import PatientSocket

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

    A client that ended its side may have hung up, or only have said that nothing more will come: both look the same
    until something is sent to it. So it is sent an interim answer, once, which every client of HTTP/1.1 passes over
    (RFC 9110, 15.2); whoever hung up resets the connection then. One of HTTP/1.0 counts as gone.
    """
    usual = connection.gettimeout()
    connection.settimeout(0)
    try:
        if connection.recv(1, socket.MSG_PEEK):
            return True
        return isinstance(connection, PatientSocket) and connection.asked() and not _is_reset(connection)
    except BlockingIOError:
        return True  # there, and silent
    except OSError:
        return False
    finally:
        connection.settimeout(usual)


def _is_reset(connection: socket.socket) -> bool:
    """Tell whether both directions of a connection are closed."""
    poll = select.poll()
    poll.register(connection, 0)  # a hang-up is told unasked
    return bool(poll.poll(0))
