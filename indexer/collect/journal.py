"""The journal of a library: which addresses were asked for, and what came of each. It is what a next run goes by.

A file of JSON lines that is only appended to: a line is written before an address is asked for, and one when its fate
is known, so that after `kill -9` nothing is asked for twice. Not here: the answers (`answers`), provenance (`keep`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from threading import Lock
from time import time
from typing import Any, Literal

from indexer.collect.addresses import normal
from recommender.errors import BuildError

FOLDER = ".sokkuri"
"""Where a library keeps what the collector has to know; scans pass over names with a dot."""

DECIDED = frozenset({"kept", "same", "refused"})
"""What becomes of pictures, for good."""
Fate = Literal["asked", "page", "no page", "kept", "same", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about an address.

    `asked` without more means that a run ended before the answer came. `reason` is the rule or the kind of failure,
    `what` the whole sentence; `picture` the id of what was kept, or of what it is a duplicate of; `fails` counts the
    runs in which it could not be had, and `moved` is where it led to, as far as it was followed. `when` it was found
    to be no page is told in ISO 8601. `needs` is what the limits would have to be for a picture that they refused, as
    in `InvalidImage.needs`.
    """

    fate: Fate
    reason: str = ""
    what: str = ""
    picture: str = ""
    fails: int = 0
    moved: str = ""
    when: str = ""
    needs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filed:
    """A picture that was filed: its path below the library, and what tells whether another one is like it.

    `hash` is its perceptual hash, `colours` what `likeness.colours_of` says, in hexadecimal.
    """

    picture: str
    path: str
    address: str
    width: int
    height: int
    hash: int
    colours: str


@dataclass
class _State:
    known: dict[str, Known] = field(default_factory=dict)
    filed: dict[str, Filed] = field(default_factory=dict)
    robots: dict[str, dict[str, Any]] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    replaced: dict[str, str] = field(default_factory=dict)

    def take(self, line: Mapping[str, Any]) -> None:
        """Bring the state up to date by one line."""
        event, address = line["event"], line.get("address", "")
        before = self.known.get(address)
        if event == "robots":
            self.robots[line["host"]] = dict(line)
        elif event == "forgotten":
            self.forgotten.add(line["hash"])
        elif event == "moved":
            self.known[address] = replace(before or Known("asked"), moved=line["to"])
        elif event == "asked":
            failed = before if before and before.fails else Known("asked")  # why counts, should it pass
            moved = before.moved if before else ""
            self.known[address] = Known("asked", failed.reason, failed.what, fails=failed.fails, moved=moved)
        elif event == "troubled":
            self.known.pop(address, None)
            if before and before.fails:
                self.known[address] = Known("failed", before.reason, before.what, fails=before.fails)
        elif event == "failed":
            fails = (before.fails if before else 0) + 1
            self.known[address] = Known("failed", line["reason"], line["what"], fails=fails)
        else:
            self.known[address] = Known(
                event,
                line.get("reason", ""),
                line.get("what", ""),
                line.get("picture", ""),
                moved=before.moved if before and event == "refused" else "",
                when=line.get("when", ""),
                needs=line.get("needs", {}),
            )
        if event == "kept":
            fields = {name: line[name] for name in ("picture", "path", "address", "width", "height", "hash", "colours")}
            self.filed[line["picture"]] = Filed(**fields)
            self.replaced.pop(line["picture"], None)
            if line.get("replaces"):
                self.filed.pop(line["replaces"], None)
                self.replaced[line["replaces"]] = line["picture"]


