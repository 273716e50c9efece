"""`indexer.collect.galleries` and `credits`: what a page shows, and what of it is wanted."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from indexer.collect.credits import Credit
from indexer.collect.galleries import (
    ICON_BY_NAME,
    ICON_BY_SIZE,
    NOT_A_FORMAT,
    Gallery,
    Page,
    gallery_of,
    largest_of_set,
)
from indexer.collect.sources import Source

pytestmark = pytest.mark.slow

HERE = "https://www.example/shows/one.html"
PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def _gallery(html: str | bytes, address: str = HERE, charset: str = "", **options: Any) -> Gallery:
    data = html if isinstance(html, bytes) else html.encode()
    return gallery_of(Page(address, data, charset), Source("s", "show", "hero", None, (address,), **options))


def _found(html: str | bytes, **options: Any) -> list[str]:
    return [one.address.removeprefix("https://www.example/") for one in _gallery(html, **options).pictures]


@pytest.mark.parametrize(
    ("html", "address"),
    [
        ('<img src="a.jpg">', "shows/a.jpg"),
        ('<img src=" /a.jpg#top ">', "a.jpg"),
        ('<img src="//www.example/b.png">', "b.png"),
        ('<img src="a b.jpg?x=1">', "shows/a%20b.jpg?x=1"),
        ('<img src="thumb.jpg" data-src="a.jpg">', "shows/a.jpg"),
        ('<img src="data:image/gif;base64,R0lGOD" data-original="/a.jpg">', "a.jpg"),
        ('<img src="x.jpg" data-iurl="/full.jpg" data-src="y.jpg">', "full.jpg"),
        ('<img src="s.jpg" srcset="s.jpg 400w, m.jpg 800w, l.jpg 9000w">', "shows/m.jpg"),
        ('<img src="s.jpg" srcset="a.jpg 1x, b.jpg 1.5x">', "shows/b.jpg"),
        (
            '<picture><source srcset="a.avif" type="image/avif"><source srcset="a.webp 1x, b.webp 2x"><img src=c.jpg>',
            "b",
        ),
        ('<a href="full.jpg"><img src="thumb.jpg" width="20"></a>', "shows/full.jpg"),
        ('<a href="/wiki/File:Hero.jpg"><img src="/thumb/hero.jpg"></a>', "thumb/hero.jpg"),
        ('<meta property="og:image" content="/og.jpg">', "og.jpg"),
        ('<noscript><img src="/a.jpg"></noscript>', "a.jpg"),
        ('<base href="/elsewhere/"><img src="a.jpg">', "elsewhere/a.jpg"),
        ('<script type="application/ld+json">{"image": ["/a.jpg"]}</script>', "a.jpg"),
        ('<script type="application/ld+json">[{"@type":"ImageObject","contentUrl":"/a.jpg"}]</script>', "a.jpg"),
        ('<script type="application/ld+json">{"image": {"url": "/a.jpg"}}</script>', "a.jpg"),
        ('<script type="application/ld+json">{"@type":"ImageObject","contentUrl":[7,"/a.jpg"]}</script>', "a.jpg"),
        ('<script type="application/ld+json">{"image": {"contentUrl": [{"@id": "/a.jpg"}]}}</script>', "a.jpg"),
        (f'<img srcset="{PLACEHOLDER} 1w" data-srcset="/a.jpg 400w, /b.jpg 200w">', "a.jpg"),
        (f'<img srcset="{PLACEHOLDER} 1w" data-src="/a.jpg">', "a.jpg"),
        ('<img srcset="/s.jpg 1w" data-srcset="/a.jpg 400w">', "a.jpg"),
        (
            f'<picture><source srcset="{PLACEHOLDER} 1w" data-srcset="/a.jpg"><img src="{PLACEHOLDER}"></picture>',
            "a.jpg",
        ),
        (f'<picture><source srcset="{PLACEHOLDER} 1w"><img data-src="/a.jpg"></picture>', "a.jpg"),
        ('<img src="s.jpg" width=40 data-original="/a.jpg">', "a.jpg"),
        ('<script type="application/ld+json">{broken</script><img src="/a.jpg">', "a.jpg"),
    ],
)
def test_a_picture_is_found_wherever_a_page_has_it(html: str, address: str) -> None:
    """Each way of showing a picture gives one address: the whole one, of the largest picture that fits."""
    (found,) = _found(html)
    assert found == address or (address == "b" and found == "shows/b.webp")


def test_every_address_counts_once() -> None:
    """What a page shows in several ways is one picture, in the order in which the page has them."""
    html = '<img src="b.jpg"><img src="a.jpg"><a href="b.jpg">b</a><noscript><img src="a.jpg"></noscript>'
    assert _found(html) == ["shows/b.jpg", "shows/a.jpg"]


def test_icons_sprites_and_pixels_are_left_out_by_rule() -> None:
    """Size and name say what is no picture of anybody; each is accounted for by its rule."""
    html = """<img src="pixel.gif" width=1 height=1><img src="x.jpg" height="16px"><img src="site-logo.png">
    <img src="/icons/x.png"><img src="drawing.svg"><img src="data:image/svg+xml,x"><img src="iconic.jpg"><img src=y.jpg
    width="100%">"""
    gallery = _gallery(html)
    assert [one.address.rpartition("/")[2] for one in gallery.pictures] == ["iconic.jpg", "y.jpg"]
    rules = [one.rule for one in gallery.left_out]
    assert rules == [ICON_BY_SIZE, ICON_BY_SIZE, ICON_BY_NAME, ICON_BY_NAME, NOT_A_FORMAT, NOT_A_FORMAT]


def test_a_selector_overrules_names() -> None:
    """Where a source says which elements hold its pictures, only those count, whatever they are called."""
    html = '<div id=cast><img src="logo.jpg"><a href="big.jpg"><img src=s.jpg></a></div><img src="other.jpg">'
    assert _found(html, select="#cast") == ["shows/logo.jpg", "shows/big.jpg"]
    assert _found(html, select="#cast img:first-child") == ["shows/logo.jpg", "shows/s.jpg"]
    assert _found('<img src="a.jpg" width=20>', min_side=16) == ["shows/a.jpg"]


@pytest.mark.parametrize(
    ("html", "following"),
    [
        ('<link rel="next" href="two.html">', "https://www.example/shows/two.html"),
        ('<a rel="next" href="?page=2">weiter</a>', "https://www.example/shows/one.html?page=2"),
        ('<a href="/3">3</a><a href="/2">Next »</a>', "https://www.example/2"),
        ('<a href="/2">次のページ</a>', "https://www.example/2"),
        ('<a href="#">Next</a>', ""),
        ('<a href="javascript:go()">Next</a>', ""),
        ('<a href="https://other.example/2">Next</a>', ""),
        ('<a href="/2" rel="nofollow">Next</a>', ""),
        ('<a href="/2">What happens next</a>', ""),
        ('<meta name="robots" content="nofollow"><link rel="next" href="/2">', ""),
    ],
)
def test_the_next_page(html: str, following: str) -> None:
    """The next page is what calls itself so, on the same host, unless the page asks that nobody follows."""
    assert _gallery(html).next == following


def test_the_next_page_by_selector() -> None:
    """A source may say which link leads on."""
    assert _gallery('<a class=x href="https://cdn.example/2">ii</a>', next="a.x").next == "https://cdn.example/2"


@pytest.mark.parametrize("said", ["noai", "NoImageAI, nosnippet", "noindex", "none"])
def test_a_page_that_forbids_it_gives_nothing(said: str) -> None:
    """The robots metadata that keep collectors out leave every picture out, by that rule."""
    gallery = _gallery(f'<meta name="robots" content="{said}"><img src="a.jpg">')
    assert gallery.pictures == ()
    assert [one.rule.startswith("the page forbids it") for one in gallery.left_out] == [True]


def test_what_is_said_to_others_does_not_count() -> None:
    """Metadata for another robot forbid nothing."""
    assert _found('<meta name="googlebot" content="noindex"><img src="a.jpg">') == ["shows/a.jpg"]


def test_credits_of_the_page_and_of_the_picture() -> None:
    """A picture has the licence and author that are stated of it, and for the rest those of the page."""
    html = """<link rel="license" href="/cc-by"><meta name="author" content="Page Author"><img src="plain.jpg">
    <figure><img src="own.jpg"><a rel="license" href="https://cc.example/zero">CC0</a><a rel=author>Ann</a></figure>
    <img src="data.jpg"><script type="application/ld+json">{"@graph": [{"@type": "ImageObject",
    "contentUrl": "data.jpg",
    "license": "https://cc.example/sa", "creator": [{"name": "Bob"}, {"name": "Eve"}]}]}</script>"""
    stated = {one.address.rpartition("/")[2]: one.credit for one in _gallery(html).pictures}
    assert stated["plain.jpg"] == Credit("https://www.example/cc-by", "Page Author")
    assert stated["own.jpg"] == Credit("https://cc.example/zero", "Ann")
    assert stated["data.jpg"] == Credit("https://cc.example/sa", "Bob, Eve")


def test_the_sources_credit_counts_where_the_page_states_none() -> None:
    """Licence and author of the source fill in what the page does not say."""
    (found,) = _gallery('<meta name="author" content="Ann"><img src="a.jpg">', licence="CC0", author="Eve").pictures
    assert found.credit == Credit("CC0", "Ann")


def test_the_bytes_decide_about_the_character_set() -> None:
    """A page in UTF-8 is read as such though server and page say otherwise; Shift-JIS is read as what it is."""
    html = '<meta charset="iso-8859-1"><img src="そ.jpg">'
    assert _found(html.encode(), charset="utf-16") == ["shows/%E3%81%9D.jpg"]
    assert _found(html.replace("iso-8859-1", "shift_jis").encode("shift_jis")) == ["shows/%E3%81%9D.jpg"]
    assert _found(html.encode("shift_jis"), charset="x-nonsense") != []


def test_a_saved_page_knows_where_it_came_from(tmp_path: Path) -> None:
    """Browsers note the address of a page they save; a source's `base` wins; without either links lead to files."""
    file = tmp_path / "saved.html"
    file.write_text("<!-- saved from url=(0026)https://www.example/search -->\n<img src='a.jpg'>")
    assert Page.saved(file).address == "https://www.example/search"
    assert Page.saved(file, "https://b.example/").address == "https://b.example/"
    file.write_text("<img src='saved_files/a.jpg'><img src='../secret.jpg'><img src='/etc/x.jpg'>")
    gallery = gallery_of(Page.saved(file), Source("s", "show", "hero", None, (file,)))
    assert [one.address for one in gallery.pictures] == [(tmp_path / "saved_files" / "a.jpg").as_uri()]


