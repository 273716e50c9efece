"""Any torchvision classification network as a backbone, run by PyTorch: the reference that other engines are held to.

Not here: where weights come from (`indexer.training.weights`); the heads (`recommender.heads`).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from recommender.embeddings import EmbeddingSpace
from recommender.encoders.feeding import PIXELS, Feeder
from recommender.encoders.pooled import LAYER as POOLED
from recommender.encoders.pooled import exchange_top
from recommender.errors import Corrupt, ModelError
from recommender.images import Preprocessing
from recommender.modelfolder import BACKBONE, REMEDY, ModelFolder
from recommender.types import DecodedImage, Matrix

_INCEPTION = {"aux_logits": False, "init_weights": True, "transform_input": True}
OPTIONS: dict[str, dict[str, Any]] = {"googlenet": _INCEPTION, "inception_v3": _INCEPTION}
"""What some networks have to be built with: no side outputs, which only their training needed, and the input scaled as
torchvision scales it for its trained weights. Naming the initialisation keeps a warning about its default away."""
PENULTIMATE = "penultimate"
"""What `EmbeddingSpace.layer` says of what went into the layer that was taken away."""
CARD_PIXELS = 64 * 224 * 224
"""Pixels in one forward pass on a graphics card, which fewer leave idle: 64 pictures of the usual size."""
Precision = Literal["float32", "bfloat16"]
Built = TypeVar("Built")


def network(name: str, layer: str = PENULTIMATE) -> nn.Module:
    """Build a torchvision classification network without its last layer, in evaluation mode, with random weights.

    What was the input of the last layer is now the output. Where that layer is a convolution, as in SqueezeNet, its
    input is a map: the pooling that followed it now averages the map. The layer `pooled` asks for a VGG whose dense
    layers were exchanged (see `recommender.encoders.pooled`). Raises ModelError for an unknown name.
    """
    model = _whole_network(name)
    if layer == POOLED:
        exchange_top(model)
        return model.eval()
    model.set_submodule(last_layer(model), nn.Identity())
    return model.eval()


def removed_layer(name: str) -> str:
    """Return the dotted name of the layer that `network` takes away. Raises ModelError for an unknown name."""
    return last_layer(_without_values(lambda: _whole_network(name)))


def _whole_network(name: str) -> nn.Module:
    """Build a torchvision classification network as it is, with random weights. Raises ModelError."""
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = _alike(name, known)
        hint = f"did you mean {' or '.join(near)}?" if near else "vgg19 is one, resnet50 and squeezenet1_0 are others"
        raise ModelError(f"torchvision has no backbone {name!r}: {hint}")
    model: nn.Module = torchvision.models.get_model(name, weights=None, **OPTIONS.get(name, {}))
    return model


def _alike(name: str, known: Sequence[str]) -> list[str]:
    """Return up to three names that may have been meant: those that begin so, else those that are spelt much like it.

    Letters between a family and its number (`resnet-50`, `VGG 19`) are taken for slips.
    """
    plain = {one: re.sub("[^a-z0-9]", "", one.lower()) for one in (name, *known)}
    meant = plain[name]
    begun = [one for one in known if len(meant) > 1 and plain[one].startswith(meant)]
    spelt = {plain[one]: one for one in known}
    close = [spelt[one] for one in difflib.get_close_matches(meant, list(spelt), n=3, cutoff=0.6)]
    return (begun or close)[:3]


def last_layer(model: nn.Module) -> str:
    """Return the dotted name of the layer that gives the class scores: the last one that multiplies."""
    layers = [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    return str(layers[-1])


def weights_digest(model: nn.Module) -> str:
    """Return the SHA-256 over every tensor of the network, by name: equal digests mean equal features."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).view(np.uint8).data)
    return digest.hexdigest()


def _without_values(build: Callable[[], Built]) -> Built:
    """Build something whose weights nobody will read, without drawing random ones where that can be had."""
    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:
        # RegNet computes its widths with tensors, which needs real ones.
        return build()


