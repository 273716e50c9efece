"""The VGG19 that comes with Sokkuri: it is whole, small enough, and what is used where nothing better is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.training.bundled import NOTICE, Bundled
from indexer.training.weights import load_backbone
from recommender.bundled import FOLDER, WEIGHTS, read_card
from recommender.encoders.pooled import LAYER, WIDTH
from recommender.encoders.torch_encoder import TorchBackbone, network
from recommender.errors import ModelError, WeightsMissing
from recommender.folders import sha256
from recommender.types import DecodedImage, PictureId


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which torchvision keeps its weights, empty; nothing beyond this machine can be reached."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens on port 9
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_the_weights_are_those_of_the_card() -> None:
    """The file in the package has the digest that its card gives, and takes at most 60 MB."""
    card = read_card()
    file = FOLDER / WEIGHTS
    assert file.stat().st_size == card["bytes"] <= 60_000_000
    assert sha256(file) == card["sha256"]


def test_the_card_says_how_it_came_to_be() -> None:
    """Data, seed, hours, machine and teachers are there, so that anybody can make it again, or better."""
    card = read_card()
    assert {"drawings", "teachers", "phases", "seed", "hours", "machine", "views"} <= set(card)
    assert card["drawings"]["in_all"] >= card["drawings"]["identities"] > 1000


@pytest.mark.big
def test_bundled_weights_make_a_whole_backbone() -> None:
    """No layer is random; the model says everywhere what it was trained on; embeddings are 4,096 numbers."""
    loaded = load_backbone("vgg19", "bundled", seed=0)
    assert (loaded.random_layers, loaded.untrained) == ((), False)
    assert loaded.notice == NOTICE == loaded.to_json()["notice"]
    assert loaded.layer == LAYER
    assert loaded.preprocessing.size == read_card()["size"]
    backbone = TorchBackbone.of_network("vgg19", loaded.model, loaded.preprocessing, layer=loaded.layer)
    assert backbone.space.dimension == WIDTH
    assert backbone.space.layer == LAYER
    pixels = np.random.default_rng(0).integers(0, 256, (2, 90, 70, 3), dtype=np.uint8)
    pictures = [DecodedImage(PictureId(f"{number:064x}"), one, "PNG", 70, 90) for number, one in enumerate(pixels)]
    features = backbone.features(pictures)
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 0.01


def test_other_backbones_have_none() -> None:
    """One line says for which backbone weights come with Sokkuri."""
    with pytest.raises(WeightsMissing, match="vgg19 only: use --backbone vgg19"):
        load_backbone("squeezenet1_1", "bundled", seed=0)


@pytest.mark.big
@pytest.mark.usefixtures("offline")
def test_auto_falls_back_aloud(capfd: pytest.CaptureFixture[str]) -> None:
    """Without ImageNet weights at hand or within reach, auto takes the bundled ones and says so."""
    assert load_backbone("vgg19", "auto", seed=0).source == "bundled"
    said = capfd.readouterr()
    assert said.out == ""
    assert "using the vgg19 that comes with Sokkuri" in said.err


@pytest.mark.usefixtures("offline")
def test_auto_has_nothing_for_other_backbones() -> None:
    """Offline, one line names every way out."""
    with pytest.raises(WeightsMissing) as raised:
        load_backbone("squeezenet1_1", "auto", seed=0)
    line = str(raised.value)
    assert "\n" not in line
    for way in ("squeezenet1_1-b8a52dc0.pth", "--backbone vgg19", "--weights PATH", "--weights none"):
        assert way in line


def test_auto_takes_imagenet_where_it_is(offline: Path) -> None:
    """A file in torchvision's cache is used before anything is asked or fallen back to."""
    import torch
    import torchvision

    state = torchvision.models.get_model("squeezenet1_1", weights=None).state_dict()
    torch.save(state, offline / "squeezenet1_1-b8a52dc0.pth")
    assert load_backbone("squeezenet1_1", "auto", seed=0).source == "imagenet"


def test_a_package_without_its_weights_is_told(tmp_path: Path) -> None:
    """A missing or damaged file is one line that says what to do."""
    for content in (None, b"{}", b"not json"):
        if content is not None:
            (tmp_path / "vgg19.json").write_bytes(content)
        with pytest.raises(WeightsMissing, match="install it again"):
            Bundled.read(tmp_path)
    (tmp_path / "vgg19.json").write_text('{"sha256": "0", "size": 96}')
    (tmp_path / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(WeightsMissing, match="install it again"):
        Bundled.read(tmp_path)


def test_only_a_vgg_has_a_light_top() -> None:
    """A model.json that asks for it elsewhere was not written by Sokkuri."""
    with pytest.raises(ModelError, match="only a VGG"):
        network("squeezenet1_1", LAYER)
