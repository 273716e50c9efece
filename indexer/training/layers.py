"""A network's layers: which of them are trained, what they keep in memory for their gradients, how to keep less.

It looks at any network from outside, by sending empty pictures through it. Not here: pictures, labels, or how the
layers are trained (`epochs`).
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint as recomputed

from indexer.training.device import Device

Unfreeze = Literal["last-block", "all"]


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
            model(empty(model, 1, size))
    finally:
        for handle in handles:
            handle.remove()
    return turns, maps


def empty(model: nn.Module, pictures: int, size: int) -> Tensor:
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
            output = model(empty(model, pictures, size))
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
            learns = any(weight.requires_grad for layer in segment for weight in layer.parameters())
            if torch.is_grad_enabled() and (learns or value.requires_grad):
                value = recomputed(_through, segment, value, use_reentrant=False, preserve_rng_state=False)
            else:
                value = _through(segment, value)
        return value


def _through(layers: Sequence[nn.Module], value: Tensor) -> Tensor:
    """Pass a value through layers, one after the other."""
    for layer in layers:
        value = layer(value)
    return value
