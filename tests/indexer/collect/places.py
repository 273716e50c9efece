"""Places to collect at: a folder with a list of sources, and a host that answers as it is told."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from indexer.collect.collect import collect
from indexer.collect.desk import CollectOptions
from indexer.collect.report import CollectReport
from indexer.collect.sources import read_sources
from indexer.workplace import workplace
from recommender.catalogue import CollectedRow
from recommender.settings import Settings
from tests.indexer.collect.clocks import QuickClock


class Place:
    """A folder with a list of sources, a library and a home."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.library = folder, folder / "library"
        self.settings = Settings(
            home=folder / "home", host_delay=0.0, fetch_seconds=1.0, private_networks="127.0.0.0/8", max_bytes=1_000_000
        )

    def sources(self, *pages: str, **keys: Any) -> None:
        """Write a list with a source for each group of pages (addresses parted by a blank)."""
        tables = []
        for number, group in enumerate(pages):
            said = {"show": "show", "character": f"hero-{number}", "pages": group.split(" "), **keys}
            tables.append("[[source]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in said.items()))
        (self.folder / "sources.toml").write_text("\n".join(tables), encoding="utf-8")

    def saved(self, name: str, html: str) -> str:
        """Write a saved page."""
        (self.folder / name).write_text(html, encoding="utf-8")
        return name

    def run(self, **options: bool) -> CollectReport:
        """Collect, with a clock that costs no time."""
        with workplace(self.settings, "collect") as catalogue:
            sources = read_sources(self.folder / "sources.toml")
            report = collect(self.settings, catalogue, sources, self.library, CollectOptions(**options), QuickClock())
        for source in report.sources:
            assert source.found == source.kept + source.duplicate + source.refused.total() + source.failed.total()
        return report

    def set(self, **fields: Any) -> None:
        """Change some of the settings."""
        self.settings = replace(self.settings, **fields)

    def rows(self) -> list[CollectedRow]:
        """Return what the catalogue knows."""
        with workplace(self.settings, "look") as catalogue:
            return catalogue.collected()

    def pictures(self) -> list[Path]:
        """Return the pictures of the library."""
        return sorted(self.library.glob("*/*/*.jpg"))


class Host:
    """A host that is `answers`: status, headers and body of each path; anything else is 404. `asked` is what it was.

    The length is told, unless it is an empty header's.
    """

    def __init__(self, answers: dict[str, tuple[int, dict[str, str], bytes]], address: str = "127.0.0.1") -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Write no line to the terminal."""

            def do_GET(self) -> None:
                """Answer by the path."""
                path = unquote(self.path)
                host.asked.append(path)
                host.headers.append(dict(self.headers))
                status, headers, body = host.answers.get(path, (404, {}, b""))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://{address}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def page(*pictures: str) -> tuple[int, dict[str, str], bytes]:
    """Return the answer that is a page with pictures."""
    return 200, {"Content-Type": "text/html"}, "".join(f'<img src="{one}">' for one in pictures).encode()


def image(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return the answer that is a picture."""
    return 200, {"Content-Type": "image/jpeg"}, data


def moved(to: str) -> tuple[int, dict[str, str], bytes]:
    """Return the answer that is a redirect."""
    return 302, {"Location": to}, b""
