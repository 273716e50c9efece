"""What a person waits for, and what many get: pictures are posted to a real server over HTTP.

One client first, each request in turn with a bare forward pass of the same picture; then 16 clients, in turn with the
bare engine; then 200, who are more than the server takes. No picture is posted twice.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from typing import Any

import numpy as np

from bench.crowd import ADDRESS, SIDE, Outcome, Pictures, crowd
from bench.memory import resident
from bench.report import Figures
from bench.tiny import cast, draw, make_export, make_library, make_model
from indexer.progress import say
from recommender.cli import MAIN
from recommender.errors import BuildError
from recommender.images import Limits, decode
from recommender.ports import Encoder
from recommender.publication import Publication
from recommender.settings import Settings
from recommender.types import DecodedImage

START_SECONDS = 60.0
WARM = 5
"""Requests, and forward passes, that are made first and do not count."""
BULK = 16
SAMPLE_SECONDS = 0.25
FULL_SIZE = 224
"""Pixels of a side that a VGG19 was made for."""
MADE = 400
"""Pictures of the made-up world."""
CALIBRATED = 32
"""Pictures that the ranges of its 8-bit numbers are measured on."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many requests one client makes; in how many rounds, and how long in all, 16 clients and 200 keep on."""

    requests: int = 200
    rounds: int = 3
    seconds16: float = 60.0
    seconds200: float = 30.0
    engine_seconds: float = 20.0


QUICK = Effort(requests=20, rounds=1, seconds16=5.0, seconds200=5.0, engine_seconds=3.0)


@dataclass(frozen=True, slots=True)
class _Alone:
    """One client: milliseconds of each request and of the forward pass beside it, what the server said of the steps."""

    latency: list[float]
    forward: list[float]
    steps: list[dict[str, float]]
    model: dict[str, Any]


def measure_full_size(effort: Effort) -> Figures:
    """Measure a server on made-up pictures, which answers with the bundled VGG19 at 224 pixels in int8."""
    with TemporaryDirectory(prefix="sokkuri-bench-") as name:
        settings = Settings(home=Path(name) / "home")
        root = make_library(Path(name) / "library", MADE)
        make_model(settings, cast(MADE), FULL_SIZE, "vgg19", "bundled")
        say("exporting the network as int8")
        make_export(settings, [decode(draw(number, SIDE, "JPEG")) for number in range(CALIBRATED)])
        command = [sys.executable, "-c", MAIN, "reindex", str(root), "--home", str(settings.home)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"reindex ended with {done.returncode}: {done.stderr.strip()}")
        return measure_serving(settings, effort)


def measure_serving(settings: Settings, effort: Effort) -> Figures:
    """Measure a server on what is published in the home: one client, sixteen, two hundred."""
    pictures = Pictures()
    publication = Publication(settings)
    try:
        publication.refresh()
        encoder = publication.current().encoder
        with _server(settings) as (port, process):
            alone = _one_client(port, encoder, pictures, effort, settings)
            warm = resident(process.pid)
            singles, bulks, outcomes = [], [], []
            for _ in range(effort.rounds):
                single, bulk = _bare_rates(encoder, pictures, effort.engine_seconds / effort.rounds, settings)
                singles.append(single)
                bulks.append(bulk)
                outcomes.append(crowd(port, 16, effort.seconds16 / effort.rounds, pictures))
            with _watched_memory(process.pid) as memory:
                many = crowd(port, 200, effort.seconds200, pictures)
    finally:
        publication.close()
    return _figures(alone, outcomes, many, [singles, bulks], [warm, *memory])


