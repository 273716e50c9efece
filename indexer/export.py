"""The batch job `export`: a trained model's backbone for OpenVINO, kept only if it gives the same answers.

What can be told without torch, which takes seconds to load, is told first: what is there already, and what is missing.
Not here: how an export is made and examined (`exporting`), the figures (`fidelity`), the folder (`exports`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from indexer.fidelity import Fidelity, Speed
from indexer.library import LIBRARY_LIMITS, Entry, Library, scan
from indexer.progress import progress, say
from indexer.samples import numbers_of
from indexer.split import HELD_OUT, PARTS
from indexer.stopwatch import Stopwatch
from recommender.catalogue import Catalogue
from recommender.embeddings import EmbeddingSpace
from recommender.encoders import engine_chosen, has_card, openvino_backbone, torch_backbone
from recommender.errors import BuildError, EngineMissing, ExportUnusable, NoSnapshot, NotFound, SokkuriError
from recommender.exports import DAMAGE, ENGINE, FOLDER, Export, has_torch, require_precision
from recommender.folders import shown, sweep
from recommender.images import Limits
from recommender.modelfolder import ModelFolder
from recommender.processor import BFLOAT16, instructions
from recommender.settings import Settings

CALIBRATED = 200
"""Training pictures that the ranges of 8-bit numbers are measured on."""
EXAMINED = 300
"""Validation pictures that the export is compared on."""
GALLERY = 1000
"""Training pictures among which these look for their nearest as well, as questions do among what is stored."""
LEAST = 21
"""The fewest pictures to compare on: the ten nearest are half of the others then, and of fewer say ever less."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of an export when it was made: it runs without, so export.json may say nothing of it."""

    fidelity: Fidelity
    speed: dict[str, Speed]
    kept: tuple[str, ...]

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Self | None:
        """Read export.json; None where what it says is missing or damaged."""
        try:
            speed = {engine: Speed.from_json(manifest["speed"][engine]) for engine in ("openvino", "torch")}
            kept = tuple(manifest["kept"])
            if not all(isinstance(layer, str) and layer.isprintable() for layer in kept):
                return None
            return cls(Fidelity.from_json(manifest["fidelity"]), speed, kept)
        except (*DAMAGE, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Taken:
    """The engine that the next reindex of a model takes, and why; `engine` is "" and `space` None where none runs."""

    space: EmbeddingSpace | None
    engine: str
    why: str

    @classmethod
    def of(cls, settings: Settings, model: ModelFolder) -> Self:
        """Ask what would be chosen now."""
        try:
            chosen = engine_chosen(settings, model)
        except SokkuriError as error:
            return cls(None, "", str(error))
        if settings.engine != "auto":
            why = f"since SOKKURI_ENGINE={settings.engine}"
        elif chosen.engine.startswith(ENGINE):
            why = "which is the fastest one here"
        else:
            why = "which is on a graphics card" if has_card() else "since no export is faster here"
        return cls(chosen.space, chosen.engine, why)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """An export, whether it was made or only measured just now, and what the next reindex of its model will take.

    `taken` is the space and the name of that engine, or why there is none; `in_use` says whether a reindex works with
    this model at all.
    """

    export: Export
    made: bool
    measured: bool
    taken: Taken
    in_use: bool
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; None stands for what export.json does not tell any more."""
        manifest, measured = self.export.manifest, Measured.of(self.export.manifest)
        told = ("kept", "fidelity", "speed")
        return {
            "model": self.export.model,
            "precision": self.export.precision,
            **{name: manifest[name] if measured else None for name in told},
            "processor": {"kind": manifest["processor"]["kind"]},
            "openvino": manifest["openvino"],
            "created": str(manifest.get("created")),
            "made": self.made,
            "measured_again": self.measured,
            "reindex_takes": self.taken.engine or None,
            "seconds": self.seconds,
        }

    def to_text(self) -> str:
        """Return the report for people."""
        head = f"{self.export.model} as {self.export.space.precision}"
        lines = [f"{head}: {self._what}"]
        if measured := Measured.of(self.export.manifest):
            engine, torch = measured.speed["openvino"], measured.speed["torch"]
            lines.append(measured.fidelity.to_text())
            lines.append(
                f"one picture {engine.single_ms:.1f} ms (torch {torch.single_ms:.1f}), in bulk "
                f"{engine.bulk_per_second:.1f} a second (torch {torch.bulk_per_second:.1f})"
            )
            if measured.kept:
                lines.append(f"in float32: {', '.join(measured.kept)}")
        else:
            lines.append("its export.json does not tell any more what was measured: remove the folder and run it again")
        return "\n".join([*lines, self._outlook()])

    @property
    def _what(self) -> str:
        if self.made:
            return "exported"
        return "measured again" if self.measured else "there already"

    def _outlook(self) -> str:
        """Say what the next reindex makes of it."""
        reindex = "`sokkuri reindex LIBRARY`"
        next_one = f"the next {reindex}" if self.in_use else f"{reindex} after `sokkuri use {self.export.model}`"
        if self.taken.space == self.export.space:
            return f"{next_one} uses it"
        try:
            self.export.require_paying()
        except ExportUnusable as error:
            why = f"it is not used unless SOKKURI_ENGINE=openvino: {error}; "
        else:
            why = ""
        if not self.taken.engine:
            return f"{why}{next_one} cannot be answered from here: {self.taken.why}"
        return f"{why}{next_one} uses {self.taken.engine}, {self.taken.why}"


def export(
    settings: Settings, catalogue: Catalogue, name: str | None, precision: str, *, again: bool = False
) -> ExportReport:
    """Export a model (by default the one in use). One that is there and usable stays as it is.

    `again` measures the speed of one that stays anew, and that of the model's other exports with it. Raises NotFound,
    NoSnapshot, Corrupt, EngineMissing, ExportUnusable (a precision that this processor has not), BadLibrary,
    FidelityTooLow or BuildError.
    """
    require_precision(precision)
    clock = Stopwatch()
    openvino_backbone()
    try:
        name = _plain(catalogue.model_in_use().name if name is None else name)
    except (NoSnapshot, NotFound):
        _require_torch()  # without which the remedy for a model that is not there, to train one, would not work either
        raise
    model = ModelFolder.open(settings.home / "models" / name)
    if precision == "bf16" and not instructions() & BFLOAT16:
        raise ExportUnusable("this processor does not compute in bf16: use another --precision")
    for folder in (model.path / FOLDER, model.path / FOLDER / precision):
        if folder.exists() and not folder.is_dir():
            raise BuildError(f"{shown(folder)} is no folder: move it away and run it again")
    sweep(model.path / FOLDER)
    found = _found(model, precision)
    made = not found
    if made or again:
        _require_torch()
        chosen = Chosen.of(settings, catalogue, model)
        clock.lap("scanning")
        torch_backbone()  # which may be there and not run: that is one line
        from indexer.exporting import make, time_again

        (make if made else time_again)(settings, model, precision, chosen, clock)
        found = Export.open(model, precision)
    return ExportReport(
        export=found or Export.open(model, precision),
        made=made,
        measured=again and not made,
        taken=Taken.of(settings, model),
        in_use=_in_use(catalogue, model),
        seconds=clock.seconds,
    )


def _in_use(catalogue: Catalogue, model: ModelFolder) -> bool:
    """Tell whether a reindex works with a model."""
    try:
        return catalogue.model_in_use().name == model.name
    except (NoSnapshot, NotFound):
        return False


def _require_torch() -> None:
    """Raise EngineMissing where there is no torch."""
    if not has_torch():
        raise EngineMissing("exporting needs torch, which is not installed: pip install 'sokkuri[train]'")


def _plain(name: str) -> str:
    """Return the name of a model. Raises NotFound where it is none, but empty or a way through folders."""
    if not name:
        raise NotFound("the model's name is empty: `sokkuri models` lists them; left out, it is the one in use")
    if name in (".", "..") or Path(name).name != name:
        raise NotFound(f"there is no model {name!r}: `sokkuri models` lists them")
    return name


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
class Chosen:
    """The pictures that an export is made and examined with: those in `root` that the model was trained with.

    `training` is for measuring ranges, `examined` the exam, and `characters` (n,) the number of who is on each of its
    pictures; `gallery` has those, none of the exam's, among which their nearest are looked for.
    """

    root: Path
    limits: Limits
    training: tuple[Entry, ...]
    examined: tuple[Entry, ...]
    gallery: tuple[Entry, ...]
    characters: NDArray[np.int64]

    @classmethod
    def of(cls, settings: Settings, catalogue: Catalogue, model: ModelFolder) -> Self:
        """Look for them in the library. Raises BadLibrary, or BuildError where they are gone."""
        root = Path(str(model.manifest["training"]["library"]))
        limits = Limits.of(settings, LIBRARY_LIMITS.min_side)
        with progress("reading pictures") as told:
            known = catalogue.files(str(root.resolve()))
            library = scan(
                root, limits=limits, progress=told, known=known, wants=lambda _: False, without=settings.home
            )
        numbers = numbers_of(model.hierarchy, library.entries)
        training = _rows(model, library, numbers, "train", CALIBRATED)
        examined = _rows(model, library, numbers, "validation", EXAMINED)
        gallery = _rows(model, library, numbers, "train", GALLERY)
        if lacking := max(0, LEAST - len(examined)):
            if len(examined) + len(gallery) < LEAST:
                raise BuildError(
                    f"{len(examined) + len(gallery)} pictures of {model.name} are too few to tell whether an export "
                    f"changes answers: train a model on more, so that it has {LEAST} for training and validation"
                )
            say(f"{len(examined)} validation pictures are few: {lacking} training pictures are compared on as well")
            examined, gallery = np.concatenate([examined, gallery[:lacking]]), gallery[lacking:]

        def entries(rows: NDArray[np.int64]) -> tuple[Entry, ...]:
            return tuple(library.entries[row] for row in rows)

        return cls(root, limits, entries(training), entries(examined), entries(gallery), numbers[examined])


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
