"""`recommender.modelfolder`: a trained model comes back from the disk as it was, or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from recommender.calibration import Calibration, Certainty, ProbabilityMap
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, Corrupt, LabelMismatch, NotFound
from recommender.folders import sha256
from recommender.heads import SPACES, Heads, Input
from recommender.images import Preprocessing
from recommender.labels import Hierarchy
from recommender.modelfolder import (
    BACKBONE,
    FOLDS,
    HEADS,
    MANIFEST,
    PICTURES,
    ModelFolder,
    NewModel,
    TrainedPictures,
    write_model,
)
from recommender.projection import Projection
from recommender.types import Character, Matrix, PictureId, Show

SHOW = Show("show", "Shöw そ", 2001)
HIERARCHY = Hierarchy.of((Character("a", "A", SHOW, "male"), Character("b", "B", SHOW, None)))
SPACE = EmbeddingSpace("toy", "w" * 64, "penultimate", Preprocessing(size=64).describe, dimension=4)
CALIBRATION = Calibration(
    {"type": 0.8, "character": 1.7, "show": 2.5},
    0.9,
    {"character": Certainty(0.5, 1.0, 2.0, 3.0, 4.0)},
    ProbabilityMap((0.0, 0.5, 1.0), (0.1, 0.2, 0.9)),
)
PICTURE_IDS = tuple(PictureId(f"{number:064x}") for number in (7, 2**255 + 1, 0))
SPLIT = TrainedPictures(PICTURE_IDS, np.array([2, -1, 0]), np.array([300, -1, 0]))
NOTICE = "This model is untrained."
EMBEDDINGS: Matrix = np.eye(4, dtype=np.float32)


@dataclass(frozen=True)
class Files:
    """A written model, and its manifest to tamper with."""

    path: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """What model.json says."""
        fields: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        return fields

    def rewrite(self, manifest: object) -> None:
        """Replace model.json."""
        (self.path / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def some_heads(seed: int = 0) -> Heads:
    """Invent heads, with the temperatures of the calibration."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for name, space in zip(SPACES, HIERARCHY.spaces, strict=True):
        tensors[f"{name}.weight"] = generator.normal(size=(len(space), 4)).astype(np.float32)
        tensors[f"{name}.bias"] = generator.normal(size=len(space)).astype(np.float32)
    return replace(Heads.from_tensors(HIERARCHY, tensors), temperatures=CALIBRATION.temperatures)


def new_model(**weights: object) -> NewModel:
    """Invent a model."""
    about = {"source": "none", "untrained": True, "random_layers": [], "notice": NOTICE} | weights
    return NewModel(
        space=SPACE,
        preprocessing=Preprocessing(size=64),
        heads=some_heads(),
        calibration=CALIBRATION,
        weights=about,
        pictures=SPLIT,
        facts={"metrics": {"character": 0.5}},
        folds=(some_heads(1), some_heads(2)),
        files={"history.csv": b"epoch\r\n1\r\n"},
    )


