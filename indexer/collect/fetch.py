"""One request: a host is asked for an address, and its answer comes within limits of bytes and time, or an error.

Not here: whether and when it may be asked (`manners`, `lanes`), and where redirects lead on (`collect`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from threading import Event, Timer
from urllib.parse import urljoin, urlsplit

from requests import RequestException, Response, Session
from requests.exceptions import ConnectTimeout, ReadTimeout, SSLError
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from indexer.collect.addresses import normal
from indexer.collect.answers import KEPT_HEADERS, LONGEST_ADDRESS, Answer
from indexer.collect.borders import GuardedAdapter
from indexer.collect.manners import retry_after
from indexer.workplace import now
from recommender.errors import FetchFailed, FetchRefused

CHUNK = 65_536
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 15.0
"""How long a host may send nothing at all."""
TOO_SLOW, UNREACHABLE, CUT_OFF, BROKEN = "too slow", "unreachable", "cut off", "no proper answer"
TOO_LARGE, BAD_ENCODING, NOT_WANTED = "too large", "an encoding nobody asked for", "not a picture"
UNFORESEEN = "unforeseen"
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: at most `most_bytes` bytes within `seconds`, of a kind that `wants` likes (by media type).

    A longer answer is refused, unless it may be `clipped`: then the rest is left unread. `etag` and `modified` are
    those of the answer that is there already: the host may say that nothing changed.
    """

    address: str
    most_bytes: int
    seconds: float
    accept: str
    wants: Callable[[str], bool]
    packed: bool = False
    clipped: bool = False
    etag: str = ""
    modified: str = ""

    def headers(self) -> dict[str, str]:
        """Return the request's headers. Only pages may come packed: pictures are, by their nature."""
        found = {"Accept": self.accept, "Accept-Encoding": "gzip" if self.packed else "identity"}
        if self.etag:
            found["If-None-Match"] = self.etag
        if self.modified:
            found["If-Modified-Since"] = self.modified
        return found


@dataclass(frozen=True, slots=True)
class Moved:
    """A host's word that an address is to be found elsewhere."""

    to: str


class Trouble(FetchFailed):
    """A failure that may pass: the same may be asked again.

    `wait` is how long the host wants to be left alone, in seconds, None where it does not say. `of_host` says whether
    the whole host is in trouble, and not only the address, and `unreachable`, whether it could not even be spoken to.
    """

    def __init__(
        self,
        why: str,
        message: str,
        wait: float | None = None,
        *,
        of_host: bool = False,
        unreachable: bool = False,
    ) -> None:
        super().__init__(why, message)
        self.wait, self.of_host, self.unreachable = wait, of_host or unreachable, unreachable


def ask(session: Session, question: Question, at_head: Callable[[], None] | None = None) -> Answer | Moved:
    """Ask once. `at_head` is called when the host begins to answer: by then the request is known to have reached it.

    Raises FetchRefused, Trouble where it may pass, and FetchFailed where it will not.
    """
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    late = Event()

    def ring() -> None:
        late.set()
        cut(session)

    alarm = Timer(question.seconds, ring)
    alarm.daemon = True
    alarm.start()
    try:
        answer = _exchange(session, question, at_head, late)
        if late.is_set():  # a head that was cut off looks like a whole one
            raise _late(question)
        return answer
    except FetchFailed as failure:
        if late.is_set():
            raise _late(question) from failure
        raise
    except (RequestException, HTTPError, OSError, ValueError) as error:
        reason = _failure(error)
        unreachable = isinstance(reason, Trouble) and reason.unreachable
        if (late.is_set() or isinstance(error, ReadTimeout)) and not unreachable:
            raise _late(question) from error
        raise reason from error
    finally:
        alarm.cancel()


def cut(session: Session) -> None:
    """End whatever a session is receiving, from another thread."""
    for adapter in session.adapters.values():
        if isinstance(adapter, GuardedAdapter):
            adapter.cut()


def _late(question: Question) -> FetchFailed:
    return FetchFailed(TOO_SLOW, f"the answer was not there within {question.seconds:g} seconds")


def _exchange(session: Session, question: Question, at_head: Callable[[], None] | None, late: Event) -> Answer | Moved:
    """Send the request, judge the head of the answer, and read its body."""
    timeout = (min(CONNECT_SECONDS, question.seconds), min(SILENCE_SECONDS, question.seconds))
    try:
        response = session.get(
            question.address, headers=question.headers(), stream=True, allow_redirects=False, timeout=timeout
        )
    except BaseException:
        session.close()  # nobody has the answer, so nobody else could give its connection back
        raise
    with response:
        if at_head:
            at_head()
        status = response.status_code
        if response.is_redirect:
            return Moved(_target(question.address, response))
        headers = _kept(response)
        answer = Answer(question.address, status, now(), b"", headers)
        if status == HTTPStatus.NOT_MODIFIED and (question.etag or question.modified):
            return answer
        _require_ok(response)
        if answer.kind and not question.wants(answer.kind):
            raise FetchRefused(NOT_WANTED, f"the answer is {answer.kind}")
        return Answer(question.address, status, answer.fetched, _body(response, question, late), headers)


