"""How often a model is right about pictures that it was never shown, over several ways to split the library."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.report import Figures
from indexer.training.heads import HeadOptions
from indexer.training.train import TrainOptions, train
from indexer.workplace import workplace
from recommender.settings import Settings


def measure_accuracy(library: Path, backbone: str, weights: str, seeds: int) -> Figures:
    """Train once for each seed; the pictures go through the backbone only the first time."""
    measured: list[dict[str, Any]] = []
    notice = ""
    with TemporaryDirectory(prefix="sokkuri-bench-") as home:
        settings = Settings(home=Path(home))
        for seed in range(seeds):
            with workplace(settings, "bench accuracy") as catalogue:
                options = TrainOptions(backbone, weights, heads=HeadOptions(seed=seed))
                report = train(settings, catalogue, library, options)
            measured.append(report.metrics)
            notice = report.model.notice
    rows = {space: [metrics[space] for metrics in measured] for space in ("type", "show", "character")}
    for group in ("characters_by_show", "characters"):
        for label in measured[0][group]:
            rows[f"{group}: {label}"] = [metrics[group][label] for metrics in measured]
    lines = [notice] if notice else []
    lines.append(f"{'accuracy on test pictures':<58} {'split 0':>7} {'pictures':>8}   mean of {seeds} splits")
    lines += [_line(name, row) for name, row in rows.items()]
    figures = {name: {"split_0": row[0], "mean": _mean(row), "splits": seeds} for name, row in rows.items()}
    return Figures({"backbone": backbone, "notice": notice, "accuracy": figures}, tuple(lines))


def _line(name: str, row: list[dict[str, Any]]) -> str:
    """Return a line of the table: the first split with its number of pictures, and the mean of all."""
    first = "-" if row[0]["accuracy"] is None else f"{row[0]['accuracy']:.3f}"
    mean = _mean(row)
    pictures = sum(one["pictures"] for one in row)
    average = "-" if mean is None else f"{mean:.3f} ({pictures} pictures)"
    return f"{name:<58} {first:>7} {row[0]['pictures']:>8}   {average}"


def _mean(row: list[dict[str, Any]]) -> float | None:
    """Return the accuracy over the test pictures of all splits, each picture counting once for each split."""
    pictures = np.array([one["pictures"] for one in row], dtype=float)
    right = np.array([(one["accuracy"] or 0.0) * one["pictures"] for one in row])
    return float(right.sum() / pictures.sum()) if pictures.sum() else None