def save_backbone(file: Path) -> None:
    """Write a backbone of one tensor."""
    save_file({"layer.weight": np.arange(12, dtype=np.float32)}, file)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write a model."""
    return Files(write_model(tmp_path / "models" / "toy-1", new_model(), save_backbone).path)


def test_a_model_comes_back_as_it_was(files: Files) -> None:
    """Name, labels, space, preprocessing, calibration, notice, tensors and probabilities survive the disk."""
    folder, model = ModelFolder.open(files.path), new_model()
    assert folder.name == "toy-1"
    assert folder.hierarchy == HIERARCHY
    assert (folder.space, folder.preprocessing, folder.calibration) == (SPACE, model.preprocessing, CALIBRATION)
    assert (folder.untrained, folder.notice) == (True, NOTICE)
    assert folder.manifest["metrics"] == {"character": 0.5}
    found, expected = folder.heads().probabilities(EMBEDDINGS), model.heads.probabilities(EMBEDDINGS)
    assert np.array_equal(found.character, expected.character)
    assert np.array_equal(load_file(files.path / BACKBONE)["layer.weight"], np.arange(12, dtype=np.float32))


def test_the_folder_holds_its_files_and_no_pickle(files: Files) -> None:
    """A model is model.json, which holds the checksums of all others and the label digests, and what it was given."""
    others = {BACKBONE, HEADS, PICTURES, FOLDS, "history.csv"}
    assert {file.name for file in files.path.iterdir()} == {MANIFEST} | others
    assert set(files.manifest["files"]) == others
    assert (files.path / "history.csv").read_bytes() == b"epoch\r\n1\r\n"
    assert files.manifest["labels"]["digests"] == {space.name: space.digest for space in HIERARCHY.spaces}
    assert ModelFolder.open(files.path).digest == sha256(files.path / MANIFEST)


def test_a_model_knows_the_pictures_that_it_was_trained_on(files: Files) -> None:
    """Ids, parts and folds come back in their order, with -1 for who is in none, and folds beyond what a byte holds."""
    found = ModelFolder.open(files.path).pictures()
    assert found.id == PICTURE_IDS
    assert found.part.tolist() == [2, -1, 0]
    assert found.fold.tolist() == [300, -1, 0]
    assert found.part.dtype == found.fold.dtype == np.int64


@pytest.mark.parametrize("count", [0, 1, 12])
def test_the_heads_of_each_fold_come_back_in_order(tmp_path: Path, count: int) -> None:
    """Fold 10 comes after fold 9 and not after fold 1; a model without folds has no file of them."""
    folds = tuple(some_heads(seed) for seed in range(count))
    folder = write_model(tmp_path / "toy", replace(new_model(), folds=folds), save_backbone)
    found = folder.fold_heads()
    assert len(found) == count
    assert (folder.path / FOLDS).exists() == bool(count)
    for one, expected in zip(found, folds, strict=True):
        assert np.array_equal(one.weights["character"], expected.weights["character"])
        assert one.temperatures == CALIBRATION.temperatures


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("reads", ["embedding", "features"])
def test_heads_come_back_as_what_they_were(tmp_path: Path, reads: Input, *, joint: bool) -> None:
    """Joint or separate, over embeddings or features: nothing of it is left to guess, in no fold either."""
    heads = replace(some_heads(), joint=joint, reads=reads)
    model = replace(new_model(), heads=heads, folds=(heads,))
    folder = write_model(tmp_path / "toy", model, save_backbone)
    for found in (folder.heads(), *folder.fold_heads()):
        assert (found.joint, found.reads, found.temperatures) == (joint, reads, CALIBRATION.temperatures)
        expected = heads.probabilities(EMBEDDINGS)
        for space in SPACES:
            assert np.array_equal(getattr(found.probabilities(EMBEDDINGS), space), getattr(expected, space))


@pytest.mark.parametrize("name", [BACKBONE, HEADS, PICTURES, FOLDS, "history.csv"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_a_damaged_file_is_named(files: Files, name: str, damage: str) -> None:
    """A changed bit, a missing end or a missing file: opening raises Corrupt with the file's name and what to do."""
    file = files.path / name
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[-1] ^= 1
        file.write_bytes(data)
    elif damage == "cut":
        file.write_bytes(data[:-1])
    else:
        file.unlink()
    with pytest.raises(Corrupt, match=f"/toy-1/{name} .*sokkuri train"):
        ModelFolder.open(files.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"format": 2}', '{"format": 2, "files": []}', "\x80"])
