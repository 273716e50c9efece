"""Saved pages: what they bring along is known by the page's name and by the address that it had on the web."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bench.gallery import picture
from indexer.collect.forget import forget
from indexer.workplace import workplace
from tests.indexer.collect.places import Place

pytestmark = pytest.mark.slow

SEARCH = "http://search.example/find?q=ann"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place to work at."""
    return Place(tmp_path)


def _page(place: Place, name: str, head: str = "") -> str:
    """Save a page with a thumbnail in its text, and one beside it."""
    file = place.folder / name
    beside = file.with_name("p_files")
    beside.mkdir(parents=True, exist_ok=True)
    (beside / "b.jpg").write_bytes(picture(f"beside {name}"))
    thumbnail = base64.b64encode(picture(f"within {name}")).decode()
    html = f'<img src="data:image/jpeg;base64,{thumbnail}"><img src="./p_files/b.jpg">'
    return place.saved(name, f"<!DOCTYPE html>\n{head}\n{html}")


def _told(place: Place) -> list[tuple[str, str]]:
    """Return page and former address of every picture, as the sidecars have it."""
    sidecars = (json.loads(file.read_text(encoding="utf-8")) for file in place.library.glob("*/*/*.json"))
    return sorted((one["page"], one["saved_from"]) for one in sidecars)


def _forget(place: Place, source: str) -> int:
    with workplace(place.settings, "forget") as catalogue:
        return len(forget(place.settings, catalogue, source=source).files)


@pytest.mark.parametrize(
    ("head", "keys", "known"),
    [
        ("<!-- saved from url=(0032)http://search.example/find?q=ann -->", {}, SEARCH),
        ("<!-- saved from url=(0032)http://search.example/find?q=ann -->", {"base": "http://b.example/"}, SEARCH),
        ("", {"base": "http://Search.example:80/find?q=%61nn"}, SEARCH),
        (f'<link rel="canonical" href="{SEARCH}"><meta property="og:url" content="http://o.example/">', {}, SEARCH),
        (f'<link rel="canonical" href="/find"><meta property="og:url" content="{SEARCH}">', {}, SEARCH),
        ("", {}, ""),
    ],
)
def test_the_address_that_a_page_was_saved_from(place: Place, head: str, keys: dict[str, Any], known: str) -> None:
    """Comment, `base`, or what the page calls itself: it stands beside the file's name, and a takedown finds it."""
    place.sources(_page(place, "page.html", head), **keys)
    assert place.run().sources[0].kept == 2
    assert _told(place) == [("file:page.html", known)] * 2
    if known:
        assert _forget(place, "http://search.example/find") == 2
        assert place.run().sources[0].refused == {"forgotten on demand": 2}


def test_what_an_earlier_version_collected_is_found_too(place: Place) -> None:
    """Its sidecars do not say where a page was saved from: the next run that sees the page notes it."""
    place.sources(_page(place, "page.html", f"<!-- saved from url=(0032){SEARCH} -->"))
    place.run()
    for file in place.library.glob("*/*/*.json"):
        told = json.loads(file.read_text(encoding="utf-8"))
        del told["saved_from"]
        file.write_text(json.dumps(told), encoding="utf-8")
    assert place.run().sources[0].kept == 2
    assert _told(place) == [("file:page.html", SEARCH)] * 2
    assert _forget(place, SEARCH) == 2


def test_pages_of_one_name_in_two_folders(place: Place) -> None:
    """Each is called by its path from where the list lies, and can be forgotten without the other."""
    place.sources(_page(place, "a/page.html"), _page(place, "b/page.html"))
    place.run()
    assert _told(place) == [("file:a/page.html", "")] * 2 + [("file:b/page.html", "")] * 2
    assert _forget(place, "file:a/page.html") == 2
    one, two = place.run().sources
    assert (one.kept, two.kept) == (0, 2)
