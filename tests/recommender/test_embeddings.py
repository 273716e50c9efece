"""`recommender.embeddings`: vectors are of unit length, and those of different spaces never meet."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recommender.embeddings import EmbeddingSpace, require_same_space, unit_length
from recommender.errors import SpaceMismatch
from recommender.types import Matrix

SPACE = EmbeddingSpace("vgg19", "w" * 64, "penultimate", "squash224", dimension=4)
NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32)
MATRICES = arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(4)), elements=NUMBERS)


@given(vectors=MATRICES)
def test_rows_get_length_one(vectors: Matrix) -> None:
    """Every row that is not zero comes out with length 1 and its direction, however small or large its numbers are."""
    scaled = unit_length(vectors)
    assert scaled.dtype == np.float32
    some = vectors.any(axis=1)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1)[some], 1.0, rtol=1e-5)
    assert np.array_equal(np.sign(scaled) * np.sign(vectors) >= 0, np.ones_like(vectors, dtype=bool))


def test_a_row_of_zeros_stays_zero() -> None:
    """Nothing is similar to a picture without any feature, and no warning is given."""
    assert not unit_length(np.zeros((2, 4), np.float32)).any()


def test_a_single_vector_is_scaled_too() -> None:
    """A vector of shape (d,) is treated as the row that it is."""
    np.testing.assert_allclose(unit_length(np.array([3.0, 0.0, 4.0, 0.0], np.float32)), [0.6, 0.0, 0.8, 0.0])


@given(features=MATRICES)
def test_embed_is_the_signed_square_root_at_unit_length(features: Matrix) -> None:
    """Signs are kept, and the squared numbers are in the proportions of the features' sizes."""
    found = SPACE.embed(features)
    size = np.abs(features).astype(np.float64)
    total = size.sum(axis=1, keepdims=True)
    expected = np.sign(features) * np.sqrt(size / np.where(total > 0, total, 1))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_batches_embed_as_single_rows_do() -> None:
    """A row's embedding does not depend on its neighbours in the batch."""
    features = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    assert np.array_equal(SPACE.embed(features), np.concatenate([SPACE.embed(row[np.newaxis]) for row in features]))


@given(features=MATRICES)
def test_the_space_of_features_only_scales_them(features: Matrix) -> None:
    """Where nothing is projected an embedding keeps the proportions of its features, and zeros stay zeros."""
    size = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    expected = features / np.where(size > 0, size, 1)
    np.testing.assert_allclose(SPACE.unprojected.embed(features), expected, atol=1e-6)


def test_one_network_has_one_space_of_features() -> None:
    """Spaces that differ in their projection alone share it; it is a space of its own, and its own as well."""
    assert replace(SPACE, projection="pca256").unprojected == SPACE.unprojected != SPACE
    assert SPACE.unprojected.unprojected == SPACE.unprojected
    assert replace(SPACE, weights="v" * 64).unprojected.fingerprint != SPACE.unprojected.fingerprint
    assert SPACE.unprojected.dimension == SPACE.dimension


def test_an_unknown_projection_is_refused() -> None:
    """A space of a later Sokkuri is not silently embedded in another way."""
    with pytest.raises(SpaceMismatch, match="'pca256'"):
        replace(SPACE, projection="pca256").embed(np.ones((1, 4), np.float32))


@pytest.mark.parametrize("field", [field.name for field in fields(EmbeddingSpace)])
def test_each_field_is_part_of_the_fingerprint(field: str) -> None:
    """Two spaces that differ in anything have different fingerprints."""
    other: Any = 5 if field == "dimension" else "another"
    assert replace(SPACE, **{field: other}).fingerprint != SPACE.fingerprint


def test_fingerprint_survives_json() -> None:
    """A space read back from a folder has the fingerprint that it was stored under."""
    again = EmbeddingSpace.from_json(json.loads(json.dumps(SPACE.to_json())))
    assert again == SPACE
    assert again.fingerprint == SPACE.fingerprint
    assert len(SPACE.fingerprint) == 16


def test_two_spaces_never_meet() -> None:
    """Another fingerprint is refused in a sentence that names the artefact; the same one passes."""
    require_same_space("a" * 16, "a" * 16, "snapshot s1")
    with pytest.raises(SpaceMismatch, match=r"snapshot s1 .*aaaa.*bbbb.*sokkuri reindex"):
        require_same_space("a" * 16, "b" * 16, "snapshot s1")
