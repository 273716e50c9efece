"""The findings of an evaluation: every figure, as a value and as JSON. Not here: tables and plots (`evaluate`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.evaluation.calibration import certainties
from indexer.evaluation.cost import Cost
from indexer.evaluation.intervals import METHOD, Interval, mean_interval
from indexer.evaluation.rehearsal import KINDS, Answers, Questions, ask, parent_of, rehearse, together
from indexer.evaluation.retrieval import Components, Items, Retrieval, retrieve
from indexer.evaluation.scores import (
    Classification,
    LabelRow,
    Reliability,
    RiskCoverage,
    auroc,
    class_table,
    classify,
    confusion,
    reliability,
    risk_coverage,
)
from indexer.evaluation.subject import Subject
from indexer.samples import Part
from indexer.split import Vectors
from indexer.training.heads import HeadOptions, train_heads
from recommender.calibration import LEVELS, Calibration
from recommender.heads import SPACES, Heads, Probabilities
from recommender.labels import Hierarchy
from recommender.types import Matrix

DIMENSIONS = (64, 128, 256, 512)
"""What embeddings are reduced to by principal components, to see what an index may leave out."""


@dataclass(frozen=True, slots=True)
class SpaceFindings:
    """How one label space is told. `rows` and `right` belong to the tested entries whose label is known."""

    labels: tuple[str, ...]
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    scores: Classification
    table: tuple[LabelRow, ...]
    confusion: NDArray[np.int64]
    before: Reliability
    after: Reliability
    risk: RiskCoverage

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the best label is the true one: (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.truth)

    @property
    def untested(self) -> tuple[str, ...]:
        """The labels of which there is no tested picture."""
        return tuple(row.label for row in self.table if not row.support)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            **self.scores.to_json(),
            "calibration_error_before": self.before.error,
            "calibration_error": self.after.error,
            "calibration_error_if_perfect": self.after.error_if_perfect,
            "area_under_risk_coverage": self.risk.area,
            "untested": list(self.untested),
            "coverage_at_95": self.risk.coverage_at(0.95),
            "by_label": {row.label: row.to_json() for row in self.table},
        }


def tell_labels(subject: Subject) -> dict[str, SpaceFindings]:
    """Measure each label space on the tested entries."""
    rows, after = _gathered(subject, calibrated=True)
    _, before = _gathered(subject, calibrated=False)
    hierarchy = subject.model.hierarchy
    positions = hierarchy.character_space.positions
    characters = np.array([positions[subject.library.entries[row].character.label] for row in rows], dtype=np.int64)
    found = {}
    for space, labels in zip(SPACES, hierarchy.spaces, strict=True):
        truth = parent_of(hierarchy, space)[characters]
        known = truth >= 0
        found[space] = _space(
            labels.labels,
            rows[known],
            truth[known],
            (getattr(before, space)[known], getattr(after, space)[known]),
            subject.group[rows[known]],
        )
    return found


def _gathered(subject: Subject, *, calibrated: bool) -> tuple[NDArray[np.int64], Probabilities]:
    """Return the tested entries in order, and what was said about them."""
    said = list(subject.said(calibrated=calibrated))
    rows = np.concatenate([panel.asked for panel, _ in said])
    order = np.argsort(rows)
    spaces = (np.concatenate([getattr(one, space) for _, one in said])[order] for space in Probabilities.__slots__)
    return rows[order], Probabilities(*spaces)


def _space(
    labels: tuple[str, ...],
    rows: NDArray[np.int64],
    truth: NDArray[np.int64],
    probabilities: tuple[NDArray[np.float64], NDArray[np.float64]],
    groups: NDArray[np.int64],
) -> SpaceFindings:
    """Measure one label space, given the probabilities before and after calibration."""
    before, after = probabilities
    best = after.argmax(axis=1)
    confidence, right = after.max(axis=1, initial=0.0), best == truth
    return SpaceFindings(
        labels=labels,
        rows=rows,
        truth=truth,
        probabilities=after,
        scores=classify(after, truth, groups),
        table=tuple(class_table(best, truth, labels)),
        confusion=confusion(truth, best, len(labels)),
        before=reliability(before.max(axis=1, initial=0.0), before.argmax(axis=1) == truth),
        after=reliability(confidence, right),
        risk=risk_coverage(confidence, right),
    )


@dataclass(frozen=True, slots=True)
class VerdictFindings:
    """What is said aloud. `said[kind][level]` counts verdicts, `right[kind][level]` those that are right.

    `source` tells where the unknown characters come from. `certainty[level]` is one for each answer.
    """

    answers: Answers
    certainty: dict[str, NDArray[np.float64]]
    said: dict[str, dict[str, int]]
    right: dict[str, dict[str, int]]
    auroc: dict[str, dict[str, Interval | None]]
    source: str

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "source": self.source,
            "kinds": {
                kind: {"pictures": sum(self.said[kind].values()), "said": self.said[kind], "right": self.right[kind]}
                for kind in self.said
            },
            "auroc": {
                level: {kind: one and one.to_json() for kind, one in kinds.items()}
                for level, kinds in self.auroc.items()
            },
        }


def judge_verdicts(subject: Subject, nobody: tuple[Part, Part]) -> VerdictFindings:
    """Let the model speak about pictures of known and unknown characters, and of nobody.

    Characters that were held out, or are new in the library, are unknown to the model itself; where there are none,
    it is rehearsed on the test part with heads that were trained without them.
    """
    everybody = subject.everybody
    answers = [
        ask(panel.heads, subject.embedded(panel.seen), _questions(subject, panel.asked, 0), everybody)
        for panel in subject.panels
    ]
    catalogue = subject.embedded(np.flatnonzero(subject.trained))
    model = subject.model.heads()
    strangers = np.flatnonzero(subject.strangers)
    if len(strangers):
        shows = {show.slug for show in subject.model.hierarchy.shows}
        foreign = np.array([subject.library.entries[row].character.show.slug not in shows for row in strangers])
        for kind, rows in ((1, strangers[~foreign]), (2, strangers[foreign])):
            if len(rows):
                answers.append(ask(model, catalogue, _questions(subject, rows, kind), everybody))
        source = "characters of the library that the model does not know"
    else:
        options = HeadOptions(**subject.model.manifest["training"]["options"])
        options = replace(options, epochs=max(1, int(subject.model.manifest["training"]["final_epochs"])))

        def train(hierarchy: Hierarchy, part: Part) -> Heads:
            return train_heads(hierarchy, part, None, options).heads.calibrated_like(model)

        answers += rehearse(subject.samples, train, "test")
        source = (
            "the test pictures, asked of heads that were trained without their characters, and again of heads that "
            "were trained without their shows"
        )
    read, embedded = nobody
    answers.append(ask(model, catalogue, Questions(read, embedded, KINDS.index("nothing")), everybody))
    return _verdicts(together(answers), subject.model.calibration, source)


def _questions(subject: Subject, rows: NDArray[np.int64], kind: int) -> Questions:
    return Questions(subject.read(rows), subject.embedded(rows), kind)


def _verdicts(answers: Answers, calibration: Calibration, source: str) -> VerdictFindings:
    """Count what is said and what of it is right, kind by kind and level by level."""
    certainty = {level: certainties(calibration.certainty[level], answers, level) for level in LEVELS}
    spoken = np.full(len(answers), "unknown", dtype=object)
    correct = np.zeros(len(answers), dtype=bool)
    for level in reversed(LEVELS):
        aloud = certainty[level] >= calibration.certainty[level].threshold
        spoken[aloud] = level
        correct[aloud] = answers.right[level][aloud]
    said, right, scores = {}, {}, {}
    for number, kind in enumerate(KINDS):
        mine = answers.kind == number
        said[kind] = {level: int((spoken[mine] == level).sum()) for level in (*LEVELS, "unknown")}
        right[kind] = {level: int((correct & mine & (spoken == level)).sum()) for level in LEVELS}
    for level in LEVELS:
        known = certainty[level][answers.kind == 0]
        scores[level] = {
            kind: auroc(known, certainty[level][answers.kind == number]) for number, kind in enumerate(KINDS) if number
        }
    return VerdictFindings(answers, certainty, said, right, scores, source)


@dataclass(frozen=True, slots=True)
class RetrievalFindings:
    """Whether pictures find their like: of the same character, and of other characters of the same show.

    `asking` and `asked` say in words what the queries and the gallery are, `asking_reduced` and `asked_reduced` the
    same of `by_dimension`.
    """

    same_character: Retrieval
    cross_role: Retrieval
    by_dimension: tuple[tuple[int, bool, Retrieval], ...]
    asking: str
    asked: str
    asking_reduced: str
    asked_reduced: str

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "same_character": self.same_character.to_json(),
            "cross_role": self.cross_role.to_json(),
            "queries": self.asking,
            "gallery": self.asked,
            "components_queries": self.asking_reduced,
            "components_gallery": self.asked_reduced,
            "components": [
                {"dimension": dimension, "whitened": whitened, **found.to_json()}
                for dimension, whitened, found in self.by_dimension
            ],
        }


def find_like(subject: Subject) -> RetrievalFindings:
    """Let tested pictures, and strangers, look for their like among all pictures of the library.

    With a frozen backbone nobody was trained to be found, so that every picture may look. Components are fitted to
    what the model was trained on, and tried with what it was not.
    """
    frozen = subject.model.manifest["training"]["unfreeze"] == "none"
    everyone = np.arange(len(subject.characters))
    asking = everyone if frozen else np.flatnonzero(subject.tested | subject.strangers)
    one, other = (_items(subject, rows, subject.vectors) for rows in (asking, everyone))
    trained, tested = np.flatnonzero(subject.part == 0), np.flatnonzero(subject.tested | subject.strangers)
    unseen = "pictures that the model was not trained on"
    asking_reduced = unseen
    if len(tested) == len(everyone):  # with folds
        tested, asking_reduced = np.flatnonzero(subject.part != 0), "pictures that are not of the training part"
    by_dimension = []
    if len(trained) and len(tested):
        embeddings = subject.embeddings
        components = Components.fit(_Chosen(embeddings, trained))
        gallery = np.setdiff1d(everyone, tested)
        whole = retrieve(_items(subject, tested, embeddings), _items(subject, gallery, embeddings))
        by_dimension.append((int(embeddings.shape[1]), False, whole))
        for dimension in (one for one in DIMENSIONS if one <= components.available):
            for whiten in (False, True):
                projected = _projected(embeddings, components, dimension, whiten=whiten)
                found = retrieve(_items(subject, tested, projected), _items(subject, gallery, projected))
                by_dimension.append((dimension, whiten, found))
    crossed = retrieve(_across(subject, one), _across(subject, other))
    return RetrievalFindings(
        same_character=retrieve(one, other),
        cross_role=crossed,
        by_dimension=tuple(by_dimension),
        asking=f"all {len(asking)} pictures of the library" if frozen else f"the {len(asking)} {unseen}",
        asked=f"all {len(everyone)} pictures of the library",
        asking_reduced=f"the {len(tested)} {asking_reduced}",
        asked_reduced=f"the other {len(everyone) - len(tested)} pictures of the library",
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Some rows of vectors, read when they are asked for."""

    vectors: Vectors
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), int(self.vectors.shape[1])

    def __getitem__(self, index: slice | NDArray[np.int64], /) -> Matrix:
        return self.vectors[self.rows[index]]


