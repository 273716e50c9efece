"""`indexer.training.fit`: from vectors to heads and honest figures; what is tested was never trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.samples import Samples, Stored
from indexer.split import HELD_OUT, PARTS, split
from indexer.training.checkpoint import Run
from indexer.training.fit import CHOOSING, NO_FOLD, REHEARSAL, FitOptions, Fitted, Watch, fit
from indexer.training.heads import Epoch, HeadOptions, train_heads
from recommender.calibration import LEVELS, Nearness
from recommender.embeddings import unit_length
from recommender.heads import SPACES, Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, Prediction, Show

pytestmark = pytest.mark.slow

CAST = Hierarchy.of(
    Character(f"c{number}", f"C{number}", Show(f"show-{number % 2}", "Show"), ("male", None, "female")[number % 3])
    for number in range(4)
)
EACH = 24
DIMENSION = 6
VIEWS = 1
PLAIN = FitOptions(HeadOptions(epochs=3, batch=64))
CROSSED = replace(PLAIN, folds=3)
ALONE = replace(PLAIN, refit=False)
SEPARATE = FitOptions(
    HeadOptions(epochs=6, batch=32, learning_rate=0.05, joint=False, reads="features", standardised=False), refit=False
)


def _samples(*, held_out: int = 10, nobody: int = 12, noise: float = 0.35) -> Samples:
    """Return EACH pictures of each character in pairs of near-duplicates, held-out ones, views, and nobody."""
    draw = np.random.default_rng(0)
    characters = np.append(np.repeat(np.arange(len(CAST.characters)), EACH), np.full(held_out, HELD_OUT))
    groups = np.arange(len(characters)) // 2
    places = np.where(characters == HELD_OUT, DIMENSION - 1, characters)
    vectors = np.eye(DIMENSION)[np.tile(places, VIEWS + 1)]
    vectors = np.concatenate([vectors + noise * draw.normal(size=vectors.shape), draw.normal(size=(nobody, DIMENSION))])
    stored = unit_length(vectors.astype(np.float32))
    inputs = 2 * np.roll(stored, 1, axis=1)
    return Samples(CAST, Stored(stored, inputs, VIEWS), characters, split(characters, groups, seed=1))


def _spoilt(samples: Samples, pictures: NDArray[np.int64]) -> Samples:
    """Return the samples with other vectors in the place of some pictures and all of their views."""
    count = len(samples.characters)
    rows = np.concatenate([pictures + view * count for view in range(VIEWS + 1)])

    def other(vectors: Matrix) -> Matrix:
        changed = vectors.copy()
        changed[rows] = np.random.default_rng(9).normal(size=(len(rows), DIMENSION))
        return changed

    stored = samples.stored
    return replace(samples, stored=replace(stored, vectors=other(stored.vectors[:]), inputs=other(stored.inputs[:])))


def _same(one: Heads, other: Heads) -> bool:
    """Tell whether two heads are the same bit for bit, temperatures included."""
    tensors = other.to_tensors()
    return one.temperatures == other.temperatures and all(
        np.array_equal(tensor, tensors[name]) for name, tensor in one.to_tensors().items()
    )


def _differences(one: Fitted, other: Fitted) -> list[str]:
    """Return in what two fittings came to something else."""
    same = {
        "heads": _same(one.heads, other.heads),
        "calibration": one.calibration == other.calibration,
        "history": (one.history, one.best) == (other.history, other.best),
        "metrics": one.metrics == other.metrics,
        "fold": np.array_equal(one.fold, other.fold),
        "fold_heads": len(one.fold_heads) == len(other.fold_heads)
        and all(_same(*pair) for pair in zip(one.fold_heads, other.fold_heads, strict=True)),
    }
    return [what for what, alike in same.items() if not alike]


def _right(heads: Heads, samples: Samples, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which pictures heads name rightly."""
    vectors = samples.stored.inputs[rows]
    return np.asarray(heads.probabilities(vectors).character.argmax(axis=1) == samples.characters[rows])


@pytest.fixture(scope="module")
def crossed() -> Fitted:
    """Fit with three folds."""
    return fit(_samples(), CROSSED)


@pytest.fixture(scope="module")
def plain() -> Fitted:
    """Fit without folds."""
    return fit(_samples(), PLAIN)


# Without folds


