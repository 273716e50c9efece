"""The sections of an evaluation's report: findings as tables and plots, in the order in which people ask.

Not here: how a figure comes about (`findings`), how it is drawn (`plots`) and written (`report`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexer.evaluation import confusion_maps, plots
from indexer.evaluation.cost import Cost
from indexer.evaluation.findings import Findings, SpaceFindings, VerdictFindings
from indexer.evaluation.grids import pictures_section
from indexer.evaluation.intervals import METHOD, Ends, Interval, ends_of, share_interval
from indexer.evaluation.likes import likes_section
from indexer.evaluation.metrics import untested_told
from indexer.evaluation.rehearsal import shows_told
from indexer.evaluation.report import Plot, Report, Section, Table
from indexer.evaluation.scores import Reliability, normalised
from indexer.evaluation.subject import Subject
from indexer.training.history import CSV, CURVES
from recommender.calibration import LEVELS
from recommender.images import Limits

BRANCHING = 3
"""Fewer labels make no tree."""


def compose(subject: Subject, findings: Findings, limits: Limits) -> Report:
    """Put the findings into the order in which people ask. `limits` are those of the pictures that are shown."""
    return Report(
        title=f"Model {subject.model.name}",
        notices=_notices(subject),
        summary=_summary(subject, findings.labels, findings.verdicts),
        sections=(
            _labels_section(findings.labels, subject),
            _doubt_section(findings.labels, findings.verdicts),
            likes_section(findings.likes),
            _robustness_section(findings.altered, findings.altered_pictures),
            pictures_section(subject, findings.labels["character"], limits),
            _training_section(subject),
            _models_section(findings.models, findings.cost),
        ),
    )


def _notices(subject: Subject) -> tuple[str, ...]:
    """Return what has to be said beside every figure."""
    notices = [subject.model.notice] if subject.model.notice else []
    if told := shows_told(len(subject.model.hierarchy.shows)):
        notices.append(_sentence(told))
    if (subject.fold >= 0).any():
        folds = subject.model.manifest["training"]["folds"]
        notices.append(
            f"Each picture was judged by heads that were trained without it and its near-duplicates ({folds} folds)."
        )
    return tuple(notices)


def _summary(
    subject: Subject, labels: Mapping[str, SpaceFindings], verdicts: VerdictFindings
) -> tuple[tuple[str, str], ...]:
    """Return what a reader wants to know first."""
    training = subject.model.manifest["training"]
    facts = [
        ("backbone", subject.model.space.backbone),
        ("recipe", f"{training['recipe']}, unfrozen: {training['unfreeze']}, random views: {training['views']}"),
        ("tested pictures", str(len(labels["character"].rows))),
    ]
    facts += [(f"{space} right", _figure(labels[space].scores.top1)) for space in ("type", "show", "character")]
    facts.append(
        (
            f"said aloud of {sum(verdicts.said['known'].values())} pictures of known characters",
            _spoken(verdicts.said["known"], verdicts.right["known"]),
        )
    )
    return tuple(facts)


def _spoken(said: Mapping[str, int], right: Mapping[str, int]) -> str:
    """Return how many verdicts name what, and how many of these are right, the most specific level first.

    A verdict that names a show says nothing of the character: one figure for all levels would be read as if it did.
    """
    levels = [f"{level} {said[level]} ({right[level]} right)" for level in LEVELS if said[level]]
    return ", ".join([*levels, f"not sure {said['unknown']}"])


def _figure(one: Interval | None) -> str:
    """Return a figure with its interval."""
    return "–" if one is None else f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def _labels_section(labels: Mapping[str, SpaceFindings], subject: Subject) -> Section:
    """Show how often labels are right, which are mistaken for which, and how each one fares."""
    rows = []
    for space, found in labels.items():
        for measure in ("top1", "top5", "precision", "recall", "f1"):
            one: Interval | None = getattr(found.scores, measure)
            if one:
                rows.append((space, measure, *ends_of(one), found.scores.pictures, found.scores.labels))
    parts: list[Plot | Table] = [
        Table(
            "labels",
            "Accuracy, and means over labels",
            ("label space", "measure", "value", "from", "to", "pictures", "labels"),
            tuple(rows),
            f"95 % intervals: {METHOD}; so a few pictures that are all right are no certainty. Precision, recall and "
            "F1 are means over the labels that occur; the precision of a label that was never the answer counts as 0. "
            "The other intervals of this page come about in the same way, but for those in the chart of all models, "
            "where pictures are taken one by one (Clopper and Pearson).",
        )
    ]
    for space, found in labels.items():
        shares = normalised(found.confusion)
        breaks: tuple[int, ...] = ()
        if space == "character":
            shows = subject.model.hierarchy.show_of
            breaks = tuple((np.flatnonzero(np.diff(shows)) + 1).tolist())
        parts.append(
            Plot(
                f"confusion_{space}",
                f"Confusion, {space}",
                confusion_maps.heat_map(shares, found.labels, f"What pictures of a {space} are taken for", breaks),
                f"Heat map: each row is a true {space}, each column what its pictures were taken for.",
            )
        )
        if len(found.labels) >= BRANCHING:
            parts.append(
                Plot(
                    f"clusters_{space}",
                    f"Confusion, {space}, ordered by likeness",
                    confusion_maps.cluster_map(shares, found.labels, f"Which {space}s are mistaken for one another"),
                    f"The same heat map with {space}s that are mistaken for one another side by side, and their tree.",
                )
            )
    parts += [
        Table(
            f"by_{space}",
            f"Each {space}",
            ("label", "precision", "recall", "F1", "pictures"),
            tuple((row.label, row.precision, row.recall, row.f1, row.support) for row in found.table),
            _of_each(found),
        )
        for space, found in labels.items()
    ]
    lead = "All figures are of pictures that the model has never seen, nor a near-duplicate of them."
    return Section("How often it is right", lead, tuple(parts))


def _of_each(found: SpaceFindings) -> str:
    """Say what a reader of a table of labels may wonder about: what was not tested, and what a dash means."""
    told = [_sentence(untested_told(found.untested))]
    never = [row for row in found.table if row.support and row.precision is None]
    if never:
        told.append(
            f"Of the labels that occur, {len(never)} {'is' if len(never) == 1 else 'are'} the answer to no picture: "
            "such a label has no precision (–), and counts as 0 in the mean."
        )
    return " ".join(one for one in told if one)


def _sentence(line: str) -> str:
    """Return a line as a sentence of its own."""
    return f"{line[:1].upper()}{line[1:]}." if line else ""


def _doubt_section(labels: Mapping[str, SpaceFindings], verdicts: VerdictFindings) -> Section:
    """Show what the model's certainty is worth, and what it says about strangers."""
    lead = (
        "Whether the model's probabilities hold, what it says aloud and when it rather says that it is not sure, and "
        "how well it tells strangers from those whom it knows."
    )
    return Section("How sure it may be", lead, (*_calibration(labels), *_verdicts(verdicts), *_strangers(verdicts)))


