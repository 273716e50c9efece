"""`indexer.collect.labels`: what sources say gets into the library's tables, and what users wrote stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexer.collect.labels import write_labels
from indexer.collect.sources import Source
from indexer.tables import read_tables
from recommender.errors import BadLibrary, BadSources


def _source(show: str = "one-piece", character: str = "luffy", **said: Any) -> Source:
    return Source(f"{show}/{character}", show, character, said.pop("type", None), (), **said)


def test_new_tables(tmp_path: Path) -> None:
    """A library without tables gets them; several sources of one label complement each other."""
    sources = [_source(title="One Piece"), _source(year=1999, type="male", character_name="Luffy"), _source("b", "c")]
    write_labels(tmp_path, sources)
    tables = read_tables(tmp_path)
    assert (tables.show("one-piece").title, tables.show("one-piece").year) == ("One Piece", 1999)
    luffy = tables.character("one-piece", "luffy")
    assert (luffy.name, luffy.type) == ("Luffy", "male")
    assert tables.character("b", "c").type is None


def test_the_users_tables_stay(tmp_path: Path) -> None:
    """Rows, further columns and what they say are kept; empty cells are filled; nothing new, nothing written."""
    (tmp_path / "shows.csv").write_text("show,studio,title\nother,X,Other\none-piece,Toei,Own Title\n")
    (tmp_path / "characters.csv").write_text("show,character,name,type,hair\none-piece,luffy,,,black\n")
    source = _source(title="One Piece", type="male", character_name="Luffy, M. D.")
    write_labels(tmp_path, [source])
    tables = read_tables(tmp_path)
    assert tables.show("one-piece").title == "Own Title"
    assert tables.extras == {
        "other": {"studio": "X"},
        "one-piece": {"studio": "Toei"},
        "one-piece/luffy": {"hair": "black"},
    }
    assert tables.character("one-piece", "luffy").type == "male"
    assert tables.character("one-piece", "luffy").name == "Luffy, M. D."
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    write_labels(tmp_path, [source])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_a_contradiction_stops_the_run(tmp_path: Path) -> None:
    """A type that the table has otherwise is an error that names both; a broken table is one too."""
    (tmp_path / "characters.csv").write_text("show,character,type\none-piece,luffy,female\n")
    with pytest.raises(BadSources, match=r"one-piece/luffy is male in the sources and female in .*characters\.csv"):
        write_labels(tmp_path, [_source(type="male")])
    (tmp_path / "characters.csv").write_text("show,type\n")
    with pytest.raises(BadLibrary, match="no column character"):
        write_labels(tmp_path, [_source()])
