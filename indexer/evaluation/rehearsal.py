"""Rehearsal: what a model says about pictures of somebody it does not know, before a stranger asks.

A library holds only characters that its model is to know. So some of them are made unknown: heads are trained without
them, and asked about their pictures; then without whole shows; and about pictures that show nobody at all. Beside the
answers about pictures of known characters these tell when a label may be believed. Not here: what is made of them
(`calibration`, `evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.samples import Part, Samples, predict
from indexer.split import HELD_OUT
from recommender.calibration import LEVELS
from recommender.heads import Heads
from recommender.labels import UNTYPED, Hierarchy

KINDS = ("known", "unknown character", "unknown show", "nothing")
"""What a picture may show: a character that the model knows, another one of a known show, one of a show that it does
not know, or nobody."""
TURNS = 4
"""In so many turns every character is unknown once, and every show; a show may be unknown in only so many."""

ENOUGH_SHOWS = 3
"""With fewer shows, at most one stays known while another is unknown: heads that know one show are always sure of it,
and strangers are compared with half of the catalogue, so that they seem less near than they will be."""

ASKED = 4_000
"""The most pictures that are asked about at once. Each is compared with the whole catalogue: beyond a few thousand the
time grows with the square of the library, and what is learned hardly at all."""

Train = Callable[[Hierarchy, Part], Heads]
"""Trains heads for some characters on some pictures. The rows of the part are those of what heads read."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said about n pictures, level by level, and whether it was right.

    `kind` numbers KINDS. For each level, `probability` is that of the best label, `near` the cosine to the nearest
    picture of that label in the catalogue, `right` whether it is the picture's, `counts` whether that is known at all
    (a character without a type has no right one); `nearest` is the cosine to the nearest picture of all.
    """

    kind: NDArray[np.int64]
    nearest: NDArray[np.float64]
    probability: dict[str, NDArray[np.float64]]
    near: dict[str, NDArray[np.float64]]
    right: dict[str, NDArray[np.bool_]]
    counts: dict[str, NDArray[np.bool_]]

    def __len__(self) -> int:
        return len(self.kind)

    def only(self, chosen: NDArray[np.bool_]) -> Answers:
        """Return the answers that a mask lets through."""
        return Answers(
            self.kind[chosen],
            self.nearest[chosen],
            probability={level: values[chosen] for level, values in self.probability.items()},
            near={level: values[chosen] for level, values in self.near.items()},
            right={level: values[chosen] for level, values in self.right.items()},
            counts={level: values[chosen] for level, values in self.counts.items()},
        )


def together(several: Sequence[Answers]) -> Answers:
    """Put several batches of answers into one."""
    return Answers(
        np.concatenate([one.kind for one in several]),
        np.concatenate([one.nearest for one in several]),
        probability={level: np.concatenate([one.probability[level] for one in several]) for level in LEVELS},
        near={level: np.concatenate([one.near[level] for one in several]) for level in LEVELS},
        right={level: np.concatenate([one.right[level] for one in several]) for level in LEVELS},
        counts={level: np.concatenate([one.counts[level] for one in several]) for level in LEVELS},
    )


@dataclass(frozen=True, slots=True)
class Questions:
    """Pictures to ask about: what the heads read, the embeddings, and the character of each, or HELD_OUT for nobody."""

    read: Part
    embedded: Part
    kind: int


def ask(heads: Heads, catalogue: Part, questions: Questions, everybody: Hierarchy) -> Answers:
    """Ask heads about pictures. `catalogue` is what the pictures are compared with; both number `everybody`.

    The heads may know fewer characters than `everybody` has.
    """
    truth = questions.embedded.characters
    places = everybody.character_space.positions
    known = np.array([places[label] for label in heads.hierarchy.character_space.labels], dtype=np.int64)
    found = predict(heads.consistent(), questions.read)
    best = {
        "character": known[found.character.argmax(axis=1)],
        "show": _renumbered(heads.hierarchy.show_space.labels, everybody.show_space.positions)[
            found.show.argmax(axis=1)
        ],
        "type": found.type.argmax(axis=1),
    }
    probability = {level: getattr(found, level).max(axis=1, initial=0.0) for level in LEVELS}
    nearest, near = _nearness(questions.embedded, catalogue, best, everybody)
    parent = {level: parent_of(everybody, level) for level in LEVELS}
    somebody = truth != HELD_OUT
    right = {level: somebody & (best[level] == parent[level][truth]) for level in LEVELS}
    counts = {level: np.ones(len(truth), dtype=bool) for level in LEVELS}
    counts["type"] = ~somebody | (everybody.type_of[truth] != UNTYPED)
    return Answers(np.full(len(truth), questions.kind), nearest, probability, near, right, counts)


def shows_told(count: int) -> str:
    """Say what a model of so many shows could not rehearse; empty where they are enough."""
    if count >= ENOUGH_SHOWS:
        return ""
    shows, how = ("1 show", "") if count == 1 else (f"{count} shows", " but with a single known one")
    return (
        f"with {shows}, what the model does with a picture of an unknown show could not be rehearsed{how}: "
        f"it may name a show that it knows (a library of {ENOUGH_SHOWS} shows or more is safer)"
    )


def parent_of(hierarchy: Hierarchy, level: str) -> NDArray[np.int64]:
    """Return, for each character's number, the number of its label at a level."""
    if level == "character":
        return np.arange(len(hierarchy.characters))
    return hierarchy.show_of if level == "show" else hierarchy.type_of


