"""The laws of `Encoder`, held by the fake of the tests, by a real network with random weights, and by its exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.exporting import exported
from recommender.calibration import LEVELS, Calibration, Certainty, Nearness
from recommender.encoder import ModelEncoder
from recommender.encoders import open_encoder
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.encoders.torch_encoder import TorchBackbone, network
from recommender.errors import NotFound, SpaceMismatch
from recommender.exports import PRECISIONS
from recommender.heads import SPACES, Heads, Input
from recommender.images import Preprocessing, decode
from recommender.labels import Hierarchy
from recommender.modelfolder import ModelFolder, NewModel, TrainedPictures, write_model
from recommender.ports import Encoder
from recommender.processor import BFLOAT16, instructions
from recommender.projection import Projection
from recommender.settings import Settings
from recommender.types import Character, DecodedImage, Encoding, Prediction, Show
from tests.fakes import FakeEncoder
from tests.pictures import picture

SEA, HILLS = Show("sea", "Sea"), Show("hills", "Hills")
CAST = (
    Character("ada", "Ada", SEA, "female"),
    Character("bob", "Bob", SEA, "male"),
    Character("cat", "Cat", HILLS, None),
)
HIERARCHY = Hierarchy.of(CAST)
BATCH = 7
"""More pictures than go through a network at once."""


@pytest.fixture(scope="module")
def images() -> list[DecodedImage]:
    """Return a batch of pictures of several sizes."""
    return [decode(picture(seed, (40 + 30 * seed, 90 - 5 * seed))) for seed in range(BATCH)]


def written(folder: Path, reads: Input, *, joint: bool, projected: bool = False) -> ModelFolder:
    """Write a model folder: SqueezeNet and heads, both with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = network("squeezenet1_1")
    backbone = TorchBackbone.of_network("squeezenet1_1", net, Preprocessing(size=64))
    generator = np.random.default_rng(0)
    tensors = {
        f"{name}.{part}": generator.normal(scale=3, size=shape).astype(np.float32)
        for name, space in zip(SPACES, HIERARCHY.spaces, strict=True)
        for part, shape in (("weight", (len(space), backbone.space.dimension)), ("bias", (len(space),)))
    }
    new_model = NewModel(
        space=backbone.space,
        preprocessing=backbone.preprocessing,
        heads=replace(Heads.from_tensors(HIERARCHY, tensors), joint=joint, reads=reads),
        calibration=Calibration(certainty=dict.fromkeys(LEVELS, Certainty(threshold=0.6))),
        weights={"untrained": True, "notice": "This model is untrained."},
        pictures=TrainedPictures((), np.zeros(0, np.int64), np.zeros(0, np.int64)),
        facts={},
        projection=some_projection(backbone.space.dimension) if projected else None,
    )
    return write_model(folder, new_model, backbone.save)


def some_projection(dimension: int) -> Projection:
    """Invent a projection to 20 numbers."""
    draw = np.random.default_rng(1)
    directions = draw.normal(size=(dimension, 20)).astype(np.float32)
    return Projection(draw.normal(scale=0.01, size=dimension).astype(np.float32), directions, whitened=False)


@pytest.fixture(scope="module")
def projecting_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Write a model that projects embeddings."""
    return written(tmp_path_factory.mktemp("models") / "projecting", "embedding", joint=True, projected=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Write a model with joint heads over embeddings."""
    return written(tmp_path_factory.mktemp("models") / "random", "embedding", joint=True)


@pytest.fixture(scope="module")
def separate_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Write a model with separate heads over features."""
    return written(tmp_path_factory.mktemp("models") / "separate", "features", joint=False)


@pytest.fixture(scope="module")
def exports(
    tmp_path_factory: pytest.TempPathFactory, images: list[DecodedImage]
) -> dict[str, tuple[ModelFolder, OpenVinoBackbone]]:
    """Export a model in every precision that this processor has."""
    folder = written(tmp_path_factory.mktemp("models") / "exported", "embedding", joint=True)
    precisions = [name for name in PRECISIONS if name != "bf16" or instructions() & BFLOAT16]
    return {
        name: (folder, OpenVinoBackbone.load(exported(folder, name, images), folder.preprocessing, 2))
        for name in precisions
    }


@pytest.fixture(params=["fake", "model", "separate_model", "projecting_model", *PRECISIONS])
def encoder(request: pytest.FixtureRequest, images: list[DecodedImage]) -> Encoder:
    """Return an encoder of each kind."""
    if request.param == "fake":
        return FakeEncoder(dict(zip(CAST, images, strict=False)))
    if request.param in PRECISIONS:
        exports = request.getfixturevalue("exports")
        if request.param not in exports:
            pytest.skip(f"this processor does not compute in {request.param}")
        return ModelEncoder(*exports[request.param])
    folder: ModelFolder = request.getfixturevalue(request.param)
    return ModelEncoder(folder, TorchBackbone.load(folder))


def probabilities(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return the probability of each label."""
    return {one.label: one.probability for one in predictions}


