"""The headers that every answer carries: what a browser may do with a page of ours, which is very little."""

from __future__ import annotations

from flask import Flask, Response

# No inline script or style anywhere; `data:` and `blob:` are the previews of a picture that is stored nowhere.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def register(app: Flask) -> None:
    """Add the headers to every answer of `app`."""
    app.after_request(add_headers)


def add_headers(response: Response) -> Response:
    """Add the headers to an answer."""
    response.headers.update(HEADERS)
    return response
