"""Fitting: from the vectors of a library to heads, what their numbers are worth, and how often they are right.

Validation pictures choose the number of epochs and calibrate; then heads are trained once more with them, so that every
picture but those of the test part helps. With folds, every picture is tested once, by heads that never saw it, and the
final heads are trained on all. Not here: how one set of heads is trained (`heads`), where vectors come from (`gather`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.evaluation.calibration import calibrate
from indexer.evaluation.metrics import measure
from indexer.evaluation.rehearsal import ASKED
from indexer.evaluation.scaling import calibrated
from indexer.samples import Part, Samples, predict
from indexer.split import HELD_OUT, folds
from indexer.training.checkpoint import Checkpoint
from indexer.training.heads import Epoch, HeadOptions, Trained, train_heads
from recommender.calibration import Calibration
from recommender.heads import Heads, Probabilities
from recommender.labels import Hierarchy

CHOOSING = "choosing"
"""The stage in which validation pictures choose the number of epochs."""
JUDGED = 4
"""Of what a fold leaves, one in so many pictures chooses the number of epochs and calibrates."""
REHEARSAL = "rehearsal"
"""The stage in which heads are trained without some characters, to ask them about these."""
FINAL = "final"
"""The stage in which heads are trained once more, on all that may be trained on."""
NO_FOLD = -1
"""Stands in `Fitted.fold` for a picture that was in no fold."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How the heads are trained, in how many folds (0: none), and whether they are trained again with validation."""

    heads: HeadOptions
    folds: int = 0
    refit: bool = True


@dataclass(frozen=True, slots=True)
class Fitted:
    """Calibrated heads, the epochs that led to them, and the figures of pictures that they never saw.

    `fold` holds the fold of each entry, and `fold_heads` the heads that were trained without it.
    """

    heads: Heads
    calibration: Calibration
    history: tuple[Epoch, ...]
    best: int
    fold: NDArray[np.int64]
    fold_heads: tuple[Heads, ...]
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watch:
    """Who hears of each epoch (with the name of its stage), and where a stage keeps its checkpoint."""

    told: Callable[[str, Epoch], None] = lambda _stage, _epoch: None
    checkpoint: Callable[[str], Checkpoint | None] = lambda _: None


def fit(samples: Samples, options: FitOptions, watch: Watch = Watch()) -> Fitted:
    """Train, calibrate and measure. Raises BuildError where a checkpoint cannot be read or written."""
    training, validation, test = (samples.part(name) for name in ("train", "validation", "test"))
    chosen = _train(samples, training, validation, options.heads, watch, CHOOSING)
    best = replace(options.heads, epochs=max(chosen.best, 1))

    def again(hierarchy: Hierarchy, part: Part) -> Heads:
        return train_heads(hierarchy, part, None, best, lambda epoch: watch.told(REHEARSAL, epoch)).heads

    heads = calibrated(chosen.heads, samples.read(validation.at_most(ASKED)))
    calibration = calibrate(samples, heads, again)
    crossed = _cross_validate(samples, options, watch) if options.folds else None
    if options.refit:
        everything = training + validation + test if crossed else training + validation
        heads = _train(samples, everything, None, best, watch, FINAL).heads.calibrated_like(heads)
    if crossed:
        metrics = {"part": "folds", **measure(crossed.found, crossed.characters, samples.hierarchy)}
        return Fitted(heads, calibration, chosen.history, chosen.best, crossed.fold, crossed.heads, metrics)
    found = predict(heads, samples.read(test))
    metrics = {"part": "test", **measure(found, test.characters, samples.hierarchy)}
    nowhere = np.full(len(samples.characters), NO_FOLD)
    return Fitted(heads, calibration, chosen.history, chosen.best, nowhere, (), metrics)


def _train(
    samples: Samples, training: Part, validation: Part | None, options: HeadOptions, watch: Watch, stage: str
) -> Trained:
    """Train heads on pictures and their views; validation pictures are seen as they are."""
    return train_heads(
        samples.hierarchy,
        samples.read(samples.seen(training)),
        None if validation is None else samples.read(validation),
        options,
        lambda epoch: watch.told(stage, epoch),
        watch.checkpoint(stage),
    )


@dataclass(frozen=True, slots=True)
class _Crossed:
    """The fold of each entry, its heads, and what these say about the pictures of their fold."""

    fold: NDArray[np.int64]
    heads: tuple[Heads, ...]
    characters: NDArray[np.int64]
    found: Probabilities


def _cross_validate(samples: Samples, options: FitOptions, watch: Watch) -> _Crossed:
    """Test every picture by heads that were trained without its fold; a part of the others chooses epochs."""
    known = np.flatnonzero(samples.characters != HELD_OUT)
    number = folds(samples.characters[known], samples.split.group[known], options.folds, samples.split.seed)
    fold = np.full(len(samples.characters), NO_FOLD)
    fold[known] = number
    heads, characters, found = [], [], []
    for tested in range(options.folds):
        test, rest = samples.at(known[number == tested]), known[number != tested]
        # The last part: of a character with few pictures it gets none, and training all.
        judging = folds(samples.characters[rest], samples.split.group[rest], JUDGED, samples.split.seed) == JUDGED - 1
        training, validation = samples.at(rest[~judging]), samples.at(rest[judging])
        stage = f"fold-{tested + 1}"
        chosen = _train(samples, training, validation, options.heads, watch, f"{stage}-choosing")
        one = calibrated(chosen.heads, samples.read(validation.at_most(ASKED)))
        if options.refit:
            best = replace(options.heads, epochs=max(chosen.best, 1))
            one = _train(samples, training + validation, None, best, watch, stage).heads.calibrated_like(one)
        heads.append(one)
        characters.append(test.characters)
        found.append(predict(heads[-1], samples.read(test)))
    together = Probabilities(
        *(np.concatenate([getattr(one, space) for one in found]) for space in Probabilities.__slots__)
    )
    return _Crossed(fold, tuple(heads), np.concatenate(characters), together)
