"""How fast a model's exports are beside torch, and beside each other: all that are there are timed in one race.

Figures of different runs say as much of what else the machine did as of the engines, and what `auto` takes hangs on
them, so whenever an export is made or asked about again, all are measured anew. Not here: how engines take turns
(`fidelity`), how an export is made (`exporting`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.fidelity import Race, race
from indexer.progress import say
from indexer.workplace import now
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError, NotFound, SokkuriError
from recommender.exports import MANIFEST, PRECISIONS, Export, command
from recommender.folders import flush, shown
from recommender.modelfolder import ModelFolder
from recommender.ports import Backbone
from recommender.processor import kind
from recommender.settings import Settings
from recommender.types import DecodedImage

SECONDS = 3.0
"""How long single pictures, and many at once, are timed at least; slow networks take longer."""
DISTURBED = 0.25
"""So far may rounds lie apart, from quartile to quartile, that are still told as a quiet measurement."""
TORCH = "torch"
UNFINISHED = f"{MANIFEST}.new"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one race found of exports, by their precision."""

    run: Race
    created: str

    def speed(self, precision: str) -> dict[str, Any]:
        """Return what export.json says of the speed."""
        return {
            TORCH: self.run.speed(TORCH).to_json(),
            "openvino": self.run.speed(precision).to_json(),
            "bulk_over_torch": self.run.bulk_over(precision, TORCH),
            "single_over_torch": self.run.single_over(precision, TORCH),
            "spread": self.run.spread(precision, TORCH),
            "measured": self.created,
        }


def measure(
    torch: TorchBackbone, exports: Mapping[str, Backbone], pictures: Sequence[DecodedImage], model: str
) -> Measurement:
    """Time a model's exports, by their precision, in turn with torch; say so where something disturbed it."""
    run = race({TORCH: torch, **exports}, pictures, seconds=SECONDS)
    apart = {precision: run.spread(precision, TORCH) for precision in exports}
    precision = max(apart, key=lambda one: apart[one])
    if apart[precision] > DISTURBED:
        say(
            f"rounds of the speed of {precision} lie {apart[precision]:.0%} apart, so something else kept the machine "
            f"busy: measure again when it is quiet, by `{command(model, precision)} --again`"
        )
    return Measurement(run, now())


def others(settings: Settings, model: ModelFolder, precision: str) -> dict[str, OpenVinoBackbone]:
    """Open a model's exports but the one in a precision; those that do not run here are passed over."""
    found = {}
    for other in PRECISIONS:
        if other != precision:
            try:
                export = Export.open(model, other)
                found[other] = OpenVinoBackbone.load(export, model.preprocessing, settings.threads)
            except SokkuriError:
                continue
    return found


def measure_again(settings: Settings, model: ModelFolder, precision: str, pictures: Sequence[DecodedImage]) -> None:
    """Measure the speed of an export again, and of the others of its model. Raises SokkuriError, BuildError."""
    torch = TorchBackbone.load(model, settings.threads)
    own = OpenVinoBackbone.load(Export.open(model, precision), model.preprocessing, settings.threads)
    backbones: dict[str, Backbone] = {precision: own, **others(settings, model, precision)}
    measured = measure(torch, backbones, pictures, model.name)
    for one in backbones:
        write(model, one, measured)


def write(model: ModelFolder, precision: str, measured: Measurement) -> None:
    """Write what was measured into an export's export.json, whole or not at all. Raises BuildError."""
    try:
        export = Export.open(model, precision)
    except NotFound:  # it went while it was measured
        return
    fields = export.manifest | {"speed": measured.speed(precision), "processor": {"kind": kind()}}
    file = export.path / UNFINISHED
    try:
        _replace(file, export.path / MANIFEST, json.dumps(fields, ensure_ascii=False, indent=1))
    except OSError as error:
        file.unlink(missing_ok=True)
        raise BuildError(
            f"{shown(export.path / MANIFEST)} cannot be written ({error.strerror}), and says what it said: make room "
            f"or see that it can be written to, and run `{command(model.name, precision)} --again`"
        ) from None


def _replace(aside: Path, file: Path, text: str) -> None:
    """Put a text in the place of a file such that a power cut leaves the one or the other."""
    aside.write_text(text, encoding="utf-8")
    flush(aside)
    aside.replace(file)
    flush(file.parent)
