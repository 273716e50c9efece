"""What the engines are worth: a VGG19 at 224 pixels by torch and by OpenVINO in each precision, and the limit.

All engines are timed in turn, in one run; fidelity is measured on drawn pictures, and on those of a library where one
is named, which neither the heads nor the ranges of the 8-bit numbers were made with. Times hold the resizing of a
decoded picture, which every engine pays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from bench.report import Figures
from indexer.conversion import converted, quantised, save, sensitive_layers
from indexer.demo.cast import SHOWS, STRANGERS
from indexer.demo.world import Plan, draw_world
from indexer.fidelity import Exam, Fidelity, Speed, compare, race
from indexer.library import scan
from indexer.progress import progress, say
from indexer.samples import Part, numbers_of
from indexer.training.heads import HeadOptions, train_heads
from indexer.training.weights import load_backbone
from recommender.encoders.feeding import Feeder
from recommender.encoders.openvino_encoder import OpenVinoBackbone, options
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError
from recommender.exports import NETWORK, PRECISIONS
from recommender.images import decode
from recommender.labels import Hierarchy
from recommender.ports import Backbone
from recommender.processor import BFLOAT16, instructions
from recommender.types import DecodedImage, Matrix

EAGER = "torch_f32"
"""torch as it comes, which others are compared with: float32, channels first, as torchvision lays a network out."""
TORCH = "own_torch_f32"
"""torch as Sokkuri runs it: float32, channels last."""
DRAWN, PROBED = "drawn", "probed"
"""What pictures engines are examined on: those of the demo world, those of a library."""
_Examined = tuple[tuple[DecodedImage, ...], Exam]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is drawn (shows, pictures of each character), how often each engine is timed, and the matrices' side.

    `probed` pictures of a library are looked at, half of them as an exam. `attempts` bounds how often eight bits are
    tried, `backbone` and `size` (pixels) are what the figures are of.
    """

    shows: int = len(SHOWS)
    pictures: int = 8
    probed: int = 600
    singles: int = 21
    bulks: int = 9
    side: int = 4096
    products: int = 7
    attempts: int = 4
    backbone: str = "vgg19"
    size: int = 224


QUICK = Effort(shows=1, pictures=4, probed=24, singles=3, bulks=1, side=2048, products=3, attempts=1)


def measure_engines(weights: str, threads: int, effort: Effort, probe: Path | None = None) -> Figures:
    """Measure a VGG19 with these weights in every engine and precision that this processor runs.

    `probe` is a library of pictures on which fidelity is measured as well. Raises BadLibrary.
    """
    loaded = load_backbone(effort.backbone, weights, 0)
    preprocessing = replace(loaded.preprocessing, size=effort.size)
    reference = TorchBackbone.of_network(effort.backbone, loaded.model, preprocessing, threads, layer=loaded.layer)
    with TemporaryDirectory(prefix="sokkuri-bench-") as name:
        folder = Path(name)
        exams = {DRAWN: _drawn(folder / "world", reference, effort)}
        if probe:
            exams[PROBED] = _probed(probe, reference, effort)
        made = {}
        for place, (taught, exam) in exams.items():
            (folder / place).mkdir()
            workbench = _Workbench(reference, taught, exam, folder / place, threads, effort.attempts)
            made[place] = _made(workbench, place)
        engines: dict[str, Backbone] = {EAGER: _Eager(reference), TORCH: reference}
        engines |= {precision: one.engine for precision, one in made[DRAWN].items()}
        say("timing")
        run = race(engines, exams[DRAWN][1].pictures, effort.singles, effort.bulks)
        speed = {name: run.speed(name) for name in engines}
    figures, lines = _figures(speed, made[DRAWN], _limits(effort, threads), _operations(reference))
    if probe:
        figures |= {f"{PROBED}_fidelity_{precision}": one.to_json() for precision, one in made[PROBED].items()}
    return Figures(figures, (*lines, *_fidelities(made)))


