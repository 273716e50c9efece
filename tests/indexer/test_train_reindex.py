"""From a folder of pictures to an answer, through the commands, with everything that can go wrong on the way."""

from __future__ import annotations

import csv
import io
import json
import os
import pickletools
import pty
import re
import shutil
import signal
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recommender.catalogue import Catalogue
from recommender.folders import ASIDE
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from recommender.snapshots import Snapshot, open_snapshot
from tests.indexer.libraries import library
from tests.indexer.running import Done, Running, sokkuri
from tests.pictures import picture, pixels, saved

pytestmark = pytest.mark.slow

BACKBONE = ("--backbone", "squeezenet1_1", "--weights", "none")
PICTURES = 48
VIEWS = 2
NOBODY = 40
EMBEDDED = PICTURES * (1 + VIEWS) + NOBODY
"""What a training embeds: pictures, their views, and pictures of nobody."""


@dataclass(frozen=True)
class World:
    """A home, the library that it was made from, and what commands are asked to work on."""

    home: Path
    library: Path

    def run(self, command: str, *arguments: str | Path, limit: int | None = None) -> Done:
        """Run a command of `sokkuri` in this home to its end."""
        return sokkuri(command, *arguments, "--home", self.home, limit=limit)

    def start(self, command: str, *arguments: str | Path, terminal: str | None = None) -> Running:
        """Start a command of `sokkuri` in this home."""
        return Running(command, *arguments, "--home", self.home, terminal=terminal)

    def train(self, *arguments: str) -> Any:
        """Train on the library and return what the command reports."""
        done = self.run("train", self.library, *BACKBONE, *arguments, "--json")
        assert done.code == 0, done.err
        return done.answer

    def reindex(self, *arguments: str) -> Any:
        """Reindex the library and return what the command reports."""
        done = self.run("reindex", self.library, *arguments, "--json")
        assert done.code == 0, done.err
        return done.answer

    def ask(self, file: Path) -> Any:
        """Ask about a picture and return the answer."""
        done = self.run("ask", file, "--json")
        assert done.code == 0, done.err
        return done.answer

    def published(self) -> Snapshot:
        """Open what is published, with every checksum compared."""
        with Catalogue(Settings(home=self.home).database_url) as catalogue:
            info = catalogue.published()
        return open_snapshot(self.home / "snapshots" / info.id, info.digest)

    def snapshots(self) -> list[str]:
        """Return the folders of finished snapshots."""
        return sorted(path.name for path in (self.home / "snapshots").iterdir() if not path.name.startswith(ASIDE))

    def leftovers(self) -> list[Path]:
        """Return what a crash left unfinished."""
        return [path for parent in ("snapshots", "models") for path in (self.home / parent).glob(f"{ASIDE}*")]

    def model(self, name: str) -> ModelFolder:
        """Open a model, with every checksum compared."""
        return ModelFolder.open(self.home / "models" / name)

    def checkpoints(self) -> list[str]:
        """Return the stages of unfinished trainings that were begun."""
        return sorted(file.stem for file in (self.home / "training").glob("*/*.safetensors"))

    def records(self, *, growing: bool = False) -> int:
        """Return how many features are kept, after the last byte was accounted for unless more are being written."""
        (table,) = (self.home / "embeddings").iterdir()
        dimension = int(json.loads((table / "space.json").read_text(encoding="utf-8"))["dimension"])
        count, rest = divmod((table / "rows.bin").stat().st_size, 36 + 4 * dimension)
        assert growing or rest == 0
        return count


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Train and reindex once. Tests that only look may share it."""
    root = tmp_path_factory.mktemp("finished")
    world = World(root / "home", library(root / "library"))
    (world.library / "show-1/hero-1/broken.jpg").write_bytes(picture(77, kind="JPEG")[:200])
    world.train()
    world.reindex()
    return world


@pytest.fixture
def world(finished: World, tmp_path: Path) -> World:
    """Give a copy of the finished world, to be changed."""
    shutil.copytree(finished.home, tmp_path / "home")
    shutil.copytree(finished.library, tmp_path / "library")
    return World(tmp_path / "home", tmp_path / "library")


@pytest.fixture
def untouched(world: World) -> Iterator[None]:
    """Require that the published snapshot is the same after a test as before it, and whole; and nothing left over."""
    before = world.published().info
    yield
    assert world.published().info == before
    assert not world.leftovers()


def test_a_model_folder_tells_all_that_a_model_is(finished: World) -> None:
    """model.json names backbone, labels and digests, preprocessing, space, split, metrics and versions."""
    (folder,) = (finished.home / "models").iterdir()
    model = ModelFolder.open(folder)
    said = model.manifest
    assert sorted(file.name for file in folder.iterdir()) == [
        "backbone.safetensors",
        "heads.safetensors",
        "history.csv",
        "learning_curves.png",
        "model.json",
        "pictures.safetensors",
    ]
    assert said["name"] == folder.name == "squeezenet1_1-1"
    assert said["backbone"] == said["space"]["backbone"] == "squeezenet1_1"
    assert said["labels"]["digests"] == {space.name: space.digest for space in model.hierarchy.spaces}
    assert [len(space) for space in model.hierarchy.spaces] == [3, 6, 3]
    assert model.hierarchy.characters[0].name == "Hero 0-0"
    assert model.hierarchy.characters[-1].type is None
    assert model.preprocessing.size == 224
    assert said["space"]["preprocessing"] == model.preprocessing.describe
    assert said["space"]["dimension"] == 512
    assert re.fullmatch("[0-9a-f]{64}", said["space"]["weights"])
    split = said["training"]["split"]
    assert split["seed"] == 0
    assert sum(split["pictures"].values()) == PICTURES
    assert all(split["pictures"][part] for part in ("train", "validation", "test"))
    assert split["pictures"]["held out"] == 0
    assert said["metrics"]["part"] == "test"
    assert said["metrics"]["character"]["pictures"] == split["pictures"]["test"]
    assert set(said["metrics"]["characters"]) == set(model.hierarchy.character_space.labels)
    assert {"sokkuri", "torch", "torchvision", "numpy"} <= set(said["versions"])
    assert set(said["calibration"]["certainty"]) == {"character", "show", "type"}
    assert set(said["calibration"]["temperatures"]) == {"character", "show", "type"}
    assert said["weights"]["untrained"] is True


def test_a_model_folder_tells_how_it_was_trained(finished: World) -> None:
    """It holds the part of every picture, a line for each epoch, and a drawing of these."""
    model = finished.model("squeezenet1_1-1")
    training, pictures = model.manifest["training"], model.pictures()
    with Catalogue(Settings(home=finished.home).database_url) as catalogue:
        assert set(pictures.id) == set(catalogue.picture_ids())
    for number, part in enumerate(("train", "validation", "test")):
        assert np.count_nonzero(pictures.part == number) == training["split"]["pictures"][part]
    assert set(pictures.fold) == {-1}
    rows = list(csv.DictReader(io.StringIO((model.path / "history.csv").read_text(encoding="utf-8"))))
    assert [row["epoch"] for row in rows] == [str(number + 1) for number in range(len(rows))]
    assert [float(row["validation_loss"]) for row in rows] == [row["validation_loss"] for row in training["epochs"]]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert int(best["epoch"]) == training["final_epochs"]
    assert (model.path / "learning_curves.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert (training["recipe"], training["views"], training["folds"], training["held_out"]) == ("joint", 2, 0, [])
    assert not (finished.home / "training" / model.name).exists()


def test_no_pickle_is_stored(finished: World) -> None:
    """No file of the home is a pickle: they could run code when they are opened."""
    for file in finished.home.rglob("*"):
        if file.is_file():
            data = file.read_bytes()[:64]
            assert not data.startswith((b"\x80", b"PK")), file
            with pytest.raises((ValueError, IndexError)):
                list(pickletools.genops(data or b"\0"))


def test_training_again_embeds_nothing(world: World) -> None:
    """What went through a backbone once is kept: a second training only trains heads, and the same ones."""
    report = world.train()
    assert report["embedded"] == 0
    assert report["model"] == "squeezenet1_1-2"
    assert report["pictures"] == PICTURES
    one, other = (ModelFolder.open(world.home / "models" / f"squeezenet1_1-{number}") for number in (1, 2))
    assert one.space == other.space
    for space, weights in one.heads().weights.items():
        assert np.array_equal(weights, other.heads().weights[space])
    assert one.calibration == other.calibration
    assert world.records() == EMBEDDED


def test_the_precision_that_was_chosen_once_stays(world: World) -> None:
    """Pictures that came since may not choose another one, for which every picture would be embedded again."""
    before = ModelFolder.open(world.home / "models/squeezenet1_1-1").space.precision
    _add_pictures(world.library, 3)
    assert world.train()["embedded"] == 6 * (1 + VIEWS)
    assert ModelFolder.open(world.home / "models/squeezenet1_1-2").space.precision == before
    assert len(list((world.home / "embeddings").iterdir())) == 1
    world.train("--precision", "float32")
    world.train("--name", "again")
    assert ModelFolder.open(world.home / "models/again").space.precision == before


def test_reindexing_embeds_what_training_has_not(world: World) -> None:
    """After a training nothing is embedded again; a new picture is, alone."""
    assert world.reindex()["embedded"] == 0
    (world.library / "show-0/hero-0/new.png").write_bytes(picture(99_999))
    report = world.reindex()
    assert (report["embedded"], report["added"], report["removed"], report["pictures"]) == (1, 1, 0, PICTURES + 1)
    assert world.records() == EMBEDDED + 1


def test_an_answer_finds_the_picture(finished: World, tmp_path: Path) -> None:
    """A stored picture, re-encoded, is the most similar one, with its character and show as first results."""
    file = tmp_path / "again.webp"
    file.write_bytes(saved(Image.fromarray(pixels(11_003)), "WEBP", lossless=True))
    answer = finished.ask(file)
    first = answer["similar_pictures"][0]
    assert first["similarity"] == pytest.approx(1, abs=1e-3)
    assert (first["show"], first["character"]) == ("show-1", "show-1/hero-1")
    with Catalogue(Settings(home=finished.home).database_url) as catalogue:
        assert catalogue.picture(first["id"]).path == "show-1/hero-1/3.png"
    assert answer["snapshot"] == finished.published().info.id
    assert answer["model"]["name"] == "squeezenet1_1-1"
    assert {row["show"] for row in answer["similar_shows"]} == {"show-0", "show-1", "show-2"}


def test_untrained_is_said_wherever_a_result_is(finished: World) -> None:
    """Training, the list of models, and both forms of an answer say that the weights are random."""
    file = finished.library / "show-0/hero-0/0.png"
    assert "untrained" in finished.ask(file)["model"]["notice"]
    assert "! This model is untrained" in finished.run("ask", file).out
    assert "untrained" in finished.run("models").out
    assert "untrained" in finished.run("models", "--json").answer[0]["notice"]


def test_a_damaged_picture_is_a_reject(finished: World) -> None:
    """It is listed with its reason by both jobs and stops neither; the text names it on stderr."""
    report = finished.reindex("--dry-run")
    (reject,) = report["rejects"]
    assert reject["path"] == "show-1/hero-1/broken.jpg"
    assert "cut off" in reject["reason"]
    done = finished.run("reindex", finished.library, "--dry-run")
    assert done.code == 0
    assert "left out: show-1/hero-1/broken.jpg: " in done.err
    assert "1 left out" in done.out


def test_removed_pictures_leave_the_answers(world: World) -> None:
    """What is no longer in the library is in no result and no list after the next reindex."""
    shutil.rmtree(world.library / "show-2/hero-1")
    (world.library / "show-0/hero-0/0.png").unlink()
    report = world.reindex()
    assert (report["pictures"], report["removed"], report["added"], report["characters"]) == (PICTURES - 9, 9, 0, 5)
    roster = {character.label for character in world.published().roster.characters}
    assert "show-2/hero-1" not in roster
    answer = world.ask(world.library / "show-0/hero-0/1.png")
    assert "show-2/hero-1" not in {row["character"] for row in answer["similar_pictures"]}


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_publishes_nothing(world: World) -> None:
    """It says what would change and changes nothing, not even the embeddings."""
    (world.library / "show-0/hero-0/new.png").write_bytes(picture(99_999))
    before = sorted(path for path in world.home.rglob("*") if "catalogue" not in path.name)
    report = world.reindex("--dry-run")
    assert report["snapshot"] is None
    assert (report["added"], report["removed"]) == (1, 0)
    assert sorted(path for path in world.home.rglob("*") if "catalogue" not in path.name) == before
    assert world.records() == EMBEDDED


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
    assert "run `sokkuri reindex LIBRARY`" in world.run("ask", world.library / "show-0/hero-0/0.png").line


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
        (["--backbone", "squeezenet", "--weights", "none"], "did you mean squeezenet1_1 or squeezenet1_0"),
        ([*BACKBONE, "--name", "squeezenet1_1-1"], "there is a model 'squeezenet1_1-1' already: choose another --name"),
        ([*BACKBONE, "--name", "../mine"], "cannot be called '../mine'"),
        ([*BACKBONE, "--name", "a/b"], "cannot be called 'a/b'"),
        ([*BACKBONE, "--name", ""], "cannot be called ''"),
        ([*BACKBONE, "--folds", "1"], "--folds takes 2 or more"),
        ([*BACKBONE, "--folds", "-3"], "--folds takes 2 or more"),
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
        ["--recipe", "soup"],
        ["--unfreeze", "some"],
    ],
)
def test_misspelt_options_of_train_are_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    """Exit 2, before a home is made; the last line says what is wrong with the option."""
    done = sokkuri("train", tmp_path, *BACKBONE, *arguments, "--home", tmp_path / "home")
    assert done.code == 2
    assert arguments[0] in done.err.splitlines()[-1]
    assert not (tmp_path / "home").exists()


def test_held_out_characters_are_strangers_to_the_model(world: World) -> None:
    """The model has no label for them, its figures no picture of them; the index finds them all the same."""
    report = world.train("--name", "held", "--holdout", "show=show-2", "--holdout", "character=show-0/hero-1")
    model = world.model("held")
    assert report["pictures"] == PICTURES
    assert model.hierarchy.character_space.labels == ("show-0/hero-0", "show-1/hero-0", "show-1/hero-1")
    assert set(report["metrics"]["characters_by_show"]) == {"show-0", "show-1"}
    assert model.manifest["training"]["held_out"] == ["show-2", "show-0/hero-1"]
    assert model.manifest["training"]["split"]["pictures"]["held out"] == 24
    assert np.count_nonzero(model.pictures().part == -1) == 24
    world.reindex()
    answer = world.ask(world.library / "show-2/hero-1/0.png")
    assert "show-2/hero-1" not in {row["label"] for row in answer["labels"]["character"]}
    assert "show-2/hero-1" in {row["character"] for row in answer["similar_pictures"]}
    done = world.run("train", world.library, *BACKBONE, "--holdout", "show=show-2", "--epochs", "1")
    assert "16 held out" in done.out


def test_folds_test_every_picture(world: World) -> None:
    """The figures are over all pictures; the model keeps the heads of each fold and who was in it."""
    report = world.train("--name", "crossed", "--folds", "3", "--epochs", "5")
    model = world.model("crossed")
    pictures, folds = model.pictures(), model.fold_heads()
    assert report["metrics"]["part"] == "folds"
    assert report["metrics"]["character"]["pictures"] == PICTURES
    assert np.bincount(pictures.fold).tolist() == [16, 16, 16]
    assert len(folds) == model.manifest["training"]["folds"] == 3
    assert len({heads.weights["character"].tobytes() for heads in (*folds, model.heads())}) == 4
    done = world.run("train", world.library, *BACKBONE, "--folds", "2", "--epochs", "1")
    assert done.code == 0
    assert done.out.startswith("accuracy over 2 folds")
    assert world.reindex()["model"] == "squeezenet1_1-2"


def test_the_seeds_recipe_answers_without_contradiction(world: World) -> None:
    """Three separate heads over features, five epochs, no views: and still an answer whose lists agree."""
    report = world.train("--name", "seed", "--recipe", "seed")
    model = world.model("seed")
    assert report["embedded"] == 0
    assert model.manifest["heads"] == {"joint": False, "reads": "features"}
    assert model.manifest["training"]["views"] == 0
    assert [row["epoch"] for row in model.manifest["training"]["epochs"]] == [1, 2, 3, 4, 5]
    world.reindex()
    labels = world.run("ask", world.library / "show-0/hero-0/0.png", "--limit", "6", "--json").answer["labels"]
    characters = {row["label"]: row["probability"] for row in labels["character"]}
    for row in labels["show"]:
        own = [probability for label, probability in characters.items() if label.startswith(f"{row['label']}/")]
        assert row["probability"] == pytest.approx(sum(own))


def test_views_are_asked_for_and_embedded_once(tmp_path: Path) -> None:
    """Without views only the pictures and nobody go through the backbone; a further view costs one pass a picture."""
    world = World(tmp_path / "home", library(tmp_path / "library", shows=2, characters=1, pictures=3))
    assert world.train("--views", "0")["embedded"] == 6 + NOBODY
    assert world.train("--views", "1")["embedded"] == 6
    assert world.train("--views", "3")["embedded"] == 12
    assert world.train("--views", "2")["embedded"] == 0
    assert world.records() == 6 * 4 + NOBODY
    assert world.model("squeezenet1_1-1").manifest["training"]["views"] == 0


# Interrupted trainings


LONG = ("--folds", "3")
"""So many stages that a training can be stopped in the midst of it."""


def _stop(world: World, name: str, *arguments: str, when: Callable[[], object]) -> None:
    """Start a training and kill it as soon as something happens."""
    running = world.start("train", world.library, *BACKBONE, "--name", name, *arguments)
    _wait_for(when, running)
    running.signal(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL, "it was done before the signal came"


def _require_same_models(one: ModelFolder, other: ModelFolder) -> None:
    """Require that two models were trained to the same end."""
    pairs = zip((one.heads(), *one.fold_heads()), (other.heads(), *other.fold_heads()), strict=True)
    for mine, theirs in pairs:
        for name, tensor in mine.to_tensors().items():
            np.testing.assert_allclose(tensor, theirs.to_tensors()[name], atol=1e-6)
        assert mine.temperatures == pytest.approx(theirs.temperatures)
    assert one.manifest["metrics"] == other.manifest["metrics"]
    losses = [[row["validation_loss"] for row in model.manifest["training"]["epochs"]] for model in (one, other)]
    assert losses[0] == losses[1]


def test_a_killed_training_is_resumed_to_the_same_end(world: World) -> None:
    """Killed while it embeds, while it chooses and while it crosses, and resumed, it comes to an unbroken run's end."""
    for number in range(12):
        (world.library / f"show-{number % 3}/hero-0/more-{number}.png").write_bytes(picture(700_000 + number))
    _stop(world, "broken", *LONG, when=lambda: world.records(growing=True) > EMBEDDED)
    assert not world.checkpoints()
    _stop(world, "broken", *LONG, "--resume", when=lambda: "choosing" in world.checkpoints())
    _stop(world, "broken", *LONG, "--resume", when=lambda: "fold-2-choosing" in world.checkpoints())
    done = world.run("train", world.library, *BACKBONE, *LONG, "--name", "broken", "--resume", "--json")
    assert done.code == 0, done.err
    assert done.answer["embedded"] == 0
    assert not world.checkpoints()
    world.train(*LONG, "--name", "whole")
    _require_same_models(world.model("broken"), world.model("whole"))


