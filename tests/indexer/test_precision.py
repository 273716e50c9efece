"""`indexer.training.precision`: half the bits only where the processor has them and no answer changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from indexer.training import precision
from indexer.training.precision import choose_precision, keeps_results
from recommender.encoders.torch_encoder import Precision, TorchBackbone, network
from recommender.images import Preprocessing, decode
from recommender.types import DecodedImage
from tests.pictures import picture


@pytest.fixture(scope="module")
def images() -> list[DecodedImage]:
    """Return a few different pictures."""
    return [decode(picture(seed)) for seed in range(4)]


def _build(name: Precision) -> TorchBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TorchBackbone.of_network(
            "squeezenet1_1", network("squeezenet1_1"), Preprocessing(size=64), 1, precision=name
        )


def test_a_backbone_computes_in_its_precision(images: list[DecodedImage]) -> None:
    """bfloat16 gives nearly the same features, in another space that says so, and float32 numbers."""
    exact, halved = _build("float32"), _build("bfloat16")
    assert exact.space != halved.space
    assert halved.engine == "torch-bfloat16"
    one, other = exact.features(images), halved.features(images)
    assert other.dtype == np.float32
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(other, one, atol=0.05 * float(np.abs(one).max()))


def test_where_the_processor_lacks_it_nothing_is_tried(
    images: list[DecodedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated sixteen bits are slower, so no backbone is even built."""
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: False)

    def build(_: Precision) -> TorchBackbone:
        raise AssertionError

    assert choose_precision(build, images) == "float32"


def test_a_precision_that_changes_embeddings_is_not_chosen(
    images: list[DecodedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster one is taken where its embeddings are the same, and left where they are not."""
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: True)
    exact = _build("float32")
    assert choose_precision(lambda _: exact, images) == "bfloat16"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        other = TorchBackbone.of_network("squeezenet1_1", network("squeezenet1_1"), Preprocessing(size=64), 1)
    assert not keeps_results(exact, other, images)