@pytest.mark.parametrize("mark", ["<!-- saved from url=(0024)https://www.example/all -->", "<base href='/x/'>", ""])
def test_a_file_beside_a_saved_page_wins(tmp_path: Path, mark: str) -> None:
    """What the browser saved beside a page is not asked for, wherever the page came from; what it did not save is."""
    (tmp_path / "p_files").mkdir()
    (tmp_path / "p_files" / "a b.jpg").write_bytes(b"x")
    file = tmp_path / "p.html"
    file.write_text(f"{mark}\n<img src='./p_files/a%20b.jpg'><img src='p_files/gone.jpg'>")
    page = Page.saved(file, "https://www.example/" if "base" in mark else "")
    first, second = gallery_of(page, Source("s", "show", "hero", None, (file,))).pictures
    assert first.address == (tmp_path / "p_files" / "a%20b.jpg").as_uri().replace("%25", "%")
    assert second.address.startswith("https://www.example/" if mark else "file:")


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "punycode", "idna", "utf-7"])
def test_codecs_that_no_browser_knows(charset: str) -> None:
    """A page is not read by a codec that gives half characters or takes time without end."""
    assert _found(b'\xff<img src="/a.jpg"><img src="/\\ud800.png">', charset=charset)[0] == "a.jpg"


def test_half_characters_are_no_addresses() -> None:
    """JSON may hold half of a surrogate pair: such an address counts for nothing, such an author for what is left."""
    html = """<script type="application/ld+json">[{"@type": "ImageObject", "contentUrl": "/\\ud800.jpg"},
    {"@type": "ImageObject", "contentUrl": "data:image/png,\\ud800"},
    {"@type": "ImageObject", "contentUrl": "/a.jpg", "creator": "Ann \\ud800"}]</script>"""
    (found,) = _gallery(html).pictures
    assert (found.address, found.credit.author) == ("https://www.example/a.jpg", "Ann ?")


