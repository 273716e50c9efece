"""Measures, on the validation part, what a model's numbers are worth. The test part is never looked at here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from indexer.evaluation.rehearsal import (
    ASKED,
    ENOUGH_SHOWS,
    KINDS,
    Answers,
    Questions,
    Train,
    ask,
    parent_of,
    rehearse,
    together,
)
from indexer.samples import Part, Samples
from recommender.calibration import LEAST_DOUBT, LEVELS, Calibration, Certainty, ProbabilityMap
from recommender.heads import Heads
from recommender.labels import Hierarchy
from recommender.ranking import rank_groups
from recommender.types import Matrix, Neighbours

PRECISION = 0.95
"""How often a verdict has to be right."""
ASSUMED = {"known": 0.7, "unknown character": 0.1, "unknown show": 0.1, "nothing": 0.1}
"""What people are assumed to ask about: of ten pictures seven show somebody whom the library holds."""
NAMED = 0.05
"""How many of the pictures of unknown shows may be given a known name where `fit_verdict` is strict."""
NEVER = 1.01
"""A threshold that no probability reaches: the level's precision was not to be had."""
LEAST = 10
"""A threshold rests on at least so many labels that were right, or one lucky picture would set it."""
TINY = 1e-12
"""Keeps divisions finite."""
RIDGE = 1e-3
"""Keeps the weights of the logistic regression finite where a level was never wrong."""
KNOTS = 32
"""Points that a map is kept with."""
NEAREST = 12
"""Neighbours of each validation picture that the similarity maps are fitted to: as many as an answer shows."""
RANKED = 300
"""Validation pictures whose ranked characters and shows the score maps are fitted to."""
AT_ONCE = 64
"""Validation pictures that are compared with the whole training part at once: 256 bytes for each of its pictures."""
CANDIDATES = 1000
"""How many neighbours are ranked: as many as for an answer."""


def calibrate(samples: Samples, heads: Heads, train: Train) -> Calibration:
    """Measure calibrated heads of the training part (see `scaling`); without validation pictures, be never sure.

    `train` trains heads of the same kind for fewer characters (see `rehearsal`).
    """
    training, validation = samples.part("train"), samples.part("validation").at_most(ASKED)
    if not len(validation):
        return Calibration(precision=PRECISION, certainty=dict.fromkeys(LEVELS, Certainty(threshold=NEVER)))

    def alike(hierarchy: Hierarchy, part: Part) -> Heads:
        return train(hierarchy, part).calibrated_like(heads)

    kinds = ((validation, KINDS.index("known")), (samples.nothing, KINDS.index("nothing")))
    answers = [
        ask(heads, training, Questions(samples.read(part), part, kind), samples.hierarchy)
        for part, kind in kinds
        if len(part)
    ]
    answers += rehearse(samples, alike, "validation")
    maps = fit_maps(training, validation, samples.hierarchy)
    strict = len(samples.hierarchy.shows) < ENOUGH_SHOWS
    return Calibration(heads.temperatures, PRECISION, fit_verdict(together(answers), strict=strict), **maps)


def fit_verdict(answers: Answers, *, strict: bool = False) -> dict[str, Certainty]:
    """Return how sure to be at each level, and from where on to say it.

    A threshold is the least certainty from which on PRECISION of the verdicts are right, at this level and the more
    specific ones together. Pictures count as ASSUMED says; a kind that was not rehearsed leaves its share to others.
    `strict` is for rehearsals in which unknown shows seem stranger than they will be (see ENOUGH_SHOWS): no level that
    is wrong about them, whatever it names, may name more than NAMED of them, however right it is about others.
    """
    weight = _weights(answers.kind)
    fitted: dict[str, Certainty] = {level: _logistic(answers, level, weight) for level in LEVELS}
    undecided = np.ones(len(answers), dtype=bool)
    said, right = 0.0, 0.0
    for level in LEVELS:
        certainty = certainties(fitted[level], answers, level)
        judged = undecided & answers.counts[level]
        threshold = _threshold(certainty[judged], answers.right[level][judged], weight[judged], said, right)
        if strict and level != "type":
            threshold = max(threshold, _above_strangers(certainty, answers))
        fitted[level] = replace(fitted[level], threshold=threshold)
        decided = undecided & (certainty >= threshold)
        said += float(weight[decided & judged].sum())
        right += float(weight[decided & judged & answers.right[level]].sum())
        undecided &= ~decided
    return fitted


def _above_strangers(certainty: NDArray[np.float64], answers: Answers) -> float:
    """Return a threshold that no more than NAMED of the pictures of unknown shows reach; 0 where there are none."""
    strangers = np.sort(certainty[answers.kind == KINDS.index("unknown show")])[::-1]
    if not len(strangers):
        return 0.0
    # The first certainty that is too low: thresholds let equal ones through.
    return float(np.nextafter(strangers[int(NAMED * len(strangers))], 2.0))


def certainties(certainty: Certainty, answers: Answers, level: str) -> NDArray[np.float64]:
    """Return how sure to be of each answer at a level."""
    rows = zip(answers.probability[level], answers.nearest, answers.near[level], strict=True)
    return np.array([certainty.probability(*row) for row in rows], dtype=np.float64)


