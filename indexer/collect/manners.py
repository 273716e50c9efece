"""Manners: what a host and a page allow to be collected, and how long a host asks to be left alone.

Pure rules on texts and headers. Not here: when they are asked for (`fetch`), and the waiting itself (`lanes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from protego import Protego

AGENT = "sokkuri"
"""The name that robots.txt, `X-Robots-Tag` and `<meta name>` may call this program by."""
LONGEST_CRAWL_DELAY = 60.0
"""Seconds. A host that asks for a longer pause is taken to say that it wants no such visitor."""

KEEPS_OUT = ("noai", "noimageai", "noimageindex", "noindex", "none")
"""Directives under which no picture is taken. `noai` and `noimageai` are DeviantArt's (2022); the others are described
in Google's "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications", and `none` is noindex with nofollow."""
FOLLOWS_NOT = ("nofollow", "none")
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
"""Directives that have a colon of their own, which does not set off a robot's name."""
_ROBOT = re.compile(r"\*|[a-z][a-z0-9_.-]*")
"""What may be a robot's name: the hour of an `unavailable_after` stands before a colon as well."""


_GROUP = re.compile(r"^([ \t]*user-?agent[ \t]*:[^/#\r\n]*)/[^#\r\n]*", re.IGNORECASE | re.MULTILINE)
"""The line that a group of rules begins with, where it names a version: only what stands before it counts."""


class Robots:
    """What a robots.txt says (RFC 9309; wildcards, `Crawl-delay` and `Request-rate` are understood by Protego)."""

    def __init__(self, text: str) -> None:
        text = text.removeprefix("\ufeff")  # editors mark UTF-8 with it
        self._rules = Protego.parse(_GROUP.sub(r"\1", text))  # by product token alone (RFC 9309, 2.2.1)

    def allows(self, address: str) -> bool:
        """Tell whether an address may be asked for."""
        return bool(self._rules.can_fetch(address, AGENT))

    @property
    def delay(self) -> float:
        """The seconds that the host asks for between two requests; 0 where it does not say.

        A rate (`Request-rate: 1/10`) is heeded at all times of the day, also where it is meant for some of them.
        """
        rate = self._rules.request_rate(AGENT)
        return max(float(self._rules.crawl_delay(AGENT) or 0), rate.seconds / rate.requests if rate else 0.0)


def directives(values: Iterable[str]) -> set[str]:
    """Return what `X-Robots-Tag` headers, or robots `<meta>` elements, tell everybody or this program, in lower case.

    `googlebot: noindex, nofollow` is meant for another: it counts for nothing, up to the next robot's name.
    """
    found: set[str] = set()
    for value in values:
        addressed = True
        for part in value.lower().split(","):
            word = part.strip()
            name, colon, rest = (piece.strip() for piece in word.partition(":"))
            if colon and name not in _WITH_VALUE and _ROBOT.fullmatch(name):
                addressed = name in (AGENT, "*", "robots")
                word = rest
            if addressed and word:
                found.add(word.partition(":")[0].strip())
    return found


def directives_of(headers: Mapping[str, str]) -> set[str]:
    """Return the directives of an answer's `X-Robots-Tag`, which has a line for each time that it was sent."""
    return directives(headers.get("X-Robots-Tag", "").split("\n"))


def objection(headers: Mapping[str, str]) -> str:
    """Return the rule by which an answer's headers forbid keeping it, or nothing.

    `TDM-Reservation: 1` reserves the right to mine an answer (W3C TDM Reservation Protocol, 2022).
    """
    found = directives_of(headers)
    for word in KEEPS_OUT:
        if word in found:
            return f"X-Robots-Tag: {word}"
    return "TDM-Reservation: 1" if headers.get("TDM-Reservation", "").strip() == "1" else ""


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return how many seconds a `Retry-After` asks to wait (RFC 9110, 10.2.3: seconds or a date); None for nonsense."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,99}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, OverflowError):
        return None
