"""`indexer.collect.manners`: what hosts and pages allow."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from indexer.collect.manners import Robots, directives, objection, retry_after

HOST = "https://www.example"


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /private/", "/private/a.jpg", False),
        ("User-agent: *\nDisallow: /private/", "/public/a.jpg", True),
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg", False),
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg?large", True),
        ("User-agent: *\nDisallow: /\nAllow: /gallery/", "/gallery/a.jpg", True),
        ("User-agent: sokkuri\nDisallow: /\n\nUser-agent: *\nDisallow:", "/a.jpg", False),
        ("User-agent: sokkuri/0.1.0\nDisallow: /\n\nUser-agent: *\nDisallow:", "/a.jpg", False),
        ("user-agent : Sokkuri/2 # us\nDisallow: /x/\n\nUser-agent: *\nDisallow: /", "/a/b.jpg", True),
        ("User-agent: other/sokkuri\nDisallow: /", "/a.jpg", True),
        ("User-agent: otherbot\nDisallow: /", "/a.jpg", True),
        ("", "/a.jpg", True),
        ("\ufeffUser-agent: *\nDisallow: /private/", "/private/a.jpg", False),
    ],
)
def test_robots(rules: str, path: str, allowed: bool) -> None:  # pytest passes it by name
    """Wildcards, the longest match and the rules for this program in particular are understood (RFC 9309)."""
    assert Robots(rules).allows(HOST + path) is allowed


def test_crawl_delay() -> None:
    """A host may ask for a longer pause, for all or for this program."""
    assert Robots("User-agent: *\nCrawl-delay: 2.5").delay == 2.5
    assert Robots("User-agent: *\nDisallow:").delay == 0


def test_request_rate() -> None:
    """A rate is a pause too; of rate and delay the longer pause counts, and nonsense counts for nothing."""
    assert Robots("User-agent: *\nRequest-rate: 1/5").delay == 5
    assert Robots("User-agent: sokkuri\nRequest-rate: 4/1m 0600-0845\nCrawl-delay: 2").delay == 15
    assert Robots("User-agent: *\nCrawl-delay: 20\nRequest-rate: 10/100").delay == 20
    assert [Robots(f"User-agent: *\nRequest-rate: {rate}").delay for rate in ("0/5", "1/0", "often")] == [0, 0, 0]


def test_directives_for_others_do_not_count() -> None:
    """A robot's name holds up to the next one; directives with a value of their own are no names."""
    assert directives(["noindex, googlebot: noai, nofollow, sokkuri: noarchive"]) == {"noindex", "noarchive"}
    assert directives(["unavailable_after: 25 Jun 2010, max-snippet: 3"]) == {"unavailable_after", "max-snippet"}
    assert directives(["Sokkuri: NoAI"]) == {"noai"}
    assert "noai" in directives(["unavailable_after: Fri, 25 Jun 2027 15:00:00 GMT, noai"])


def test_objections_of_headers() -> None:
    """Each directive that keeps collectors out is named, and so is a reservation of mining."""
    assert objection({"X-Robots-Tag": "nosnippet, noimageai"}) == "X-Robots-Tag: noimageai"
    assert objection({"X-Robots-Tag": "googlebot: noindex\nnoai"}) == "X-Robots-Tag: noai"
    assert objection({"X-Robots-Tag": "googlebot: noindex\notherbot: noai"}) == ""
    assert objection({"TDM-Reservation": "1"}) == "TDM-Reservation: 1"
    assert objection({"X-Robots-Tag": "nosnippet", "TDM-Reservation": "0"}) == ""


def test_retry_after() -> None:
    """Seconds and dates are understood, the past means now, and nonsense means nothing."""
    now = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
    assert retry_after("120") == 120
    assert retry_after("9" * 12) == 999_999_999_999
    assert retry_after("Mon, 23 Nov 2026 10:01:30 GMT", now) == 90
    assert retry_after("Mon, 23 Nov 2026 09:00:00 GMT", now) == 0
    assert [retry_after(text) for text in (None, "", "soon", "-5", "1e9")] == [None] * 5
    assert retry_after("Thu, 01 Jan 2026 00:00:00 +999999999999999999999") is None
