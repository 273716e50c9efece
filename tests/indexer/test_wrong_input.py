"""What a user can get wrong, or find damaged: one line says what it is and what to do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.indexer.libraries import library
from tests.indexer.running import sokkuri
from tests.indexer.worlds import BACKBONE, World
from tests.pictures import picture

pytestmark = pytest.mark.slow


def _emptied(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _without_pictures(root: Path) -> None:
    _emptied(root)
    (root / "notes.txt").write_text("no pictures here", encoding="utf-8")


def _unknown_type(root: Path) -> None:
    (root / "characters.csv").write_text("show,character,type\nshow-0,hero-0,male\nshow-0,hero-1,robot\n")


def _missing_column(root: Path) -> None:
    (root / "characters.csv").write_text("show,name,type\nshow-0,Hero,male\n")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_emptied, ("holds no picture in the layout",)),
        (_without_pictures, ("holds no picture in the layout",)),
        (shutil.rmtree, ("does not exist",)),
        (_unknown_type, ("characters.csv, row 3, column type", "'robot'")),
        (_missing_column, ("characters.csv, row 1", "no column character")),
    ],
)
def test_a_wrong_library_is_one_line(world: World, spoil: Callable[[Path], None], words: tuple[str, ...]) -> None:
    """Exit 1, one line that names file and row, for both jobs, and what is published stays."""
    spoil(world.library)
    for done in (world.run("reindex", world.library), world.run("train", world.library, *BACKBONE)):
        assert str(world.library) in done.line
        for word in words:
            assert word in done.line


def test_reindexing_before_training_is_one_line(tmp_path: Path) -> None:
    """It says which command comes first, as the lists do."""
    world = World(tmp_path / "home", library(tmp_path / "library", shows=1, pictures=1))
    assert "run `sokkuri train LIBRARY`" in world.run("models").line
    assert not world.home.exists()
    assert "run `sokkuri train LIBRARY`" in world.run("reindex", world.library).line
    assert (
        "run `sokkuri train LIBRARY` and `sokkuri reindex LIBRARY`"
        in world.run("ask", world.library / "show-0/hero-0/0.png").line
    )


def _make(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number))
    return root


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["s/a/0.png", "s/a/1.png", "s/a/2.png"], "one character only (s/a): a model needs at least two"),
        (["s/a/0.png"], "one character only (s/a)"),
    ],
)
def test_one_character_is_too_few(tmp_path: Path, names: list[str], words: str) -> None:
    """There is nothing to tell apart: one line, and no model."""
    world = World(tmp_path / "home", _make(tmp_path / "library", *names))
    assert words in world.run("train", world.library, *BACKBONE).line
    assert not list((world.home / "models").glob("*"))


@pytest.mark.parametrize("names", [["s/a/0.png", "s/b/0.png"], ["s/a/0.png", "s/a/1.png", "t/b/0.png"]])
def test_two_characters_are_enough(tmp_path: Path, names: list[str]) -> None:
    """Too few pictures for every part are no error: nothing is measured, and nothing claimed."""
    world = World(tmp_path / "home", _make(tmp_path / "library", *names))
    done = world.run("train", world.library, *BACKBONE)
    assert done.code == 0, done.err
    assert re.search(r"^type +- +0$", done.out, re.MULTILINE)
    assert "nothing was tested: the library is too small for a test part; --folds tests every picture" in done.out
    assert world.reindex()["pictures"] == len(names)
    answer = world.ask(world.library / "s/a/0.png")
    assert answer["verdict"]["level"] == "unknown"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backbone", "squeezenet1_1", "--weights", "missing.pth"], "there is no weights file missing.pth"),
        (["--backbone", "squeezenet", "--weights", "none"], "did you mean squeezenet1_0 or squeezenet1_1?"),
        ([*BACKBONE, "--name", "squeezenet1_1-1"], "there is a model 'squeezenet1_1-1' already: choose another --name"),
        ([*BACKBONE, "--name", "../mine"], "cannot be called '../mine'"),
        ([*BACKBONE, "--name", "a/b"], "cannot be called 'a/b'"),
        ([*BACKBONE, "--name", ""], "cannot be called ''"),
        ([*BACKBONE, "--folds", "49"], "--folds 49 is too many: the library has 48 pictures"),
        ([*BACKBONE, "--folds", "3", "--unfreeze", "all"], "--folds needs a frozen backbone"),
        ([*BACKBONE, "--recipe", "seed", "--unfreeze", "last-block"], "leave --unfreeze out, or use --recipe joint"),
        ([*BACKBONE, "--holdout", "show=show-9"], "there is no 'show-9' to hold out: did you mean show-2 or show-1"),
        ([*BACKBONE, "--holdout", "character=show-0/hero"], "'show-0/hero' to hold out: did you mean show-0/hero-1"),
        ([*BACKBONE, "--holdout", "show=zzz"], "there is no 'zzz' to hold out: "),
        ([*BACKBONE, "--holdout", "show=show-0,show-1,show-2"], "pictures of no character that is not held out"),
        (
            [*BACKBONE, "--holdout", "show=show-0,show-1", "--holdout", "character=show-2/hero-0"],
            "pictures of one character only (show-2/hero-1) that is not held out: a model needs at least two",
        ),
    ],
)
def test_wrong_options_of_train_are_one_line(world: World, arguments: list[str], words: str) -> None:
    """Each makes no model, and leaves nothing to be resumed."""
    assert words in world.run("train", world.library, *arguments).line
    assert len(list((world.home / "models").iterdir())) == 1
    assert not world.checkpoints()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--holdout", "show=show-9"], "there is no 'show-9' to hold out: did you mean show-2 or show-1"),
        (["--holdout", "show=show-0,show-1,show-2"], "pictures of no character that is not held out"),
        (["--folds", "100000"], "--folds 100000 is too many: the library has 48 pictures"),
        (["--holdout", "show=show-0", "--folds", "40"], "--folds 40 is too many: the library has 32 pictures"),
        (["--project", "100000"], "--project 100000 is too much: the library has 48 pictures"),
        (["--project", "0"], "--project takes auto, none, or a number of dimensions, not '0'"),
    ],
)
def test_what_names_of_files_tell_is_told_before_anything_is_embedded(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """Whoever misspells a name or asks for too much need not wait for the backbone to learn of it."""
    world = World(tmp_path / "home", library(tmp_path / "library"))
    assert words in world.run("train", world.library, *BACKBONE, *arguments).line
    assert not list((world.home / "embeddings").glob("*"))


def test_folders_that_differ_in_case_are_told_before_anything_is_embedded(tmp_path: Path) -> None:
    """Two folders that may be one are no library, whatever lies in them."""
    world = World(tmp_path / "home", _make(tmp_path / "library", "s/a/0.png", "s/b/0.png", "s/B/0.png"))
    if len(list((world.library / "s").iterdir())) < 3:
        pytest.skip("this file system does not tell letter case apart")
    assert "the folders B and b differ only in letter case" in world.run("train", world.library, *BACKBONE).line
    assert not list((world.home / "embeddings").glob("*"))


def test_more_dimensions_than_an_embedding_has_are_told_before_anything_is_embedded(tmp_path: Path) -> None:
    """A library of more pictures than an embedding has numbers tells nothing by its files; the backbone does."""
    names = [f"s/{who}/{number}.png" for who in "ab" for number in range(260)]
    world = World(tmp_path / "home", _make(tmp_path / "library", *names))
    done = world.run("train", world.library, *BACKBONE, "--project", "513", "--precision", "float32")
    assert "--project 513 is too much: this backbone's embeddings have 512 numbers" in done.line
    assert not list((world.home / "embeddings").glob("*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--holdout", "show-0"],
        ["--holdout", "show="],
        ["--holdout", "hero=show-0"],
        ["--holdout", "show=show-0/hero-0"],
        ["--holdout", "character=show-0"],
        ["--views", "65"],
        ["--views", "-1"],
        ["--epochs", "0"],
        ["--folds", "-3"],
        ["--folds", "0"],
        ["--folds", "1"],
        ["--recipe", "soup"],
        ["--unfreeze", "some"],
        ["--seed", "-1"],
        ["--seed", "4294967296"],
        ["--seed", "99999999999999999999999"],
    ],
)
def test_misspelt_options_of_train_are_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    """Exit 2, before a home is made; the last line says what is wrong with the option."""
    done = sokkuri("train", tmp_path, *BACKBONE, *arguments, "--home", tmp_path / "home")
    assert done.code == 2
    assert arguments[0] in done.err.splitlines()[-1]
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """A file where the home should be, above it, or where one of its folders should be, is named."""
    root = library(tmp_path / "library", shows=1, pictures=1)
    (tmp_path / "file").write_text("x")
    for home in (tmp_path / "file" / "home", tmp_path / "file"):
        done = sokkuri("train", root, *BACKBONE, "--home", home)
        assert done.code in {1, 2}  # 2: click itself refuses a file as --home
        assert len(done.err.splitlines()) == 1
        assert str(tmp_path / "file") in done.err
    home = tmp_path / "home"
    home.mkdir()
    (home / "embeddings").write_text("x")
    assert str(home / "embeddings") in sokkuri("train", root, *BACKBONE, "--home", home).line


def test_a_damaged_catalogue_is_one_line(world: World) -> None:
    """Every command says what is damaged and what to do."""
    (world.home / "catalogue.db").write_bytes(b"no database at all, but long enough to look at" * 100)
    for suffix in ("-wal", "-shm"):
        (world.home / f"catalogue.db{suffix}").unlink(missing_ok=True)
    picture_file = world.library / "show-0/hero-0/0.png"
    for arguments in (
        ("train", world.library, *BACKBONE),
        ("reindex", world.library),
        ("models",),
        ("ask", picture_file),
    ):
        assert "the catalogue is damaged" in world.run(*arguments).line


@pytest.mark.usefixtures("untouched")
def test_a_damaged_model_is_one_line(world: World) -> None:
    """A flipped bit in the backbone is noticed, and the file is named."""
    file = world.home / "models/squeezenet1_1-1/backbone.safetensors"
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    assert "backbone.safetensors is damaged" in world.run("reindex", world.library).line
