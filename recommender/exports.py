"""A model's export: its backbone as another engine runs it, kept beside the model, with what was measured of it.

```
models/<name>/exports/<precision>/
  network.xml, network.bin   the backbone as OpenVINO reads it
  export.json                model, engine and processor that it is for, fidelity, speed, embedding space, checksums
```

An export is written once it has passed its gate, and is a space of its own: what it makes of a picture is never
compared with what the model makes of it. Not here: how it is made and measured (`indexer.export`), nor the engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any, Self

from recommender.embeddings import EmbeddingSpace
from recommender.errors import EngineMissing, ExportUnusable, NotFound, SokkuriError
from recommender.folders import check_files, shown
from recommender.modelfolder import ModelFolder
from recommender.processor import instructions, kind

FORMAT = 1
FOLDER = "exports"
MANIFEST = "export.json"
NETWORK, WEIGHTS = "network.xml", "network.bin"
PRECISIONS = ("f32", "bf16", "int8")
DEFAULT = "int8"
"""The precision of `sokkuri export` where none is asked for; every processor runs one that was made on its kind."""
ENGINE = "openvino"
DAMAGE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading an export.json may raise that says something other than it should: JSON may be nested too deeply for
Python, and hold numbers that are too large for it."""


@dataclass(frozen=True, slots=True)
class Export:
    """An export that is whole, belongs to its model, and that this machine can run."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, model: ModelFolder, precision: str) -> Self:
        """Open an export of a model.

        Raises NotFound, EngineMissing, Corrupt where a file is damaged, or ExportUnusable where the export was made for
        another model, another OpenVINO or another processor.
        """
        export = cls._read(model, precision)
        reason, precision = _hindrance(export)
        if reason:
            raise ExportUnusable(f"{reason}: {made_by(model.name, precision)}")
        check_files(export.path, export.manifest["files"], export.remedy)
        return export

    @classmethod
    def require_runnable(cls, path: Path) -> None:
        """Raise ExportUnusable or EngineMissing where the export in a folder, of any model, is not for this machine.

        Raises what DAMAGE names where its export.json cannot be read.
        """
        export = cls(path, json.loads((path / MANIFEST).read_text(encoding="utf-8")))
        export._check_fields()
        reason, _ = _hindrance(export)
        if reason:
            raise ExportUnusable(reason)

    @classmethod
    def _read(cls, model: ModelFolder, precision: str) -> Self:
        """Read export.json alone, and make sure that it is of this model."""
        require_precision(precision)
        path = model.path / FOLDER / precision
        remedy = made_by(model.name, precision)
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                raise ExportUnusable(
                    f"{shown(path)} has format {manifest['format']}, this Sokkuri reads {FORMAT}: {remedy}"
                )
            export = cls(path, manifest)
            export._check_fields()
            of_this_model = manifest["model_digest"] == model.digest
            of_its_network = export.space == exported_space(model.space, precision, manifest["files"])
        except FileNotFoundError:
            raise NotFound(f"model {model.name} has no export {precision}: {remedy}") from None
        except DAMAGE:
            raise ExportUnusable(f"{shown(path / MANIFEST)} is damaged: {remedy}") from None
        if not of_this_model:
            raise ExportUnusable(f"{shown(path)} was made of another model than {model.name} is now: {remedy}")
        if not of_its_network:
            raise ExportUnusable(f"{shown(path / MANIFEST)} does not describe its network: {remedy}")
        return export

    def _check_fields(self) -> None:
        """Read what is relied on once, so that a damaged field is told at opening. Raises what DAMAGE names."""
        manifest = self.manifest
        told = (manifest["openvino"], manifest["processor"]["kind"], *_list(manifest["needs"]))
        sums = manifest["files"]
        if set(sums) != {NETWORK, WEIGHTS} or not all(isinstance(one, str) for one in (*told, *sums.values())):
            raise TypeError
        if not all(isfinite(times) for times in (self.bulk_over_torch, self.single_over_torch)):
            raise ValueError

    @classmethod
    def of_space(cls, model: ModelFolder, fingerprint: str) -> Self:
        """Open the export that a space of stored embeddings is of.

        Raises what `open` raises, NotFound where there is none.
        """
        for precision in PRECISIONS:
            try:
                found = cls._read(model, precision)
            except SokkuriError:
                continue  # nothing tells what it was: it is not the one that can be shown to be meant
            if model.stored_space(found.space).fingerprint == fingerprint:
                return cls.open(model, precision)
        raise NotFound(
            f"embeddings of space {fingerprint} were made with an export of model {model.name} that is gone, damaged "
            f"or was made anew: put its folder back into {shown(model.path / FOLDER)}, or {_ways_to_publish(model)}"
        )

    @property
    def precision(self) -> str:
        """The precision that the network computes in."""
        return self.path.name

    @property
    def remedy(self) -> str:
        """What a message tells to do about an export that cannot be used."""
        return made_by(self.model, self.precision)

    @property
    def model(self) -> str:
        """The name of the model that it is an export of."""
        return self.path.parents[1].name

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its embeddings."""
        return EmbeddingSpace.from_json(self.manifest["space"])

    @property
    def bulk_over_torch(self) -> float:
        """How many times as many pictures a second it takes as torch, measured in one run."""
        return float(self.manifest["speed"]["bulk_over_torch"])

    @property
    def single_over_torch(self) -> float:
        """How many times as fast as torch it takes a single picture."""
        return float(self.manifest["speed"]["single_over_torch"])

    @property
    def bulk_per_second(self) -> float:
        """How many pictures a second it takes in bulk; 0 where export.json does not tell."""
        try:
            rate = float(self.manifest["speed"][ENGINE]["bulk_per_second"])
        except DAMAGE:
            return 0.0
        return rate if isfinite(rate) else 0.0

    def require_paying(self) -> None:
        """Raise ExportUnusable unless it was measured on this kind of processor, and to be faster than torch.

        Further instructions do no harm: what was faster without them is faster with them.
        """
        measured = set(str(self.manifest["processor"]["kind"]).split())
        if not measured <= set(kind().split()):
            raise ExportUnusable(
                f"{shown(self.path)} was measured on another kind of processor: remove the folder and {self.remedy}"
            )
        if min(self.bulk_over_torch, self.single_over_torch) <= 1.0:
            raise ExportUnusable(
                f"{shown(self.path)} is no faster than torch on this processor "
                f"(`{command(self.model, self.precision)} --again` measures it again)"
            )


