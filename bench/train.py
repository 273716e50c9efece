"""What training costs, what the recipes are worth, and what a careless split would feign."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from bench.memory import run_watched
from bench.report import Figures
from indexer.embed import EmbeddingTable
from indexer.evaluation.rehearsal import parent_of
from indexer.evaluation.scores import mcnemar, reliability
from indexer.gather import stored
from indexer.library import Library, scan
from indexer.progress import progress
from indexer.samples import Samples, Stored, predict
from indexer.split import split
from indexer.training.fit import FitOptions, fit
from indexer.training.heads import HeadOptions, train_heads
from indexer.training.train import RECIPES, TrainOptions, train
from indexer.workplace import workplace
from recommender.catalogue import Catalogue
from recommender.cli import MAIN
from recommender.embeddings import EmbeddingSpace
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError
from recommender.heads import Probabilities
from recommender.images import decode
from recommender.labels import Hierarchy
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from recommender.types import Character, PictureId, Show

EPOCHS = 50
"""Epochs of the cached training, and of the one that asks the backbone each time."""
SPACES = ("type", "show", "character")
SYNTHETIC = EmbeddingSpace("synthetic", weights="none", layer="none", preprocessing="none", dimension=4096)
"""The space of the feature file that memory is measured on: as wide as VGG19's."""
CHARACTERS = 100
"""Characters of that file, in ten shows."""
SMALLER = 10
"""Memory is measured on a file of so many times fewer rows as well: it should be about the same."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: folds, pictures for the backbone's rate, rows of the synthetic file, random views."""

    folds: int = 5
    pictures: int = 200
    rows: int = 50_000
    views: int = 2


QUICK = Effort(folds=2, pictures=24, rows=2_000, views=0)


def measure_training(root: Path, backbone: str, weights: str, effort: Effort) -> Figures:
    """Measure on a library, in a home of its own."""
    with TemporaryDirectory(prefix="sokkuri-bench-") as folder:
        settings = Settings(home=Path(folder))
        options = TrainOptions(backbone, weights, views=effort.views)
        with workplace(settings, "bench train") as catalogue:
            first = train(settings, catalogue, root, options)
            library = _remembered(catalogue, root)
        second = _second(settings.home, root, options)
        speed = _speed(first.model, _samples(settings, first.model, library, "joint", 0), library, effort.pictures)
        quality = _recipes(settings, first.model, library, effort)
    facts = first.model.manifest
    figures = {
        "backbone": backbone,
        "notice": first.model.notice or None,
        **speed,
        **second,
        **_memory(effort.rows),
        **quality,
        "near_duplicates_across_naive_split": facts["training"]["split"]["leaks_of_naive_split"],
    }
    return Figures(figures, tuple(_lines(figures)))


def _remembered(catalogue: Catalogue, root: Path) -> Library:
    """Return a library that was scanned before, without decoding it."""
    return scan(root, known=catalogue.files(str(root.resolve())), wants=lambda _: False)


def _samples(settings: Settings, model: ModelFolder, library: Library, recipe: str, views: int) -> Samples:
    """Return the library as the heads of a recipe read it."""
    with EmbeddingTable.open(settings.home, model.space) as table:
        pictures = [entry.id for entry in library.entries]
        vectors = stored(table, model.space, pictures, views, RECIPES[recipe].reads)
    return Samples.of(library.hierarchy, library.entries, vectors, 0, alike=model.tells_duplicates)


def _second(home: Path, root: Path, options: TrainOptions) -> dict[str, Any]:
    """Train once more in a process of its own, which the backbone has nothing to do in."""
    command = [sys.executable, "-c", MAIN, "train", str(root), "--home", str(home), "--json"]
    command += ["--backbone", options.backbone, "--weights", options.weights, "--views", str(options.views)]
    watched = run_watched(command)
    found, peak, anonymous = watched.report, watched.peak, watched.own_peak
    if found["embedded"]:
        raise BuildError(f"the second training embedded {found['embedded']} pictures: it should have found them all")
    before = {stage: found["seconds"][stage] for stage in ("weights", "embeddings")}
    return {
        "first_epoch_after_s": sum(before.values()),
        "peak_mb": peak,
        "peak_anonymous_mb": anonymous,
        "second_training_s": found["seconds"],
    }


