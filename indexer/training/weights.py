"""Where the backbone's weights come from: torchvision's hub, the package, a file, or a seeded random generator.

Not here: what happens to them afterwards. No pickle is read without `weights_only`: it loads
tensors and runs nothing.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from indexer.progress import say
from indexer.training.bundled import NOTICE, Bundled
from recommender import bundled
from recommender.encoders.pooled import LAYER as POOLED
from recommender.encoders.torch_encoder import PENULTIMATE, network, removed_layer
from recommender.errors import WeightsMissing
from recommender.images import Preprocessing

HUB_SECONDS = 5.0
"""How long the hub may take to answer at all before it counts as out of reach."""
NAMED = 6
"""How many layers a message lists before it only counts the rest."""


@dataclass(frozen=True, slots=True)
class LoadedBackbone:
    """A network without its last layer, and what has to be said about its weights.

    `layer` says what its output is of (`EmbeddingSpace.layer`), `preprocessing` how pictures become its input.
    """

    model: nn.Module
    source: str
    random_layers: tuple[str, ...]
    untrained: bool
    layer: str = PENULTIMATE
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    @property
    def notice(self) -> str:
        """A sentence to show wherever a result is shown, or nothing where every layer was trained."""
        if self.source == "bundled":
            return NOTICE
        if self.untrained:
            return "This model is untrained: its backbone has random weights, so its answers say little."
        if self.random_layers:
            return (
                f"This model is only partly trained: {len(self.random_layers)} layers of its backbone "
                f"stayed random ({_listed(self.random_layers)})."
            )
        return ""

    @property
    def tells_duplicates(self) -> bool:
        """Whether near-duplicates may be told by its embeddings.

        The limits were set with ImageNet weights: to a network that has seen less, far more is alike.
        """
        return not self.random_layers and self.source != "bundled"

    def to_json(self) -> dict[str, Any]:
        """Return what model.json says about the weights."""
        return {
            "tells_duplicates": self.tells_duplicates,
            "source": self.source,
            "untrained": self.untrained,
            "random_layers": list(self.random_layers),
            "notice": self.notice,
        }


def load_backbone(name: str, weights: str, seed: int) -> LoadedBackbone:
    """Build the backbone `name` with `weights`: `auto`, `imagenet`, `bundled`, `none`, or the path of a state dict.

    `auto` is ImageNet where it can be had, else what comes with Sokkuri, and says so. Layers that the weights do not
    cover keep values drawn from `seed`. Raises ModelError, or WeightsMissing with one line that says what is missing
    and what to do.
    """
    # What can fail comes first: drawing the random weights of a large network takes seconds.
    removed = removed_layer(name)
    if weights == "auto":
        weights = _at_hand(name)
    if weights == "bundled":
        return _from_package(name)
    state = None if weights == "none" else _from_hub(name) if weights == "imagenet" else _from_file(Path(weights))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(name)
    if state is None:
        return LoadedBackbone(model, "none", _layers(model.state_dict()), untrained=True)
    source = "imagenet" if weights == "imagenet" else Path(weights).name
    return LoadedBackbone(model, source, _fill(model, state, f"{source} for {name}", removed), untrained=False)


def _at_hand(name: str) -> str:
    """Return `imagenet` where its weights are cached or the hub answers, else `bundled`. Raises WeightsMissing."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    if _cached(weights.url).is_file() or _answers(weights.url):
        return "imagenet"
    if name != bundled.BACKBONE:
        raise WeightsMissing(
            f"the ImageNet weights of {name} are neither in torchvision's cache nor within reach: fetch {weights.url} "
            f"on another machine and put it at {_cached(weights.url)}, use --backbone {bundled.BACKBONE} (its weights "
            "come with Sokkuri), --weights PATH or --weights none"
        )
    say(f"no ImageNet weights at hand, and none within reach: using the {name} that comes with Sokkuri")
    return "bundled"


