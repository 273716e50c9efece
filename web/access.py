"""Who may start jobs: whoever knows the token of the settings, as a program with each request, as a person once.

A person's browser gets a cookie that says until when it holds, signed with the token: nothing has to be stored, it
holds across workers and restarts, and ends with the token. The token itself is in no cookie, log or message. Not here:
what may be done then.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from time import time

from flask import Request, Response, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from web.wiring import wiring

COOKIE = "sokkuri_admin"
COOKIE_PATH = "/admin"
SESSION_SECONDS = 8 * 3600
"""A working day: after that the token has to be told again."""
FIELD = "form_token"


def require_bearer() -> None:
    """Let a request through that brings the token (RFC 6750). Raises Unauthorized."""
    given = request.authorization
    named = given is not None and given.type == "bearer"
    if given is not None and named and is_token(given.token or ""):
        return
    # RFC 6750, 3: an error code only where there was something that could be wrong.
    wrong = {"error": "invalid_token"} if named else {}
    raise Unauthorized(
        "this address needs the header `Authorization: Bearer` with the token that SOKKURI_ADMIN_TOKEN was set to"
        + (", which is another one" if wrong else ""),
        www_authenticate=_Challenge("bearer", {"realm": "sokkuri", **wrong}),
    )


class _Challenge(WWWAuthenticate):
    """What the header of a 401 says. A realm has to stand in quotes (RFC 9110, 11.5), which werkzeug saves on."""

    def to_header(self) -> str:
        """Return the header's value."""
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in self.parameters.items())


def is_token(given: str) -> bool:
    """Tell whether this is the token; how long that takes says nothing about how much of it is right."""
    return hmac.compare_digest(_digest(given), _digest(wiring().settings.admin_token))


@dataclass(frozen=True, slots=True)
class Session:
    """What a browser's cookie says: until when it holds, in seconds since 1970, and which session it is."""

    until: int
    number: str

    @property
    def form_token(self) -> str:
        """What a form of this session carries, and no page of another site can know."""
        return _signed(f"form {self.until} {self.number}")

    def begin(self, response: Response) -> None:
        """Give the browser its cookie. It goes over TLS alone where that is how the browser came, a proxy included."""
        value = f"{self.until}.{self.number}.{_signed(f'session {self.until} {self.number}')}"
        secure = request.is_secure or request.headers.get("X-Forwarded-Proto", "") == "https"
        response.set_cookie(
            COOKIE,
            value,
            max_age=SESSION_SECONDS,
            path=COOKIE_PATH,
            secure=secure,
            httponly=True,
            samesite="Strict",
        )


def new_session() -> Session:
    """Return a session that begins now."""
    return Session(int(time()) + SESSION_SECONDS, token_hex(16))


def session_of(asked: Request) -> Session | None:
    """Return the session of a request; None where it has none that holds."""
    until, _, rest = asked.cookies.get(COOKIE, "").partition(".")
    number, _, signature = rest.partition(".")
    right = _signed(f"session {until} {number}")
    if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")) or int(until) < time():
        return None
    return Session(int(until), number)


def end_session(response: Response) -> None:
    """Let the browser forget its cookie."""
    response.delete_cookie(COOKIE, path=COOKIE_PATH, httponly=True, samesite="Strict")


def require_form(session: Session) -> None:
    """Raise Forbidden unless the form that was sent is one of this session's pages."""
    given = request.form.get(FIELD, "")
    if not hmac.compare_digest(session.form_token.encode(), given.encode("utf-8", "replace")):
        raise Forbidden("this form is not from a page of yours, or from one that is too old: load the page again")


def _signed(text: str) -> str:
    return hmac.new(wiring().settings.admin_token.encode(), text.encode("utf-8", "replace"), sha256).hexdigest()


def _digest(text: str) -> bytes:
    """Return a digest, so that even the length of a token shows in no time that is taken."""
    return sha256(text.encode("utf-8", "replace")).digest()
