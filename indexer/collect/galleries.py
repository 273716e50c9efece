"""Galleries: which pictures a page shows, and which page comes next. A page goes in, plain values come out.

Nothing is fetched here, and nothing is decided by looking at a picture: what is left out is left out by the name and
size that the page itself gives. Not here: whether an address may be asked for (`manners`, `fetch`).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from bs4 import BeautifulSoup, Tag

from indexer.collect.addresses import is_of_the_web, normal
from indexer.collect.answers import LONGEST_ADDRESS
from indexer.collect.credits import Credit, credit_of_figure, credit_of_object, credit_of_page, linked_data, within
from indexer.collect.manners import AGENT, FOLLOWS_NOT, KEEPS_OUT, directives
from indexer.collect.sources import Source
from indexer.listing import EXTENSIONS

ICON_SIDE = 48
"""A picture that its page shows smaller than this, in CSS pixels, is an icon, an emoji or a tracking pixel."""
WIDEST = 4096
"""The widest entry of a `srcset` that is taken, in pixels: wider ones are beyond what any picture here may have."""
MOST_ELEMENTS = 5_000
"""Images and links of a page that are looked at: no gallery has more on one page."""

ICON_BY_NAME, ICON_BY_SIZE, NOT_A_FORMAT = "an icon by its name", "an icon by its size", "not a picture format"
PAGE_FORBIDS = "the page forbids it"

_ICONS = frozenset(
    """sprite sprites icon icons favicon logo logos spacer pixel blank transparent placeholder loading loader spinner
    badge button btn emoji smiley captcha tracking tracker beacon counter 1x1""".split()  # noqa: SIM905  # legible
)
_ICON_FOLDERS = frozenset({"icon", "icons", "emoji", "emojis", "sprites", "smilies", "favicons"})
_FOREIGN = frozenset({".svg", ".svgz", ".ico", ".avif", ".heic", ".tif", ".tiff", ".jxl", ".mp4", ".webm"})
_ACCEPTED_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png", "image/webp", "image/gif", "image/bmp"})
_ORIGINALS = ("data-iurl", "data-original", "data-full", "data-large")
_SETS = ("data-srcset", "data-lazy-srcset", "srcset")
_LAZY = ("data-src", "data-lazy-src", "data-lazy", "src")
_NEXT = frozenset(
    {"next", "next page", "next results", "older", "older posts", "more results", "次", "次へ", "次のページ"}
)
_NEXT_SIGNS = ("»", "\u203a", "→")
_ARROWS = "".join((*_NEXT_SIGNS, "> \t\n\r\f\xa0"))
_SET_ADDRESS = re.compile(r"[\s,]*([^\s]+)")
_SET_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([wx])")
_SAVED_FROM = re.compile(rb"<!-- saved from url=\([0-9]{1,5}\)(https?://[^\s<>]{1,4000})")
"""What browsers write into a page that they save: the address that it came from."""
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}["']?\s{0,9}([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
_NO_CHARSETS = frozenset({"unicode_escape", "raw_unicode_escape", "idna", "punycode", "utf_7", "undefined"})
"""Codecs of Python's that no browser knows: some give half characters, some take time without end."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, which JSON may hold and no address can."""