def test_embeddings_have_unit_length_and_the_declared_space(encoder: Encoder, images: list[DecodedImage]) -> None:
    """Every vector is float32, of the space's dimension and of length 1, and says which space it is of."""
    for encoding in encoder.encode(images):
        vector = encoding.embedding.vector
        assert vector.shape == (encoder.space.dimension,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
        assert encoding.embedding.space == encoder.space.fingerprint


def assert_alike(one: Encoding, other: Encoding) -> None:
    """Hold two encodings equal, as far as the order of additions lets them be."""
    np.testing.assert_allclose(one.embedding.vector, other.embedding.vector, atol=1e-5)
    for ours, theirs in (
        (one.types, other.types),
        (one.characters, other.characters),
        (one.shows, other.shows),
    ):
        assert probabilities(ours) == pytest.approx(probabilities(theirs), abs=1e-4)


def test_a_batch_equals_single_calls(encoder: Encoder, images: list[DecodedImage]) -> None:
    """What is said about a picture does not depend on the others in its batch, and the order is kept."""
    together = encoder.encode(images)
    assert len(together) == len(images)
    for image, encoding in zip(images, together, strict=True):
        assert_alike(encoding, encoder.encode([image])[0])


def test_pictures_are_told_apart(encoder: Encoder, images: list[DecodedImage]) -> None:
    """Different pictures have different embeddings, and one picture twice has the same."""
    vectors = np.stack([encoding.embedding.vector for encoding in encoder.encode([*images, images[0]])])
    assert np.abs(vectors[0] - vectors[-1]).max() < 1e-5
    assert all(np.abs(vectors[0] - other).max() > 1e-4 for other in vectors[1:-1])


def test_no_pictures_give_no_encodings(encoder: Encoder) -> None:
    """An empty batch is no error."""
    assert encoder.encode([]) == []


def test_labels_are_those_of_the_hierarchy_best_first(encoder: Encoder, images: list[DecodedImage]) -> None:
    """Each list names every label of its space once, by falling probability."""
    for encoding in encoder.encode(images):
        lists = (encoding.types, encoding.characters, encoding.shows)
        for space, predictions in zip(encoder.hierarchy.spaces, lists, strict=True):
            assert sorted(one.label for one in predictions) == sorted(space.labels)
            values = [one.probability for one in predictions]
            assert values == sorted(values, reverse=True)
            assert all(0 <= value <= 1 for value in values)


def test_labels_are_consistent(encoder: Encoder, images: list[DecodedImage]) -> None:
    """Characters sum to 1, a show's probability is the sum of its characters', a type's likewise."""
    for encoding in encoder.encode(images):
        characters = probabilities(encoding.characters)
        assert sum(characters.values()) == pytest.approx(1.0)
        for show, probability in probabilities(encoding.shows).items():
            own = [characters[one.label] for one in encoder.hierarchy.characters if one.show.slug == show]
            assert probability == pytest.approx(sum(own))
        for kind, probability in probabilities(encoding.types).items():
            own = [characters[one.label] for one in encoder.hierarchy.characters if one.type == kind]
            assert probability == pytest.approx(sum(own))


def test_the_best_labels_are_the_heads_of_the_lists(encoder: Encoder, images: list[DecodedImage]) -> None:
    """What a verdict chooses from is the likeliest label of each space."""
    for encoding in encoder.encode(images):
        assert encoding.best == {
            "type": encoding.types[0],
            "character": encoding.characters[0],
            "show": encoding.shows[0],
        }


def test_the_verdict_is_one_of_the_best_labels(encoder: Encoder, images: list[DecodedImage]) -> None:
    """What the model is sure of is the head of a list; or nothing. Its probability is one."""
    for encoding in encoder.encode(images):
        verdict = encoder.calibration.verdict(encoding.best, Nearness(0.9, dict.fromkeys(LEVELS, 0.9)))
        assert verdict.label == (None if verdict.level == "unknown" else encoding.best[verdict.level].label)
        assert 0 <= verdict.probability <= 1


@pytest.mark.parametrize("name", ["same_character", "same_show", "character_score", "show_score"])
def test_more_similar_is_never_less_likely(encoder: Encoder, name: str) -> None:
    """What similarities and scores are worth is a probability that never falls."""
    worth = getattr(encoder.calibration, name)
    found = [worth(similarity) for similarity in np.linspace(-1, 1, 21)]
    assert found == sorted(found)
    assert all(0 <= value <= 1 for value in found)


def test_a_model_says_who_it_is(encoder: Encoder) -> None:
    """Name, backbone and engine are there for every answer; an untrained model has a notice."""
    assert encoder.info.name
    assert encoder.info.backbone == encoder.space.backbone
    assert encoder.info.engine.endswith(encoder.space.precision)
    assert bool(encoder.info.notice) == encoder.info.untrained


def test_a_reopened_model_says_the_same(model: ModelFolder, images: list[DecodedImage]) -> None:
    """Two openings of one folder agree to the last bit, and so does the space that the weights themselves give."""
    first, second = (ModelEncoder(model, TorchBackbone.load(ModelFolder.open(model.path))) for _ in range(2))
    for one, other in zip(first.encode(images[:2]), second.encode(images[:2]), strict=True):
        assert np.array_equal(one.embedding.vector, other.embedding.vector)
        assert one.characters == other.characters
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        again = TorchBackbone.of_network("squeezenet1_1", network("squeezenet1_1"), Preprocessing(size=64))
    assert again.space == model.space


def test_heads_are_asked_about_what_they_read(separate_model: ModelFolder, images: list[DecodedImage]) -> None:
    """Heads over features get the features, and what they say about characters is the answer; the rest are its sums."""
    backbone = TorchBackbone.load(separate_model)
    said = separate_model.heads().probabilities(backbone.features(images)).character
    for row, encoding in zip(said, ModelEncoder(separate_model, backbone).encode(images), strict=True):
        expected = dict(zip(HIERARCHY.character_space.labels, row.tolist(), strict=True))
        assert probabilities(encoding.characters) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [64, 80])
