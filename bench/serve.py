"""What a person waits for: a picture is posted to a real server over HTTP, one request after the other."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep

import numpy as np
from PIL import Image, ImageDraw

from bench.report import Figures
from recommender.errors import BuildError
from recommender.images import Limits, decode
from recommender.publication import Publication
from recommender.settings import Settings

SIDE = 1000
START_SECONDS = 60.0


def measure_serving(settings: Settings, requests: int) -> Figures:
    """Time `requests` posts of a 1000×1000 JPEG, and the bare forward pass of the same picture beside them."""
    body = _jpeg()
    latency, inside, steps = [], [], []
    with _server(settings) as (port, process):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(5 + requests):
            started = perf_counter()
            connection.request("POST", "/api/v1/recommendations", body, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            latency.append(1000 * (perf_counter() - started))
            if response.status != http.client.OK:
                raise BuildError(f"the server answered {response.status}: {answer.get('detail')}")
            inside.append(answer["timing_ms"]["total"])
            steps.append(answer["timing_ms"])
        connection.close()
        memory = _resident_mb(process.pid)
    forward = _bare_forward(settings, body, requests)
    latency, inside, steps = latency[5:], inside[5:], steps[5:]
    p50, p95 = np.percentile(latency, [50, 95])
    share = float(np.median(np.array(inside) / np.array(latency)))
    medians = {step: float(np.median([one[step] for one in steps])) for step in steps[0]}
    figures = {
        "model": answer["model"],
        "requests": requests,
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p50_forward_ms": forward,
        "p50_over_forward": float(p50) / forward,
        "share_not_network": share,
        "median_ms": medians,
        "server_resident_mb": memory,
    }
    model = f"{answer['model']['name']} ({answer['model']['engine']})"
    lines = (
        f"POST of a {SIDE}×{SIDE} JPEG ({len(body):,} bytes) to {model}: {requests} requests, one client",
        f"p50 {p50:.1f} ms, p95 {p95:.1f} ms; {share:.0%} of it inside the recommender, the rest HTTP and network",
        "medians inside: " + ", ".join(f"{step} {value:.1f}" for step, value in medians.items()) + " ms",
        f"bare forward pass {forward:.1f} ms: p50 is {p50 / forward:.2f} times that",
        f"the server holds {memory:.0f} MB",
    )
    return Figures(figures, lines)


def _jpeg() -> bytes:
    """Draw a picture with large areas, edges and some noise, about as hard to decode as a drawn one."""
    generator = np.random.default_rng(0)
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y = (int(value) for value in generator.integers(0, SIDE, 2))
        radius = int(generator.integers(20, 200))
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline="black", width=4)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _bare_forward(settings: Settings, body: bytes, times: int) -> float:
    """Return the median milliseconds of encoding the same decoded picture, with no server around it."""
    publication = Publication(settings)
    try:
        publication.refresh()
        encoder = publication.current().encoder
        image = decode(body, Limits.of(settings))
        taken = []
        for _ in range(5 + times):
            started = perf_counter()
            encoder.encode([image])
            taken.append(1000 * (perf_counter() - started))
        return float(np.median(taken[5:]))
    finally:
        publication.close()


@contextmanager
def _server(settings: Settings) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `sokkuri serve` as its own process on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from recommender.cli import main; main()", "serve", "--port", str(port)]
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
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
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


def _resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its children in megabytes."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process ended meanwhile
        if int(status.parent.name) == pid or int(fields[1]) == pid:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6
