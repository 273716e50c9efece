"""Few open files: as many connections as fit, one line where that is none, and no worker that dies of the rest."""

from __future__ import annotations

import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.web.test_server import API, running, worker_of
from tests.web.world import draw

FITS = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0})); from web.limits import *; print({1})"


@pytest.mark.parametrize(("files", "connections"), [(128, 32), (256, 128), (512, 256), (1024, 768), (2304, 2048)])
def test_connections_fit_the_files(files: int, connections: int) -> None:
    """A worker holds fewer connections than it may open files, and the rest is enough for what it does itself."""
    script = FITS.format(files, "connections_that_fit()")
    assert int(subprocess.check_output([sys.executable, "-c", script], timeout=30)) == connections


@pytest.mark.slow
def test_too_few_files_are_told(tmp_path: Path) -> None:
    """Where next to nothing may be opened the server does not start, and one line says what to do."""
    command = f"ulimit -n 100; exec {sys.executable} -c 'from recommender.cli import main; main()' serve --port 0"
    done = subprocess.run(
        ["bash", "-c", f"{command} --home {tmp_path}"], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert re.fullmatch(r".*may open 100 files.*ulimit -n.*\n", done.stderr)


SERVE = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)); sys.argv[0:1] = []; "


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Serve a small world with 128 files; return the process id of the worker, and the port."""
    script = SERVE + "sys.argv.insert(0, ''); runpy.run_module('tests.web.serve_world', run_name='__main__')"
    with running("-c", script, str(tmp_path)) as (process, line):
        yield worker_of(process.pid), int(line.split()[-1])


def works(port: int, number: int) -> None:
    """Assert that a page and an upload are answered."""
    url = f"http://127.0.0.1:{port}"
    assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
    answer = requests.post(url + API, data=draw(0, number), headers={"Content-Type": "image/png"}, timeout=10)
    assert answer.status_code == 200


@pytest.mark.slow
def test_more_connections_than_files(server: tuple[int, int]) -> None:
    """Three hundred that say nothing do no harm to a worker that may open 128 files; nor do those that then go."""
    worker, port = server
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        works(port, 1)
    works(port, 2)
    assert Path(f"/proc/{worker}").exists()


@pytest.mark.slow
def test_uploads_do_not_take_all_connections(server: tuple[int, int]) -> None:
    """Where there are few connections, uploads that stall and clients that say nothing leave some to others."""
    _, port = server
    head = f"POST {API} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 999\r\n\r\nab".encode()
    with ExitStack() as stack:
        for place in range(120):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if place % 2:
                connection.sendall(head)
        started = time.monotonic()
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
        assert time.monotonic() - started < 1


@pytest.mark.slow
def test_files_run_out(server: tuple[int, int]) -> None:
    """Where others take the files that were to be a worker's, it lets those go that wait, and goes on."""
    worker, port = server
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(4)]
        time.sleep(0.3)
        opened = sum(1 for _ in Path(f"/proc/{worker}/fd").iterdir())
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (opened, 128))
        for _ in range(8):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        assert silent[0].recv(10) == b""
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (128, 128))
    works(port, 3)
    assert Path(f"/proc/{worker}").exists()
