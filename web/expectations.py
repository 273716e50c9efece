"""What a request has to be beyond what gunicorn asks of it, and when it is told to go on.

Not here: what whoever sends something else is told (`refusals`).
"""

from __future__ import annotations

from typing import Any

from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding

from web.patience import PatientSocket


def require_unambiguous(request: Any) -> None:
    """Raise InvalidHeader or UnsupportedTransferCoding for what gunicorn lets pass, and a server may not.

    A request of HTTP/1.1 names its host (RFC 9112, 3.2). A coding beside `chunked` is one that nobody here undoes
    (RFC 9112, 6.1).
    """
    if request.version >= (1, 1) and not any(name == "HOST" for name, _ in request.headers):
        raise InvalidHeader("HOST")
    for name, value in request.headers:
        if name == "TRANSFER-ENCODING" and value.strip(" \t").lower() != "chunked":
            raise UnsupportedTransferCoding(value)


def hold_back(request: Any, connection: PatientSocket) -> None:
    """Let a client that asks first be told to send its body only once somebody reads it (RFC 9110, 10.1.1).

    Until then the connection is one that ends after the answer: nobody can know whether the body will come.
    """
    connection.request = request
    connection.owes_continue = request._expected_100_continue
    if connection.owes_continue:
        request._expected_100_continue = False
        request.force_close()
