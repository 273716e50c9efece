"""Hosts in trouble, hosts that are gone, and pictures that pages show no more: what a run makes of them, and says."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from bench.gallery import picture
from tests.indexer.collect.places import Host, Place, image, page

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place to work at."""
    return Place(tmp_path)


def _host(address: str = "127.0.0.1", pictures: int = 3) -> Host:
    """Return a host with a page of some pictures."""
    names = [f"/{number}.jpg" for number in range(pictures)]
    return Host({"/": page(*names), **{name: image(picture(f"{address} {name}")) for name in names}}, address)


def _dead(number: int = 9) -> str:
    """Return the address of a page at a host where nobody listens."""
    with socket.socket() as free:
        free.bind((f"127.0.0.{number}", 0))
        return f"http://127.0.0.{number}:{free.getsockname()[1]}/"


def test_a_page_that_was_read_goes_on_to_be_asked_for(place: Place) -> None:
    """However often its host is in trouble it counts as it was; with the host well again it is read."""
    with _host() as host:
        place.sources(f"{host.address}/")
        place.run()
        well, host.answers["/"] = host.answers["/"], (500, {}, b"")
        for run in range(1, 5):
            (source,) = place.run(refresh=True).sources
            assert (source.found, source.kept, source.stays) == (3, 3, 0)
            assert [(line.outcome, line.reason) for line in source.lines] == [("page failed", "500")]
            assert host.asked.count("/") == 1 + 3 * run
        host.answers["/"] = well
        (source,) = place.run(refresh=True).sources
        assert (source.kept, source.lines) == (3, [])


def test_a_page_that_never_was_read_is_asked_for_twice(place: Place) -> None:
    """Nothing counts as it was where nothing was: after the second run only `--retry-failed` asks again."""
    with Host({"/": (500, {}, b"")}) as host:
        place.sources(f"{host.address}/")
        for asked in (3, 6, 6):
            place.run(refresh=True)
            assert host.asked.count("/") == asked
        place.run(retry_failed=True)
        assert host.asked.count("/") == 9


def test_a_dead_host_among_finished_sources_is_its_own_failure(place: Place) -> None:
    """That nothing else had to be asked for is no sign that there is no network; the dead page is asked for twice."""
    with _host() as host:
        place.sources(f"{host.address}/")
        place.run()
        place.sources(f"{host.address}/", _dead())
        for run in range(1, 4):
            report = place.run()
            one, two = report.sources
            assert report.offline == ""
            assert (one.kept, two.kept) == (3, 0)
            (line,) = two.lines
            assert (line.outcome, line.reason) == ("page failed", "unreachable")
            assert ("so it was 2 times" in line.what) is (run == 3)
        assert len(host.asked) == 5


def test_a_dead_page_counts_from_the_first_run_on(place: Place) -> None:
    """In the run that collects the others too; without the others' help it is no network that is missing then."""
    with _host() as host:
        place.sources(f"{host.address}/", _dead(8), _dead(9))
        assert place.run().offline == ""
        report = place.run()
    assert report.offline == "", "both were dead before, when there was a network"
    assert all("2 times" in source.lines[0].what for source in place.run().sources[1:])


def test_no_network_counts_for_nobody(place: Place) -> None:
    """Where all hosts that are needed are away at once, it is said so, and no page is struck off for it."""
    with _host() as host:
        place.sources(f"{host.address}/")
        place.run()
        place.sources(f"{host.address}/", _dead(7), _dead(8))
        for _ in range(3):
            report = place.run()
            assert report.offline.startswith("no host can be reached (127.0.0.")
            assert report.sources[0].kept == 3
            assert all("2 times" not in line.what for source in report.sources for line in source.lines)


def test_no_network_a_day_later(place: Place) -> None:
    """A finished source whose page has to be asked for again does not hide that there is no network."""
    with _host() as host:
        place.sources(f"{host.address}/")
        place.run()
    report = place.run(refresh=True)
    assert report.offline.startswith("no host can be reached (127.0.0.1: ")
    assert (report.sources[0].kept, report.sources[0].stays) == (3, 0)


@pytest.mark.parametrize("answer", [(410, {}, b""), (403, {}, b""), (304, {"X-Robots-Tag": "noai"}, b"")])
def test_what_stays_of_a_page_that_is_gone_or_forbidden(
    place: Place, answer: tuple[int, dict[str, str], bytes]
) -> None:
    """The files stay, are counted, and it is said who removes them."""
    with _host() as host:
        status, headers, body = host.answers["/"]
        host.answers["/"] = status, {**headers, "ETag": '"1"'}, body
        place.sources(f"{host.address}/")
        place.run()
        host.answers["/"] = answer
        report = place.run(refresh=True)
    assert len(place.pictures()) == 3
    assert (report.sources[0].kept, report.sources[0].stays) == (0, 3)
    lines = report.to_text().splitlines()
    assert (
        "  3 pictures of earlier runs were not found again, or are forbidden by now: they stay until `sokkuri forget` "
        "removes them" in lines
    )
    last = f"0 pictures kept in {place.library}, 0 of them new, and 3 of earlier runs stay there; "
    assert lines[-1].startswith(last)
    assert report.to_json()["sources"][0]["stays"] == 3


@pytest.mark.parametrize("keys", [{}, {"max_pages": 1}])
def test_nothing_stays_that_is_shown_elsewhere(place: Place, keys: dict[str, Any]) -> None:
    """A picture that another source shows by now, or a copy of it, is found; other lists' files are not looked at."""
    with _host() as host:
        place.sources(f"{host.address}/", **keys)
        place.run()
        host.answers["/other"] = page("/0.jpg", "/1.jpg", "/2.jpg?copy", "/again.jpg")
        host.answers |= {"/2.jpg?copy": host.answers["/2.jpg"], "/again.jpg": host.answers["/0.jpg"]}
        del host.answers["/"]
        place.sources(f"{host.address}/", f"{host.address}/other", **keys)
        report = place.run(refresh=True)
        assert [source.stays for source in report.sources] == [0, 0]
        assert len(place.pictures()) == 3
        place.sources(f"{host.address}/none", show="another")
        assert [source.stays for source in place.run().sources] == [0]