@pytest.mark.usefixtures("untouched")
def test_a_training_is_resumed_as_it_was_begun_or_not_at_all(world: World) -> None:
    """Other options, another library, a damaged checkpoint: one line says what to do; else it begins anew."""
    _stop(world, "mine", *LONG, when=lambda: "choosing" in world.checkpoints())
    before = world.checkpoints()
    arguments = ("train", world.library, *BACKBONE, "--name", "mine", "--resume")
    for other in (("--folds", "4"), (*LONG, "--seed", "3"), (*LONG, "--epochs", "7"), (*LONG, "--recipe", "seed")):
        assert "other options or another library: repeat its options" in world.run(*arguments, *other).line
    (world.library / "show-0/hero-0/new.png").write_bytes(picture(99_999))
    assert "another library" in world.run(*arguments, *LONG).line
    (world.library / "show-0/hero-0/new.png").unlink()
    assert world.checkpoints() == before
    (world.home / "training/mine/choosing.safetensors").write_bytes(b"nothing of the kind")
    assert "choosing.safetensors is damaged: run it again without --resume" in world.run(*arguments, *LONG).line
    assert not (world.home / "models/mine").exists()
    world.train("--epochs", "2", "--name", "mine")
    assert len(world.model("mine").manifest["training"]["epochs"]) == 2
    assert not world.checkpoints()


