"""The real server among clients that are slow, silent, greedy or confused: others get answers; its log stays short."""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from tests.web.test_server import API, running
from tests.web.world import draw
from web.draining import DRAIN_SECONDS
from web.patience import HURRIED_SECONDS
from web.worker import BODY_LINE, PAGE_THREADS

pytestmark = pytest.mark.slow

THREADS = 48
"""How many threads for requests with a body `serve_world` has."""
LARGE = 2_000_000
"""What the world lets a picture have, in bytes."""
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve a small world that holds 4 MB of uploads and 4 kB of an answer at once; yield the process and its port."""
    folder = str(tmp_path_factory.mktemp("served"))
    with running("-m", "tests.web.serve_world", folder, str(2 * LARGE), "4096") as (process, line):
        yield process, int(line.split()[-1])


@pytest.fixture
def port(server: tuple[subprocess.Popen[str], int]) -> int:
    """Return the server's port."""
    return server[1]


def head(length: int, path: str = API) -> bytes:
    """Return the header of an upload."""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n".encode()


def connect(stack: ExitStack, port: int, sent: bytes = b"") -> socket.socket:
    """Open a connection and send something on it."""
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
    connection.sendall(sent)
    return connection


@contextmanager
def quick(seconds: float = 1.0) -> Iterator[None]:
    """Assert that what is done inside takes no longer."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def told(connection: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def healthy(port: int) -> None:
    """Ask whether the server is alive, on a connection of its own."""
    assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=20).status_code == 200


@pytest.mark.parametrize("sent", [b"", HEALTH[:20], head(9999) + b"x"], ids=["silent", "header", "body"])
def test_slow_clients_shut_nobody_out(port: int, sent: bytes) -> None:
    """Of 300 connections that say nothing, half a header or a byte of a body, none delays the health check."""
    with ExitStack() as stack:
        for _ in range(300):
            connect(stack, port, sent)
        for _ in range(3):
            with quick():
                healthy(port)


@pytest.mark.parametrize(
    ("begun", "status"),
    [(head(1000, "/nope"), 404), (head(1000).replace(b"POST", b"GET", 1), 405), (head(30_000_000), 413)],
)
def test_a_trickle_that_nobody_reads_ends_soon(port: int, begun: bytes, status: int) -> None:
    """A client that goes on with its body after the answer, a byte now and then, is let go after DRAIN_SECONDS."""
    with ExitStack() as stack, quick(DRAIN_SECONDS + 2):
        connection = connect(stack, port, begun)
        answer = b""
        connection.settimeout(0.2)
        while True:
            with suppress(TimeoutError):
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
            connection.sendall(b"x")
        assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_who_takes_no_answer_shuts_out_nobody(port: int) -> None:
    """Clients that ask for page after page and read none of them, or a little each second, hold no thread."""
    asking = HEALTH.replace(b"/healthz", b"/api/openapi.json") * 300
    with ExitStack() as stack:
        deaf = []
        for _ in range(3 * PAGE_THREADS):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.setblocking(False)
            connection.send(asking)
            deaf.append(connection)
        taken = 0
        for _ in range(4):
            with quick():
                healthy(port)
            for one in deaf[::2]:
                with suppress(BlockingIOError):  # its turn has not come yet
                    taken += len(one.recv(500))
            time.sleep(0.5)
        assert taken


def test_a_page_that_is_taken_slowly_is_whole(port: int) -> None:
    """Who reads an answer late and in small pieces gets all of it, and the answer to the next request after it."""
    address = f"http://127.0.0.1:{port}/api/openapi.json"
    page = requests.get(address, timeout=20).content
    with ExitStack() as stack:
        connection = stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        asking = HEALTH.replace(b"/healthz", b"/api/openapi.json")
        connection.sendall(asking * 2 + HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        time.sleep(0.3)
        taken = told(connection)
    assert taken.count(page) == 2
    assert taken.endswith((b'{"status": "alive"}\n', b'{"status":"alive"}\n'))


def test_who_does_not_hang_up_delays_nobody(port: int) -> None:
    """Clients that got their last answer and leave their end open cost the server no time; it ends them by itself."""
    with ExitStack() as stack:
        asking = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        done = [connect(stack, port, asking) for _ in range(20)]
        with quick():
            assert all(told(one).startswith(b"HTTP/1.1 200 ") for one in done)
            healthy(port)


def first_answered(waiting: list[socket.socket]) -> socket.socket:
    """Return the connection that is answered first: those who stall in line are only let go, and that is later."""
    with selectors.DefaultSelector() as selector:
        for one in waiting:
            selector.register(one, selectors.EVENT_READ)
        (key, _), *_ = selector.select(20)
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj


def test_too_many_that_send_a_body_are_told_so(port: int) -> None:
    """Whoever finds not even a place in line to send a picture is told at once to come back, and is counted."""
    names = ('sokkuri_refused_unread_total{reason="line-full",status="503"}', 'sokkuri_requests_total{status="503"}')
    before = [counted(port, name) for name in names]
    with ExitStack() as stack:
        waiting = [connect(stack, port, head(9999) + b"x") for _ in range(THREADS + BODY_LINE + 54)]
        with quick(HURRIED_SECONDS):  # sooner than anybody in line gives way
            answers = told(first_answered(waiting))
    assert answers.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in answers
    length = int(answers.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    problem = json.loads(answers.partition(b"\r\n\r\n")[2])
    assert (problem["type"], problem["status"]) == ("/api/problems/busy", 503)
    assert len(answers.partition(b"\r\n\r\n")[2]) == length
    refused, answered = (counted(port, name) - former for name, former in zip(names, before, strict=True))
    assert 1 <= refused <= answered
    with quick(2):  # those who hung up give their places back
        while sent(port, draw(0)) == 503:
            time.sleep(0.05)
    assert sent(port, draw(0)) == 200


@contextmanager
def dripping(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Hold so many uploads of which a byte comes each second; one that the server ends begins anew with the next."""
    stopping = Event()
    with ExitStack() as stack:
        drips = [connect(stack, port, head(9999) + b"x") for _ in range(count)]

        def drip() -> None:
            while not stopping.wait(1):
                ended, _, _ = select.select(drips, [], [], 0)
                for place, one in enumerate(drips):
                    if one in ended:
                        drips[place] = connect(stack, port, head(9999) + b"x")
                    else:
                        one.sendall(b"x")

        thread = Thread(target=drip)
        thread.start()
        try:
            yield drips
        finally:
            stopping.set()
            thread.join()


