"""A fine-tuning under way: its options, what an epoch does, which epoch was best, and its state in a checkpoint.

Not here: which layers learn and where they are (`finetune`), how pictures become inputs (`batches`), and the heads
that answer in the end (`heads`).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer.samples import Part
from indexer.training.batches import Material, PictureSource, Reader
from indexer.training.checkpoint import Checkpoint
from indexer.training.device import Device
from indexer.training.heads import Epoch, HeadModule, HeadOptions, balance, train_heads
from indexer.training.layers import Unfreeze, empty
from recommender.errors import BuildError
from recommender.heads import SPACES
from recommender.types import Matrix

HEADS_FASTER = 10
"""So many times the network's learning rate is that of the heads."""
SPREAD = 10.0
"""How far from their mean, in the root of the mean square, the heads see embeddings. With their learning rate this
decides how fast they learn, and when they begin to swing: at 30, with the network's rate at 0.002, they did."""
LONGEST = 20.0
"""A longer gradient of the network is cut to this length (Pascanu and others, "On the Difficulty of Training Recurrent
Neural Networks", 2013). SqueezeNet's on real drawings were 5 to 60 long; uncut, rates above 0.0005 ended in noise."""
NARROWEST = 0.3
"""Embeddings that lie closer together than this, as those of an untrained network may, are pulled apart no further."""
SMOOTHING = 1e-3
"""Of a picture's mean feature: below this the square root, whose slope at 0 is infinite, is bent straight."""
SAMPLE = 4096
"""Training pictures that the heads are trained on while the network is as it was."""


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """How the network is trained. `patience` is how many epochs without progress on validation end the training.

    `learning_rate` is that of the network, reached after the first epoch: at 0.0005 the last block alone came to
    nothing better on validation than the start. `threads` are torch's, 0 for its own choice.
    """

    unfreeze: Unfreeze
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0001
    patience: int = 3
    seed: int = 0
    threads: int = 0


def embedded(features: Tensor) -> Tensor:
    """Turn (n, d) features into embeddings as `EmbeddingSpace.embed` does, but with a slope everywhere.

    The square root is x / sqrt(|x| + SMOOTHING) of features measured by their picture's mean size, which scaling to
    length 1 takes out again: each number differs from that of `embed` by less than 0.01 / sqrt(d).
    """
    size = features.detach().abs().mean(1, keepdim=True)
    even = features / torch.where(size > 0, size, 1.0)
    roots = even * (even.abs() + SMOOTHING).rsqrt()
    return roots * (roots.square().sum(1, keepdim=True) + SMOOTHING).rsqrt()


def pace(elapsed: float, epochs: int) -> float:
    """Return the part of the full learning rate that holds after `elapsed` of so many epochs.

    It rises evenly during the first and then falls like half a cosine (Loshchilov and Hutter, "SGDR: Stochastic
    Gradient Descent with Warm Restarts", 2017, without the restarts).
    """
    if elapsed <= 1:
        return elapsed
    return 0.5 * (1 + math.cos(math.pi * (elapsed - 1) / (epochs - 1)))


@dataclass(slots=True)
class _Mean:
    """A mean of losses that counts each batch by the weight of its pictures."""

    total: float = 0.0
    weight: float = 0.0

    def add(self, value: float, weight: float) -> None:
        """Take the mean of a batch."""
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float:
        """The mean so far."""
        return self.total / self.weight