@pytest.mark.parametrize("options", [PLAIN, ALONE, SEPARATE])
def test_the_figures_are_those_of_the_test_part(options: FitOptions) -> None:
    """The accuracy is how many of its pictures the final heads, with their temperatures, name rightly."""
    samples = _samples()
    fitted = fit(samples, options)
    rows = samples.split.rows("test")
    right = _right(fitted.heads, samples, rows)
    assert fitted.metrics["part"] == "test"
    assert fitted.metrics["character"] == {"accuracy": pytest.approx(right.mean()), "pictures": len(rows)}
    assert right.mean() >= 0.5
    assert fitted.heads.temperatures == fitted.calibration.temperatures
    assert set(fitted.heads.temperatures) == set(SPACES)
    assert (fitted.heads.joint, fitted.heads.reads) == (options.heads.joint, options.heads.reads)
    assert fitted.fold.tolist() == [NO_FOLD] * len(samples.characters)
    assert fitted.fold_heads == ()


def test_test_pictures_are_never_learnt_from(plain: Fitted) -> None:
    """Whatever is in them, heads, temperatures, certainties and maps stay the same; only the figures change."""
    samples = _samples()
    other = fit(_spoilt(samples, samples.split.rows("test")), PLAIN)
    assert other.metrics["character"] != plain.metrics["character"]
    assert _differences(plain, other) == ["metrics"]


def test_held_out_pictures_are_never_looked_at(crossed: Fitted) -> None:
    """Those of a character that the model is not to know are neither trained on, nor measured, nor in any fold."""
    samples = _samples()
    assert _differences(fit(_spoilt(samples, samples.split.held_out), CROSSED), crossed) == []
    assert set(crossed.fold[samples.split.held_out]) == {NO_FOLD}


def test_validation_chooses_the_epochs_and_then_helps() -> None:
    """The first training sees the training part; the final one validation too, for as many epochs as were best."""
    samples = _samples()
    stages: list[tuple[str, int]] = []
    fitted = fit(samples, PLAIN, Watch(lambda stage, epoch: stages.append((stage, epoch.number))))
    chosen = [(CHOOSING, epoch.number) for epoch in fitted.history]
    told = [(stage, number) for stage, number in stages if stage != REHEARSAL]
    assert told == [*chosen, *(("final", number + 1) for number in range(fitted.best))]
    seen = samples.read(samples.seen(samples.part("train") + samples.part("validation")))
    by_hand = train_heads(CAST, seen, None, replace(PLAIN.heads, epochs=fitted.best)).heads
    assert _same(replace(by_hand, temperatures=fitted.heads.temperatures), fitted.heads)


def test_without_another_training_the_chosen_heads_are_the_final_ones() -> None:
    """Where validation pictures are not to be learnt from, the heads are those of the best epoch of the first."""
    samples = _samples()
    stages: set[str] = set()
    fitted = fit(samples, ALONE, Watch(lambda stage, _: stages.add(stage)))
    assert stages == {CHOOSING, REHEARSAL}
    seen, validation = samples.read(samples.seen(samples.part("train"))), samples.read(samples.part("validation"))
    by_hand = train_heads(CAST, seen, validation, ALONE.heads)
    assert _same(replace(by_hand.heads, temperatures=fitted.heads.temperatures), fitted.heads)
    assert (fitted.history, fitted.best) == (by_hand.history, by_hand.best)


def test_the_same_samples_give_the_same_fit(crossed: Fitted) -> None:
    """Nothing is drawn that the seeds do not decide."""
    assert _differences(fit(_samples(), CROSSED), crossed) == []


# With folds


def test_every_known_picture_is_tested_once(crossed: Fitted) -> None:
    """Each is in one fold, with its near-duplicate; the figures are over all, each judged by its fold's heads."""
    samples = _samples()
    known = samples.characters != HELD_OUT
    assert set(crossed.fold[known]) == {0, 1, 2}
    for group in set(samples.split.group[known]):
        assert len(set(crossed.fold[known & (samples.split.group == group)])) == 1
    right = [_right(crossed.fold_heads[fold], samples, np.flatnonzero(crossed.fold == fold)) for fold in range(3)]
    assert crossed.metrics["part"] == "folds"
    assert crossed.metrics["character"] == {
        "accuracy": pytest.approx(np.concatenate(right).mean()),
        "pictures": int(known.sum()),
    }
    assert sum(row["pictures"] for row in crossed.metrics["characters"].values()) == known.sum()


def test_the_heads_of_a_fold_never_saw_it(crossed: Fitted) -> None:
    """Whatever is in its pictures and their views, its heads and their temperatures are the same; others' are not."""
    other = fit(_spoilt(_samples(), np.flatnonzero(crossed.fold == 1)), CROSSED)
    assert np.array_equal(other.fold, crossed.fold)
    same = [_same(*pair) for pair in zip(crossed.fold_heads, other.fold_heads, strict=True)]
    assert same == [False, True, False]
    assert not _same(crossed.heads, other.heads)