def _made(workbench: _Workbench, place: str) -> dict[str, _Made]:
    """Return an export in each precision that this processor computes in."""
    made = {}
    for precision in PRECISIONS:
        if precision != "bf16" or instructions() & BFLOAT16:
            say(f"exporting as {precision}, for the {place} pictures")
            made[precision] = workbench.made(precision)
    return made


def _drawn(folder: Path, reference: TorchBackbone, effort: Effort) -> _Examined:
    """Draw a small world, and examine what is drawn."""
    folder.mkdir()
    with progress("drawing") as told:
        plan = Plan(0, effort.pictures, 1, SHOWS[: effort.shows], STRANGERS[:1])
        root = draw_world(folder, plan, told).library
    pictures: list[DecodedImage] = []
    library = scan(root, visit=lambda _, image: pictures.append(image))
    return _examined(pictures, numbers_of(library.hierarchy, library.entries), library.hierarchy, reference)


def _probed(root: Path, reference: TorchBackbone, effort: Effort) -> _Examined:
    """Examine some pictures of a library, spread evenly over it. Raises BadLibrary."""
    with progress("reading pictures") as told:
        library = scan(root, progress=told)
    count = len(library.entries)
    rows = np.unique(np.linspace(0, count - 1, min(effort.probed, count)).astype(np.int64)).tolist()
    pictures = [decode((root / library.entries[row].path).read_bytes()) for row in rows]
    return _examined(pictures, numbers_of(library.hierarchy, library.entries)[rows], library.hierarchy, reference)


def _examined(
    pictures: list[DecodedImage], numbers: NDArray[np.int64], hierarchy: Hierarchy, reference: TorchBackbone
) -> _Examined:
    """Teach heads every second picture, and make the others the exam. Returns the taught pictures and the exam."""
    with progress("asking torch") as told:
        rows = []
        for done, picture in enumerate(pictures, start=1):
            rows.append(reference.features([picture])[0])
            told(done, len(pictures))
    features = np.stack(rows)
    half = np.arange(len(pictures)) % 2 == 0
    taught = Part.of(reference.space.embed(features[half]), numbers[half])
    heads = train_heads(hierarchy, taught, None, HeadOptions()).heads
    exam = Exam(pictures[1::2], numbers[~half], heads, reference.space, features[~half])
    return tuple(pictures[::2]), exam


class _Eager:
    """A network as torchvision lays it out in memory, run by torch in float32."""

    engine = "torch-eager"

    def __init__(self, reference: TorchBackbone) -> None:
        self.space = reference.space
        self._network = deepcopy(reference.network).to(memory_format=torch.contiguous_format)
        self._feeder = Feeder(self._forward, reference.preprocessing, self.space.dimension)

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return an (n, dimension) float32 matrix, a row for each picture."""
        return self._feeder.features(images)

    def make_ready(self) -> None:
        """Do nothing: it is loaded."""

    def _forward(self, pictures: Matrix) -> Matrix:
        with torch.inference_mode():
            found: Matrix = self._network(torch.from_numpy(pictures)).numpy()
        return found


@dataclass(frozen=True, slots=True)
class _Made:
    """An export, how far it agrees with torch, and which layers of it are in float32."""

    engine: OpenVinoBackbone
    fidelity: Fidelity
    kept: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what is said of it, as a JSON object."""
        return self.fidelity.to_json() | {"shortfall": self.fidelity.shortfall, "kept": list(self.kept)}


