"""The pictures of a report: predictions, misses and the training set, as grids. Not here: how a grid is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.evaluation import plots
from indexer.evaluation.findings import SpaceFindings
from indexer.evaluation.report import Plot, Section
from indexer.evaluation.subject import Subject
from indexer.library import Entry
from indexer.progress import say
from recommender.errors import InvalidImage
from recommender.images import Limits, decode

SHOWN = 40
"""Pictures of a grid."""
COLUMNS = 8
EXAMPLES = 2
"""Pictures of each character in the grid of the training set, as long as there is room."""
CELL_SIDE = 160
"""Pixels of the short side of a grid's picture, at least."""
GRID = 120
"""The most pictures in the grid of the training set."""


def sample(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many rows, the same each time."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def pictures_section(subject: Subject, found: SpaceFindings, limits: Limits) -> Section:
    """Show predictions, misses, and what the model was trained on."""
    confidence, right = found.probabilities.max(axis=1), found.right
    chosen = sample(np.arange(len(found.rows)), SHOWN)
    misses = np.flatnonzero(~right)
    misses = misses[np.argsort(-confidence[misses], kind="stable")][:SHOWN]
    entries = subject.library.entries

    def cells(positions: NDArray[np.int64]) -> list[plots.Cell]:
        made = []
        for position in positions:
            entry = entries[int(found.rows[position])]
            guess = found.labels[int(found.probabilities[position].argmax())]
            caption = f"{_short(guess)} {confidence[position]:.2f}"
            if not right[position]:
                caption += f", is {_short(entry.character.label)}"
            cell = _cell(subject, entry, limits, caption, "right" if right[position] else "wrong")
            made += [cell] if cell else []
        return made

    shown = []
    trained = np.flatnonzero(subject.trained)
    for label in subject.model.hierarchy.character_space.labels:
        mine = [row for row in trained if entries[row].character.label == label]
        for row in sample(np.array(mine, dtype=np.int64), EXAMPLES):
            cell = _cell(subject, entries[int(row)], limits, _short(label), "none")
            shown += [cell] if cell else []
    grids = (
        ("predictions", "Predictions", cells(chosen), "Tested pictures, drawn at random, with the best label."),
        ("misses", "Misses, most confident first", cells(misses), "Tested pictures whose best label is wrong."),
        ("training_set", "What it was trained on", shown[:GRID], "Pictures of each character that it was trained on."),
    )
    parts = tuple(
        Plot(name, title, plots.picture_grid(pictures, COLUMNS), alt)
        for name, title, pictures, alt in grids
        if pictures
    )
    return Section("Pictures", "A tick is right, a cross wrong; the figure is the probability.", parts)


def _short(label: str) -> str:
    """Return a character's own name: a grid has no room for the show's."""
    return label.partition("/")[2]


def _cell(subject: Subject, entry: Entry, limits: Limits, caption: str, mark: plots.Mark) -> plots.Cell | None:
    """Return a picture of a grid, or None where the file has gone meanwhile."""
    try:
        pixels = decode((subject.library.root / entry.path).read_bytes(), limits).pixels
    except (OSError, InvalidImage):
        say(f"left out of the grids: {entry.path} cannot be read any more")
        return None
    step = max(1, min(pixels.shape[:2]) // CELL_SIDE)
    return plots.Cell(pixels[::step, ::step], caption, mark)
