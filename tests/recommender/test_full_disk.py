"""`recommender.tables` on a full disk: what is published can be read by whoever starts then, and nothing stale is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from migrations import upgrade
from recommender.catalogue import Catalogue, ModelRow
from recommender.errors import SnapshotError
from tests.indexer.disks import full_disk

FIRST = ModelRow("first", "vgg19", digest="d" * 64, space="space-1", created="2025-01-01T00:00:00+00:00")
SECOND = ModelRow("second", "vgg19", digest="e" * 64, space="space-2", created="2025-01-02T00:00:00+00:00")
NO_ROOM = 100
"""Bytes that a file may have: SQLite wants 32 kB beside its own file before it reads that."""


def _names(catalogue: Catalogue) -> list[str]:
    return sorted(row.name for row in catalogue.models())


def _file(folder: Path) -> Path:
    """Make a catalogue that knows one model, and close it."""
    file = folder / "catalogue.db"
    upgrade(f"sqlite:///{file}")
    with Catalogue(f"sqlite:///{file}") as catalogue:
        catalogue.add_model(FIRST)
    return file


def test_the_catalogue_can_be_read(tmp_path: Path) -> None:
    """It cannot be written to until there is room; then the same Catalogue writes, and sees what others wrote."""
    file = _file(tmp_path)
    with Catalogue(f"sqlite:///{file}") as catalogue:
        with full_disk(NO_ROOM):
            assert _names(catalogue) == ["first"]
            assert _names(catalogue) == ["first"]
            with pytest.raises(SnapshotError, match="the disk is full, make room"):
                catalogue.add_model(SECOND)
            assert _names(catalogue) == ["first"]
        with Catalogue(f"sqlite:///{file}") as another:
            another.add_model(SECOND)
        assert _names(catalogue) == ["first", "second"]
        catalogue.add_model(SECOND)


def test_nothing_stale_is_read(tmp_path: Path) -> None:
    """What was committed last may stand in the log alone: where that cannot be read there is one clear error."""
    file = _file(tmp_path)
    left = tmp_path / "left by a crash"
    left.mkdir()
    with Catalogue(f"sqlite:///{file}") as catalogue:
        catalogue.add_model(SECOND)
        for suffix in ("", "-wal"):
            shutil.copy(f"{file}{suffix}", left)
    assert (left / "catalogue.db-wal").stat().st_size
    with Catalogue(f"sqlite:///{left / 'catalogue.db'}") as found:
        with full_disk(NO_ROOM), pytest.raises(SnapshotError, match="the disk is full, make room"):
            found.models()
        assert _names(found) == ["first", "second"]
