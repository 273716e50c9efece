"""`sokkuri collect` and `sokkuri forget` as commands: killed, misused, and read by programs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from bench.gallery import GalleryServer
from indexer.collect.lanes import LAST_ANSWERS_SECONDS

COMMAND = [sys.executable, "-c", "from recommender.cli import main; main()"]
WITHOUT_TORCH = [
    sys.executable,
    "-c",
    "import sys; sys.modules['torch'] = None; from recommender.cli import main; main()",
]
SECONDS = 60
pytestmark = pytest.mark.slow


class Shell:
    """A folder where the command is run."""

    def __init__(self, folder: Path, server: GalleryServer) -> None:
        self.folder = folder
        self.settings = {
            "SOKKURI_HOME": str(folder / "home"),
            "SOKKURI_PRIVATE_NETWORKS": "127.0.0.0/8",
            "SOKKURI_CONTACT": "test@localhost",
        }
        tables = [
            f'[[source]]\nshow = "show"\ncharacter = "hero-{number}"\npages = "{page}"\n'
            for number, page in enumerate(server.galleries)
        ]
        (folder / "sources.toml").write_text("\n".join(tables), encoding="utf-8")

    def start(self, *arguments: str, command: list[str] | None = None, delay: float = 0.0) -> subprocess.Popen[str]:
        """Start the command."""
        return subprocess.Popen(
            [*(command or COMMAND), *arguments],
            cwd=self.folder,
            env={**os.environ, **self.settings, "SOKKURI_HOST_DELAY": str(delay)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, command: list[str] | None = None) -> tuple[int, str, str]:
        """Run the command; return exit code, stdout and stderr."""
        with self.start(*arguments, command=command) as process:
            out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    def wait_for(self, count: int, process: subprocess.Popen[str]) -> None:
        """Return when the library has so many pictures, and fail where the command ends before."""
        deadline = monotonic() + SECONDS
        while self.kept() < count:
            assert process.poll() is None, process.communicate()
            assert monotonic() < deadline
            sleep(0.01)

    def kept(self) -> int:
        """Count the pictures of the library."""
        return len(list((self.folder / "library").glob("*/*/*.jpg")))


@pytest.fixture
def server() -> Iterator[GalleryServer]:
    """Give three hosts with twenty pictures each."""
    with GalleryServer(3, 60, per_page=10) as started:
        yield started


@pytest.fixture
def shell(tmp_path: Path, server: GalleryServer) -> Shell:
    """Give a folder with a list of their galleries."""
    return Shell(tmp_path, server)


COLLECT = ("collect", "sources.toml", "--into", "library")


def test_killed_and_resumed(shell: Shell, server: GalleryServer) -> None:
    """Killed again and again, the next run goes on: nothing is served twice, and every picture is accounted for."""
    for kill in range(1, 4):
        with shell.start(*COLLECT, delay=0.05) as process:
            shell.wait_for(12 * kill, process)
            process.kill()
    code, out, _ = shell.run(*COLLECT, "--json")
    assert code == 0
    report = json.loads(out)
    served = Counter((one.host, one.path) for one in server.record.asked)
    assert max(served.values()) == 1
    kept = sum(source["kept"] for source in report["sources"])
    failed = sum(sum(source["failed"].values()) for source in report["sources"])
    assert kept + failed == 60
    assert kept == shell.kept() >= 55
    assert not [one for one in server.record.asked if one.forbidden]
    again = json.loads(shell.run(*COLLECT, "--json", "--retry-failed")[1])
    assert sum(source["kept"] for source in again["sources"]) == 60


def test_sigterm_ends_a_run_in_order(shell: Shell) -> None:
    """SIGTERM is Ctrl-C: one line, exit code 130, and what had come is filed."""
    with shell.start(*COLLECT, delay=0.2) as process:
        shell.wait_for(3, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    first, *last = filter(None, err.splitlines())
    assert first.startswith("stopping: ")
    assert last == ["sokkuri: stopped; what was finished stays"]
    assert json.loads(shell.run(*COLLECT, "--json")[1])["sources"][0]["failed"] == {}


def test_ctrl_c_answers_at_once_and_ends_soon(shell: Shell, server: GalleryServer) -> None:
    """While an answer drips in, Ctrl-C says at once that it stops, and ends within seconds; the next run asks anew."""
    images = (f'<img src="{server.hosts[0]}/{name}.jpg">' for name in ("p/a", "drip"))
    (shell.folder / "page.html").write_text("".join(images))
    (shell.folder / "sources.toml").write_text('[[source]]\nshow = "a"\ncharacter = "b"\npages = "page.html"\n')
    with shell.start(*COLLECT) as process:
        _wait_for(lambda: "/drip.jpg" in server.paths)
        process.send_signal(signal.SIGINT)
        started = monotonic()
        assert process.stderr
        assert process.stderr.readline().startswith("stopping: answers that are on their way are waited for")
        assert monotonic() - started < 1
        _, err = process.communicate(timeout=SECONDS)
        assert monotonic() - started < LAST_ANSWERS_SECONDS + 4
    assert (process.returncode, err.strip()) == (130, "sokkuri: stopped; what was finished stays")
    assert shell.kept() == 1
    shell.settings["SOKKURI_FETCH_SECONDS"] = "1"
    (source,) = json.loads(shell.run(*COLLECT, "--json")[1])["sources"]
    assert source["failed"] == {"too slow": 1}
    assert server.paths.count("/p/a.jpg") == 1


def test_the_second_of_two_homes_is_refused(shell: Shell) -> None:
    """A library that another home collects into is refused with the name of that process; killed, it is free."""
    with shell.start(*COLLECT, delay=0.2) as process:
        shell.wait_for(2, process)
        code, out, err = shell.run(*COLLECT, "--home", "other")
        assert (code, out) == (1, "")
        assert err == f"sokkuri: sokkuri collect (process {process.pid}) is at work in library: wait until it is done\n"
        process.kill()
    assert json.loads(shell.run(*COLLECT, "--home", "other", "--json")[1])["sources"][2]["kept"] == 20


def test_nobody_listens(shell: Shell) -> None:
    """A list whose only host cannot be reached is one line and exit 1, as text and as JSON; what is kept stays."""
    with socket.socket() as free:
        free.bind(("127.0.0.9", 0))
        page = f"http://127.0.0.9:{free.getsockname()[1]}/"
    (shell.folder / "sources.toml").write_text(f'[[source]]\nshow = "a"\ncharacter = "b"\npages = "{page}"\n')
    code, out, err = shell.run(*COLLECT)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("sokkuri: no host can be reached (127.0.0.9: ")
    assert "Connection refused" in err
    code, out, again = shell.run(*COLLECT, "--json")
    assert (code, again) == (1, err)
    assert json.loads(out)["offline"] in err


def test_nothing_but_private_addresses(shell: Shell, server: GalleryServer) -> None:
    """Where nothing else was wanted that is one line on stderr, which names the setting, and exit 1."""
    shell.settings["SOKKURI_PRIVATE_NETWORKS"] = ""
    code, out, err = shell.run(*COLLECT, "--json")
    assert (code, len(err.splitlines())) == (1, 1)
    assert err.startswith("sokkuri: every source yielded nothing: ")
    assert "SOKKURI_PRIVATE_NETWORKS" in err
    assert json.loads(out)["barred"] in err
    code, out, again = shell.run(*COLLECT)
    assert (code, again) == (1, err)
    assert "! show/hero-0 yielded nothing: robots.txt of " in out
    assert server.paths == []


def test_a_source_that_yields_nothing_is_said_on_stderr(shell: Shell, server: GalleryServer) -> None:
    """Also where a program reads the report, the person at the terminal hears of sources that yielded nothing."""
    text = (shell.folder / "sources.toml").read_text()
    text += f'[[source]]\nshow = "a"\ncharacter = "b"\npages = "{server.hosts[0]}/nothing.html"\n'
    (shell.folder / "sources.toml").write_text(text)
    for option in ("--json", "--refresh"):
        code, _, err = shell.run(*COLLECT, option)
        assert (code, err) == (0, "! 1 of 4 sources yielded nothing: a/b\n")


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + SECONDS
    while not condition():
        assert monotonic() < deadline
        sleep(0.01)


def test_collecting_needs_no_torch(shell: Shell) -> None:
    """`collect` and `forget` work where torch is not installed, and `forget` takes what `collect` brought."""
    code, out, err = shell.run(*COLLECT, command=WITHOUT_TORCH)
    assert (code, err) == (0, "")
    assert "show/hero-2: 24 found, 20 kept (20 new), 0 duplicates, 4 refused (robots.txt forbids it 4)" in out
    address = json.loads(next((shell.folder / "library").glob("*/*/*.json")).read_text(encoding="utf-8"))["address"]
    code, out, err = shell.run("forget", "--source", address, "--json", command=WITHOUT_TORCH)
    assert code == 0, err
    assert len(json.loads(out)["files"]) == 1
    assert shell.kept() == 59


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("collect", "none.toml", "--into", "library"), 1, "none.toml cannot be read"),
        (("collect", "sources.toml"), 2, "--into"),
        (("collect", "sources.toml", "--into", "sources.toml"), 1, "is not a folder"),
        (("collect", "sources.toml", "--into", ""), 2, "the name is empty"),
        (("collect", "", "--into", "library"), 2, "the name is empty"),
        (("forget", "--picture", "0" * 64, "--library", ""), 2, "the name is empty"),
        (("forget",), 2, "either --source ADDRESS-PREFIX or --picture ID"),
        (("forget", "--picture", "xyz"), 2, "64 hexadecimal digits"),
        (("forget", "--picture", "0" * 64), 1, "there is no picture"),
    ],
)
def test_wrong_usage_is_one_line(shell: Shell, arguments: tuple[str, ...], code: int, words: str) -> None:
    """What a user gets wrong ends as one line on stderr, with exit code 1, or 2 for wrong options."""
    found, out, err = shell.run(*arguments)
    assert (found, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("sokkuri: ")
    assert words in err