def _calibration(labels: Mapping[str, SpaceFindings]) -> Iterator[Plot | Table]:
    """Yield what the probabilities of labels are worth."""
    yield Table(
        "calibration",
        "Expected calibration error",
        ("label space", "before", "after", "if perfect", "pictures"),
        tuple(
            (space, one.before.error, one.after.error, one.after.error_if_perfect, one.scores.pictures)
            for space, one in labels.items()
        ),
        "“If perfect” is what chance alone would show of a perfectly calibrated model on as many pictures.",
    )
    for space, one in labels.items():
        yield Plot(
            f"reliability_{space}",
            f"Reliability, {space}",
            plots.reliability_diagram(
                _bins(one.before),
                _bins(one.after),
                f"Is the {space} right as often as the model says?",
                (one.before.error or 0.0, one.after.error or 0.0),
            ),
            "Accuracy against confidence, before and after calibration.",
        )
    yield Plot(
        "risk_coverage",
        "Risk and coverage",
        plots.risk_coverage_curves({space: (one.risk.coverage, one.risk.risk) for space, one in labels.items()}),
        "How many of the answers are wrong, when only the most certain ones are given.",
    )


def _verdicts(verdicts: VerdictFindings) -> Iterator[Table]:
    """Yield what is said aloud about pictures of each kind."""
    yield Table(
        "verdicts",
        "What is said aloud",
        ("pictures of", "pictures", *(column for level in LEVELS for column in (level, f"{level} right")), "not sure"),
        tuple(
            (
                kind,
                sum(said.values()),
                *(count for level in LEVELS for count in (said[level], verdicts.right[kind][level])),
                said["unknown"],
            )
            for kind, said in verdicts.said.items()
            if sum(said.values())
        ),
        "Each picture counts once, at the most specific level that the model is sure of: where it names a show, it "
        f"does not name the character. Unknown characters: {verdicts.source}.",
    )


def _strangers(verdicts: VerdictFindings) -> Iterator[Plot | Table]:
    """Yield how well strangers are told from those that the model knows."""
    yield Table(
        "open_set",
        "Telling strangers (AUROC)",
        ("level", "known against", "value", "from", "to"),
        tuple(
            (level, kind, *ends_of(one))
            for level, kinds in verdicts.auroc.items()
            for kind, one in kinds.items()
            if one is not None
        ),
        "The chance that a picture of a known character gets the higher certainty of the two.",
    )
    known, unknown = verdicts.answers.kind == 0, np.isin(verdicts.answers.kind, (1, 2))
    if not unknown.any():
        return
    certainty = verdicts.certainty["character"]
    yield Plot(
        "open_set_scores",
        "Certainty of known and unknown characters",
        plots.histogram_pair(
            certainty[known], certainty[unknown], "How sure the model is of its best character", "certainty"
        ),
        "Histograms of the certainty for pictures of known and of unknown characters.",
    )


