"""`sokkuri collect` and `sokkuri forget` as commands: killed, misused, and read by programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from bench.gallery import GalleryServer

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
        tables = [
            f'[[source]]\nshow = "show"\ncharacter = "hero-{number}"\npages = "{page}"\n'
            for number, page in enumerate(server.galleries)
        ]
        (folder / "sources.toml").write_text("\n".join(tables), encoding="utf-8")

    def start(self, *arguments: str, command: list[str] | None = None, delay: float = 0.0) -> subprocess.Popen[str]:
        """Start the command."""
        settings = {
            "SOKKURI_HOME": str(self.folder / "home"),
            "SOKKURI_HOST_DELAY": str(delay),
            "SOKKURI_PRIVATE_NETWORKS": "127.0.0.0/8",
            "SOKKURI_CONTACT": "test@localhost",
        }
        return subprocess.Popen(
            [*(command or COMMAND), *arguments],
            cwd=self.folder,
            env={**os.environ, **settings},
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
    assert err.strip() == "sokkuri: stopped; what was finished stays"
    assert json.loads(shell.run(*COLLECT, "--json")[1])["sources"][0]["failed"] == {}


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