def test_drips_do_not_shut_out_a_usual_upload(port: int) -> None:
    """As many uploads as there are threads get a byte each second: others wait for seconds, and not for half a minute.

    Alone, they would have all of the time that a request has.
    """
    with dripping(port, THREADS) as drips:
        first = list(drips)
        time.sleep(HURRIED_SECONDS + 1.5)
        assert drips == first  # nobody waited for a thread
        for number in range(2):
            with quick(3 * HURRIED_SECONDS):
                assert sent(port, draw(0, number)) == 200
            with quick():
                healthy(port)
            time.sleep(1.2)  # those who were let go are back
            assert drips != first


def counted(port: int, name: str) -> float:
    """Read one number of /metrics, 0 where it is not told."""
    lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def sent(port: int, data: bytes | Iterator[bytes]) -> int:
    """Send a picture, as a whole or in pieces; return the status of the answer."""
    url = f"http://127.0.0.1:{port}{API}"
    return requests.post(url, data=data, headers={"Content-Type": "image/png"}, timeout=20).status_code


def test_uploads_that_would_not_fit_are_refused_unread(port: int) -> None:
    """A large upload beside one that still arrives gets 503 before it is sent; a usual picture gets its answer."""
    with ExitStack() as stack:
        connect(stack, port, head(LARGE) + b"x")
        time.sleep(0.2)
        for path in (API, "/"):
            with quick():
                refused = connect(stack, port, head(LARGE, path)).recv(65536)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 5\r\n" in refused
        assert sent(port, (part for part in (draw(0)[:100], draw(0)[100:]))) == 503
        assert sent(port, draw(0)) == 200
    large = draw(0) + bytes(LARGE - len(draw(0)))
    with quick(5):
        while (status := sent(port, large)) == 503:
            time.sleep(0.05)
    assert status == 200


@pytest.mark.parametrize("path", [API, "/", "/api/v1/shows"])
@pytest.mark.parametrize(
    "body", [b"zzz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5;\x01\r\nhello\r\n0\r\n\r\n"]
)
def test_wrong_chunks(port: int, path: str, body: bytes) -> None:
    """A body in pieces that are none is the client's mistake, which is told in a sentence, and ends the connection."""
    sent = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ExitStack() as stack, quick():
        answer = told(connect(stack, port, sent.encode() + body))
    assert answer.count(b"HTTP/1.1 ") == 1
    if path == "/api/v1/shows":
        assert answer.startswith(b"HTTP/1.1 405 ")
    else:
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"chunked" in answer


def test_requests_arrive_as_they_like(port: int) -> None:
    """A header in pieces, two requests at once, and an empty line before one are all answered."""
    with ExitStack() as stack:
        connection = connect(stack, port, b"\r\n")
        for place in range(0, len(HEALTH), 7):
            connection.sendall(HEALTH[place : place + 7])
            time.sleep(0.01)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(
            HEALTH + head(len(draw(0))) + draw(0) + HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        answers = told(connection)
    assert answers.count(b"HTTP/1.1 200 ") == 3
    assert b"red-sea/ada" in answers


def test_an_endless_header_is_refused(port: int) -> None:
    """A header of a hundred thousand bytes ends the connection, with the status that says why, and is counted."""
    with ExitStack() as stack, quick():
        connection = connect(stack, port, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 431
    assert counted(port, 'sokkuri_refused_unread_total{reason="long-header",status="431"}') == 1
    assert counted(port, 'sokkuri_requests_total{status="431"}') == 1


@pytest.mark.parametrize(("name", "value"), [("ENGINE", "foo"), ("THREADS", "99999999999"), ("QUEUE", "1000000")])
def test_a_wrong_setting_ends_the_server(tmp_path: Path, name: str, value: str) -> None:
    """`serve` with a setting that makes no sense ends with one line that names it; it would answer nothing for ever."""
    environment = os.environ | {f"SOKKURI_{name}": value}
    command = [sys.executable, "-c", "from recommender.cli import main; main()", "serve", "--port", "0"]
    done = subprocess.run(
        [*command, "--home", str(tmp_path)], check=False, env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"SOKKURI_{name}" in done.stderr


def test_the_log_is_short(server: tuple[subprocess.Popen[str], int]) -> None:
    """After all of that the server ends on a signal as ever, and has logged no traceback."""
    process, port = server
    healthy(port)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
