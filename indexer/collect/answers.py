"""Answers of hosts, kept in files: pages for as long as the library is collected, pictures until they are filed.

An answer is on the disk before anybody is told of it, so that a process that is killed has nothing to ask for again.
Not here: what was asked for and what came of it (`journal`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KEPT_HEADERS = ("Content-Type", "ETag", "Last-Modified", "X-Robots-Tag", "TDM-Reservation")
LONGEST_ADDRESS = 4_000
"""Letters of an address, `data:` aside; servers refuse longer ones."""

ASIDE = ".aside"
"""How the name of an answer ends that is being written."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host sent: the address asked for, the status, the headers that matter, and when (UTC, ISO 8601)."""

    address: str
    status: int
    fetched: str
    data: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The media type, in lower case and without parameters; empty where none is given."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The character set that the server names, or nothing."""
        for part in self.headers.get("Content-Type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'")
        return ""


class AnswerShelf:
    """A folder of answers, by address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, answer: Answer) -> None:
        """Write an answer; it is there as a whole or not at all, also after `kill -9`. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._file(answer.address)
        aside = file.with_suffix(ASIDE)
        head = {
            "address": answer.address,
            "status": answer.status,
            "fetched": answer.fetched,
            "headers": dict(answer.headers),
        }
        try:
            aside.write_bytes(json.dumps(head).encode() + b"\n" + answer.data)
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)

    def get(self, address: str) -> Answer | None:
        """Return the answer to an address, or None where there is none. Raises OSError."""
        try:
            head, _, data = self._file(address).read_bytes().partition(b"\n")
            fields = json.loads(head)
        except (FileNotFoundError, ValueError):
            return None
        return Answer(data=data, **fields)

    def drop(self, address: str) -> None:
        """Remove the answer to an address, if there is one."""
        self._file(address).unlink(missing_ok=True)

    def sweep(self, done: Iterable[str]) -> None:
        """Remove what a killed run left half-written, and answers to addresses that nobody needs any more."""
        if not self._folder.is_dir():
            return
        there = {file.name: file for file in self._folder.iterdir()}
        needless = {self._file(address).name for address in done}
        for name, file in there.items():
            if name in needless or file.suffix == ASIDE:
                file.unlink(missing_ok=True)

    def __contains__(self, address: str) -> bool:
        return self._file(address).exists()

    def _file(self, address: str) -> Path:
        return self._folder / hashlib.sha256(address.encode()).hexdigest()
