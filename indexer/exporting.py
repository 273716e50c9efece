"""How an export is made: converted, quantised if that was asked for, written aside, opened, examined, and timed.

It is opened as a server would, and has to agree with float32 torch on validation pictures. What does not is tried again
with its sensitive layers in float32, and refused after that. Not here: which pictures these are (`export`), the
conversion (`conversion`), the figures (`fidelity`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.conversion import converted, quantised, save, sensitive_layers
from indexer.embed import BATCH, EmbeddingTable
from indexer.embedder import Embedder
from indexer.export import Chosen
from indexer.fidelity import BULK, Exam, Fidelity, compare, widened
from indexer.library import Entry
from indexer.progress import progress, say
from indexer.racing import Measurement, measure, measure_again, others, write
from indexer.stopwatch import Stopwatch
from indexer.workplace import now
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError, FidelityTooLow
from recommender.exports import FOLDER, FORMAT, MANIFEST, NETWORK, exported_space
from recommender.files import read_regular
from recommender.folders import FULL, sha256, shown, written_aside
from recommender.images import Limits, decode
from recommender.modelfolder import ModelFolder
from recommender.ports import Backbone
from recommender.processor import BFLOAT16, INT8_PRODUCTS, instructions, kind
from recommender.settings import Settings
from recommender.types import DecodedImage

if TYPE_CHECKING:
    import openvino


def make(settings: Settings, model: ModelFolder, precision: str, chosen: Chosen, clock: Stopwatch) -> None:
    """Make an export of a model, in the place of one that is there. Raises Corrupt, FidelityTooLow or BuildError."""
    torch = TorchBackbone.load(model, settings.threads)
    clock.lap("opening")
    material = _Material.of(settings, model, torch, chosen)
    clock.lap("pictures")
    _Job(settings, model, precision, torch, material).run(model.path / FOLDER / precision, clock)


def time_again(settings: Settings, model: ModelFolder, precision: str, chosen: Chosen, clock: Stopwatch) -> None:
    """Measure the speed of an export that is there again, on pictures of the exam. Raises SokkuriError."""
    pictures = tuple(_decoded(chosen.root, chosen.examined[:BULK], chosen.limits))
    clock.lap("pictures")
    measure_again(settings, model, precision, pictures)
    clock.lap("speed")


@dataclass(frozen=True, slots=True)
class _Material:
    """Training pictures to calibrate with, the exam, and where its gallery is read from."""

    training: tuple[DecodedImage, ...]
    exam: Exam
    chosen: Chosen

    @classmethod
    def of(cls, settings: Settings, model: ModelFolder, torch: TorchBackbone, chosen: Chosen) -> _Material:
        """Read the pictures, and ask torch in float32 what it makes of them, unless that is known."""
        pictures = tuple(_decoded(chosen.root, chosen.examined, chosen.limits))
        exact = torch.in_precision("float32")
        with EmbeddingTable.open(settings.home, exact.space) as table, Embedder(exact, table) as embedder:
            unknown = [entry for entry in chosen.gallery if embedder.wants(entry.id)]
            asked = chain(pictures, _decoded(chosen.root, unknown, chosen.limits))
            with progress("asking torch") as told:
                for done, picture in enumerate(asked, start=1):
                    embedder.add(picture)
                    told(done, len(pictures) + len(unknown))
            embedder.finish()
            features = table.features([picture.id for picture in pictures])[:]
            gallery = table.features([entry.id for entry in chosen.gallery])[:] if chosen.gallery else None
        heads = model.heads().consistent()
        exam = Exam(pictures, chosen.characters, heads, exact.space, features, model.projection(), gallery)
        return cls(tuple(_decoded(chosen.root, chosen.training, chosen.limits)), exam, chosen)

    def fidelity(self, backbone: Backbone) -> Fidelity:
        """Examine an engine. What fails anyway is not asked about the gallery, which takes longest."""
        features = backbone.features(self.exam.pictures)
        fidelity = compare(self.exam, features)
        entries = self.chosen.gallery
        if not entries or replace(fidelity, overlap=1.0).shortfall:
            return fidelity
        rows = []
        with progress(f"asking {backbone.engine}") as told:
            pictures = _decoded(self.chosen.root, entries, self.chosen.limits)
            while batch := list(islice(pictures, BATCH)):
                rows.append(backbone.features(batch))
                told(min(BATCH * len(rows), len(entries)), len(entries))
        return widened(self.exam, fidelity, features, np.concatenate(rows))


def _decoded(root: Path, entries: Sequence[Entry], limits: Limits) -> Iterator[DecodedImage]:
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
                engines: dict[str, Backbone] = {self.precision: backbone}
                engines |= others(self.settings, self.model, self.precision)
                measured = measure(self.torch, engines, self.material.exam.pictures, self.model.name)
                clock.lap("speed")
                manifest = self._manifest(backbone, fidelity, measured) | {"kept": list(kept), "files": _sums(aside)}
                text = json.dumps(manifest, ensure_ascii=False, indent=1)
                (aside / MANIFEST).write_text(text, encoding="utf-8")
        except OSError as error:
            remedy = "make room" if error.errno in FULL else "see that the folder can be written to"
            raise BuildError(f"{shown(path)} cannot be written ({error.strerror}): {remedy} and run it again") from None
        for other in engines:
            if other != self.precision:
                write(self.model, other, measured)

    def _passed(self, network: openvino.Model, aside: Path) -> tuple[OpenVinoBackbone, Fidelity, tuple[str, ...]]:
        """Return the first attempt that passes the gate, its figures, and which layers are in float32."""
        attempts = sensitive_layers(network) if self.precision == "int8" else [()]
        shortfall = ""
        for kept in attempts:
            if shortfall:
                say(f"{shortfall}: trying again with {len(kept)} layers, first and last ones, in float32")
            backbone = self._written(network, aside, kept)
            fidelity = self.material.fidelity(backbone)
            shortfall = fidelity.shortfall
            if not shortfall:
                return backbone, fidelity, kept
        tried = f", with up to {len(kept)} sensitive layers in float32 too" if kept else ""
        raise FidelityTooLow(
            f"{self.model.name} is not exported as {self.precision}: {shortfall}; measured on "
            f"{len(self.material.exam.pictures)} pictures{tried}"
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

    def _manifest(self, backbone: OpenVinoBackbone, fidelity: Fidelity, measured: Measurement) -> dict[str, Any]:
        """Return what export.json says."""
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
            "speed": measured.speed(self.precision),
            "created": now(),
        }


def _sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {file.name: sha256(file) for file in sorted(folder.iterdir())}
