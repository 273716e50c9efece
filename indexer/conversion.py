"""A PyTorch network becomes OpenVINO's, and one of 8-bit numbers after that. The only home of NNCF.

Not here: whether what comes out is good enough (`indexer.fidelity`), nor where it is kept (`indexer.export`).
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from indexer.progress import progress
from recommender.encoders import keep_use_private
from recommender.errors import BuildError
from recommender.exports import NETWORK
from recommender.images import Preprocessing, prepare
from recommender.processor import INT8_PRODUCTS, instructions
from recommender.signalstack import kept_signal_stack
from recommender.types import DecodedImage, Matrix

if TYPE_CHECKING:
    import openvino

TRANSFORMERS = ("vit_", "swin_", "maxvit")
"""How the names of torchvision's transformers begin: NNCF keeps more of them out of 8 bits where it is told."""
MULTIPLYING = ("Convolution", "GroupConvolution", "MatMul")
"""OpenVINO's names for the layers that are worth quantising."""

ENDS = (1, 2, 4)
"""How many layers of either end are kept in float32, attempt after attempt."""


def converted(network: nn.Module, size: int) -> openvino.Model:
    """Return OpenVINO's version of a network, in float32, for any number of pictures of size x size pixels."""
    keep_use_private()
    import openvino

    example = torch.zeros(2, 3, size, size)  # two: of one, tracing would take its number for a constant
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation for a whole layer, which OpenVINO does not know
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            # torch would have us use torch.export, which leaves the maps' sizes open and takes five times as long.
            warnings.simplefilter("ignore")
            # Attention comes out of two tracings with other names, which would count as a difference.
            traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]  # torch leaves it so
            return openvino.convert_model(traced, input=[openvino.PartialShape([-1, 3, size, size])])
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def sensitive_layers(model: openvino.Model) -> list[tuple[str, ...]]:
    """Return which layers to keep in float32, attempt after attempt: none, then ever more of the first and the last.

    What is rounded at either end, no other layer makes up for. The layers that multiply count, by their names; the last
    attempt leaves at least half of them to be quantised.
    """
    names = [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() in MULTIPLYING]
    return [(), *((*names[:ends], *names[-ends:]) for ends in ENDS if 4 * ends <= len(names))]


def quantised(
    model: openvino.Model,
    backbone: str,
    pictures: Sequence[DecodedImage],
    preprocessing: Preprocessing,
    kept: tuple[str, ...] = (),
) -> openvino.Model:
    """Return a network of 8-bit numbers whose ranges were measured on pictures; the layers `kept` stay in float32.

    Where the processor sums products in 16 bits, weights get 7 bits, so that nothing overflows.
    """
    keep_use_private()
    with _quiet():
        import nncf
    unsafe = not instructions() & INT8_PRODUCTS
    # NNCF compiles networks by itself.
    with progress("measuring ranges") as told, _quiet(), kept_signal_stack():
        seen = 0

        def input_of(picture: DecodedImage) -> Matrix:
            nonlocal seen
            seen += 1
            told(min(seen, len(pictures)), len(pictures))
            return prepare(picture, preprocessing)[None]

        return nncf.quantize(
            model,
            nncf.Dataset(pictures, input_of),
            subset_size=len(pictures),
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            model_type=nncf.ModelType.TRANSFORMER if backbone.startswith(TRANSFORMERS) else None,
            ignored_scope=nncf.IgnoredScope(names=list(kept)) if kept else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE if unsafe else nncf.OverflowFix.DISABLE
            ),
        )


def save(model: openvino.Model, folder: Path) -> None:
    """Write a network as OpenVINO reads it, its numbers as they are. Raises BuildError where it cannot be written."""
    import openvino

    try:
        openvino.save_model(model, folder / NETWORK, compress_to_fp16=False)
    except RuntimeError as error:  # it tells only that a stream failed, mostly since the disk is full
        told = str(error).strip().splitlines()[-1:] or ["it does not say why"]
        raise BuildError(f"the network cannot be written ({told[0].strip()}): make room and run it again") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's bars off stdout, where results go, and torch from telling that it found a compiler but no card."""
    loggers = [logging.getLogger(name) for name in ("nncf", "torch.utils.cpp_extension")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
