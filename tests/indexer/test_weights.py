"""`indexer.training.weights`: which weights a backbone has, and what is said where some are missing."""

from __future__ import annotations

import os
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from indexer.training.weights import LoadedBackbone, load_backbone
from recommender.encoders.torch_encoder import weights_digest
from recommender.errors import ModelError, WeightsMissing

pytestmark = pytest.mark.slow

NAME = "squeezenet1_1"
SHARED = Path(__file__).parents[2].parent / "shared/weights"
"""Real weights beside the repository, which not every machine has."""
needs_weights = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real weights (../shared/weights) are not on this machine"
)


def _state(name: str = NAME, seed: int = 1) -> dict[str, torch.Tensor]:
    """Return the state of a whole torchvision network, its last layer with it, as a hub's file holds it."""
    torch.manual_seed(seed)
    model: nn.Module = torchvision.models.get_model(name, weights=None)
    return dict(model.state_dict())


def _saved(file: Path, content: Any) -> str:
    torch.save(content, file)
    return str(file)


def _line(weights: str | Path, name: str = NAME) -> str:
    """Return the one line with which these weights are refused."""
    with pytest.raises(WeightsMissing) as caught:
        load_backbone(name, str(weights), seed=0)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


def test_none_is_random_seeded_and_says_so() -> None:
    """The same seed gives the same network, another seed another one, and both are marked as untrained."""
    one, again, other = (load_backbone(NAME, "none", seed) for seed in (1, 1, 2))
    assert weights_digest(one.model) == weights_digest(again.model)
    assert weights_digest(one.model) != weights_digest(other.model)
    assert one.untrained
    assert one.source == "none"
    assert "untrained" in one.notice
    assert one.to_json()["untrained"] is True
    assert one.random_layers[0] == "features.0"


def test_drawing_random_weights_leaves_torchs_generator_alone() -> None:
    """What is drawn elsewhere does not depend on whether a backbone was built before."""
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    load_backbone(NAME, "none", seed=1)
    assert torch.equal(torch.rand(1), expected)


def test_the_form_of_a_file_does_not_matter(tmp_path: Path) -> None:
    """One state as .pth (new and old form), wrapped, from parallel training, and as .safetensors is one network."""
    state = _state()
    old = tmp_path / "old.pth"
    torch.save(state, old, _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "one.safetensors")
    files = [
        _saved(tmp_path / "one.pth", state),
        str(old),
        _saved(tmp_path / "wrapped.pth", {"epoch": 3, "state_dict": state}),
        _saved(tmp_path / "parallel.pth", {f"module.{name}": tensor for name, tensor in state.items()}),
        str(tmp_path / "one.safetensors"),
    ]
    loaded = [load_backbone(NAME, file, seed) for seed, file in enumerate(files)]
    assert len({weights_digest(one.model) for one in loaded}) == 1
    for one in loaded:
        assert not one.untrained
        assert one.random_layers == ()
        assert one.notice == ""
    assert loaded[0].source == "one.pth"


def test_the_last_layer_is_not_needed(tmp_path: Path) -> None:
    """A file with another number of classes, or without the last layer at all, is complete."""
    state = _state()
    headless = {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}
    other = headless | {"classifier.1.weight": torch.zeros(7, 512, 1, 1), "classifier.1.bias": torch.zeros(7)}
    digests = {
        weights_digest(load_backbone(NAME, _saved(tmp_path / f"{number}.pth", one), seed=0).model)
        for number, one in enumerate((state, headless, other))
    }
    assert len(digests) == 1


