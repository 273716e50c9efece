"""The real server when too many come: a line that is bounded, 503 for the others, nothing for those who left."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from recommender.gate import LOOK_SECONDS
from recommender.processor import available_cores
from tests.web.test_server import running
from tests.web.world import draw
from web.listening import is_listening
from web.patience import PatientSocket

API = "/api/v1/recommendations"
SECONDS = 0.3
QUEUE = 4


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Serve a world whose model takes 0.3 s for a picture, with room for four to wait."""
    with running("-m", "tests.web.slow_world", str(tmp_path), str(SECONDS), str(QUEUE)) as (_, line):
        yield int(line.split()[-1])


def ask(port: int, number: int) -> tuple[int, float, str]:
    """Post a picture that was never posted before; return the status, the seconds, and Retry-After."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    started = time.monotonic()
    connection.request("POST", API, draw(0, number), {"Content-Type": "image/png"})
    response = connection.getresponse()
    told = json.loads(response.read())
    connection.close()
    assert response.status == 200 or told["type"] == "/api/problems/busy"
    return response.status, time.monotonic() - started, response.headers.get("Retry-After", "")


def counted(port: int, name: str) -> float:
    """Read one number of /metrics."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.slow
def test_a_crowd_gets_answers_or_503(port: int) -> None:
    """Of sixty at once as many are answered as there is room for, in time; the rest are told at once to come back."""
    room = available_cores() + 1 + QUEUE
    with ThreadPoolExecutor(60) as pool:
        told = list(pool.map(ask, [port] * 60, range(100, 160)))
    statuses = Counter(status for status, _, _ in told)
    assert set(statuses) == {200, 503}
    assert room <= statuses[200] <= room + 3  # whoever came when the first were done already
    assert max(seconds for status, seconds, _ in told if status == 200) < (room + 5) * SECONDS
    refused = [(seconds, wait) for status, seconds, wait in told if status == 503]
    assert max(seconds for seconds, _ in refused) < 2
    assert all(int(wait) >= 1 for _, wait in refused)
    assert counted(port, "sokkuri_refused_total") == statuses[503]


@pytest.mark.slow
def test_who_hung_up_costs_nothing(port: int) -> None:
    """Six send a picture and leave while they wait: the next one does not wait for theirs, and they are counted."""
    places = available_cores() + 1
    with ExitStack() as stack:
        connections = []
        for number in range(places + QUEUE):
            body = draw(0, 200 + number)
            head = f"POST {API} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(head.encode() + body)
            connections.append(connection)
            time.sleep(0.02)
    # All are closed now. One is being computed, the others were decoded at most; who waits is looked after soon.
    time.sleep(1.5 * LOOK_SECONDS)
    status, seconds, _ = ask(port, 300)
    assert status == 200
    assert seconds < 4 * SECONDS
    deadline = time.monotonic() + 5
    while counted(port, "sokkuri_abandoned_total") < places + QUEUE - 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert counted(port, "sokkuri_abandoned_total") >= places + QUEUE - 2
    assert counted(port, "sokkuri_queue_length") == 0


def test_listening_is_seen_without_taking_anything() -> None:
    """A silent client and one that sent the next request are there; nothing of what it sent is lost, no time either."""
    server, client = socket.socketpair()
    with server, client:
        server.settimeout(20)
        started = time.monotonic()
        assert is_listening(server)
        client.sendall(b"GET")
        assert is_listening(server)
        assert time.monotonic() - started < 1
        assert server.gettimeout() == 20
        assert server.recv(10) == b"GET"
        client.close()
        assert not is_listening(server)


@pytest.mark.slow
def test_who_only_ends_its_side_is_answered(port: int) -> None:
    """A client that says with a half-closed connection that nothing more will come gets its answer, new or not."""
    for number in (400, 400, 401):
        body = draw(0, number)
        head = f"POST {API} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection)
            answer.begin()  # passes over interim answers
            assert answer.status == 200
            answer.read()
            assert connection.recv(10) == b""
    assert counted(port, "sokkuri_abandoned_total") == 0


def test_a_half_closed_connection_is_told_from_one_that_is_closed() -> None:
    """Both look alike until something is sent; a client of HTTP/1.0, which may not get that, counts as gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for version, close, expected in (((1, 1), False, True), ((1, 1), True, False), ((1, 0), False, False)):
            client = socket.create_connection(listener.getsockname())
            server = PatientSocket(fileno=listener.accept()[0].detach())
            with client, server:
                server.request = SimpleNamespace(version=version)
                if close:
                    client.close()
                else:
                    client.shutdown(socket.SHUT_WR)
                time.sleep(0.05)
                is_listening(server)  # asks
                time.sleep(0.05)
                assert is_listening(server) == is_listening(server) == expected
                if expected:
                    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_reset_connection_is_no_listener() -> None:
    """A client that vanished with a reset is gone too, and so is a socket that was closed here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        with server:
            deadline = time.monotonic() + 5
            while is_listening(server) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not is_listening(server)