def test_a_page_of_the_web_leads_to_no_file() -> None:
    """A remote page cannot make the collector read a file, with or without a base."""
    assert _found('<img src="file:///secret.jpg"><base href="file:///private/"><img src="a.jpg">') == ["shows/a.jpg"]


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg 100w,b.jpg 200w", "b.jpg"),
        ("big.jpg 99999w, huge.jpg 100000w", "big.jpg"),
        ("data:image/png;base64,AA== 2x, b.jpg 1x", "data:image/png;base64,AA=="),
        (" , ", ""),
        ("a.jpg nonsense, b.jpg 3x", "b.jpg"),
    ],
)
def test_the_largest_of_a_set(text: str, largest: str) -> None:
    """The largest entry that fits is taken; an entry without a size counts as 1x; addresses may hold commas."""
    assert largest_of_set(text) == largest


@pytest.mark.parametrize(
    "piece", ["<!--", "<a href='", "<div>", "<![CDATA[", "&", "<p a=", "<a href=x.jpg><img>", "<figure><img src=a>"]
)
def test_a_hostile_page_takes_no_time(piece: str) -> None:
    """Pages made to be slow to read are read in time that grows with their length only."""
    started = perf_counter()
    _gallery('<script type="application/ld+json">' + "[" * 50_000 + "</script>" + piece * (100_000 // len(piece)))
    assert perf_counter() - started < 10
