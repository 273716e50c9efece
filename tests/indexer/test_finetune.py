"""`indexer.training.finetune`: only what should changes, breaks and memory change nothing, what is told and refused."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from indexer.training.checkpoint import Checkpoint
from indexer.training.device import Device
from indexer.training.finetune import FinetuneOptions, Material
from recommender.images import Preprocessing
from recommender.labels import Hierarchy
from tests.indexer.toys import (
    CAST,
    LAST,
    QUICK,
    SIZE,
    Ear,
    Stopped,
    apart,
    changed,
    copied,
    drawings,
    judge,
    quicken,
    refusal,
    stop_at,
    toy,
    train,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


def test_only_the_last_block_changes() -> None:
    """With `last-block` every other number stays what it was, bit by bit, and so do statistics of normalisations."""
    model = toy()
    before = copied(model)
    ear = Ear()
    train(model, drawings(validation=0), replace(QUICK, unfreeze="last-block", epochs=2), ear)
    assert ear.plans[0].layers == LAST
    assert changed(before, model) == set(LAST)
    for name, tensor in model.state_dict().items():
        if "running" in name or "tracked" in name:
            assert torch.equal(tensor, before[name])


def test_all_layers_change_with_all() -> None:
    """With `all` every layer learns."""
    model = toy()
    before = copied(model)
    train(model, drawings(validation=0), replace(QUICK, epochs=2))
    assert changed(before, model) == {"features.0", "features.1", "features.3", *LAST}


def test_a_network_comes_back_as_it_was_given() -> None:
    """On the CPU, in evaluation mode, without gradients, as trainable as before; torch's generator and threads too."""
    model = toy()
    frozen = model.get_parameter("features.0.bias").requires_grad_(False)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(model, drawings(2, 1), replace(QUICK, epochs=1, threads=2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == 1
    assert not any(part.training for part in model.modules())
    assert all(weight.grad is None for weight in model.parameters())
    assert all(weight.requires_grad == (weight is not frozen) for weight in model.parameters())


FALLING, RISING, VALLEY = (9.0, 5.0, 4.0, 3.0, 2.0), (1.0, 5.0, 6.0, 7.0, 8.0), (9.0, 1.0, 6.0, 7.0, 8.0)


@pytest.mark.parametrize("losses", [FALLING, RISING, VALLEY], ids=["falling", "rising", "valley"])
@pytest.mark.parametrize(
    "ear", [Ear(at_epoch=stop_at(2)), Ear(at_step=stop_at(36 + 2 * 36 + 9))], ids=["epoch", "step"]
)
def test_a_broken_training_comes_to_the_same(
    losses: Sequence[float], ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop between epochs or within one, the next run goes on after the last whole epoch.

    Epochs and weights are those of an unbroken run, whether the best epoch comes after the stop, before it, or never.
    """
    judge(monkeypatch, losses)
    whole, broken, again = toy(), toy(), Ear()
    expected = train(whole, drawings())
    assert expected.best == np.argmin(losses)
    checkpoint = Checkpoint(tmp_path / "run" / "finetune.safetensors", "a run")
    with pytest.raises(Stopped):
        train(broken, drawings(), ear=replace(ear, plans=[], steps=[], epochs=[]), checkpoint=checkpoint)
    broken = toy()
    assert train(broken, drawings(), ear=again, checkpoint=checkpoint) == expected
    assert again.plans[0].done == 2
    assert "going on after epoch 2" in again.plans[0].describe
    assert tuple(again.epochs) == expected.history
    assert again.steps[0][0] == 36 + 2 * 36 + QUICK.batch
    assert apart(whole, broken) < 1e-6


@pytest.mark.parametrize(("losses", "learnt"), [(VALLEY, True), (RISING, False)])
def test_a_finished_training_is_not_repeated(
    losses: Sequence[float], learnt: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the checkpoint of its last epoch a training is over at once, and has the best weights."""
    judge(monkeypatch, losses)
    checkpoint = Checkpoint(tmp_path / "finetune.safetensors", "a run")
    first, second, ear = toy(), toy(), Ear()
    expected = train(first, drawings(), checkpoint=checkpoint)
    assert train(second, drawings(), ear=ear, checkpoint=checkpoint) == expected
    assert ear.steps == []
    assert apart(first, second) == 0
    assert bool(changed(copied(toy()), first)) == learnt


def test_little_memory_changes_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where activations would take more than half of the free memory they are computed twice, and nothing else."""
    plenty, little = toy(), toy()
    ears = Ear(), Ear()
    train(plenty, drawings(), replace(QUICK, epochs=2), ears[0])
    batch = ears[0].plans[0].activations
    monkeypatch.setattr(Device, "free_memory", lambda _: 1.9 * batch)
    train(little, drawings(), replace(QUICK, epochs=2), ears[1])
    assert [ear.plans[0].recomputed for ear in ears] == [False, True]
    assert "computed twice" in ears[1].plans[0].describe
    assert apart(plenty, little) < 1e-6


def test_progress_counts_every_picture() -> None:
    """First the network is looked at, without a loss; then training and validation pictures of each epoch count."""
    ear = Ear()
    result = train(toy(), drawings(), ear=ear)
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


def test_nothing_to_learn_from_is_told() -> None:
    """No training pictures, no training."""
    assert "no pictures to fine-tune with" in refusal(lambda: train(toy(), drawings(training=0)))


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    """Other options, labels, weights, pictures or runs: none is gone on from, and none is spoilt by it."""
    checkpoint = Checkpoint(tmp_path / "finetune.safetensors", "a run")
    options, material = replace(QUICK, epochs=1), drawings()
    train(toy(), material, options, checkpoint=checkpoint)
    before = checkpoint.file.read_bytes()
    others: Sequence[tuple[nn.Module, Material, FinetuneOptions, Checkpoint]] = [
        (toy(), material, replace(options, seed=1), checkpoint),
        (toy(), material, replace(options, unfreeze="last-block"), checkpoint),
        (toy(), replace(material, hierarchy=Hierarchy(CAST.characters[::-1])), options, checkpoint),
        (toy(), replace(material, preprocessing=Preprocessing(size=SIZE, fit="pad")), options, checkpoint),
        (toy(), drawings(training=9), options, checkpoint),
        (toy(seed=1), material, options, checkpoint),
        (toy(), material, options, replace(checkpoint, purpose="another run")),
    ]
    for model, pictures, other, file in others:
        assert "--resume" in refusal(lambda: train(model, pictures, other, checkpoint=file))  # noqa: B023 - called here
    assert checkpoint.file.read_bytes() == before
    assert train(toy(), material, replace(options, threads=1), checkpoint=checkpoint).best >= 0


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    """A file that is cut off, or none of ours, says so and what to do; the network is as it was."""
    checkpoint, model = Checkpoint(tmp_path / "finetune.safetensors", "a run"), toy()
    train(toy(), drawings(), replace(QUICK, epochs=1), checkpoint=checkpoint)
    for content in (checkpoint.file.read_bytes()[:-9], b"", b"nothing of the kind"):
        checkpoint.file.write_bytes(content)
        line = refusal(lambda: train(model, drawings(), replace(QUICK, epochs=1), checkpoint=checkpoint))
        assert "damaged" in line
        assert "without --resume" in line
    assert apart(model, toy()) == 0


def test_a_full_disk_is_told_before_the_first_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that will not fit costs no hour of training."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    ear = Ear()
    checkpoint = Checkpoint(tmp_path / "run" / "finetune.safetensors", "a run")
    assert "make room" in refusal(lambda: train(toy(), drawings(), ear=ear, checkpoint=checkpoint))
    assert ear.steps == []


def test_a_disk_that_fills_up_is_told(tmp_path: Path) -> None:
    """Where a checkpoint cannot be written, the training ends with what to do, and its epoch is not heard of."""
    (tmp_path / "run").write_text("a file where a folder should be")
    ear = Ear()
    checkpoint = Checkpoint(tmp_path / "run" / "finetune.safetensors", "a run")
    assert "make room" in refusal(lambda: train(toy(), drawings(), ear=ear, checkpoint=checkpoint))
    assert ear.epochs == []