class Training:
    """A training under way: the weights that change, what their optimiser remembers, and how the epochs went."""

    def __init__(self, model: nn.Module, material: Material, options: FinetuneOptions, device: Device) -> None:
        self.history: list[Epoch] = []
        self._model, self._material, self._options, self._device = model, material, options, device
        self._reader = Reader(material.preprocessing, options.batch, device.kind)
        with torch.no_grad():
            dimension = model(empty(model, 1, material.preprocessing.size)).shape[1]
        with torch.random.fork_rng(devices=[]):  # layers draw weights before these are set to zero
            self._heads = HeadModule(material.hierarchy, dimension).to(device.kind)
        self._network = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._trained = _prefixed("network", self._network) | _prefixed("heads", dict(self._heads.named_parameters()))
        self._balance = balance(material.training.characters, len(material.hierarchy.characters)).to(device.kind)
        self._centre = torch.zeros(dimension, device=device.kind)
        self._scale = torch.ones(1, device=device.kind)
        self._before = math.inf
        self._best = _copied(self._network)
        groups = [{"params": list(part.values())} for part in (self._network, dict(self._heads.named_parameters()))]
        self._optimiser = torch.optim.SGD(
            groups, options.learning_rate, options.momentum, weight_decay=options.weight_decay
        )
        # Small gradients would be lost in float16, which is what old graphics cards have instead of bfloat16.
        self._scaler = torch.amp.GradScaler(device.kind, enabled=device.precision is torch.float16)

    @property
    def best(self) -> int:
        """The number of the epoch with the lowest validation loss, 0 for the start; without validation the last one."""
        return min([(self._before, 0), *self._judged])[1] if self._judged else len(self.history)

    @property
    def over(self) -> bool:
        """Whether all epochs are run, or validation has not got better for too long.

        The start does not count here: training may have to go down before it comes out higher.
        """
        waited = len(self.history) - min(self._judged)[1] if self._judged else 0
        return len(self.history) >= self._options.epochs or waited >= self._options.patience

    @property
    def _judged(self) -> list[tuple[float, int]]:
        """The validation losses of the epochs that have one, with their numbers."""
        return [(epoch.validation_loss, epoch.number) for epoch in self.history if epoch.validation_loss is not None]

    def begin(self, told: Callable[[int, int, float | None], None]) -> None:
        """Train the heads on what the network gives as it is.

        Heads that know nothing would first of all spoil its features (Kumar and others, "Fine-Tuning can Distort
        Pretrained Features and Underperform Out-of-Distribution", 2022). And what it gives is what has to be beaten.
        """
        material, total = self._material, self._total
        rows, judging = self._order(0)[:SAMPLE], np.arange(len(material.validation))
        looked = self._look(material.training, rows, lambda done: told(done, total, None))
        judged = self._look(material.validation, judging, lambda done: told(len(rows) + done, total, None))
        centre = looked.mean(axis=0)
        scale = SPREAD / max(NARROWEST, float(np.sqrt(((looked - centre) ** 2).sum(axis=1).mean())))
        self._centre.copy_(torch.from_numpy(centre))
        self._scale.fill_(scale)
        training = Part.of((looked - centre) * scale, material.training.characters[rows])
        validation = Part.of((judged - centre) * scale, material.validation.characters)
        options = HeadOptions(seed=self._options.seed, standardised=False)
        heads = train_heads(material.hierarchy, training, validation, options).heads
        for space in SPACES:
            layer = {"weight": torch.from_numpy(heads.weights[space]), "bias": torch.from_numpy(heads.biases[space])}
            _fill(self._trained, _prefixed(f"heads.layers.{space}_head", layer))
        if len(validation):
            given, characters = torch.from_numpy(validation.embeddings()), torch.from_numpy(validation.characters)
            with torch.no_grad():
                loss = self._heads.loss(given.to(self._device.kind), characters.to(self._device.kind), self._balance)
            self._before = float(loss)

    def run_epoch(self, told: Callable[[int, int, float | None], None]) -> Epoch:
        """See every training picture once, then the validation pictures, and add to the history."""
        number, pictures, judging = len(self.history) + 1, len(self._material.training), len(self._material.validation)
        before = self._total - (self._options.epochs - number + 1) * (pictures + judging)

        def tell(done: int, loss: float) -> None:
            told(before + done, self._total, loss)

        started = perf_counter()
        loss = self._train(number, tell)
        speed = pictures / (perf_counter() - started)
        judged, accuracy = self._validate(lambda done: tell(pictures + done, loss)) if judging else (None, None)
        epoch = Epoch(number, loss, judged, accuracy, speed)
        self.history.append(epoch)
        if self.best == number:
            self._best = _copied(self._network)
        return epoch

    def take_best(self) -> None:
        """Give the network the weights of its best epoch."""
        _fill(self._network, self._best)

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep all that later epochs depend on. Raises BuildError where the disk is full."""
        tensors = {"centre": self._centre, "scale": self._scale}
        tensors |= _prefixed("now", {name: weight.detach() for name, weight in self._trained.items()})
        for name, weight in self._trained.items():
            momentum = self._optimiser.state[weight].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        if self.best < len(self.history):  # else they are those of now
            tensors |= _prefixed("best", self._best)
        history = [asdict(epoch) for epoch in self.history]
        state = {"history": history, "before": self._before, "most": self._options.epochs}
        checkpoint.save({name: tensor.to("cpu") for name, tensor in tensors.items()}, state)

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Go back to where the checkpoint was saved, and tell whether there was one. Raises BuildError."""
        _require_room(checkpoint.file, 3 * sum(weight.nbytes for weight in self._trained.values()))
        found = checkpoint.load()
        if found is None:
            return False
        tensors, state = found
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self._before = state["before"]
        self._centre.copy_(tensors["centre"])
        self._scale.copy_(tensors["scale"])
        _fill(self._trained, _named("now", tensors))
        for name, momentum in _named("momentum", tensors).items():
            weight = self._trained[name]
            self._optimiser.state[weight]["momentum_buffer"] = torch.empty_like(weight).copy_(momentum)
        now_is_best = self.best == len(self.history)
        self._best = _copied(self._network if now_is_best else _named("best", tensors))
        return True

    @property
    def _total(self) -> int:
        """How many pictures are gone through altogether: once to begin with, and in every epoch."""
        pictures, judging = len(self._material.training), len(self._material.validation)
        return min(pictures, SAMPLE) + judging + self._options.epochs * (pictures + judging)

    @torch.no_grad()
    def _look(self, source: PictureSource, rows: NDArray[np.int64], told: Callable[[int], None]) -> Matrix:
        """Return the embeddings of some pictures as the network is now: (n, dimension)."""
        embeddings, done = np.empty((len(rows), len(self._centre)), dtype=np.float32), 0
        with closing(self._reader.plain(source, rows)) as batches:
            for inputs, _ in batches:
                embeddings[done : done + len(inputs)] = self._embeddings(inputs).cpu().numpy()
                done += len(inputs)
                told(done)
        return embeddings

    def _train(self, number: int, told: Callable[[int, float], None]) -> float:
        """Take a step for each batch of an epoch and return the mean loss on the way. Raises BuildError."""
        rows, mean, done = self._order(number), _Mean(), 0
        steps = math.ceil(len(rows) / self._options.batch)
        with closing(self._reader.views(self._material.training, rows, number)) as batches:
            for step, (inputs, characters) in enumerate(batches):
                self._set_rates(pace(number - 1 + (step + 0.5) / steps, self._options.epochs))
                mean.add(self._step(inputs, characters), float(self._balance[characters].sum()))
                if not math.isfinite(mean.value):
                    raise BuildError(f"fine-tuning ran away in epoch {number}: run it with a lower learning rate")
                done += len(characters)
                told(done, mean.value)
        return mean.value

    @torch.no_grad()
    def _validate(self, told: Callable[[int], None]) -> tuple[float, float]:
        """Return the mean loss on the validation pictures, and the part of them whose character is right."""
        source, mean, right, done = self._material.validation, _Mean(), 0, 0
        with closing(self._reader.plain(source, np.arange(len(source)))) as batches:
            for inputs, characters in batches:
                embeddings = self._embeddings(inputs)
                mean.add(float(self._loss(embeddings, characters)), float(self._balance[characters].sum()))
                right += int((self._heads(self._given(embeddings))["character"].argmax(1) == characters).sum())
                done += len(characters)
                told(done)
        return mean.value, right / done

    def _step(self, inputs: Tensor, characters: Tensor) -> float:
        """Improve the weights by a batch and return the loss that it had before."""
        self._optimiser.zero_grad()
        loss = self._loss(self._embeddings(inputs), characters)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_(self._network.values(), LONGEST)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return float(loss.detach())

    def _embeddings(self, inputs: Tensor) -> Tensor:
        """Return the embeddings of (n, 3, size, size) inputs, in float32."""
        with self._device.autocast():
            features = self._model(inputs)
        return embedded(features.float())

    def _given(self, embeddings: Tensor) -> Tensor:
        """Return what the heads are given of embeddings."""
        return (embeddings - self._centre) * self._scale

    def _loss(self, embeddings: Tensor, characters: Tensor) -> Tensor:
        """Return the mean loss of a batch, in which characters count the same, however many pictures they have."""
        return self._heads.loss(self._given(embeddings), characters, self._balance)

    def _set_rates(self, part: float) -> None:
        """Set the learning rates to a part of the full ones."""
        for group, faster in zip(self._optimiser.param_groups, (1, HEADS_FASTER), strict=True):
            group["lr"] = self._options.learning_rate * faster * part

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows of the training pictures in an epoch's order, which hangs on nothing but seed and epoch."""
        return np.random.default_rng([self._options.seed, epoch]).permutation(len(self._material.training))


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under longer names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that `_prefixed` gave longer names, under their own."""
    return {
        name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies in ordinary memory: neither mapped from a file nor changed by a later step."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


@torch.no_grad()
def _fill(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Set tensors to the values of the same names."""
    for name, value in values.items():
        tensors[name].copy_(value)


def _require_room(file: Path, needed: int) -> None:
    """Raise BuildError where the disk cannot take a checkpoint of so many bytes: now, and not after an epoch."""
    needed *= 1 if file.exists() else 2  # the one that is being written, and the one that stays until it is
    folder = next(folder for folder in file.absolute().parents if folder.exists())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BuildError(
            f"{file} needs {needed / 1e9:.1f} GB and its disk has {free / 1e9:.1f} GB: make room and run it again"
        )