class Journal:
    """The journal of one library. Threads may share it; processes may not, which the library's lock sees to."""

    def __init__(self, library: Path) -> None:
        self._file = library / FOLDER / "journal.jsonl"
        self._lock = Lock()
        self._state = _State()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._idle = _seconds_since(self._file)
        for line in _lines(self._file):
            with suppress(KeyError, TypeError):  # one that lacks something counts for nothing either
                self._state.take(line)
        self._descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._end_torn_line()

    def close(self) -> None:
        """Return when every line is on the disk."""
        with self._lock:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1  # a lane that did not end in time must not write to what has this number next

    def idle(self) -> float:
        """Return for how many seconds nothing had been noted when the journal was opened."""
        return self._idle

    def known(self, address: str) -> Known | None:
        """Return what is known about an address; None where it was never asked for."""
        with self._lock:
            return self._state.known.get(address)

    def settled(self) -> list[str]:
        """Return the addresses of pictures whose fate is decided."""
        with self._lock:
            return [address for address, known in self._state.known.items() if known.fate in DECIDED]

    def filed(self) -> list[Filed]:
        """Return every picture that was filed and not replaced by a larger one."""
        with self._lock:
            return list(self._state.filed.values())

    def picture(self, picture: str) -> Filed | None:
        """Return a picture that is filed, by its id, or the one that replaced it."""
        with self._lock:
            return self._state.filed.get(self._last(picture))

    def replaced(self) -> set[str]:
        """Return the ids of the pictures that went for a larger one."""
        with self._lock:
            return set(self._state.replaced)

    def is_forgotten(self, address: str) -> bool:
        """Tell whether an address led to a picture that was forgotten on demand."""
        with self._lock:
            return digest_of(address) in self._state.forgotten

    def robots(self, host: str) -> Mapping[str, Any] | None:
        """Return what `note_robots` noted last."""
        with self._lock:
            return self._state.robots.get(host)

    def asked(self, address: str) -> None:
        """Note that an address is about to be asked for."""
        self._append({"event": "asked", "address": address})

    def troubled(self, address: str) -> None:
        """Note that an address was not served, and will be asked for again."""
        self._append({"event": "troubled", "address": address})

    def moved(self, address: str, to: str) -> None:
        """Note that an address leads to another one."""
        self._append({"event": "moved", "address": address, "to": to})

    def page(self, address: str) -> None:
        """Note that a page was served; its answer is on the shelf."""
        self._append({"event": "page", "address": address})

    def no_page(self, address: str, rule: str, what: str, when: str) -> None:
        """Note that an address is no page that is read, now that its answer was seen."""
        self._append({"event": "no page", "address": address, "reason": rule, "what": what, "when": when})

    def refused(self, address: str, rule: str, what: str, needs: Mapping[str, int] | None = None) -> None:
        """Note that an address is not wanted, now that its answer was seen, unless the limits become what it needs."""
        line = {"event": "refused", "address": address, "reason": rule, "what": what}
        self._append(line | ({"needs": dict(needs)} if needs else {}))

    def failed(self, address: str, why: str, what: str) -> None:
        """Note that an address could not be had in this run."""
        self._append({"event": "failed", "address": address, "reason": why, "what": what})

    def same(self, address: str, picture: str, how: str, own: str = "") -> None:
        """Note that an address gave a picture that is, or is nearly, one that is kept; `own` is its own id."""
        line = {"event": "same", "address": address, "picture": picture, "reason": how, "what": how}
        self._append(line | ({"own": own} if own else {}))

    def kept(self, filed: Filed, replaces: str = "") -> None:
        """Note that a picture was filed, in the place of a smaller one perhaps."""
        line = {name: getattr(filed, name) for name in Filed.__slots__}
        self._append({"event": "kept", **line, "replaces": replaces})

    def note_robots(self, host: str, status: int, text: str, fetched: str) -> None:
        """Note what a host answered when it was asked for its robots.txt."""
        self._append({"event": "robots", "host": host, "status": status, "text": text, "fetched": fetched})

    def forget(self, pictures: set[str], concerns: Callable[[str], bool], *, alike: bool = False) -> list[str]:
        """Leave no word of some pictures, and of the addresses that `concerns` names, but hashes.

        What was nearly the same as one of the pictures, or went for it because it was smaller, is forgotten as well if
        `alike` says so; else it is unknown again, and so may be asked for. Returns the addresses that are forgotten.
        """
        with self._lock:
            lines = list(_lines(self._file))
            family = pictures | {one for one in self._state.replaced if self._last(one) in pictures}
            gone, unknown = [], set()
            for line in lines:
                address, picture = line.get("address", ""), line.get("picture")
                # The same file at another address goes too.
                itself = line["event"] == "kept" or line.get("reason") in ("the same file", "the same address")
                wanted = picture in family and (alike or (itself and picture in pictures))
                if wanted or (address and concerns(address)):
                    gone.append(address)
                elif picture in family:
                    unknown.add(address)
            addresses = list(dict.fromkeys(gone))
            lost = unknown.union(addresses)
            kept = [
                {**line, "replaces": ""} if line.get("replaces") in pictures else line
                for line in lines
                if line.get("address") not in lost and line.get("to") not in lost
            ]
            kept += [{"event": "forgotten", "hash": digest_of(address)} for address in addresses]
            self._rewrite(kept)
            self._state = _State()
            for line in kept:
                self._state.take(line)
            return addresses

    def _last(self, picture: str) -> str:
        """Return the id of the picture that stands for one in the end. Called with the lock held."""
        while picture in self._state.replaced:
            picture = self._state.replaced[picture]
        return picture

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        with self._lock:
            if self._descriptor < 0:
                raise BuildError(f"{self._file} is closed: the run is over")
            before = os.fstat(self._descriptor).st_size
            try:
                written = os.write(self._descriptor, data)
                if written < len(data):
                    raise OSError(28, "No space left on device")
            except OSError as error:
                os.truncate(self._file, before)
                raise BuildError(f"{self._file} cannot grow ({error.strerror}): make room and run it again") from None
            self._state.take(line)

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        aside = self._file.with_suffix(".aside")
        with aside.open("wb") as file:
            for line in lines:
                file.write(
                    json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
                )
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._file)
        os.close(self._descriptor)
        self._descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND)

    def _end_torn_line(self) -> None:
        """Cut off what a power cut left of a last line."""
        size = os.fstat(self._descriptor).st_size
        whole = 0
        with self._file.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    whole += len(line)
        if whole < size:
            os.truncate(self._file, whole)