def _bins(one: Reliability) -> list[tuple[float, float, int]]:
    """Return the filled bins of a reliability."""
    rows = zip(one.confidence.tolist(), one.accuracy.tolist(), one.count.tolist(), strict=True)
    return [row for row in rows if row[2]]


def _robustness_section(altered: Mapping[str, Mapping[str, Interval | None]], pictures: int) -> Section:
    """Show what alterations cost."""
    rows = [(name, space, *ends_of(one)) for name, spaces in altered.items() for space, one in spaces.items()]
    series = {space: [ends_of(altered[name][space]) for name in altered] for space in ("character", "show")}
    return Section(
        "What it does not mind",
        f"Accuracy on {pictures} tested pictures, altered: mirrored, cut to where the head usually is, grey, saved as "
        "JPEG of quality 30, blurred, at half the resolution that the network looks at.",
        (
            Plot(
                "robustness",
                "Accuracy under alterations",
                plots.grouped_bars(list(altered), series, "Accuracy under alterations", "accuracy"),
                "Bars of accuracy for each alteration, for characters and for shows.",
            ),
            Table(
                "alterations", "The same in figures", ("alteration", "label space", "value", "from", "to"), tuple(rows)
            ),
        ),
    )


def _training_section(subject: Subject) -> Section:
    """Show how the training went."""
    path, training = subject.model.path, subject.model.manifest["training"]
    split = training["split"]
    rows = [(name, count) for name, count in split["pictures"].items()]
    rows += [
        ("near-duplicate groups", split["groups"]),
        ("near-duplicates across a split by picture", split["leaks_of_naive_split"]),
    ]
    parts: list[Plot | Table] = [Table("split", "The split", ("what", "pictures"), tuple(rows))]
    for name, title in ((CURVES, "Learning curves of the heads"), (f"backbone_{CURVES}", "… and of the backbone")):
        if (path / name).exists():
            alt = "Losses and validation accuracy, epoch by epoch."
            parts.append(Plot(Path(name).stem, title, (path / name).read_bytes(), alt))
    if (path / CSV).exists():
        table = list(csv.reader(io.StringIO((path / CSV).read_text(encoding="utf-8"))))
        parts.append(Table("history", "Every epoch", tuple(table[0]), tuple(_typed(row) for row in table[1:])))
    return Section("How it was trained", "Near-duplicates went to one part together.", tuple(parts))


def _typed(row: Sequence[str]) -> tuple[object, ...]:
    """Return a line of a CSV file with its numbers as numbers."""
    cells: list[object] = []
    for text in row:
        try:
            cells.append(int(text) if text.isdigit() else float(text))
        except ValueError:
            cells.append(text or None)
    return tuple(cells)


def _models_section(everyone: Sequence[Mapping[str, Any]], cost: Cost) -> Section:
    """Show all models beside one another, and what this one costs."""
    intervals: dict[str, list[Ends]] = {
        space: [_share_of(model[space]) for model in everyone] for space in ("type", "show", "character")
    }
    rows = [
        (
            model["name"],
            model["backbone"],
            model["recipe"],
            *(model[space]["accuracy"] for space in ("type", "show", "character")),
            model["character"]["pictures"],
            *(model["cost"][name] for name in ("single_ms", "bulk_per_second", "weights_mb")),
        )
        for model in everyone
    ]
    return Section(
        "All models, and what this one costs",
        "Each model on pictures that it was not trained on. Whether a difference may be luck tells the command "
        "sokkuri evaluate --compare A B.",
        (
            Plot(
                "models",
                "All models of this library",
                plots.grouped_bars([model["name"] for model in everyone], intervals, "All models", "accuracy"),
                "Bars of accuracy for each model and label space.",
            ),
            Table(
                "models_table",
                "Accuracy, speed and size",
                (
                    "model",
                    "backbone",
                    "recipe",
                    "type",
                    "show",
                    "character",
                    "pictures",
                    "ms a picture",
                    "pictures/s",
                    "weights, MB",
                ),
                tuple(rows),
            ),
            Table(
                "cost",
                "Speed and memory",
                ("what", "value"),
                (
                    ("one picture, milliseconds (median)", cost.single_ms),
                    ("in bulk, pictures a second", cost.bulk_per_second),
                    ("weights, megabytes", cost.weights_mb),
                    ("this process at its largest, megabytes", cost.resident_mb),
                ),
                "The forward pass of the backbone with its preprocessing, on this machine.",
            ),
        ),
    )


def _share_of(row: Mapping[str, Any]) -> Ends:
    """Return an accuracy with its interval."""
    return ends_of(share_interval(round((row["accuracy"] or 0.0) * row["pictures"]), row["pictures"]))
