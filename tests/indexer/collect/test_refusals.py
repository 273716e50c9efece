"""What is refused stays refused, and is not asked for again, until the rule that refused it is another."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.gallery import FAR_AWAY, picture
from tests.indexer.collect.places import Host, Place, image, moved, page

pytestmark = pytest.mark.slow

FORBIDS = (200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /no/\n")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place to work at."""
    return Place(tmp_path)


@pytest.fixture
def host() -> Iterator[Host]:
    """Give a host that has a robots.txt, and a page with one picture."""
    with Host({"/robots.txt": FORBIDS, "/": page("/a.jpg"), "/no/b.jpg": image(picture("b"))}) as started:
        yield started


def _hours_go_by(place: Place) -> None:
    """Make what the host allows, and what its pages show, older than a day."""
    file = place.library / ".sokkuri" / "journal.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line.update({name: "2026-01-01T00:00:00+00:00" for name in ("fetched", "when") if name in line})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize(("target", "rule"), [(FAR_AWAY, "a private address"), ("/no/b.jpg", "robots.txt forbids it")])
def test_where_a_forbidden_redirect_leads_is_remembered(place: Place, host: Host, target: str, rule: str) -> None:
    """A picture that leads to where nobody may go is asked for once; each run says why it is refused."""
    host.answers["/a.jpg"] = moved(target)
    place.sources(f"{host.address}/")
    for requests in (3, 0, 0):
        report = place.run()
        assert (report.sources[0].refused, report.requests) == (Counter({rule: 1}), requests)
    assert host.asked == ["/robots.txt", "/", "/a.jpg"]


def test_a_redirect_goes_on_when_robots_txt_allows_it(place: Place, host: Host) -> None:
    """A day later robots.txt is read again; what it allows by then is had, without the redirect that led there."""
    host.answers["/a.jpg"] = moved("/no/b.jpg")
    place.sources(f"{host.address}/")
    place.run()
    host.answers["/robots.txt"] = (200, {}, b"")
    _hours_go_by(place)
    (source,) = place.run().sources
    assert (source.kept, source.refused) == (1, Counter())
    assert host.asked == ["/robots.txt", "/", "/a.jpg", "/robots.txt", "/no/b.jpg"]


def test_a_redirect_to_a_host_in_trouble_is_not_asked_for_again(place: Place, host: Host) -> None:
    """Where nobody listens at the end of a redirect, the next run asks there, and not for the redirect."""
    with Host({}, "127.0.0.2") as other:
        pass  # from here on its port is free
    host.answers["/a.jpg"] = moved(f"{other.address}/b.jpg")
    place.sources(f"{host.address}/")
    for _ in range(2):
        assert place.run().sources[0].failed == Counter({"unreachable": 1})
    assert host.asked.count("/a.jpg") == 1


def test_a_redirect_that_fails_is_asked_for_once_more(place: Place, host: Host) -> None:
    """Where a redirect leads to nothing, the next run asks for it again, and the one after that does not."""
    host.answers["/a.jpg"] = moved("/gone.jpg")
    place.sources(f"{host.address}/")
    for asked in (1, 2, 2):
        assert place.run().sources[0].failed == Counter({"404": 1})
        assert (host.asked.count("/a.jpg"), host.asked.count("/gone.jpg")) == (asked, asked)


def test_a_second_redirect_to_what_failed_asks_no_third_time(place: Place, host: Host) -> None:
    """An address that has failed as often as it may is not asked for because something new leads to it."""
    host.answers["/"] = page("/gone.jpg")
    place.sources(f"{host.address}/")
    place.run()
    place.run()
    host.answers |= {"/": page("/a.jpg"), "/a.jpg": moved("/gone.jpg")}
    assert place.run(refresh=True).sources[0].failed == Counter({"404": 1})
    assert host.asked.count("/gone.jpg") == 2


