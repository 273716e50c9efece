"""Choosing a projection: by how well validation pictures find their like among training pictures, before and after.

Principal components are fitted to training pictures alone. Tried are a few dimensions in the three KINDS; taken is the
smallest that finds as much as the whole embedding does, within one of the TOLERANCES: pictures of the same character,
and of other characters of the same show. What that is worth is then measured on the test part. Not here: the formulas
(`indexer.evaluation.retrieval`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from indexer.evaluation.retrieval import Components, Items, Retrieval, Rows, retrieve
from indexer.samples import Part, Samples
from recommender.embeddings import unit_length
from recommender.errors import BuildError
from recommender.projection import Projection
from recommender.types import Matrix, Vector

DIMENSIONS = (64, 128, 256, 512)
"""What is tried, where it at least halves the embedding."""
TOLERANCES = (0.01, 0.02)
"""How much precision@1 and mean average precision may lose, each, for characters and for shows: the second where no
dimension keeps to the first. Of 480 pictures each is one or two standard errors of a difference in precision@1."""
FEWEST = 1000
"""Fewer training pictures are not projected: their index is small, and their components say little about others."""
FEWEST_ASKED = 100
"""Fewer validation pictures cannot tell such losses from luck."""
FITTED = 10_000
"""The most training pictures that components are fitted to: reading more would take longer and change little."""
ASKED, FOUND = 1000, 10_000
"""The most pictures that are asked about, and training pictures that they are compared with."""

Kind = Literal["centred", "whitened", "uncentred"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What is done to embeddings: they are projected less their mean; so, and all components made to vary alike; or as they
are, to the first components and their mean, so that cosines hardly change."""


@dataclass(frozen=True, slots=True)
class Found:
    """How well like was found, with `dimension` numbers of an embedding; `kind` is None for all of them."""

    dimension: int
    kind: Kind | None
    character: Retrieval
    show: Retrieval

    def to_json(self) -> dict[str, Any]:
        """Return the main figures as a JSON object: of the same character, and of the same show by other characters."""
        told: dict[str, Any] = {"dimension": self.dimension, "kind": self.kind}
        for name, found in (("character", self.character), ("show", self.show)):
            first, average = found.precision_at_1, found.mean_average_precision
            told[name] = {
                "queries": found.queries,
                "precision_at_1": first and first.value,
                "mean_average_precision": average and average.value,
            }
        return told

    @property
    def figures(self) -> NDArray[np.float64]:
        """Precision@1 and mean average precision, of characters and of shows; nan where nobody could be asked."""
        intervals = [
            interval
            for found in (self.character, self.show)
            for interval in (found.precision_at_1, found.mean_average_precision)
        ]
        return np.array([np.nan if one is None else one.value for one in intervals])

    def lost(self, whole: Found) -> float:
        """Return how far that figure which lost most is below the whole embedding's."""
        return float(np.nanmax(whole.figures - self.figures, initial=0.0))


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen and why. Without a projection `reason` says why there is none; nothing may have been tried.

    Of `tried`, on validation pictures, the first is the whole embedding; `tested` are it and what was chosen, on the
    test part, in that order.
    """

    projection: Projection | None
    reason: str
    kind: Kind | None = None
    tried: tuple[Found, ...] = ()
    tested: tuple[Found, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what model.json keeps."""
        chosen = self.projection and {"dimension": self.projection.dimension, "kind": self.kind}
        return {
            "chosen": chosen,
            "reason": self.reason,
            "tried": [found.to_json() for found in self.tried],
            "tested": [found.to_json() for found in self.tested],
        }


def projection_told(choice: dict[str, Any]) -> str:
    """Return one line for people about what `Choice.to_json` says."""
    if not choice["chosen"]:
        return f"embeddings are stored as they are: {choice['reason']}"
    chosen, (whole, *tried) = choice["chosen"], choice["tried"]
    found = next(one for one in tried if {name: one[name] for name in chosen} == chosen)
    if choice["tested"]:
        whole, found = choice["tested"]
    figures = [
        f"same {what}: precision@1 {_change(one, other, 'precision_at_1')}, "
        f"mAP {_change(one, other, 'mean_average_precision')}, {one['queries']} queries"
        for what in ("character", "show")
        for one, other in [(whole[what], found[what])]
    ]
    length = f"{chosen['dimension']} of {whole['dimension']} numbers, {chosen['kind']}"
    return f"embeddings are stored in {length} ({'; '.join(figures)})"


def _change(before: dict[str, Any], after: dict[str, Any], figure: str) -> str:
    """Return a figure before and after."""
    return "-" if before[figure] is None else f"{before[figure]:.3f} to {after[figure]:.3f}"


def wanted_dimension(option: str) -> int | None:
    """Return the dimension that `--project` asks for: None for auto, 0 for none. Raises BuildError."""
    if option in ("auto", "none"):
        return None if option == "auto" else 0
    if not option.isdecimal() or int(option) < 1:
        raise BuildError(f"--project takes auto, none, or a number of dimensions, not {option!r}")
    return int(option)


