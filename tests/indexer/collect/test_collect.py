"""`indexer.collect.collect`: whole runs against a local gallery that counts what it is asked for."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from PIL import Image

from bench.gallery import BAD, BAD_PAGE, CHARSET_PAGE, NOAI_PAGE, GalleryServer, _Handler, picture
from indexer.collect import keep
from indexer.collect.answers import Answer
from indexer.collect.brought import data_of
from indexer.collect.collect import agent_of, collect
from indexer.collect.galleries import Gallery, Page, PictureReference, gallery_of
from indexer.collect.keep import Duplicate, Keeper, Kept
from indexer.collect.report import CollectReport, SourceReport
from indexer.collect.sources import Source, read_sources
from indexer.holding import held
from indexer.library import scan
from indexer.workplace import workplace
from recommender.errors import BadLibrary, BuildError, Busy, FetchRefused
from recommender.images import picture_id
from recommender.settings import Settings
from tests.indexer.collect.places import Host, Place
from tests.indexer.disks import full_disk
from tests.pictures import saved

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place to work at."""
    return Place(tmp_path)


@pytest.fixture
def server() -> Iterator[GalleryServer]:
    """Give two hosts with 12 pictures each, on two pages."""
    with GalleryServer(2, 24, per_page=10) as started:
        yield started


def _counts(source: SourceReport) -> tuple[int, int, int, int]:
    return source.found, source.kept, source.new, source.duplicate


def test_a_gallery_becomes_a_library(place: Place, server: GalleryServer) -> None:
    """All pages of every gallery are followed, each picture is filed with its bytes, and a scan takes every one."""
    place.sources(*server.galleries, type="female")
    report = place.run()
    assert [(source.pages, source.kept) for source in report.sources] == [(2, 12), (2, 12)]
    assert [source.refused for source in report.sources] == [Counter({"robots.txt forbids it": 4})] * 2
    library = scan(place.library)
    assert len(library.entries) == 24
    assert library.rejects == ()
    assert {entry.character.type for entry in library.entries} == {"female"}
    for file in place.pictures():
        assert file.stem == picture_id(file.read_bytes())
    assert not [one for one in server.record.asked if one.forbidden]
    assert max(Counter((one.host, one.path) for one in server.record.asked).values()) == 1
    assert report.requests == len(server.record.asked)


def test_every_picture_has_its_provenance(place: Place, server: GalleryServer) -> None:
    """Sidecar and catalogue say the same: address, page, time, status, licence, author, SHA-256."""
    place.sources(server.galleries[0], licence="CC0", author="Ann", max_pages=1)
    place.run()
    rows = place.rows()
    assert len(rows) == 10
    for row in rows:
        file = place.library / row.path
        told = json.loads(file.with_name(file.name + ".json").read_text(encoding="utf-8"))
        assert told["sha256"] == row.picture == file.stem
        assert (told["address"], told["page"]) == (row.address, row.page)
        assert told["page"] == server.galleries[0]
        assert file.read_bytes() == picture(row.address.removeprefix(server.hosts[0]))
        assert (row.status, row.licence, row.author, row.source) == (200, "CC0", "Ann", "show/hero-0")
        assert row.fetched.endswith("Z")
        assert (told["bytes"], told["width"]) == (file.stat().st_size, 96)


def test_a_second_run_asks_for_nothing(place: Place, server: GalleryServer) -> None:
    """What was had is not asked for again, and the report counts it as kept but not as new."""
    place.sources(*server.galleries)
    first = place.run()
    asked = len(server.paths)
    second = place.run()
    assert len(server.paths) == asked
    assert second.requests == 0
    assert [_counts(source)[:2] for source in second.sources] == [_counts(source)[:2] for source in first.sources]
    assert [source.new for source in second.sources] == [0, 0]


