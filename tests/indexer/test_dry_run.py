"""`sokkuri reindex --dry-run` foretells what the run does, down to the pictures embedded, and leaves all as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.exporting import exported
from indexer.outcome import ReindexReport
from recommender.errors import EngineMissing
from recommender.modelfolder import ModelFolder
from tests.indexer.homes import PICTURES, Home
from tests.indexer.running import sokkuri
from tests.pictures import picture


def foretold(home: Home, **options: bool) -> ReindexReport:
    """Return what a dry run reports, having asserted that it changed no file but the lock of the home."""
    before = state(home.settings.home)
    report = home.reindex(dry_run=True, **options)
    assert report.snapshot is None
    assert state(home.settings.home) == before
    return report


def state(home: Path) -> dict[str, tuple[int, int]]:
    """Return the size and the time of change of each file of a home, and which folders there are."""
    found = ((path, path.stat()) for path in home.rglob("*") if "lock" not in path.name)
    return {str(path): (one.st_size, one.st_mtime_ns) if path.is_file() else (0, 0) for path, one in found}


def test_a_change_of_engine_is_foretold(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another embedding space every picture is embedded anew, which the dry run counts without a table or torch."""
    export = exported(ModelFolder.open(home.settings.home / "models/tiny"), "f32", ())
    same, other = home.with_settings(engine="torch"), home.with_settings(engine="openvino")
    home.put("show-0/hero-0/new.png", picture(80_001))
    with monkeypatch.context() as forbidding:
        forbidding.setattr("recommender.encoders._torch", lambda *_: pytest.fail("torch is loaded"))
        assert foretold(same).embedded == 1
        report = foretold(other)
    assert (report.engine, report.embedded, report.added) == ("openvino-f32", PICTURES + 1, 1)
    assert f"0 left out, {PICTURES + 1} to be embedded" in report.to_text()
    assert not (home.settings.home / "embeddings" / export.space.unprojected.fingerprint).exists()
    real = other.reindex(accept=True)
    assert (real.engine, real.embedded) == ("openvino-f32", PICTURES + 1)
    assert (foretold(other).embedded, foretold(same).embedded) == (0, 1)


def test_what_nothing_here_could_answer_from_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though every embedding is there already: before publishing, and by the dry run. In the former space it may be."""
    exported(ModelFolder.open(home.settings.home / "models/tiny"), "f32", ())
    home.with_settings(engine="openvino").reindex(accept=True)
    before = home.published().info.id

    def broken() -> None:
        raise EngineMissing("torch cannot be loaded")

    monkeypatch.setattr("recommender.encoders.torch_backbone", broken)
    for dry_run in (True, False):
        with pytest.raises(EngineMissing, match="torch cannot be loaded"):
            home.with_settings(engine="torch").reindex(accept=True, dry_run=dry_run)
    assert home.published().info.id == before
    assert home.with_settings(engine="openvino").reindex().embedded == 0


def test_what_will_be_taken_for_damaged_is_foretold(home: Home) -> None:
    """A record that is torn at the end is always made anew, one that rotted anywhere with --full, as in a real run."""
    file = home.table / "rows.bin"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data + b"torn")
    assert (foretold(home).embedded, home.reindex().embedded) == (1, 1)
    for number in range(300):
        home.put(f"show-0/hero-0/more-{number:03}.png", picture(70_000 + number))
    assert (foretold(home).embedded, home.reindex(accept=True).embedded) == (300, 300)
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    assert foretold(home).embedded == 0
    assert (foretold(home, full=True).embedded, home.reindex(full=True).embedded) == (1, 1)


@pytest.mark.parametrize("full", [False, True])
def test_a_table_that_does_not_say_what_it_is_of_is_read(home: Home, *, full: bool) -> None:
    """A space.json that is lost is written again by the real run, which embeds nothing."""
    (home.table / "space.json").unlink()
    assert foretold(home, full=full).embedded == 0
    assert home.reindex(full=full).embedded == 0


def test_thumbnails_in_doubt_stay_in_doubt(home: Home) -> None:
    """The mark that a power cut left stands until a real run has looked at every thumbnail."""
    mark = home.settings.home / "thumbnails/unflushed"
    mark.touch()
    assert foretold(home, full=True).embedded == 0
    home.reindex()
    assert not mark.exists()


def test_the_command_foretells_too(home: Home) -> None:
    """`--json` has the number as `embedded`; one of another home, of which nothing was embedded yet, is all of it."""
    for file in home.table.iterdir():
        file.unlink()
    home.table.rmdir()
    arguments = ("reindex", str(home.root), "--dry-run", "--home", str(home.settings.home))
    done = sokkuri(*arguments, "--json")
    assert (done.code, json.loads(done.out)["embedded"]) == (0, PICTURES)
    assert f"{PICTURES} to be embedded" in sokkuri(*arguments).out