def _hindrance(export: Export) -> tuple[str, str]:
    """Return why this machine cannot run an export, and the precision that it can have; "" twice where it can.

    Raises EngineMissing without OpenVINO.
    """
    required, needs, path = export.manifest["openvino"], export.manifest["needs"], shown(export.path)
    if required != installed():
        return f"{path} was made with OpenVINO {required}, and {installed()} is installed", export.precision
    if needs and not instructions().intersection(needs):
        # In bf16 it would need the same again; 8 bits are made for the processor that they are made on.
        return f"{path} needs a processor with {' or '.join(needs)}, and this one has none", DEFAULT
    return "", ""


def fastest_first(exports: Sequence[Export]) -> list[Export]:
    """Return exports of one model, the fastest first.

    Those of one kind of processor are compared by the pictures that they take a second, which are of one run where
    they were there together; others by how many times as fast as torch they are, which is slow where they are slow.
    """
    kinds = {str(export.manifest["processor"]["kind"]) for export in exports}
    rates = [export.bulk_per_second for export in exports]
    if len(kinds) == 1 and all(rates):
        return sorted(exports, key=lambda export: -export.bulk_per_second)
    return sorted(exports, key=lambda export: -export.bulk_over_torch)


def _ways_to_publish(model: ModelFolder) -> str:
    """Say how a snapshot comes about that can be answered from here: by an engine that is there, or one to be had."""
    if not has_torch() and not any(_runs(model, precision) for precision in PRECISIONS):
        return f"{made_by(model.name, DEFAULT)} and `sokkuri reindex LIBRARY`"
    return "run `sokkuri reindex LIBRARY`"


def _runs(model: ModelFolder, precision: str) -> bool:
    """Tell whether a model has an export that can be used here."""
    try:
        Export.open(model, precision)
    except SokkuriError:
        return False
    return True


def _list(value: Any) -> list[Any]:
    """Return a value of JSON that has to be a list. Raises TypeError."""
    if not isinstance(value, list):
        raise TypeError
    return value


def require_precision(precision: str) -> None:
    """Raise ExportUnusable for a precision that there is not."""
    if precision not in PRECISIONS:
        raise ExportUnusable(f"there is no precision {precision!r}: an export is one of {', '.join(PRECISIONS)}")


def command(model: str, precision: str) -> str:
    """Return the command that makes an export."""
    return f"sokkuri export {model} --precision {precision}"


def made_by(model: str, precision: str) -> str:
    """Return what a message tells to do to have an export made: only where torch is installed can one be."""
    install = "" if has_torch() else "pip install 'sokkuri[train]' (an export is made of what torch runs) and "
    return f"{install}run `{command(model, precision)}`"


def has_torch() -> bool:
    """Tell whether torch is installed, without loading it."""
    try:
        return find_spec("torch") is not None
    except (ImportError, ValueError):  # something forbids to import it
        return False


def installed() -> str:
    """Return the version of OpenVINO, without loading it. Raises EngineMissing."""
    try:
        return version(ENGINE)
    except PackageNotFoundError:
        raise EngineMissing(f"{ENGINE} is not installed: pip install {ENGINE}") from None


def exported_space(space: EmbeddingSpace, precision: str, files: Mapping[str, str]) -> EmbeddingSpace:
    """Return the space of an export whose files have these SHA-256: quantised anew, it is another space."""
    digest = hashlib.sha256("".join(files[name] for name in (NETWORK, WEIGHTS)).encode()).hexdigest()
    return replace(space, weights=digest, precision=f"{ENGINE}-{precision}")


def is_exported_from(space: EmbeddingSpace, original: EmbeddingSpace) -> bool:
    """Tell whether a space can be that of an export of a model with the space `original`."""
    names = {f"{ENGINE}-{precision}" for precision in PRECISIONS}
    return space.precision in names and space == replace(original, weights=space.weights, precision=space.precision)