@pytest.mark.parametrize("known", ["page", "picture"])
def test_what_leads_to_something_forgotten_is_refused_in_every_run(place: Place, host: Host, known: str) -> None:
    """A new redirect to an address that was forgotten does not bring it back, in the run after it was found either."""
    from indexer.collect.forget import forget
    from indexer.workplace import workplace

    host.answers["/b.jpg"] = image(picture("b"))
    host.answers["/"] = page("/b.jpg")
    place.sources(f"{host.address}/")
    place.run()
    with workplace(place.settings, "forget") as catalogue:
        forget(place.settings, catalogue, source=f"{host.address}/" + ("b.jpg" if known == "picture" else ""))
    if known == "picture":
        host.answers |= {"/": page("/a.jpg"), "/a.jpg": moved("/b.jpg")}
    else:
        host.answers["/start"] = moved("/")
        place.sources(f"{host.address}/start")
    host.answers["/b.jpg"] = image(picture("another"))
    asked = Counter(host.asked)
    for _ in range(3):
        (source,) = place.run(refresh=True).sources
        assert {line.reason for line in source.lines} == {"forgotten on demand"}
    led = "/b.jpg" if known == "picture" else "/"
    assert Counter(host.asked)[led] == asked[led]


def test_a_page_that_is_none_is_remembered_for_a_day(place: Place, host: Host) -> None:
    """A picture where a page belongs is asked for once, then again when a day has gone by, or with `--refresh`."""
    host.answers["/a.jpg"] = image(picture("a"))
    place.sources(f"{host.address}/a.jpg")
    for asked, refresh in ((1, False), (1, False), (2, True), (2, False)):
        (line,) = place.run(refresh=refresh).sources[0].lines
        assert (line.outcome, line.reason) == ("page refused", "not a page")
        assert host.asked.count("/a.jpg") == asked
    _hours_go_by(place)
    place.run()
    assert host.asked.count("/a.jpg") == 3


def test_a_page_of_two_sources_fails_once_in_a_run(place: Place, host: Host) -> None:
    """A page that two sources name is asked for once more by the next run, as any address that failed."""
    place.sources(f"{host.address}/none", f"{host.address}/none")
    for asked in (1, 2, 2):
        for source in place.run().sources:
            assert [line.reason for line in source.lines] == ["404"]
        assert host.asked.count("/none") == asked


def _sized(side: int) -> bytes:
    return picture(f"of {side}", side)


@pytest.mark.parametrize("start", ["/a.jpg", "/moved.jpg"])
def test_a_smaller_min_side_takes_in_what_was_too_small(place: Place, host: Host, start: str) -> None:
    """What a source's `min_side` refused is asked for again once it is within it, and only then."""
    host.answers |= {"/": page(start, "/tiny.jpg"), "/moved.jpg": moved("/a.jpg")}
    host.answers |= {"/a.jpg": image(_sized(60)), "/tiny.jpg": image(_sized(33))}
    for min_side, kept, asked in ((80, 0, 1), (80, 0, 1), (61, 0, 1), (60, 1, 2), (60, 1, 2), (80, 1, 2)):
        place.sources(f"{host.address}/", min_side=min_side)
        (source,) = place.run().sources
        assert (source.kept, source.refused) == (kept, Counter({"too small": 2 - kept}))
        assert host.asked.count("/a.jpg") == asked
    assert host.asked.count("/tiny.jpg") == 1
    assert host.asked.count("/moved.jpg") == (start == "/moved.jpg")


@pytest.mark.parametrize("told", [True, False])
def test_a_larger_limit_takes_in_what_was_too_large(place: Place, host: Host, told: bool) -> None:
    """More bytes or pixels allowed: what they refused is asked for again, where it may pass for all that is known."""
    data = _sized(600)
    answer = image(data)
    host.answers["/a.jpg"] = answer if told else (200, {**answer[1], "Content-Length": "", "Connection": "close"}, data)
    place.sources(f"{host.address}/")
    least = len(data) if told else len(data) - 9
    for fields, kept, asked in (
        ({"max_bytes": len(data) - 10}, 0, 1),
        ({"max_bytes": least - 1}, 0, 1),
        ({"max_bytes": len(data), "max_pixels": 359_999}, 0, 2),
        ({"max_pixels": 359_999}, 0, 2),
        ({"max_pixels": 360_000}, 1, 3),
    ):
        place.set(**fields)
        (source,) = place.run().sources
        assert (source.kept, source.refused) == (kept, Counter({"too large": 1 - kept}))
        assert host.asked.count("/a.jpg") == asked