def test_a_page_is_asked_conditionally(place: Place, server: GalleryServer) -> None:
    """With `--refresh` pages are asked whether they changed; one that did not is not sent again, and still counts."""
    place.sources(server.galleries[0])
    place.run()
    before = len(server.record.asked)
    report = place.run(refresh=True)
    assert [one.status for one in server.record.asked[before:]] == [304, 304]
    assert report.sources[0].kept == 12


@pytest.mark.parametrize(
    ("status", "kept"), [(404, 0), (410, 0), (403, 0), (451, 0), (429, 10), (500, 10), (503, 10), (408, 10)]
)
def test_a_page_that_is_gone_is_not_read_from_memory(
    place: Place, server: GalleryServer, monkeypatch: pytest.MonkeyPatch, status: int, kept: int
) -> None:
    """A page that is gone, or forbidden by now, shows nothing; one whose host is in trouble counts as it was."""
    place.sources(server.galleries[0], max_pages=1)
    place.run()
    monkeypatch.setattr("bench.gallery._Handler._gallery", lambda handler, _: handler._fail(status))
    (source,) = place.run(refresh=True).sources
    assert (source.kept, source.pages) == (kept, 1 if kept else 0)
    assert [(line.outcome, line.reason) for line in source.lines if line.outcome != "refused"] == [
        ("page failed", str(status))
    ]
    assert len(place.pictures()) == 10, "what was kept stays"
    (source,) = place.run().sources
    assert source.kept == kept, "nor is it read by the next run"