def test_the_final_heads_are_trained_on_every_known_picture(crossed: Fitted) -> None:
    """Since the folds tell how good they are, no picture has to be spared for a test."""
    samples = _samples()
    parts = [samples.part(name) for name in PARTS]
    seen = samples.read(samples.seen(parts[0] + parts[1] + parts[2]))
    by_hand = train_heads(CAST, seen, None, replace(CROSSED.heads, epochs=crossed.best)).heads
    assert _same(replace(by_hand, temperatures=crossed.calibration.temperatures), crossed.heads)


def test_folds_leave_the_calibration_as_it_was(crossed: Fitted, plain: Fitted) -> None:
    """When to be sure is measured on the validation part, with folds as without."""
    assert crossed.calibration == plain.calibration
    assert (crossed.history, crossed.best) == (plain.history, plain.best)


def test_separate_heads_have_folds_too() -> None:
    """The recipe that is compared with is tested the same way, without another training."""
    stages: set[str] = set()
    fitted = fit(_samples(), replace(SEPARATE, folds=3), Watch(lambda stage, _: stages.add(stage)))
    assert stages == {CHOOSING, REHEARSAL, *(f"fold-{number}-choosing" for number in (1, 2, 3))}
    assert [heads.joint for heads in fitted.fold_heads] == [False] * 3
    assert all(set(heads.temperatures) == set(SPACES) for heads in fitted.fold_heads)


# Interruptions


class _Interrupted(Exception):
    """Stands in for kill -9."""


@pytest.mark.parametrize("stage", [REHEARSAL, "fold-2"])
def test_an_interrupted_fit_comes_to_the_same(crossed: Fitted, stage: str, tmp_path: Path) -> None:
    """Broken off in any stage and run again with its checkpoints, it gives the same heads, folds and figures."""

    def told(now: str, epoch: Epoch) -> None:
        if (now, epoch.number) == (stage, 1):
            raise _Interrupted

    run = Run.of(tmp_path / "run", what="fit")
    with pytest.raises(_Interrupted):
        fit(_samples(), CROSSED, Watch(told, run.checkpoint))
    assert _differences(fit(_samples(), CROSSED, Watch(checkpoint=run.checkpoint)), crossed) == []


def test_what_is_done_is_not_done_again(crossed: Fitted, tmp_path: Path) -> None:
    """With the checkpoints of all stages nothing is written any more, and the result is there."""
    run = Run.of(tmp_path / "run", what="fit")
    fit(_samples(), CROSSED, Watch(checkpoint=run.checkpoint))
    before = {file: file.stat().st_mtime_ns for file in run.folder.iterdir()}
    assert _differences(fit(_samples(), CROSSED, Watch(checkpoint=run.checkpoint)), crossed) == []
    assert {file: file.stat().st_mtime_ns for file in run.folder.iterdir()} == before


# Little to go by


def _divided(samples: Samples, parts: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Samples:
    """Return the samples with other parts."""
    return replace(samples, split=replace(samples.split, part=parts(samples.split.part)))


def test_without_test_pictures_nothing_is_measured() -> None:
    """A library too small for a test part has figures that say so: no accuracy, of no pictures."""
    samples = _divided(_samples(), lambda part: np.where(part == 2, 0, part))
    fitted = fit(samples, PLAIN)
    for space in SPACES:
        assert fitted.metrics[space] == {"accuracy": None, "pictures": 0}


def test_without_validation_pictures_all_epochs_are_run_and_nothing_is_believed() -> None:
    """There is nothing to choose by and nothing to calibrate with: the heads are the last ones, the verdict unknown."""
    samples = _divided(_samples(), lambda part: np.where(part == 1, 0, part))
    fitted = fit(samples, PLAIN)
    assert fitted.best == len(fitted.history) == PLAIN.heads.epochs
    best = {level: Prediction("x", 1.0) for level in LEVELS}
    assert fitted.calibration.verdict(best, Nearness(1.0, dict.fromkeys(LEVELS, 1.0))).level == "unknown"


def test_training_pictures_alone_are_enough() -> None:
    """One picture of each of two characters, and no other part, give heads that tell the two apart."""
    samples = _samples(held_out=0, nobody=0, noise=0.1)
    first = np.array([0, EACH])
    samples = _divided(samples, lambda part: np.where(np.isin(np.arange(len(part)), first), 0, HELD_OUT))
    fitted = fit(samples, FitOptions(HeadOptions(epochs=20)))
    assert _right(fitted.heads, samples, first).all()
