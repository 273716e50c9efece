"""`indexer.training.finetune`: what is trained and learnt, that breaks and memory change nothing, what is refused."""

from __future__ import annotations

import copy
import functools
import hashlib
import math
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer.training import finetune as module
from indexer.training.checkpoint import Checkpoint
from indexer.training.finetune import (
    AHEAD,
    Device,
    Finetuned,
    FinetuneOptions,
    Material,
    Plan,
    activation_bytes,
    embedded,
    finetune,
    pace,
    recomputing,
    trainable_layers,
)
from indexer.training.heads import Epoch, HeadOptions
from indexer.views import augmented
from recommender.embeddings import EmbeddingSpace
from recommender.encoders.torch_encoder import network
from recommender.errors import BuildError
from recommender.images import Preprocessing, prepare
from recommender.labels import Hierarchy
from recommender.types import Character, DecodedImage, PictureId, Show

HERE, THERE = Show("here", "Here"), Show("there", "There")
CAST = Hierarchy.of(
    [Character("a", "A", HERE, "male"), Character("b", "B", HERE, "female"), Character("c", "C", THERE)]
)
SIZE = 24
FLOAT32 = Device("cpu", torch.float32, "a test")
QUICK = FinetuneOptions("all", epochs=4, batch=8, patience=9)
LAST = "features.7", "features.9"


class Toy(nn.Module):
    """Three convolutions, the last two on the smallest map, with what fine-tuning must be careful about between."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8, momentum=1.0),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.Hardswish(inplace=True),
            nn.MaxPool2d(2),
            nn.Identity(),
            nn.Conv2d(12, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(16, momentum=1.0),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (n, 16) features."""
        features: Tensor = self.dropout(self.pool(self.features(pictures)).flatten(1))
        return features


@dataclass
class Drawn:
    """Pictures of three characters, by their numbers: each has a tint and stripes of its own under much noise."""

    characters: NDArray[np.int64]
    seed: int = 0
    reads: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.characters)

    def picture(self, row: int) -> DecodedImage:
        """Draw the picture of a row."""
        self.reads.append(row)
        return _drawn(int(self.characters[row]), self.seed, row)


