"""Accuracy with its sample size, in all and by label: what a training ends with. Not here: reports (`evaluate`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.heads import Probabilities
from recommender.labels import UNTYPED, Hierarchy

LISTED = 6
"""How many labels a line names before it only counts the rest."""


def measure(found: Probabilities, characters: NDArray[np.int64], hierarchy: Hierarchy) -> dict[str, Any]:
    """Return the accuracy in each label space, and of the characters by show and by character.

    `found` is what was said about n pictures, `characters` (n,) the truth. Each figure is
    `{"accuracy": ..., "pictures": ...}`; without pictures the accuracy is None.
    """
    right = found.character.argmax(axis=1) == characters
    shows, types = hierarchy.show_of[characters], hierarchy.type_of[characters]
    typed = types != UNTYPED
    return {
        "type": _accuracy(found.type.argmax(axis=1)[typed] == types[typed]),
        "show": _accuracy(found.show.argmax(axis=1) == shows),
        "character": _accuracy(right),
        "characters_by_show": {
            show: _accuracy(right[shows == number]) for number, show in enumerate(hierarchy.show_space.labels)
        },
        "characters": {
            label: _accuracy(right[characters == number])
            for number, label in enumerate(hierarchy.character_space.labels)
        },
    }


def untested_told(labels: Sequence[str]) -> str:
    """Say of which labels no picture was tested, or nothing where there is one of each."""
    if not labels:
        return ""
    more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
    return (
        f"no picture was tested of {', '.join(labels[:LISTED])}{more}: how well they are told is not known "
        "(with --folds every picture is tested)"
    )


def _accuracy(right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return how much of it is right, and how much there is."""
    return {"accuracy": float(right.mean()) if len(right) else None, "pictures": len(right)}
