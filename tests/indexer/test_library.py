"""`indexer.library` and its tables: every picture becomes an entry or a reject with its reason."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import indexer.library
import indexer.listing
from indexer.library import LIBRARY_LIMITS, Entry, Library, scan
from recommender.catalogue import FileRow
from recommender.errors import BadLibrary
from recommender.images import Limits, decode, perceptual_hash, picture_id
from recommender.types import Character, DecodedImage, PictureId, Show
from tests import pictures
from tests.pictures import picture


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a small good library: two shows, three characters, four pictures."""
    _put(tmp_path / "one-piece/luffy/a.png", picture(1))
    _put(tmp_path / "one-piece/luffy/wanted/b.JPG", picture(2, kind="JPEG"))
    _put(tmp_path / "one-piece/zoro/c.webp", picture(3, kind="WEBP"))
    _put(tmp_path / "new-game/aoba/d.gif", picture(4, kind="GIF"))
    return tmp_path


def _put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _reasons(root: Path) -> dict[str, str]:
    return {reject.path: reject.reason for reject in scan(root).rejects}


def test_pictures_become_entries(root: Path) -> None:
    """Entries come sorted by path, with labels from the folders and facts from the file; deeper folders count."""
    library = scan(root)
    assert [entry.path for entry in library.entries] == [
        "new-game/aoba/d.gif",
        "one-piece/luffy/a.png",
        "one-piece/luffy/wanted/b.JPG",
        "one-piece/zoro/c.webp",
    ]
    data = (root / "one-piece/luffy/wanted/b.JPG").read_bytes()
    luffy = Character("luffy", "luffy", Show("one-piece", "one-piece"))
    fingerprint = perceptual_hash(decode(data))
    assert library.entries[2] == Entry(
        picture_id(data), "one-piece/luffy/wanted/b.JPG", luffy, 64, 48, "JPEG", len(data), fingerprint
    )
    assert not library.rejects
    assert not library.ignored


def test_tables_describe_shows_and_characters(root: Path) -> None:
    """Titles, years, names, types and further columns come from the tables; empty cells fall back to the folder."""
    _put(
        root / "shows.csv", "\ufeffshow,title,year,studio\none-piece,One Piece,1999,Toei\nnew-game,,,\ngone,Gone,1,x\n"
    )
    _put(root / "characters.csv", "show,character,name,type,hair\none-piece,luffy,Luffy,male,black\nnew-game,aoba,,,\n")
    library = scan(root)
    characters = {entry.character.label: entry.character for entry in library.entries}
    assert characters["one-piece/luffy"] == Character("luffy", "Luffy", Show("one-piece", "One Piece", 1999), "male")
    assert characters["one-piece/zoro"] == Character("zoro", "zoro", Show("one-piece", "One Piece", 1999), None)
    assert characters["new-game/aoba"] == Character("aoba", "aoba", Show("new-game", "new-game", None), None)
    assert library.extras["one-piece"] == {"studio": "Toei"}
    assert library.extras["one-piece/luffy"] == {"hair": "black"}


def test_the_hierarchy_holds_characters_with_pictures(root: Path) -> None:
    """A character whose folder has no usable picture, or only a row, takes part in no label space."""
    _put(root / "one-piece/nami/broken.png", b"\x89PNG\r\n\x1a\n")
    _put(root / "characters.csv", "show,character,type\none-piece,luffy,male\none-piece,robin,female\n")
    hierarchy = scan(root).hierarchy
    assert hierarchy.character_space.labels == ("new-game/aoba", "one-piece/luffy", "one-piece/zoro")
    assert hierarchy.type_of.tolist() == [-1, 0, -1]


def test_accents_match_however_they_are_encoded(root: Path) -> None:
    """A folder named by macOS, with accents apart, finds its row, written with accents composed."""
    _put(root / "pokemo\u0301n/eevee/a.png", picture(9))
    _put(root / "shows.csv", "show,title\npok\u00e9mon,x\npokem\u00f3n,Pokémon\n")
    assert {entry.character.show.title for entry in scan(root).entries} == {"Pokémon", "one-piece", "new-game"}