def test_layers_that_stay_random_are_named(tmp_path: Path) -> None:
    """A file that covers a part says which layers stayed random, in the order of the network, and seeds them."""
    part = {name: tensor for name, tensor in _state().items() if re.match(r"features\.[0-6]\.", name)}
    file = _saved(tmp_path / "part.pth", part)
    one, again, other = (load_backbone(NAME, file, seed) for seed in (1, 1, 2))
    assert one.random_layers[0] == "features.7.expand1x1"
    assert one.random_layers[-1] == "features.12.squeeze"
    assert len(one.random_layers) == 5 * 3
    assert not one.untrained
    assert "partly trained" in one.notice
    assert "15 layers" in one.notice
    assert "features.7.expand1x1" in one.notice
    assert "9 more" in one.notice
    assert weights_digest(one.model) == weights_digest(again.model) != weights_digest(other.model)
    kept = one.model.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in part.items())


def test_batch_counters_may_be_missing(tmp_path: Path) -> None:
    """Files from older releases lack `num_batches_tracked`, which changes no result."""
    state = {name: tensor for name, tensor in _state("shufflenet_v2_x0_5").items() if "num_batches" not in name}
    loaded = load_backbone("shufflenet_v2_x0_5", _saved(tmp_path / "old.pth", state), seed=0)
    assert loaded.random_layers == ()


@pytest.mark.parametrize("side_outputs", [True, False])
def test_side_outputs_count_neither_as_missing_nor_as_foreign(tmp_path: Path, *, side_outputs: bool) -> None:
    """GoogLeNet's file may hold the side outputs that only training needs, or not: it is complete either way."""
    model = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=side_outputs)
    assert load_backbone("googlenet", _saved(tmp_path / "one.pth", model.state_dict()), seed=0).random_layers == ()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """Tensors that do not fit are counted and the first ones named; the line says what to do."""
    line = _line(_saved(tmp_path / "shufflenet.pth", _state("shufflenet_v2_x0_5")))
    assert "another network" in line
    assert "shufflenet.pth" in line
    assert "squeezenet1_1" in line
    assert "conv1.0.weight" in line
    assert "--backbone" in line
    reshaped = _state() | {"features.0.weight": torch.zeros(64, 1, 3, 3)}
    assert "features.0.weight" in _line(_saved(tmp_path / "grey.pth", reshaped))
    assert "holds none" in _line(_saved(tmp_path / "empty.pth", {}))


class _Payload:
    """Unpickled without care, this would create a file."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self._target),)


@pytest.mark.parametrize("new", [True, False])
def test_code_in_a_file_never_runs(tmp_path: Path, *, new: bool) -> None:
    """A pickle that holds more than tensors is refused before anything of it happens."""
    target = tmp_path / "executed"
    file = tmp_path / "evil.pth"
    torch.save({"features.0.weight": _Payload(target)}, file, _use_new_zipfile_serialization=new)
    assert "evil.pth cannot be read as weights" in _line(file)
    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(_Payload(target), protocol=2))
    assert "plain.pth cannot be read as weights" in _line(plain)
    assert not target.exists()
    pickle.loads(plain.read_bytes())  # noqa: S301 - proves that the payload would have done it
    assert target.exists()


@pytest.mark.parametrize("form", ["new.pth", "old.pth", "one.safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, form: str) -> None:
    """A file that is cut off anywhere, or not of its kind at all, is one line that names it, and never a traceback."""
    state = {"features.0.weight": torch.randn(64, 3, 3, 3), "features.0.bias": torch.randn(64)}
    file = tmp_path / form
    if form == "one.safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=form == "new.pth")
    data = file.read_bytes()
    damaged = [data[:length] for length in (0, 1, 7, 40, 300, len(data) // 2, len(data) - 9)]
    damaged += [
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<!DOCTYPE html>",
        b"\x80\x02" + bytes(50),
        bytes(500),
    ]
    for content in damaged:
        file.write_bytes(content)
        assert f"{form} cannot be read as weights: it is damaged" in _line(file)


@pytest.mark.parametrize(
    "content", [[1, 2], None, torch.zeros(3), {"epoch": 3}, {0: torch.zeros(3)}, {"state_dict": {"lr": 0.1}}]
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    """Other things that torch.save writes are no weights, and the line says what to save instead."""
    assert "no state dict: save `model.state_dict()`" in _line(_saved(tmp_path / "other.pth", content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, is named with what --weights takes."""
    for path in (tmp_path / "missing.pth", tmp_path):
        line = _line(path)
        assert str(path) in line
        assert "auto, imagenet, bundled, none" in line


