"""The real server, gunicorn in a process of its own: huge uploads, signals, a port that is taken."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from recommender.errors import SettingError
from recommender.settings import Settings
from tests.waiting import lines_until
from tests.web.world import draw
from web.commands import listen, shared_among

pytestmark = pytest.mark.slow

API = "/api/v1/recommendations"
HUGE = 200_000_000
SERVE = "from web.commands import serve; serve()"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a Python process, wait until it names its port on stderr, and yield it with the line that did."""
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process, lines_until(process, r"\d{4,}")[-1]
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
            process.stderr.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Serve a small world; return the server's process id and port."""
    with running("-m", "tests.web.serve_world", str(tmp_path_factory.mktemp("served"))) as (process, line):
        yield process.pid, int(line.split()[-1])


def worker_of(parent: int) -> int:
    """Return the process id of a server's one worker."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


def peak_bytes(process: int) -> int:
    """Return the most memory that a process has had so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return 1024 * int(found[1])


def pieces() -> Iterator[bytes]:
    """Give a huge form in pieces, so that no Content-Length can say how long it will be."""
    yield b'--b\r\nContent-Disposition: form-data; name="picture"; filename="x.png"\r\n\r\n'
    for _ in range(HUGE // 1_000_000):
        yield bytes(1_000_000)


class Zeros:
    """A file of zeros that is not in memory; `requests` asks it for its length and for pieces."""

    def __init__(self) -> None:
        self.left = HUGE

    def __len__(self) -> int:
        return self.left

    def read(self, size: int) -> bytes:
        """Return the next piece."""
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=b", "text/plain"])
@pytest.mark.parametrize("known", [True, False], ids=["content-length", "chunked"])
@pytest.mark.parametrize("path", [API, "/", "/api/v1/shows"])
def test_huge_upload(server: tuple[int, int], path: str, kind: str, known: bool) -> None:
    """A body of 200 MB is refused in time, without filling the memory, and the client gets to read why."""
    process, port = server
    before = peak_bytes(worker_of(process))
    body: object = Zeros() if known else pieces()
    started = time.monotonic()
    response = requests.post(f"http://127.0.0.1:{port}{path}", data=body, headers={"Content-Type": kind}, timeout=20)  # type: ignore[arg-type]
    assert time.monotonic() - started < 2
    expected = 405 if "shows" in path else 415 if kind == "text/plain" else 413
    assert response.status_code == expected
    assert len(response.text) > 100
    assert peak_bytes(worker_of(process)) - before < 100_000_000


def test_chunked_picture(server: tuple[int, int]) -> None:
    """A picture that comes in pieces, without its length, is answered like any other."""
    halves = (half for half in (draw(0)[:100], draw(0)[100:]))
    url = f"http://127.0.0.1:{server[1]}{API}"
    response = requests.post(url, data=halves, headers={"Content-Type": "image/png"}, timeout=20)
    assert response.json()["verdict"]["label"] == "red-sea/ada"


def test_connection_is_kept(server: tuple[int, int]) -> None:
    """One connection serves several requests, also after one whose body was refused."""
    with requests.Session() as session:
        url = f"http://127.0.0.1:{server[1]}"
        assert session.post(url + API, data=b"x" * 100, headers={"Content-Type": "text/plain"}, timeout=20).ok is False
        assert session.get(url + "/healthz", timeout=20).json() == {"status": "alive"}


def test_cut_off_upload(server: tuple[int, int]) -> None:
    """A client that goes away in the middle of its upload leaves the server unharmed."""
    head = f"POST {API} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
    with socket.create_connection(("127.0.0.1", server[1])) as connection:
        connection.sendall(head.encode())
    assert requests.get(f"http://127.0.0.1:{server[1]}/healthz", timeout=20).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """`serve` says where it is, answers before anything is indexed, ends well on a signal and leaves no socket."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with running("-c", SERVE, "--home", str(tmp_path / "var"), "--port", "0", "--workers", "2") as (process, line):
        found = re.fullmatch(r"Sokkuri is at (http://127\.0\.0\.1:\d+) \(Ctrl-C stops it\)\n", line)
        assert found, line
        assert requests.get(found[1], timeout=20).status_code == 503
        process.send_signal(number)
        assert process.wait(15) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert not list(tmp_path.rglob("*.ctl"))


def test_port_in_use() -> None:
    """A port that is taken is told in one line, with the next one that is free."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=rf"^port {port} is in use: try --port \d+$") as caught:
            listen("127.0.0.1", port)
        suggested = int(str(caught.value).split()[-1])
        listen("127.0.0.1", suggested).close()


@pytest.mark.parametrize(("host", "reached"), [("::", ["127.0.0.1", "::1"]), ("0.0.0.0", ["127.0.0.1"])])  # noqa: S104
def test_every_address(host: str, reached: list[str]) -> None:
    """A server at all addresses of IPv6 is reached over IPv4 as well."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with listen(host, 0) as listener:
        for address in reached:
            socket.create_connection((address, listener.getsockname()[1]), timeout=5).close()


def test_no_such_address() -> None:
    """A host that does not exist here is told by name."""
    with pytest.raises(SettingError, match=r"203\.0\.113\.1"):
        listen("203.0.113.1", 0)
    with pytest.raises(SettingError, match=r"no-such-host\.invalid"):
        listen("no-such-host.invalid", 0)


def test_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers divide the cores, each has one at least, and a setting wins."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(8)))
    assert [shared_among(workers, Settings()).threads for workers in (1, 3, 20)] == [8, 2, 1]
    assert shared_among(2, Settings(threads=5)).threads == 5


def test_import_is_light() -> None:
    """Neither `web` nor its command imports an engine, numpy or the catalogue: importing builds nothing."""
    script = "import sys, web, web.commands; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "faiss", "numpy", "sqlalchemy", "PIL", "openvino", "gunicorn"}.isdisjoint(loaded)


def test_slow_clients_do_not_stop_the_server(server: tuple[int, int]) -> None:
    """Twenty clients that never finish their headers or their bodies leave threads to answer others at once."""
    _, port = server
    head = (
        b"POST /api/v1/recommendations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9999\r\n\r\n"
    )
    with ExitStack() as stack:
        for number in range(20):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(head if number % 2 else head[:20])
        started = time.monotonic()
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
        assert time.monotonic() - started < 1


@pytest.mark.parametrize("item", [b"{},", b"[],", b'"",'])
def test_json_of_a_million_things(server: tuple[int, int], item: bytes) -> None:
    """JSON made of millions of small values costs neither memory nor time before it is refused."""
    parent, port = server
    before = peak_bytes(worker_of(parent))
    body = b"[" + item * (2_400_000 // len(item)) + b"0]"
    started = time.monotonic()
    answer = requests.post(
        f"http://127.0.0.1:{port}/api/v1/recommendations",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=20,
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert time.monotonic() - started < 2
    assert peak_bytes(worker_of(parent)) - before < 25_000_000
