"""`indexer.collect.sources`: a list of sources is read as a whole, or one sentence says where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.collect.sources import MOST_PAGES, read_sources
from recommender.errors import BadSources

GOOD = """
# a comment
[[source]]
show = "one-piece"
character = "luffy"
type = "male"
pages = [
    "https://gallery.example/luffy",   # two pages
    "saved/luffy.html",
]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name a list of sources; the saved page that GOOD speaks of is beside it."""
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "luffy.html").write_text("<p>")
    return tmp_path / "sources.toml"


def _complaint(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadSources) as caught:
        read_sources(file)
    return str(caught.value).replace(str(file), "FILE")


def test_a_source_is_read_with_its_defaults(file: Path) -> None:
    """Addresses stay texts, saved files become paths beside the list, and what is not said has its default."""
    file.write_text(GOOD, encoding="utf-8")
    (source,) = read_sources(file)
    assert source.label == source.name == "one-piece/luffy"
    assert source.pages == ("https://gallery.example/luffy", file.parent / "saved" / "luffy.html")
    assert (source.type, source.max_pages, source.max_pictures, source.select) == ("male", MOST_PAGES, None, "")


def test_capital_letters_of_a_scheme(file: Path) -> None:
    """An address is one however its scheme is written, and not the name of a file."""
    file.write_text(GOOD.replace("https://gallery", "HTTPS://gallery"), encoding="utf-8")
    assert read_sources(file)[0].pages[0] == "https://gallery.example/luffy"


def test_sources_of_one_character_are_told_apart(file: Path) -> None:
    """Several sources of one character are numbered, unless they have names of their own."""
    file.write_text(GOOD + GOOD + GOOD.replace("show =", 'id = "fans"\nshow ='), encoding="utf-8")
    assert [source.name for source in read_sources(file)] == ["one-piece/luffy", "one-piece/luffy (2)", "fans"]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('show = "one-piece"', "show = 3", 4, ", show: has to be a text"),
        ('show = "one-piece"', 'show = "a/b"', 4, ", show: 'a/b' holds '/'"),
        ('show = "one-piece"', 'show = ".."', 4, ", show: has to be a folder's name"),
        ('character = "luffy"', 'charakter = "luffy"', 5, ", charakter: is no key of a source"),
        ('type = "male"', 'type = "pirate"', 6, ", type: has to be male, female or non-human, not 'pirate'"),
        ('type = "male"', "type = true", 6, "not the truth value true"),
        ("# two pages", '\n"ftp://x.example/",', 7, ", pages: 'ftp://x.example/' is no address"),
        ("saved/luffy.html", "saved/zoro.html", 7, "there is no file"),
        ('type = "male"', 'select = "div["', 6, ", select: 'div[' is no CSS selector"),
        ('type = "male"', "max_pages = 0", 6, ", max_pages: has to be a whole number of 1 or more"),
        ('type = "male"', 'year = "1999"', 6, ", year: has to be a whole number"),
        ('type = "male"', "year = 10000", 6, ", year: has to be a whole number from 1 to 9999"),
        ('type = "male"', r'title = "a\nb"', 6, r", title: 'a\nb' holds '\n', a control character"),
        ('type = "male"', r'licence = "a\u0000"', 6, r", licence: 'a\x00' holds '\x00'"),
        ('show = "one-piece"', 'show = "Con"', 4, ", show: 'Con' is the name of a device"),
        ('show = "one-piece"', 'show = "lpt1.old"', 4, ", show: 'lpt1.old' is the name of a device"),
        ('show = "one-piece"', f'show = "{"あ" * 86}"', 4, "has 258 bytes: a folder's name has 255 at most"),
        ("saved/luffy.html", "x" * 300, 7, "there is no file"),
    ],
)
def test_a_wrong_value_is_named_with_file_line_and_key(file: Path, old: str, new: str, line: int, words: str) -> None:
    """The complaint says where: the file, the line on which the key begins, and the key."""
    complaint = _complaint(file, GOOD.replace(old, new))
    assert complaint.startswith(f"FILE, line {line}")
    assert words in complaint


def test_the_line_is_that_of_the_right_source(file: Path) -> None:
    """In a list of several sources the line is that of the one that is wrong, also after a long value."""
    text = GOOD + GOOD.replace("luffy", "zoro").replace("saved/zoro.html", "saved/luffy.html").replace('"male"', "7")
    assert _complaint(file, text).startswith("FILE, line 16, type: has to be a text")


def test_a_missing_key_and_a_stray_one(file: Path) -> None:
    """A source without a page, and a key outside every source, are named."""
    assert "lacks the key pages" in _complaint(file, '[[source]]\nshow = "a"\ncharacter = "b"\n')
    assert _complaint(file, 'colour = "red"\n' + GOOD).startswith("FILE, line 1, colour: is no key")
    assert "has no [[source]]" in _complaint(file, "")


def test_two_sources_must_agree(file: Path) -> None:
    """A character is of one type, whichever source speaks of it."""
    complaint = _complaint(file, GOOD + GOOD.replace('"male"', '"female"'))
    assert complaint.startswith("FILE, line 16, type: 'female' contradicts another source")


@pytest.mark.parametrize("other", [("one-piece", "One-Piece"), ("luffy", "LUFFY")])
def test_names_differ_in_more_than_case(file: Path, other: tuple[str, str]) -> None:
    """Two folders that are one on some disks are refused."""
    complaint = _complaint(file, GOOD + GOOD.replace(*other, 1))
    assert "in capital letters alone" in complaint


def test_accents_are_composed_and_a_mark_is_passed_over(file: Path) -> None:
    """However an editor writes an accent, it is one folder; and the mark that some editors begin UTF-8 with is none."""
    file.write_text("\ufeff" + GOOD.replace("one-piece", "poke\u0301mon"), encoding="utf-8")
    assert read_sources(file)[0].show == "pok\u00e9mon"


def test_what_is_no_toml(file: Path) -> None:
    """A syntax error, another character set and a missing file are one sentence each."""
    assert "no valid TOML" in _complaint(file, "[[source]\n")
    assert "lists within lists" in _complaint(file, "a = " + "[" * 9_999)
    assert "not an empty one" in _complaint(file, '[[source]]\nshow = "a"\ncharacter = "b"\npages = []\n')
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSources, match="not text in UTF-8"):
        read_sources(file)
    with pytest.raises(BadSources, match="cannot be read"):
        read_sources(file.with_name("none.toml"))