def test_visit_sees_every_entry_in_order_with_its_pixels(root: Path) -> None:
    """Embedding can happen in the same pass: entry and pixels belong together, in the order of the paths."""
    seen: list[tuple[Entry, DecodedImage]] = []
    library = scan(root, visit=lambda entry, image: seen.append((entry, image)))
    assert tuple(entry for entry, _ in seen) == library.entries
    assert all(entry.id == image.id and image.pixels.shape == (48, 64, 3) for entry, image in seen)


def test_an_error_in_visit_ends_the_scan(root: Path) -> None:
    """What the visitor raises reaches the caller; pictures still waiting are dropped."""
    for number in range(40):
        _put(root / f"one-piece/luffy/{number}.png", picture(100 + number))

    def fail(entry: Entry, image: DecodedImage) -> None:
        raise KeyError(entry.path, image.id)

    with pytest.raises(KeyError, match="new-game"):
        scan(root, visit=fail)


def test_progress_counts_to_the_end(root: Path) -> None:
    """Progress is told after each picture, rejects included, and ends at the total."""
    _put(root / "one-piece/luffy/broken.png", b"")
    steps: list[tuple[int, int]] = []
    scan(root, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 5) for number in range(1, 6)]


def test_bad_pictures_are_rejects_with_reasons(root: Path) -> None:
    """Damaged, renamed, empty, tiny and huge pictures are left out, each with one sentence, and stop nothing."""
    for name, data in {
        "cut.jpg": picture(kind="JPEG")[:300],
        "empty.png": b"",
        "page.jpg": pictures.HTML,
        "tiny.png": picture(size=(31, 200)),
        "bomb.png": pictures.bomb(),
    }.items():
        _put(root / "one-piece/luffy" / name, data)
    library = scan(root)
    assert len(library.entries) == 4
    words = {"bomb.png": "50,000", "cut.jpg": "cut off", "empty.png": "empty", "page.jpg": "HTML", "tiny.png": "32"}
    assert [reject.path for reject in library.rejects] == [f"one-piece/luffy/{name}" for name in words]
    for reject, word in zip(library.rejects, words.values(), strict=True):
        assert word in reject.reason
        assert "\n" not in reject.reason


def test_the_content_decides_the_format(root: Path) -> None:
    """A PNG that is named .jpg is a good picture."""
    _put(root / "one-piece/luffy/z.jpg", picture(20))
    assert next(entry.format for entry in scan(root).entries if entry.path.endswith("z.jpg")) == "PNG"


def test_limits_are_the_callers(root: Path) -> None:
    """A caller may take smaller pictures, or refuse larger files, than a library does by default."""
    _put(root / "one-piece/luffy/tiny.png", picture(21, size=(8, 8)))
    assert len(scan(root, limits=Limits()).entries) == len(scan(root).entries) + 1
    with pytest.raises(BadLibrary, match="more than 10 bytes"):
        scan(root, limits=Limits(max_bytes=10))


def test_duplicates_keep_the_first_path(root: Path) -> None:
    """Of files with the same bytes the first path is kept; under another character the reason says so."""
    data = (root / "one-piece/luffy/a.png").read_bytes()
    _put(root / "one-piece/luffy/0.png", data)
    _put(root / "one-piece/zoro/copy.png", data)
    reasons = _reasons(root)
    assert reasons["one-piece/luffy/a.png"] == "a duplicate: the same file is one-piece/luffy/0.png, which is kept"
    assert "labels disagree" in reasons["one-piece/zoro/copy.png"]
    assert "one-piece/luffy/0.png" in reasons["one-piece/zoro/copy.png"]


def test_pictures_outside_a_character_are_rejects(root: Path) -> None:
    """A picture directly in the library or in a show has no character."""
    _put(root / "cover.png", picture(30))
    _put(root / "one-piece/logo.png", picture(31))
    reasons = _reasons(root)
    assert set(reasons) == {"cover.png", "one-piece/logo.png"}
    assert all("<show>/<character>/" in reason for reason in reasons.values())