def _weights(kind: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how much each picture counts, so that kinds have the shares that are assumed: the mean is 1."""
    weight = np.zeros(len(kind))
    for number, name in enumerate(KINDS):
        mine = kind == number
        weight[mine] = ASSUMED[name] / max(int(mine.sum()), 1)
    return np.asarray(weight * len(kind) / max(weight.sum(), TINY))


def _logistic(answers: Answers, level: str, weight: NDArray[np.float64]) -> Certainty:
    """Fit a Certainty without threshold: the more probable and the nearer, the surer, and never the other way round."""
    counts = answers.counts[level]
    clipped = np.clip(answers.probability[level], LEAST_DOUBT, 1.0 - LEAST_DOUBT)
    inputs = np.stack([np.log(clipped / (1.0 - clipped)), answers.nearest, answers.near[level]], axis=1)[counts]
    right, share = answers.right[level][counts].astype(np.float64), weight[counts]
    if not len(right):
        return Certainty(threshold=NEVER)
    mean, scale = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), LEAST_DOUBT)
    standard = (inputs - mean) / scale
    doubt = 1.0 / (len(right) + 2)
    target = np.clip(right, doubt, 1.0 - doubt)

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = values[0] + standard @ values[1:]
        error = share * (1.0 / (1.0 + np.exp(-score)) - target) / len(right)
        gradient = np.concatenate([[error.sum()], standard.T @ error + RIDGE * values[1:]])
        entropy = (share * (np.logaddexp(0.0, score) - target * score)).mean()
        return float(entropy + 0.5 * RIDGE * (values[1:] ** 2).sum()), gradient

    bounds = [(None, None), (0.0, None), (0.0, None), (0.0, None)]
    found = minimize(loss, np.array([0.0, 1.0, 0.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = found[1:] / scale
    bias = float(found[0] - slopes @ mean)
    return Certainty(NEVER, bias, float(slopes[0]), float(slopes[1]), float(slopes[2]))


def _threshold(
    certainty: NDArray[np.float64],
    right: NDArray[np.bool_],
    weight: NDArray[np.float64],
    said: float,
    said_right: float,
) -> float:
    """Return the least threshold at which PRECISION of what is said is right, or NEVER.

    `said` and `said_right` are the weights of what was said, and rightly, at more specific levels already.
    """
    order = np.argsort(-certainty, kind="stable")
    spoken = said + np.cumsum(weight[order])
    correct = said_right + np.cumsum((weight * right)[order])
    # A threshold cannot part equal certainties: it is as good as the last of them.
    last = np.append(certainty[order][1:] != certainty[order][:-1], True) if len(order) else np.zeros(0, dtype=bool)
    enough = np.flatnonzero(last & (correct >= PRECISION * spoken) & (np.cumsum(right[order]) >= LEAST))
    return float(certainty[order][enough[-1]]) if len(enough) else NEVER


def fit_maps(training: Part, validation: Part, hierarchy: Hierarchy) -> dict[str, ProbabilityMap]:
    """Return the maps of a Calibration: what cosines, and scores of ranked characters and shows, are worth.

    The pairs are those that an answer would show: a validation picture, which the model has not seen, and its nearest
    training pictures. Pairs farther apart say nothing about what is shown, and would drown it by their number.
    """
    nearest = min(NEAREST, len(training))
    cosines, characters, shows = [], [], []
    ranked: dict[str, tuple[list[float], list[bool]]] = {"character_score": ([], []), "show_score": ([], [])}
    chosen = set(np.linspace(0, len(validation) - 1, min(RANKED, len(validation))).astype(int).tolist())
    for place in (slice(start, min(start + AT_ONCE, len(validation))) for start in range(0, len(validation), AT_ONCE)):
        block = validation.embeddings(place)
        cosine = np.concatenate([block @ stored.T for _, stored in training.blocks()], axis=1)
        best = np.argpartition(-cosine, nearest - 1, axis=1)[:, :nearest]
        truth = validation.characters[place][:, np.newaxis]
        cosines.append(np.take_along_axis(cosine, best, axis=1))
        characters.append(training.characters[best] == truth)
        shows.append(hierarchy.show_of[training.characters[best]] == hierarchy.show_of[truth])
        for row in range(len(block)):
            if place.start + row in chosen:
                _rank(cosine[row], int(truth[row, 0]), training.characters, hierarchy, ranked)
    similarity = np.concatenate(cosines).ravel().astype(np.float64)
    return {
        "same_character": _isotonic(similarity, np.concatenate(characters).ravel()),
        "same_show": _isotonic(similarity, np.concatenate(shows).ravel()),
        **{name: _isotonic(np.array(scores), np.array(right)) for name, (scores, right) in ranked.items()},
    }


def _rank(
    cosine: Matrix,
    truth: int,
    characters: NDArray[np.int64],
    hierarchy: Hierarchy,
    ranked: dict[str, tuple[list[float], list[bool]]],
) -> None:
    """Rank characters and shows for one picture as an answer does; note the scores, and which are the true ones'."""
    order = np.argsort(-cosine, kind="stable")[:CANDIDATES]
    neighbours = Neighbours(order, cosine[order])
    for name, parent in (("character_score", parent_of(hierarchy, "character")), ("show_score", hierarchy.show_of)):
        group_of = parent[characters]
        for one in rank_groups(neighbours, group_of, np.bincount(group_of), NEAREST):
            ranked[name][0].append(one.score)
            ranked[name][1].append(one.group == parent[truth])


def _isotonic(similarity: NDArray[np.float64], same: NDArray[np.bool_]) -> ProbabilityMap:
    """Fit the chance of a match to the similarity (isotonic regression), as a few knots."""
    doubt = 1.0 / (len(similarity) + 2)
    fit = IsotonicRegression(y_min=doubt, y_max=1.0 - doubt, out_of_bounds="clip")
    fit.fit(similarity, same.astype(np.float64))
    knots = np.unique(np.quantile(similarity, np.linspace(0.0, 1.0, KNOTS)))
    return ProbabilityMap(tuple(knots.tolist()), tuple(fit.predict(knots).tolist()))