def test_resuming_what_was_never_begun_begins_it(world: World) -> None:
    """It says so, and trains."""
    done = world.run("train", world.library, *BACKBONE, "--epochs", "1", "--name", "new", "--resume")
    assert done.code == 0
    assert "no training of new with these options was interrupted after an epoch: it begins at the first" in done.err
    assert world.model("new").manifest["training"]["final_epochs"] == 1


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


def _wait_for(condition: Callable[[], object], running: Running | None = None) -> None:
    """Wait until the condition holds, or the command has ended."""
    deadline = time.monotonic() + 60
    while not condition() and (running is None or running.alive):
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def test_only_one_job_at_a_time(world: World) -> None:
    """A second job ends at once and names the first, which goes on undisturbed; a job that was killed holds nothing."""
    owner = world.home / "job.owner"
    before = world.published().info
    first = world.start("reindex", world.library)
    _wait_for(lambda: owner.exists() and owner.stat().st_size)
    first.signal(signal.SIGSTOP)
    for arguments in (("reindex", world.library), ("train", world.library, *BACKBONE), ("rollback",)):
        line = world.run(*arguments).line
        assert re.search(r"sokkuri reindex \(process [0-9]+\) is at work in .*: wait until it is done", line)
    assert world.published().info == before
    first.signal(signal.SIGCONT)
    assert first.wait().code == 0
    second = world.start("reindex", world.library)
    _wait_for(lambda: owner.exists() and owner.stat().st_size)
    second.signal(signal.SIGKILL)
    assert second.wait().code in {0, -signal.SIGKILL}  # 0: it was done before the signal came
    assert world.reindex("--dry-run")["pictures"] == PICTURES