@dataclass(frozen=True, slots=True)
class _Workbench:
    """Where exports are made of one backbone."""

    reference: TorchBackbone
    taught: tuple[DecodedImage, ...]
    exam: Exam
    folder: Path
    threads: int
    attempts: int

    def made(self, precision: str) -> _Made:
        """Return an export as `sokkuri export` would make it."""
        preprocessing = self.reference.preprocessing
        network = converted(self.reference.network, preprocessing.size)
        attempts = sensitive_layers(network)[: self.attempts] if precision == "int8" else [()]
        for number, kept in enumerate(attempts):
            chosen = network
            if precision == "int8":
                chosen = quantised(network.clone(), self.reference.space.backbone, self.taught, preprocessing, kept)
            folder = self.folder / f"{precision}-{number}"
            folder.mkdir()
            save(chosen, folder)
            engine = OpenVinoBackbone.of_file(
                folder / NETWORK, self.reference.space, preprocessing, precision, self.threads
            )
            fidelity = compare(self.exam, engine.features(self.exam.pictures))
            if not fidelity.shortfall:
                break
            say(f"{precision}: {fidelity.shortfall}")
        return _Made(engine, fidelity, tuple(kept))


def _operations(reference: TorchBackbone) -> float:
    """Return how many additions and multiplications a picture takes."""
    size = reference.preprocessing.size
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        reference.network(torch.zeros(1, 3, size, size))
    return float(counter.get_total_flops())


def _limits(effort: Effort, threads: int) -> dict[str, float]:
    """Return how many operations a second products of matrices reach, the best of all ways: no network gets further."""
    side = effort.side
    draw = np.random.default_rng(0)
    one, other = (np.abs(draw.standard_normal((side, side), dtype=np.float32)) for _ in range(2))
    tensors = torch.from_numpy(one), torch.from_numpy(other)
    by: dict[str, list[Callable[[], object]]] = {
        "float32": [
            lambda: one @ other,
            lambda: torch.matmul(*tensors),
            *_products(one, "f32", threads),
        ],
        "int8": _products(one, "int8", threads),
    }
    return {name: max(2.0 * side**3 / _fastest(run, effort.products) for run in runs) for name, runs in by.items()}


