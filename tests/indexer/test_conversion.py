"""`indexer.conversion`: OpenVINO's network is the one that torch had, for any number of pictures, and tells nobody."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from indexer.conversion import converted, quantised, save, sensitive_layers
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.encoders.torch_encoder import TorchBackbone, network
from recommender.exports import NETWORK
from recommender.images import Preprocessing, decode
from tests.pictures import picture

pytestmark = pytest.mark.slow

SMALL = ("squeezenet1_1", "mobilenet_v3_small")
LARGE = (
    "shufflenet_v2_x0_5",
    "resnet18",
    "efficientnet_b0",
    "vit_b_16",
    "swin_t",
    "convnext_tiny",
    "densenet121",
    "googlenet",
    "regnet_x_400mf",
)


def _torch(name: str, size: int) -> TorchBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TorchBackbone.of_network(name, network(name), Preprocessing(size=size), 2)


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.big) for name in LARGE)])
def test_features_are_those_of_torch(name: str, tmp_path: Path) -> None:
    """Through a file and back, in batches of other sizes than the one that was traced."""
    size = 224 if name.startswith(("vit", "swin")) else 64
    backbone = _torch(name, size)
    save(converted(backbone.network, size), tmp_path)
    engine = OpenVinoBackbone.of_file(tmp_path / NETWORK, backbone.space, backbone.preprocessing, "f32", 2)
    images = [decode(picture(seed)) for seed in range(5)]
    expected = backbone.features(images)
    for batch in (images[:1], images[:3], images):
        found = engine.features(batch)
        np.testing.assert_allclose(found, expected[: len(batch)], atol=1e-4 * float(np.abs(expected).max()))


def test_eight_bits_are_nearly_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A quantised network gives nearly the same embeddings, from a smaller file, and nothing is printed."""
    backbone = _torch("squeezenet1_1", 64)
    images = [decode(picture(seed)) for seed in range(6)]
    exact = converted(backbone.network, 64)
    rounded = quantised(exact.clone(), "squeezenet1_1", images, backbone.preprocessing)
    sizes = []
    for name, model in (("exact", exact), ("rounded", rounded)):
        (tmp_path / name).mkdir()
        save(model, tmp_path / name)
        sizes.append((tmp_path / name / "network.bin").stat().st_size)
    assert sizes[1] < 0.3 * sizes[0]
    engine = OpenVinoBackbone.of_file(tmp_path / "rounded" / NETWORK, backbone.space, backbone.preprocessing, "int8", 2)
    one, other = (backbone.space.embed(engine.features(images)) for engine in (backbone, engine))
    assert 0.97 < float(np.einsum("nd,nd->n", one, other).mean()) < 0.999999
    assert capsys.readouterr().out == ""


def test_sensitive_layers_are_the_first_and_the_last() -> None:
    """SqueezeNet begins with features.0 and, its classifier being gone, ends with the last Fire module; more follow."""
    attempts = sensitive_layers(converted(_torch("squeezenet1_1", 64).network, 64))
    assert [len(names) for names in attempts] == [0, 2, 4, 8]
    assert "features.0" in attempts[1][0]
    assert "features.12.expand3x3" in attempts[1][1]
    assert all(set(fewer) < set(more) for fewer, more in pairwise(attempts))
    assert sensitive_layers(converted(nn.Conv2d(3, 4, 3), 8)) == [()]


def test_nobody_is_told() -> None:
    """In a fresh process that converts and quantises, nothing that could report the use of it is loaded."""
    code = (
        "import sys\nfrom indexer.conversion import converted\nfrom torch import nn\n"
        "converted(nn.Conv2d(3, 4, 3), 8)\nimport nncf\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
        "assert sys.modules['openvino_telemetry'] is None"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