def _speed(model: ModelFolder, samples: Samples, library: Library, pictures: int) -> dict[str, Any]:
    """Train heads for EPOCHS on cached features, and time the backbone, which would otherwise run in each of them."""
    backbone = TorchBackbone.load(model)
    training, validation = samples.part("train"), samples.part("validation")
    options = HeadOptions(epochs=EPOCHS, patience=EPOCHS)
    started = perf_counter()
    train_heads(samples.hierarchy, samples.read(training), samples.read(validation), options)
    cached = perf_counter() - started
    rows = training.rows[np.linspace(0, len(training) - 1, min(pictures, len(training))).astype(int)]
    images = [decode((library.root / library.entries[row].path).read_bytes()) for row in rows]
    backbone.features(images[:8])
    started = perf_counter()
    with progress("timing the backbone") as told:
        for start in range(0, len(images), 8):
            backbone.features(images[start : start + 8])
            told(min(start + 8, len(images)), len(images))
    per_picture = (perf_counter() - started) / len(images)
    epoch = per_picture * (len(training) + len(validation))
    return {
        "cached_over_naive": (EPOCHS * epoch + cached) / cached,
        "cached_s": cached,
        "backbone_epoch_s": epoch,
        "backbone_pictures_per_second": 1 / per_picture,
    }


def _recipes(settings: Settings, model: ModelFolder, library: Library, effort: Effort) -> dict[str, Any]:
    """Cross-validate both recipes on the same folds, and the joint one on folds that part near-duplicates."""
    found = {}
    with progress("comparing recipes", "training") as told:
        for number, name in enumerate(("joint", "seed", "careless")):
            recipe = "seed" if name == "seed" else "joint"
            samples = _samples(settings, model, library, recipe, effort.views if recipe == "joint" else 0)
            if name == "careless":
                alone = np.arange(len(samples.characters), dtype=np.int64)
                samples = replace(samples, split=replace(samples.split, group=alone))
            found[name] = _crossed(samples, recipe, effort.folds)
            told(number + 1, 3)
    groups = _samples(settings, model, library, "joint", 0).split.group
    one_of_each = np.unique(groups, return_index=True)[1]
    compared = {
        space: mcnemar(found["joint"][space]["right"][one_of_each], found["seed"][space]["right"][one_of_each])
        for space in SPACES
    }
    figures = {
        name: {space: {key: value for key, value in row.items() if key != "right"} for space, row in rows.items()}
        for name, rows in found.items()
    }
    return {
        "joint": figures["joint"],
        "seed": figures["seed"],
        "joint_over_seed": {
            space: {**one.to_json(), "sentence": one.sentence("joint", "seed")} for space, one in compared.items()
        },
        "feigned_by_careless_folds": {
            space: figures["careless"][space]["accuracy"] - figures["joint"][space]["accuracy"] for space in SPACES
        },
    }


def _crossed(samples: Samples, recipe: str, folds: int) -> dict[str, dict[str, Any]]:
    """Return, for each label space, accuracy and calibration error over all folds, and which pictures are right."""
    fitted = fit(samples, FitOptions(RECIPES[recipe], folds, refit=recipe == "joint"))
    said: dict[str, list[Probabilities]] = {"before": [], "after": []}
    order = []
    for number, heads in enumerate(fitted.fold_heads):
        rows = np.flatnonzero(fitted.fold == number)
        order.append(rows)
        read = samples.read(samples.at(rows))
        said["after"].append(predict(heads, read))
        said["before"].append(predict(heads.uncalibrated, read))
    back = np.argsort(np.concatenate(order))
    found = {}
    for space in SPACES:
        truth = parent_of(samples.hierarchy, space)[samples.characters]
        before, after = (
            np.concatenate([getattr(one, space) for one in said[when]])[back] for when in ("before", "after")
        )
        right, known = after.argmax(axis=1) == truth, truth >= 0
        calibrated = reliability(after.max(axis=1)[known], right[known])
        raw = reliability(before.max(axis=1)[known], (before.argmax(axis=1) == truth)[known])
        found[space] = {
            "accuracy": float(right[known].mean()),
            "pictures": int(known.sum()),
            "calibration_error_before": raw.error,
            "calibration_error": calibrated.error,
            "calibration_error_if_perfect": calibrated.error_if_perfect,
            "right": right,
        }
    return found


