"""Six characters of two shows, of which two have no type, and heads that say what an embedding says."""

from __future__ import annotations

import numpy as np

from recommender.heads import Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, Show

SHOWS = (Show("one", "One"), Show("two", "Two"))
CAST = Hierarchy.of(
    [
        Character(f"c{number}", f"C{number}", SHOWS[number % 2], (None, "male", "female")[number % 3])
        for number in range(6)
    ]
)


def plain_heads(hierarchy: Hierarchy = CAST, *, joint: bool = True) -> Heads:
    """Return heads whose character scores are the embedding itself."""
    count = len(hierarchy.characters)
    weights: dict[str, Matrix] = {space.name: np.zeros((len(space), count), np.float32) for space in hierarchy.spaces}
    weights["character"] = np.eye(count, dtype=np.float32)
    biases: dict[str, Matrix] = {space.name: np.zeros(len(space), np.float32) for space in hierarchy.spaces}
    return Heads(hierarchy, weights, biases, joint=joint)