def _add_pictures(root: Path, seed: int) -> None:
    """Add a few pictures, so that a reindex has something to embed."""
    for number in range(6):
        (root / f"show-{number % 3}/hero-0/more-{seed}-{number}.png").write_bytes(
            picture(500_000 + 100 * seed + number)
        )


def test_kill_9_never_harms_what_is_published(world: World) -> None:
    """Killed at any moment, a reindex leaves an open snapshot; the next one succeeds, sweeps up and repeats nothing.

    The moments: three drawn from the length of a whole run, the one in which the new folder is being written, and
    the one in which it has just got its name.
    """
    started = time.monotonic()
    world.reindex()
    whole = time.monotonic() - started
    rng = np.random.default_rng(0)
    known = set(world.snapshots())
    moments: list[Callable[[], object]] = [world.leftovers, lambda: set(world.snapshots()) - known]
    for number in range(5):
        _add_pictures(world.library, number)
        before = world.published().info
        running = world.start("reindex", world.library)
        if number < 3:
            time.sleep(rng.uniform(0.2, 1.0) * whole)
        else:
            _wait_for(moments[number - 3], running)
        running.signal(signal.SIGKILL)
        killed = running.wait().code
        assert killed in {0, -signal.SIGKILL}
        after = world.published().info
        assert after.id == before.id or after.pictures == before.pictures + 6
    pictures = PICTURES + 5 * 6
    report = world.reindex()
    assert report["pictures"] == pictures
    assert world.published().info.id == report["snapshot"]
    assert len(world.published().pictures) == pictures
    assert not world.leftovers()
    assert world.records() == EMBEDDED + 5 * 6
    assert not (world.home / "job.owner").exists()
    assert world.ask(world.library / "show-0/hero-0/more-4-0.png")["snapshot"] == report["snapshot"]


