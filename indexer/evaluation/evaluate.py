"""The job `evaluate`: everything that can be measured of a model, as a page, plots, tables and figures.

Not here: how a figure comes about (`findings`), how it is drawn (`plots`) and written (`report`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.evaluation.cost import Cost, measure_cost
from indexer.evaluation.findings import Findings, find_like, judge_verdicts, tell_labels, withstand
from indexer.evaluation.grids import sample
from indexer.evaluation.metrics import untested_told
from indexer.evaluation.report import write_report
from indexer.evaluation.sections import compose
from indexer.evaluation.subject import Bench, Subject
from indexer.library import LIBRARY_LIMITS
from indexer.progress import say
from indexer.stopwatch import Stopwatch
from indexer.views import ALTERATIONS
from recommender.catalogue import Catalogue
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError, SokkuriError
from recommender.images import Limits
from recommender.settings import Settings

ALTERED = 400
"""Tested pictures whose alterations are looked at: each costs as many forward passes as there are alterations."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What was found, and where it is written."""

    model: str
    folder: Path
    metrics: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {"report": str(self.folder / "report.html"), **self.metrics}

    def to_text(self) -> str:
        """Return the main figures for people."""
        lines = [f"! {self.metrics['notice']}"] if self.metrics["notice"] else []
        lines += [f"{self.model:<28} {'top-1':>6} {'95 %':>15} {'macro F1':>9} {'ECE':>6}  pictures"]
        for space in ("type", "show", "character"):
            row = self.metrics["labels"][space]
            top1 = row["top1"]
            if top1:
                between = f"{top1['low']:.3f}–{top1['high']:.3f}"
                error = row["calibration_error"]
                lines.append(
                    f"{space:<28} {top1['value']:>6.3f} {between:>15} {row['f1']['value']:>9.3f} {error:>6.3f}  "
                    f"{row['pictures']:>8}"
                )
        if untested := untested_told(self.metrics["labels"]["character"]["untested"]):
            lines.append(untested)
        for name, title in (("same_character", "same character found (mAP)"), ("cross_role", "same show found (mAP)")):
            found = self.metrics["retrieval"][name]["mean_average_precision"]
            if found:
                lines.append(f"{title:<28} {found['value']:>6.3f} {found['low']:>7.3f}–{found['high']:.3f}")
        lines.append(f"report: {self.folder / 'report.html'}")
        return "\n".join(lines)


def evaluate(
    settings: Settings, catalogue: Catalogue, name: str | None, root: Path | None, folder: Path | None
) -> EvaluationReport:
    """Measure a model (by default the one in use) on a library (by default the one that it was trained on).

    Raises NotFound, BadLibrary, Corrupt or BuildError.
    """
    bench = Bench(settings, catalogue)
    model = bench.model(name)
    root = root or bench.library_of(model)
    folder = folder or settings.home / "reports" / model.name
    if folder.exists() and not folder.is_dir():
        raise BuildError(f"{folder} is a file: name a folder for the report with --output")
    clock = Stopwatch()
    backbone = TorchBackbone.load(model, settings.threads)
    subject = bench.open(model, root, backbone)
    _require_tested(subject, root)
    clock.lap("pictures")
    labels = tell_labels(subject)
    clock.lap("labels")
    verdicts = judge_verdicts(subject, bench.nobody(subject, backbone))
    clock.lap("verdicts")
    likes = find_like(subject)
    clock.lap("retrieval")
    rows = sample(np.sort(np.concatenate([panel.asked for panel in subject.panels])), ALTERED)
    altered = withstand(subject, bench.altered(subject, backbone, ALTERATIONS, rows), rows)
    clock.lap("alterations")
    cost = measure_cost(model, backbone)
    findings = Findings(
        labels, verdicts, likes, altered, len(rows), cost, _models(bench, root, {model.space.fingerprint: cost})
    )
    clock.lap("cost")
    metrics = {**_about(subject, root), **findings.to_json(), "seconds": clock.seconds}
    write_report(compose(subject, findings, Limits.of(settings, LIBRARY_LIMITS.min_side)), metrics, folder)
    return EvaluationReport(model.name, folder, metrics)


def _about(subject: Subject, root: Path) -> dict[str, Any]:
    """Return what the figures are of."""
    training = subject.model.manifest["training"]
    return {
        "model": subject.model.name,
        "backbone": subject.model.space.backbone,
        "recipe": training["recipe"],
        "notice": subject.model.notice or None,
        "library": root.name,
        "pictures": {
            "tested": sum(len(panel.asked) for panel in subject.panels),
            "trained": int(subject.trained.sum()),
            "of unknown characters": int(subject.strangers.sum()),
        },
        "split": training["split"],
    }


def _require_tested(subject: Subject, root: Path) -> None:
    """Raise BuildError where the model has seen everything that there is."""
    if not any(len(panel.asked) for panel in subject.panels):
        raise BuildError(
            f"model {subject.model.name} has seen every picture of {root}, or a near-duplicate of it: "
            "evaluate it on other pictures, or train it with --folds"
        )


def _models(bench: Bench, root: Path, costs: dict[str, Cost]) -> list[dict[str, Any]]:
    """Return accuracy, on its own test part, and cost of every model of the home that was trained on this library.

    `costs` holds what was measured already, by space: models that share a backbone share its cost.
    """
    found = []
    for row in bench.catalogue.models():
        try:
            model = bench.model(row.name)
        except SokkuriError as error:
            say(f"left out of the comparison: {error}")
            continue
        training, metrics = model.manifest["training"], model.manifest["metrics"]
        if training["library"] != str(root.resolve()):
            continue
        if row.space not in costs:
            costs[row.space] = measure_cost(model, TorchBackbone.load(model, bench.settings.threads))
        measured = {space: metrics[space] for space in ("type", "show", "character")}
        cost = {name: getattr(costs[row.space], name) for name in ("single_ms", "bulk_per_second", "weights_mb")}
        found.append(
            {"name": row.name, "backbone": row.backbone, "recipe": training["recipe"], "part": metrics["part"]}
            | measured
            | {"cost": cost}
        )
    return found