NOBODY = Credit()


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it came: its bytes, its address, and the character set that the server called it by.

    `address` is where its relative links lead from; of a saved file that is its path as `file://`, unless the file or
    its source knows the address it came from. `file` is the path of a saved file, as `file://`, and `saved_from` the
    address that the browser noted in it.
    """

    address: str
    data: bytes
    charset: str = ""
    file: str = ""
    saved_from: str = ""

    @classmethod
    def saved(cls, file: Path, base: str = "") -> Page:
        """Read a saved HTML file. Raises OSError."""
        data = file.read_bytes()
        told = _SAVED_FROM.search(data[:2048])
        place = file.resolve().as_uri()
        noted = told[1].decode("ascii", "replace") if told else ""
        return cls(base or noted or place, data, file=place, saved_from=noted)

    @property
    def text(self) -> str:
        """The page's text. Servers and pages lie about their character set, so UTF-8 wherever the bytes are UTF-8."""
        for mark, charset in (
            (codecs.BOM_UTF8, "utf-8-sig"),
            (codecs.BOM_UTF16_LE, "utf-16"),
            (codecs.BOM_UTF16_BE, "utf-16"),
        ):
            if self.data.startswith(mark):
                return self.data.decode(charset, "replace")
        told = _CHARSET.search(self.data[:4096])
        for charset in ("utf-8", self.charset, told[1].decode("ascii") if told else "", "cp932", "cp1252"):
            try:
                if charset and _is_charset(charset):
                    text = self.data.decode(charset)
                    text.encode()  # halves of surrogate pairs are no text
                    return text
            except (LookupError, ValueError):
                continue
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class PictureReference:
    """A picture that a page shows: its address (`http:`, `https:`, `data:`, `file:`), its page's, and its credit.

    Where the page is a saved one, `saved_from` is the address that it had on the web, as far as that is known.
    """

    address: str
    page: str
    credit: Credit = NOBODY
    saved_from: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that a page shows and nobody wants, by the rule that says so."""

    address: str
    rule: str


@dataclass(frozen=True)
class Gallery:
    """What a page shows: pictures in the order of the page, each address once, what is left out, and the next page."""

    pictures: tuple[PictureReference, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    next: str = ""


@dataclass
class _Finds:
    """The pictures of a page, being gathered."""

    base: str
    page: str
    file: str
    local: bool
    whole: Credit
    judged_by_name: bool
    icon_side: int
    saved_from: str = ""
    pictures: dict[str, PictureReference] = field(default_factory=dict)
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    def add(self, link: str, credit: Credit, sides: Iterable[int] = ()) -> None:
        """Take a picture by the link that a page has to it, or leave it out."""
        address = self.address_of(link)
        if not address:
            return
        known = self.pictures.get(address)
        if known:
            better = known.credit.or_else(credit) if known.credit != self.whole else credit.or_else(known.credit)
            self.pictures[address] = replace(known, credit=better)
        elif rule := self._objection(address, sides):
            self.left_out.setdefault(address, LeftOut(address, rule))
        else:
            self.left_out.pop(address, None)  # small at one place of the page, large at another
            whole = credit.or_else(self.whole)
            self.pictures[address] = PictureReference(address, self.page, whole, self.saved_from)

    def address_of(self, link: str) -> str:
        """Return where a link leads: to the file beside a saved page, if there is one, wherever the page came from."""
        if self.file:
            beside = resolved(link, self.file, local=True)
            if beside.startswith("file:") and _is_file(beside):
                return beside
        return resolved(link, self.base, local=self.local)

    def _objection(self, address: str, sides: Iterable[int]) -> str:
        if any(side < self.icon_side for side in sides):
            return ICON_BY_SIZE
        if address.startswith("data:"):
            return "" if address[5:].partition(";")[0].partition(",")[0].lower() in _ACCEPTED_TYPES else NOT_A_FORMAT
        *folders, name = unquote(urlsplit(address).path).lower().split("/")
        stem, dot, ending = name.rpartition(".")
        if dot + ending in _FOREIGN:
            return NOT_A_FORMAT
        words = re.split(r"[^a-z0-9]+", stem if dot else name)
        by_name = self.judged_by_name and (_ICONS & set(words) or _ICON_FOLDERS & set(folders))
        return ICON_BY_NAME if by_name else ""


def gallery_of(page: Page, source: Source, name: str = "") -> Gallery:
    """Find the pictures of a page. `name` is what the page is called in provenance, its address unless told."""
    soup = BeautifulSoup(page.text, "lxml")
    base = _base(soup, page.address)
    said = _said(soup)
    forbidden = next((word for word in KEEPS_OUT if word in said), "")
    finds = _Finds(
        base=base,
        page=name or page.address,
        file=page.file,
        local=page.address.startswith("file:"),
        whole=credit_of_page(soup, base).or_else(Credit(source.licence, source.author)),
        judged_by_name=not source.select,
        icon_side=source.min_side or ICON_SIDE,
        saved_from=_saved_from(soup, page) if page.file else "",
    )
    if source.select:
        _take_elements(soup.select(source.select, limit=MOST_ELEMENTS), finds)
    else:
        _take_elements(soup.find_all(["picture", "a", "img"], limit=MOST_ELEMENTS), finds)
        _take_metadata(soup, finds)
        _take_linked_data(soup, finds)
    if source.select:
        _take_credits(soup, finds)
    following = "" if said & set(FOLLOWS_NOT) else _next(soup, base, page.address, source.next)
    if forbidden:
        rule = f"{PAGE_FORBIDS} ({forbidden})"
        return Gallery((), tuple(LeftOut(address, rule) for address in finds.pictures), following)
    return Gallery(tuple(finds.pictures.values()), tuple(finds.left_out.values()), following)


def resolved(link: str, base: str, *, local: bool = False) -> str:
    """Return the whole address of a link in its one form (`addresses`); nothing where it leads to no picture.

    Only a saved file (`local`) may lead to files, and only to those in its own folder or below.
    """
    link = link.strip()
    brought = link[:5].lower() == "data:"
    if not link or (len(link) > LONGEST_ADDRESS and not brought) or _SURROGATE.search(link):
        return ""
    if brought:
        return "data:" + link[5:]
    try:
        address = urldefrag(urljoin(base, re.sub(r"[\t\n\r]", "", link))).url
        parts = urlsplit(address)
        host = parts.hostname and (parts.port or True)
    except ValueError:
        return ""
    if parts.scheme in ("http", "https"):
        return normal(address) if host else ""
    if parts.scheme == "file" and local:
        folder = base.rpartition("/")[0] + "/"
        return address if address.startswith(folder) and ".." not in unquote(address).split("/") else ""
    return ""


def _is_file(address: str) -> bool:
    try:
        return Path(unquote(urlsplit(address).path)).is_file()
    except (OSError, ValueError):
        return False


def _is_charset(name: str) -> bool:
    """Tell whether Python's codec of a name is one that pages are written in."""
    found = codecs.lookup(name)
    return found._is_text_encoding and found.name.replace("-", "_") not in _NO_CHARSETS


