"""Fine-tuning: the last convolutions of a network, or all of its layers, learn to tell the library's characters apart.

The network is trained through the embedding that is searched later, under heads that are thrown away afterwards:
`heads` trains others on what the network gives in the end. It stays in evaluation mode throughout:

- Batch normalisation keeps the statistics of its trained weights: those of a few dozen drawings would be noise.
- Dropout stays off. Half a vector is another vector once it is scaled to length 1, and what is searched is the whole
  one; random views, small rates and early stopping are there against learning by heart. So nothing is random but what
  a seed and an epoch's number decide, and an interrupted training goes on as if nothing had happened.

Here is what a listener is told, and how a network is made ready and given back. Not here: what an epoch does
(`epochs`), which layers are which (`layers`), which pictures there are and how they are split (`indexer.samples`), the
heads that answer (`heads`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Protocol

import torch
from torch import nn

from indexer.training.batches import Material, PictureSource
from indexer.training.checkpoint import Checkpoint
from indexer.training.device import Device
from indexer.training.epochs import FinetuneOptions, Training
from indexer.training.heads import Epoch
from indexer.training.layers import activation_bytes, recomputing, trainable_layers
from indexer.views import augmented_name
from recommender.encoders.torch_encoder import weights_digest
from recommender.errors import BuildError

__all__ = ["FinetuneOptions", "Finetuned", "Listener", "Material", "PictureSource", "Plan", "finetune"]

RECIPE = 1
"""Counted up whenever the same pictures and options come to something else: older checkpoints are then refused."""
MEMORY_SHARE = 0.5
"""How much of the free memory the activations of a batch may take before they are computed twice instead of kept."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training is going to do. `activations` are the bytes that one batch keeps for its gradient.

    Where they are too many, they are `recomputed`. `done` counts the epochs that a checkpoint holds already.
    """

    device: Device
    layers: tuple[str, ...]
    activations: int
    recomputed: bool
    done: int

    @property
    def describe(self) -> str:
        """A sentence for the log."""
        kept = "computed twice to save memory" if self.recomputed else "kept"
        after = f", going on after epoch {self.done}" if self.done else ""
        return (
            f"fine-tuning {len(self.layers)} layers, {self.layers[0] or 'the outermost'} to {self.layers[-1]}, on "
            f"{self.device.describe}; {self.activations / 1e6:,.0f} MB of activations a batch, {kept}{after}"
        )


class Listener(Protocol):
    """Hears how the training goes. What it raises ends the training; the epochs that it heard of are kept."""

    def plan(self, plan: Plan) -> None:
        """Hear, once, what is going to be done."""

    def progress(self, done: int, total: int, loss: float | None) -> None:
        """Hear after each batch how many pictures are done, of how many altogether, and this epoch's mean loss so far.

        There is no loss while the network is only looked at. A training that ends early never reaches the total.
        """

    def epoch(self, epoch: Epoch) -> None:
        """Hear what an epoch came to, when its checkpoint is on the disk; first of all the epochs before a break."""


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The epochs of a training, and the number of the one whose weights the network has now.

    That is 0 where none was better than the network before, which has its own weights then.
    """

    history: tuple[Epoch, ...]
    best: int


def finetune(
    model: nn.Module,
    material: Material,
    options: FinetuneOptions,
    told: Listener,
    checkpoint: Checkpoint | None = None,
    device: Device | None = None,
) -> Finetuned:
    """Train the network in place until the validation loss stops falling, and leave it with its best epoch's weights.

    `model` is a network that `recommender.encoders.torch_encoder.network` built, on the CPU, where it also ends.
    Without validation pictures all epochs are run and the last one counts. With a `checkpoint`, an interrupted training
    goes on after its last whole epoch, and comes to the same; without a `device`, one is found.

    Raises BuildError where a checkpoint cannot be read or written or is another training's, and where the loss grows
    beyond all bounds; and whatever the listener and the picture sources raise.
    """
    if not len(material.training):
        raise BuildError("there are no pictures to fine-tune with: add pictures to the library")
    device = device or Device.found()
    layers = trainable_layers(model, material.preprocessing.size, options.unfreeze)
    if checkpoint:
        purpose = f"{checkpoint.purpose} {_fingerprint(model, material, options, layers)}"
        checkpoint = replace(checkpoint, purpose=purpose)
    with _prepared(model, layers, device, options.threads):
        training = Training(model, material, options, device)
        resumed = checkpoint is not None and training.resume(checkpoint)
        activations = options.batch * activation_bytes(model, material.preprocessing.size, device)
        short = activations > MEMORY_SHARE * device.free_memory()
        told.plan(Plan(device, layers, activations, short, len(training.history)))
        for epoch in training.history:
            told.epoch(epoch)
        if not resumed:
            training.begin(told.progress)
        with recomputing(model) if short else nullcontext():
            while not training.over:
                epoch = training.run_epoch(told.progress)
                if checkpoint:
                    training.save(checkpoint)
                told.epoch(epoch)
        training.take_best()
    return Finetuned(tuple(training.history), training.best)


@contextmanager
def _prepared(model: nn.Module, layers: Sequence[str], device: Device, threads: int) -> Iterator[None]:
    """Move the network to the device with only some layers trainable, and bring it back as it was."""
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    model.eval().requires_grad_(False)
    for name in layers:
        for parameter in model.get_submodule(name).parameters(recurse=False):
            parameter.requires_grad_(True)
    # Channels innermost: oneDNN and cuDNN compute convolutions several times faster so.
    model.to(device.kind, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch forgets this form
    try:
        yield
    finally:
        model.to("cpu").zero_grad()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(trainable[name])
        torch.set_num_threads(before)


def _fingerprint(model: nn.Module, material: Material, options: FinetuneOptions, layers: Sequence[str]) -> str:
    """Return a SHA-256 over everything that decides what a training comes to; the machine is not a part of it."""
    parts = (material.training, material.validation)
    facts = {
        "recipe": RECIPE,
        "options": asdict(replace(options, threads=0)),
        "layers": layers,
        "weights": weights_digest(model),
        "labels": material.hierarchy.to_json(),
        "preprocessing": material.preprocessing.describe,
        "views": augmented_name(1),
        "characters": [sha256(part.characters.tobytes()).hexdigest() for part in parts],
    }
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
