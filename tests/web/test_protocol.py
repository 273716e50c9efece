"""The real server and requests that are none, or are not sent as they should be: each is told why, as a document."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.web.test_server import API, running
from tests.web.test_slow_clients import counted, told
from tests.web.world import draw

pytestmark = pytest.mark.slow

GET = "GET /healthz HTTP/1.1\r\n"
POST = f"POST {API} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve a small world where a header has half a second to arrive; yield the process and its port."""
    folder = str(tmp_path_factory.mktemp("served"))
    with running("-m", "tests.web.slow_world", folder, "0", "4", "HEADER_SECONDS=0.5") as (process, line):
        yield process, int(line.split()[-1])


@pytest.fixture
def port(server: tuple[subprocess.Popen[str], int]) -> int:
    """Return the server's port."""
    return server[1]


def answer(port: int, sent: str) -> bytes:
    """Send something on a connection of its own; return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent.encode())
        return told(connection)


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        ("Hello, is anybody there?\r\n\r\n", 400, "bad-line"),
        ("GET / HTTP/9.9.9\r\n\r\n", 400, "bad-line"),
        (f"{GET}\r\n", 400, "bad-header"),
        (f"{GET}Host: x\r\nHost: x\r\n\r\n", 400, "bad-header"),
        (f"{GET}Host: x\r\nno colon\r\n\r\n", 400, "bad-header"),
        (f"{GET}Host: x\r\nSCRIPT_NAME: /elsewhere\r\n\r\n", 400, "bad-header"),
        (f"{POST}Content-Length: -1\r\n\r\n", 400, "bad-header"),
        (f"{POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-header"),
        (f"{GET.replace('healthz', 'x' * 5000)}Host: x\r\n\r\n", 414, "long-line"),
        (f"{GET}Host: x\r\nExpect: miracles\r\n\r\n", 417, "expectation"),
        (f"{GET}Host: x\r\n" + "X: y\r\n" * 101 + "\r\n", 431, "long-header"),
        (f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "coding"),
        (f"{POST}Transfer-Encoding: magic\r\n\r\n", 501, "coding"),
        ("GET /healthz HTTP/1.1\r\nHo", 408, "slow-header"),
    ],
)
def test_requests_that_are_none(port: int, sent: str, status: int, reason: str) -> None:
    """What cannot be read is refused with its status and a problem document, and counted; the connection ends."""
    names = (
        f'sokkuri_refused_unread_total{{reason="{reason}",status="{status}"}}',
        f'sokkuri_requests_total{{status="{status}"}}',
    )
    before = [counted(port, name) for name in names]
    head, _, body = answer(port, sent).partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 (\d+) [A-Z]", head)
    assert int(head.split()[1]) == status
    assert b"\r\nContent-Type: application/problem+json" in head
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["status"] == status
    assert [counted(port, name) for name in names] == [1 + number for number in before]


def test_http_1_0_needs_no_host(port: int) -> None:
    """An older client is answered as ever; one that says nothing at all is let go without a word."""
    assert re.match(rb"HTTP/1\.[01] 200 ", answer(port, "GET /healthz HTTP/1.0\r\n\r\n"))
    assert answer(port, "") == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"{POST}Content-Length: 9000000\r\n", 413),
        (f"{POST.replace('image/png', 'text/plain')}Content-Length: 1000\r\n", 415),
        (f"{POST.replace('recommendations', 'nowhere')}Content-Length: 1000\r\n", 404),
        (f"{POST.replace('recommendations', 'shows')}Content-Length: 1000\r\n", 405),
    ],
)
def test_who_is_refused_is_not_told_to_go_on(port: int, head: str, status: int) -> None:
    """A client that asks before it sends its body gets the answer instead, and the connection ends."""
    got = answer(port, f"{head}Expect: 100-continue\r\n\r\n")
    assert got.startswith(f"HTTP/1.1 {status} ".encode())
    assert got.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in got


def test_who_is_wanted_is_told_to_go_on(port: int) -> None:
    """A client that asks before it sends is told to once the body is read, gets its answer, and may ask again."""
    body = draw(0, 1)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(2):
            connection.sendall(f"{POST}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
            assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            got = http.client.HTTPResponse(connection)
            got.begin()
            assert (got.status, got.headers["Connection"]) == (200, "keep-alive")
            assert json.loads(got.read())["verdict"]["label"] == "red-sea/ada"


def test_the_log_stays_short(server: tuple[subprocess.Popen[str], int]) -> None:
    """However many requests cannot be read, the log has a few lines of them, and the server ends as ever."""
    process, port = server
    for _ in range(50):
        assert answer(port, f"{GET}\r\n").startswith(b"HTTP/1.1 400 ")
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert process.stderr is not None
    lines = process.stderr.read().splitlines()
    assert 1 <= len(lines) <= 10
    assert all("Refused a request of 127.0.0.1 with " in line for line in lines)
