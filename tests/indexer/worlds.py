"""A small world that commands work in: a home with a trained model and a snapshot, and the library it was made from."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recommender.catalogue import Catalogue
from recommender.folders import ASIDE
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from recommender.snapshots import Snapshot, open_snapshot
from tests.indexer.libraries import library
from tests.indexer.running import Done, Running, sokkuri
from tests.pictures import picture

BACKBONE = ("--backbone", "squeezenet1_1", "--weights", "none")
PICTURES = 48
VIEWS = 2
NOBODY = 40
EMBEDDED = PICTURES * (1 + VIEWS) + NOBODY
"""What a training embeds: pictures, their views, and pictures of nobody."""


@dataclass(frozen=True)
class World:
    """A home, the library that it was made from, and what commands are asked to work on."""

    home: Path
    library: Path

    def run(self, command: str, *arguments: str | Path, limit: int | None = None) -> Done:
        """Run a command of `sokkuri` in this home to its end."""
        return sokkuri(command, *arguments, "--home", self.home, limit=limit)

    def start(self, command: str, *arguments: str | Path, terminal: str | None = None) -> Running:
        """Start a command of `sokkuri` in this home."""
        return Running(command, *arguments, "--home", self.home, terminal=terminal)

    def train(self, *arguments: str) -> Any:
        """Train on the library and return what the command reports."""
        done = self.run("train", self.library, *BACKBONE, *arguments, "--json")
        assert done.code == 0, done.err
        return done.answer

    def reindex(self, *arguments: str) -> Any:
        """Reindex the library and return what the command reports."""
        done = self.run("reindex", self.library, *arguments, "--json")
        assert done.code == 0, done.err
        return done.answer

    def ask(self, file: Path) -> Any:
        """Ask about a picture and return the answer."""
        done = self.run("ask", file, "--json")
        assert done.code == 0, done.err
        return done.answer

    def published(self) -> Snapshot:
        """Open what is published, with every checksum compared."""
        with Catalogue(Settings(home=self.home).database_url) as catalogue:
            info = catalogue.published()
        return open_snapshot(self.home / "snapshots" / info.id, info.digest)

    def snapshots(self) -> list[str]:
        """Return the folders of finished snapshots."""
        return sorted(path.name for path in (self.home / "snapshots").iterdir() if not path.name.startswith(ASIDE))

    def leftovers(self) -> list[Path]:
        """Return what a crash left unfinished."""
        return [path for parent in ("snapshots", "models") for path in (self.home / parent).glob(f"{ASIDE}*")]

    def model(self, name: str) -> ModelFolder:
        """Open a model, with every checksum compared."""
        return ModelFolder.open(self.home / "models" / name)

    def checkpoints(self) -> list[str]:
        """Return the stages of unfinished trainings that were begun."""
        return sorted(file.stem for file in (self.home / "training").glob("*/*.safetensors"))

    def records(self, *, growing: bool = False) -> int:
        """Return how many features are kept, after the last byte was accounted for unless more are being written."""
        (table,) = (self.home / "embeddings").iterdir()
        dimension = int(json.loads((table / "space.json").read_text(encoding="utf-8"))["dimension"])
        count, rest = divmod((table / "rows.bin").stat().st_size, 36 + 4 * dimension)
        assert growing or rest == 0
        return count


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Train and reindex once. Tests that only look may share it."""
    root = tmp_path_factory.mktemp("finished")
    world = World(root / "home", library(root / "library"))
    (world.library / "show-1/hero-1/broken.jpg").write_bytes(picture(77, kind="JPEG")[:200])
    world.train()
    world.reindex()
    return world


@pytest.fixture
def world(finished: World, tmp_path: Path) -> World:
    """Give a copy of the finished world, to be changed."""
    shutil.copytree(finished.home, tmp_path / "home")
    shutil.copytree(finished.library, tmp_path / "library")
    return World(tmp_path / "home", tmp_path / "library")


@pytest.fixture
def untouched(world: World) -> Iterator[None]:
    """Require that the published snapshot is the same after a test as before it, and whole; and nothing left over."""
    before = world.published().info
    yield
    assert world.published().info == before
    assert not world.leftovers()


def wait_for(condition: Callable[[], object], running: Running | None = None) -> None:
    """Wait until the condition holds, or the command has ended."""
    deadline = time.monotonic() + 60
    while not condition() and (running is None or running.alive):
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def stop(world: World, name: str, *arguments: str, when: Callable[[], object]) -> None:
    """Start a training and kill it as soon as something happens."""
    running = world.start("train", world.library, *BACKBONE, "--name", name, *arguments)
    wait_for(when, running)
    running.signal(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL, "it was done before the signal came"


def add_pictures(root: Path, seed: int) -> None:
    """Add a few pictures, so that a reindex has something to embed."""
    for number in range(6):
        (root / f"show-{number % 3}/hero-0/more-{seed}-{number}.png").write_bytes(
            picture(500_000 + 100 * seed + number)
        )