def test_pages_that_lead_to_one_page_ask_for_it_once(
    place: Place, server: GalleryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redirects to a page that this run has asked for, or read, cost no second request, with `--refresh` too."""
    original = _Handler._page

    def page(handler: _Handler, path: str) -> None:
        if path == NOAI_PAGE:
            handler._fail(301, {"Location": "/gallery/1.html"})
        else:
            original(handler, path)

    monkeypatch.setattr(_Handler, "_page", page)
    moved = server.hosts[0] + NOAI_PAGE
    for pages in (f"{server.galleries[0]} {moved}", f"{moved} {server.galleries[0]}"):
        place.sources(pages, pages, max_pages=1)
        for options in ({}, {"refresh": True}):
            before = len(server.paths)
            assert [source.found for source in place.run(**options).sources] == [12, 12]
            assert server.paths[before:].count("/gallery/1.html") <= 1


def test_two_homes_do_not_collect_into_one_library(place: Place, server: GalleryServer) -> None:
    """A library that a collector of another home is at work in is refused, by name; afterwards it is free."""
    place.sources(server.galleries[0], max_pages=1)
    with held(place.library / ".sokkuri", "collect", ""):
        with pytest.raises(Busy, match=rf"sokkuri collect \(process {os.getpid()}\) is at work in {place.library}:"):
            place.run()
        assert server.paths == []
    assert place.run().sources[0].kept == 10


def test_a_stopped_run_goes_on(place: Place, server: GalleryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C what had come is filed; the next run asks for the rest, and for nothing twice."""
    place.sources(*server.galleries)
    stops = iter([False] * 9 + [True])

    def settle(run: Any, outcome: Any) -> None:
        if next(stops, False):
            raise KeyboardInterrupt
        original(run, outcome)

    from indexer.collect.collect import _Run

    original = _Run._settle
    monkeypatch.setattr(_Run, "_settle", settle)
    with pytest.raises(KeyboardInterrupt):
        place.run()
    kept = len(place.pictures())
    assert 0 < kept < 24
    assert len(place.rows()) == kept
    report = place.run()
    assert sum(source.kept for source in report.sources) + sum(source.failed.total() for source in report.sources) == 24
    assert max(Counter((one.host, one.path) for one in server.record.asked).values()) == 1


def test_provenance_that_a_killed_run_owed_the_catalogue_is_made_good(place: Place, server: GalleryServer) -> None:
    """Rows that the catalogue lacks come back from the sidecars; leftovers of half-written files go."""
    place.sources(server.galleries[0])
    place.run()
    rows = place.rows()
    with workplace(place.settings, "damage") as catalogue:
        catalogue.remember_collected([], [(row.library, row.path) for row in rows[:7]])
    (place.library / "show" / "hero-0" / ".aside-x.jpg").write_bytes(b"half")
    place.run()
    assert place.rows() == rows
    assert not list(place.library.glob("*/*/.aside-*"))


def test_what_the_user_removed_stays_removed(place: Place, server: GalleryServer) -> None:
    """A picture that somebody deleted from the library is not collected again, and the report says why."""
    place.sources(server.galleries[0])
    place.run()
    place.pictures()[0].unlink()
    report = place.run()
    assert report.sources[0].refused["removed by hand"] == 1
    assert report.requests == 0


def test_every_misdeed_is_a_line(place: Place) -> None:
    """A host that misbehaves in every way: each picture is kept, or is a line that says which way it was."""
    with GalleryServer(1, 0) as server:
        place.sources(f"{server.hosts[0]}{BAD_PAGE} {server.hosts[0]}{CHARSET_PAGE}")
        (source,) = place.run().sources
        assert source.kept == 5  # 429-once, 500-once, moved, noindex-other, and the page that lies about its letters
        reasons = {Path(line.address).stem: line.reason for line in source.lines}
        assert reasons == {
            "404": "404",
            "410": "410",
            "429": "429",
            "500": "500",
            "endless": "too large",
            "drip": "too slow",
            "head-drip": "too slow",
            "type": "not a picture",
            "loop": "a redirect loop",
            "metadata": "a private address",
            "page": "not a picture",
            "bomb": "too large",
            "cut": "unreadable",
            "short": "cut off",
            "noai": "X-Robots-Tag: noimageai",
            "empty": "unreadable",
            "tiny": "too small",
            "packed": "an encoding nobody asked for",
            "hang-up": "cut off",
        }
        assert len(reasons) == len(BAD) - 4
        before = Counter(server.paths)
        place.run()
        third = Counter(server.paths)
        place.run()
        again = Counter(server.paths) - third
        assert third["/404.jpg"] - before["/404.jpg"] == 1, "what failed once is tried once more"
        assert again["/404.jpg"] == 0, "and then no more"
        assert place.run(retry_failed=True).sources[0].failed["404"] == 1
        assert server.paths.count("/404.jpg") == 3
        assert server.paths.count("/endless.jpg") == 1, "what was refused for what it is, is not asked for again"


def test_an_answer_that_was_cut_off_by_a_kill_is_not_asked_for_twice(place: Place, server: GalleryServer) -> None:
    """An address that was in the air when a run was killed fails as interrupted, until `--retry-failed`."""
    place.sources(server.galleries[0], max_pages=1)
    journal = place.library / ".sokkuri" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    address = f"{server.hosts[0]}/p/0-3.jpg"
    journal.write_text(json.dumps({"event": "asked", "address": address}) + "\n")
    assert place.run().sources[0].failed == Counter({"interrupted": 1})
    assert "/p/0-3.jpg" not in server.paths
    assert place.run(retry_failed=True).sources[0].kept == 10


def _data(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _large(seed: str, side: int, quality: int = 90) -> bytes:
    image = Image.open(io.BytesIO(picture(seed))).resize((side, side))
    return saved(image, "JPEG", quality=quality)


def test_duplicates_are_found_within_and_across_sources(place: Place) -> None:
    """Exact copies and near ones count as duplicates wherever they are, and the largest is the one that stays."""
    small, large, other = _large("a", 100), _large("a", 200), _large("b", 100)
    one = place.saved("one.html", f'<img src="{_data(small)}"><img src="{_data(other)}">')
    two = place.saved(
        "two.html", f'<img src="{_data(large)}"><img src="{_data(other + b" ")}"><img src="{_data(other)}">'
    )
    place.sources(one, two)
    report = place.run()
    assert [_counts(source) for source in report.sources] == [(2, 1, 1, 1), (3, 1, 1, 2)]
    assert {file.stem for file in place.pictures()} == {picture_id(large), picture_id(other)}
    assert {row.picture for row in place.rows()} == {picture_id(large), picture_id(other)}
    assert len(list(place.library.glob("*/*/*.json"))) == 2
    again = place.run()
    assert [_counts(source) for source in again.sources] == [(2, 1, 0, 1), (3, 1, 0, 2)]


def test_the_users_own_pictures_stay(place: Place) -> None:
    """A picture that the user had put there is not collected a second time."""
    own = place.library / "show" / "hero-0" / "own.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(_large("a", 100))
    with workplace(place.settings, "scan") as catalogue:
        catalogue.remember_files(str(place.library.resolve()), scan(place.library).files)
    place.sources(place.saved("one.html", f'<img src="{_data(own.read_bytes())}">'))
    assert _counts(place.run().sources[0]) == (1, 0, 0, 1)
    assert place.pictures() == [own]


def test_a_saved_page_brings_its_pictures_along(place: Place) -> None:
    """`data:` thumbnails and files beside a saved page are filed without any network."""
    (place.folder / "page_files").mkdir()
    (place.folder / "page_files" / "b.jpg").write_bytes(_large("b", 100))
    (place.folder / "page_files" / "c.jpg").symlink_to(place.folder / "page_files" / "b.jpg")
    html = f'<img src="x.gif" data-src="{_data(_large("a", 100))}"><img src="page_files/b.jpg">'
    html += '<img src="page_files/c.jpg">'
    place.sources(place.saved("page.html", html))
    report = place.run()
    assert _counts(report.sources[0]) == (3, 2, 2, 0)
    assert report.requests == 0
    rows = {row.address.partition(";")[0]: row for row in place.rows()}
    assert {row.page for row in rows.values()} == {"file:page.html"}
    assert "data:image/jpeg" in rows
    assert str(place.folder) not in " ".join(rows)


def test_saved_pages_of_one_name_are_told_apart(place: Place) -> None:
    """Pages saved in folders of one name, with files of one name, bring each their own pictures along."""
    pages = []
    for number in range(2):
        folder = place.folder / f"saved-{number}" / "s"
        (folder / "p_files").mkdir(parents=True)
        (folder / "p_files" / "a.jpg").write_bytes(_large(f"seed-{number}", 100))
        pages.append(place.saved(f"saved-{number}/s/p.html", '<img src="./p_files/a.jpg">'))
    place.sources(*pages)
    assert [_counts(source) for source in place.run().sources] == [(1, 1, 1, 0), (1, 1, 1, 0)]
    assert [_counts(source) for source in place.run().sources] == [(1, 1, 0, 0), (1, 1, 0, 0)]


def test_a_picture_that_fails_fails_for_every_source(place: Place, server: GalleryServer) -> None:
    """A second source that lists a picture that cannot be had counts it as failed too, in each run."""
    html = f'<img src="{server.hosts[0]}/404.gif"><img src="{server.hosts[0]}/p/0-1.jpg">'
    place.sources(place.saved("one.html", html), place.saved("two.html", html))
    for _ in range(3):
        one, two = place.run().sources
        assert (one.failed, two.failed) == (Counter({"404": 1}), Counter({"404": 1}))
        assert (one.kept, two.duplicate) == (1, 1)
    assert server.paths.count("/404.gif") == 2


def test_what_nobody_foresaw_is_a_line(place: Place, server: GalleryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page or a picture that makes the program stumble is a failure of its source; the run goes on."""
    original_keep = Keeper.keep

    def read(page: Page, source: Source, name: str = "") -> Gallery:
        if page.address == server.galleries[0]:
            raise KeyError("hostile page")
        return gallery_of(page, source, name)

    def keep(keeper: Keeper, source: Source, reference: PictureReference, answer: Answer) -> Kept | Duplicate:
        if answer.address.endswith("1-3.jpg"):
            raise RecursionError("hostile picture")
        return original_keep(keeper, source, reference, answer)

    monkeypatch.setattr("indexer.collect.visits.gallery_of", read)
    monkeypatch.setattr(Keeper, "keep", keep)
    place.sources(*server.galleries)
    one, two = place.run().sources
    assert [(line.outcome, line.reason) for line in one.lines] == [("page failed", "unforeseen")]
    assert two.failed == Counter({"unforeseen": 1})
    assert two.kept == 11


class _Hostile(BaseHTTPRequestHandler):
    """Answers with what makes a careless client stumble."""

    def log_message(self, *_: object) -> None:
        """Write no line to the terminal."""

    def do_GET(self) -> None:
        """Answer by the path."""
        status, headers, body = {
            "/page": (200, {"Content-Type": "text/html; charset=unicode_escape"}, HOSTILE_PAGE),
            "/no-text": (302, {"Location": "/\xff"}, b""),
            "/long": (302, {"Location": "/picture", "Content-Length": "99999999"}, b"x"),
            "/later": (429, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 +999999999999999999999"}, b""),
            "/picture": (200, {"Content-Type": "image/jpeg"}, picture("hostile")),
        }.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if self.path == "/long":
            sleep(3)


HOSTILE_PAGE = b"""\xff<img src="/no-text"><img src="/later"><img src="/long"><img src="/\\ud800.png">
<script type="application/ld+json">{"@type": "ImageObject", "contentUrl": "/pic/\\ud800.jpg"}</script>"""


def test_a_hostile_host_ends_nothing(place: Place) -> None:
    """Redirects to what is no text, or with a body without end, nonsense to wait for, half characters: each is a line.

    The run is a thread, so that one that hangs for ever is a failure.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hostile) as host:
        host.daemon_threads = True
        host.block_on_close = False
        threading.Thread(target=host.serve_forever, args=(0.05,), daemon=True).start()
        place.sources(f"http://127.0.0.1:{host.server_address[1]}/page")
        reports: list[CollectReport] = []
        running = threading.Thread(target=lambda: reports.append(place.run()), daemon=True)
        running.start()
        running.join(30)
        host.shutdown()
    assert reports, "the run hangs, or ended with an error"
    (source,) = reports[0].sources
    assert source.kept == 1, "the body of a redirect is nobody's business"
    assert source.failed == Counter({"404": 2, "429": 1})


def test_data_links() -> None:
    """Base64 with or without its padding, and percent signs, are understood; what is neither is refused."""
    assert data_of("data:image/png;base64,aGk=", 10) == ("image/png", b"hi")
    assert data_of("data:image/png;BASE64,aGk", 10) == ("image/png", b"hi")
    assert data_of("data:,a%20b", 10) == ("", b"a b")
    with pytest.raises(FetchRefused, match="no data"):
        data_of("data:image/png", 10)
    with pytest.raises(FetchRefused, match="more than 10"):
        data_of("data:,xxxxxxxxxxx" * 9, 10)


def test_limits_of_a_source(place: Place, server: GalleryServer) -> None:
    """`max_pictures` and `max_pages` end a source; a side below `min_side` is too small."""
    place.sources(server.galleries[0], max_pictures=7)
    assert place.run().sources[0].kept <= 7
    place.sources(server.galleries[1], max_pages=1, min_side=97, select="img")
    (source,) = place.run().sources
    assert source.kept == 0
    assert "yielded nothing" in "\n".join(source.to_lines())


def test_a_picture_is_no_page(place: Place, server: GalleryServer) -> None:
    """A source that names a picture where a page belongs is told so, and not that the picture is none."""
    place.sources(f"{server.hosts[0]}/p/0-1.jpg")
    (line,) = place.run().sources[0].lines
    assert (line.outcome, line.reason) == ("page refused", "not a page")
    assert line.what == "the answer is image/jpeg, which is no page with pictures on it"


def test_a_source_that_yields_nothing_is_said_loudly(place: Place) -> None:
    """A page without pictures is a line that cannot be overlooked, with advice."""
    place.sources(place.saved("empty.html", "<p>nothing"))
    lines = place.run().to_text().splitlines()
    assert any(line.startswith("! show/hero-0 yielded nothing: no picture on 1 pages (try `select`") for line in lines)


def test_the_agent_names_project_and_contact(place: Place, server: GalleryServer) -> None:
    """Every request says who asks and whom to turn to; a contact cannot smuggle in a line of its own."""
    place.settings = Settings(**{**_fields(place.settings), "contact": "ann@example.org\r\nX-Evil: 1"})
    place.sources(server.galleries[0], max_pages=1)
    place.run()
    (agent,) = server.record.agents
    assert agent.startswith("sokkuri/")
    assert "+ann@example.org X-Evil: 1" in agent
    assert "no contact given" in agent_of(Settings())


def _fields(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__slots__}


def test_private_hosts_are_refused_by_default(place: Place, server: GalleryServer) -> None:
    """Without the setting, loopback is out of bounds: nothing arrives there, and the report says so."""
    place.settings = Settings(**{**_fields(place.settings), "private_networks": ""})
    place.sources(server.galleries[0])
    (source,) = place.run().sources
    assert [(line.outcome, line.reason) for line in source.lines] == [("page refused", "a private address")]
    assert server.paths == []


def test_where_all_is_private_the_report_names_the_setting(place: Place, server: GalleryServer) -> None:
    """That is for the one who runs it to decide; where anything is kept, it is a line like others."""
    place.set(private_networks="")
    place.sources(server.galleries[0], server.galleries[1])
    for _ in range(2):
        report = place.run()
        assert re.match(
            r"every source yielded nothing: .*127\.0\.0\.\d is a private address; .*SOKKURI_PRIV", report.barred
        )
        assert (report.to_json()["barred"], report.offline) == (report.barred, "")
    place.sources(server.galleries[0], place.saved("one.html", f'<img src="{_data(_large("a", 99))}">'))
    report = place.run()
    assert report.barred == ""
    assert "1 of 2 sources yielded nothing: show/hero-0 (private addresses are collected" in report.to_warning()
    place.set(private_networks="127.0.0.0/8")
    place.sources(server.galleries[0])
    assert place.run().to_warning() == ""
    place.set(private_networks="")
    assert place.run().barred == "", "all that is wanted is here, and nobody was asked"
    assert "SOKKURI_PRIVATE_NETWORKS" in place.run(refresh=True).barred


def test_what_robots_txt_forbids_is_an_answer(place: Place) -> None:
    """A run in which every host forbids everything has done its work: its sources are named, and that is all."""
    with Host({"/robots.txt": (200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /")}) as host:
        place.sources(f"{host.address}/")
        report = place.run()
    assert (report.offline, report.barred) == ("", "")
    assert report.to_warning() == "! 1 of 1 sources yielded nothing: show/hero-0"


def test_an_unreachable_host_does_not_stop_the_others(place: Place, server: GalleryServer) -> None:
    """A host where nobody listens is a line of its source; the other source is collected all the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.9", 0))
        port = free.getsockname()[1]
    place.sources(f"http://127.0.0.9:{port}/", server.galleries[0])
    first, second = place.run().sources
    assert [(line.outcome, line.reason) for line in first.lines] == [("page failed", "unreachable")]
    assert second.kept == 12


def test_nothing_at_all_can_be_reached(place: Place) -> None:
    """Where nobody listens at the only host, the report says that no host can be reached, and why."""
    with socket.socket() as free:
        free.bind(("127.0.0.9", 0))
        port = free.getsockname()[1]
    place.sources(f"http://127.0.0.9:{port}/")
    report = place.run()
    assert "no host can be reached (127.0.0.9: " in report.offline
    assert "refused" in report.offline
    assert not report.is_worth_reading


def test_no_network_is_said_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no name can be looked up one sentence says so; what needs no network is kept, nothing counts as failed."""

    def nowhere(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    place.sources(
        "http://a.example/ http://b.example/", place.saved("one.html", f'<img src="{_data(_large("a", 99))}">')
    )
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    for _ in range(3):
        report = place.run()
        assert re.match(r"no host can be reached \([ab]\.example: .*is there a network", report.offline)
    assert len(place.pictures()) == 1
    assert '"failed"' not in (place.library / ".sokkuri" / "journal.jsonl").read_text()


def test_a_full_disk_ends_in_one_sentence(place: Place, server: GalleryServer) -> None:
    """Where nothing fits any more the run ends, and what was filed is whole; with room it goes on."""
    place.sources(server.galleries[0], max_pages=1)
    with workplace(place.settings, "make the catalogue"):
        pass
    big = place.saved("big.html", f'<img src="{_data(saved(Image.effect_noise((600, 600), 90), "PNG"))}">')
    place.sources(big)
    with (
        workplace(place.settings, "collect") as catalogue,
        full_disk(150_000),
        pytest.raises(BuildError, match="make room"),
    ):
        collect(place.settings, catalogue, read_sources(place.folder / "sources.toml"), place.library)
    assert not list(place.library.glob("*/*/*.png"))
    assert place.run().sources[0].kept == 1


def test_an_answer_without_room_is_asked_for_again(
    place: Place, server: GalleryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that came while the disk was full is no failure: with room, the next run asks for it."""
    place.sources(server.galleries[0], max_pages=1)
    with workplace(place.settings, "make the catalogue"):
        pass
    big = saved(Image.effect_noise((600, 600), 90), "PNG")
    monkeypatch.setattr("bench.gallery.picture", lambda path: big if path.endswith("-5.jpg") else picture(path))
    with full_disk(150_000), pytest.raises(BuildError, match=r"cannot be used \(File too large\): make room and run"):
        place.run()
    assert not list((place.library / ".sokkuri" / "answers").glob("*.aside"))
    (source,) = place.run().sources
    assert (source.kept, source.failed) == (10, Counter())
    assert server.paths.count("/p/0-5.jpg") == 2
    assert max(Counter(path for path in server.paths if path != "/p/0-5.jpg").values()) == 1


def test_a_picture_without_room_leaves_nothing_half(place: Place, server: GalleryServer) -> None:
    """Where the sidecar fits and its picture does not, neither is there; with room the picture is filed unasked."""
    place.sources(server.galleries[0], max_pages=1)
    put = keep._put

    def full(file: Path, data: bytes) -> None:
        if file.suffix == ".jpg":
            with full_disk(1000):
                put(file, data)
        put(file, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.collect.keep._put", full)
        with pytest.raises(BuildError, match=r"cannot be written \(File too large\): make room and run it again"):
            place.run()
    assert [file for file in place.library.glob("show/*/*") if file.is_file()] == []
    (source,) = place.run().sources
    assert (source.kept, source.failed) == (10, Counter())
    assert max(Counter(server.paths).values()) == 1


def test_what_is_in_the_way(place: Place) -> None:
    """Where a folder stands in the place of the journal, the sentence names it, and does not ask for room."""
    (place.library / ".sokkuri" / "journal.jsonl").mkdir(parents=True)
    place.sources(place.saved("one.html", ""))
    with pytest.raises(BuildError, match=r"journal\.jsonl cannot be used \(Is a directory\): see that it can be"):
        place.run()


def test_into_a_file(place: Place) -> None:
    """A library cannot be a file."""
    place.library.write_text("")
    place.sources(place.saved("one.html", ""))
    with pytest.raises(BadLibrary, match="is not a folder"):
        place.run()