def device() -> torch.device:
    """Return what networks run on: the graphics card where torch finds one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computes_bfloat16() -> bool:
    """Tell whether what networks run on computes with bfloat16 itself: emulated, it takes longer than float32."""
    if device().type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older releases of torch cannot tell: float32 is right everywhere.
    can = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


class TorchBackbone:
    """The Backbone of a torchvision network, in the precision of its space: float32 or bfloat16.

    It runs on the processor or on a graphics card, which gets a copy of the network when the first picture comes. The
    space is the same: they differ by rounding alone.
    """

    def __init__(
        self,
        model: nn.Module,
        space: EmbeddingSpace,
        preprocessing: Preprocessing,
        threads: int = 0,
        on: torch.device | None = None,
    ) -> None:
        self._threads = threads
        self._device = on or device()
        # Pictures side by side in memory, channels innermost: oneDNN computes convolutions several times faster so.
        self._model = model.to(memory_format=torch.channels_last)
        self._space = space
        self._preprocessing = preprocessing
        card = self._device.type != "cpu"
        self._feeder = Feeder(
            self._forward, preprocessing, space.dimension, CARD_PIXELS if card else PIXELS, merging=card
        )

    @cached_property
    def _running(self) -> nn.Module:
        """The network where it runs; the one on the processor is left alone, since it is saved and exported."""
        return self._model if self._device.type == "cpu" else deepcopy(self._model).to(self._device)

    @classmethod
    def of_network(
        cls,
        name: str,
        model: nn.Module,
        preprocessing: Preprocessing,
        threads: int = 0,
        precision: Precision = "float32",
        layer: str = PENULTIMATE,
    ) -> Self:
        """Wrap a network that `network` built; its weights, and the precision, become part of the space."""
        probe = torch.zeros(1, 3, preprocessing.size, preprocessing.size)
        with torch.inference_mode():
            dimension = model(probe).shape[1]
        space = EmbeddingSpace(
            backbone=name,
            weights=weights_digest(model),
            layer=layer,
            preprocessing=preprocessing.describe,
            dimension=dimension,
            precision=precision,
        )
        return cls(model, space, preprocessing, threads)

    @classmethod
    def load(cls, folder: ModelFolder, threads: int = 0) -> Self:
        """Open the backbone of a model folder. Raises Corrupt where the file and the network do not fit."""
        model = _without_values(lambda: network(folder.space.backbone, folder.space.layer))
        try:
            # Linear layers, most of VGG19, stay mapped from the file, and processes share their memory. Those of the
            # bundled weights do not: they are kept in half as many bits.
            tensors = load_file(folder.path / BACKBONE)
            halves = {name: tensor.float() for name, tensor in tensors.items() if tensor.dtype == torch.float16}
            model.load_state_dict(tensors | halves, assign=True)
        except (RuntimeError, SafetensorError):
            raise Corrupt(f"{folder.path / BACKBONE} does not fit {folder.space.backbone}: {REMEDY}") from None
        return cls(model.eval(), folder.space, folder.preprocessing, threads)

    def in_precision(self, precision: Precision) -> Self:
        """Return a backbone of the same weights that computes in a precision: another space, unless it is its own."""
        space = replace(self._space, precision=precision)
        return type(self)(self._model, space, self._preprocessing, self._threads, self._device)

    @property
    def network(self) -> nn.Module:
        """The network itself, for whoever makes another engine of it."""
        return self._model

    def save(self, file: Path) -> None:
        """Write the network's tensors as safetensors."""
        save_file({name: tensor.contiguous() for name, tensor in self._model.state_dict().items()}, file)

    @property
    def space(self) -> EmbeddingSpace:
        """The space that `space.embed` takes the features to."""
        return self._space

    @property
    def engine(self) -> str:
        """Engine and precision, as results name them."""
        return f"torch-{self._space.precision}"

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the network's input."""
        return self._preprocessing

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return an (n, dimension) float32 matrix, a row for each picture, in the order of the pictures."""
        return self._feeder.features(images)

    def make_ready(self) -> None:
        """Bring the network to where it runs."""
        self._running  # noqa: B018 - made when it is first asked for

    def _forward(self, pictures: Matrix) -> Matrix:
        """Run the network on (n, 3, size, size) pictures."""
        if self._threads:
            torch.set_num_threads(self._threads)
        halved = self._space.precision == "bfloat16"
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=halved),
            # Convolutions of a graphics card would round float32 to 10 bits, which is another space.
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        ):
            inputs = torch.from_numpy(pictures).to(self._device).to(memory_format=torch.channels_last)
            outputs: Matrix = self._running(inputs).float().cpu().numpy()
        return outputs