def test_an_unknown_backbone_is_told_before_its_weights() -> None:
    """Names are suggested, whatever the weights are."""
    for weights in ("none", "imagenet", "missing.pth"):
        with pytest.raises(ModelError, match=r"did you mean .*squeezenet1_1"):
            load_backbone("squeezenet11", weights, seed=0)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("squeezenet", "did you mean squeezenet1_0 or squeezenet1_1?"),
        ("VGG-19", "did you mean vgg19 or vgg19_bn?"),
        ("resnet-50", "did you mean resnet50?"),
        ("mobilnet_v2", "did you mean mobilenet_v2 or"),
        ("zzzz", "vgg19 is one, resnet50 and squeezenet1_0 are others"),
        ("", "vgg19 is one, resnet50 and squeezenet1_0 are others"),
    ],
)
def test_a_backbone_is_suggested_only_where_it_may_have_been_meant(name: str, told: str) -> None:
    """A family, other signs, a slip: the like is named; else some that there are."""
    with pytest.raises(ModelError, match=re.escape(told)):
        load_backbone(name, "none", seed=0)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which torchvision keeps its weights, empty; nothing beyond this machine can be reached."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens on port 9
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_imagenet_without_a_network_fails_soon_and_helpfully(hub: Path) -> None:
    """Offline, within ten seconds, one line names the file, where it would be kept, its address and what to do."""
    started = time.monotonic()
    line = _line("imagenet")
    assert time.monotonic() - started < 10
    assert "squeezenet1_1-b8a52dc0.pth" in line
    assert str(hub / "squeezenet1_1-b8a52dc0.pth") in line
    assert "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth" in line
    assert "--weights PATH or --weights none" in line
    assert not list(hub.iterdir())


def test_imagenet_weights_that_are_there_are_used(hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file in the place that the line names is loaded without any network, and nothing is printed."""
    state = _state()
    file = _saved(hub / "squeezenet1_1-b8a52dc0.pth", state)
    loaded = load_backbone(NAME, "imagenet", seed=0)
    assert loaded.source == "imagenet"
    assert loaded.notice == ""
    assert weights_digest(loaded.model) == weights_digest(load_backbone(NAME, file, seed=0).model)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_in_the_cache_is_named(hub: Path) -> None:
    """A download that was cut off by hand is one line that says what to delete."""
    file = hub / "squeezenet1_1-b8a52dc0.pth"
    torch.save(_state(), file)
    file.write_bytes(file.read_bytes()[:10_000])
    line = _line("imagenet")
    assert f"delete {file}" in line


def _shared(name: str, file: str) -> LoadedBackbone:
    return load_backbone(name, str(SHARED / file), seed=0)


@needs_weights
@pytest.mark.parametrize("name", ["squeezenet1_0", "mobilenet_v2"])
def test_real_weights_are_complete(name: str) -> None:
    """Real ImageNet weights of a whole network leave no layer random and nothing to say."""
    loaded = _shared(name, f"{name}_imagenet.pth")
    assert loaded.random_layers == ()
    assert not loaded.untrained
    assert loaded.notice == ""


@needs_weights
@pytest.mark.big
def test_real_weights_of_half_a_vgg19_say_so() -> None:
    """The first eight convolutions of VGG19 are loaded; the rest and both dense layers are named as random."""
    loaded = _shared("vgg19", "vgg19_imagenet_conv1-3.pth")
    convolutions = [f"features.{number}" for number in (19, 21, 23, 25, 28, 30, 32, 34)]
    assert loaded.random_layers == ("classifier.0", "classifier.3", *convolutions)
    assert not loaded.untrained
    assert "partly trained: 10 layers" in loaded.notice
    assert "features.19" in loaded.notice
