"""Any torchvision classification network as a backbone, run by PyTorch: the reference that other engines are held to.

Not here: where weights come from (`indexer.training.weights`); the heads (`recommender.heads`).
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from recommender.embeddings import EmbeddingSpace
from recommender.errors import Corrupt, ModelError
from recommender.images import Preprocessing, prepare
from recommender.modelfolder import BACKBONE, REMEDY, ModelFolder
from recommender.types import DecodedImage, Matrix

BATCH = 4
"""Pictures in one forward pass. On two cores larger batches are slower: their maps no longer fit the cache."""


def network(name: str) -> nn.Module:
    """Build a torchvision classification network without its last layer, in evaluation mode, with random weights.

    What was the input of the last layer is now the output. Where that layer is a convolution, as in SqueezeNet, its
    input is a map: the pooling that followed it now averages the map. Raises ModelError for an unknown name.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise ModelError(f"torchvision has no backbone {name!r}: did you mean {' or '.join(near) or 'vgg19'}?")
    model: nn.Module = torchvision.models.get_model(name, weights=None)
    path = last_layer(model)
    model.set_submodule(path, nn.Identity())
    return model.eval()


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


def _skeleton(name: str) -> nn.Module:
    """Build a network whose weights are about to be replaced, without drawing random ones where that can be had."""
    try:
        with torch.device("meta"):
            return network(name)
    except NotImplementedError:
        # RegNet computes its widths with tensors, which needs real ones.
        return network(name)


class TorchBackbone:
    """The Backbone of a torchvision network on the CPU in float32."""

    def __init__(self, model: nn.Module, space: EmbeddingSpace, preprocessing: Preprocessing, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        # Pictures side by side in memory, channels innermost: oneDNN computes convolutions several times faster so.
        self._model = model.to(memory_format=torch.channels_last)
        self._space = space
        self._preprocessing = preprocessing

    @classmethod
    def of_network(cls, name: str, model: nn.Module, preprocessing: Preprocessing, threads: int = 0) -> Self:
        """Wrap a network that `network` built; its weights become part of the space."""
        probe = torch.zeros(1, 3, preprocessing.size, preprocessing.size)
        with torch.inference_mode():
            dimension = model(probe).shape[1]
        space = EmbeddingSpace(
            backbone=name,
            weights=weights_digest(model),
            layer="penultimate",
            preprocessing=preprocessing.describe,
            dimension=dimension,
        )
        return cls(model, space, preprocessing, threads)

    @classmethod
    def load(cls, folder: ModelFolder, threads: int = 0) -> Self:
        """Open the backbone of a model folder. Raises Corrupt where the file and the network do not fit."""
        model = _skeleton(folder.space.backbone)
        try:
            # The tensors stay mapped from the file: nothing is copied, and processes share the memory.
            model.load_state_dict(load_file(folder.path / BACKBONE), assign=True)
        except (RuntimeError, SafetensorError):
            raise Corrupt(f"{folder.path / BACKBONE} does not fit {folder.space.backbone}: {REMEDY}") from None
        return cls(model.eval(), folder.space, folder.preprocessing, threads)

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
        rows = np.empty((len(images), self._space.dimension), dtype=np.float32)
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            inputs = torch.from_numpy(np.stack([prepare(image, self._preprocessing) for image in batch]))
            inputs = inputs.to(memory_format=torch.channels_last)
            with torch.inference_mode():
                rows[start : start + len(batch)] = self._model(inputs).numpy()
        return rows