def rehearse(samples: Samples, train: Train, part: str) -> Iterator[Answers]:
    """Yield answers about pictures of `part` whose characters the heads were trained without, turn by turn.

    Characters are unknown first, then shows. A library of one show has no unknown show, one of two characters has no
    unknown character: then there are none.
    """
    everybody = samples.hierarchy
    training, asked = samples.part("train"), samples.part(part).at_most(ASKED)
    for kind, unknown in _turns(everybody, samples.split.seed):
        left = np.flatnonzero(~unknown)
        hierarchy = Hierarchy(tuple(everybody.characters[number] for number in left))
        renumbered = np.full(len(everybody.characters), HELD_OUT, dtype=np.int64)
        renumbered[left] = np.arange(len(left))
        learned = training.only(~unknown[training.characters])
        questions = asked.only(unknown[asked.characters])
        if not len(questions) or not len(learned):
            continue
        read = samples.read(samples.seen(learned))
        heads = train(hierarchy, Part(read.vectors, read.rows, renumbered[read.characters]))
        yield ask(heads, learned, Questions(samples.read(questions), questions, kind), everybody)


def _turns(everybody: Hierarchy, seed: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the kind and the mask of who is unknown; at least two characters, and one of each show, stay known."""
    generator = np.random.default_rng(seed)
    count = len(everybody.characters)
    of_show = [generator.permutation(np.flatnonzero(everybody.show_of == show)) for show in range(len(everybody.shows))]
    for turn in range(TURNS):
        unknown = np.zeros(count, dtype=bool)
        for members in of_show:
            # Of two characters one is unknown in the first turn and the other in the second.
            unknown[
                [one for place, one in enumerate(members) if place % max(TURNS, 2) == turn and len(members) > 1]
            ] = True
        if unknown.any() and np.count_nonzero(~unknown) > 1:
            yield KINDS.index("unknown character"), unknown
    shows = generator.permutation(len(everybody.shows))
    for turn in range(min(TURNS, len(shows))):
        unknown = np.isin(everybody.show_of, shows[turn::TURNS])
        if np.count_nonzero(~unknown) > 1:
            yield KINDS.index("unknown show"), unknown


def _renumbered(labels: Sequence[str], positions: dict[str, int]) -> NDArray[np.int64]:
    """Return the numbers that labels have elsewhere."""
    return np.array([positions[label] for label in labels], dtype=np.int64)


def _nearness(
    questions: Part, catalogue: Part, best: dict[str, NDArray[np.int64]], everybody: Hierarchy
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return the cosine of each picture to its nearest one of the catalogue, and to that of its best labels."""
    nearest = np.full(len(questions), -1.0)
    near = {level: np.full(len(questions), -1.0) for level in LEVELS}
    for place, asked in questions.blocks():
        for there, block in catalogue.blocks():
            cosine = asked @ block.T
            nearest[place] = np.maximum(nearest[place], cosine.max(axis=1))
            for level in LEVELS:
                stored = parent_of(everybody, level)[catalogue.characters[there]]
                same = stored[np.newaxis] == best[level][place, np.newaxis]
                near[level][place] = np.maximum(near[level][place], np.where(same, cosine, -1.0).max(axis=1))
    return nearest, near
