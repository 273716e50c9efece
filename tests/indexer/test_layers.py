"""`indexer.training.layers`: which layers are the last block, and what activations are kept, and computed twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from indexer.training.epochs import embedded
from indexer.training.layers import activation_bytes, recomputing, trainable_layers
from recommender.encoders.torch_encoder import network
from tests.indexer.toys import FLOAT32, LAST, SIZE, toy


@pytest.mark.parametrize(
    ("name", "starts", "count"),
    [
        ("vgg19", (*(f"features.{n}" for n in (28, 30, 32, 34)), "classifier.0", "classifier.3"), 6),
        ("resnet18", ("layer4.",), 4 + 1 + 4 + 1),  # two blocks of two convolutions and norms, one shortcut of each
        ("squeezenet1_0", ("features.12.",), 3),
        ("mobilenet_v2", tuple(f"features.{n}." for n in range(14, 19)), 4 * 6 + 2),
        ("mobilenet_v3_small", (*(f"features.{n}." for n in range(9, 13)), "classifier.0"), 3 * 8 + 2 + 1),
        ("vit_b_16", ("encoder.layers.encoder_layer_11.", "encoder.ln"), 7),
        ("swin_t", ("features.7.1.", "norm"), 8),
    ],
)
def test_the_last_block_is_what_works_on_the_smallest_map(name: str, starts: tuple[str, ...], count: int) -> None:
    """At 224 pixels it is conv5 and the dense layers of VGG19, layer4 of a ResNet, and so on, and all of these layers.

    Squeeze-and-excitation, which works on single pixels all over a network, is not taken for it.
    """
    with torch.device("meta"):
        model = network(name)
    layers = trainable_layers(model, 224, "last-block")
    assert len(layers) == count
    assert all(layer.startswith(starts) for layer in layers)
    assert all(any(layer.startswith(start) for layer in layers) for start in starts)


@pytest.mark.parametrize("name", ["squeezenet1_1", "vit_b_16"])
def test_all_leaves_no_parameter_out(name: str) -> None:
    """With `all` the layers' own parameters are the network's, a class token among them."""
    with torch.device("meta"):
        model = network(name)
    layers = trainable_layers(model, 224, "all")
    own = sum(weight.numel() for layer in layers for weight in model.get_submodule(layer).parameters(recurse=False))
    assert own == sum(weight.numel() for weight in model.parameters())


def test_networks_of_any_kind_have_a_last_block() -> None:
    """One convolution is the block itself; without any, it is the last layer."""
    one = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    none = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5), nn.Linear(5, 2))
    assert trainable_layers(one, 8, "last-block") == ("0", "2")
    assert trainable_layers(none, 8, "last-block") == ("2",)


def test_recomputing_changes_no_gradient() -> None:
    """With activations computed twice, gradients are equal, fewer bytes are kept, and afterwards all is as before."""
    model, inputs = toy(), torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))

    def gradients() -> list[Tensor]:
        model.zero_grad()
        embedded(model(inputs)).pow(3).sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]

    expected, kept, shape = gradients(), activation_bytes(model, SIZE, FLOAT32), repr(model)
    with recomputing(model):
        assert list(model.state_dict()) == list(toy().state_dict())
        found, fewer = gradients(), activation_bytes(model, SIZE, FLOAT32)
        with torch.no_grad():
            assert torch.equal(model(inputs), toy()(inputs))
    assert len(found) == len(expected) == 10
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True))
    assert fewer < kept / 2
    assert repr(model) == shape


def test_frozen_layers_keep_nothing() -> None:
    """Two convolutions keep their inputs and the activation between them; with the first frozen, only what is behind.

    For 8 x 8 pixels in float32: 3 planes go in, 4 come out of the first, 5 out of the second and into a ReLU.
    """
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU())
    plane = 8 * 8 * 4
    assert activation_bytes(model, 8, FLOAT32) == (3 + 4 + 5) * plane
    model[0].requires_grad_(False)
    assert activation_bytes(model, 8, FLOAT32) == (4 + 5) * plane
    model.requires_grad_(False)
    assert activation_bytes(model, 8, FLOAT32) == 0


def test_recomputing_holds_on_to_nothing_frozen() -> None:
    """Segments without a layer that learns are not prepared for a second time that never comes.

    The ten layers make segments of 4, 4 and 2. Of the first nothing is kept, of the second its input, 12 maps of
    12 x 12 numbers, and of the third 16 maps of 6 x 6.
    """
    model = toy()
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.startswith(LAST))
    with recomputing(model):
        assert activation_bytes(model, SIZE, FLOAT32) == 4 * (12 * 12 * 12 + 16 * 6 * 6)
