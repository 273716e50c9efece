"""`indexer.samples`: each vector keeps its label and its part, whichever way the pictures are taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.library import Entry
from indexer.samples import BLOCK, Part, Samples, Stored, numbers_of, predict
from indexer.split import HELD_OUT, PARTS, Split
from recommender.embeddings import unit_length
from recommender.heads import Heads
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, PictureId, Show

SEA, HILLS = Show("sea", "Sea"), Show("hills", "Hills")
ADA, BOB, CAT = Character("ada", "Ada", SEA), Character("bob", "Bob", SEA), Character("cat", "Cat", HILLS)
KNOWN = Hierarchy.of([ADA, BOB])
DIMENSION = 6


def _numbered(count: int) -> Matrix:
    """Return vectors that say which row they are."""
    return np.repeat(np.arange(count, dtype=np.float32)[:, np.newaxis], DIMENSION, axis=1)


def _entries(characters: Sequence[Character], hashes: Sequence[int]) -> list[Entry]:
    """Invent an entry for each character and perceptual hash."""
    return [
        Entry(PictureId(f"{number:064x}"), f"{one.label}/{number}.png", one, 64, 64, "PNG", 100, value)
        for number, (one, value) in enumerate(zip(characters, hashes, strict=True))
    ]


def _samples(views: int = 2, nobody: int = 4) -> Samples:
    """Return six pictures: of Ada two in training and one in the test, of Bob one each, and a stranger's."""
    characters = np.array([0, 1, HELD_OUT, 0, 1, 0])
    part = np.array([0, 0, HELD_OUT, 2, 1, 0])
    count = 6 * (views + 1) + nobody
    return Samples(
        KNOWN, Stored(_numbered(count), -_numbered(count), views), characters, Split(part, np.arange(6), seed=0)
    )


def _rows(part: Part) -> list[int]:
    """Return which vectors a part reads."""
    return [int(number) for number in part.embeddings()[:, 0]]


# Parts


def test_a_part_reads_its_rows_in_their_order() -> None:
    """Whole, by a slice, or by positions: each vector is that of its row, and labels go along."""
    part = Part(_numbered(10), np.array([7, 2, 2, 9]), np.array([1, 0, 0, 1]))
    assert (len(part), part.dimension) == (4, DIMENSION)
    assert _rows(part) == [7, 2, 2, 9]
    assert part.embeddings(slice(1, 3))[:, 0].tolist() == [2, 2]
    assert part.embeddings(np.array([3, 0]))[:, 0].tolist() == [9, 7]
    some = part.only(np.array([True, False, False, True]))
    assert (_rows(some), some.characters.tolist()) == ([7, 9], [1, 1])


@pytest.mark.parametrize("count", [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK - 1])
def test_blocks_cover_a_part_once(count: int) -> None:
    """Each block says where it belongs; none is larger than what may be held in memory."""
    part = Part.of(_numbered(count), np.zeros(count, np.int64))
    read = np.full(count, -1.0)
    for place, block in part.blocks():
        assert 0 < len(block) <= BLOCK
        assert (read[place] == -1).all()
        read[place] = block[:, 0]
    assert np.array_equal(read, np.arange(count))


def test_a_part_is_thinned_evenly() -> None:
    """The first and the last picture stay, and those between are as far apart as can be; a small part stays whole."""
    part = Part(np.zeros((50, 2), dtype=np.float32), np.arange(10, 21), np.arange(100, 111))
    assert part.at_most(3).rows.tolist() == [10, 15, 20]
    assert part.at_most(3).characters.tolist() == [100, 105, 110]
    assert part.at_most(11) is part


def test_parts_of_one_library_are_put_together() -> None:
    """Rows and labels follow one another; parts of two libraries do not mix, however alike their vectors are."""
    vectors = _numbered(5)
    one, other = Part(vectors, np.array([4, 1]), np.array([0, 1])), Part(vectors, np.array([3]), np.array([1]))
    both = one + other
    assert (_rows(both), both.characters.tolist()) == ([4, 1, 3], [0, 1, 1])
    with pytest.raises(ValueError, match="different libraries"):
        one + Part.of(_numbered(5), np.zeros(5, np.int64))


# Samples


def test_the_parts_are_those_of_the_split() -> None:
    """Training, validation and test hold the pictures that were divided among them, and nobody who is held out."""
    samples = _samples()
    found = {name: samples.part(name) for name in PARTS}
    assert {name: _rows(part) for name, part in found.items()} == {"train": [0, 1, 5], "validation": [4], "test": [3]}
    assert {name: part.characters.tolist() for name, part in found.items()} == {
        "train": [0, 1, 0],
        "validation": [1],
        "test": [0],
    }
    assert _rows(samples.at(np.array([5, 3]))) == [5, 3]
    assert samples.at(np.array([2])).characters.tolist() == [HELD_OUT]


