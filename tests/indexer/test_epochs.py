"""`indexer.training.epochs`: what is learnt, from which gradients, and which epoch ends it and which one stays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from indexer.training import epochs as module
from indexer.training.epochs import embedded, pace
from indexer.training.layers import Unfreeze
from recommender.embeddings import EmbeddingSpace
from tests.indexer.toys import (
    FLOAT32,
    QUICK,
    Ear,
    apart,
    changed,
    copied,
    drawings,
    judge,
    quicken,
    refusal,
    toy,
    train,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


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


@pytest.mark.parametrize("unfreeze", ["last-block", "all"])
def test_pictures_that_can_be_told_apart_are(unfreeze: Unfreeze) -> None:
    """The loss falls by half, and pictures never trained on are told apart better than by the network as it was."""
    result = train(toy(), drawings(), replace(QUICK, unfreeze=unfreeze, epochs=5))
    assert result.history[-1].training_loss < result.history[0].training_loss / 2
    assert result.best > 0
    best = result.history[result.best - 1]
    assert best.validation_loss == min(epoch.validation_loss or math.inf for epoch in result.history)
    assert best.validation_accuracy is not None
    assert best.validation_accuracy > 0.5
    assert all(epoch.pictures_per_second > 0 for epoch in result.history)


def test_seeds_decide() -> None:
    """One seed gives the same weights again, bit by bit; another one gives others."""
    models = [toy() for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        torch.rand(3)
        train(model, drawings(validation=0), replace(QUICK, epochs=2, seed=seed))
    assert apart(models[0], models[1]) == 0
    assert apart(models[0], models[2]) > 1e-4


@pytest.mark.parametrize(
    ("losses", "epochs", "best"),
    [((9, 8, 7, 7.5, 7, 6), 4, 2), ((5, 9, 8, 8.5, 8.2, 4), 4, 0), ((5, 9, 8, 8.5, 7, 6, 4, 3), 6, 6)],
)
def test_training_stops_when_validation_gets_no_better(
    losses: Sequence[float], epochs: int, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends `patience` epochs after the best one, whose weights stay, or the network's own if none was better.

    An equal loss is no better one. Epochs that are worse than the start do not end it as long as they get better.
    """
    judge(monkeypatch, losses)
    model, weights = toy(), [copied(toy())]
    ear = Ear(at_epoch=lambda _: weights.append(copied(model)))
    result = train(model, drawings(), replace(QUICK, epochs=6, patience=2), ear)
    assert result.best == best
    assert [epoch.number for epoch in result.history] == list(range(1, epochs + 1))
    assert not changed(weights[best], model)
    assert changed(weights[best - 1], model)


def test_a_training_that_does_harm_leaves_the_network_alone() -> None:
    """At a rate at which everything is forgotten no epoch beats the start: the network is what it was, bit by bit."""
    model = toy()
    result = train(model, drawings(), replace(QUICK, epochs=2, learning_rate=3.0))
    assert result.best == 0
    assert all((epoch.validation_loss or 0) > 3 for epoch in result.history)
    assert not changed(copied(toy()), model)


def test_without_validation_pictures_all_epochs_are_run() -> None:
    """Nothing to stop by: no loss, no accuracy, and the last epoch's weights are kept."""
    model, weights = toy(), list[dict[str, Tensor]]()
    ear = Ear(at_epoch=lambda _: weights.append(copied(model)))
    result = train(model, drawings(validation=0), replace(QUICK, patience=1), ear)
    assert [epoch.number for epoch in result.history] == [1, 2, 3, 4]
    assert result.best == 4
    assert all(epoch.validation_loss is None and epoch.validation_accuracy is None for epoch in result.history)
    assert not changed(weights[-1], model)


def test_bfloat16_learns_as_well() -> None:
    """Under autocast losses come near those of float32, and the weights that learn stay float32."""
    model, options = toy(), replace(QUICK, epochs=2)
    whole = train(toy(), drawings(), options)
    half = train(model, drawings(), options, device=replace(FLOAT32, precision=torch.bfloat16))
    for one, other in zip(whole.history, half.history, strict=True):
        assert other.training_loss == pytest.approx(one.training_loss, rel=0.2)
        assert other.training_loss != one.training_loss
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_float16_learns_in_the_end() -> None:
    """Its first steps are left out until a scale for the gradients is found; then the loss falls like any other."""
    whole, half, gentle = toy(), toy(), replace(QUICK, learning_rate=0.0005)
    train(whole, drawings(), gentle)
    result = train(half, drawings(), gentle, device=replace(FLOAT32, precision=torch.float16))
    assert result.best > 0
    assert result.history[-1].training_loss < result.history[0].training_loss / 2
    assert apart(half, toy()) > apart(whole, toy()) / 3


def test_long_gradients_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step at half of a rate of 0.1, along a gradient that is cut to 0.01, moves the network by 0.0005."""
    monkeypatch.setattr(module, "LONGEST", 0.01)
    model, before = toy(), copied(toy())
    options = replace(QUICK, epochs=1, batch=24, learning_rate=0.1, momentum=0.0, weight_decay=0.0)
    train(model, drawings(validation=0), options)
    moved = [(tensor - before[name]).double().square().sum() for name, tensor in model.state_dict().items()]
    assert math.sqrt(sum(moved)) == pytest.approx(0.0005, rel=0.01)


def test_a_rate_that_is_too_high_is_told() -> None:
    """A loss that is no number any more ends the training with what to do."""
    options = replace(QUICK, learning_rate=1e30)
    assert "lower learning rate" in refusal(lambda: train(toy(), drawings(), options))
