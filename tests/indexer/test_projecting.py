"""`indexer.training.projecting`: the fewest numbers that lose nothing, fitted to training pictures alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.embed import Projected
from indexer.evaluation.retrieval import Items, retrieve
from indexer.samples import Samples, Stored
from indexer.split import split
from indexer.training.projecting import DIMENSIONS, FEWEST, TOLERANCES, choose_projection, projection_told
from recommender.embeddings import unit_length
from recommender.errors import BuildError
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, Show

DIMENSION = 256
CAST = Hierarchy.of(
    Character(f"c{number}", f"C{number}", Show(f"show-{number % 4}", "Show"), "male") for number in range(12)
)


def samples(each: int = 150, loud: float = 0.05) -> Samples:
    """Draw characters around their shows in 40 of 256 directions, and noise, faint unless it is `loud`, in the rest."""
    draw, wide = np.random.default_rng(0), 40
    shows = draw.normal(size=(4, wide))
    centres = 0.7 * shows[CAST.show_of] + draw.normal(size=(12, wide))
    characters = np.repeat(np.arange(12), each)
    near = centres[characters] + 1.5 * draw.normal(size=(len(characters), wide)) + 3.0
    noise = loud * draw.normal(size=(len(characters), DIMENSION - wide))
    turned = np.linalg.qr(np.random.default_rng(7).normal(size=(DIMENSION, DIMENSION)))[0]
    vectors = unit_length((np.concatenate([near, noise], axis=1) @ turned).astype(np.float32))
    parts = split(characters, np.arange(len(characters)), seed=1)
    return Samples(CAST, Stored(vectors, vectors), characters, parts)


def precision(one: Samples, vectors: Matrix, part: str) -> float:
    """Return how often the nearest training picture shows the character of a picture of a part."""

    def items(rows: NDArray[np.int64]) -> Items:
        return Items(vectors[rows], one.characters[rows], np.full(len(rows), -1), one.split.group[rows])

    found = retrieve(items(one.split.rows(part)), items(one.split.rows("train"))).precision_at_1
    assert found is not None
    return found.value


def test_the_fewest_dimensions_that_lose_nothing_are_taken() -> None:
    """Where forty directions hold everything, 64 of 256 numbers are kept, and find as much as all do."""
    one = samples()
    choice = choose_projection(one, "auto")
    assert choice.projection is not None
    assert choice.projection.dimension == DIMENSIONS[0]
    projected = Projected(one.stored.vectors, choice.projection)
    assert projected.shape == (len(one.characters), 64)
    before, after = (precision(one, vectors, "test") for vectors in (one.stored.vectors[:], projected[:]))
    assert 0.3 < before < 0.95
    assert after >= before - 0.05
    told = choice.to_json()
    assert told["tested"][0]["character"]["precision_at_1"] == pytest.approx(before)
    assert told["tested"][1]["character"]["precision_at_1"] == pytest.approx(after)
    assert [(row["dimension"], row["kind"]) for row in told["tried"][:2]] == [(256, None), (64, "centred")]
    assert told["tried"][0]["character"]["queries"] == len(one.split.rows("validation"))
    assert f"stored in 64 of 256 numbers, {told['chosen']['kind']}" in projection_told(told)


def test_directions_that_are_needed_are_kept() -> None:
    """Where noise is louder than what tells characters apart, the first components lose it: more are kept, or all."""
    choice = choose_projection(samples(loud=3.0), "auto")
    whole, *tried = choice.tried
    assert all(found.lost(whole) > TOLERANCES[-1] for found in tried if found.dimension == DIMENSIONS[0])
    assert choice.projection is None or choice.projection.dimension > DIMENSIONS[0]


def test_only_training_pictures_are_looked_at_for_the_directions() -> None:
    """Other validation and test pictures change what is measured, and no number of a projection of that kind."""
    one = samples()
    vectors = one.stored.vectors[:].copy()
    for part in ("validation", "test"):
        rows = one.split.rows(part)
        vectors[rows] = vectors[np.roll(rows, 1)] * np.float32(0.5)
    other = replace(one, stored=Stored(unit_length(vectors), vectors))
    first, second = (choose_projection(each, "64") for each in (one, other))
    assert first.projection is not None
    assert second.projection is not None
    if first.kind == second.kind:
        assert first.projection.digest == second.projection.digest
    assert first.to_json()["tried"] != second.to_json()["tried"]


@pytest.mark.parametrize("kind", ["centred", "whitened", "uncentred"])
def test_what_is_kept_is_what_was_tried(kind: str) -> None:
    """The projection of a kind gives the very retrieval that the trial of that kind was judged by."""
    one = samples()
    choice = choose_projection(one, "100")
    assert choice.projection is not None
    (tried,) = [row for row in choice.to_json()["tried"] if row["kind"] == kind]
    if kind == choice.kind:
        found = precision(one, Projected(one.stored.vectors, choice.projection)[:], "validation")
        assert tried["character"]["precision_at_1"] == pytest.approx(found, abs=0.01)
    assert tried["dimension"] == 100


def test_a_small_library_is_not_projected() -> None:
    """Of fewer pictures than FEWEST nothing is tried, and the reason says so; asked for, it is done."""
    one = samples(each=20)
    choice = choose_projection(one, "auto")
    assert (choice.projection, choice.tried) == (None, ())
    assert f"fewer than {FEWEST}" in choice.reason
    assert choice.reason in projection_told(choice.to_json())
    asked = choose_projection(one, "32")
    assert asked.projection is not None
    assert asked.projection.dimension == 32


def test_it_can_be_left_out() -> None:
    """--project none keeps embeddings as they are, whatever the size."""
    assert choose_projection(samples(), "none").projection is None


@pytest.mark.parametrize("option", ["", "some", "0", "-3", "1.5"])
def test_an_option_without_meaning_is_refused(option: str) -> None:
    """Auto, none or a number: the message says so."""
    with pytest.raises(BuildError, match="--project takes auto, none, or a number"):
        choose_projection(samples(each=20), option)


def test_more_dimensions_than_there_are_pictures_cannot_be_had() -> None:
    """So many pictures have fewer components: the message names both figures."""
    with pytest.raises(BuildError, match=r"--project 200 is too much: 168 training pictures .* 167 principal"):
        choose_projection(samples(each=20), "200")
