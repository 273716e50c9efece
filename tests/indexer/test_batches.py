"""`indexer.training.batches`: what is read when, and which views of it each epoch sees."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from indexer.training import batches
from indexer.training.batches import AHEAD
from indexer.views import augmented
from recommender.types import DecodedImage
from tests.indexer.toys import QUICK, Drawn, Ear, Stopped, apart, drawings, quicken, stop_at, toy, train

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


def test_pictures_are_read_a_little_ahead_and_no_further() -> None:
    """Never are more pictures in memory than a few batches."""
    material = drawings(training=40)
    source = material.training
    assert isinstance(source, Drawn)
    options = replace(QUICK, batch=6, epochs=1)
    furthest: list[int] = []
    ear = Ear(at_step=lambda done: furthest.append(len(source.reads) - done))
    train(toy(), replace(material, validation=Drawn(np.empty(0, np.int64))), options, ear)
    assert max(furthest) <= (AHEAD + 1) * options.batch
    assert len(source.reads) == 2 * len(source)


def test_nothing_is_read_after_a_stop() -> None:
    """What was going to be read ahead is let go, and the threads that read end."""

    class Slow(Drawn):
        def picture(self, row: int) -> DecodedImage:
            time.sleep(0.01)
            return super().picture(row)

    source = Slow(np.repeat(np.arange(3), 20))
    with pytest.raises(Stopped):
        train(toy(), replace(drawings(), training=source), replace(QUICK, batch=6), Ear(at_step=stop_at(1)))
    assert len(source.reads) < 3 * 6 < (AHEAD + 1) * 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pictures")]


def test_each_epoch_sees_other_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch sees every training picture once, in its own order and view; validation pictures stay plain."""
    seen: list[tuple[int, str]] = []

    def view(image: DecodedImage, number: int) -> DecodedImage:
        seen.append((number, image.id))
        return image

    monkeypatch.setattr(batches, "augmented", view)
    material = drawings()
    train(toy(), material, replace(QUICK, epochs=2))
    ids = [material.training.picture(row).id for row in range(len(material.training))]
    first, second = ([identity for epoch, identity in seen if epoch == number] for number in (1, 2))
    assert sorted(first) == sorted(second) == sorted(ids)
    assert first != second
    assert len(seen) == 2 * len(ids)


def test_real_views_are_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the views of `indexer.views` a training runs too, and comes to the same when it is repeated."""
    monkeypatch.setattr(batches, "augmented", augmented)
    models = toy(), toy()
    histories = [train(model, drawings(validation=0), replace(QUICK, epochs=2)).history for model in models]
    assert histories[0] == histories[1]
    assert apart(*models) == 0
    assert histories[0] != train(toy(), drawings(validation=0), replace(QUICK, epochs=2, seed=1)).history


def test_a_picture_that_cannot_be_read_ends_the_training() -> None:
    """What a source raises reaches the caller."""

    class Broken(Drawn):
        def picture(self, row: int) -> DecodedImage:
            raise FileNotFoundError(row)

    with pytest.raises(FileNotFoundError):
        train(toy(), replace(drawings(), training=Broken(np.array([0, 1, 2]))))
