"""A power cut brings back nothing that was forgotten, and one in the middle of forgetting takes nothing else along."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.tiny import make_model
from indexer.collect.forget import forget
from indexer.library import scan
from indexer.workplace import workplace
from recommender.errors import NotFound
from recommender.settings import Settings
from tests.indexer.homes import PICTURES, Home, age
from tests.indexer.libraries import library
from tests.indexer.powercut import Disk

FORGOTTEN = "show-1/hero-0/1.png"
PARTLY = 8
"""Cuts after which a part of what was not flushed is there."""


@pytest.fixture
def watched_home(tmp_path: Path) -> Home:
    """Publish a library that lies in its home, and so on the disk that is watched; the home leaves itself out."""
    folder = tmp_path / "home"
    home = Home(Settings(home=folder, threads=1), library(folder / "library", shows=3, pictures=4))
    for file in home.root.rglob("*.png"):
        age(file)
    make_model(home.settings, scan(home.root).hierarchy)
    home.reindex()
    return home


def run(home: Home, picture: str) -> None:
    """Forget a picture."""
    with workplace(home.settings, "test") as catalogue:
        forget(home.settings, catalogue, picture=picture)


def traces(home: Home, picture: str) -> list[str]:
    """Return the files that hold the id of a picture or are it, but for the catalogue, which keeps the id."""
    found = []
    for file in home.settings.home.rglob("*"):
        if file.is_file() and not file.name.startswith("catalogue.db"):
            data = file.read_bytes()
            if picture in file.name or bytes.fromhex(picture) in data or hashlib.sha256(data).hexdigest() == picture:
                found.append(file.relative_to(home.settings.home).as_posix())
    return found


def test_forget(watched_home: Home) -> None:
    """Once it has ended no trace comes back; before that whatever is published opens, and the next run ends the work.

    Each cut is made in the place of the home itself, since its catalogue names the library by its whole path.
    """
    home = watched_home
    before = home.published().info.id
    with home.catalogue() as catalogue:
        picture = next(row.id for row in catalogue.pictures() if row.path == FORGOTTEN)
    assert traces(home, picture)
    disk = Disk(home.settings.home)
    with disk.watched():
        run(home, picture)
        ended = disk.note("the end")
    after = home.published().info.id
    assert traces(home, picture) == []
    draws = np.random.default_rng(0)
    surely = [
        number
        for number, moment in enumerate(disk.moments)
        if number == ended or moment.safe not in [one.safe for one in disk.moments[:number]]
    ]
    partly = draws.choice(len(disk.moments), PARTLY, replace=False).tolist()
    seen = set()
    for number, kept in [(one, 0.0) for one in surely] + [(one, 0.5) for one in partly]:
        after_what = disk.moments[number].after
        shutil.rmtree(home.settings.home)
        disk.moments[number].rebuild(home.settings.home, kept, draws)
        served = home.published().info.id
        seen.add(served)
        if number == ended:
            assert (served, traces(home, picture)) == (after, [])
        try:
            run(home, picture)
        except NotFound:
            assert served == after, after_what
        assert traces(home, picture) == [], after_what
        assert home.published().info.pictures == PICTURES - 1
        home.prune()  # a snapshot that was not published yet may lie there; nothing is unknown
        report = home.reindex()
        assert (report.embedded, report.pictures) == (0, PICTURES - 1), after_what
        assert home.verify().findings == (), after_what
    assert seen == {before, after}