def test_a_backbone_of_another_space_is_refused(model: ModelFolder, size: int) -> None:
    """Other weights or another preprocessing under the same heads is a SpaceMismatch that names the model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1 if size == 64 else 0)
        other = TorchBackbone.of_network("squeezenet1_1", network("squeezenet1_1"), Preprocessing(size=size))
    with pytest.raises(SpaceMismatch, match="model random"):
        ModelEncoder(model, other)


def test_a_projection_changes_what_is_compared_and_not_what_is_said(
    model: ModelFolder, projecting_model: ModelFolder, images: list[DecodedImage]
) -> None:
    """Heads read the whole embedding: labels are those of the model without a projection; embeddings are projected."""
    plain, projecting = (ModelEncoder(folder, TorchBackbone.load(folder)) for folder in (model, projecting_model))
    projection = projecting_model.projection()
    assert projection is not None
    assert (projecting.space.dimension, projecting.space) == (20, projection.space_of(plain.space))
    for one, other in zip(plain.encode(images), projecting.encode(images), strict=True):
        assert probabilities(one.characters) == pytest.approx(probabilities(other.characters), abs=1e-6)
        expected = projection.of(one.embedding.vector[np.newaxis])[0]
        np.testing.assert_allclose(other.embedding.vector, expected, atol=1e-5)


def test_an_export_projects_as_its_model_does(tmp_path: Path, images: list[DecodedImage]) -> None:
    """Model and export are opened by the spaces of what is stored; nothing is stored in that of whole embeddings."""
    folder = written(tmp_path / "models" / "projecting", "embedding", joint=True, projected=True)
    export = exported(folder, "f32", images)
    settings = Settings(home=tmp_path, threads=1)
    vectors = []
    for space in (folder.space, export.space):
        stored = folder.stored_space(space)
        encoder = open_encoder(settings, "projecting", stored.fingerprint)
        assert encoder.space == stored
        vectors.append(np.stack([encoding.embedding.vector for encoding in encoder.encode(images)]))
        with pytest.raises(NotFound):
            open_encoder(settings, "projecting", space.fingerprint)
    assert vectors[0].shape == (len(images), 20)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-3)
