"""A small home in which reindexing takes a moment: a few pictures, and a tiny model that nobody trained."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.tiny import make_model
from indexer.library import scan
from indexer.outcome import ReindexReport
from indexer.prune import PruneReport
from indexer.prune import prune as run_prune
from indexer.reindex import ReindexOptions
from indexer.reindex import reindex as run_reindex
from indexer.verify import VerifyReport
from indexer.verify import verify as run_verify
from indexer.workplace import workplace
from recommender.catalogue import Catalogue
from recommender.settings import Settings
from recommender.snapshots import Snapshot, open_snapshot
from tests.indexer.libraries import library

PICTURES = 24
OLD_NS = 10_000_000_000
"""How long ago the pictures were written, in nanoseconds: long enough for their times to be trusted."""


@dataclass(frozen=True)
class Home:
    """Settings and a library, and what is done with them."""

    settings: Settings
    root: Path

    def reindex(self, **options: bool) -> ReindexReport:
        """Reindex the library."""
        with workplace(self.settings, "test") as catalogue:
            return run_reindex(self.settings, catalogue, self.root, ReindexOptions(**options))

    def verify(self) -> VerifyReport:
        """Verify all of it."""
        with workplace(self.settings, "test") as catalogue:
            return run_verify(self.settings, catalogue)

    def prune(self, *, dry_run: bool = False, unknown: bool = False) -> PruneReport:
        """Prune it."""
        with workplace(self.settings, "test") as catalogue:
            return run_prune(self.settings, catalogue, dry_run=dry_run, unknown=unknown)

    def catalogue(self) -> Catalogue:
        """Open the catalogue."""
        return Catalogue(self.settings.database_url)

    def published(self) -> Snapshot:
        """Open what is published, with every checksum compared."""
        with self.catalogue() as catalogue:
            info = catalogue.published()
        return open_snapshot(self.settings.home / "snapshots" / info.id, info.digest)

    @property
    def table(self) -> Path:
        """The folder of the only table of embeddings."""
        (folder,) = (self.settings.home / "embeddings").iterdir()
        return folder

    def put(self, path: str, data: bytes) -> Path:
        """Write a picture, as if that had been a while ago."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        age(file)
        return file

    def with_settings(self, **changes: Any) -> Home:
        """Return the same home with other settings."""
        return replace(self, settings=replace(self.settings, **changes))


def age(file: Path) -> None:
    """Let a file's time lie far enough in the past to be trusted."""
    moment = time.time_ns() - OLD_NS
    os.utime(file, ns=(moment, moment))


def new_home(folder: Path) -> Home:
    """Make a library and a model below `folder`; nothing is published yet."""
    home = Home(Settings(home=folder / "home", threads=1), library(folder / "library", shows=3, pictures=4))
    for file in home.root.rglob("*.png"):
        age(file)
    make_model(home.settings, scan(home.root).hierarchy)
    return home


@pytest.fixture(scope="session")
def published_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Reindex once. Tests may only look."""
    home = new_home(tmp_path_factory.mktemp("published"))
    home.reindex()
    return home


@pytest.fixture
def home(published_home: Home, tmp_path: Path) -> Home:
    """Return a copy of the published home for a test that changes it."""
    shutil.copytree(published_home.settings.home, tmp_path / "home")
    shutil.copytree(published_home.root, tmp_path / "library")
    copied = Home(replace(published_home.settings, home=tmp_path / "home"), tmp_path / "library")
    copied.reindex()
    return copied
