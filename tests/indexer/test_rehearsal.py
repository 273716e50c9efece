"""`indexer.evaluation.rehearsal`: who is asked about was never shown, and each answer is judged by what was known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import cos, radians

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.evaluation.rehearsal import KINDS, TURNS, Answers, Questions, ask, rehearse, shows_told, together
from indexer.samples import Part, Samples, Stored
from indexer.split import HELD_OUT, Split
from recommender.calibration import LEVELS
from recommender.embeddings import unit_length
from recommender.heads import Heads, Input
from recommender.labels import Hierarchy
from recommender.types import Character, Matrix, Show

pytestmark = pytest.mark.slow

EACH = 4
"""Pictures of each character: two to learn from, one in each other part."""
UNKNOWN_CHARACTER, UNKNOWN_SHOW = KINDS.index("unknown character"), KINDS.index("unknown show")


def _cast(sizes: Sequence[int]) -> Hierarchy:
    """Return shows of so many characters each."""
    return Hierarchy.of(
        Character(f"hero-{number}", "Hero", Show(f"show-{show}", "Show"), ("male", "female", None)[number % 3])
        for show, size in enumerate(sizes)
        for number in range(size)
    )


def _samples(hierarchy: Hierarchy, views: int = 0, held_out: int = 0, reads: Input = "embedding") -> Samples:
    """Return EACH pictures of each character around a direction of its own, and of characters that are held out."""
    count = len(hierarchy.characters)
    characters = np.append(np.repeat(np.arange(count), EACH), np.full(held_out, HELD_OUT))
    part = np.append(np.tile([0, 0, 1, 2], count), np.full(held_out, HELD_OUT))
    draw = np.random.default_rng(0)
    places = np.where(characters == HELD_OUT, count, characters)
    vectors = np.eye(count + 1)[np.tile(places, views + 1)]
    vectors = unit_length((vectors + 0.2 * draw.normal(size=vectors.shape)).astype(np.float32))
    stored = Stored(vectors, vectors if reads == "embedding" else 7 * vectors, views)
    return Samples(hierarchy, stored, characters, Split(part, np.arange(len(part)), seed=3))


def _means(hierarchy: Hierarchy, part: Part, *, joint: bool = True) -> Heads:
    """Return heads that take a picture for the character whose pictures it is nearest to on average."""
    count, vectors = len(hierarchy.characters), part.embeddings()
    weights: dict[str, Matrix] = {
        space.name: np.zeros((len(space), part.dimension), np.float32) for space in hierarchy.spaces
    }
    weights["character"] = np.stack([9 * vectors[part.characters == one].mean(axis=0) for one in range(count)])
    biases: dict[str, Matrix] = {name: np.zeros(len(rows), np.float32) for name, rows in weights.items()}
    return Heads(hierarchy, weights, biases, joint=joint)


@dataclass
class _Trainer:
    """Trains by means, and notes for each turn who was known and which rows were shown."""

    hierarchies: list[Hierarchy] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def __call__(self, hierarchy: Hierarchy, part: Part) -> Heads:
        self.hierarchies.append(hierarchy)
        self.parts.append(part)
        return _means(hierarchy, part)


def _rehearsed(samples: Samples, part: str = "validation") -> tuple[_Trainer, list[Answers]]:
    trainer = _Trainer()
    return trainer, list(rehearse(samples, trainer, part))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(0, 2))
def test_who_is_asked_about_was_never_shown(sizes: list[int], views: int) -> None:
    """Whatever the library, heads see no picture and no view of the unknown, and all of everybody else; two stay known.

    A character that is unknown has somebody left in its show; of a show that is unknown, nobody is left.
    """
    hierarchy = _cast(sizes)
    samples = _samples(hierarchy, views, held_out=3)
    trainer, answers = _rehearsed(samples)
    shown = samples.seen(samples.part("train")).rows
    asked = samples.part("validation")
    for known, part, answer in zip(trainer.hierarchies, trainer.parts, answers, strict=True):
        numbers = [hierarchy.character_space.positions[label] for label in known.character_space.labels]
        unknown = sorted(set(range(len(hierarchy.characters))) - set(numbers))
        rows = shown[np.isin(samples.characters[shown % len(samples.characters)], numbers)]
        assert sorted(part.rows.tolist()) == sorted(rows.tolist())
        assert np.array_equal(
            np.array(numbers)[part.characters], samples.characters[part.rows % len(samples.characters)]
        )
        assert len(answer) == np.isin(asked.characters, unknown).sum() == len(unknown)
        assert len(numbers) >= 2
        (kind,) = set(answer.kind)
        shows = {hierarchy.characters[number].show.slug for number in unknown} & set(known.show_space.labels)
        assert len(shows) == (
            len({hierarchy.characters[one].show.slug for one in unknown}) if kind == UNKNOWN_CHARACTER else 0
        )
        assert not answer.right["character"].any()
        assert not answer.right["show"].any() or kind == UNKNOWN_CHARACTER


def _unknown(samples: Samples, kind: int) -> list[set[str]]:
    """Return who was unknown in each turn of a kind."""
    trainer, answers = _rehearsed(samples)
    everybody = set(samples.hierarchy.character_space.labels)
    return [
        everybody - set(known.character_space.labels)
        for known, answer in zip(trainer.hierarchies, answers, strict=True)
        if set(answer.kind) == {kind}
    ]


@pytest.mark.parametrize("sizes", [[3], [2, 2], [1, 4, 2], [9, 2, 1], [2, 1]])
def test_every_character_of_a_show_with_several_is_unknown_once(sizes: list[int]) -> None:
    """In at most four turns each has been unknown once; the only one of its show never is, since the show would be."""
    turns = _unknown(_samples(_cast(sizes)), UNKNOWN_CHARACTER)
    assert 0 < len(turns) <= TURNS
    expected = sorted(
        f"show-{show}/hero-{number}" for show, size in enumerate(sizes) for number in range(size) if size > 1
    )
    assert sorted(label for turn in turns for label in turn) == expected


@pytest.mark.parametrize("sizes", [[2, 2], [1, 1, 1], [1, 4, 2], [3, 3], [1] * 9])
def test_every_show_is_unknown_once(sizes: list[int]) -> None:
    """In at most four turns each has been unknown once, with all of its characters."""
    hierarchy = _cast(sizes)
    turns = _unknown(_samples(hierarchy), UNKNOWN_SHOW)
    assert 0 < len(turns) <= TURNS
    assert sorted(label for turn in turns for label in turn) == list(hierarchy.character_space.labels)


def test_characters_come_before_shows() -> None:
    """The first turns leave out characters, the others whole shows."""
    _, answers = _rehearsed(_samples(_cast([3, 2, 2])))
    kinds = [int(answer.kind[0]) for answer in answers]
    assert kinds == sorted(kinds)
    assert set(kinds) == {UNKNOWN_CHARACTER, UNKNOWN_SHOW}


@pytest.mark.parametrize(
    ("sizes", "kinds"),
    [
        ([2], set()),
        ([1, 1], set()),
        ([3], {UNKNOWN_CHARACTER}),
        ([1, 1, 1], {UNKNOWN_SHOW}),
        ([1, 2], {UNKNOWN_CHARACTER, UNKNOWN_SHOW}),
        ([2, 2], {UNKNOWN_CHARACTER, UNKNOWN_SHOW}),
    ],
)
def test_what_a_library_cannot_rehearse_it_does_not(sizes: list[int], kinds: set[int]) -> None:
    """One show has no unknown show, and where fewer than two characters would stay known nobody is made unknown."""
    _, answers = _rehearsed(_samples(_cast(sizes)))
    assert {int(answer.kind[0]) for answer in answers} == kinds


@pytest.mark.parametrize(("count", "words"), [(1, "with 1 show, "), (2, "with 2 shows, "), (3, ""), (12, "")])
def test_too_few_shows_are_told(count: int, words: str) -> None:
    """While one of two shows is unknown one is left, which is no choice: whoever trains has to know."""
    told = shows_told(count)
    assert told.startswith(words)
    assert bool(told) == bool(words)
    assert "could not be rehearsed" in told or not words


def test_without_pictures_to_ask_about_there_are_no_answers() -> None:
    """A part without pictures asks nothing, and no heads are trained for it."""
    samples = _samples(_cast([3, 2]))
    nobody = replace(samples, split=replace(samples.split, part=np.zeros_like(samples.split.part)))
    assert _rehearsed(nobody) == (_Trainer(), [])


def test_the_same_seed_rehearses_the_same() -> None:
    """Turns follow the seed of the split; another seed leaves out others together."""
    samples = _samples(_cast([9, 7, 5]))
    other = replace(samples, split=replace(samples.split, seed=4))
    first, again, another = (_unknown(one, UNKNOWN_CHARACTER) for one in (samples, samples, other))
    assert first == again != another


def test_heads_read_what_they_read_and_cosines_are_those_of_embeddings() -> None:
    """Where heads read features, they are trained on these and asked about these, and nearness stays the same."""
    plain, features = (_samples(_cast([3, 2]), reads=reads) for reads in ("embedding", "features"))
    trainer, answers = _rehearsed(features)
    _, expected = _rehearsed(plain)
    for part in trainer.parts:
        np.testing.assert_allclose(np.linalg.norm(part.embeddings(), axis=1), 7, rtol=1e-5)
    for one, other in zip(answers, expected, strict=True):
        assert np.array_equal(one.nearest, other.nearest)
        assert (one.probability["character"] > other.probability["character"]).all()


# Answers


SEA, HILLS = Show("sea", "Sea"), Show("hills", "Hills")
CAT, ADA, BOB, EVE = (
    Character("cat", "Cat", HILLS, "non-human"),
    Character("ada", "Ada", SEA, "female"),
    Character("bob", "Bob", SEA, "male"),
    Character("eve", "Eve", SEA, None),
)
EVERYBODY = Hierarchy.of([ADA, BOB, CAT, EVE])
"""Numbered cat, ada, bob, eve: hills come before the sea."""


def _at(degrees: Sequence[float], characters: Sequence[int]) -> Part:
    """Return pictures at these angles, whose cosines can be told."""
    angles = np.radians(degrees)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return Part.of(vectors, np.array(characters, dtype=np.int64))


def _compass(characters: Sequence[Character], degrees: Sequence[float], *, joint: bool = True) -> Heads:
    """Return heads that take a picture for the character at the nearest angle, and for the type that it has."""
    hierarchy = Hierarchy.of(characters)
    by_label = dict(zip((one.label for one in characters), degrees, strict=True))
    angles = [by_label[label] for label in hierarchy.character_space.labels]
    part = _at(angles, range(len(angles)))
    return _means(hierarchy, part, joint=joint)


def _cosines(*degrees: float) -> list[float]:
    return [cos(radians(one)) for one in degrees]


def test_an_answer_is_judged_level_by_level() -> None:
    """Pictures of Ada, Bob, Eve and nobody, asked of heads that know Cat at 0, Ada at 90 and Bob at 180 degrees.

    The catalogue holds Cat at 10, Ada at 80 and Bob at 150 degrees: nearest is whoever is, near is who was guessed.
    """
    heads = _compass([CAT, ADA, BOB], [0, 90, 180])
    catalogue = _at([10, 80, 150], [0, 1, 2])
    asked = _at([85, 100, 60, 20], [1, 2, 3, HELD_OUT])  # guessed as Ada, Ada, Ada, Cat
    found = ask(heads, catalogue, Questions(asked, asked, 2), EVERYBODY)
    assert found.kind.tolist() == [2] * 4
    assert found.right["character"].tolist() == [True, False, False, False]
    assert found.right["show"].tolist() == [True, True, True, False]
    assert found.right["type"].tolist() == [True, False, False, False]
    assert found.counts["character"].all()
    assert found.counts["show"].all()
    assert found.counts["type"].tolist() == [True, True, False, True]  # nobody knows Eve's type
    assert found.nearest == pytest.approx(_cosines(5, 20, 20, 10), abs=1e-6)
    assert found.near["character"] == pytest.approx(_cosines(5, 20, 20, 10), abs=1e-6)
    assert found.near["show"] == pytest.approx(_cosines(5, 20, 20, 10), abs=1e-6)
    probabilities = heads.probabilities(asked.embeddings())
    for level in LEVELS:
        assert found.probability[level] == pytest.approx(getattr(probabilities, level).max(axis=1))


def test_nobody_is_never_named_rightly() -> None:
    """Whoever a picture of nobody is taken for, the last of all characters included, it is wrong at every level."""
    asked = _at([0, 90], [HELD_OUT, HELD_OUT])
    heads = _compass([CAT, replace(EVE, type="male")], [0, 90])
    everybody = Hierarchy.of([CAT, replace(EVE, type="male")])
    found = ask(heads, _at([0], [0]), Questions(asked, asked, 3), everybody)
    for level in LEVELS:
        assert not found.right[level].any()
        assert found.counts[level].all()


def test_near_is_who_was_guessed_and_not_who_is_nearest() -> None:
    """A picture guessed as Bob has a near picture of Cat, a nearer one of Bob's show, and Bob's own far away."""
    heads = _compass([CAT, ADA, BOB], [0, 90, 180])
    catalogue = _at([130, 110, 200, 240], [0, 1, 2, 2])
    asked = _at([140], [2])
    found = ask(heads, catalogue, Questions(asked, asked, 0), EVERYBODY)
    assert found.nearest == pytest.approx(_cosines(10), abs=1e-6)
    assert found.near["character"] == pytest.approx(_cosines(60), abs=1e-6)
    assert found.near["show"] == pytest.approx(_cosines(30), abs=1e-6)
    assert found.near["type"] == pytest.approx(_cosines(60), abs=1e-6)


def test_a_label_without_a_stored_picture_is_as_far_as_can_be() -> None:
    """Who was guessed but has no picture in the catalogue is at the other end of the world: a cosine of -1."""
    asked = _at([90], [1])
    found = ask(_compass([CAT, ADA], [0, 90]), _at([95], [0]), Questions(asked, asked, 0), EVERYBODY)
    assert found.nearest == pytest.approx(_cosines(5), abs=1e-6)
    assert [found.near[level].tolist() for level in LEVELS] == [[-1.0]] * len(LEVELS)


def test_heads_that_know_fewer_are_asked_in_everybodys_numbers() -> None:
    """Heads that number Bob and Eve as 0 and 1, and their show as 0, are judged by what these are called by all."""
    heads = _compass([BOB, EVE], [0, 90])
    asked = _at([0, 90, 90], [2, 3, 2])
    found = ask(heads, _at([0, 90], [2, 3]), Questions(asked, asked, 0), EVERYBODY)
    assert found.right["character"].tolist() == [True, True, False]
    assert found.right["show"].tolist() == [True, True, True]
    assert found.near["character"] == pytest.approx(_cosines(0, 0, 0), abs=1e-6)


def test_separate_heads_are_asked_as_they_answer() -> None:
    """What an answer shows of separate heads is the characters' sums; that is what is judged."""
    heads = _compass([CAT, ADA, BOB], [0, 90, 180], joint=False)
    misled = replace(heads, biases={**heads.biases, "show": np.array([9.0, 0.0], np.float32)})
    asked = _at([90], [1])
    found = ask(misled, _at([90], [1]), Questions(asked, asked, 0), EVERYBODY)
    assert found.right["show"].tolist() == [True]
    assert found.probability["show"] == pytest.approx(heads.consistent().probabilities(asked.embeddings()).show.max())