def _kept(response: Response) -> dict[str, str]:
    """Return the headers that matter, each in one line, but for `X-Robots-Tag`: every one that was sent has its own.

    Put together, the second would be meant for the robot that the first one names.
    """
    sent = {name: [" ".join(line.split()) for line in response.raw.headers.getlist(name)] for name in KEPT_HEADERS}
    return {name: "\n".join(lines) if name == "X-Robots-Tag" else lines[-1] for name, lines in sent.items() if lines}


def _target(address: str, response: Response) -> str:
    """Return where a redirect leads. Raises FetchFailed where that is no address, or one beyond all length."""
    place = response.headers["Location"]
    with suppress(UnicodeError):  # it was read as Latin-1, and hosts send UTF-8
        place = place.encode("latin-1").decode()
    try:
        found = urljoin(address, place).partition("#")[0]
        if len(found) <= LONGEST_ADDRESS and urlsplit(found).port != 0:
            return normal(found)
    except ValueError:
        pass
    raise FetchFailed(BROKEN, "the redirect leads to no address")


def _require_ok(response: Response) -> None:
    """Raise where the status is not 200, saying how long the host wants to be left alone."""
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "no status that is known"
    reason, message = f"{status}", f"the host answers {status} {phrase}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
        wait = retry_after(response.headers.get("Retry-After"))
        raise Trouble(reason, message, wait, of_host=wait is not None or status == HTTPStatus.TOO_MANY_REQUESTS)
    raise FetchFailed(reason, message)


def _body(response: Response, question: Question, late: Event) -> bytes:
    """Read a body up to the bytes that it may have, packed or not. Raises FetchRefused, Trouble."""
    most = question.most_bytes
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isascii() and length.isdigit() else None
    if expected is not None and expected > most and not question.clipped:
        raise _too_large(most, expected)
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise FetchRefused(BAD_ENCODING, f"the answer is packed as {encoding}")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding not in ("identity", "") else None
    received, parts, size = 0, [], 0
    while data := response.raw.read1(CHUNK, decode_content=False):
        if late.is_set():
            raise _late(question)
        received += len(data)
        try:
            part = unpack.decompress(data, most + 1 - size) if unpack else data
        except zlib.error:
            raise FetchFailed(BROKEN, f"the answer is not packed as it says ({encoding})") from None
        size += len(part)
        parts.append(part)
        if size > most or received > most:
            if question.clipped:
                return b"".join(parts)[:most]
            raise _too_large(most, most + 1)
    # A body without a length ends with the connection: where that broke within the head, nothing at all came.
    if received < (1 if expected is None else expected) or (unpack and not unpack.eof):
        raise Trouble(CUT_OFF, f"the answer ended after {received:,} bytes")
    return b"".join(parts)


def _too_large(most: int, least: int) -> FetchRefused:
    """Refuse an answer, of which it is known that it has `least` bytes at least."""
    return FetchRefused(TOO_LARGE, f"the answer has more than {most:,} bytes", {"max_bytes": least})


def _failure(error: Exception) -> FetchFailed:
    """Say in a few words what went wrong below HTTP."""
    causes: list[BaseException] = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__ or _reason(causes[-1])) and inner not in causes:
        causes.append(inner)
    for cause in causes:
        if isinstance(cause, NameResolutionError):
            return Trouble(UNREACHABLE, "the host's name is not known", unreachable=True)
        if isinstance(cause, SSLError):
            return FetchFailed("no safe connection", f"the host does not prove who it is ({_short(cause)})")
        if isinstance(cause, (NewConnectionError, ConnectTimeout)):
            text = "no answer" if isinstance(cause, ConnectTimeout) else str(cause).rpartition(": ")[2]
            return Trouble(UNREACHABLE, f"no connection to the host: {text}", unreachable=True)
    if any(isinstance(cause, (ConnectionError, HTTPError)) for cause in causes):
        return Trouble(CUT_OFF, f"the connection broke ({_short(causes[-1])})")
    return FetchFailed(BROKEN, f"the answer cannot be understood ({_short(error)})")


def unforeseen(error: Exception) -> FetchFailed:
    """Return the failure of one page or picture that made this program stumble: a host may send anything."""
    return FetchFailed(UNFORESEEN, f"it made the collector stumble ({type(error).__name__}: {_short(error)})")


def _reason(error: BaseException) -> BaseException | None:
    """Return what urllib3 wraps without chaining."""
    inner = getattr(error, "reason", None) or next(iter(error.args), None)
    return inner if isinstance(inner, BaseException) else None


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__


def media_types(*accepted: str) -> Callable[[str], bool]:
    """Return a test that likes the media types given; one that ends with a slash stands for all that begin so."""
    return lambda kind: any(kind == one or (one.endswith("/") and kind.startswith(one)) for one in accepted)


PICTURES = media_types("image/", "application/octet-stream", "binary/octet-stream", "application/force-download")
PAGES = media_types("text/html", "application/xhtml+xml", "application/xml", "text/xml", "text/plain")
