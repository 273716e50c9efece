"""A power cut at any moment loses nothing that was finished: what is published opens, and the next run goes on.

Each test watches a real job, cuts the power at every moment at which the disk was sure of something else, and, at
moments drawn at random, lets a part of what was not flushed survive.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recommender.errors import NoSnapshot
from recommender.snapshots import Snapshot
from tests.indexer.homes import PICTURES, Home, new_home
from tests.indexer.powercut import Disk, Moment
from tests.pictures import picture

PARTLY = 18
"""Cuts of each test after which a part of what was not flushed is there, or all of it, as after kill -9."""


def cuts(disk: Disk, home: Home, folder: Path) -> Iterator[tuple[Moment, Home]]:
    """Give, for each cut, the moment and the home as it is found then."""
    draws = np.random.default_rng(0)
    surely = [moment for number, moment in enumerate(disk.moments) if moment.safe not in _safe(disk.moments[:number])]
    drawn = [disk.moments[number] for number in draws.choice(len(disk.moments), PARTLY, replace=False)]
    chances = [0.0] * (len(surely) + 1) + [0.4, 0.8, 1.0] * (PARTLY // 3)
    for number, (moment, kept) in enumerate(zip([*surely, disk.moments[-1], *drawn], chances, strict=True)):
        target = folder / f"cut-{number}"
        moment.rebuild(target, kept, draws)
        yield moment, home.with_settings(home=target)


def _safe(moments: list[Moment]) -> list[object]:
    return [moment.safe for moment in moments]


def published(home: Home) -> Snapshot | None:
    """Open what is published, every checksum compared, and ask it something; None where nothing is."""
    try:
        snapshot = home.published()
    except NoSnapshot:
        return None
    assert snapshot.index.search(snapshot.index.vector(0), 1)[0].similarity > 0.99
    return snapshot


def thumbnails(home: Home) -> dict[str, bytes]:
    """Read all thumbnails."""
    return {file.name: file.read_bytes() for file in (home.settings.home / "thumbnails").glob("*/*.jpg")}


def test_a_first_reindex(tmp_path: Path) -> None:
    """Until the new snapshot is published there is none; from then on it is there, and no embedding is made again."""
    home = new_home(tmp_path)
    disk = Disk(home.settings.home)
    with disk.watched():
        report = home.reindex()
    assert report.embedded == PICTURES
    made = thumbnails(home)
    seen = set()
    for moment, found in cuts(disk, home, tmp_path):
        snapshot = published(found)
        seen.add(snapshot is not None)
        assert snapshot is not None or moment is not disk.moments[-1]
        assert not any("is unknown to" in finding for finding in found.verify().findings), moment.after
        found.prune()  # whatever was left before the first commit is nothing that a lost catalogue knew
        again = found.reindex()
        assert (again.embedded == 0) or not snapshot, moment.after
        assert again.pictures == PICTURES
        assert found.verify().findings == (), moment.after
        assert thumbnails(found) == made, moment.after
    assert seen == {False, True}


def test_a_changed_library(home: Home, tmp_path: Path) -> None:
    """What was published before, or the new snapshot, opens at every moment; with that nothing is embedded."""
    before = home.published().info.id
    for number in range(3):
        home.put(f"show-0/hero-0/new-{number}.png", picture(90_000 + number))
    (home.root / "show-0/hero-0/0.png").unlink()
    (home.root / "show-1/hero-0/0.png").rename(home.root / "show-1/hero-1/moved.png")
    disk = Disk(home.settings.home)
    with disk.watched():
        after = home.reindex().snapshot
    seen = set()
    for moment, found in cuts(disk, home, tmp_path):
        snapshot = published(found)
        assert snapshot is not None
        seen.add(snapshot.info.id)
        assert snapshot.info.id == after or moment is not disk.moments[-1]
        again = found.reindex()
        assert again.embedded <= (0 if snapshot.info.id == after else 3)
        assert again.pictures == PICTURES + 2
        assert found.verify().findings == (), moment.after
    assert seen == {before, after}


def test_a_new_table(home: Home, tmp_path: Path) -> None:
    """Thumbnails are there already, so that nothing but the table itself sees to it that the embeddings last."""
    shutil.rmtree(home.table)
    disk = Disk(home.settings.home)
    with disk.watched():
        report = home.reindex()
        after = report.snapshot
    assert report.embedded == PICTURES
    for moment, found in cuts(disk, home, tmp_path):
        snapshot = published(found)
        assert snapshot is not None
        again = found.reindex()
        assert again.embedded == 0 or snapshot.info.id != after, moment.after
        assert found.verify().findings == (), moment.after


def test_prune(home: Home, tmp_path: Path) -> None:
    """What is served stays at every moment, nothing half removed is left in sight, and the next prune ends the work."""
    shutil.copytree(home.table, home.table.with_name("0123456789abcdef"))
    for number in range(4):
        home.put("show-0/hero-0/0.png", picture(90_000 + number))
        home.reindex()
    served = home.published().info.id
    disk = Disk(home.settings.home)
    with disk.watched():
        report = home.prune()
    assert report.snapshots
    assert report.embeddings
    for moment, found in cuts(disk, home, tmp_path):
        snapshot = published(found)
        assert snapshot is not None
        assert snapshot.info.id == served
        findings = [finding for finding in found.verify().findings if "another space than its name says" not in finding]
        assert findings == [], moment.after
        found.prune()
        assert found.prune().snapshots == ()
        assert found.reindex().embedded == 0