def _products(matrix: NDArray[np.float32], precision: str, threads: int) -> list[Callable[[], object]]:
    """Return what multiplies a matrix by a random one in OpenVINO: as matrices, and as a convolution of single pixels.

    It computes in 8 bits where the one side is rounded to 256 levels and the other is stored so.
    """
    import openvino
    import openvino.opset13 as ops

    side = len(matrix)
    weights = np.random.default_rng(1).integers(-64, 64, (side, side), dtype=np.int8)
    runs: list[Callable[[], object]] = []
    for shape in ([side, side], [1, side, side // 32, 32]):
        given = ops.parameter(shape, np.float32)
        if precision == "int8":
            read = ops.fake_quantize(given, *(np.float32(bound) for bound in (0, 4, 0, 4)), 256)
            stored = ops.multiply(ops.convert(ops.constant(weights), np.float32), np.float32(0.01))
        else:
            read, stored = given, ops.constant(0.01 * weights.astype(np.float32))
        if len(shape) == 2:  # noqa: PLR2004 - a matrix has two dimensions
            product = ops.matmul(read, stored, transpose_a=False, transpose_b=True)
        else:
            kernels = ops.reshape(stored, [side, side, 1, 1], special_zero=False)
            product = ops.convolution(read, kernels, [1, 1], [0, 0], [0, 0], [1, 1])
        compiled = openvino.Core().compile_model(openvino.Model([product], [given]), "CPU", options(precision, threads))
        _require_computed_in(compiled, precision)
        request, content = compiled.create_infer_request(), matrix.reshape(shape)
        runs.append(partial(request.infer, [content], share_inputs=True, share_outputs=True))
    return runs


def _require_computed_in(compiled: Any, precision: str) -> None:
    """Raise BuildError unless the product is computed in 8 bits where it should be."""
    kinds = ("FullyConnected", "MatMul", "Convolution")
    told = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    found = {info["runtimePrecision"].astype(str) for info in told if info["layerType"].astype(str) in kinds}
    if precision == "int8" and (not found or not found <= {"i8", "u8"}):
        raise BuildError(f"OpenVINO multiplies matrices in {', '.join(sorted(found))}: no limit for int8 can be had")


def _fastest(run: Callable[[], object], times: int) -> float:
    """Return the seconds of the fastest run, after one that does not count: a limit is what was ever reached."""
    run()
    taken = []
    for _ in range(times):
        started = perf_counter()
        run()
        taken.append(perf_counter() - started)
    return min(taken)


def _figures(
    speed: dict[str, Speed],
    made: dict[str, _Made],
    limits: dict[str, float],
    operations: float,
) -> tuple[dict[str, Any], list[str]]:
    """Put the figures under their names, and into a table."""
    eager = speed[EAGER]
    figures: dict[str, Any] = {
        "pictures": next(iter(made.values())).fidelity.pictures,
        "operations_per_picture": operations,
        "float32_peak_per_s": limits["float32"],
        "int8_peak_per_s": limits["int8"],
        "bf16": "bf16" in made,
    }
    lines = [f"{'':<20} {'one, ms':>8} {'bulk, /s':>9} {'× eager':>8} {'of peak':>8}"]
    for name, title in ((EAGER, "torch, eager f32"), (TORCH, "torch as used, f32")):
        fraction = speed[name].bulk_per_second * operations / limits["float32"]
        figures |= {
            f"single_ms_{name}": speed[name].single_ms,
            f"bulk_per_s_{name}": speed[name].bulk_per_second,
            f"fraction_of_float32_peak_{name}": fraction,
        }
        lines.append(_line(title, speed[name], eager, fraction))
    for precision, export in made.items():
        one, fidelity = speed[precision], export.fidelity
        peak = "int8" if precision == "int8" else "float32"
        fraction = one.bulk_per_second * operations / limits[peak]
        figures |= {
            f"bulk_{precision}_over_{EAGER}": one.bulk_per_second / eager.bulk_per_second,
            f"single_{precision}_over_{EAGER}": eager.single_ms / one.single_ms,
            f"bulk_{precision}_over_{TORCH}": one.bulk_per_second / speed[TORCH].bulk_per_second,
            f"single_{precision}_over_{TORCH}": speed[TORCH].single_ms / one.single_ms,
            f"single_ms_{precision}": one.single_ms,
            f"bulk_per_s_{precision}": one.bulk_per_second,
            f"fraction_of_{peak}_peak" if precision == "int8" else f"fraction_of_{peak}_peak_{precision}": fraction,
            f"fidelity_top1_{precision}": min(fidelity.agreement.values()),
            f"fidelity_cosine_{precision}": fidelity.cosine,
            f"fidelity_overlap10_{precision}": fidelity.overlap,
            f"fidelity_{precision}": export.to_json(),
        }
        lines.append(_line(f"openvino {precision}", one, eager, fraction))
    if "bf16" not in made:
        lines.append("openvino bf16: this processor does not compute in it")
    lines.append(
        f"matrix products: float32 {limits['float32'] / 1e9:.0f} GFLOP/s (the best of numpy, torch and OpenVINO), "
        f"int8 {limits['int8'] / 1e9:.0f} GOP/s (OpenVINO); a picture takes {operations / 1e9:.1f} G operations"
    )
    return figures, lines


def _fidelities(made: dict[str, dict[str, _Made]]) -> list[str]:
    """Return a line for each precision, and for what it was examined on."""
    lines = []
    for place, exports in made.items():
        for precision, one in exports.items():
            kept = f"; {len(one.kept)} layers in float32" if one.kept else ""
            verdict = f"refused: {one.fidelity.shortfall}" if one.fidelity.shortfall else "passes"
            lines += [f"{place} pictures, {precision}: {verdict}{kept}", f"  {one.fidelity.to_text()}"]
    return lines


def _line(name: str, one: Speed, eager: Speed, fraction: float) -> str:
    times = one.bulk_per_second / eager.bulk_per_second
    return f"{name:<20} {one.single_ms:>8.1f} {one.bulk_per_second:>9.1f} {times:>8.2f} {fraction:>8.0%}"
