"""Fine-tuning: the last convolutions of a network, or all of its layers, learn to tell the library's characters apart.

The network is trained through the embedding that is searched later, under heads that are thrown away afterwards:
`heads` trains others on what the network gives in the end. It stays in evaluation mode throughout:

- Batch normalisation keeps the statistics of its trained weights: those of a few dozen drawings would be noise.
- Dropout stays off. Half a vector is another vector once it is scaled to length 1, and what is searched is the whole
  one; random views, small rates and early stopping are there against learning by heart. So nothing is random but what
  a seed and an epoch's number decide, and an interrupted training goes on as if nothing had happened.

Not here: which pictures there are and how they are split (`indexer.samples`), the heads that answer (`heads`).
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint as recomputed

from indexer.samples import Part
from indexer.training.checkpoint import Checkpoint
from indexer.training.heads import Epoch, HeadModule, HeadOptions, balance, train_heads
from indexer.views import augmented, augmented_name
from recommender.encoders.torch_encoder import weights_digest
from recommender.errors import BuildError
from recommender.heads import SPACES
from recommender.images import Preprocessing, prepare
from recommender.labels import Hierarchy
from recommender.types import DecodedImage, Matrix

Unfreeze = Literal["last-block", "all"]

RECIPE = 1
"""Counted up whenever the same pictures and options come to something else: older checkpoints are then refused."""
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
DECODERS = 2
"""Threads that read pictures while the network computes."""
AHEAD = 3
"""Batches that they may be ahead by."""
MEMORY_SHARE = 0.5
"""How much of the free memory the activations of a batch may take before they are computed twice instead of kept."""


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """How the network is trained. `patience` is how many epochs without progress on validation end the training.

    `learning_rate` is that of the network, reached after the first epoch. `threads` are torch's, 0 for its own choice.
    """

    unfreeze: Unfreeze
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 0.0005
    momentum: float = 0.9
    weight_decay: float = 0.0001
    patience: int = 3
    seed: int = 0
    threads: int = 0


class PictureSource(Protocol):
    """Pictures by row, decoded when they are asked for, by several threads at once."""

    @property
    def characters(self) -> NDArray[np.int64]:
        """The class number of each picture's character."""

    def __len__(self) -> int: ...

    def picture(self, row: int) -> DecodedImage:
        """Decode the picture of a row."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is learnt from: the labels, how a picture becomes the network's input, and two parts of the library."""

    hierarchy: Hierarchy
    preprocessing: Preprocessing
    training: PictureSource
    validation: PictureSource


@dataclass(frozen=True, slots=True)
class Device:
    """What computes, and in which precision. Weights, losses and steps are float32 always."""

    kind: Literal["cpu", "cuda"]
    precision: torch.dtype
    name: str

    @classmethod
    def found(cls) -> Self:
        """Choose the graphics card where there is one, and half the bits where the hardware computes with them.

        A processor without bfloat16 of its own takes longer for it than for float32 (github.com/pytorch/pytorch,
        issue 118499). `torch.ops.mkldnn._is_mkldnn_bf16_supported` says yes to any AVX-512, so it is not asked.
        """
        if torch.cuda.is_available():
            native = torch.cuda.is_bf16_supported(including_emulation=False)
            return cls("cuda", torch.bfloat16 if native else torch.float16, torch.cuda.get_device_name())
        # Older releases of torch cannot tell: float32 is right everywhere.
        can = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        native = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
        fast = native and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch leaves it so
        return cls("cpu", torch.bfloat16 if fast else torch.float32, str(can.get("cpu_name", "the CPU")))

    @property
    def describe(self) -> str:
        """A few words for the log: `NVIDIA H100 80GB HBM3 in bfloat16`."""
        return f"{self.name} in {str(self.precision).removeprefix('torch.')}"

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the device's precision where that does no harm."""
        return nullcontext() if self.precision is torch.float32 else torch.autocast(self.kind, self.precision)

    def free_memory(self) -> float:
        """Return how many bytes can still be had; infinitely many where nobody tells."""
        if self.kind == "cuda":
            return float(torch.cuda.mem_get_info()[0])
        with suppress(OSError):
            for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
                if line.startswith("MemAvailable:"):
                    return 1024.0 * int(line.split()[1])
        return math.inf


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
        training = _Training(model, material, options, device)
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


