"""Answers to requests that never reach the application, as they go over the line, and what they are counted as.

Not here: when they are given (`worker`), and who counts them (`metrics`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

from gunicorn.http import errors

from web.patience import HEADER_SECONDS

LONGEST_HEADER = 65_536
"""The most bytes of the header of a request."""
RETRY_SECONDS = 5
"""When to try again whoever found the line full."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no. `reason` names it in a metric."""

    status: HTTPStatus
    reason: str
    answer: bytes


def _plain(status: HTTPStatus, reason: str, detail: str) -> Refusal:
    """Refuse with a kind of problem that is no more than its status (RFC 9457, 4.2.1)."""
    return _refusal(status, reason, "about:blank", status.phrase, detail)


def _refusal(status: HTTPStatus, reason: str, kind: str, title: str, detail: str, *headers: str) -> Refusal:
    """Put a problem document (RFC 9457) into an answer that ends the connection."""
    body = json.dumps({"type": kind, "title": title, "status": status.value, "detail": detail})
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    )
    return Refusal(status, reason, "\r\n".join((*lines, "", body)).encode("ascii"))


LINE_FULL = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "line-full",
    "/api/problems/busy",
    "Too much work at once",
    f"too many uploads are arriving at once: try again in {RETRY_SECONDS} s",
    f"Retry-After: {RETRY_SECONDS}",
)
LONG_HEADER = _plain(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "long-header",
    f"the header of a request may have {LONGEST_HEADER:,} bytes, and 100 lines of 8,190",
)
SLOW_HEADER = _refusal(
    HTTPStatus.REQUEST_TIMEOUT,
    "slow-header",
    "/api/problems/too-slow",
    "The request came too slowly",
    f"the header of a request has {HEADER_SECONDS:.0f} s to arrive",
)
STOPPING = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "stopping",
    "/api/problems/busy",
    "Too much work at once",
    f"the server is stopping: try again in {RETRY_SECONDS} s",
    f"Retry-After: {RETRY_SECONDS}",
)
OWN_MISTAKE = _refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal",
    "/api/problems/internal",
    "The server made a mistake",
    "something went wrong on the server and was logged: try again, or tell whoever runs it",
)
_BAD_LINE = _plain(
    HTTPStatus.BAD_REQUEST, "bad-line", "the first line of a request has a method, an address, and HTTP/1.1 or HTTP/1.0"
)
_BAD_HEADER = _plain(
    HTTPStatus.BAD_REQUEST,
    "bad-header",
    "a header of the request is malformed, contradicts another, is there twice, or is missing: "
    "HTTP/1.1 needs Host, and a body either Content-Length or Transfer-Encoding",
)
_BAD_BODY = _plain(HTTPStatus.BAD_REQUEST, "bad-body", "the body is not what Transfer-Encoding: chunked promises")
_LONG_LINE = _plain(
    HTTPStatus.REQUEST_URI_TOO_LONG, "long-line", "the first line of a request, with its address, may have 4,094 bytes"
)
_EXPECTATION = _plain(
    HTTPStatus.EXPECTATION_FAILED, "expectation", "of a server only 100-continue can be expected (the header Expect)"
)
_CODING = _plain(
    HTTPStatus.NOT_IMPLEMENTED, "coding", "a body comes as it is or in chunks: no other Transfer-Encoding is understood"
)
_BY_ERROR: tuple[tuple[tuple[type[Exception], ...], Refusal], ...] = (
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), OWN_MISTAKE),  # the families below have them too
    ((errors.InvalidRequestLine, errors.InvalidRequestMethod, errors.InvalidHTTPVersion), _BAD_LINE),
    ((errors.LimitRequestLine,), _LONG_LINE),
    ((errors.LimitRequestHeaders,), LONG_HEADER),
    (
        (
            errors.InvalidHeader,
            errors.InvalidHeaderName,
            errors.ObsoleteFolding,
            errors.InvalidSchemeHeaders,
            errors.ConfigurationProblem,  # a header SCRIPT_NAME that is none
        ),
        _BAD_HEADER,
    ),
    ((errors.InvalidChunkSize, errors.ChunkMissingTerminator, errors.InvalidChunkExtension), _BAD_BODY),
    ((errors.ExpectationFailed,), _EXPECTATION),
    ((errors.UnsupportedTransferCoding,), _CODING),
)
REFUSALS = (LINE_FULL, SLOW_HEADER, STOPPING, OWN_MISTAKE, *(refusal for _, refusal in _BY_ERROR[1:]))


def refusal_of(error: Exception) -> Refusal:
    """Return what is answered where a request could not be read; OWN_MISTAKE where that is not the client's."""
    return next((refusal for kinds, refusal in _BY_ERROR if isinstance(error, kinds)), OWN_MISTAKE)
