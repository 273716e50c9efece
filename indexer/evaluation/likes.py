"""The section of a report about embeddings: whether pictures find their like, and with how few numbers.

Not here: how that is measured (`retrieval`, `findings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from indexer.evaluation import plots
from indexer.evaluation.findings import DIMENSIONS, RetrievalFindings
from indexer.evaluation.intervals import ends_of
from indexer.evaluation.report import Plot, Section, Table

CURVE = 2
"""Fewer points make no curve."""
WITHOUT = "A picture that has nothing to find there is no query."


def likes_section(likes: RetrievalFindings) -> Section:
    """Show whether pictures find their like, and with how few numbers."""
    lead = "Recommendations rest on embeddings: here they are asked without any label."
    return Section("What it finds", lead, (_finding(likes), *_components(likes)))


def _finding(likes: RetrievalFindings) -> Table:
    """Return how well the like is found by what is stored: the projected embedding, where the model projects it."""
    rows = [
        (
            title,
            *ends_of(found.precision_at_1),
            *ends_of(found.mean_average_precision),
            found.random_map,
            found.queries,
        )
        for title, found in (
            ("same character", likes.same_character),
            ("other characters of the show", likes.cross_role),
        )
    ]
    return Table(
        "retrieval",
        "Finding the like",
        ("looked for", "precision@1", "from", "to", "mAP", "from", "to", "mAP of chance", "queries"),
        tuple(rows),
        f"Queries: {likes.asking}. Gallery: {likes.asked}, without the query and its near-duplicates. {WITHOUT} In the "
        "second row query and gallery are different characters of one show.",
    )


def _components(likes: RetrievalFindings) -> Iterator[Plot | Table]:
    """Yield how well fewer dimensions do."""
    if not likes.by_dimension:
        return
    yield Table(
        "components",
        "Fewer dimensions (principal components)",
        ("dimensions", "whitened", "precision@1", "mAP", "queries"),
        tuple(
            (
                dimension,
                whitened,
                found.precision_at_1 and found.precision_at_1.value,
                found.mean_average_precision and found.mean_average_precision.value,
                found.queries,
            )
            for dimension, whitened, found in likes.by_dimension
        ),
        f"Same character. Queries: {likes.asking_reduced}. Gallery: {likes.asked_reduced}, without near-duplicates of "
        f"the query. {WITHOUT} The first row is the whole embedding, not centred." + _untried(likes),
    )
    dimensions = sorted({dimension for dimension, _, _ in likes.by_dimension[1:]})
    if len(dimensions) < CURVE:
        return
    series: dict[str, list[float | None]] = {
        name: [_map_at(likes, dimension, whitened=whitened) for dimension in dimensions]
        for name, whitened in (("centred", False), ("centred and whitened", True))
    }
    whole = likes.by_dimension[0][2].mean_average_precision
    series["whole embedding"] = [whole.value if whole else None] * len(dimensions)
    yield Plot(
        "components_plot",
        "Retrieval by dimension",
        plots.lines(dimensions, series, "What fewer dimensions cost", "dimensions", "mAP, same character"),
        "Mean average precision against the number of principal components kept.",
    )


def _untried(likes: RetrievalFindings) -> str:
    """Say why there are fewer rows than one would expect: components are found in the training pictures."""
    tried = {dimension for dimension, _, _ in likes.by_dimension[1:]}
    missing = [str(dimension) for dimension in DIMENSIONS if dimension not in tried]
    if not missing:
        return ""
    so = "" if len(tried) >= CURVE else " So there is no curve to draw."
    return (
        f" {_listed(missing)} dimensions were not tried: the embedding has fewer numbers, or there are too few "
        f"training pictures to find as many components in.{so}"
    )


def _listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _map_at(likes: RetrievalFindings, dimension: int, *, whitened: bool) -> float | None:
    """Return the mean average precision at a number of components."""
    for there, white, found in likes.by_dimension[1:]:
        if (there, white) == (dimension, whitened) and found.mean_average_precision:
            return found.mean_average_precision.value
    return None