def choose_projection(
    samples: Samples, option: str, told: Callable[[int, int], None] = lambda _done, _total: None
) -> Choice:
    """Choose whether, and to how many numbers, embeddings are projected. Raises BuildError for what cannot be done.

    `told` hears how many projections have been tried, and how many there are.
    """
    wanted = wanted_dimension(option)
    training, validation = samples.part("train"), samples.part("validation")
    dimension = training.dimension
    if wanted == 0:
        return Choice(None, "not asked for")
    sizes = [size for size in DIMENSIONS if 2 * size <= dimension] if wanted is None else [wanted]
    reasons = {
        f"{len(training)} training pictures are fewer than {FEWEST}": len(training) < FEWEST,
        f"{len(validation)} validation pictures are fewer than {FEWEST_ASKED}": len(validation) < FEWEST_ASKED,
        f"embeddings of {dimension} numbers are short": not sizes,
    }
    if wanted is None and any(reasons.values()):
        return Choice(None, next(reason for reason, holds in reasons.items() if holds))
    fitted = training.at_most(FITTED)
    components = Components.fit(_Chosen(fitted), max(sizes))
    if wanted and wanted > components.available:
        raise BuildError(
            f"--project {wanted} is too much: {len(fitted)} training pictures of {dimension} numbers have "
            f"{components.available} principal components"
        )
    sizes = [one for one in sizes if one <= components.available]
    if not sizes:
        return Choice(None, "embeddings hardly differ")
    choice = _chosen(_Trial.of(samples, components, validation), sizes, wanted, told)
    test = samples.part("test")
    if not choice.kind or not choice.projection or not len(test):
        return choice
    trial = _Trial.of(samples, components, test)
    return replace(choice, tested=(trial.whole(), trial.at(choice.projection.dimension, choice.kind)))


def _chosen(trial: _Trial, sizes: Sequence[int], wanted: int | None, told: Callable[[int, int], None]) -> Choice:
    """Try all, and take the smallest that loses little; where one was asked for, that, whatever it loses."""
    whole = trial.whole()
    tried: list[Found] = []
    for size, kind in product(sizes, KINDS):
        told(len(tried), len(sizes) * len(KINDS))
        tried.append(trial.at(size, kind))
    tolerated = (np.inf,) if wanted else TOLERANCES
    good = next((some for most in tolerated if (some := [one for one in tried if one.lost(whole) <= most])), [])
    if not good:
        reason = f"each of {', '.join(map(str, sizes))} dimensions loses too much"
        return Choice(None, reason, tried=(whole, *tried))
    least = min(found.dimension for found in good)
    best = max((found for found in good if found.dimension == least), key=lambda found: float(np.nansum(found.figures)))
    lost = next(most for most in tolerated if best.lost(whole) <= most)
    reason = "asked for" if wanted else f"the fewest dimensions that lose no more than {lost:g} of any figure"
    return Choice(trial.projection(best), reason, best.kind, (whole, *tried))


@dataclass(frozen=True, slots=True)
class _Axes:
    """All directions of a kind, those that count most first, and what embeddings are shifted by before."""

    mean: Vector
    directions: Matrix

    @classmethod
    def of(cls, components: Components, kind: Kind) -> _Axes:
        """Take the components as they are, scaled, or beside the direction of the mean."""
        mean, directions = components.mean, components.directions
        if kind == "whitened":
            directions = directions / components.spread(components.available)
        elif kind == "uncentred":
            # Of each number of columns the first ones span the mean and the first components.
            directions = np.linalg.qr(np.column_stack([mean, directions[:, :-1]]))[0]
            mean = np.zeros_like(mean)
        return cls(mean.astype(np.float32), directions.astype(np.float32))

    def projection(self, dimension: int, kind: Kind) -> Projection:
        """Return the projection to the first of them."""
        return Projection(self.mean, np.ascontiguousarray(self.directions[:, :dimension]), kind == "whitened")


@dataclass(frozen=True, slots=True)
class _Trial:
    """Pictures that are not for training look for their like among training pictures.

    `scores[kind]` are those of the former, then of the training pictures, along the axes of that kind.
    """

    samples: Samples
    asked: Part
    found: Part
    axes: Mapping[Kind, _Axes]
    scores: Mapping[Kind, Matrix]

    @classmethod
    def of(cls, samples: Samples, components: Components, asked: Part) -> _Trial:
        """Read each picture once."""
        asked, found = asked.at_most(ASKED), samples.part("train").at_most(FOUND)
        axes = {kind: _Axes.of(components, kind) for kind in KINDS}
        scores = {kind: np.empty((len(asked) + len(found), components.available), np.float32) for kind in KINDS}
        for first, part in ((0, asked), (len(asked), found)):
            for place, block in part.blocks():
                for kind, one in axes.items():
                    scores[kind][first + place.start : first + place.stop] = (block - one.mean) @ one.directions
        return cls(samples, asked, found, axes, scores)

    def whole(self) -> Found:
        """Let them look with the whole embedding."""
        return self._found(self.asked.dimension, None, _Chosen(self.asked), _Chosen(self.found))

    def at(self, dimension: int, kind: Kind) -> Found:
        """Let them look with some numbers."""
        vectors = unit_length(self.scores[kind][:, :dimension])
        return self._found(dimension, kind, vectors[: len(self.asked)], vectors[len(self.asked) :])

    def projection(self, found: Found) -> Projection:
        """Return the projection that something was found with."""
        kind = found.kind or KINDS[0]
        return self.axes[kind].projection(found.dimension, kind)

    def _found(self, dimension: int, kind: Kind | None, asked: Rows, found: Rows) -> Found:
        queries, gallery = self._items(self.asked, asked), self._items(self.found, found)
        shows = [
            Items(items.vectors, self.samples.hierarchy.show_of[items.label], items.label, items.group)
            for items in (queries, gallery)
        ]
        return Found(dimension, kind, retrieve(queries, gallery), retrieve(shows[0], shows[1]))

    def _items(self, part: Part, vectors: Rows) -> Items:
        return Items(vectors, part.characters, np.full(len(part), -1), self.samples.split.group[part.rows])


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The embeddings of a part as rows."""

    part: Part

    def __len__(self) -> int:
        return len(self.part)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.part), self.part.dimension

    def __getitem__(self, rows: slice, /) -> Matrix:
        return self.part.embeddings(rows)
