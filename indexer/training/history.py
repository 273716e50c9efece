"""The epochs of a training as a table and as curves, kept in the model's folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from indexer.evaluation.plots import learning_curves
from indexer.training.heads import Epoch

CSV = "history.csv"
CURVES = "learning_curves.png"
FINETUNING = "backbone"
HEADS = "heads"

Row = Mapping[str, Any]


def rows_of(stage: str, epochs: Sequence[Epoch]) -> list[Row]:
    """Return a row for each epoch of a stage."""
    fields = [asdict(epoch) for epoch in epochs]
    return [{"stage": stage, "epoch": row.pop("number"), **row} for row in fields]


def files(history: Sequence[Row], best: int) -> dict[str, bytes]:
    """Return the files of a history: the table, and the curves of each stage that was trained; `best` is the heads'."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(history[0]) if history else ["stage", "epoch"])
    writer.writeheader()
    writer.writerows(history)
    found = {CSV: table.getvalue().encode()}
    heads = [row for row in history if row["stage"] == HEADS]
    backbone = [row for row in history if row["stage"] == FINETUNING]
    if heads:
        found[CURVES] = learning_curves(heads, "Learning curves of the heads", best)
    if backbone:
        found[f"backbone_{CURVES}"] = learning_curves(backbone, "Learning curves of the backbone")
    return found