def test_a_disk_that_is_full_is_one_line(world: World) -> None:
    """Whichever file does not fit, reindex and train end in one line, nothing is published and nothing left over."""
    before = world.published().info
    (world.library / "show-0/hero-0/1.png").unlink()  # or the index of the snapshot before would be shared
    for limit in (1_000, 40_000, 90_000):  # less than the catalogue's log needs, and less than the index has
        line = world.run("reindex", world.library, limit=limit).line
        assert "make room" in line
    assert "snapshots" in line
    assert "File too large" in line
    for limit in (60_000, 1_000_000):  # less than the embeddings of another backbone have, and less than the network
        line = world.run("train", world.library, *BACKBONE, "--seed", "1", limit=limit).line
        assert "File too large" in line
        assert "make room" in line
    assert world.published().info == before
    assert not world.leftovers()
    assert world.reindex()["embedded"] == 0


def test_rollback_publishes_an_older_snapshot(world: World) -> None:
    """Without a name the one before, with a name that one; an unknown one, or none before, is one line."""
    first = world.published().info.id
    assert f"no snapshot older than {first}" in world.run("rollback").line
    (world.library / "show-0/hero-0/new.png").write_bytes(picture(99_999))
    second = world.reindex()["snapshot"]
    done = world.run("rollback")
    assert done.code == 0
    assert first in done.err
    assert world.published().info.id == first
    assert world.ask(world.library / "show-0/hero-0/0.png")["snapshot"] == first
    assert world.run("rollback", second).code == 0
    assert world.published().info.id == second
    assert "there is no snapshot 'nonsense'" in world.run("rollback", "nonsense").line


