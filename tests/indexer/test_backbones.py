"""`recommender.encoders.torch_encoder`: any torchvision network gives the input of its last layer as features."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from recommender.calibration import Calibration
from recommender.encoders.torch_encoder import TorchBackbone, last_layer, network, removed_layer, weights_digest
from recommender.errors import Corrupt, ModelError
from recommender.heads import SPACES, Heads
from recommender.images import Preprocessing, decode
from recommender.labels import Hierarchy
from recommender.modelfolder import BACKBONE, ModelFolder, NewModel, TrainedPictures, write_model
from recommender.types import Character, Show
from tests.pictures import picture

pytestmark = pytest.mark.slow

SMALL = ("squeezenet1_1", "mobilenet_v3_small", "resnet18")
"""Networks that are quick enough to be computed with real weights."""
DIMENSIONS = {
    "vgg19": 4096,
    "squeezenet1_0": 512,
    "mobilenet_v2": 1280,
    "resnet50": 2048,
    "efficientnet_b0": 1280,
    "convnext_tiny": 768,
    "vit_b_16": 768,
    "swin_t": 768,
    "densenet121": 1024,
    "googlenet": 1024,
    "inception_v3": 2048,
    "alexnet": 4096,
}
"""How long the input of the last layer is, from the papers and torchvision's source."""
CAST = Hierarchy.of([Character("a", "A", Show("x", "X")), Character("b", "B", Show("x", "X"))])


def _original(name: str) -> nn.Module:
    """Build a network as torchvision makes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # GoogLeNet and Inception tell of a new default
        model: nn.Module = torchvision.models.get_model(name, weights=None)
    return model.eval()


@contextmanager
def _input_of_the_last_layer(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Note what the last layer of a network is given."""
    seen: list[torch.Tensor] = []
    handle = model.get_submodule(last_layer(model)).register_forward_hook(lambda _, given, __: seen.append(given[0]))
    yield seen
    handle.remove()


@pytest.mark.parametrize("name", SMALL)
def test_features_are_the_input_of_the_last_layer(name: str) -> None:
    """With the same weights the network gives what torchvision's own gives to its last layer, a map being averaged."""
    torch.manual_seed(0)
    original = _original(name)
    own = network(name)
    own.load_state_dict({key: tensor for key, tensor in original.state_dict().items() if key in own.state_dict()})
    pictures = torch.randn(2, 3, 64, 64)
    with torch.inference_mode(), _input_of_the_last_layer(original) as seen:
        original(pictures)
        features = own(pictures)
    (expected,) = seen
    if expected.dim() == 4:
        expected = expected.relu().mean(dim=(2, 3))
    assert torch.allclose(features, expected, atol=1e-5)
    assert features.shape == (2, expected.shape[1])


@pytest.mark.parametrize("name", DIMENSIONS)
def test_every_family_gives_its_dimension(name: str) -> None:
    """A forward pass without values, on the `meta` device, shows the length of the features; no warning is given."""
    with torch.device("meta"):
        model = network(name)
        features = model(torch.empty(2, 3, 224, 224))
    assert features.shape == (2, DIMENSIONS[name])
    assert not model.training
    assert removed_layer(name) not in {key.rpartition(".")[0] for key in model.state_dict()}


def test_vgg19_keeps_all_but_its_last_layer() -> None:
    """Of VGG19 only the layer of the 1000 classes goes: 16 convolutions and two dense layers of 4096 stay."""
    with torch.device("meta"):
        model = network("vgg19")
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert removed_layer("vgg19") == "classifier.6"
    assert len(layers) == 18
    assert isinstance(layers[-1], nn.Linear)
    assert layers[-1].out_features == 4096
    assert sum(tensor.numel() for tensor in model.parameters()) == 143_667_240 - 4_097_000


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_side_outputs_are_left_out(name: str) -> None:
    """What only training needs is not built, not stored, and not taken for a layer that stayed random."""
    with torch.device("meta"):
        assert not [key for key in network(name).state_dict() if key.lower().startswith("aux")]


def test_an_unknown_backbone_suggests_near_names() -> None:
    """A misspelt name gets the names that it may stand for; names of other kinds of networks are not backbones."""
    with pytest.raises(ModelError, match=r"'vgg-19': did you mean .*vgg19"):
        network("vgg-19")
    with pytest.raises(ModelError, match=r"'resnet5O': did you mean .*resnet50"):
        network("resnet5O")
    for other in ("fasterrcnn_resnet50_fpn", "@"):
        with pytest.raises(ModelError, match=r"has no backbone .*: vgg19 is one"):
            network(other)


def test_the_digest_stands_for_the_weights() -> None:
    """Equal weights have one digest, and one changed number in one tensor another."""
    torch.manual_seed(0)
    one, other = network("squeezenet1_1"), network("squeezenet1_1")
    assert weights_digest(one) != weights_digest(other)
    other.load_state_dict(one.state_dict())
    assert weights_digest(one) == weights_digest(other)
    with torch.no_grad():
        next(iter(other.parameters())).view(-1)[0] += 1
    assert weights_digest(one) != weights_digest(other)


