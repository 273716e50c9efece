"""Measures, on the validation part, what a model's numbers are worth. The test part is never looked at here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from indexer.samples import Part
from recommender.calibration import Calibration
from recommender.heads import Heads, Probabilities
from recommender.labels import UNTYPED, Hierarchy

PRECISION = 0.95
"""How often a verdict has to be right."""
NEVER = 1.01
"""A threshold that no probability reaches: the level's precision was not to be had."""
LEAST = 10
"""A threshold rests on at least so many validation pictures, or one lucky picture would set it."""
TINY = 1e-12
"""Keeps logarithms finite."""
KNOTS = 32
"""Points that the similarity map is kept with."""
NEAREST = 12
"""Neighbours of each validation picture that the similarity map is fitted to: as many as an answer shows."""


def calibrate(heads: Heads, training: Part, validation: Part) -> Calibration:
    """Return temperature, thresholds and similarity map; without validation pictures, one that is never sure."""
    if not len(validation.characters):
        return Calibration(thresholds=dict.fromkeys(("character", "show", "type"), NEVER), precision=PRECISION)
    temperature = _temperature(heads, validation)
    probabilities = replace(heads, temperature=temperature).probabilities(validation.embeddings)
    similarity, probability = _similarity_map(training, validation)
    return Calibration(
        temperature=temperature,
        precision=PRECISION,
        thresholds=_thresholds(probabilities, validation.characters, heads.hierarchy),
        similarity=similarity,
        probability=probability,
    )


def _temperature(heads: Heads, validation: Part) -> float:
    """Return the temperature under which the true characters are most likely.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017. The likelihood has one peak: a search over
    ever finer grids finds it. A few pictures that are all right would ask for boundless confidence, so that one more
    picture than there are is taken to be wrong (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
    """
    doubt = 1.0 / (len(validation.characters) + 2)
    low, high = np.log(0.05), np.log(20.0)
    rows = np.arange(len(validation.characters))
    best = 0.0
    for _ in range(4):
        grid = np.linspace(low, high, 13)
        loss = []
        for point in grid:
            probabilities = replace(heads, temperature=float(np.exp(point))).probabilities(validation.embeddings)
            true = np.clip(probabilities.character[rows, validation.characters], TINY, 1.0 - TINY)
            loss.append(-((1.0 - doubt) * np.log(true) + doubt * np.log1p(-true)).mean())
        best, step = float(grid[int(np.argmin(loss))]), grid[1] - grid[0]
        low, high = best - step, best + step
    return float(np.exp(best))


def _thresholds(probabilities: Probabilities, characters: NDArray[np.int64], hierarchy: Hierarchy) -> dict[str, float]:
    """Return, for each level, the least probability from which on the best label was right often enough."""
    typed = hierarchy.type_of[characters] != UNTYPED
    return {
        "character": _threshold(probabilities.character, characters),
        "show": _threshold(probabilities.show, hierarchy.show_of[characters]),
        "type": _threshold(probabilities.type[typed], hierarchy.type_of[characters][typed]),
    }


def _threshold(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the least threshold at which PRECISION of the labels at or above it are right, or NEVER."""
    confidence = probabilities.max(axis=1, initial=0.0)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == truth)[order] if len(truth) else np.zeros(0, dtype=bool)
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    enough = np.flatnonzero((precision >= PRECISION) & (np.arange(1, len(right) + 1) >= LEAST))
    return float(confidence[order][enough[-1]]) if len(enough) else NEVER


def _similarity_map(training: Part, validation: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fit the chance that two pictures show one character to their cosine (isotonic regression), as a few knots.

    The pairs are those that an answer would show: a validation picture, which the model has not seen, and its nearest
    training pictures. Pairs farther apart say nothing about what is shown, and would drown it by their number.
    """
    nearest = min(NEAREST, len(training.characters))
    cosines = validation.embeddings @ training.embeddings.T
    chosen = np.argpartition(-cosines, nearest - 1, axis=1)[:, :nearest]
    similarity = np.take_along_axis(cosines, chosen, axis=1).ravel().astype(np.float64)
    same = (training.characters[chosen] == validation.characters[:, np.newaxis]).ravel()
    doubt = 1.0 / (len(similarity) + 2)
    fit = IsotonicRegression(y_min=doubt, y_max=1.0 - doubt, out_of_bounds="clip")
    fit.fit(similarity, same.astype(np.float64))
    knots = np.unique(np.quantile(similarity, np.linspace(0.0, 1.0, KNOTS)))
    return tuple(knots.tolist()), tuple(fit.predict(knots).tolist())
