"""Errors on their way out: a problem document (RFC 9457) under /api, a page elsewhere, one sentence in both.

Not here: the errors (`recommender.errors`). What the server itself got wrong is logged and never shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Flask, Response, current_app, json, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from recommender.errors import (
    Abandoned,
    Busy,
    CatalogueVersion,
    Conflict,
    Corrupt,
    InvalidImage,
    InvalidQuery,
    JobsUnusable,
    ModelError,
    NoRoom,
    NoSnapshot,
    NotFound,
    SettingError,
    SnapshotError,
    SokkuriError,
    SpaceMismatch,
    TooLarge,
    TooSmall,
    UnknownLibrary,
    UnsupportedFormat,
)

RETRY_SECONDS = 5
"""When to look again whether a model and a snapshot were published."""
INTERNAL = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error. `meaning` is what its own page says about it."""

    name: str
    status: int
    title: str
    meaning: str

    @property
    def address(self) -> str:
        """What names the kind in a problem document, and where it is explained."""
        return f"/api/problems/{self.name}"


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("bad-request", 400, "The request is wrong", "Its body is not what the address expects."),
        Problem("bad-parameter", 400, "A parameter is wrong", "A name or a value in the query string makes no sense."),
        Problem("unreadable-picture", 400, "The picture cannot be read", "It is empty, damaged, cut off or tiny."),
        Problem("unauthorized", 401, "A token is needed", "Whoever runs the server has set it and can tell it."),
        Problem("not-found", 404, "There is no such thing", "The address is wrong, or what it named was removed."),
        Problem("method-not-allowed", 405, "The method is not possible here", "The header Allow lists those that are."),
        Problem("too-slow", 408, "The request came too slowly", "It, or a pause in it, took longer than is waited."),
        Problem(
            "conflict", 409, "This does not go with what is there", "Another job is at work, or this one has ended."
        ),
        Problem("too-large", 413, "The picture is too large", "It has more bytes or pixels than are accepted."),
        Problem(
            "unsupported-format",
            415,
            "The format is not supported",
            "Pictures are JPEG, PNG, WebP, GIF or BMP; the rest is JSON.",
        ),
        Problem("wrong-shape", 422, "The JSON has the wrong shape", "/api/docs says what the address expects."),
        Problem(
            "unknown-library", 422, "The library is not known here", "Only what was indexed here before is let in."
        ),
        Problem("internal", 500, "The server made a mistake", "It is in the server's log. Trying again may help."),
        Problem("busy", 503, "Too much work at once", "The header Retry-After says when to try again."),
        Problem("no-jobs", 503, "Jobs cannot be had", "Whoever runs the server has to look at jobs.db in its home."),
        Problem(
            "damaged",
            503,
            "What was published is damaged",
            "Whoever runs the server has to make anew, or restore from a copy, what the sentence names.",
        ),
        Problem("no-model", 503, "The model cannot be used", "Whoever runs the server has to train or install one."),
        Problem(
            "catalogue-version",
            503,
            "The catalogue is that of another version",
            "Whoever runs the server has to upgrade the catalogue where it is older, and Sokkuri where it is newer.",
        ),
        Problem("no-room", 503, "The disk is full", "Whoever runs the server has to make room on it."),
        Problem(
            "no-catalogue",
            503,
            "The catalogue cannot be used",
            "Whoever runs the server has to see to it that the catalogue can be reached and its folder be written to.",
        ),
        Problem(
            "space-mismatch",
            503,
            "Snapshot and model do not fit",
            "Whoever runs the server has to index the pictures with the model that is to answer.",
        ),
        Problem(
            "no-snapshot", 503, "There is nothing to answer from", "Whoever runs the server has to index pictures."
        ),
    )
}
# The first family that fits counts, so a special error stands above its family.
_FAMILIES: tuple[tuple[type[SokkuriError], str], ...] = (
    (TooLarge, "too-large"),
    (UnsupportedFormat, "unsupported-format"),
    (TooSmall, "unreadable-picture"),
    (InvalidImage, "unreadable-picture"),
    (InvalidQuery, "bad-parameter"),
    (SettingError, "bad-parameter"),
    (UnknownLibrary, "unknown-library"),
    (Conflict, "conflict"),
    (JobsUnusable, "no-jobs"),
    (NotFound, "not-found"),
    (Busy, "busy"),
    (Abandoned, "busy"),  # nobody reads it
    (ModelError, "no-model"),
    (Corrupt, "damaged"),
    (CatalogueVersion, "catalogue-version"),
    (NoRoom, "no-room"),
    (SpaceMismatch, "space-mismatch"),
    (NoSnapshot, "no-snapshot"),
    (SnapshotError, "no-catalogue"),
)
_BY_STATUS = {problem.status: problem for problem in reversed(PROBLEMS.values())}
_KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
_OWN_WORDS = {
    400: "the request is cut off, or its body is not what the address expects",
    404: "there is nothing at this address: / is the page and /api/docs lists the rest",
    500: "something went wrong on the server and was logged: try again, or tell whoever runs it",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is told about one error: its kind, one sentence, and headers such as Allow and Retry-After."""

    problem: Problem
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


def register(app: Flask) -> None:
    """Let `app` answer every error here; Flask logs what nobody caught and brings it as an InternalServerError."""
    app.register_error_handler(SokkuriError, answer_error)
    app.register_error_handler(HTTPException, answer_error)


def answer_error(error: SokkuriError | HTTPException) -> ResponseReturnValue:
    """Answer an error in the form that fits the address."""
    if isinstance(error, HTTPException) and (error.code is None or error.code < 400):  # noqa: PLR2004
        return error  # a redirect is an exception of werkzeug's, but no error
    explained = explain(error)
    if request.path in ("/healthz", "/readyz", "/api") or request.path.startswith("/api/"):
        response = _document(explained)
    else:
        page = render_template("error.html", title=explained.problem.title, error=explained)
        response = make_response(page, explained.problem.status)
    response.headers.update(explained.headers)
    return response


def explain(error: SokkuriError | HTTPException) -> Explanation:
    """Say of what kind an error is and what is told about it."""
    if isinstance(error, HTTPException):
        return _explain_http(error)
    name = next((name for family, name in _FAMILIES if isinstance(error, family)), "internal")
    problem = PROBLEMS[name]
    if problem.status == INTERNAL:
        current_app.logger.error("%s: %s", type(error).__name__, error)
    wait = getattr(error, "retry_after", RETRY_SECONDS)
    return Explanation(problem, str(error), {"Retry-After": str(wait)} if problem.status == 503 else {})  # noqa: PLR2004


def _explain_http(error: HTTPException) -> Explanation:
    status = error.code or INTERNAL
    title = HTTP_STATUS_CODES.get(status, "Error")
    problem = _BY_STATUS.get(status) or Problem("", status, title, "")
    kept = {name: value for name, value in error.get_headers() if name in _KEPT_HEADERS}
    detail = error.description or title
    if detail == type(error).description:
        detail = _OWN_WORDS.get(status, detail)
    if "Allow" in kept:
        detail = f"{request.method} is not possible at this address, but {kept['Allow']} is"
    return Explanation(problem, detail, kept)


def _document(explained: Explanation) -> Response:
    problem = explained.problem
    document = {
        # RFC 9457, 4.2.1: a kind that is no more than its HTTP status is named so.
        "type": problem.address if problem.name else "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": explained.detail,
    }
    return Response(json.dumps(document), problem.status, content_type="application/problem+json")
