"""Credits: the licence and the author that a page states, for one picture or for all it shows.

Not here: which pictures a page shows (`galleries`).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urljoin

from bs4 import BeautifulSoup, Tag

LONGEST = 500
"""Letters of a licence or author that are kept: more is no credit but a text about one."""
MOST_WITHIN = 50
"""Elements within another that are looked at: figures within figures would else take time without end."""
FURTHEST = 20
"""Levels up to which an element is looked for around another."""
_DEEPEST = 50
"""Levels of JSON-LD that are looked into."""
_LICENCES = ("dcterms.license", "dc.license", "dcterms.rights", "dc.rights", "license", "copyright")
_AUTHORS = ("author", "article:author", "dcterms.creator", "dc.creator", "twitter:creator")


@dataclass(frozen=True, slots=True)
class Credit:
    """Who made a picture, and under which licence it is shown; empty where the page does not say."""

    licence: str = ""
    author: str = ""

    def or_else(self, other: Credit) -> Credit:
        """Return this credit, with what it lacks taken from another."""
        return Credit(self.licence or other.licence, self.author or other.author)


def credit_of_page(soup: BeautifulSoup, base: str) -> Credit:
    """Return what a page states about everything on it: licence links and metadata."""
    stated = Credit(_meta(soup, _LICENCES), _meta(soup, _AUTHORS))
    head = soup.find("link", rel="license")
    named = _linked(head, base) if isinstance(head, Tag) else ""
    links = soup.find_all(["a"], rel="license", limit=MOST_WITHIN)
    outside = (link for link in links if _figure_around(link) is None)
    return Credit(named or _linked(next(outside, None), base)).or_else(stated)


def credit_of_figure(element: Tag, base: str) -> Credit:
    """Return what the `figure` around a picture states about it."""
    figure = _figure_around(element)
    if figure is None:
        return Credit()
    licence = author = None
    for one in within(figure):
        rel = one.get("rel") or ()
        licence = licence or (one if one.name == "a" and "license" in rel else None)
        author = author or (one if "author" in rel or "author" in str(one.get("itemprop") or "").split() else None)
    return Credit(
        _linked(licence, base),
        _short(" ".join(map(str, author.find_all(string=True, limit=MOST_WITHIN)))) if author else "",
    )


def within(element: Tag) -> Iterator[Tag]:
    """Yield the elements within another one, level by level: the first MOST_WITHIN of them.

    Beautiful Soup's own `descendants` first looks for the last one, which takes long where a page is deep.
    """
    waiting = deque(islice(element.contents, MOST_WITHIN))
    for _ in range(MOST_WITHIN):
        if not waiting:
            return
        one = waiting.popleft()
        if isinstance(one, Tag):
            yield one
            waiting.extend(islice(one.contents, MOST_WITHIN))


def _figure_around(element: Tag) -> Tag | None:
    return next((one for one in islice(element.parents, FURTHEST) if one.name == "figure"), None)


def linked_data(soup: BeautifulSoup) -> Iterator[dict[str, Any]]:
    """Yield every object of the page's JSON-LD (W3C, 2020), at any depth; what is no JSON counts for nothing."""
    for script in soup.find_all("script", type="application/ld+json"):
        try:
            waiting = [(json.loads(script.string or ""), 0)]
        except (ValueError, RecursionError):
            continue
        while waiting:
            value, depth = waiting.pop()
            if isinstance(value, dict):
                yield value
            if depth < _DEEPEST and isinstance(value, (dict, list)):
                below = list(value.values() if isinstance(value, dict) else value)
                waiting += [(one, depth + 1) for one in reversed(below)]


def credit_of_object(found: dict[str, Any]) -> Credit:
    """Return what a schema.org ImageObject states about itself."""
    licence = _named(found.get("license")) or _named(found.get("copyrightNotice"))
    author = _named(found.get("creator")) or _named(found.get("author")) or _named(found.get("creditText"))
    return Credit(licence, author)


def _named(value: Any) -> str:
    """Return the text of a property, or the name or address of the object that it is."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_named, value)))[:LONGEST]
    if isinstance(value, dict):
        value = value.get("name") or value.get("url") or value.get("@id")
    return _short(value) if isinstance(value, str) else ""


def _meta(soup: BeautifulSoup, names: tuple[str, ...]) -> str:
    """Return the content of the first of these metadata that the page has."""
    found: dict[str, str] = {}
    for element in soup.find_all("meta", content=True):
        name = str(element.get("name") or element.get("property") or "").lower()
        found.setdefault(name, _short(str(element["content"])))
    return next((found[name] for name in names if found.get(name)), "")


def _linked(link: object, base: str) -> str:
    """Return the address of a licence link."""
    if not isinstance(link, Tag) or not link.get("href"):
        return ""
    try:
        return _short(urljoin(base, str(link["href"])))
    except ValueError:
        return ""


def _short(text: str) -> str:
    # JSON may hold half a character, which no file and no table takes.
    return " ".join(text.encode("utf-8", "replace").decode().split())[:LONGEST]
