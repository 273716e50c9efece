"""`recommender.projection`: the same numbers for a query and a stored picture, in a space of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.embeddings import SIGNED_SQRT, EmbeddingSpace, unit_length
from recommender.errors import SpaceMismatch
from recommender.projection import Projection

SPACE = EmbeddingSpace("toy", "0" * 64, "penultimate", "64 px", 5)


def some_projection(seed: int = 0, *, whitened: bool = False) -> Projection:
    """Invent a projection of five numbers to three."""
    draw = np.random.default_rng(seed)
    mean, directions = draw.normal(size=5), draw.normal(size=(5, 3))
    return Projection(mean.astype(np.float32), directions.astype(np.float32), whitened)


def test_it_is_a_shift_a_product_and_a_length() -> None:
    """Each vector, less the mean, is projected to the directions and scaled to length 1."""
    vectors = unit_length(np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32))
    projection = some_projection()
    found = projection.of(vectors)
    plain = (vectors.astype(np.float64) - projection.mean) @ projection.directions
    np.testing.assert_allclose(found, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-5)
    assert found.dtype == np.float32
    assert (found.shape, projection.dimension) == ((20, 3), 3)


def test_the_mean_itself_is_similar_to_nothing() -> None:
    """A vector at the mean has no direction, and gives zeros instead of a division by zero."""
    directions = np.eye(5, 3, dtype=np.float32)
    projection = Projection(np.full(5, 0.25, np.float32), directions, whitened=False)
    assert projection.of(np.full((1, 5), 0.25, np.float32)).tolist() == [[0.0, 0.0, 0.0]]


def test_every_number_is_part_of_the_space() -> None:
    """Another direction, another mean, or whitening: each is another space; the same numbers are the same one."""
    one = some_projection()
    moved = replace(one, mean=one.mean + np.float32(1e-3))
    turned = replace(one, directions=one.directions * np.float32(1.001))
    spaces = [other.space_of(SPACE) for other in (one, moved, turned, some_projection(whitened=True))]
    assert len({space.fingerprint for space in (SPACE, *spaces)}) == 5
    assert some_projection().space_of(SPACE) == spaces[0]


def test_a_projected_space_knows_what_it_was_made_of() -> None:
    """Its dimension is what is left; the features are those of the backbone, in whose table they stay."""
    space = some_projection().space_of(SPACE)
    assert (space.dimension, space.features, space.unprojected) == (3, 5, SPACE.unprojected)
    assert space.projection.startswith(f"{SIGNED_SQRT}, principal components ")
    assert EmbeddingSpace.from_json(space.to_json()) == space
    with pytest.raises(SpaceMismatch, match="principal components"):
        space.embed(np.ones((1, 5), np.float32))


def test_spaces_of_before_there_were_projections_keep_their_names() -> None:
    """A space without a projection is written, and named, as it always was: snapshots and tables stay usable."""
    assert "features" not in SPACE.to_json()
    assert SPACE.fingerprint == "4729d8c412fc9e66"


def test_it_comes_back_as_it_was() -> None:
    """Tensors and the flag make the same projection again."""
    one = some_projection(whitened=True)
    again = Projection.from_tensors(one.to_tensors(), whitened=True)
    assert again.to_json() == one.to_json()
    with pytest.raises(KeyError):
        Projection.from_tensors({"mean": one.mean}, whitened=True)
