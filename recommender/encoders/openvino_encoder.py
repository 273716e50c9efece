"""An exported backbone, run by OpenVINO: the same pictures, the same order, in f32, bf16 or int8.

Not here: which export is run (`recommender.encoders`), how it is made (`indexer.conversion`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import openvino

from recommender.embeddings import EmbeddingSpace
from recommender.encoders.feeding import Feeder
from recommender.errors import ExportUnusable
from recommender.exports import DEFAULT, NETWORK, Export, made_by, require_precision
from recommender.folders import shown
from recommender.images import Preprocessing
from recommender.signalstack import kept_signal_stack
from recommender.types import DecodedImage, Matrix

_HINTS = {"f32": openvino.Type.f32, "bf16": openvino.Type.bf16, "int8": openvino.Type.f32}
"""What is computed in where the network does not say: an int8 network says it for the layers that are quantised."""


class OpenVinoBackbone:
    """The Backbone of an export on the CPU. Any number of threads may ask; one forward pass runs at a time.

    Make it after the fork: it starts threads of its own.
    """

    def __init__(
        self, compiled: openvino.CompiledModel, space: EmbeddingSpace, preprocessing: Preprocessing, precision: str
    ) -> None:
        self._request = compiled.create_infer_request()
        self._feeder = Feeder(self._forward, preprocessing, space.dimension)
        self._space = space
        self._precision = precision

    @classmethod
    def load(cls, export: Export, preprocessing: Preprocessing, threads: int = 0) -> Self:
        """Open an export. Raises ExportUnusable where OpenVINO or the processor cannot run it as it was measured."""
        try:
            return cls.of_file(export.path / NETWORK, export.space, preprocessing, export.precision, threads)
        except ExportUnusable as error:
            raise ExportUnusable(f"{error}: remove the folder and {made_by(export.model, DEFAULT)}") from None

    @classmethod
    def of_file(
        cls, file: Path, space: EmbeddingSpace, preprocessing: Preprocessing, precision: str, threads: int = 0
    ) -> Self:
        """Compile a network for this processor, in a precision. Raises ExportUnusable."""
        require_precision(precision)
        try:
            core = openvino.Core()
            # Mapped, a file that is changed would change answers, and one that is cut would end the process.
            core.set_property({"ENABLE_MMAP": False})
            with kept_signal_stack():
                compiled = core.compile_model(file, "CPU", options(precision, threads))
        except RuntimeError as error:
            reason = [line for line in str(error).splitlines() if line.strip()][-1:] or ["it does not say why"]
            raise ExportUnusable(f"OpenVINO cannot run {shown(file)} ({reason[0].strip()})") from None
        _require_precision_kept(compiled, precision)
        return cls(compiled, space, preprocessing, precision)

    @property
    def space(self) -> EmbeddingSpace:
        """The space that `space.embed` takes the features to."""
        return self._space

    @property
    def engine(self) -> str:
        """Engine and precision, as results name them."""
        return f"openvino-{self._precision}"

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return an (n, dimension) float32 matrix, a row for each picture, in the order of the pictures."""
        return self._feeder.features(images)

    def make_ready(self) -> None:
        """Do nothing: the network was compiled when this was made."""

    def _forward(self, inputs: Matrix) -> Matrix:
        """Run the network on (n, 3, size, size) pictures."""
        outputs: Matrix = self._request.infer([inputs], share_inputs=True)[0].copy()
        return outputs


def options(precision: str, threads: int) -> dict[str, Any]:
    """Return how a network is to be compiled: one stream over so many threads, 0 being all of this process."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
        # Without this it computes in bfloat16 wherever the processor can.
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        # Two workers would pin their threads to the same cores.
        "ENABLE_CPU_PINNING": False,
    }


def _require_precision_kept(compiled: openvino.CompiledModel, precision: str) -> None:
    """Raise ExportUnusable where OpenVINO quietly computes in another precision than it was asked for."""
    found = compiled.get_property("INFERENCE_PRECISION_HINT")
    if found != _HINTS[precision]:
        raise ExportUnusable(f"this processor does not compute in {precision}")