def test_a_name_that_is_rebound_during_a_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name leads to a host that may be asked, then to a private one: from then on nothing is sent there."""
    with Host({"/": page("/a.jpg", "/b.jpg")}, "127.0.0.2") as outside, Host({}, "127.0.0.1") as inside:
        ways = [outside, outside]

        def rebound(*_host: object, **_kind: object) -> list[object]:
            name, _, port = (ways.pop() if ways else inside).address.removeprefix("http://").partition(":")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, int(port)))]

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        place.set(private_networks="127.0.0.2/32")
        place.sources("http://rebound.example/")
        (source,) = place.run().sources
        assert outside.asked == ["/robots.txt", "/"]
        assert inside.asked == []
    assert source.refused == Counter({"a private address": 2})
    assert {line.what for line in source.lines} == {"rebound.example is 127.0.0.1, which is private"}


def test_a_page_that_moved_on_is_found_again(place: Place, host: Host) -> None:
    """Where the page at the end of a redirect is gone, the next run asks for the redirect, which may lead elsewhere."""
    host.answers |= {"/latest": moved("/old"), "/old": page("/a.jpg"), "/a.jpg": image(picture("a"))}
    place.sources(f"{host.address}/latest")
    assert place.run().sources[0].kept == 1
    host.answers |= {"/latest": moved("/new"), "/new": page("/b.jpg"), "/b.jpg": image(picture("b"))}
    del host.answers["/old"]
    (line,) = place.run(refresh=True).sources[0].lines
    assert (line.outcome, line.reason) == ("page failed", "404")
    assert place.run().sources[0].kept == 1
    assert host.asked.count("/latest") == 2
    assert len(place.pictures()) == 2


def test_a_page_that_did_not_change_may_be_forbidden_by_now(place: Place, host: Host) -> None:
    """A host that answers 304, with a header that keeps collectors out, is heeded, in the runs after that too."""
    status, headers, body = page("/a.jpg")
    host.answers |= {"/": (status, {**headers, "ETag": '"1"'}, body), "/a.jpg": image(picture("a"))}
    place.sources(f"{host.address}/")
    assert place.run().sources[0].kept == 1
    host.answers["/"] = (304, {"ETag": '"1"', "X-Robots-Tag": "noai"}, b"")
    for refresh in (True, False):
        assert place.run(refresh=refresh).sources[0].refused == Counter({"the page forbids it (X-Robots-Tag: noai)": 1})
    assert host.headers[-1]["If-None-Match"] == '"1"'


@pytest.mark.parametrize("start", ["/a.jpg", "/moved.jpg"])
def test_what_one_sources_limits_refuse_another_source_may_have(place: Place, host: Host, start: str) -> None:
    """A picture that two sources show, too small for the first, is the second's, and is asked for once."""
    host.answers |= {
        "/": page(start),
        "/other": page("/a.jpg"),
        "/third": page("/a.jpg"),
        "/moved.jpg": moved("/a.jpg"),
    }
    host.answers["/a.jpg"] = image(_sized(60))
    pages = [f"{host.address}{path}" for path in ("/", "/other", "/third")]
    place.sources(*pages, min_side=80)
    file = place.folder / "sources.toml"
    first, *others = file.read_text(encoding="utf-8").split("[[source]]")[1:]
    lax = [other.replace("min_side = 80", "min_side = 40") for other in others]
    file.write_text("".join(f"[[source]]{one}\n" for one in (first, *lax)), encoding="utf-8")
    for _ in range(2):
        one, *rest = place.run().sources
        assert sum(source.kept for source in rest) == 1
        assert sum(source.duplicate for source in rest) == 1
        assert (one.kept, one.refused["too small"] + one.duplicate) == (0, 1)
        assert host.asked.count("/a.jpg") == 1
    (kept,) = place.pictures()
    assert kept.parent.name in ("hero-1", "hero-2")