def trainable_layers(model: nn.Module, size: int, unfreeze: Unfreeze) -> tuple[str, ...]:
    """Return the dotted names of the layers that are trained; the empty name is that of the network's own class token.

    A layer is a module with parameters of its own. `all` are all of them. `last-block` is the block with the first of
    the convolutions whose maps are smallest when the network looks at size x size pixels, and everything that a picture
    passes from there on: the conv5 layers and the dense ones of VGG, `layer4` of a ResNet. A network whose only
    convolution cuts the picture up, a transformer, has no maps to go by: there it is the last encoder block.
    """
    layers = [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    if unfreeze == "all":
        return tuple(layers)
    turns, maps = _walk(model, size)
    blocks = _blocks(model)
    if len(maps) > 1 or (maps and not blocks):
        smallest = min(pixels for _, pixels in maps)
        first = next(name for name, pixels in maps if pixels == smallest)
        start = next((block for block in blocks if first.startswith(f"{block}.")), first)
    else:
        start = blocks[-1] if blocks else layers[-1]
    return tuple(name for name in layers if _turn(turns, name) >= turns[start])


def _walk(model: nn.Module, size: int) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """Send an empty picture through the network and see which modules it passes.

    Returns the turn of each module, counted from 0; and the convolutions with the pixels of the map that each gives.
    A convolution whose input is a single pixel weighs channels, as in squeeze-and-excitation, and has no map.
    """
    turns: dict[str, int] = {}
    maps: list[tuple[str, int]] = []

    def enter(name: str, _: nn.Module, __: tuple[Tensor, ...]) -> None:
        turns.setdefault(name, len(turns))

    def leave(name: str, _: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        if given[0].shape[2:].numel() > 1:
            maps.append((name, result.shape[2:].numel()))

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(partial(enter, name)))
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(partial(leave, name)))
    try:
        with torch.no_grad():
            model(_empty(model, 1, size))
    finally:
        for handle in handles:
            handle.remove()
    return turns, maps


def _empty(model: nn.Module, pictures: int, size: int) -> Tensor:
    """Return empty pictures where the network is."""
    return torch.zeros(pictures, 3, size, size, device=next(model.parameters()).device)


def _turn(turns: dict[str, int], name: str) -> int:
    """Return a module's turn. One that is never called itself lends its weights to what it is a part of."""
    while name not in turns:
        name = name.rpartition(".")[0]
    return turns[name]


def _blocks(model: nn.Module) -> list[str]:
    """Return what a network is stacked from: the outermost modules that have parts and are several of their kind."""
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    kinds = Counter(
        type(module) for module in model.modules() if type(module) not in containers and any(module.children())
    )
    found: list[str] = []
    for name, module in model.named_modules():
        if kinds[type(module)] > 1 and not any(name.startswith(f"{block}.") for block in found):
            found.append(name)
    return found


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


def activation_bytes(model: nn.Module, size: int, device: Device) -> int:
    """Return how many bytes every picture of a batch keeps in memory until its gradient is there.

    Measured: two pictures against one, so that copies of the weights do not count.
    """

    def kept(pictures: int) -> int:
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor), device.autocast():
            output = model(_empty(model, pictures, size))
        del output  # until here it held everything, so that no address was given out twice
        return sum(storages.values())

    return kept(2) - kept(1)


@contextmanager
def recomputing(model: nn.Module) -> Iterator[None]:
    """Let the network keep no activations but those between segments, and compute the others again for the gradient.

    Gradients are the same; a step takes about a third longer (Chen and others, "Training Deep Nets with Sublinear
    Memory Cost", 2016). A network without any `nn.Sequential` stays as it is.
    """
    plain: dict[str, nn.Sequential] = {}
    for name, module in model.named_modules():
        nested = any(name.startswith(f"{outer}.") for outer in plain)
        # A subclass with a way of its own through its parts cannot be cut.
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and name and not nested:
            plain[name] = module
    # A layer that overwrites its input would overwrite what a segment has to start from a second time.
    overwriting = [module for module in model.modules() if getattr(module, "inplace", False)]
    try:
        _overwrite(overwriting, allowed=False)
        for name, module in plain.items():
            model.set_submodule(name, _Segmented(module))
        yield
    finally:
        for name, module in plain.items():
            model.set_submodule(name, module)
        _overwrite(overwriting, allowed=True)