def _from_package(name: str) -> LoadedBackbone:
    """Build the backbone that comes with Sokkuri. Raises WeightsMissing for any other name."""
    if name != bundled.BACKBONE:
        raise WeightsMissing(
            f"Sokkuri comes with weights for {bundled.BACKBONE} only: use --backbone {bundled.BACKBONE}, "
            "or other --weights"
        )
    found = Bundled.read()
    model = network(name, POOLED)
    model.load_state_dict(found.state)
    return LoadedBackbone(model, "bundled", (), untrained=False, layer=POOLED, preprocessing=found.preprocessing)


def _cached(url: str) -> Path:
    """Return where torchvision keeps a file of its hub."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def _fill(model: nn.Module, state: Mapping[str, torch.Tensor], what: str, removed: str) -> tuple[str, ...]:
    """Copy the tensors into the network and return the layers that they do not cover. Raises WeightsMissing."""
    own = model.state_dict()
    offered = {
        key.removeprefix("module."): tensor
        for key, tensor in state.items()
        if not key.removeprefix("module.").startswith((f"{removed}.", "aux", "AuxLogits."))
    }
    fitting = {key: tensor for key, tensor in offered.items() if key in own and own[key].shape == tensor.shape}
    misfits = sorted(set(offered) - set(fitting))
    if misfits or not fitting:
        raise WeightsMissing(
            f"the weights {what} are those of another network: "
            f"{len(misfits)} tensors do not fit ({_listed(misfits) or 'it holds none'}); name the right --backbone"
        )
    model.load_state_dict(fitting, strict=False)
    # A missing batch counter changes no result: files from older releases have none.
    missing = {key for key in set(own) - set(fitting) if not key.endswith("num_batches_tracked")}
    return _layers(missing)


def _layers(keys: Any) -> tuple[str, ...]:
    """Return the layers that tensors belong to: `features.0.weight` and `features.0.bias` are `features.0`."""
    return tuple(sorted({key.rpartition(".")[0] for key in keys}, key=_natural))


def _natural(layer: str) -> list[tuple[bool, int, str]]:
    """Return a sorting key that puts `features.2` before `features.10`."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in layer.split(".")]


def _listed(names: Any) -> str:
    """Return the first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _from_file(file: Path) -> Mapping[str, torch.Tensor]:
    """Read a state dict from `.safetensors` or from a file that `torch.save` wrote. Raises WeightsMissing."""
    if not file.is_file():
        raise WeightsMissing(
            f"there is no weights file {file}: --weights takes auto, imagenet, bundled, none, or the path of a file"
        )
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged bytes torch.load raises whatever its parsers stumble over
        raise WeightsMissing(
            f"{file} cannot be read as weights: it is damaged, or holds more than tensors; "
            "Sokkuri reads .safetensors and state dicts saved with torch.save"
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    ):
        raise WeightsMissing(f"{file} is no state dict: save `model.state_dict()`, not the model")
    return state


def _from_hub(name: str) -> Mapping[str, torch.Tensor]:
    """Read ImageNet weights from torchvision's cache, or fetch them into it with a progress bar.

    Raises WeightsMissing within seconds where they are neither cached nor within reach.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    cached = _cached(weights.url)
    if not cached.is_file() and not _answers(weights.url):
        raise WeightsMissing(
            f"the ImageNet weights of {name} ({cached.name}) are not at {cached} and cannot be fetched from here: "
            f"fetch {weights.url} on another machine and put it there, or use --weights PATH or --weights none"
        )
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where torch says what it downloads; results go to stdout
            state: Mapping[str, torch.Tensor] = weights.get_state_dict(
                progress=sys.stderr.isatty(), check_hash=True, weights_only=True
            )
    except Exception as error:  # from a broken connection to whatever torch.load stumbles over in a damaged file
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise WeightsMissing(
            f"the ImageNet weights of {name} could not be had ({reason[0]}): "
            f"delete {cached} if it is there and try again"
        ) from error
    return state


def _answers(url: str) -> bool:
    """Tell whether the hub answers in time. Asked aside, since looking up a name can hang for longer than any limit."""
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the address is torchvision's own https
        try:
            with urllib.request.urlopen(request, timeout=HUB_SECONDS):  # noqa: S310 - same
                answered.set()
        except OSError:
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_SECONDS + 1)
    return answered.is_set()