def test_rollback_refuses_a_damaged_snapshot(world: World) -> None:
    """What is published stays when the older snapshot is no longer whole."""
    first = world.published().info.id
    second = world.reindex()["snapshot"]
    (world.home / "snapshots" / first / "roster.json").write_text("{}")
    assert "roster.json is damaged" in world.run("rollback", first).line
    assert world.published().info.id == second


def test_lists_mark_what_is_in_use(world: World) -> None:
    """`models` and `snapshots` list the newest first, in text and JSON, and mark one."""
    first = world.published().info.id
    second = world.reindex()["snapshot"]
    assert second > first
    rows = world.run("snapshots", "--json").answer
    assert [(row["id"], row["published"]) for row in rows] == [(second, True), (first, False)]
    assert rows[0]["pictures"] == PICTURES
    lines = world.run("snapshots").out.splitlines()
    assert lines[0].startswith(f"* {second}")
    assert lines[1].startswith(f"  {first}")
    world.train("--name", "mine")
    assert {row["name"]: row["in_use"] for row in world.run("models", "--json").answer} == {
        "mine": True,
        "squeezenet1_1-1": False,
    }
    assert world.run("use", "squeezenet1_1-1").code == 0
    starred = [line for line in world.run("models").out.splitlines() if line.startswith("*")]
    assert len(starred) == 1
    assert "squeezenet1_1-1" in starred[0]
    assert "there is no model 'nobody'" in world.run("use", "nobody").line