def _memory(rows: int) -> dict[str, Any]:
    """Train on synthetic feature files of two sizes, each in a process of its own."""
    found = {}
    for name, count in (("smaller", rows // SMALLER), ("larger", rows)):
        with TemporaryDirectory(prefix="sokkuri-bench-") as home:
            _fill(Path(home), count)
            command = [sys.executable, "-m", "bench.train", home, str(count)]
            watched = run_watched(command)
            peak, anonymous = watched.peak, watched.own_peak
        found[name] = {"rows": count, "peak_mb": peak, "peak_anonymous_mb": anonymous}
    found["file_mb"] = {"larger": rows * SYNTHETIC.dimension * 4 / 1e6}
    return {"synthetic": found}


def _fill(home: Path, count: int) -> None:
    """Write a feature file of random numbers."""
    draw = np.random.default_rng(0)
    with EmbeddingTable.open(home, SYNTHETIC) as table, progress("writing synthetic features", "row") as told:
        for start in range(0, count, 1000):
            rows = range(start, min(start + 1000, count))
            features = np.maximum(draw.standard_normal((len(rows), SYNTHETIC.dimension), dtype=np.float32), 0.0)
            table.append([_id(row) for row in rows], features)
            told(rows[-1] + 1, count)


def _id(row: int) -> PictureId:
    return PictureId(f"{row:064x}")


def fit_synthetic(home: Path, count: int) -> None:
    """Do what `train` does with a feature file: split, train, calibrate, measure."""
    shows = [Show(f"show-{number}", f"Show {number}") for number in range(CHARACTERS // 10)]
    kinds = ("male", "female", "non-human")
    hierarchy = Hierarchy.of(
        Character(f"hero-{number}", f"Hero {number}", shows[number % len(shows)], kinds[number % 3])
        for number in range(CHARACTERS)
    )
    with EmbeddingTable.open(home, SYNTHETIC) as table:
        vectors = table.embeddings([_id(row) for row in range(count)], SYNTHETIC)
        vectors = replace(vectors, project=replace(SYNTHETIC, projection="signed-sqrt").embed)
    draw = np.random.default_rng(1)
    characters = draw.integers(0, CHARACTERS, count)
    division = split(characters, np.arange(count, dtype=np.int64), 0)
    samples = Samples(hierarchy, Stored(vectors, vectors), characters, division)
    fit(samples, FitOptions(HeadOptions(epochs=2)))


def _lines(figures: dict[str, Any]) -> list[str]:
    """Return the tables for people."""
    lines = [figures["notice"]] if figures["notice"] else []
    lines += [
        (
            f"{EPOCHS} epochs on cached features: {figures['cached_s']:.1f} s; the backbone alone would take "
            f"{figures['backbone_epoch_s']:.1f} s in each: {figures['cached_over_naive']:.0f} times as long"
        ),
        (
            f"a second training starts its first epoch after {figures['first_epoch_after_s']:.2f} s (without imports); "
            f"at most {figures['peak_mb']:.0f} MB, {figures['peak_anonymous_mb']:.0f} without mapped files"
        ),
    ]
    for one in (figures["synthetic"]["smaller"], figures["synthetic"]["larger"]):
        lines.append(
            f"training on {one['rows']:,} synthetic rows: at most {one['peak_mb']:.0f} MB, "
            f"{one['peak_anonymous_mb']:.0f} without mapped files"
        )
    lines.append(f"{'over all folds':<12} {'joint':>7} {'seed':>7}   ECE of joint: before, after, if perfect; pictures")
    for space in SPACES:
        joint, seed = figures["joint"][space], figures["seed"][space]
        lines.append(
            f"  {space:<10} {joint['accuracy']:>7.3f} {seed['accuracy']:>7.3f}   "
            f"{joint['calibration_error_before']:.3f}, {joint['calibration_error']:.3f}, "
            f"{joint['calibration_error_if_perfect']:.3f}; {joint['pictures']}"
        )
    lines += [f"  {space}: {figures['joint_over_seed'][space]['sentence']}" for space in SPACES]
    feigned = ", ".join(f"{space} {100 * figures['feigned_by_careless_folds'][space]:+.1f}" for space in SPACES)
    lines.append(
        f"{figures['near_duplicates_across_naive_split']} near-duplicates across a naive split; "
        f"folds that part near-duplicates would feign, in points: {feigned}"
    )
    return lines


if __name__ == "__main__":
    fit_synthetic(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(json.dumps({"process": os.getpid()}))