def leads_to_picture(link: str) -> bool:
    """Tell whether a link's path ends like a picture's. Wikis call pages about pictures `File:name.jpg`."""
    try:
        name = unquote(urlsplit(link.strip()).path).rpartition("/")[2].lower()
    except ValueError:
        return False
    return name.endswith(tuple(EXTENSIONS)) and ":" not in name


def largest_of_set(text: str) -> str:
    """Return the address of a `srcset`'s largest picture that fits (HTML Living Standard, 4.8.4.2.1), or nothing.

    Widths (`800w`) beyond WIDEST do not fit, unless all are; densities (`2x`) always do.
    """
    best, best_key = "", (-1.0, 0.0)
    for address, amount, unit in _set_entries(text):
        fits = unit != "w" or amount <= WIDEST
        key = (1.0, amount) if fits else (0.0, -amount)
        if key > best_key:
            best, best_key = address, key
    return best


def _set_entries(text: str) -> Iterator[tuple[str, float, str]]:
    """Yield address, number and unit of each entry of a `srcset`; an entry without a descriptor is `1x`."""
    at = 0
    while found := _SET_ADDRESS.match(text, at):
        address, at, amount, unit = found[1].rstrip(","), found.end(), 1.0, "x"
        if not found[1].endswith(","):
            end = text.find(",", at)
            described, at = (text[at:], len(text)) if end < 0 else (text[at:end], end)
            sizes = (_SET_SIZE.fullmatch(word) for word in described.split())
            for size in filter(None, sizes):
                amount, unit = float(size[1]), size[2]
        if address:
            yield address, amount, unit


def _base(soup: BeautifulSoup, address: str) -> str:
    element = soup.find("base", href=True)
    if not isinstance(element, Tag):
        return address
    try:
        base = urljoin(address, str(element["href"]).strip())
        scheme = urlsplit(base).scheme
    except ValueError:
        return address
    # A saved page that names its base was on the web; a page of the web may not lead into the file system.
    return base if scheme in ("http", "https") else address


def _saved_from(soup: BeautifulSoup, page: Page) -> str:
    """Return the address of the web that a saved page came from: as noted, or else as the page calls itself."""
    if is_of_the_web(known := page.saved_from or page.address):
        return normal(known)
    named = [str(one["href"]) for one in soup.find_all("link", rel="canonical", href=True)]
    named += [str(one["content"]) for one in soup.find_all("meta", property="og:url", content=True)]
    return next((address for one in named if (address := resolved(one, "")) and is_of_the_web(address)), "")


def _said(soup: BeautifulSoup) -> set[str]:
    """Return the directives of the page's robots metadata."""
    found = soup.find_all("meta", content=True)
    meant = [element for element in found if str(element.get("name", "")).lower() in ("robots", AGENT)]
    return directives(str(element["content"]) for element in meant)


def _take_elements(elements: Iterable[Tag], finds: _Finds) -> None:
    """Take what pictures, links and images lead to; what stands inside a link to a picture is its thumbnail."""
    done: set[int] = set()
    for element in elements:
        if id(element) in done:
            continue
        credit = credit_of_figure(element, finds.base)
        if element.name == "a":
            link = str(element.get("href") or "")
            if leads_to_picture(link):
                finds.add(link, credit)
                done |= {id(inner) for inner in within(element)}
        elif element.name == "picture":
            inner = next((one for one in within(element) if one.name == "img"), None)
            link = _of_picture(element, inner)
            finds.add(link, credit, _sides(inner) if inner else ())
            done |= {id(one) for one in within(element)}
        elif element.name in ("img", "source"):
            finds.add(_of_image(element), credit, _sides(element))
        elif element.name == "meta":
            finds.add(str(element.get("content") or ""), credit)
        else:
            inside = element.find_all(["picture", "a", "img"], limit=MOST_ELEMENTS)
            _take_elements((one for one in inside if id(one) not in done), finds)
            done |= {id(one) for one in inside}
        done.add(id(element))


