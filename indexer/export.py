"""The batch job `export`: a trained model's backbone for OpenVINO, kept only if it gives the same answers.

The network is converted, quantised if that was asked for, written aside and opened as a server would; then it has to
agree with float32 torch on validation pictures. What does not is tried again with its sensitive layers in float32, and
refused after that. Not here: the conversion (`conversion`), the figures (`fidelity`), the folder (`exports`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.conversion import converted, quantised, save, sensitive_layers
from indexer.embed import EmbeddingTable
from indexer.embedder import Embedder
from indexer.fidelity import Exam, Fidelity, Speed, compare, race
from indexer.library import LIBRARY_LIMITS, Entry, Library, scan
from indexer.progress import progress, say
from indexer.samples import numbers_of
from indexer.split import HELD_OUT, PARTS
from indexer.stopwatch import Stopwatch
from indexer.workplace import now
from recommender.catalogue import Catalogue
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError, ExportUnusable, FidelityTooLow, NotFound, SokkuriError
from recommender.exports import FOLDER, FORMAT, MANIFEST, NETWORK, Export, exported_space, require_precision
from recommender.files import read_regular
from recommender.folders import sha256, sweep, written_aside
from recommender.images import Limits, decode
from recommender.modelfolder import ModelFolder
from recommender.processor import BFLOAT16, INT8_PRODUCTS, instructions, kind
from recommender.settings import Settings
from recommender.types import DecodedImage

if TYPE_CHECKING:
    import openvino

CALIBRATED = 200
"""Training pictures that the ranges of 8-bit numbers are measured on."""
EXAMINED = 300
"""Validation pictures that the export is compared on."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """An export, and whether it was made just now."""

    export: Export
    made: bool
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        manifest = self.export.manifest
        told = ("model", "precision", "kept", "fidelity", "speed", "processor", "openvino", "created")
        return {name: manifest[name] for name in told} | {"made": self.made, "seconds": self.seconds}

    def to_text(self) -> str:
        """Return the report for people."""
        manifest, speed = self.export.manifest, self.export.manifest["speed"]
        engine, torch = speed["openvino"], speed["torch"]
        head = f"{manifest['model']} as {self.export.space.precision}"
        lines = [
            f"{head}: {'exported' if self.made else 'there already'}",
            Fidelity(**manifest["fidelity"]).to_text(),
        ]
        lines.append(
            f"one picture {engine['single_ms']:.1f} ms (torch {torch['single_ms']:.1f}), in bulk "
            f"{engine['bulk_per_second']:.1f} a second (torch {torch['bulk_per_second']:.1f})"
        )
        if manifest["kept"]:
            lines.append(f"in float32: {', '.join(manifest['kept'])}")
        try:
            self.export.require_paying()
        except ExportUnusable as error:
            lines.append(f"it is not used unless SOKKURI_ENGINE=openvino: {error}")
        else:
            lines.append("the next `sokkuri reindex LIBRARY` uses it")
        return "\n".join(lines)


def export(settings: Settings, catalogue: Catalogue, name: str | None, precision: str) -> ExportReport:
    """Export a model (by default the one in use). One that is there and usable stays as it is.

    Raises NotFound, Corrupt, ExportUnusable (a precision that this processor has not), FidelityTooLow or BuildError.
    """
    require_precision(precision)
    clock = Stopwatch()
    model = ModelFolder.open(settings.home / "models" / (name or catalogue.model_in_use().name))
    if precision == "bf16" and not instructions() & BFLOAT16:
        raise ExportUnusable("this processor does not compute in bf16: use another --precision")
    sweep(model.path / FOLDER)
    found = _found(model, precision)
    if found:
        return ExportReport(found, made=False, seconds={})
    torch = TorchBackbone.load(model, settings.threads)
    clock.lap("opening")
    material = _Material.of(settings, catalogue, model, torch)
    clock.lap("pictures")
    job = _Job(settings, model, precision, torch, material)
    job.run(model.path / FOLDER / precision, clock)
    return ExportReport(Export.open(model, precision), made=True, seconds=clock.seconds)


def _found(model: ModelFolder, precision: str) -> Export | None:
    """Return the export that is there, or None; one that cannot be used stays until a better one takes its place."""
    try:
        return Export.open(model, precision)
    except NotFound:
        return None
    except SokkuriError as error:
        say(f"made anew: {error}")
        return None


@dataclass(frozen=True, slots=True)
class _Material:
    """Training pictures to calibrate with, and the exam."""

    training: tuple[DecodedImage, ...]
    exam: Exam

    @classmethod
    def of(cls, settings: Settings, catalogue: Catalogue, model: ModelFolder, torch: TorchBackbone) -> _Material:
        """Find the pictures that the model was trained with. Raises BadLibrary, or BuildError where they are gone."""
        root = Path(str(model.manifest["training"]["library"]))
        limits = Limits.of(settings, LIBRARY_LIMITS.min_side)
        with progress("reading pictures") as told:
            known = catalogue.files(str(root.resolve()))
            library = scan(
                root, limits=limits, progress=told, known=known, wants=lambda _: False, without=settings.home
            )
        numbers = numbers_of(model.hierarchy, library.entries)
        training = [library.entries[row] for row in _rows(model, library, numbers, "train", CALIBRATED)]
        rows = _rows(model, library, numbers, "validation", EXAMINED)
        pictures = tuple(_decoded(root, [library.entries[row] for row in rows], limits))
        exact = torch.in_precision("float32")
        with EmbeddingTable.open(settings.home, exact.space) as table, progress("asking torch") as told:
            with Embedder(exact, table) as embedder:
                for done, picture in enumerate(pictures, start=1):
                    embedder.add(picture)
                    told(done, len(pictures))
            features = table.features([picture.id for picture in pictures])[:]
        heads = model.heads().consistent()
        exam = Exam(pictures, numbers[rows], heads, exact.space, features, model.projection())
        return cls(tuple(_decoded(root, training, limits)), exam)


def _rows(model: ModelFolder, library: Library, numbers: NDArray[np.int64], part: str, most: int) -> NDArray[np.int64]:
    """Return which entries were in a part when the model was trained, evenly picked. Raises BuildError without any."""
    pictures = model.pictures()
    wanted = {one for one, number in zip(pictures.id, pictures.part, strict=True) if number == PARTS.index(part)}
    rows = [row for row, entry in enumerate(library.entries) if entry.id in wanted and numbers[row] != HELD_OUT]
    if not rows:
        raise BuildError(
            f"no {part} picture of {model.name} is in {library.root} (any more): train a model on what there is now"
        )
    return np.array(rows, dtype=np.int64)[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def _decoded(root: Path, entries: list[Entry], limits: Limits) -> Iterator[DecodedImage]:
    for entry in entries:
        yield decode(read_regular(root / entry.path, limits.max_bytes), limits)


@dataclass(frozen=True, slots=True)
class _Job:
    """One export on its way."""

    settings: Settings
    model: ModelFolder
    precision: str
    torch: TorchBackbone
    material: _Material

    def run(self, path: Path, clock: Stopwatch) -> None:
        """Convert, examine, time and write. Raises FidelityTooLow, BuildError; then nothing is left of it."""
        network = converted(self.torch.network, self.model.preprocessing.size)
        clock.lap("conversion")
        try:
            with written_aside(path, replacing=True) as aside:
                backbone, fidelity, kept = self._passed(network, aside)
                clock.lap("quantising and fidelity")
                speed = race({"torch": self.torch, "openvino": backbone}, self.material.exam.pictures)
                clock.lap("speed")
                manifest = self._manifest(backbone, fidelity, speed) | {"kept": list(kept), "files": _sums(aside)}
                text = json.dumps(manifest, ensure_ascii=False, indent=1)
                (aside / MANIFEST).write_text(text, encoding="utf-8")
        except OSError as error:
            raise BuildError(f"{path} cannot be written ({error.strerror}): make room and run it again") from None

    def _passed(self, network: openvino.Model, aside: Path) -> tuple[OpenVinoBackbone, Fidelity, tuple[str, ...]]:
        """Return the first attempt that passes the gate, its figures, and which layers are in float32."""
        attempts = sensitive_layers(network) if self.precision == "int8" else [()]
        shortfall = ""
        for kept in attempts:
            if shortfall:
                say(f"{shortfall}: trying again with {len(kept)} layers, first and last ones, in float32")
            backbone = self._written(network, aside, kept)
            fidelity = compare(self.material.exam, backbone.features(self.material.exam.pictures))
            shortfall = fidelity.shortfall
            if not shortfall:
                return backbone, fidelity, kept
        tried = f", with up to {len(kept)} sensitive layers in float32 too" if kept else ""
        raise FidelityTooLow(
            f"{self.model.name} is not exported as {self.precision}: {shortfall}; measured on "
            f"{len(self.material.exam.pictures)} validation pictures{tried}"
        )

    def _written(self, network: openvino.Model, aside: Path, kept: tuple[str, ...]) -> OpenVinoBackbone:
        """Write the network in its precision, and open what was written."""
        model = self.model
        if self.precision == "int8":
            network = quantised(
                network.clone(), model.space.backbone, self.material.training, model.preprocessing, kept
            )
        for file in aside.iterdir():
            file.unlink()
        save(network, aside)
        space = exported_space(model.space, self.precision, _sums(aside))
        return OpenVinoBackbone.of_file(
            aside / NETWORK, space, model.preprocessing, self.precision, self.settings.threads
        )

    def _manifest(self, backbone: OpenVinoBackbone, fidelity: Fidelity, speed: dict[str, Speed]) -> dict[str, Any]:
        """Return what export.json says."""
        engine, torch = speed["openvino"], speed["torch"]
        needs = {"f32": frozenset[str](), "bf16": BFLOAT16, "int8": instructions() & INT8_PRODUCTS and INT8_PRODUCTS}
        return {
            "format": FORMAT,
            "model": self.model.name,
            "model_digest": self.model.digest,
            "precision": self.precision,
            "space": backbone.space.to_json(),
            "openvino": version("openvino"),
            "nncf": version("nncf") if self.precision == "int8" else None,
            "needs": sorted(needs[self.precision]),
            "processor": {"kind": kind()},
            "calibrated_on": len(self.material.training) if self.precision == "int8" else 0,
            "fidelity": fidelity.to_json(),
            "speed": {
                **{name: one.to_json() for name, one in speed.items()},
                "bulk_over_torch": engine.bulk_per_second / torch.bulk_per_second,
                "single_over_torch": torch.single_ms / engine.single_ms,
            },
            "created": now(),
        }


def _sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {file.name: sha256(file) for file in sorted(folder.iterdir())}
