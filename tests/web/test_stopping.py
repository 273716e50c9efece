"""The real server on a signal: in order at first, at once the second time, and nobody new is left waiting."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.web.test_server import API, running, worker_of
from tests.web.world import draw

pytestmark = pytest.mark.slow

SECONDS = 0.3
STUCK = f"POST {API} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nab".encode()


@contextmanager
def slow_server(folder: Path, seconds: float = SECONDS, stop: float = 8) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve a world whose model takes its time, with room for twenty to wait; yield the process and its port."""
    with running("-m", "tests.web.slow_world", str(folder), str(seconds), "20", f"STOP_SECONDS={stop}") as (
        process,
        line,
    ):
        yield process, int(line.split()[-1])


def ask(port: int, number: int) -> int:
    """Post a picture that was never posted before; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", API, draw(0, number), {"Content-Type": "image/png"})
    status = connection.getresponse().status
    connection.close()
    return status


def said(process: subprocess.Popen[str]) -> str:
    """Return what a process that has ended had written last."""
    assert process.stderr is not None
    return process.stderr.read()


def tell(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to every process of the server, as a terminal does: none has acted on it before all have it."""
    with suppress(ProcessLookupError):
        os.kill(worker_of(process.pid), number)
    process.send_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_has_begun_is_answered(tmp_path: Path, number: signal.Signals) -> None:
    """Eight uploads are at work when the signal comes, one is stuck: the eight are answered, and nothing is logged."""
    with slow_server(tmp_path) as (process, port), ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, port, 100 + place) for place in range(8)]
        stuck = socket.create_connection(("127.0.0.1", port), timeout=20)
        stuck.sendall(STUCK)
        time.sleep(SECONDS)
        tell(process, number)
        assert Counter(one.result() for one in asked) == {200: 8}
        assert stuck.recv(1000).startswith(b"HTTP/1.1 408 ")
        stuck.close()
        assert process.wait(9) == 0
        assert said(process) == ""


def test_who_comes_late_is_refused_at_once(tmp_path: Path) -> None:
    """While a server finishes what has begun, nobody new waits for it; who stands in line to the end gets 503."""
    with slow_server(tmp_path, 1.2, 2) as (process, port), ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ask, port, 100 + place) for place in range(12)]
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 1
        refused = False
        while not refused and time.monotonic() < deadline:
            time.sleep(0.05)
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
            except ConnectionRefusedError:
                refused = True
        assert refused
        assert process.poll() is None
        assert process.wait(5) == 0
        told = Counter("cut off" if one.exception() else one.result() for one in asked)
        assert told[200] >= 1
        assert told[503] >= 5
        assert told["cut off"] <= 3  # what the model or its neighbours had begun
        assert said(process) == ""


def test_the_second_time_is_at_once(tmp_path: Path) -> None:
    """Ctrl-C once more does not wait for anybody."""
    with slow_server(tmp_path, 5) as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as waiting:
            body = draw(0, 7)
            head = STUCK.split(b"\r\n\r\n")[0].replace(b": 99", f": {len(body)}".encode())
            waiting.sendall(head + b"\r\n\r\n" + body)
            time.sleep(0.3)
            tell(process, signal.SIGINT)
            time.sleep(1)
            assert process.poll() is None
            started = time.monotonic()
            tell(process, signal.SIGINT)
            assert process.wait(5) == 0
            assert time.monotonic() - started < 1
        assert said(process) == ""


def test_nohup_is_heeded(tmp_path: Path) -> None:
    """A server that was started with SIGHUP ignored lives on when its terminal goes."""
    script = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from web.commands import serve; serve()"
    with running("-c", script, "--home", str(tmp_path), "--port", "0") as (process, line):
        port = int(line.rpartition(":")[2].split()[0])
        tell(process, signal.SIGHUP)
        time.sleep(0.5)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        tell(process, signal.SIGTERM)
        assert process.wait(9) == 0
        assert said(process) == ""


EARLY = """
import os, signal, time
from web import commands
settle = commands._forked
def told_early(arbiter, worker):
    os.kill(os.getppid(), signal.{number})
    time.sleep(0.5)  # meanwhile the arbiter passes it on
    settle(arbiter, worker)
commands._forked = told_early
commands.serve()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_is_not_lost_to_a_worker_that_starts(tmp_path: Path, number: signal.Signals) -> None:
    """A server that is told to stop while its worker has no handlers yet ends once it has, and greets nobody."""
    script = EARLY.format(number=number.name)
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", script, "--home", str(tmp_path), "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0
    assert "Sokkuri is at" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - started < 8  # without its being heard, gunicorn kills the worker after twelve