def test_another_model_answers_after_the_next_reindex(world: World) -> None:
    """Until then the answers name the model that the snapshot was made with; afterwards the new one, in a new space."""
    file = world.library / "show-0/hero-0/0.png"
    world.train("--name", "other", "--seed", "5")
    assert world.ask(file)["model"]["name"] == "squeezenet1_1-1"
    assert world.reindex()["model"] == "other"
    assert world.ask(file)["model"]["name"] == "other"
    assert len(list((world.home / "embeddings").iterdir())) == 2
    world.run("rollback")
    assert world.ask(file)["model"]["name"] == "squeezenet1_1-1"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("command", ["train", "reindex"])
def test_ctrl_c_ends_a_job_in_one_line(world: World, command: str) -> None:
    """Exit code 130, no traceback, the lock is free again, and what was embedded stays."""
    for seed in range(20):
        _add_pictures(world.library, seed)
    running = world.start(command, world.library, *(BACKBONE if command == "train" else ()))
    (table,) = (world.home / "embeddings").iterdir()
    size = (table / "rows.bin").stat().st_size
    _wait_for(lambda: (table / "rows.bin").stat().st_size > size)
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.code == 130
    assert done.err.strip() == "sokkuri: stopped; what was finished stays"
    assert EMBEDDED < world.records() < EMBEDDED + 120 * (1 + VIEWS if command == "train" else 1)
    assert not (world.home / "job.owner").exists()
    assert world.reindex("--dry-run")["added"] == 120


def _read_all(descriptor: int, into: list[bytes]) -> None:
    """Read a terminal until the other side is closed."""
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:
            return
        if not data:
            return
        into.append(data)


def test_a_person_sees_a_bar_and_a_log_file_does_not(world: World) -> None:
    """On a terminal a bar counts pictures; elsewhere stderr has plain lines only. Results are on stdout either way."""
    person, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    shown: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(person, shown))
    reader.start()
    # A bar appears only where half a second is not enough.
    slow = ("--backbone", "resnet101", "--weights", "none", "--views", "0")
    done = world.start("train", world.library, *slow, terminal=os.ttyname(terminal)).wait()
    os.close(terminal)
    reader.join()
    os.close(person)
    assert done.code == 0
    assert done.out.startswith("accuracy on the test part")
    text = b"".join(shown).decode()
    assert re.search(r"reading pictures: +[0-9]+%.*/49 ", text), text
    quiet = world.run("train", world.library, *BACKBONE, "--seed", "7")
    assert quiet.code == 0
    assert "\r" not in quiet.err
    assert "%" not in quiet.err
    assert len(quiet.err.splitlines()) == 2  # the reject and the notice
    assert quiet.out.startswith("accuracy on the test part")


