"""A training that was broken off: resumed, it comes to the same end as an unbroken one, or says why it cannot."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from recommender.modelfolder import ModelFolder
from tests.indexer.libraries import library
from tests.indexer.worlds import BACKBONE, EMBEDDED, World, stop
from tests.pictures import picture

pytestmark = pytest.mark.slow


LONG = ("--folds", "3")
"""So many stages that a training can be stopped in the midst of it."""


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
    stop(world, "broken", *LONG, when=lambda: world.records(growing=True) > EMBEDDED)
    assert not world.checkpoints()
    stop(world, "broken", *LONG, "--resume", when=lambda: "choosing" in world.checkpoints())
    stop(world, "broken", *LONG, "--resume", when=lambda: "fold-2-choosing" in world.checkpoints())
    done = world.run("train", world.library, *BACKBONE, *LONG, "--name", "broken", "--resume", "--json")
    assert done.code == 0, done.err
    assert done.answer["embedded"] == 0
    assert re.search(
        r"going on with the training of broken: fold 2, choosing epochs after epoch \d+ of at most \d+; "
        r"before that, heads after epoch \d+ of at most \d+, fold 1",
        done.err,
    )
    assert not world.checkpoints()
    world.train(*LONG, "--name", "whole")
    _require_same_models(world.model("broken"), world.model("whole"))


@pytest.mark.usefixtures("untouched")
def test_a_training_is_resumed_as_it_was_begun_or_not_at_all(world: World) -> None:
    """Other options, another library, a damaged checkpoint: one line says what to do; else it begins anew."""
    stop(world, "mine", *LONG, when=lambda: "choosing" in world.checkpoints())
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
    assert "going on" not in done.err
    assert world.model("new").manifest["training"]["final_epochs"] == 1


def test_a_tuned_backbone_is_resumed_to_the_same_end(tmp_path: Path) -> None:
    """Killed after an epoch of the convolutions, it goes on there; the model has a backbone and curves of its own.

    With so few pictures that there are none to choose by, the last epoch counts.
    """
    world = World(tmp_path / "home", library(tmp_path / "library", shows=2, characters=1, pictures=1))
    tuning = ("--unfreeze", "last-block", "--epochs", "4", "--views", "0")
    stop(world, "broken", *tuning, when=lambda: "backbone" in world.checkpoints())
    done = world.run("train", world.library, *BACKBONE, *tuning, "--name", "broken", "--resume")
    assert done.code == 0, done.err
    assert "going on after epoch" in done.err
    assert re.search(r"going on with the training of broken: the backbone after epoch \d of at most 4", done.err)
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


def test_what_came_to_its_end_is_not_resumed(world: World) -> None:
    """The line says that the model is there; nothing changes."""
    line = world.run("train", world.library, *BACKBONE, "--name", "squeezenet1_1-1", "--resume").line
    assert "there is nothing to resume: the training of 'squeezenet1_1-1' came to its end" in line


def test_a_crash_before_a_model_has_its_row_costs_no_name(world: World) -> None:
    """A folder that was just written, and that no row names, is made again from its checkpoints."""
    stop(world, "late", *LONG, when=lambda: "fold-3" in world.checkpoints())
    kept = shutil.copytree(world.home / "training/late", world.home / "kept")
    world.train(*LONG, "--name", "late", "--resume")
    with closing(sqlite3.connect(world.home / "catalogue.db")) as catalogue, catalogue:
        catalogue.execute("delete from models where name = 'late'")
    kept.rename(world.home / "training/late")
    before = world.model("late").heads().to_tensors()
    world.train(*LONG, "--name", "late", "--resume")
    after = world.model("late").heads().to_tensors()
    assert all(np.array_equal(after[name], tensor) for name, tensor in before.items())
    assert json.loads(world.run("models", "--json").out)[0]["name"] == "late"