def test_answers_are_put_together_and_chosen_from() -> None:
    """Every field keeps its row, whatever is appended and left out."""
    heads, catalogue = _compass([CAT, ADA, BOB], [0, 90, 180]), _at([10, 80, 150], [0, 1, 2])
    asked = _at(list(range(0, 180, 15)), [number % 4 for number in range(12)])
    whole = ask(heads, catalogue, Questions(asked, asked, 0), EVERYBODY)
    first, second = np.arange(12) < 5, np.arange(12) >= 5
    again = together([whole.only(first), whole.only(second)])
    assert len(again) == len(whole) == 12
    assert np.array_equal(again.nearest, whole.nearest)
    assert np.array_equal(again.kind, whole.kind)
    for name in ("probability", "near", "right", "counts"):
        for level in LEVELS:
            assert np.array_equal(getattr(again, name)[level], getattr(whole, name)[level])


def test_answers_about_many_pictures_are_those_about_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cosines are computed in blocks of questions and of the catalogue; none is lost between two blocks."""
    monkeypatch.setattr("indexer.samples.BLOCK", 32)
    draw = np.random.default_rng(4)
    angles, stored = draw.uniform(0, 360, 75), draw.uniform(0, 360, 100)
    asked, catalogue = _at(angles.tolist(), [0] * 75), _at(stored.tolist(), draw.integers(0, 3, 100).tolist())
    found = ask(_compass([CAT, ADA, BOB], [0, 120, 240]), catalogue, Questions(asked, asked, 0), EVERYBODY)
    cosine = asked.embeddings().astype(float) @ catalogue.embeddings().T
    assert found.nearest == pytest.approx(cosine.max(axis=1), abs=1e-5)
    guessed = ((angles + 60) % 360 // 120).astype(int)
    own = np.where(catalogue.characters[np.newaxis] == guessed[:, np.newaxis], cosine, -1).max(axis=1)
    assert found.near["character"] == pytest.approx(own, abs=1e-5)
