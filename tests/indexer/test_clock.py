"""A clock that was set back: what was published last is the newest, though its name sorts before all others."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

import indexer.commands
import indexer.reindex
from indexer.rollback import rollback
from indexer.workplace import workplace
from recommender.errors import NotFound
from tests.indexer.homes import Home

BACK = 4
"""How many snapshots are published after the clock was set back."""


@pytest.fixture
def turned(home: Home, monkeypatch: pytest.MonkeyPatch) -> tuple[Home, list[str]]:
    """Return a home whose clock was set back, and its snapshots, the newest first; two are from before."""
    with home.catalogue() as catalogue:
        names = [info.id for info in catalogue.snapshots()]
    for number in range(BACK):
        # Not even among themselves do the days follow one another.
        monkeypatch.setattr(indexer.reindex, "now", lambda day=BACK - number: f"2020-10-{day:02}T00:00:00Z")
        names.insert(0, str(home.reindex().snapshot))
    assert names[:BACK] == [f"202010{day:02}T000000Z-00" for day in range(1, 1 + BACK)]
    return home, names


def roll_back(home: Home, snapshot: str | None = None) -> str:
    """Publish a snapshot again, and return its id."""
    with workplace(home.settings, "test") as catalogue:
        return rollback(home.settings, catalogue, snapshot).id


def listed(home: Home) -> list[str]:
    """Return the lines of `sokkuri snapshots`, as far as the name."""
    done = CliRunner().invoke(indexer.commands.snapshots, ["--home", str(home.settings.home)])
    return [line[: line.index("Z-") + 4] for line in done.stdout.splitlines()]


def test_what_was_published_last_is_served_and_listed_first(turned: tuple[Home, list[str]]) -> None:
    """The list is in the order of publication, and the star is at its head."""
    home, names = turned
    assert home.published().info.id == names[0]
    assert listed(home) == [f"* {names[0]}", *(f"  {name}" for name in names[1:])]


def test_a_rollback_goes_back_step_by_step(turned: tuple[Home, list[str]]) -> None:
    """Each goes to the one that was published before, down to the first; from one that is named it goes on there."""
    home, names = turned
    assert [roll_back(home) for _ in names[1:]] == names[1:]
    with pytest.raises(NotFound, match=f"no snapshot older than {names[-1]}"):
        roll_back(home)
    assert roll_back(home, names[1]) == names[1]
    assert roll_back(home) == names[2]
    assert [line[2:] for line in listed(home)] == names


def test_prune_keeps_what_was_published_last(turned: tuple[Home, list[str]]) -> None:
    """The three newest stay, and what is published beside them; the names do not count."""
    home, names = turned
    roll_back(home, names[-1])
    assert set(home.prune().snapshots) == set(names[3:-1])
    assert [line[2:] for line in listed(home)] == [*names[:3], names[-1]]
    assert home.verify().findings == ()


def test_what_is_unknown_is_measured_by_what_was_published_last(turned: tuple[Home, list[str]]) -> None:
    """Of a later day than the newest that is known, it may have come after that, whatever else is known."""
    home, names = turned
    snapshots = home.settings.home / "snapshots"
    shutil.copytree(snapshots / names[0], snapshots / "20201003T000000Z-07")
    (told,) = home.verify().findings
    assert told.startswith(
        "snapshots/20201003T000000Z-07 is unknown to the catalogue, and newer than all that it knows"
    )
