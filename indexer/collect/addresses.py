"""Addresses: one form for every way in which the same one is written (RFC 3986, 6.2.2 and 6.2.3).

Catalogue, journal, robots rules and requests all go by it. Not here: whether an address may be asked for (`manners`).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from requests import PreparedRequest, RequestException

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH = _UNRESERVED | frozenset(b"!$&'()*+,;=:@/")
_QUERY = _PATH | frozenset(b"?")
_WEB = re.compile(r"\s*https?://", re.IGNORECASE)
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})|(.)", re.DOTALL)
_PORTS = {"http": "80", "https": "443"}


def is_of_the_web(address: str) -> bool:
    """Tell whether an address is one that a host is asked for."""
    return bool(_WEB.match(address))


def normal(address: str) -> str:
    """Return an `http` or `https` address in the one form that it is known by; anything else as it is.

    Scheme and host in small letters, no port that goes without saying, no fragment, no empty path, no dots for folders;
    percent signs for what may not stand for itself, in UTF-8, and for nothing else. A lone percent sign means itself.
    """
    if not is_of_the_web(address):
        return address
    try:
        parts = urlsplit(address.strip())
        host = _host(parts.netloc, parts.scheme)
    except ValueError:
        return address
    if not host:
        return address
    path = _encoded(parts.path, _PATH) or "/"
    query = f"?{_encoded(parts.query, _QUERY)}" if parts.query else ""
    return f"{parts.scheme}://{host}{_without_dots(path)}{query}"


def beginning(prefix: str) -> str:
    """Return what the one form of every address begins with that is said to begin with a prefix."""
    whole = normal(prefix)
    if not is_of_the_web(prefix) or whole == prefix:
        return whole
    try:
        parts = urlsplit(prefix.strip())
    except ValueError:
        return whole
    return whole if parts.path or parts.query else whole.removesuffix("/")


def _host(place: str, scheme: str) -> str:
    """Return name, port and whoever is named before them. Raises ValueError."""
    user, at, host = place.rpartition("@")
    name, colon, port = host.rpartition(":") if re.search(r":[0-9]*$", host) else (host, "", "")
    name = name.lower()
    if not name.isascii():
        request = PreparedRequest()
        try:  # the name is looked up as it is sent
            request.prepare_url(f"{scheme}://{name}/", None)
        except RequestException:
            raise ValueError(f"{name} is no name of a host") from None
        name = urlsplit(str(request.url)).netloc
    port = port.lstrip("0") or port[:1]
    return user + at + name + (f":{port}" if colon and port and port != _PORTS[scheme] else "")


def _encoded(text: str, allowed: frozenset[int]) -> str:
    """Return a part of an address with percent signs for what is not allowed in it, and for nothing unreserved."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character is none
        data = text.encode("utf-8", "replace")

    def letter(found: re.Match[bytes]) -> bytes:
        value = int(found[1], 16) if found[1] else found[2][0]
        stands = value in (_UNRESERVED if found[1] else allowed)
        return bytes([value]) if stands else b"%%%02X" % value

    return _ENCODED.sub(letter, data).decode("ascii")


def _without_dots(path: str) -> str:
    """Return a path without `.` and `..` (RFC 3986, 5.2.4)."""
    if "/." not in path:
        return path
    found: list[str] = []
    for part in path.split("/")[1:]:
        if part == "..":
            del found[-1:]
        elif part != ".":
            found.append(part)
    ends_in_folder = path.rpartition("/")[2] in (".", "..")
    return "/" + "/".join(found) + ("/" if ends_in_folder and found else "")
