"""Fine-tuning as a stage of `train`: which pictures it is done with, and how a person hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from indexer.library import Library
from indexer.progress import Told, progress, say
from indexer.samples import Samples
from indexer.training.checkpoint import Run
from indexer.training.finetune import FinetuneOptions, Material, Plan, finetune
from indexer.training.heads import Epoch
from indexer.training.weights import LoadedBackbone
from recommender.errors import BuildError, InvalidImage
from recommender.files import read_regular
from recommender.images import Limits, decode
from recommender.types import DecodedImage

Unfreeze = Literal["none", "last-block", "all"]
STAGE = "backbone"


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """Which layers of the backbone are trained, for how many epochs at most, from which seed, with how many threads."""

    unfreeze: Unfreeze = "none"
    epochs: int = 10
    seed: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The pictures of some entries, decoded when they are asked for."""

    library: Library
    limits: Limits
    rows: NDArray[np.int64]
    characters: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def picture(self, row: int) -> DecodedImage:
        path = self.library.root / self.library.entries[int(self.rows[row])].path
        try:
            return decode(read_regular(path, self.limits.max_bytes), self.limits)
        except (OSError, InvalidImage) as error:
            raise BuildError(f"{path} has changed while the training ran ({error}): run it again") from None


class _Reporter:
    """Tells a person how the fine-tuning goes."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._last = ""

    def plan(self, plan: Plan) -> None:
        say(plan.describe)

    def progress(self, done: int, total: int, loss: float | None) -> None:
        self._told(done, total, "" if loss is None else f"loss {loss:.3f}{self._last}")

    def epoch(self, epoch: Epoch) -> None:
        if epoch.validation_accuracy is not None:
            self._last = f", accuracy {epoch.validation_accuracy:.3f}"


def tune(
    loaded: LoadedBackbone, samples: Samples, library: Library, options: TuneOptions, limits: Limits, run: Run
) -> tuple[Epoch, ...]:
    """Train the backbone in place, on the training part; the validation part says when to stop. Raises BuildError."""
    if options.unfreeze == "none":
        return ()

    def shelf(part: str) -> _Shelf:
        rows = samples.split.rows(part)
        return _Shelf(library, limits, rows, samples.characters[rows])

    material = Material(samples.hierarchy, loaded.preprocessing, shelf("train"), shelf("validation"))
    chosen = FinetuneOptions(options.unfreeze, epochs=options.epochs, seed=options.seed, threads=options.threads)
    with progress("training the backbone") as told:
        tuned = finetune(loaded.model, material, chosen, _Reporter(told), run.checkpoint(STAGE))
    if not tuned.best:
        say("no epoch of the backbone's training was better than the weights that it began with: they are kept")
    return tuned.history