def test_real_file_kinds_reach_the_index(tmp_path: Path) -> None:
    """Every format of a user's folder is trained on and indexed, upright and on white."""
    root = tmp_path / "library"
    for character in range(2):
        folder = root / "show" / f"hero-{character}"
        folder.mkdir(parents=True)
        for number, kind in enumerate(("PNG", "JPEG", "WEBP", "GIF", "BMP")):
            (folder / f"{number}.{kind.lower()}").write_bytes(picture(10 * character + number, kind=kind))
        transparent = Image.new("RGBA", (64, 64), (character * 200, 10, 10, 128))
        (folder / "half.png").write_bytes(saved(transparent))
        cmyk = Image.open(io.BytesIO(picture(50 + character))).convert("CMYK")
        (folder / "print.jpg").write_bytes(saved(cmyk, "JPEG"))
    world = World(tmp_path / "home", root)
    assert world.train()["rejects"] == []
    assert world.reindex()["pictures"] == 14


def test_a_tuned_backbone_is_resumed_to_the_same_end(tmp_path: Path) -> None:
    """Killed after an epoch of the convolutions, it goes on there; the model has a backbone and curves of its own.

    With so few pictures that there are none to choose by, the last epoch counts.
    """
    world = World(tmp_path / "home", library(tmp_path / "library", shows=2, characters=1, pictures=1))
    tuning = ("--unfreeze", "last-block", "--epochs", "4", "--views", "0")
    _stop(world, "broken", *tuning, when=lambda: "backbone" in world.checkpoints())
    done = world.run("train", world.library, *BACKBONE, *tuning, "--name", "broken", "--resume")
    assert done.code == 0, done.err
    assert "going on after epoch" in done.err
    world.train(*tuning, "--name", "whole")
    world.train("--views", "0", "--name", "frozen")
    broken, whole, frozen = (world.model(name) for name in ("broken", "whole", "frozen"))
    assert broken.space == whole.space
    assert whole.space != frozen.space
    _require_same_models(broken, whole)
    stages = [row["stage"] for row in whole.manifest["training"]["epochs"]]
    assert stages[:4] == ["backbone"] * 4
    assert set(stages[4:]) == {"heads"}
    assert (whole.path / "backbone_learning_curves.png").exists()
    assert not world.checkpoints()
    assert world.run("use", "whole").code == 0
    assert world.reindex()["embedded"] == 0
    assert world.ask(world.library / "show-0/hero-0/0.png")["model"]["name"] == "whole"


def test_a_projection_is_part_of_all_that_is_stored(world: World) -> None:
    """Fewer numbers are stored without a forward pass, queries are projected alike, and one can go back."""
    before, records = world.published().info, world.records()
    metrics = world.train("--project", "8", "--name", "short")["metrics"]
    assert metrics["projection"]["chosen"]["dimension"] == 8
    assert [row["dimension"] for row in metrics["projection"]["tested"]] == [512, 8]
    report = world.reindex("--accept")
    assert (report["embedded"], world.records()) == (0, records)
    snapshot = world.published()
    assert snapshot.index.vector(0).shape == (8,)
    assert snapshot.info.space != before.space
    stored = snapshot.picture(0)
    with Catalogue(Settings(home=world.home).database_url) as catalogue:
        row = catalogue.picture(stored)
    answer = world.ask(Path(row.library) / row.path)
    assert answer["model"]["name"] == "short"
    assert -1.0 <= answer["similar_pictures"][0]["similarity"] <= 1.0
    verified = world.run("verify", "--json")
    assert (verified.code, verified.answer["findings"]) == (0, [])
    assert verified.answer["least_cosine"] > 0.999
    assert world.run("use", "squeezenet1_1-1").code == 0
    world.reindex("--accept")
    assert world.published().info.space == before.space
