"""`indexer.collect.addresses`: however an address is written, it is asked for once, and forgotten as one."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.gallery import picture
from indexer.collect.addresses import beginning, normal
from indexer.collect.forget import comes_from, forget
from indexer.workplace import workplace
from tests.indexer.collect.places import Host, Place, image, moved, page

U_UMLAUT = "http://h.example/pic/%C3%BC.png"


@pytest.mark.parametrize(
    ("address", "one_form"),
    [
        ("http://h.example/pic/ü.png", U_UMLAUT),
        ("HTTP://H.Example:80/pic/%c3%bc.png#top", U_UMLAUT),
        ("http://h.example:/pic/%C3%BC.png", U_UMLAUT),
        ("http://h.example/./a/../pic/%C3%BC.png", U_UMLAUT),
        ("http://h.example", "http://h.example/"),
        ("http://h.example?q=a b", "http://h.example/?q=a%20b"),
        ("https://h.example:0443/%7eann/%41%2F", "https://h.example/~ann/A%2F"),
        ("https://h.example:080/", "https://h.example:80/"),
        ("http://h.example/100%/%zz%25", "http://h.example/100%25/%25zz%25"),
        ("http://h.example/a/..", "http://h.example/"),
        ("http://h.example/a/b/.", "http://h.example/a/b/"),
        ("http://h.example/[1]?x=[2]&y=%5b", "http://h.example/%5B1%5D?x=%5B2%5D&y=%5B"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://[::1]:80/a", "http://[::1]/a"),
        ("http://Ann:Pw@H.example/", "http://Ann:Pw@h.example/"),
        ("http://h.example/%e9", "http://h.example/%E9"),
        ("http://[/x", "http://[/x"),
        ("data:image/png,%41", "data:image/png,%41"),
        ("file:a/%41.html", "file:a/%41.html"),
    ],
)
def test_one_form(address: str, one_form: str) -> None:
    """RFC 3986, 6.2.2 and 6.2.3; what has its one form already stays as it is."""
    assert normal(address) == one_form
    assert normal(one_form) == one_form


def test_what_an_address_is_said_to_begin_with() -> None:
    """A host without a path stays without one: a name that ends there may have a port after it."""
    assert beginning("HTTP://H.Example") == "http://h.example"
    assert beginning("http://h.example/") == "http://h.example/"
    assert beginning("http://h.example/ü") == "http://h.example/%C3%BC"
    assert beginning("file:a/ü.html") == "file:a/ü.html"
    assert comes_from("http://h.example/%c3%bc/1.jpg", "http://H.example:80/ü/")
    assert comes_from("http://h.example/ü/~ann/1.jpg", "http://h.example/%C3%BC/%7Eann")


@pytest.mark.slow
def test_one_address_in_many_spellings_is_asked_for_once(tmp_path: Path) -> None:
    """Pictures, pages and redirects: whatever the spelling, host and catalogue hear of one address."""
    place = Place(tmp_path)
    with Host({path: image(picture(path)) for path in ("/pic/ü.png", "/~a.jpg", "/100%.jpg")}) as host:
        upper = host.address.replace("http:", "HTTP:")
        host.answers["/"] = page(
            "/pic/ü.png", "/pic/%C3%BC.png", "/pic/%c3%bc.png", f"{upper}/pic/./%c3%bc.png", "/~a.jpg", "/%7Ea.jpg",
            "/%7ea.jpg", "/100%.jpg", "/100%25.jpg", "/moved.jpg",
        )  # fmt: skip
        host.answers["/moved.jpg"] = moved("/pic/%c3%bc.png")
        place.sources(f"{host.address} {host.address}/ {upper}/#top")
        (source,) = place.run().sources
        assert Counter(host.asked) == Counter(["/robots.txt", "/", "/pic/ü.png", "/~a.jpg", "/100%.jpg", "/moved.jpg"])
        assert (source.kept, source.found) == (3, 4)
        told = {json.loads(file.read_text(encoding="utf-8"))["address"] for file in place.library.glob("*/*/*.json")}
        assert told == {f"{host.address}/{name}" for name in ("pic/%C3%BC.png", "~a.jpg", "100%25.jpg")}
        assert told == {row.address for row in place.rows()}


@pytest.mark.slow
def test_what_an_earlier_version_noted_is_known(tmp_path: Path) -> None:
    """A journal that has addresses as pages wrote them: nothing of it is asked for again, and it can be forgotten."""
    place = Place(tmp_path)
    with Host({"/ü.jpg": image(picture("u")), "/": page("/ü.jpg")}) as host:
        place.sources(f"{host.address}/")
        place.run()
        one_form, older = f"{host.address}/%C3%BC.jpg", f"{host.address}/ü.jpg"
        for file in (place.library / ".sokkuri" / "journal.jsonl", *place.library.glob("*/*/*.json")):
            text = file.read_text(encoding="utf-8")
            assert one_form in text
            file.write_text(text.replace(one_form, older), encoding="utf-8")
        with workplace(place.settings, "age") as catalogue:
            (row,) = catalogue.collected()
            catalogue.remember_collected([replace(row, address=older)], [])
        assert place.run().sources[0].kept == 1
        assert host.asked.count("/ü.jpg") == 1
        with workplace(place.settings, "forget") as catalogue:
            assert len(forget(place.settings, catalogue, source=f"{host.address}/%c3%bc").pictures) == 1
        assert place.run().sources[0].refused == {"forgotten on demand": 1}
        assert host.asked.count("/ü.jpg") == 1


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["ü", "%C3%BC", "%c3%bc"])
def test_any_spelling_finds_what_is_to_be_forgotten(tmp_path: Path, spelling: str) -> None:
    """An address from a browser's bar or from a host's log names the same picture."""
    place = Place(tmp_path)
    with Host({"/ü/~a.jpg": image(picture("u")), "/": page("/%c3%bc/%7ea.jpg")}) as host:
        place.sources(f"{host.address}/")
        assert place.run().sources[0].kept == 1
        with workplace(place.settings, "forget") as catalogue:
            report = forget(place.settings, catalogue, source=f"{host.address.upper()}/{spelling}/%7Ea.jpg")
        assert len(report.files) == 1
        assert place.pictures() == []


@pytest.mark.slow
def test_robots_txt_forbids_every_spelling(tmp_path: Path) -> None:
    """A path that is forbidden in one spelling is not asked for in another."""
    place = Place(tmp_path)
    rules = (200, {"Content-Type": "text/plain"}, "User-agent: sokkuri/0.1\nDisallow: /~ann/\nDisallow: /ü/".encode())
    with Host({"/robots.txt": rules, "/": page("/%7Eann/1.jpg", "/ü/2.jpg", "/%c3%bc/3.jpg")}) as host:
        place.sources(f"{host.address}/")
        assert place.run().sources[0].refused == {"robots.txt forbids it": 3}
        assert host.asked == ["/robots.txt", "/"]