def _stored(folder: Path, backbone: TorchBackbone) -> ModelFolder:
    """Write a model folder with this backbone and heads of zeros."""
    dimension = backbone.space.dimension
    weights = {
        name: np.zeros((len(space), dimension), np.float32) for name, space in zip(SPACES, CAST.spaces, strict=True)
    }
    heads = Heads(CAST, weights, {name: np.zeros(len(rows), np.float32) for name, rows in weights.items()})
    said = {"source": "none", "untrained": True, "random_layers": [], "notice": ""}
    nothing = TrainedPictures((), np.zeros(0, np.int64), np.zeros(0, np.int64))
    model = NewModel(backbone.space, backbone.preprocessing, heads, Calibration(), said, nothing, {})
    return write_model(folder, model, backbone.save)


@pytest.mark.parametrize("name", ["squeezenet1_1", "regnet_x_400mf"])
def test_a_stored_backbone_gives_the_same_features(name: str, tmp_path: Path) -> None:
    """Through a real model folder and back, features are equal bit for bit, and so is the embedding space."""
    torch.manual_seed(0)
    backbone = TorchBackbone.of_network(name, network(name), Preprocessing(size=64))
    images = [decode(picture(seed)) for seed in range(3)]
    folder = _stored(tmp_path / "models" / "one", backbone)
    again = TorchBackbone.load(ModelFolder.open(folder.path))
    assert again.space == backbone.space
    assert again.preprocessing == backbone.preprocessing
    assert np.array_equal(again.features(images), backbone.features(images))
    assert again.features(images).dtype == np.float32


def test_a_batch_gives_what_single_calls_give() -> None:
    """How many pictures are asked about at once does not matter, nor does their order; none give no rows."""
    torch.manual_seed(0)
    backbone = TorchBackbone.of_network("squeezenet1_1", network("squeezenet1_1"), Preprocessing(size=64))
    images = [decode(picture(seed)) for seed in range(7)]
    batch = backbone.features(images)
    singles = np.concatenate([backbone.features([image]) for image in images])
    assert np.allclose(batch, singles, rtol=1e-4, atol=1e-6)
    assert np.allclose(backbone.features(images[::-1]), batch[::-1], rtol=1e-4, atol=1e-6)
    assert backbone.features([]).shape == (0, 512)


def test_weights_of_half_as_many_bits_run(tmp_path: Path) -> None:
    """The bundled weights are kept so, and the demo's model with them: torch computes with them in float32."""
    torch.manual_seed(0)
    rounded = network("squeezenet1_1").half()
    folder = _stored(
        tmp_path / "one", TorchBackbone.of_network("squeezenet1_1", rounded.float(), Preprocessing(size=64))
    )
    images = [decode(picture(seed)) for seed in range(2)]
    expected = TorchBackbone.load(folder).features(images)
    tensors = load_file(folder.path / BACKBONE)
    save_file({name: tensor.half() for name, tensor in tensors.items()}, folder.path / BACKBONE)
    again = TorchBackbone.load(folder)
    assert np.array_equal(again.features(images), expected)
    assert weights_digest(again.network) == folder.space.weights


def test_weights_of_another_network_in_a_model_folder_are_damage(tmp_path: Path) -> None:
    """A backbone file that does not fit model.json is named, with what to do."""
    torch.manual_seed(0)
    backbone = TorchBackbone.of_network("squeezenet1_1", network("squeezenet1_1"), Preprocessing(size=64))
    folder = _stored(tmp_path / "one", backbone)
    other = network("shufflenet_v2_x0_5")
    TorchBackbone.of_network("shufflenet_v2_x0_5", other, Preprocessing(size=64)).save(folder.path / BACKBONE)
    with pytest.raises(Corrupt, match=r"backbone\.safetensors.* is damaged .*train the model again"):
        ModelFolder.open(folder.path)
    with pytest.raises(Corrupt, match=r"backbone\.safetensors does not fit squeezenet1_1: train the model again"):
        TorchBackbone.load(folder)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card for torch here")
def test_a_graphics_card_computes_what_the_processor_does() -> None:
    """In float32 to rounding; in bfloat16 nearly; the network that is saved and exported stays on the processor."""
    net = network("squeezenet1_1")
    images = [decode(picture(seed)) for seed in range(5)]
    card = TorchBackbone.of_network("squeezenet1_1", net, Preprocessing(size=64))
    exact = TorchBackbone(net, card.space, card.preprocessing, on=torch.device("cpu")).features(images)
    assert np.allclose(card.features(images), exact, rtol=1e-3, atol=1e-4)
    assert {tensor.device.type for tensor in card.network.state_dict().values()} == {"cpu"}
    if torch.cuda.is_bf16_supported(including_emulation=False):
        assert np.corrcoef(card.in_precision("bfloat16").features(images).ravel(), exact.ravel())[0, 1] > 0.99