def _overwrite(modules: Sequence[Any], *, allowed: bool) -> None:
    """Let activations write over their input, or not."""
    for module in modules:
        module.inplace = allowed


class _Segmented(nn.Sequential):
    """The same layers under the same names; about as many segments as there are layers in each."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__(OrderedDict(layers.named_children()))

    def forward(self, value: Tensor) -> Tensor:
        """Pass a value through the segments."""
        layers = list(self)
        length = math.isqrt(max(0, len(layers) - 1)) + 1  # the square root, rounded up
        for start in range(0, len(layers), length):
            segment = layers[start : start + length]
            if torch.is_grad_enabled():
                value = recomputed(_through, segment, value, use_reentrant=False, preserve_rng_state=False)
            else:
                value = _through(segment, value)
        return value


def _through(layers: Sequence[nn.Module], value: Tensor) -> Tensor:
    """Pass a value through layers, one after the other."""
    for layer in layers:
        value = layer(value)
    return value


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


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes batches of the network's inputs, with threads that are a little ahead of it."""

    preprocessing: Preprocessing
    batch: int
    kind: str

    def plain(self, source: PictureSource, rows: NDArray[np.int64]) -> Generator[tuple[Tensor, Tensor]]:
        """Yield inputs and characters of each batch of rows, in order: the pictures as they are."""
        return self._batches(source, rows, lambda image: image)

    def views(self, source: PictureSource, rows: NDArray[np.int64], epoch: int) -> Generator[tuple[Tensor, Tensor]]:
        """Yield inputs and characters of each batch of rows, in order: an epoch's random views of the pictures."""
        return self._batches(source, rows, lambda image: augmented(image, epoch))

    def _batches(
        self, source: PictureSource, rows: NDArray[np.int64], see: Callable[[DecodedImage], DecodedImage]
    ) -> Generator[tuple[Tensor, Tensor]]:
        def made(row: int) -> NDArray[np.float32]:
            return prepare(see(source.picture(row)), self.preprocessing)

        # Each thread computes on one core: with all of them it would be in the network's way.
        pool = ThreadPoolExecutor(DECODERS, "pictures", torch.set_num_threads, (1,))
        batches = deque(rows[start : start + self.batch] for start in range(0, len(rows), self.batch))
        begun: deque[tuple[NDArray[np.int64], list[Future[NDArray[np.float32]]]]] = deque()
        try:
            while batches or begun:
                while batches and len(begun) <= AHEAD:
                    begun.append((batches[0], [pool.submit(made, int(row)) for row in batches.popleft()]))
                chosen, inputs = begun.popleft()
                planes = torch.from_numpy(np.stack([each.result() for each in inputs]))
                characters = torch.from_numpy(source.characters[chosen])
                yield planes.to(self.kind, memory_format=torch.channels_last), characters.to(self.kind)
        finally:
            pool.shutdown(cancel_futures=True)


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


class _Training:
    """A training under way: the weights that change, what their optimiser remembers, and how the epochs went."""

    def __init__(self, model: nn.Module, material: Material, options: FinetuneOptions, device: Device) -> None:
        self.history: list[Epoch] = []
        self._model, self._material, self._options, self._device = model, material, options, device
        self._reader = _Reader(material.preprocessing, options.batch, device.kind)
        with torch.no_grad():
            dimension = model(_empty(model, 1, material.preprocessing.size)).shape[1]
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
        judged = [(epoch.validation_loss, epoch.number) for epoch in self.history if epoch.validation_loss is not None]
        return min([(self._before, 0), *judged])[1] if judged else len(self.history)

    @property
    def over(self) -> bool:
        """Whether all epochs are run, or validation has not got better for too long."""
        waited = len(self.history) - self.best
        return len(self.history) >= self._options.epochs or waited >= self._options.patience

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
        state = {"history": [asdict(epoch) for epoch in self.history], "before": self._before}
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
