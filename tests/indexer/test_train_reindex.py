"""From a folder of pictures to an answer, through the commands."""

from __future__ import annotations

import csv
import io
import pickletools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.catalogue import Catalogue
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from tests.indexer.libraries import library
from tests.indexer.worlds import BACKBONE, EMBEDDED, NOBODY, PICTURES, VIEWS, World, add_pictures
from tests.pictures import picture, pixels, saved

pytestmark = pytest.mark.slow


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
    add_pictures(world.library, 3)
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
    first = world.train("--views", "0")
    assert (first["embedded"], first["embedded_of_nobody"]) == (6, NOBODY)
    assert world.train("--views", "1")["embedded"] == 6
    assert world.train("--views", "3")["embedded"] == 12
    assert world.train("--views", "2")["embedded"] == 0
    assert world.records() == 6 * 4 + NOBODY
    assert world.model("squeezenet1_1-1").manifest["training"]["views"] == 0


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
