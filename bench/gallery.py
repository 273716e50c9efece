"""A local gallery: many small hosts with pages of pictures, and one that misbehaves in every way a host can.

The benchmark and the tests of the collector start it, on 127.0.0.1, 127.0.0.2 and so on: each address is a host of
its own. It counts what it is asked for, so that nobody has to take the collector's word. Not here: what is measured.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from types import TracebackType
from typing import IO, Self
from urllib.parse import unquote

import numpy as np
from PIL import Image

PER_PAGE = 50
SIDE = 96
DRIP_SECONDS = 0.2
FAR_AWAY = "http://169.254.169.254/latest/meta-data/"
"""Where clouds keep their machines' passwords."""
BAD = (
    "404", "410", "429", "429-once", "500", "500-once", "endless", "drip", "head-drip", "type", "loop", "metadata",
    "moved", "page", "bomb", "cut", "short", "noai", "noindex-other", "empty", "tiny", "packed", "hang-up",
)  # fmt: skip
"""What the misbehaving host does, by the name of the picture that is asked for: see `_Handler`."""
_STATUSES: dict[str, tuple[int, dict[str, str]]] = {
    "404": (404, {}),
    "410": (410, {}),
    "429": (429, {"Retry-After": "1"}),
    "429-once": (429, {"Retry-After": "1"}),
    "500": (500, {}),
    "500-once": (500, {}),
    "loop": (302, {"Location": "/loop-2.jpg"}),
    "loop-2": (302, {"Location": "/loop.jpg"}),
    "metadata": (302, {"Location": FAR_AWAY}),
    "moved": (301, {"Location": "/p/moved.jpg"}),
}
_HEADERS = {
    "bomb": {"Content-Encoding": "gzip"},
    "noai": {"X-Robots-Tag": "noimageai"},
    "noindex-other": {"X-Robots-Tag": "otherbot: noindex, nofollow"},
    "packed": {"Content-Encoding": "br"},
}
BAD_PAGE, CHARSET_PAGE, NOAI_PAGE = "/bad.html", "/charset.html", "/noai.html"
ROBOTS = "User-agent: *\nDisallow: /private/\nDisallow: /*.secret.jpg$\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server saw it: when (seconds since 1970), of which host, for which path, and the status."""

    time: float
    host: str
    path: str
    status: int

    @property
    def forbidden(self) -> bool:
        """Whether robots.txt forbids the path."""
        return self.path.startswith("/private/") or self.path.endswith(".secret.jpg")


@dataclass
class Record:
    """All requests so far; each is also written to `file`, where one is given."""

    file: IO[str] | None = None
    asked: list[Asked] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, one: Asked, agent: str) -> None:
        """Note a request."""
        with self.lock:
            self.asked.append(one)
            self.agents.add(agent)
            if self.file:
                print(json.dumps([one.time, one.host, one.path, one.status]), file=self.file, flush=True)