def test_other_files_are_ignored_and_counted(root: Path) -> None:
    """Files of other kinds are ignored; what systems leave behind is not even mentioned."""
    for name in (
        "README.md",
        "one-piece/luffy/notes.txt",
        ".git/x.png",
        "one-piece/luffy/._a.png",
        "one-piece/Thumbs.db",
    ):
        _put(root / name, picture(40))
    _put(root / "shows.csv", "show\n")
    library = scan(root)
    assert library.ignored == ("README.md", "one-piece/luffy/notes.txt")
    assert library.rejects == ()


def test_links_stay_inside(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Links out of the library, to folders, to nowhere and in a circle are rejects; a link to a file inside counts."""
    outside = _put(tmp_path_factory.mktemp("outside") / "secret/x.png", picture(50))
    folder = root / "one-piece/luffy"
    (folder / "out.png").symlink_to(outside)
    (folder / "outfolder").symlink_to(outside.parent)
    (folder / "loop").symlink_to(root / "one-piece")
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    (folder / "same.png").symlink_to(folder / "a.png")
    reasons = {path.rpartition("/")[2]: reason for path, reason in _reasons(root).items()}
    assert "out of the library" in reasons["out.png"]
    assert "out of the library" in reasons["outfolder"]
    assert "link to a folder" in reasons["loop"]
    assert "nowhere" in reasons["nowhere.png"]
    assert "nowhere" in reasons["circle.png"]
    assert "duplicate" in reasons["same.png"]
    assert len(scan(root).entries) == 4


def test_a_library_may_itself_be_a_link(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Only links inside the library are looked at with suspicion."""
    link = tmp_path_factory.mktemp("elsewhere") / "library"
    link.symlink_to(root)
    assert len(scan(link).entries) == 4


def test_names_that_are_not_utf8_are_rejects(root: Path) -> None:
    """A file or folder whose name is not UTF-8 is shown with escapes and left out."""
    name = os.fsencode(root / "one-piece/luffy") + b"/\xff.png"
    try:
        Path(os.fsdecode(name)).write_bytes(picture(60))
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    Path(os.fsdecode(os.fsencode(root) + b"/sh\xf6w")).mkdir()
    library = scan(root)
    assert [reject.path for reject in library.rejects] == ["one-piece/luffy/\\xff.png", "sh\\xf6w"]
    assert all("UTF-8" in reject.reason for reject in library.rejects)


def test_what_is_no_regular_file_is_a_reject(root: Path) -> None:
    """A named pipe that is called a picture does not make the scan wait."""
    os.mkfifo(root / "one-piece/luffy/pipe.png")
    assert _reasons(root) == {"one-piece/luffy/pipe.png": "it is not a regular file"}


@pytest.mark.parametrize("place", ["pipe", "device", "folder"])
def test_what_takes_the_place_of_a_picture_is_a_reject(root: Path, place: str) -> None:
    """After the listing a picture gives way to something that is no file: nothing waits for it, nothing is read."""
    for number in range(60):
        _put(root / f"one-piece/luffy/{number}.png", picture(100 + number))
    file = root / "one-piece/zoro/c.webp"

    def replace_it(entry: Entry, image: DecodedImage) -> None:
        del image
        if entry.path == "new-game/aoba/d.gif":
            file.unlink()
            if place == "pipe":
                os.mkfifo(file)
            elif place == "device":
                file.symlink_to("/dev/zero")
            else:
                file.mkdir()

    (reject,) = scan(root, visit=replace_it).rejects
    assert reject.path == "one-piece/zoro/c.webp"
    assert "it is not a regular file" in reject.reason


def test_a_picture_that_vanishes_is_a_reject(root: Path) -> None:
    """A file that is deleted while the scan runs is reported and stops nothing."""
    for number in range(60):
        _put(root / f"one-piece/luffy/{number}.png", picture(100 + number))

    def delete(entry: Entry, image: DecodedImage) -> None:
        del image
        if entry.path == "new-game/aoba/d.gif":
            (root / "one-piece/zoro/c.webp").unlink()

    (reject,) = scan(root, visit=delete).rejects
    assert reject.path == "one-piece/zoro/c.webp"
    assert "No such file" in reject.reason


def test_a_picture_that_vanishes_while_its_folder_is_listed_is_a_reject(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is deleted between the reading of its folder and the look at its size stops nothing either."""
    is_plain = indexer.listing._is_plain

    def then_deleted(item: os.DirEntry[str], path: str, listing: Any) -> bool:
        plain = is_plain(item, path, listing)
        if plain and item.name == "c.webp":
            Path(item.path).unlink()
        return plain

    monkeypatch.setattr(indexer.listing, "_is_plain", then_deleted)
    library = scan(root)
    assert len(library.entries) == 3
    assert [(one.path, "No such file" in one.reason) for one in library.rejects] == [("one-piece/zoro/c.webp", True)]


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("shows.csv", "title,year\nx,1\n", "shows.csv, row 1: there is no column show .* title, year"),
        ("shows.csv", "show;title\nx;y\n", "shows.csv, row 1: there is no column show .* show;title"),
        ("shows.csv", "", "shows.csv, row 1: there is no column show"),
        ("characters.csv", "show,name\nx,y\n", "characters.csv, row 1: there is no column character"),
        ("characters.csv", "character,name\nx,y\n", "characters.csv, row 1: there is no column show"),
        (
            "characters.csv",
            "show,character,type\na,b,male\n\na,c,robot\n",
            "characters.csv, row 4, column type: has to be male, female, non-human or empty, not 'robot'",
        ),
        ("shows.csv", "show,year\na,1999\nb,1999.5\n", "shows.csv, row 3, column year: .* whole number, not '1999.5'"),
        ("shows.csv", "show,year\na,1_9\n", "row 2, column year"),
        ("shows.csv", "show,year\na,1\na,2\n", "shows.csv, row 3, column show: a already has row 2"),
        ("characters.csv", "show,character,type\na,b,\nc,b,\na,b,\n", "row 4, column character: a/b already has row 2"),
        ("shows.csv", "show,show\na,b\n", "shows.csv, row 1: the column show appears twice"),
        ("shows.csv", "show,title\na,Hello, World\n", "shows.csv, row 2: has 3 cells, but the header has 2 columns"),
        ("shows.csv", "show,title\n,x\n", "shows.csv, row 2, column show: is empty"),
        ("shows.csv", 'show,title\na,"x"y\n', "shows.csv, row 2: is not a comma-separated row"),
        ("shows.csv", b"show,title\na,x\nb,Pok\xe9mon\n", "shows.csv, row 3: is not UTF-8"),
    ],
)
def test_a_wrong_table_is_an_error(root: Path, table: str, text: str | bytes, message: str) -> None:
    """A wrong table is one line that names file, row and column, before any picture is opened."""
    _put(root / table, text)
    visited: list[Entry] = []
    with pytest.raises(BadLibrary, match=message) as caught:
        scan(root, visit=lambda entry, _: visited.append(entry))
    assert "\n" not in str(caught.value)
    assert not visited


def test_quoted_cells_may_hold_commas_and_lines(root: Path) -> None:
    """Quoted cells are read as RFC 4180 says, and trailing empty cells do not matter."""
    _put(root / "shows.csv", 'show,title,note\r\none-piece,"One, Piece","two\r\nlines",,\r\nnew-game\r\n')
    library = scan(root)
    assert {entry.character.show.title for entry in library.entries} == {"One, Piece", "new-game"}
    assert library.extras["one-piece"]["note"] == "two\r\nlines"


@pytest.mark.parametrize(("name", "where"), [("One-Piece/robin", ""), ("one-piece/Luffy", "one-piece")])
def test_folders_that_differ_in_case_are_an_error(root: Path, name: str, where: str) -> None:
    """Two folders that other systems take for one are refused, and both are named."""
    _put(root / name / "x.png", picture(70))
    if len(os.listdir(root / where)) == 2:  # noqa: PTH208  # this file system takes them for one
        pytest.skip("this file system does not tell letter case apart")
    with pytest.raises(BadLibrary, match="differ only in letter case"):
        scan(root)


def test_a_folder_that_is_no_library_is_an_error(tmp_path: Path) -> None:
    """No folder, a file, an empty folder and a folder of something else are refused, and the layout is told."""
    with pytest.raises(BadLibrary, match=r"does not exist.*<show>/<character>"):
        scan(tmp_path / "missing")
    with pytest.raises(BadLibrary, match="is not a folder"):
        scan(_put(tmp_path / "file", "x"))
    with pytest.raises(BadLibrary, match="holds no picture in the layout <show>/<character>"):
        scan(tmp_path)
    _put(tmp_path / "flat.png", picture())
    with pytest.raises(BadLibrary, match=r"holds no picture .* flat.png does not count: it lies in no"):
        scan(tmp_path)


def test_a_library_of_rejects_is_an_error(tmp_path: Path) -> None:
    """Where no picture can be used, the error names the first one and its reason."""
    _put(tmp_path / "a/b/x.png", b"")
    _put(tmp_path / "a/b/y.png", pictures.TEXT)
    with pytest.raises(BadLibrary, match=r"none of the 2 pictures .* a/b/x.png: the picture is empty"):
        scan(tmp_path)


OLD = 1_000_000_000_000_000_000
"""A moment of the year 2001 in nanoseconds: a file that was changed then is beyond doubt today."""


@pytest.fixture
def aged(root: Path) -> Path:
    """Give the small good library, its files last changed in 2001, a second apart from each other."""
    for number, path in enumerate(sorted(root.rglob("*.*"))):
        _date(path, OLD + number * 10**9)
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[PictureId]:
    """Give a list that grows by the id of each file that is decoded, well or not."""
    ids: list[PictureId] = []

    def noted(data: bytes, limits: Limits) -> DecodedImage:
        ids.append(picture_id(data))
        return decode(data, limits)

    monkeypatch.setattr(indexer.library, "decode", noted)
    return ids


def _date(path: Path, mtime_ns: int) -> None:
    os.utime(path, ns=(mtime_ns, mtime_ns))


def _known(library: Library) -> dict[str, FileRow]:
    return {row.path: row for row in library.files}


def _bmp(seed: int) -> bytes:
    """Return a picture as large in bytes as that of any other seed."""
    return picture(seed, kind="BMP")


def test_files_are_what_was_found(aged: Path) -> None:
    """Each entry comes with a row that says what its file looked like, when it was examined, and what was found."""
    before = time.time_ns()
    library = scan(aged)
    assert [row.path for row in library.files] == [entry.path for entry in library.entries]
    row, path = library.files[2], aged / "one-piece/luffy/wanted/b.JPG"
    data = path.read_bytes()
    assert before <= row.checked <= time.time_ns()
    assert row == FileRow(
        path="one-piece/luffy/wanted/b.JPG",
        size=len(data),
        mtime_ns=path.stat().st_mtime_ns,
        checked=row.checked,
        rules=row.rules,
        picture=picture_id(data),
        width=64,
        height=48,
        format="JPEG",
        perceptual_hash=perceptual_hash(decode(data)),
    )


def test_unchanged_files_are_not_opened(aged: Path) -> None:
    """A file of known size and time is not looked into: scratches under the same size and time go unnoticed."""
    first = scan(aged)
    for row in first.files:
        (aged / row.path).write_bytes(bytes(row.size))
        _date(aged / row.path, row.mtime_ns)
    second = scan(aged, known=_known(first))
    assert second == first
    assert second.files == first.files
    with pytest.raises(BadLibrary, match="none of the 4 pictures"):
        scan(aged)


@pytest.mark.parametrize("late", [0, 1_999_999_999])
def test_racy_files_are_read(root: Path, late: int, decoded: list[PictureId]) -> None:
    """A file examined within two seconds of its last change may have changed in secret: its bytes decide."""
    path = _put(root / "one-piece/zoro/racy.bmp", _bmp(1))
    kept = _put(root / "one-piece/zoro/kept.bmp", _bmp(2))
    known = _known(scan(root))
    for file in (path, kept):
        name = file.relative_to(root).as_posix()
        _date(file, OLD)
        known[name] = replace(known[name], mtime_ns=OLD, checked=OLD + late)
    path.write_bytes(_bmp(3))
    _date(path, OLD)
    decoded.clear()
    second = scan(root, known=known)
    assert decoded == [picture_id(_bmp(3))]
    assert second == scan(root)
    rows, name = _known(second), "one-piece/zoro/kept.bmp"
    assert rows["one-piece/zoro/racy.bmp"].picture == picture_id(_bmp(3))
    # Read once more, the other one is beyond doubt from now on.
    assert rows[name] == replace(known[name], checked=rows[name].checked)
    assert rows[name].checked > OLD + 2_000_000_000


def test_two_seconds_are_enough(aged: Path) -> None:
    """A file examined two seconds after its last change is beyond doubt."""
    name = "one-piece/luffy/a.png"
    known = _known(scan(aged))
    row = replace(known[name], checked=known[name].mtime_ns + 2_000_000_000)
    (aged / name).write_bytes(bytes(row.size))
    _date(aged / name, row.mtime_ns)
    assert _known(scan(aged, known=known | {name: row}))[name] is row


def test_same_bytes_are_not_decoded_again(aged: Path, decoded: list[PictureId]) -> None:
    """A file that was touched, moved or copied is read, found to be known, and remembered as it now is."""
    known = _known(scan(aged))
    _date(aged / "one-piece/luffy/a.png", OLD - 1)
    (aged / "one-piece/zoro/c.webp").rename(aged / "new-game/aoba/c.webp")
    shutil.copy(aged / "new-game/aoba/d.gif", aged / "one-piece/luffy/copy.gif")
    decoded.clear()
    second = scan(aged, known=known)
    assert decoded == []
    assert second == scan(aged)
    rows = _known(second)
    assert rows["one-piece/luffy/a.png"].mtime_ns == OLD - 1
    before, after = known["one-piece/zoro/c.webp"], rows["new-game/aoba/c.webp"]
    assert after == replace(before, path=after.path, checked=after.checked)
    assert [reject.path for reject in second.rejects] == ["one-piece/luffy/copy.gif"]


def test_changed_files_are_decoded(aged: Path, decoded: list[PictureId]) -> None:
    """New bytes are decoded: so many as before at another time, or others at the same time; rejects always are."""
    edited = _put(aged / "one-piece/luffy/edited.bmp", _bmp(1))
    _date(edited, OLD)
    _put(aged / "one-piece/luffy/broken.png", b"no picture")
    known = _known(scan(aged))
    edited.write_bytes(_bmp(2))
    new = _put(aged / "one-piece/luffy/a.png", picture(50))
    _date(new, known["one-piece/luffy/a.png"].mtime_ns)
    decoded.clear()
    second = scan(aged, known=known)
    assert set(decoded) == {picture_id(_bmp(2)), picture_id(new.read_bytes()), picture_id(b"no picture")}
    assert second == scan(aged)
    assert "one-piece/luffy/broken.png" not in _known(second)


def test_other_rules_examine_anew(aged: Path, decoded: list[PictureId], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known any more once the limits, or what an examination is, have changed."""
    known = _known(scan(aged))
    for limits in (Limits(), replace(LIBRARY_LIMITS, max_pixels=9999), replace(LIBRARY_LIMITS, max_bytes=99_999)):
        decoded.clear()
        assert scan(aged, limits=limits, known=known).entries == scan(aged).entries
        assert len(decoded) == 8
    with pytest.raises(BadLibrary, match="each side needs at least 49"):
        scan(aged, limits=replace(LIBRARY_LIMITS, min_side=49), known=known)
    decoded.clear()
    monkeypatch.setattr(indexer.library, "EXAMINATION", indexer.library.EXAMINATION + 1)
    library = scan(aged, known=known)
    assert len(decoded) == 4
    assert scan(aged, known=_known(library)).files == library.files
    assert len(decoded) == 4


def test_wanted_pictures_are_decoded_and_visited(aged: Path, decoded: list[PictureId]) -> None:
    """Of known pictures those are visited whose pixels somebody needs, of unknown ones all, in the order of paths."""
    first = scan(aged)
    wanted = {first.entries[1].id, first.entries[3].id}
    (aged / first.entries[3].path).rename(aged / "new-game/aoba/moved.webp")
    _put(aged / "one-piece/luffy/new.png", picture(51))
    decoded.clear()
    seen: list[tuple[str, PictureId]] = []
    second = scan(
        aged,
        known=_known(first),
        wants=wanted.__contains__,
        visit=lambda entry, image: seen.append((entry.path, image.id)),
    )
    by_path = {entry.path: entry.id for entry in second.entries}
    paths = ["new-game/aoba/moved.webp", "one-piece/luffy/a.png", "one-piece/luffy/new.png"]
    assert seen == [(path, by_path[path]) for path in paths]
    assert sorted(decoded) == sorted(wanted | {by_path["one-piece/luffy/new.png"]})
    assert second == scan(aged)


def test_progress_counts_what_is_known(aged: Path) -> None:
    """Pictures that are not opened count as done like any other, and each is told."""
    known = _known(scan(aged))
    _put(aged / "new-game/aoba/new.png", picture(52))
    steps: list[tuple[int, int]] = []
    scan(aged, known=known, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 5) for number in range(1, 6)]


def test_an_absurd_time_can_be_stored(root: Path, decoded: list[PictureId]) -> None:
    """A file from the future has a row that a database takes, and is doubted for ever: read, but not decoded."""
    _date(root / "one-piece/luffy/a.png", 10**19)
    first = scan(root)
    assert all(abs(row.mtime_ns) < 2**63 for row in first.files)
    decoded.clear()
    assert scan(root, known=_known(first)) == first
    assert decoded == []


def _steps(root: Path, dice: random.Random) -> dict[str, Callable[[], object]]:
    """Return what may happen to a library between two scans: each draws its victims by itself."""
    numbers = itertools.count(1000)
    moments = itertools.count(OLD, 10**9)

    def files() -> list[Path]:
        return sorted(path for path in root.glob("*/*/*") if path.suffix != ".csv")

    def place() -> Path:
        folder = root / f"show-{dice.randrange(2)}" / f"hero-{dice.randrange(3)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{dice.randrange(10**6):06}.bmp"

    def written(path: Path, data: bytes) -> None:
        path.write_bytes(data)
        if dice.random() < 0.7:  # some of the files stay racy
            _date(path, next(moments))

    def remove() -> None:
        if len(files()) > 5:
            dice.choice(files()).unlink()

    def label() -> None:
        types = ["male", "female", "non-human", ""]
        rows = [f"show-{dice.randrange(2)},hero-0,Hero {next(numbers)},{dice.choice(types)},x\n"]
        (root / "characters.csv").write_text("".join(["show,character,name,type,hair\n", *rows]), encoding="utf-8")

    return {
        "add": lambda: written(place(), _bmp(next(numbers))),
        "edit": lambda: written(dice.choice(files()), _bmp(next(numbers))),
        "shorten": lambda: written(dice.choice(files()), picture(next(numbers))),
        "break": lambda: written(dice.choice(files()), bytes(len(_bmp(0)))),
        "touch": lambda: _date(dice.choice(files()), next(moments)),
        "move": lambda: dice.choice(files()).rename(place()),
        "overwrite": lambda: dice.choice(files()).replace(dice.choice(files())),
        "copy": lambda: shutil.copy(dice.choice(files()), place()),
        "copy with its time": lambda: shutil.copy2(dice.choice(files()), place()),
        "remove": remove,
        "label": label,
    }


@pytest.mark.parametrize("seed", range(3))
def test_memory_changes_nothing(tmp_path: Path, seed: int, decoded: list[PictureId]) -> None:
    """Whatever happens to a library, a scan with the memory of the last one finds what one without it finds.

    What it remembers is no less, and no picture is decoded that the memory holds.
    """
    dice = random.Random(seed)  # noqa: S311  # no secret
    steps = _steps(tmp_path, dice)
    for _ in range(12):
        steps["add"]()
    known: dict[str, FileRow] = {}
    remembered = 0
    for _ in range(40):
        for name in dice.choices(list(steps), k=2):
            steps[name]()
        plain = scan(tmp_path)
        decoded.clear()
        library = scan(tmp_path, known=known)
        assert library == plain
        assert not {row.picture for row in known.values()} & set(decoded)
        assert [replace(row, checked=0) for row in library.files] == [replace(row, checked=0) for row in plain.files]
        remembered += len(plain.entries) + len(plain.rejects) - len(decoded)
        known = _known(library)
    assert remembered > 40 * 5


@pytest.mark.skipif(not pictures.REAL.is_dir(), reason="the real pictures (../shared/pictures) are not on this machine")
def test_real_pictures_are_accepted(tmp_path: Path) -> None:
    """Of real pictures nearly every one is usable, and every one is accounted for."""
    # Every fifth picture of each character: the whole folder would take four times as long and show the same.
    files = sorted(path for path in pictures.REAL.glob("*/*/*") if path.is_file())[::5]
    for path in [*files, *pictures.REAL.glob("*.csv")]:
        target = tmp_path / path.relative_to(pictures.REAL)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    library = scan(tmp_path, limits=LIBRARY_LIMITS)
    assert len(library.entries) + len(library.rejects) == len(files)
    assert len(library.entries) >= 0.99 * len(files), library.rejects
    assert len(library.hierarchy.shows) == 3
    assert {character.type for character in library.hierarchy.characters} == {"male", "female", "non-human"}


def test_folders_that_differ_in_their_encoding_say_so(root: Path) -> None:
    """Accents apart and composed look the same: letter case is not what to look for."""
    _put(root / "pokemo\u0301n/eevee/a.png", picture(9))
    _put(root / "pok\u00e9mo\u0301n/eevee/b.png", picture(10))
    _put(root / "pok\u00e9m\u00f3n/eevee/c.png", picture(11))
    with pytest.raises(BadLibrary, match=r"differ only in how their accents are encoded \(Unicode normalisation\)"):
        scan(root)


def test_the_home_is_left_out_wherever_it_lies(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Thumbnails lie like a library's pictures: at the top, deeper, behind a link, they never count."""
    expected = scan(root).entries
    for place in ("var", "one-piece/var", "one-piece/luffy/wanted/var"):
        home = root / place
        _put(home / "thumbnails/ab/x.jpg", picture(70, kind="JPEG"))
        library = scan(root, without=home)
        assert (library.entries, library.rejects, library.ignored) == (expected, (), ())
        assert len(scan(root).entries) == len(expected) + 1
        shutil.rmtree(home)
    outside = tmp_path_factory.mktemp("outside")
    _put(outside / "home/thumbnails/x.jpg", picture(70, kind="JPEG"))
    (root / "linked").symlink_to(outside)
    assert scan(root, follow_links=True, without=outside / "home").entries == expected
    with pytest.raises(BadLibrary, match="is the home, where Sokkuri keeps its own files"):
        scan(root, without=root)


@pytest.mark.parametrize("how", ["folder", "link"])
def test_a_closed_folder_stands_for_what_was_known_in_it(root: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """What cannot be listed, and a link whose volume is gone, count as their known pictures, this time and the next."""
    first = scan(root)
    known = {row.path: row for row in first.files}
    if how == "link":
        shutil.rmtree(root / "one-piece")
        (root / "one-piece").symlink_to(root.parent / "not-mounted")
    else:
        listing = os.scandir

        def failing(folder: Any) -> Any:
            if Path(folder).name == "one-piece":
                raise OSError(errno.EIO, "Input/output error")
            return listing(folder)

        monkeypatch.setattr(os, "scandir", failing)
    for _ in range(2):
        library = scan(root, known=known)
        (reject,) = library.rejects
        assert (reject.path, reject.pictures) == ("one-piece", 3)
        assert "nor can the 3 pictures that were known in it" in reject.reason
        assert [row.path for row in library.unreachable] == [
            "one-piece/luffy/a.png",
            "one-piece/luffy/wanted/b.JPG",
            "one-piece/zoro/c.webp",
        ]
        known = {row.path: row for row in (*library.files, *library.unreachable)}
    assert scan(root).rejects[0].pictures == 1
