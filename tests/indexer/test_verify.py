"""`indexer.verify`: what is whole has no finding, and whatever is damaged or missing has one that names it."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from indexer.verify import SAMPLE
from tests.indexer.homes import PICTURES, Home
from tests.indexer.running import sokkuri
from tests.pictures import picture

SMALL = pytest.mark.parametrize("name", ["index.faiss", "pictures.npy", "characters.npy", "roster.json"])


def flip(file: Path, position: int) -> None:
    """Change one bit of a file."""
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


def change(home: Home, statement: str) -> None:
    """Change the catalogue behind everybody's back."""
    with closing(sqlite3.connect(home.settings.home / "catalogue.db")) as connection, connection:
        connection.execute(statement)


def test_what_is_whole_has_no_finding(published_home: Home) -> None:
    """Every snapshot, every record, and a sample of the pictures is looked at."""
    report = published_home.verify()
    assert report.findings == ()
    assert (report.snapshots, report.embeddings, report.compared) == (1, PICTURES, SAMPLE)
    assert report.least_cosine == pytest.approx(1.0, abs=1e-4)
    assert report.to_text().startswith("all is well: 1 snapshots, 24 embeddings")


@SMALL
def test_a_damaged_file_of_an_older_snapshot_is_found(home: Home, name: str) -> None:
    """Snapshots that are not served are checked as well: a rollback may need them."""
    older = home.published().info.id
    home.put("show-0/hero-0/new.png", picture(90_001))
    home.reindex()
    flip(home.settings.home / "snapshots" / older / name, -1)
    findings = home.verify().findings
    assert any(f"{older}/{name}" in finding for finding in findings)
    # The one before it has the same vectors, and shares its index.
    assert len(findings) == (2 if name == "index.faiss" else 1)


@pytest.mark.parametrize("row", [0, 11, PICTURES - 1])
@pytest.mark.parametrize("position", [0, 33, 200])
def test_a_flipped_bit_in_a_table_is_found(home: Home, row: int, position: int) -> None:
    """A bit of the id, the checksum or the features, in the first, a middle and the last record; --full mends it."""
    file = home.table / "rows.bin"
    length = file.stat().st_size // PICTURES
    flip(file, row * length + position)
    findings = home.verify().findings
    assert f"1 records of embeddings/{home.table.name} are damaged (the first is number {row})" in findings[0]
    assert "1 pictures of snapshot" in findings[1]
    assert "--full" in findings[0]
    assert home.reindex(full=True).embedded == 1
    assert home.verify().findings == ()


def test_a_picture_that_is_embedded_otherwise_is_found(home: Home) -> None:
    """An embedding that its picture does not give any more, though every checksum is right, is told with its cosine."""
    (model,) = (home.settings.home / "models").iterdir()
    manifest = json.loads((model / "model.json").read_text(encoding="utf-8"))
    manifest["preprocessing"]["mean"] = [5.0, -5.0, 5.0]
    (model / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    findings = home.verify().findings
    assert any("was made with another model tiny" in finding for finding in findings)
    assert sum("is embedded otherwise now (cosine" in finding for finding in findings) > 0


def test_a_pipe_in_the_place_of_a_picture_is_passed_over(home: Home) -> None:
    """Nothing waits for what is written to it; that no picture at all could be compared is a finding."""
    files = sorted(home.root.rglob("*.png"))
    for file in files[1:]:
        file.unlink()
        os.mkfifo(file)
    report = home.verify()
    assert (report.findings, report.compared) == ((), 1)
    files[0].unlink()
    report = home.verify()
    assert [f"none of the {PICTURES} pictures of snapshot" in finding for finding in report.findings] == [True]
    assert report.compared == 0


def test_a_table_that_does_not_say_what_it_is_of(home: Home) -> None:
    """A lost space.json is one finding, and the next reindex writes it again without embedding anything."""
    (home.table / "space.json").unlink()
    (finding,) = home.verify().findings
    assert "space.json is missing: run `sokkuri reindex LIBRARY`, which writes it again" in finding
    assert home.reindex().embedded == 0
    assert home.verify().findings == ()


def test_the_catalogue_and_the_index_are_compared_both_ways(home: Home) -> None:
    """A row without a vector, a vector without a row, and a row with another character each are a finding."""
    for name in ("DELETE FROM pictures WHERE path = 'show-0/hero-0/0.png'",):
        change(home, name)
    assert "1 pictures of snapshot" in home.verify().findings[0]
    assert "unknown to the catalogue" in home.verify().findings[0]
    change(home, "UPDATE pictures SET id = '" + "0" * 64 + "' WHERE path = 'show-0/hero-0/1.png'")
    assert any("of the catalogue are not in the index" in finding for finding in home.verify().findings)
    change(home, "UPDATE pictures SET character = 'show-1/hero-0' WHERE path = 'show-0/hero-0/2.png'")
    assert any("1 pictures have another character" in finding for finding in home.verify().findings)
    home.reindex()
    assert home.verify().findings == ()


def test_a_rollback_is_no_finding(home: Home) -> None:
    """Pictures that the newest library lacks are known as long as a snapshot holds them."""
    first = home.published().info.id
    (home.root / "show-0/hero-0/0.png").unlink()
    home.reindex()
    with home.catalogue() as catalogue:
        catalogue.republish(first)
    assert home.verify().findings == ()


def test_a_row_that_counts_otherwise_is_found(home: Home) -> None:
    """What the catalogue says of a snapshot is compared with what it is."""
    change(home, "UPDATE snapshots SET pictures = 7")
    assert "describes snapshot" in home.verify().findings[0]


@pytest.mark.slow
def test_the_command_exits_with_one_line_for_each_finding(home: Home) -> None:
    """Exit 0 and one line where all is well; else exit 1, the findings on stdout, and as JSON."""
    arguments = ("verify", "--home", home.settings.home)
    done = sokkuri(*arguments)
    assert (done.code, done.out.startswith("all is well"), done.err) == (0, True, "")
    flip(home.table / "rows.bin", 40)
    done = sokkuri(*arguments)
    assert done.code == 1
    assert len(done.out.splitlines()) == 2
    assert done.err == ""
    assert len(sokkuri(*arguments, "--json").answer["findings"]) == 2