def _of_picture(element: Tag, image: Tag | None) -> str:
    """Return the link of a `picture`: the largest of its sources in a format that can be read, else its image."""
    sources = [
        _set_of(source)
        for source in within(element)
        if source.name == "source" and str(source.get("type") or "image/jpeg").lower() in _ACCEPTED_TYPES
    ]
    if image is not None:
        if original := _original(image):
            return original
        sources.append(_set_of(image))
    return largest_of_set(", ".join(filter(None, sources))) or (_of_image(image) if image is not None else "")


def _of_image(element: Tag) -> str:
    """Return the link of an `img`: the original where lazy loading names it, the largest of a set, or its source."""
    if link := _original(element) or largest_of_set(_set_of(element)):
        return link
    links = [str(element[name]) for name in _LAZY if element.get(name)]
    return links[0] if links else largest_of_set(str(element.get("srcset") or ""))


def _original(element: Tag) -> str:
    """Return the link to the original that an `img` is a smaller picture of, or nothing."""
    return next((str(element[name]) for name in _ORIGINALS if element.get(name)), "")


def _set_of(element: Tag) -> str:
    """Return the set that an element chooses from, the lazy one first; one of `data:` only holds the place of it."""
    sets = (str(element.get(name) or "") for name in _SETS)
    return next((one for one in sets if largest_of_set(one) and not largest_of_set(one).startswith("data:")), "")


def _sides(element: Tag) -> list[int]:
    """Return the width and height that an element states in pixels; one that states a share states nothing.

    Where it names an original, they are those of the smaller picture that stands for it, and say nothing about it.
    """
    if _original(element):
        return []
    texts = (str(element.get(name) or "").strip() for name in ("width", "height"))
    found = (re.fullmatch(r"([0-9]{1,6})(\.[0-9]{1,9})?(px)?", text) for text in texts)
    return [int(one[1]) for one in found if one]


def _take_metadata(soup: BeautifulSoup, finds: _Finds) -> None:
    """Take the picture that a page shows of itself elsewhere (ogp.me, 2010)."""
    names = ("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src")
    for element in soup.find_all("meta", content=True):
        if str(element.get("property") or element.get("name") or "").lower() in names:
            finds.add(str(element["content"]), Credit())


def _take_linked_data(soup: BeautifulSoup, finds: _Finds) -> None:
    """Take the pictures of JSON-LD: those that are described, and those that something else has as its `image`."""
    for found in linked_data(soup):
        kinds = found.get("@type")
        if "ImageObject" in (kinds if isinstance(kinds, list) else [kinds]):
            for link in _places(found):
                finds.add(link, credit_of_object(found))
        images = found.get("image")
        for image in images if isinstance(images, list) else [images]:
            if isinstance(image, str):
                finds.add(image, Credit())
            elif isinstance(image, dict):
                for link in _places(image):
                    finds.add(link, credit_of_object(image))


def _take_credits(soup: BeautifulSoup, finds: _Finds) -> None:
    """Give the pictures that a selector chose the credit that JSON-LD states of them."""
    for found in linked_data(soup):
        for link in _places({"contentUrl": found.get("contentUrl")}):
            if finds.address_of(link) in finds.pictures:
                finds.add(link, credit_of_object(found))


def _places(found: dict[str, Any]) -> list[str]:
    """Return the links to the picture that a JSON-LD object is: schema.org lets every property have several values."""
    value = found.get("contentUrl") or found.get("url")
    values = value if isinstance(value, list) else [value]
    links = (one.get("@id") or one.get("@value") if isinstance(one, dict) else one for one in values)
    return [link for link in links if isinstance(link, str)]


def _next(soup: BeautifulSoup, base: str, page: str, selector: str) -> str:
    """Return the address of the next page: where the selector says, or else on the same host."""
    host = urlsplit(page).netloc
    for element in soup.select(selector) if selector else _next_links(soup):
        address = resolved(str(element.get("href") or ""), base)
        if address and address != urldefrag(page).url and (selector or urlsplit(address).netloc == host):
            return address
    return ""


def _next_links(soup: BeautifulSoup) -> Iterator[Tag]:
    """Yield what may lead to the next page, the surest first."""
    links = [link for link in soup.find_all(["link", "a"], href=True) if "nofollow" not in _words(link, "rel")]
    yield from (link for link in links if "next" in _words(link, "rel"))
    anchors = [link for link in links if link.name == "a"]
    yield from (
        link for link in anchors if {"next", "next-page", "nextpage", "pagination-next"} & _words(link, "class")
    )
    for link in anchors:
        texts = (link.get_text(" ", strip=True)[:40], str(link.get("aria-label") or "")[:40])
        if any(text.strip(_ARROWS).lower() in _NEXT or text.strip() in _NEXT_SIGNS for text in texts if text):
            yield link


def _words(element: Tag, name: str) -> set[str]:
    """Return the words of an attribute that holds several."""
    value: str | Iterable[str] = element.get(name) or []
    return {word.lower() for word in (value.split() if isinstance(value, str) else value)}
