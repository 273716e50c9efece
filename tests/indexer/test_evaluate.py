"""`sokkuri evaluate`: a report about a model, on pictures that it has never seen, through the command."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.modelfolder import ModelFolder
from tests.indexer.libraries import library
from tests.indexer.running import Done, sokkuri

pytestmark = pytest.mark.slow

BACKBONE = ("--backbone", "squeezenet1_1", "--weights", "none", "--views", "0")


@dataclass(frozen=True)
class World:
    """A home with four models of one library: joint, seed, folds, and one that does not know everybody."""

    home: Path
    library: Path

    def run(self, command: str, *arguments: str | Path) -> Done:
        """Run a command of `sokkuri` in this home."""
        return sokkuri(command, *arguments, "--home", self.home)

    def metrics(self, model: str) -> Any:
        """Return the figures of the model's report, which is made where it is not there yet."""
        folder = self.home / "reports" / model
        if not folder.exists():
            done = self.run("evaluate", model)
            assert done.code == 0, done.err
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))

    def table(self, model: str, name: str) -> list[dict[str, str]]:
        """Return a table of the model's report."""
        with (self.home / "reports" / model / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Train the four models."""
    root = tmp_path_factory.mktemp("evaluate")
    made = World(root / "home", library(root / "pictures", shows=3, characters=3, pictures=12))
    for name, options in (
        ("joint", ()),
        ("seed", ("--recipe", "seed")),
        ("folds", ("--folds", "3")),
        ("aloof", ("--holdout", "show=show-2", "--holdout", "character=show-0/hero-1")),
    ):
        done = made.run("train", made.library, *BACKBONE, "--name", name, *options)
        assert done.code == 0, done.err
    return made


def test_the_report_is_a_page_with_its_parts_beside_it(world: World) -> None:
    """One page that needs no other host or file; plots as PNG, tables as CSV and all figures as JSON beside it."""
    world.metrics("joint")
    folder = world.home / "reports" / "joint"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#|data:|[a-z0-9_]+\.(?:png|csv|json)")', page)
    expected = {
        "png": "confusion_character clusters_character reliability_character risk_coverage open_set_scores predictions "
        "training_set robustness models learning_curves",
        "csv": "labels calibration verdicts open_set retrieval by_character by_show by_type alterations cost split",
    }
    for ending, names in expected.items():
        assert {f"{name}.{ending}" for name in names.split()} <= {file.name for file in folder.iterdir()}
    assert "This model is untrained" in page


def test_figures_are_of_pictures_that_were_never_seen(world: World) -> None:
    """What is tested is the test part, and accuracy is what training had said of it."""
    metrics = world.metrics("joint")
    model = ModelFolder.open(world.home / "models" / "joint")
    test_part = int((model.pictures().part == 2).sum())
    assert metrics["pictures"]["tested"] == metrics["labels"]["character"]["pictures"] == test_part
    for space in ("show", "character"):
        said = model.manifest["metrics"][space]["accuracy"]
        assert metrics["labels"][space]["top1"]["value"] == pytest.approx(said)
        assert metrics["labels"][space]["top1"]["low"] <= said <= metrics["labels"][space]["top1"]["high"]


def test_with_folds_every_picture_is_tested_by_heads_that_never_saw_it(world: World) -> None:
    """The whole library counts, and the accuracy is that of the folds, not that of the final heads."""
    metrics = world.metrics("folds")
    model = ModelFolder.open(world.home / "models" / "folds")
    assert metrics["pictures"]["tested"] == 108
    assert metrics["labels"]["character"]["top1"]["value"] == pytest.approx(
        model.manifest["metrics"]["character"]["accuracy"]
    )


def test_strangers_are_those_who_were_held_out(world: World) -> None:
    """Held-out characters are asked about as unknown, of a known show and of an unknown one; none counts as tested."""
    metrics = world.metrics("aloof")
    assert metrics["pictures"]["of unknown characters"] == 48
    kinds = metrics["verdict"]["kinds"]
    assert kinds["unknown character"]["pictures"] == 12
    assert kinds["unknown show"]["pictures"] == 36
    assert kinds["unknown show"]["right"] == {"character": 0, "show": 0, "type": kinds["unknown show"]["right"]["type"]}
    assert kinds["unknown character"]["right"]["character"] == 0


def test_too_few_shows_to_rehearse_are_told_at_the_head(world: World) -> None:
    """A model of two shows could not learn what an unknown one looks like: its report begins with that, others' not."""
    for name, few in (("aloof", True), ("joint", False)):
        world.metrics(name)
        page = (world.home / "reports" / name / "report.html").read_text(encoding="utf-8")
        head = page[: page.index("<main")]
        assert ("With 2 shows, what the model does with a picture of an unknown show could not be" in head) == few


@pytest.mark.parametrize(
    ("model", "components"),
    [("joint", "pictures that the model was not trained on"), ("folds", "pictures that are not of the training part")],
)
def test_what_asks_and_what_is_asked_is_said_with_its_number(world: World, model: str, components: str) -> None:
    """The words below both tables of retrieval are about the very pictures that were counted."""
    found = world.metrics(model)["retrieval"]
    page = (world.home / "reports" / model / "report.html").read_text(encoding="utf-8")
    assert found["queries"] == found["gallery"] == "all 108 pictures of the library"
    asking, asked = (int(re.findall(r"\d+", found[f"components_{what}"])[0]) for what in ("queries", "gallery"))
    assert asking + asked == 108
    assert components in found["components_queries"]
    assert all(row["queries"] <= asking for row in found["components"])
    assert f"Queries: {found['components_queries']}. Gallery: {found['components_gallery']}" in page


@pytest.mark.parametrize("model", ["joint", "seed", "folds"])
def test_a_label_that_was_never_the_answer_is_explained(world: World, model: str) -> None:
    """Its precision is a dash in its row and 0 in the mean: the table says so, with how many there are."""
    labels = world.metrics(model)["labels"]
    page = (world.home / "reports" / model / "report.html").read_text(encoding="utf-8")
    expected = []
    for space, found in labels.items():
        rows = [row for row in world.table(model, f"by_{space}") if int(row["pictures"])]
        never = [row for row in rows if not row["precision"]]
        mean = sum(float(row["precision"] or 0.0) for row in rows) / len(rows)
        assert found["precision"]["value"] == pytest.approx(mean)
        expected += [str(len(never))] if never else []
    assert re.findall(r"Of the labels that occur, (\d+) (?:is|are) the answer to no picture", page) == expected


def test_a_rehearsal_stands_in_where_everybody_is_known(world: World) -> None:
    """Without strangers, characters of the test part are asked of heads that were trained without them."""
    metrics = world.metrics("joint")
    assert "trained without their characters" in metrics["verdict"]["source"]
    assert metrics["verdict"]["kinds"]["unknown character"]["pictures"] > 0
    assert metrics["verdict"]["kinds"]["unknown show"]["pictures"] > 0


def test_every_alteration_has_its_accuracy(world: World) -> None:
    """Six alterations beside the pictures as they are, whose accuracy is that of the test part."""
    metrics = world.metrics("joint")
    robustness = metrics["robustness"]
    assert set(robustness) == {
        "as it is",
        "mirrored",
        "head",
        "grey",
        "jpeg-30",
        "blurred",
        "half-resolution",
        "pictures",
    }
    assert robustness["as it is"]["character"]["value"] == pytest.approx(
        metrics["labels"]["character"]["top1"]["value"]
    )


def test_the_models_of_the_library_stand_beside_one_another(world: World) -> None:
    """The comparison lists every model of the home that was trained on this library."""
    names = {model["name"] for model in world.metrics("joint")["models"]}
    assert names == {"joint", "seed", "folds", "aloof"}


def test_a_second_report_replaces_the_first(world: World, tmp_path: Path) -> None:
    """Run again into the same folder, the report is whole and no half-written file stays."""
    for _ in range(2):
        done = world.run("evaluate", "seed", "--output", tmp_path / "report", "--json")
        assert done.code == 0, done.err
        assert done.answer["model"] == "seed"
        assert Path(done.answer["report"]).is_file()
    assert not [file for file in (tmp_path / "report").iterdir() if file.name.startswith(".")]


def test_a_library_alone_may_be_named(world: World, tmp_path: Path) -> None:
    """One argument that is a folder and no model is the library, even where it lacks a picture that it had."""
    other = tmp_path / "other"
    shutil.copytree(world.library, other)
    moved = min((other / "show-1" / "hero-0").iterdir())
    moved.unlink()
    done = world.run("evaluate", other, "--output", tmp_path / "report", "--json")
    assert done.code == 0, done.err
    assert done.answer["library"] == "other"
    assert done.answer["pictures"]["tested"] + done.answer["pictures"]["trained"] <= 107


def test_two_models_are_compared_on_the_same_pictures(world: World) -> None:
    """A sentence for each label space says which is better and whether that may be luck."""
    done = world.run("evaluate", "--compare", "joint", "seed", "--json")
    assert done.code == 0, done.err
    for space in ("type", "show", "character"):
        row = done.answer[space]
        assert row["pictures"] == row["both"] + row["only_a"] + row["only_b"] + row["neither"]
        assert re.search(r"n = \d+, p [=<]", row["sentence"])
    assert done.answer["tested"][0] >= done.answer["shared"] >= done.answer["character"]["pictures"]
    assert f"{done.answer['shared']} of these are the same" in world.run("evaluate", "--compare", "joint", "seed").out
    again = world.run("evaluate", "--compare", "joint", "joint", "--json").answer
    assert again["character"]["only_a"] == again["character"]["only_b"] == 0
    assert again["character"]["p_value"] == 1.0


def test_an_option_is_no_model(world: World) -> None:
    """`--compare` with one name takes the next option for no name: wrong usage, which says what it takes."""
    done = sokkuri("evaluate", "--compare", "joint", "--home", world.home)
    assert done.code == 2
    assert "it takes two models, and --home is none" in done.err.splitlines()[-1]


def test_verdicts_are_counted_level_by_level(world: World) -> None:
    """Whoever reads the table or the summary sees what was named, and how much of just that is right."""
    kinds = world.metrics("joint")["verdict"]["kinds"]
    for row in world.table("joint", "verdicts"):
        kind = kinds[row["pictures of"]]
        for level in ("character", "show", "type"):
            assert int(row[level]) == kind["said"][level]
            assert int(row[f"{level} right"]) == kind["right"][level]
        assert int(row["not sure"]) == kind["said"]["unknown"]
    page = (world.home / "reports" / "joint" / "report.html").read_text(encoding="utf-8")
    assert f"said aloud of {kinds['known']['pictures']} pictures of known characters" in page
    assert f"not sure {kinds['known']['said']['unknown']}" in page


def test_characters_without_a_test_picture_are_named(tmp_path: Path) -> None:
    """Training and evaluation say of whom nothing was tested; the report's table says so below."""
    root = library(tmp_path / "pictures", shows=2, characters=2, pictures=12)
    for picture in sorted((root / "show-1" / "hero-1").iterdir())[2:]:
        picture.unlink()
    home = ("--home", tmp_path / "home")
    trained = sokkuri("train", root, *BACKBONE, "--name", "few", *home)
    told = "no picture was tested of show-1/hero-1: how well they are told is not known"
    assert told in trained.out
    assert "newly embedded: 38 pictures and views of the library, and 40 drawn ones that show nobody" in trained.out
    assert "(after `sokkuri export` it is usually two to four times as fast, and so are answers)" in trained.out
    assert "with 2 shows, what the model does with a picture of an unknown show could not be rehearsed" in trained.out
    done = sokkuri("evaluate", "few", "--output", tmp_path / "report", *home)
    assert told in done.out
    assert told[1:] in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["labels"]["character"]["untested"] == ["show-1/hero-1"]
    assert metrics["labels"]["show"]["untested"] == []


def test_too_few_dimensions_for_a_curve_are_told_in_words(world: World) -> None:
    """Components are found in 76 training pictures: 64 dimensions are one point, which is in the table."""
    world.metrics("joint")
    folder = world.home / "reports" / "joint"
    assert not (folder / "components_plot.png").exists()
    assert "128, 256 and 512 dimensions were not tried" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nobody",), r"there is no model 'nobody'"),
        (("joint", "nowhere"), r"nowhere does not exist"),
        (("--compare", "joint", "nobody"), r"there is no model 'nobody'"),
    ],
)
def test_what_is_not_there_is_one_line(world: World, arguments: tuple[str, ...], line: str) -> None:
    """A model or library that does not exist is named in one line."""
    assert re.search(line, world.run("evaluate", *arguments).line)


def test_a_file_is_no_folder_for_a_report(world: World, tmp_path: Path) -> None:
    """An output that is a file is refused before anything is measured, and stays as it is."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert "is a file" in world.run("evaluate", "joint", "--output", tmp_path / "file").line
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_strange_library_is_refused(world: World, tmp_path: Path) -> None:
    """A model that knows nobody of a library cannot be measured on it."""
    strange = library(tmp_path / "strange", shows=1, characters=1, pictures=3)
    (strange / "show-0").rename(strange / "elsewhere")
    for table in ("shows.csv", "characters.csv"):
        (strange / table).unlink()
    assert "knows no character" in world.run("evaluate", "joint", strange).line


def test_no_more_is_right_than_was_said(world: World) -> None:
    """Verdicts are counted once each, and those that are right are among them."""
    for kind in world.metrics("aloof")["verdict"]["kinds"].values():
        for level, right in kind["right"].items():
            assert 0 <= right <= kind["said"][level]
        assert np.isclose(sum(kind["said"].values()), kind["pictures"])
