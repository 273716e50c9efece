"""What the collector makes of a gallery of many hosts: how near it comes to what politeness allows, and what it skips.

The gallery is a process of its own that counts what it is asked for. Three libraries are collected: one in peace, one
in a run that is killed ten times, one from a host that misbehaves. Not here: the gallery (`gallery`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any
from urllib.parse import urlsplit

from bench.gallery import BAD, BAD_PAGE, CHARSET_PAGE, Asked
from bench.memory import resident
from bench.report import Figures
from recommender.cli import MAIN
from recommender.errors import BuildError

MEMORY_EVERY = 0.25
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is collected: hosts, pictures of all of them, the pause at a host in seconds, and how many kills."""

    hosts: int = 20
    pictures: int = 5000
    delay: float = 0.4
    kills: int = 10


QUICK = Effort(hosts=5, pictures=250, delay=0.2, kills=3)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its exit code, its report (None where it was killed), its seconds, its memory over time in MB."""

    code: int
    report: dict[str, Any] | None
    seconds: float
    memory: tuple[float, ...]


def measure_collecting(effort: Effort = Effort()) -> Figures:
    """Collect three libraries, and compare what came of it with what the gallery counted."""
    with TemporaryDirectory() as folder:
        peace = in_peace(Path(folder) / "peace", effort)
        killed = killed_and_resumed(Path(folder) / "killed", effort)
        bad = _misbehaving(Path(folder) / "bad")
    figures = {
        **peace,
        **killed,
        **bad,
        "forbidden_requests": peace["forbidden_requests"] + killed["forbidden_requests"] + bad["forbidden_requests"],
        "hosts": effort.hosts,
        "pictures": effort.pictures,
        "delay_s": effort.delay,
        "kills": effort.kills,
    }
    share, whole = figures["of_politeness_limit"], figures["of_politeness_limit_with_start"]
    memory = " / ".join(f"{figures[f'memory_{when}_mb']:.0f}" for when in ("early", "late", "peak"))
    again, kept = figures["refetched"], figures["collected"]
    lines = (
        f"{effort.pictures} pictures on {effort.hosts} hosts, {effort.delay:g} s between two requests of a host",
        f"{figures['per_s']:.1f} pictures/s: {share:.1%} of what the pauses allow ({whole:.1%} with start and end)",
        f"shortest pause that a host saw: {figures['shortest_pause_s']:.3f} s",
        f"memory after a quarter of the time / late / at most: {memory} MB",
        f"killed {effort.kills} times: {again} addresses served twice, {kept} pictures kept",
        f"  {figures['interrupted']} were in the air at a kill, of which --retry-failed brought {figures['recovered']}",
        f"{figures['forbidden_requests']} requests for what robots.txt forbids",
        f"a misbehaving host: {figures['bad_accounted']} of {figures['bad_asked']} misdeeds are a line of the report",
    )
    return Figures(figures, lines)


def in_peace(folder: Path, effort: Effort) -> dict[str, Any]:
    """Collect everything in one run, and measure speed and memory."""
    with _gallery(folder, effort.hosts, effort.pictures) as (hosts, log):
        run = _collect(folder, hosts, effort.delay)
        asked = _asked(log)
    report = _require(run)
    kept = sum(source["kept"] for source in report["sources"])
    if kept != effort.pictures:
        raise BuildError(f"{kept} of {effort.pictures} pictures were collected: {report}")
    most = max(Counter(one.host for one in asked).values())
    first, last = min(one.time for one in asked), max(one.time for one in asked)
    quarter = len(run.memory) // 4
    return {
        "per_s": kept / run.seconds,
        "seconds": run.seconds,
        # Of every host the most asked one decides: it could not be asked for all of that any sooner.
        "of_politeness_limit": most * effort.delay / (last - first + effort.delay),
        "of_politeness_limit_with_start": most * effort.delay / run.seconds,
        "shortest_pause_s": _shortest_pause(asked),
        "memory_early_mb": run.memory[quarter] if run.memory else 0.0,
        "memory_late_mb": run.memory[-2] if len(run.memory) > 1 else 0.0,
        "memory_peak_mb": max(run.memory, default=0.0),
        "forbidden_requests": sum(one.forbidden for one in asked),
    }


def killed_and_resumed(folder: Path, effort: Effort) -> dict[str, Any]:
    """Kill a collector again and again, and let it end at last."""
    seconds = effort.pictures / effort.hosts * effort.delay / (effort.kills + 1)
    with _gallery(folder, effort.hosts, effort.pictures) as (hosts, log):
        for _ in range(effort.kills):
            run = _collect(folder, hosts, effort.delay, kill_after=1.0 + seconds)
            if run.code != KILLED:
                raise BuildError(f"a run ended before it was killed ({run.code}): let it take longer")
        report = _require(_collect(folder, hosts, effort.delay))
        asked = _asked(log)
        again = _require(_collect(folder, hosts, effort.delay, "--retry-failed"))
    served = Counter(f"{one.host}{one.path}" for one in asked if one.status == 200)  # noqa: PLR2004  # the status of RFC 9110
    failed = Counter[str]()
    for source in report["sources"]:
        failed.update(source["failed"])
    collected = sum(source["kept"] for source in report["sources"])
    return {
        "refetched": sum(times - 1 for times in served.values()),
        "collected": collected,
        "interrupted": failed["interrupted"],
        "recovered": sum(source["kept"] for source in again["sources"]) - collected,
        "forbidden_requests": sum(one.forbidden for one in asked),
    }


def _misbehaving(folder: Path) -> dict[str, Any]:
    with _gallery(folder, 1, 0) as (hosts, log):
        run = _collect(folder, hosts, 0.05, pages=(BAD_PAGE, CHARSET_PAGE), seconds=3)
        asked = _asked(log)
    source = _require(run)["sources"][0]
    told = {Path(urlsplit(line["address"]).path).stem for line in source["lines"]}
    harmless = {"429-once", "500-once", "moved", "noindex-other"}
    accounted = told & set(BAD)
    return {
        "bad_asked": len(set(BAD) - harmless),
        "bad_accounted": len(accounted - harmless),
        "bad_kept": source["kept"],
        "bad_lines": {Path(urlsplit(line["address"]).path).stem: line["reason"] for line in source["lines"]},
        "bad_seconds": run.seconds,
        "bad_memory_peak_mb": max(run.memory, default=0.0),
        "forbidden_requests": sum(one.forbidden for one in asked),
    }


@contextmanager
def _gallery(folder: Path, hosts: int, pictures: int) -> Iterator[tuple[list[str], Path]]:
    """Run the gallery until the block ends; give its hosts, and the file that it counts into."""
    folder.mkdir()
    log = folder / "asked.jsonl"
    command = [sys.executable, "-m", "bench.gallery", str(hosts), str(pictures), str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdin is None:
                raise BuildError("the gallery has no streams")
            yield json.loads(process.stdout.readline()), log
        finally:
            process.kill()


def _collect(  # each is one thing that differs between the runs
    folder: Path,
    hosts: list[str],
    delay: float,
    *options: str,
    pages: tuple[str, ...] = ("/gallery/1.html",),
    seconds: float = 30,
    kill_after: float | None = None,
) -> Run:
    """Run `sokkuri collect` as its own process, and watch its memory."""
    sources = folder / "sources.toml"
    tables = []
    for number, host in enumerate(hosts):
        addresses = json.dumps([host + page for page in pages])
        tables.append(f'[[source]]\nshow = "show-{number}"\ncharacter = "hero"\npages = {addresses}\nmax_pages = 99\n')
    sources.write_text("\n".join(tables), encoding="utf-8")
    command = [sys.executable, "-c", MAIN, "collect", str(sources)]
    command += ["--into", str(folder / "library"), "--home", str(folder / "home"), "--json", *options]
    output = folder / "report.json"
    started = perf_counter()
    with (
        output.open("wb") as stream,
        subprocess.Popen(command, stdout=stream, env=_environment(delay, seconds)) as process,
    ):
        memory = []
        while process.poll() is None:
            memory.append(resident(process.pid))
            sleep(MEMORY_EVERY if kill_after is None else 0.02)
            if kill_after is not None and perf_counter() - started > kill_after:
                process.kill()
        code = process.wait()
    text = output.read_text(encoding="utf-8")
    return Run(code, json.loads(text) if text else None, perf_counter() - started, tuple(memory))


def _environment(delay: float, seconds: float) -> Mapping[str, str]:
    return {
        **os.environ,
        "SOKKURI_HOST_DELAY": str(delay),
        "SOKKURI_FETCH_SECONDS": str(seconds),
        "SOKKURI_PRIVATE_NETWORKS": "127.0.0.0/8",
        "SOKKURI_CONTACT": "bench@localhost",
    }


def _require(run: Run) -> dict[str, Any]:
    if run.code or run.report is None:
        raise BuildError(f"`sokkuri collect` ended with exit code {run.code}")
    return run.report


def _asked(log: Path) -> list[Asked]:
    with log.open(encoding="utf-8") as file:
        return [Asked(*json.loads(line)) for line in file if line.endswith("\n")]


def _shortest_pause(asked: list[Asked]) -> float:
    """Return the shortest time between two requests of one host, as the hosts saw it."""
    last: dict[str, float] = {}
    shortest = float("inf")
    for one in sorted(asked, key=lambda asked: asked.time):
        shortest = min(shortest, one.time - last.get(one.host, float("-inf")))
        last[one.host] = one.time
    return shortest
