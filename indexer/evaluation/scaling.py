"""Scaling: from the linear scores of heads to probabilities that may be taken at their word.

A temperature for each label space says how loud its scores are on the whole (Guo et al., "On Calibration of Modern
Neural Networks", 2017). That is not enough where characters of one show are told apart with ease and those of another
hardly at all: one temperature makes the first too modest and the others too bold. So each character's own score also
gets a slope and a shift (vector scaling, same source), which stay near 1 and 0 unless many pictures ask for more.
Fitted on validation pictures. Not here: when a label is believed (`calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from indexer.evaluation.rehearsal import parent_of
from indexer.samples import Part
from recommender.heads import SPACES, Heads
from recommender.types import Matrix

TINY = 1e-12
"""Keeps logarithms finite."""
HOTTEST = 20.0
"""Temperatures are looked for between this and one over this."""
ROUNDS = 2
"""How often lines and temperatures are fitted in turn: each leaves the other a little to mend."""
SPREAD = 0.25
"""How far the logarithm of a slope, and a shift, are expected to lie from 0: the deviation of a normal prior."""


def calibrated(heads: Heads, validation: Part) -> Heads:
    """Return heads whose probabilities fit pictures that they were not trained on; as they are where there are none.

    `validation` holds what the heads read. Separate heads get temperatures only: their lists are not combined.
    """
    if not len(validation):
        return heads
    return fit_scaling(heads, scores_of(heads, validation), validation.characters)


def fit_scaling(heads: Heads, scores: Mapping[str, Matrix], characters: NDArray[np.int64]) -> Heads:
    """Return heads with temperatures and, where they are joint, a slope and a shift for each character."""
    heads = replace(heads, temperatures=fit_temperatures(heads, scores, characters))
    for _ in range(ROUNDS if heads.joint else 0):
        heads = fit_lines(heads, scores, characters)
        heads = replace(heads, temperatures=fit_temperatures(heads, scores, characters))
    return heads


def scores_of(heads: Heads, part: Part) -> dict[str, Matrix]:
    """Return the linear scores of every label for every picture of a part."""
    blocks = [heads.scores(block) for _, block in part.blocks()]
    return {space: np.concatenate([block[space] for block in blocks]) for space in SPACES}


def fit_temperatures(heads: Heads, scores: Mapping[str, Matrix], characters: NDArray[np.int64]) -> dict[str, float]:
    """Return the temperature of each label space under which the true labels are most likely, in all spaces together.

    A few pictures that are all right would ask for boundless confidence, so that one more picture than there are is
    taken to be wrong (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
    """
    truth = _truth(heads, characters)

    def loss(logs: NDArray[np.float64]) -> float:
        temperatures = dict(zip(SPACES, np.exp(logs).tolist(), strict=True))
        found = replace(heads, temperatures=temperatures).combined(scores)
        return sum(_likelihood_loss(getattr(found, space), truth[space], len(characters)) for space in SPACES)

    most = float(np.log(HOTTEST))
    # From a common temperature to one for each: the loss has a single valley, but a flat one.
    grid = np.linspace(-most, most, 25)
    start = grid[int(np.argmin([loss(np.full(len(SPACES), point)) for point in grid]))]
    bounds = [(-most, most)] * len(SPACES)
    # Slopes are found by small steps, which have to be larger than the rounding of float32 scores.
    found = minimize(loss, np.full(len(SPACES), start), method="L-BFGS-B", bounds=bounds, options={"eps": 1e-3})
    return dict(zip(SPACES, np.exp(found.x).tolist(), strict=True))


def fit_lines(heads: Heads, scores: Mapping[str, Matrix], characters: NDArray[np.int64]) -> Heads:
    """Return joint heads, which have temperatures, with a slope and a shift for each character's score.

    They are those under which the true labels are most likely in all spaces together, given a normal prior of SPREAD
    around a slope of 1 and a shift of 0: a character with few pictures keeps these.
    """
    count, pictures = len(heads.hierarchy.characters), len(characters)
    spaces = [_Space.of(heads, space, truth) for space, truth in _truth(heads, characters).items()]
    own = scores["character"].astype(np.float64) / heads.temperatures["character"]
    # What is added to the characters' own scores: those of their shows and types.
    others = replace(heads, slopes=None, shifts=None).joined(scores) - own

    def loss(lines: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slopes, shifts = np.exp(lines[:count]), lines[count:]
        probabilities = _softmax(own * slopes + shifts + others)
        total, gradient = 0.0, np.zeros_like(own)
        for space in spaces:
            part, slope = space.loss(probabilities, pictures)
            total, gradient = total + part, gradient + slope
        pull = lines / (SPREAD**2 * pictures)
        downhill = np.concatenate([(gradient * own).sum(axis=0) * slopes, gradient.sum(axis=0)])
        return total + 0.5 * float(lines @ pull), downhill + pull

    found = minimize(loss, np.zeros(2 * count), jac=True, method="L-BFGS-B").x
    slopes, shifts = np.exp(found[:count]), found[count:]
    return replace(heads, slopes=slopes.astype(np.float32), shifts=shifts.astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Space:
    """A label space: which characters each label stands for, and the label of each picture that has one."""

    members: NDArray[np.float64]
    known: NDArray[np.bool_]
    truth: NDArray[np.int64]

    @classmethod
    def of(cls, heads: Heads, space: str, truth: NDArray[np.int64]) -> _Space:
        """Return a space of heads; `truth` is negative for pictures whose label is not known."""
        labels = parent_of(heads.hierarchy, space)
        members = (labels[np.newaxis] == np.arange(labels.max(initial=0) + 1)[:, np.newaxis]).astype(np.float64)
        return cls(members, truth >= 0, np.where(truth >= 0, truth, 0))

    def loss(self, probabilities: NDArray[np.float64], pictures: int) -> tuple[float, NDArray[np.float64]]:
        """Return the mean cross-entropy, and its gradient by the (pictures, characters) scores."""
        gradient = np.zeros_like(probabilities)
        known = np.flatnonzero(self.known)
        if not len(known):
            return 0.0, gradient
        doubt = _doubt(pictures)
        members, ours = self.members[self.truth[known]], probabilities[known]
        true = np.clip((ours * members).sum(axis=1), TINY, 1.0 - TINY)
        loss = -((1.0 - doubt) * np.log(true) + doubt * np.log1p(-true)).mean()
        slope = (doubt / (1.0 - true) - (1.0 - doubt) / true) / len(known)
        gradient[known] = slope[:, np.newaxis] * ours * (members - true[:, np.newaxis])
        return float(loss), gradient


def _truth(heads: Heads, characters: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    return {space: parent_of(heads.hierarchy, space)[characters] for space in SPACES}


def _doubt(pictures: int) -> float:
    """Return how likely it is that a label is wrong after all: as if one more picture had been seen, and missed."""
    return 1.0 / (pictures + 2)


def _likelihood_loss(probabilities: NDArray[np.float64], truth: NDArray[np.int64], pictures: int) -> float:
    """Return the mean cross-entropy of those pictures whose label is known."""
    known = truth >= 0
    if not known.any():
        return 0.0
    doubt = _doubt(pictures)
    true = np.clip(probabilities[known, truth[known]], TINY, 1.0 - TINY)
    return float(-((1.0 - doubt) * np.log(true) + doubt * np.log1p(-true)).mean())


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