class GalleryServer:
    """Hosts that share `pictures` pictures evenly; the last one also misbehaves.

    A context manager: within the block `hosts` answer, each by its address `http://127.0.0.n:port`.
    """

    def __init__(
        self, hosts: int = 1, pictures: int = 10, record: Record | None = None, per_page: int = PER_PAGE
    ) -> None:
        self.record = record or Record()
        self._servers = [
            _Host((f"127.0.0.{number + 1}", 0), self.record, number, pictures // hosts, per_page)
            for number in range(hosts)
        ]

    @property
    def hosts(self) -> list[str]:
        """The hosts' addresses."""
        return [server.address for server in self._servers]

    @property
    def galleries(self) -> list[str]:
        """The first page of each host's gallery."""
        return [f"{host}/gallery/1.html" for host in self.hosts]

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for so far."""
        with self.record.lock:
            return [asked.path for asked in self.record.asked]

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for server in self._servers:
            server.stopping.set()
            server.shutdown()
            server.server_close()


class _Host(ThreadingHTTPServer):
    """One host of the gallery."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, place: tuple[str, int], record: Record, number: int, pictures: int, per_page: int) -> None:
        super().__init__(place, _Handler)
        self.record, self.number, self.pictures, self.per_page = record, number, pictures, per_page
        self.stopping = threading.Event()
        self.seen: set[str] = set()

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Host
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_: object) -> None:
        """Write no line to the terminal."""

    def do_GET(self) -> None:
        """Answer by the path."""
        path = unquote(self.path.partition("?")[0])
        self._status = 200
        name = path.strip("/").partition(".")[0]
        if path == "/robots.txt":
            self._send(ROBOTS.encode(), "text/plain")
        elif path.startswith("/gallery/"):
            self._gallery(int(name.rpartition("/")[2]))
        elif path.startswith("/p/"):
            self._send(picture(path), "image/jpeg")
        elif path in (BAD_PAGE, CHARSET_PAGE, NOAI_PAGE):
            self._page(path)
        elif name in BAD or path.startswith("/loop"):
            self._misbehave(name)
        elif path.startswith("/private/") or path.endswith(".secret.jpg"):
            self._send(picture(path), "image/jpeg")
        else:
            self._fail(404)

    def _note(self, status: int) -> None:
        asked = Asked(time(), self.server.address, unquote(self.path), status)
        self.server.record.add(asked, self.headers.get("User-Agent", ""))

    def _send(self, data: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._note(status)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, status: int, headers: dict[str, str] | None = None) -> None:
        self._send(HTTPStatus(status).phrase.encode(), "text/plain", status, headers)

    def _gallery(self, number: int) -> None:
        """Show a page of pictures, one that robots.txt forbids among them, and the link to the next page."""
        tag = f'"page-{self.server.number}-{number}"'
        if self.headers.get("If-None-Match") == tag:
            self._send(b"", "text/html", 304)
            return
        first = (number - 1) * self.server.per_page
        last = min(first + self.server.per_page, self.server.pictures)
        images = [f'<img src="/p/{self.server.number}-{one}.jpg" width="96">' for one in range(first, last)]
        images += [f'<img src="/private/{number}.jpg">', f'<a href="/x/{number}.secret.jpg">larger</a>']
        following = f'<a rel="next" href="{number + 1}.html">next</a>' if last < self.server.pictures else ""
        self._send("\n".join([*images, following]).encode(), "text/html; charset=utf-8", headers={"ETag": tag})

    def _page(self, path: str) -> None:
        """Show the misbehaving pictures, or a page whose character set is another than it says."""
        if path == CHARSET_PAGE:
            body = '<meta charset="shift_jis"><p>そっくり</p><img src="/p/そっくり.jpg" alt="é">'.encode()
            self._send(body, "text/html; charset=utf-16")
        elif path == NOAI_PAGE:
            self._send(b'<meta name="robots" content="noai"><img src="/p/noai.jpg">', "text/html")
        else:
            images = "\n".join(f'<img src="/{name}.jpg">' for name in BAD)
            self._send(images.encode(), "text/html")

    def _misbehave(self, name: str) -> None:
        """Do what a picture's name says."""
        good = picture(self.path)
        first = self.path not in self.server.seen
        self.server.seen.add(self.path)
        if name in _STATUSES and (first or not name.endswith("-once")):
            self._fail(*_STATUSES[name])
        elif name in _HEADERS:
            self._send(bomb() if name == "bomb" else good, "image/jpeg", headers=_HEADERS[name])
        elif name in _BODIES:
            self._send(_BODIES[name](self.path), "text/html" if name == "type" else "image/jpeg")
        elif name == "endless":
            self._stream(None, iter(lambda: bytes(65_536), None), 0.0)
        elif name == "drip":
            self._stream(len(good), (good[at : at + 1] for at in range(len(good))), DRIP_SECONDS)
        elif name == "head-drip":
            self._drip_head()
        elif name == "short":
            self._stream(len(good), iter([good[: len(good) // 2]]), 0.0)
        elif name == "hang-up":
            self._note(0)
            self.close_connection = True
        else:
            self._send(good, "image/jpeg")

    def _drip_head(self) -> None:
        self._note(200)
        self.close_connection = True
        with suppress(OSError):
            for letter in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000:
                self.wfile.write(bytes([letter]))
                if self.server.stopping.wait(DRIP_SECONDS):
                    break

    def _stream(self, length: int | None, parts: Iterator[bytes], pause: float) -> None:
        """Send a body bit by bit, as long as somebody listens."""
        self._note(200)
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        with suppress(OSError):
            for part in parts:
                self.wfile.write(part)
                if self.server.stopping.wait(pause) if pause else self.server.stopping.is_set():
                    return


def picture(name: str, side: int = SIDE) -> bytes:
    """Draw a small JPEG that is its name's own and like no other."""
    seed = zlib.crc32(name.encode()) + (len(name) << 32)
    cells = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST).save(file, "JPEG", quality=85)
    return file.getvalue()


def bomb(megabytes: int = 200) -> bytes:
    """Return a small gzip stream (RFC 1952) of very many zeros."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    size = megabytes * 1_000_000
    return head + block * megabytes + b"\x03\0" + struct.pack("<II", 0, size % 2**32)


_BODIES: dict[str, Callable[[str], bytes]] = {
    "page": lambda _: b"<!DOCTYPE html><html><body>Not found</body></html>",
    "empty": lambda _: b"",
    "type": picture,
    "cut": lambda name: picture(name)[:1000],
    "tiny": lambda name: picture(name, 8),
}


@contextmanager
def recorded(file: Path | None) -> Iterator[Record]:
    """Give a record that is written to a file, where one is named."""
    if file is None:
        yield Record()
        return
    with file.open("a", encoding="utf-8") as stream:
        yield Record(stream)


def main() -> None:
    """Serve until stdin ends: `python -m bench.gallery HOSTS PICTURES LOG` prints the hosts as one line of JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("hosts", type=int)
    parser.add_argument("pictures", type=int)
    parser.add_argument("log", type=Path)
    options = parser.parse_args()
    with recorded(options.log) as record, GalleryServer(options.hosts, options.pictures, record) as server:
        sys.stdout.write(json.dumps(server.hosts) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