def test_a_manifest_that_cannot_be_read_is_named(files: Files, text: str) -> None:
    """A model.json that is cut off or is no description of a model is Corrupt."""
    (files.path / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(Corrupt, match=f"/toy-1/{MANIFEST} is damaged"):
        ModelFolder.open(files.path)


@pytest.mark.parametrize(
    "field", ["format", "weights", "labels", "preprocessing", "space", "heads", "calibration", "files"]
)
def test_a_missing_field_is_noticed_at_opening(files: Files, field: str) -> None:
    """What a server will need later is looked at when the model is opened, not in the middle of a request."""
    fields = files.manifest
    del fields[field]
    files.rewrite(fields)
    with pytest.raises(Corrupt, match=MANIFEST):
        ModelFolder.open(files.path)


@pytest.mark.parametrize("number", [1, 4])
def test_another_format_is_refused(files: Files, number: int) -> None:
    """A model of an earlier or later Sokkuri is refused in words that say so, and what to do."""
    files.rewrite(files.manifest | {"format": number})
    with pytest.raises(Corrupt, match=f"format {number}, this Sokkuri reads 2 and 3: train the model again"):
        ModelFolder.open(files.path)


def test_labels_that_were_tampered_with_are_refused(files: Files) -> None:
    """Labels whose digest is not the recorded one would put wrong names to right numbers: LabelMismatch."""
    fields = files.manifest
    fields["labels"]["characters"].reverse()
    files.rewrite(fields)
    with pytest.raises(LabelMismatch, match="label space character"):
        ModelFolder.open(files.path)


def test_a_model_that_is_not_there_is_named() -> None:
    """Opening a model that does not exist says which, and how to list those that do."""
    with pytest.raises(NotFound, match=r"'nobody'.*sokkuri models"):
        ModelFolder.open(Path("models") / "nobody")


def test_a_name_is_used_once(files: Files) -> None:
    """A second model of the same name is refused, and the first stays as it is."""
    before = sha256(files.path / MANIFEST)
    with pytest.raises(BuildError, match=r"'toy-1'.*--name"):
        write_model(files.path, new_model(notice="other"), save_backbone)
    assert sha256(files.path / MANIFEST) == before


def test_nothing_remains_of_a_model_that_could_not_be_written(tmp_path: Path) -> None:
    """Where the backbone cannot be saved there is no half of a model."""

    def fail(file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_model(tmp_path / "models" / "toy-1", new_model(), fail)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_projection_comes_back_and_names_the_space(files: Files, tmp_path: Path) -> None:
    """A model that projects has a format of its own, the same numbers again, and stores in the projected space."""
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(4, 2)).astype(np.float32)
    projection = Projection(np.full(4, 0.1, np.float32), directions, whitened=True)
    model = write_model(tmp_path / "projecting", replace(new_model(), projection=projection), save_backbone)
    assert model.manifest["format"] == 3
    again = model.projection()
    assert again is not None
    assert np.array_equal(again.of(EMBEDDINGS), projection.of(EMBEDDINGS))
    assert model.space == SPACE
    assert model.stored_space(SPACE) == projection.space_of(SPACE) == again.space_of(SPACE)
    plain = ModelFolder.open(files.path)
    assert (plain.manifest["format"], plain.projection(), plain.stored_space(SPACE)) == (2, None, SPACE)


def test_another_projection_than_the_models_is_corrupt(tmp_path: Path) -> None:
    """A file of other numbers, or none, is told when it is read: vectors of two projections never meet."""
    projection = Projection(np.zeros(4, np.float32), np.eye(4, 2, dtype=np.float32), whitened=False)
    model = write_model(tmp_path / "projecting", replace(new_model(), projection=projection), save_backbone)
    save_file(replace(projection, mean=np.ones(4, np.float32)).to_tensors(), model.path / "projection.safetensors")
    with pytest.raises(Corrupt, match=r"projecting/projection\.safetensors"):
        ModelFolder.open(model.path)
    with pytest.raises(Corrupt, match="is not the projection of the model: train the model again"):
        model.projection()
    (model.path / "projection.safetensors").unlink()
    with pytest.raises(Corrupt, match=r"projection\.safetensors"):
        model.projection()