def _one_client(port: int, encoder: Encoder, pictures: Pictures, effort: Effort, settings: Settings) -> _Alone:
    """Post pictures one after the other; after each, encode it here, decoded, with no server around it."""
    latency, forward, steps, model = [], [], [], {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(WARM + effort.requests):
        body = pictures.next()
        started = perf_counter()
        connection.request("POST", ADDRESS, body, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        latency.append(1000 * (perf_counter() - started))
        if response.status != http.client.OK:
            raise BuildError(f"the server answered {response.status}: {answer.get('detail')}")
        model = answer["model"]
        steps.append(answer["timing_ms"])
        image = decode(body, Limits.of(settings))
        started = perf_counter()
        encoder.encode([image])
        forward.append(1000 * (perf_counter() - started))
    connection.close()
    return _Alone(latency[WARM:], forward[WARM:], steps[WARM:], model)


def _bare_rates(encoder: Encoder, pictures: Pictures, seconds: float, settings: Settings) -> tuple[float, float]:
    """Return how many decoded pictures a second the engine takes: one at a time, as a server does, and in bulk."""
    images = [decode(pictures.next(), Limits.of(settings)) for _ in range(BULK)]
    alone, bulk = (_rate(encoder, images, size, seconds / 2) for size in (1, BULK))
    return alone, bulk


def _rate(encoder: Encoder, images: list[DecodedImage], size: int, seconds: float) -> float:
    encoder.encode(images[:size])
    started, done = perf_counter(), 0
    while perf_counter() - started < seconds:
        first = done % len(images)
        encoder.encode(images[first : first + size])
        done += size
    return done / (perf_counter() - started)


def _figures(
    alone: _Alone, outcomes: list[Outcome], many: Outcome, rates: list[list[float]], memory: list[float]
) -> Figures:
    """Put the figures under their names, and into lines."""
    p50, p95 = (float(one) for one in np.percentile(alone.latency, [50, 95]))
    forward = float(np.median(alone.forward))
    medians = {step: float(np.median([one[step] for one in alone.steps])) for step in alone.steps[0]}
    engine, bulk = (float(np.median(one)) for one in rates)
    sixteen = sum(len(one.accepted_ms) for one in outcomes) / sum(one.seconds for one in outcomes)
    accepted16 = [taken for one in outcomes for taken in one.accepted_ms]
    warm, quarter, peak, end = memory
    p99 = float(np.percentile(many.accepted_ms, 99)) if many.accepted_ms else float("nan")
    figures = {
        "model": alone.model,
        "requests": len(alone.latency),
        "p50_ms": p50,
        "p95_ms": p95,
        "p50_forward_ms": forward,
        "p50_over_forward": p50 / forward,
        "share_inside": float(np.median([one["total"] for one in alone.steps])) / p50,
        "median_ms": medians,
        "engine_per_s": engine,
        "engine_bulk_per_s": bulk,
        "throughput16_per_s": sixteen,
        "throughput16_over_engine": sixteen / engine,
        "throughput16_over_bulk": sixteen / bulk,
        "p50_ms_16": float(np.median(accepted16)),
        "p99_ms_16": float(np.percentile(accepted16, 99)),
        "errors16": sum(one.errors(http.client.OK) for one in outcomes),
        "throughput200_per_s": many.per_second,
        "p99_ms_200": p99,
        "refused200": many.statuses[http.client.SERVICE_UNAVAILABLE],
        "errors200": many.errors(http.client.OK, http.client.SERVICE_UNAVAILABLE),
        "server_resident_mb": warm,
        "crowd_peak_mb": peak,
        "crowd_growth_mb": end - quarter,
    }
    lines = _lines(figures) + tuple(sorted({failure for one in (*outcomes, many) for failure in one.failures})[:5])
    return Figures(figures, lines)


def _lines(figures: dict[str, Any]) -> tuple[str, ...]:
    """Say the figures in sentences."""
    model, medians = figures["model"], figures["median_ms"]
    steps = ", ".join(f"{step} {value:.1f}" for step, value in medians.items())
    sixteen = (
        f"16 clients: {figures['throughput16_per_s']:.1f} pictures a second, p50 {figures['p50_ms_16']:.0f} ms, "
        f"p99 {figures['p99_ms_16']:.0f} ms, {figures['errors16']} failed"
    )
    engine = (
        f"the bare engine, in turn: {figures['engine_per_s']:.1f} a second one by one, of which the server reaches "
        f"{figures['throughput16_over_engine']:.0%}; {figures['engine_bulk_per_s']:.1f} in bulk"
    )
    many = (
        f"200 clients: {figures['throughput200_per_s']:.1f} pictures a second, p99 of the accepted "
        f"{figures['p99_ms_200']:.0f} ms, {figures['refused200']} told to come back, {figures['errors200']} failed"
    )
    memory = (
        f"the server holds {figures['server_resident_mb']:.0f} MB, with 200 clients at most "
        f"{figures['crowd_peak_mb']:.0f} MB, {figures['crowd_growth_mb']:+.0f} MB over three quarters of their time"
    )
    return (
        f"POST of {SIDE}×{SIDE} JPEGs, no two alike, to {model['name']} ({model['engine']})",
        f"one client, {figures['requests']} requests: p50 {figures['p50_ms']:.1f} ms, p95 {figures['p95_ms']:.1f} ms",
        f"inside: {steps} ms",
        f"a bare forward pass of the same pictures, in turn: {figures['p50_forward_ms']:.1f} ms",
        f"p50 over forward pass: {figures['p50_over_forward']:.2f}",
        sixteen,
        engine,
        many,
        memory,
    )


@contextmanager
def _watched_memory(pid: int) -> Iterator[list[float]]:
    """Fill a list, when the block ends, with the megabytes held after its first quarter, at most, and at its end."""
    seen: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            seen.append(resident(pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    found: list[float] = []
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        seen.append(resident(pid))
        found += [seen[len(seen) // 4], max(seen), seen[-1]]


@contextmanager
def _server(settings: Settings) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `sokkuri serve` as its own process on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", MAIN, "serve", "--port", str(port)]
    process = subprocess.Popen([*command, "--home", str(settings.home)])
    try:
        _wait_until_ready(port, process)
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when /readyz says 200. Raises BuildError with what it says instead when it takes too long."""
    deadline = monotonic() + START_SECONDS
    detail = "no answer"
    while monotonic() < deadline and process.poll() is None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/readyz")
                response = connection.getresponse()
                answer = json.loads(response.read())
        except OSError:
            sleep(0.1)
            continue
        if response.status == http.client.OK:
            return
        detail = answer.get("detail", "")
        sleep(0.5)
    raise BuildError(f"the server is not ready: {detail}")