def _projected(vectors: Vectors, components: Components, dimension: int, *, whiten: bool) -> Matrix:
    """Return all vectors reduced to `dimension` numbers: a fraction of what they are, so held in memory."""
    starts = range(0, len(vectors), 1024)
    blocks = (vectors[slice(start, min(start + 1024, len(vectors)))] for start in starts)
    return np.concatenate([components.project(block, dimension, whiten=whiten) for block in blocks])


def _items(subject: Subject, rows: NDArray[np.int64], vectors: Vectors) -> Items:
    """Return entries that look for their character."""
    return Items(_Chosen(vectors, rows), subject.characters[rows], np.full(len(rows), -1), subject.group[rows])


def _across(subject: Subject, items: Items) -> Items:
    """Let the same entries look for other characters of their show."""
    return replace(items, label=subject.everybody.show_of[items.label], apart=items.label)


def withstand(
    subject: Subject, altered: Mapping[str, Vectors], rows: NDArray[np.int64]
) -> dict[str, dict[str, Interval | None]]:
    """Return the accuracy under each alteration, and without any ("as it is"), of characters and of shows.

    `rows` are entries of which `altered` holds what the heads read, in their order.
    """
    hierarchy = subject.model.hierarchy
    positions = hierarchy.character_space.positions
    characters = np.array([positions[subject.library.entries[row].character.label] for row in rows], dtype=np.int64)
    found: dict[str, dict[str, Interval | None]] = {}
    for name, inputs in {"as it is": _Chosen(subject.inputs, rows), **altered}.items():
        right = {space: np.zeros(len(rows)) for space in ("character", "show")}
        for panel in subject.panels:
            mine = np.flatnonzero(np.isin(rows, panel.asked))
            if len(mine):
                said = panel.heads.probabilities(inputs[mine])
                for space, hits in right.items():
                    truth = parent_of(hierarchy, space)[characters[mine]]
                    hits[mine] = getattr(said, space).argmax(axis=1) == truth
        found[name] = {space: mean_interval(hits, subject.group[rows]) for space, hits in right.items()}
    return found


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was found about a model. `altered` is of `altered_pictures` tested ones.

    `models` are the accuracies of all models that were trained on the library, as their folders tell them.
    """

    labels: Mapping[str, SpaceFindings]
    verdicts: VerdictFindings
    likes: RetrievalFindings
    altered: Mapping[str, Mapping[str, Interval | None]]
    altered_pictures: int
    cost: Cost
    models: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "intervals": METHOD,
            "labels": {space: found.to_json() for space, found in self.labels.items()},
            "verdict": self.verdicts.to_json(),
            "retrieval": self.likes.to_json(),
            "robustness": {
                name: {space: one and one.to_json() for space, one in spaces.items()}
                for name, spaces in self.altered.items()
            }
            | {"pictures": self.altered_pictures},
            "cost": self.cost.to_json(),
            "models": list(self.models),
        }