def copies_of(library: Path, pictures: set[str]) -> set[str]:
    """Return the ids of what a library's journal knows as nearly the same as some pictures: the smaller copies.

    Those that went for a larger one count, and those that were passed over. The journal is only read.
    """
    lines = list(_lines(library / FOLDER / "journal.jsonl"))
    state = _State()
    for line in lines:
        with suppress(KeyError, TypeError):
            state.take(line)
    family = set(pictures)
    while more := {one for one, other in state.replaced.items() if other in family} - family:
        family |= more
    return (family | {line["own"] for line in lines if line.get("own") and line.get("picture") in family}) - pictures


def mentions(library: Path, pictures: set[str], concerns: Callable[[str], bool]) -> bool:
    """Tell whether a library's journal has a word of some pictures, or of the addresses that `concerns` names.

    It is only read, and so may belong to a run that is going on.
    """
    return any(
        {line.get("picture"), line.get("replaces")} & pictures or concerns(str(line.get("address", "")))
        for line in _lines(library / FOLDER / "journal.jsonl")
    )


def _seconds_since(file: Path) -> float:
    """Return how long ago a file was written, infinity where there is none; a clock that was set back counts as 0."""
    try:
        return max(0.0, time() - file.stat().st_mtime)
    except FileNotFoundError:
        return inf


def digest_of(address: str) -> str:
    """Return the hash that stays of an address when a picture is forgotten."""
    return hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()


def _in_one_form(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line with its addresses as they are written by now: earlier versions took them as pages have them."""
    for name in ("address", "to"):
        if isinstance(line.get(name), str):
            line[name] = normal(line[name])
    return line


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a journal; a damaged one counts for nothing."""
    try:
        with file.open("rb") as stream:
            for line in stream:
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                if isinstance(found, dict) and "event" in found:
                    yield _in_one_form(found)
    except FileNotFoundError:
        return