@pytest.mark.parametrize("views", [0, 1, 3])
def test_training_sees_every_view_of_its_pictures(views: int) -> None:
    """A picture's views are as many rows behind it as there are pictures, each with the picture's label; no other's."""
    samples = _samples(views)
    seen = samples.seen(samples.part("train"))
    assert _rows(seen) == [6 * view + row for view in range(views + 1) for row in (0, 1, 5)]
    assert seen.characters.tolist() == [0, 1, 0] * (views + 1)


@pytest.mark.parametrize(("views", "nobody"), [(0, 4), (2, 4), (2, 0)])
def test_pictures_of_nobody_come_last(views: int, nobody: int) -> None:
    """What is behind all views shows nobody, and is labelled so; there may be none."""
    part = _samples(views, nobody).nothing
    assert _rows(part) == list(range(6 * (views + 1), 6 * (views + 1) + nobody))
    assert part.characters.tolist() == [HELD_OUT] * nobody


def test_heads_read_the_same_rows_of_their_inputs() -> None:
    """Where heads read features, rows and labels of a part stay, and only what is read of them is another."""
    samples = _samples()
    part = samples.seen(samples.part("train"))
    read = samples.read(part)
    assert np.array_equal(read.embeddings(), -part.embeddings())
    assert np.array_equal(read.characters, part.characters)
    assert samples.read(samples.part("train")) + samples.read(samples.part("test"))


def test_who_is_not_in_the_hierarchy_has_no_number() -> None:
    """Class numbers are those of the model's labels; a character that it is not to know is HELD_OUT."""
    entries = _entries([CAT, BOB, ADA, CAT, BOB], range(5))
    assert numbers_of(KNOWN, entries).tolist() == [HELD_OUT, 1, 0, HELD_OUT, 1]


def _many(count: int, characters: int) -> tuple[list[Character], list[int]]:
    """Invent pictures of some characters, with hashes that are not near one another."""
    hashes = [int(value) for value in np.random.default_rng(0).integers(0, 2**63, count)]
    return [(ADA, BOB, CAT)[number % characters] for number in range(count)], hashes


def test_held_out_characters_are_in_no_part() -> None:
    """They stay in the library with their vectors, and neither training nor any measurement meets them."""
    characters, hashes = _many(300, 3)
    vectors = unit_length(np.random.default_rng(1).normal(size=(300, 64)).astype(np.float32))
    samples = Samples.of(KNOWN, _entries(characters, hashes), Stored(vectors, vectors), 0, alike=True)
    assert samples.split.held_out.tolist() == list(range(2, 300, 3))
    for name in PARTS:
        assert set(samples.part(name).characters) == {0, 1}
    assert sum(len(samples.part(name)) for name in PARTS) == 200


@pytest.mark.parametrize("alike", [True, False])
def test_near_duplicates_are_found_by_embeddings_where_these_mean_something(*, alike: bool) -> None:
    """Pictures whose vectors coincide go to one part, unless the vectors are those of an untrained network."""
    characters, hashes = _many(200, 2)
    pairs = np.repeat(np.random.default_rng(2).normal(size=(100, 64)), 2, axis=0)
    vectors = unit_length(pairs.astype(np.float32))
    samples = Samples.of(KNOWN, _entries(characters, hashes), Stored(vectors, vectors), 0, alike=alike)
    part = samples.split.part.reshape(-1, 2)
    assert bool((part[:, 0] == part[:, 1]).all()) == alike
    assert len(set(samples.split.group)) == (100 if alike else 200)


# Predictions


class _Few:
    """Vectors of which only so many may be read at once."""

    def __init__(self, held: Matrix) -> None:
        self._held = held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, and their dimension."""
        return self._held.shape

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Matrix:
        rows = self._held[index]
        assert len(rows) <= BLOCK
        return rows


@pytest.mark.parametrize("count", [0, 1, BLOCK + 3])
def test_predictions_are_made_block_by_block(count: int) -> None:
    """They are those of all vectors together, in order, without ever holding more than a block; none for no picture."""
    draw = np.random.default_rng(3)
    shapes = {space.name: len(space) for space in KNOWN.spaces}
    heads = Heads(
        KNOWN,
        {name: draw.normal(size=(rows, DIMENSION)).astype(np.float32) for name, rows in shapes.items()},
        {name: draw.normal(size=rows).astype(np.float32) for name, rows in shapes.items()},
    )
    vectors = draw.normal(size=(count, DIMENSION)).astype(np.float32)
    found = predict(heads, Part.of(_Few(vectors), np.zeros(count, np.int64)))
    expected = heads.probabilities(vectors)
    for space in ("type", "character", "show"):
        assert getattr(found, space).shape == getattr(expected, space).shape
        np.testing.assert_allclose(getattr(found, space), getattr(expected, space), rtol=1e-5)
