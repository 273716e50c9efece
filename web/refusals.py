"""Answers to requests that never reach the application, as they go over the line, and what they are counted as.

Not here: when they are given (`worker`), and who counts them (`metrics`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

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
LONG_HEADER = _refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "long-header",
    "about:blank",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE.phrase,
    f"the header of a request may have {LONGEST_HEADER:,} bytes",
)
STOPPING = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "stopping",
    "/api/problems/busy",
    "Too much work at once",
    f"the server is stopping: try again in {RETRY_SECONDS} s",
    f"Retry-After: {RETRY_SECONDS}",
)
REFUSALS = (LINE_FULL, LONG_HEADER, STOPPING)