@functools.cache
def _drawn(character: int, seed: int, row: int) -> DecodedImage:
    """Draw a character's picture, another one for each seed and row."""
    noise = np.random.default_rng([seed, row]).integers(-60, 60, (32, 32, 3))
    stripes = 40 * (np.indices((32, 32))[character % 2] // (2 + character) % 2)
    colours = 128 + 10 * np.eye(3, dtype=int)[character] + stripes[..., np.newaxis] + noise
    identity = PictureId(hashlib.sha256(f"{seed} {row}".encode()).hexdigest())
    return DecodedImage(identity, np.clip(colours, 0, 255).astype(np.uint8), "PNG", 32, 32)


@dataclass
class Ear:
    """Notes what it hears, and may stop the training."""

    plans: list[Plan] = field(default_factory=list)
    steps: list[tuple[int, int, float | None]] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    at_step: Callable[[int], None] = lambda _: None
    at_epoch: Callable[[int], None] = lambda _: None

    def plan(self, plan: Plan) -> None:
        """Note the plan."""
        self.plans.append(plan)

    def progress(self, done: int, total: int, loss: float | None) -> None:
        """Note a step."""
        self.steps.append((done, total, loss))
        self.at_step(done)

    def epoch(self, epoch: Epoch) -> None:
        """Note an epoch."""
        self.epochs.append(epoch)
        self.at_epoch(epoch.number)


class Stopped(Exception):
    """Stands for whatever ends a training before its time."""


@functools.cache
def _original(seed: int) -> nn.Module:
    """Return a network with random weights, whose normalisations have the statistics of the pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Toy().train()
        source = Drawn(np.repeat(np.arange(3), 8), seed=9)
        inputs = [prepare(source.picture(row), Preprocessing(size=SIZE)) for row in range(len(source))]
        model(torch.from_numpy(np.stack(inputs)))
    return model.eval()


def _toy(seed: int = 0) -> nn.Module:
    """Return a network, the same for the same seed."""
    return copy.deepcopy(_original(seed))


def _material(training: int = 8, validation: int = 4) -> Material:
    """Return so many pictures of each character."""
    parts = (Drawn(np.repeat(np.arange(3), each), seed) for seed, each in enumerate((training, validation)))
    return Material(CAST, Preprocessing(size=SIZE), *parts)


def _train(
    model: nn.Module,
    material: Material,
    options: FinetuneOptions = QUICK,
    ear: Ear | None = None,
    checkpoint: Checkpoint | None = None,
    device: Device = FLOAT32,
) -> Finetuned:
    return finetune(model, material, options, ear or Ear(), checkpoint, device)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _changed(before: dict[str, Tensor], model: nn.Module) -> set[str]:
    """Return the layers of which any number is another one."""
    after = model.state_dict()
    return {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def _apart(one: nn.Module, other: nn.Module) -> float:
    """Return how far two networks' numbers lie apart at most."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


@pytest.fixture(autouse=True)
def _plain_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks are quickest on one core, need no long trained heads, and know stripes that are cut for others."""
    torch.set_num_threads(1)
    monkeypatch.setattr(module, "HeadOptions", functools.partial(HeadOptions, epochs=1))
    monkeypatch.setattr(module, "augmented", lambda image, _: image)


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


def test_embeddings_in_training_are_those_that_are_searched() -> None:
    """`embedded` agrees with `EmbeddingSpace.embed` to 0.001, of features of any size, negative ones and zeros too."""
    features = torch.randn(20, 512, generator=torch.Generator().manual_seed(0))
    features[:10] = features[:10].relu()
    features *= torch.logspace(-4, 3, 20).unsqueeze(1)
    features[3] = 0
    expected = EmbeddingSpace("x", "x", "x", "x", 512).embed(features.numpy())
    found = embedded(features).numpy()
    assert np.abs(found - expected).max() < 1e-3
    assert not found[3].any()


@pytest.mark.parametrize("zeros", [slice(None), slice(0, 0), slice(1, 3)])
def test_no_gradient_is_lost_at_zero(zeros: slice) -> None:
    """Where features are exactly zero, all of them or some, the gradient is a number, after a ReLU and without one."""
    given = torch.randn(4, 64, generator=torch.Generator().manual_seed(1))
    given[:, zeros] = 0
    for activation in (torch.relu, torch.clone):
        features = given.clone().requires_grad_()
        embedded(activation(features))[:, :32].sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        assert features.grad is not None
        assert features.grad.isfinite().all()
        assert features.grad.abs().max() < 1e5


def test_the_slope_is_that_of_the_square_root() -> None:
    """Away from zero the gradient is the one of embed's own formula, sign(x) sqrt(|x|) scaled to length 1."""
    given = torch.randn(5, 100, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    given = given.sign() * (given.abs() + 0.5)
    weight = torch.randn(100, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradients = list[Tensor]()
    for embed in (embedded, lambda x: nn.functional.normalize(x.sign() * x.abs().sqrt())):
        features = given.clone().requires_grad_()
        (embed(features) @ weight).sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        assert features.grad is not None
        gradients.append(features.grad)
    assert torch.allclose(gradients[0], gradients[1], rtol=0.02, atol=1e-4)


def test_the_learning_rate_rises_for_an_epoch_and_falls_like_a_cosine() -> None:
    """Of 5 epochs: halfway up at 0.5, full at 1, half at 3, where the cosine is 0, nothing at 5."""
    assert [pace(elapsed, 5) for elapsed in (0.5, 1, 3, 5)] == pytest.approx([0.5, 1, 0.5, 0])
    assert pace(2, 5) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert pace(0.5, 1) == 0.5


def test_only_the_last_block_changes() -> None:
    """With `last-block` every other number stays what it was, bit by bit, and so do statistics of normalisations."""
    model = _toy()
    before = _copy(model)
    ear = Ear()
    _train(model, _material(validation=0), replace(QUICK, unfreeze="last-block", epochs=2), ear)
    assert ear.plans[0].layers == LAST
    assert _changed(before, model) == set(LAST)
    for name, tensor in model.state_dict().items():
        if "running" in name or "tracked" in name:
            assert torch.equal(tensor, before[name])


def test_all_layers_change_with_all() -> None:
    """With `all` every layer learns."""
    model = _toy()
    before = _copy(model)
    _train(model, _material(validation=0), replace(QUICK, epochs=2))
    assert _changed(before, model) == {"features.0", "features.1", "features.3", *LAST}


def test_a_network_comes_back_as_it_was_given() -> None:
    """On the CPU, in evaluation mode, without gradients, as trainable as before; torch's generator and threads too."""
    model = _toy()
    frozen = model.get_parameter("features.0.bias").requires_grad_(False)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    _train(model, _material(2, 1), replace(QUICK, epochs=1, threads=2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == 1
    assert not any(part.training for part in model.modules())
    assert all(weight.grad is None for weight in model.parameters())
    assert all(weight.requires_grad == (weight is not frozen) for weight in model.parameters())


@pytest.mark.parametrize("unfreeze", ["last-block", "all"])
def test_pictures_that_can_be_told_apart_are(unfreeze: module.Unfreeze) -> None:
    """The loss falls by half, and pictures never trained on are told apart better than by the network as it was."""
    result = _train(_toy(), _material(), replace(QUICK, unfreeze=unfreeze, epochs=5))
    assert result.history[-1].training_loss < result.history[0].training_loss / 2
    assert result.best > 0
    best = result.history[result.best - 1]
    assert best.validation_loss == min(epoch.validation_loss or math.inf for epoch in result.history)
    assert best.validation_accuracy is not None
    assert best.validation_accuracy > 0.5
    assert all(epoch.pictures_per_second > 0 for epoch in result.history)


def test_seeds_decide() -> None:
    """One seed gives the same weights again, bit by bit; another one gives others."""
    models = [_toy() for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        torch.rand(3)
        _train(model, _material(validation=0), replace(QUICK, epochs=2, seed=seed))
    assert _apart(models[0], models[1]) == 0
    assert _apart(models[0], models[2]) > 1e-4


FALLING, RISING, VALLEY = (9.0, 5.0, 4.0, 3.0, 2.0), (1.0, 5.0, 6.0, 7.0, 8.0), (9.0, 1.0, 6.0, 7.0, 8.0)


def _judge(monkeypatch: pytest.MonkeyPatch, losses: Sequence[float]) -> None:
    """Let validation come to these losses: before the training, and after each epoch."""

    def judged(training: module._Training, _: Callable[[int], None]) -> tuple[float, float]:
        training._before = losses[0]
        return losses[len(training.history) + 1], 0.5

    monkeypatch.setattr(module._Training, "_validate", judged)


def _stop_at(number: int) -> Callable[[int], None]:
    def stop(reached: int) -> None:
        if reached >= number:
            raise Stopped

    return stop


@pytest.mark.parametrize("losses", [FALLING, RISING, VALLEY], ids=["falling", "rising", "valley"])
@pytest.mark.parametrize(
    "ear", [Ear(at_epoch=_stop_at(2)), Ear(at_step=_stop_at(36 + 2 * 36 + 9))], ids=["epoch", "step"]
)
def test_a_broken_training_comes_to_the_same(
    losses: Sequence[float], ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop between epochs or within one, the next run goes on after the last whole epoch.

    Epochs and weights are those of an unbroken run, whether the best epoch comes after the stop, before it, or never.
    """
    _judge(monkeypatch, losses)
    whole, broken, again = _toy(), _toy(), Ear()
    expected = _train(whole, _material())
    assert expected.best == np.argmin(losses)
    checkpoint = Checkpoint(tmp_path / "run" / "finetune.safetensors", "a run")
    with pytest.raises(Stopped):
        _train(broken, _material(), ear=replace(ear, plans=[], steps=[], epochs=[]), checkpoint=checkpoint)
    broken = _toy()
    assert _train(broken, _material(), ear=again, checkpoint=checkpoint) == expected
    assert again.plans[0].done == 2
    assert "going on after epoch 2" in again.plans[0].describe
    assert tuple(again.epochs) == expected.history
    assert again.steps[0][0] == 36 + 2 * 36 + QUICK.batch
    assert _apart(whole, broken) < 1e-6


def test_a_finished_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the checkpoint of its last epoch a training is over at once, and has the best weights."""
    _judge(monkeypatch, VALLEY)
    checkpoint = Checkpoint(tmp_path / "finetune.safetensors", "a run")
    first, second, ear = _toy(), _toy(), Ear()
    expected = _train(first, _material(), checkpoint=checkpoint)
    assert _train(second, _material(), ear=ear, checkpoint=checkpoint) == expected
    assert ear.steps == []
    assert _apart(first, second) == 0
    assert _changed(_copy(_toy()), first)


@pytest.mark.parametrize(("losses", "best"), [((9, 8, 7, 7.5, 7.0, 7.1, 6), 2), ((5, 9, 8, 7, 6, 5, 4), 0)])
def test_training_stops_when_validation_gets_no_better(
    losses: Sequence[float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`patience` epochs after the best one it ends, and that one's weights stay, or the network's own.

    An equal loss is no better one: it takes no longer.
    """
    _judge(monkeypatch, losses)
    model, weights = _toy(), [_copy(_toy())]
    ear = Ear(at_epoch=lambda _: weights.append(_copy(model)))
    result = _train(model, _material(), replace(QUICK, epochs=6, patience=2), ear)
    assert result.best == best
    assert [epoch.number for epoch in result.history] == list(range(1, best + 3))
    assert not _changed(weights[best], model)
    assert _changed(weights[-1], model)


def test_without_validation_pictures_all_epochs_are_run() -> None:
    """Nothing to stop by: no loss, no accuracy, and the last epoch's weights are kept."""
    model, weights = _toy(), list[dict[str, Tensor]]()
    ear = Ear(at_epoch=lambda _: weights.append(_copy(model)))
    result = _train(model, _material(validation=0), replace(QUICK, patience=1), ear)
    assert [epoch.number for epoch in result.history] == [1, 2, 3, 4]
    assert result.best == 4
    assert all(epoch.validation_loss is None and epoch.validation_accuracy is None for epoch in result.history)
    assert not _changed(weights[-1], model)


def test_recomputing_changes_no_gradient() -> None:
    """With activations computed twice, gradients are equal, fewer bytes are kept, and afterwards all is as before."""
    model, inputs = _toy(), torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))

    def gradients() -> list[Tensor]:
        model.zero_grad()
        embedded(model(inputs)).pow(3).sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]

    expected, kept, shape = gradients(), activation_bytes(model, SIZE, FLOAT32), repr(model)
    with recomputing(model):
        assert list(model.state_dict()) == list(_toy().state_dict())
        found, fewer = gradients(), activation_bytes(model, SIZE, FLOAT32)
        with torch.no_grad():
            assert torch.equal(model(inputs), _toy()(inputs))
    assert len(found) == len(expected) == 10
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True))
    assert fewer < kept / 2
    assert repr(model) == shape


def test_little_memory_changes_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where activations would take more than half of the free memory they are computed twice, and nothing else."""
    plenty, little = _toy(), _toy()
    ears = Ear(), Ear()
    _train(plenty, _material(), replace(QUICK, epochs=2), ears[0])
    batch = ears[0].plans[0].activations
    monkeypatch.setattr(Device, "free_memory", lambda _: 1.9 * batch)
    _train(little, _material(), replace(QUICK, epochs=2), ears[1])
    assert [ear.plans[0].recomputed for ear in ears] == [False, True]
    assert "computed twice" in ears[1].plans[0].describe
    assert _apart(plenty, little) < 1e-6


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


def test_bfloat16_learns_as_well() -> None:
    """Under autocast losses come near those of float32, and the weights that learn stay float32."""
    model, options = _toy(), replace(QUICK, epochs=2)
    whole = _train(_toy(), _material(), options)
    half = _train(model, _material(), options, device=replace(FLOAT32, precision=torch.bfloat16))
    for one, other in zip(whole.history, half.history, strict=True):
        assert other.training_loss == pytest.approx(one.training_loss, rel=0.2)
        assert other.training_loss != one.training_loss
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_float16_learns_in_the_end() -> None:
    """Its first steps are left out until a scale for the gradients is found; then the loss falls like any other."""
    half = replace(FLOAT32, precision=torch.float16)
    result = _train(_toy(), _material(), replace(QUICK, epochs=4), device=half)
    assert result.best > 0
    assert result.history[-1].training_loss < result.history[0].training_loss / 2


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx2": True}, torch.float32),
        ({"avx512_f": True, "avx512_bw": True, "avx512_bf16": False}, torch.float32),
        ({"avx512_f": True, "avx512_bf16": True, "cpu_name": "Zen"}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ],
)
def test_a_processor_computes_in_bfloat16_only_if_it_can(
    capabilities: dict[str, object], precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVX-512 alone does not do; the choice is told in words."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    device = Device.found()
    assert (device.kind, device.precision) == ("cpu", precision)
    assert device.describe == f"{capabilities.get('cpu_name', 'the CPU')} in {str(precision).split('.')[1]}"
    assert device.free_memory() > 1e6
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert Device.found().precision is torch.float32


@pytest.mark.parametrize(("native", "precision"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_graphics_card_is_used_where_there_is_one(
    native: bool, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 where the card computes with it, else in float16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GeForce")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (7, 8))
    device = Device.found()
    assert (device.kind, device.precision, device.name) == ("cuda", precision, "GeForce")
    assert device.free_memory() == 7.0


def test_progress_counts_every_picture() -> None:
    """First the network is looked at, without a loss; then training and validation pictures of each epoch count."""
    ear = Ear()
    result = _train(_toy(), _material(), ear=ear)
    each = 3 * (8 + 4)
    assert len(result.history) == 4
    done = [step[0] for step in ear.steps]
    assert done == sorted(set(done))
    assert done[-1] == each + 4 * each
    assert {step[1] for step in ear.steps} == {each + 4 * each}
    assert [loss is None for count, _, loss in ear.steps] == [count <= each for count in done]
    last_of_first = next(loss for count, _, loss in ear.steps if count == each + 3 * 8)
    assert last_of_first == result.history[0].training_loss
    assert ear.plans[0].describe.startswith("fine-tuning 5 layers, features.0 to features.9, on a test in float32; ")


def test_pictures_are_read_a_little_ahead_and_no_further() -> None:
    """Never are more pictures in memory than a few batches, and none is read after a training has stopped."""
    material = _material(training=40)
    source = material.training
    assert isinstance(source, Drawn)
    options = replace(QUICK, batch=6, epochs=1)
    furthest: list[int] = []
    ear = Ear(at_step=lambda done: furthest.append(len(source.reads) - done))
    _train(_toy(), replace(material, validation=Drawn(np.empty(0, np.int64))), options, ear)
    assert max(furthest) <= (AHEAD + 1) * options.batch
    assert len(source.reads) == 2 * len(source)
    source.reads.clear()
    with pytest.raises(Stopped):
        _train(_toy(), material, options, Ear(at_step=_stop_at(1)))
    assert len(source.reads) < len(source)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pictures")]


def test_each_epoch_sees_other_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch sees every training picture once, in its own order and view; validation pictures stay plain."""
    seen: list[tuple[int, str]] = []

    def view(image: DecodedImage, number: int) -> DecodedImage:
        seen.append((number, image.id))
        return image

    monkeypatch.setattr(module, "augmented", view)
    material = _material()
    _train(_toy(), material, replace(QUICK, epochs=2))
    ids = [material.training.picture(row).id for row in range(len(material.training))]
    first, second = ([identity for epoch, identity in seen if epoch == number] for number in (1, 2))
    assert sorted(first) == sorted(second) == sorted(ids)
    assert first != second
    assert len(seen) == 2 * len(ids)


@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")
def test_real_views_are_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the views of `indexer.views` a training runs too, and comes to the same when it is repeated."""
    monkeypatch.setattr(module, "augmented", augmented)
    models = _toy(), _toy()
    histories = [_train(model, _material(validation=0), replace(QUICK, epochs=2)).history for model in models]
    assert histories[0] == histories[1]
    assert _apart(*models) == 0
    assert histories[0] != _train(_toy(), _material(validation=0), replace(QUICK, epochs=2, seed=1)).history


def test_a_picture_that_cannot_be_read_ends_the_training() -> None:
    """What a source raises reaches the caller."""

    class Broken(Drawn):
        def picture(self, row: int) -> DecodedImage:
            raise FileNotFoundError(row)

    with pytest.raises(FileNotFoundError):
        _train(_toy(), replace(_material(), training=Broken(np.array([0, 1, 2]))))


def _line(call: Callable[[], object]) -> str:
    """Return the one line with which something is refused."""
    with pytest.raises(BuildError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 300
    return line


def test_nothing_to_learn_from_is_told() -> None:
    """No training pictures, no training."""
    assert "no pictures to fine-tune with" in _line(lambda: _train(_toy(), _material(training=0)))


def test_a_rate_that_is_too_high_is_told() -> None:
    """A loss that is no number any more ends the training with what to do."""
    options = replace(QUICK, learning_rate=1e30)
    assert "lower learning rate" in _line(lambda: _train(_toy(), _material(), options))


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    """Other options, labels, weights, pictures or runs: none is gone on from, and none is spoilt by it."""
    checkpoint = Checkpoint(tmp_path / "finetune.safetensors", "a run")
    options, material = replace(QUICK, epochs=1), _material()
    _train(_toy(), material, options, checkpoint=checkpoint)
    before = checkpoint.file.read_bytes()
    others: Sequence[tuple[nn.Module, Material, FinetuneOptions, Checkpoint]] = [
        (_toy(), material, replace(options, seed=1), checkpoint),
        (_toy(), material, replace(options, unfreeze="last-block"), checkpoint),
        (_toy(), replace(material, hierarchy=Hierarchy(CAST.characters[::-1])), options, checkpoint),
        (_toy(), replace(material, preprocessing=Preprocessing(size=SIZE, fit="pad")), options, checkpoint),
        (_toy(), _material(training=9), options, checkpoint),
        (_toy(seed=1), material, options, checkpoint),
        (_toy(), material, options, replace(checkpoint, purpose="another run")),
    ]
    for model, pictures, other, file in others:
        assert "--resume" in _line(lambda: _train(model, pictures, other, checkpoint=file))  # noqa: B023 - called here
    assert checkpoint.file.read_bytes() == before
    assert _train(_toy(), material, replace(options, threads=1), checkpoint=checkpoint).best >= 0


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    """A file that is cut off, or none of ours, says so and what to do; the network is as it was."""
    checkpoint, model = Checkpoint(tmp_path / "finetune.safetensors", "a run"), _toy()
    _train(_toy(), _material(), replace(QUICK, epochs=1), checkpoint=checkpoint)
    for content in (checkpoint.file.read_bytes()[:-9], b"", b"nothing of the kind"):
        checkpoint.file.write_bytes(content)
        line = _line(lambda: _train(model, _material(), replace(QUICK, epochs=1), checkpoint=checkpoint))
        assert "damaged" in line
        assert "without --resume" in line
    assert _apart(model, _toy()) == 0


def test_a_full_disk_is_told_before_the_first_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that will not fit costs no hour of training."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    ear = Ear()
    checkpoint = Checkpoint(tmp_path / "run" / "finetune.safetensors", "a run")
    assert "make room" in _line(lambda: _train(_toy(), _material(), ear=ear, checkpoint=checkpoint))
    assert ear.steps == []


def test_a_disk_that_fills_up_is_told(tmp_path: Path) -> None:
    """Where a checkpoint cannot be written, the training ends with what to do, and its epoch is not heard of."""
    (tmp_path / "run").write_text("a file where a folder should be")
    ear = Ear()
    checkpoint = Checkpoint(tmp_path / "run" / "finetune.safetensors", "a run")
    assert "make room" in _line(lambda: _train(_toy(), _material(), ear=ear, checkpoint=checkpoint))
    assert ear.epochs == []
