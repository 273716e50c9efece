"""`indexer.drift`: overlaps worked out by hand, and by sorting all similarities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer import drift
from indexer.drift import NEIGHBOURS, Drift, measure_drift
from recommender.embeddings import EmbeddingSpace, unit_length
from recommender.snapshots import Snapshot, SnapshotContent, open_snapshot, write_snapshot
from recommender.types import Character, Matrix, PictureId, Show
from tests.fakes import SPACE

OTHER = replace(SPACE, weights="others")
SHOWS = [Show(name, name) for name in ("even", "odd")]
CAST = [Character("hero", "Hero", show) for show in SHOWS]


def _id(number: int) -> PictureId:
    return PictureId(hashlib.sha256(str(number).encode()).hexdigest())


def _content(vectors: Matrix, numbers: Sequence[int]) -> SnapshotContent:
    """Make a snapshot's content of pictures with these numbers, which are of the even or the odd show."""
    return SnapshotContent(
        model="fake",
        model_digest="d" * 64,
        space=OTHER,
        pictures=[_id(number) for number in numbers],
        characters=[CAST[number % 2] for number in numbers],
        vectors=unit_length(vectors),
        created="2026-01-01T00:00:00Z",
    )


def _snapshot(folder: Path, content: SnapshotContent) -> Snapshot:
    content = replace(content, space=SPACE)
    return open_snapshot(folder / "s1", write_snapshot(folder / "s1", content, lambda _: None).digest)


def _random(count: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(count, SPACE.dimension)).astype(np.float32)


def _expected(before: Matrix, after: Matrix, common: Sequence[int], asked: Sequence[int]) -> float:
    """Return the mean overlap by sorting whole rows of similarities. Row r of both is the same picture."""
    overlaps = []
    for row in asked:
        old = [int(other) for other in np.argsort(-(before @ before[row])) if other != row][:NEIGHBOURS]
        new = [int(other) for other in np.argsort(-(after @ after[row])) if other != row and int(other) in common]
        overlaps.append(len(set(old) & set(new[:NEIGHBOURS])) / NEIGHBOURS)
    return float(np.mean(overlaps))


@pytest.mark.parametrize("block", [7, 4096])
def test_the_overlap_is_that_of_sorted_neighbours(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that were stirred a little keep some neighbours, as many as a full sort says, whatever the block."""
    monkeypatch.setattr(drift, "BLOCK", block)
    before = unit_length(_random(60))
    after = unit_length(before + 0.15 * _random(60, 1))
    order = np.random.default_rng(2).permutation(60)
    measured = measure_drift(_snapshot(tmp_path, _content(before, range(60))), _content(after[order], order.tolist()))
    assert measured.overlap == pytest.approx(_expected(before, after, range(60), range(60)))
    assert 0.3 < measured.overlap < 0.95
    assert measured.pictures == 60


def test_the_same_pictures_in_the_same_space_do_not_drift(tmp_path: Path) -> None:
    """Whatever was added, nothing is computed: the vectors may even be left out."""
    before = _snapshot(tmp_path, _content(_random(20), range(20)))
    coming = replace(_content(_random(30), range(30)), space=SPACE, vectors=np.empty((0, 12), np.float32))
    assert measure_drift(before, coming) == Drift("s1", 1.0, 20)


def test_a_library_that_grows_does_not_drift(tmp_path: Path) -> None:
    """New pictures among the neighbours of old ones are no drift, in another space neither."""
    vectors = _random(300)
    before = _snapshot(tmp_path, _content(vectors[:30], range(30)))
    assert measure_drift(before, _content(vectors, range(300))).overlap == 1.0


@pytest.mark.parametrize("space", [SPACE, OTHER], ids=["same space", "another space"])
def test_neighbours_that_are_gone_are_drift(tmp_path: Path, space: EmbeddingSpace) -> None:
    """With half of the pictures gone, as many neighbours are missing as a full sort says."""
    vectors = unit_length(_random(80))
    kept = list(range(0, 80, 2))
    coming = replace(_content(vectors[kept], kept), space=space)
    measured = measure_drift(_snapshot(tmp_path, _content(vectors, range(80))), coming)
    assert measured.overlap == pytest.approx(_expected(vectors, vectors, kept, kept))
    assert measured.pictures == 40
    assert measured.other_space == ("another model" in measured.to_text()) == (space == OTHER)


def test_another_library_has_nothing_in_common(tmp_path: Path) -> None:
    """Then the overlap is 0, in words; of a single picture, which has no neighbour, nothing can be lost."""
    before = _snapshot(tmp_path, _content(_random(20), range(20)))
    measured = measure_drift(before, _content(_random(20), range(50, 70)))
    assert measured == Drift("s1", 0.0, 0, other_space=True)
    assert measured.to_text() == "nothing in common with s1: none of its pictures is in this one"
    single = _snapshot(tmp_path / "single", _content(_random(1), [3]))
    assert measure_drift(single, _content(_random(2), [3, 4])).overlap == 1.0


def test_shows_that_changed_most_are_named(tmp_path: Path) -> None:
    """Only the odd show's vectors were stirred: it is the worse one, with an overlap of its own."""
    groups = np.repeat(np.eye(2, SPACE.dimension, dtype=np.float32), 30, axis=0)
    numbers = [*range(0, 60, 2), *range(1, 60, 2)]
    before = groups + 0.1 * _random(60)
    after = before.copy()
    after[30:] = groups[30:] + 0.1 * _random(30, 5)
    measured = measure_drift(_snapshot(tmp_path, _content(before, numbers)), _content(after, numbers))
    assert [show for show, _ in measured.shows] == ["odd"]
    assert measured.shows[0][1] < 0.9
    assert "odd 0." in measured.to_text()


def test_equal_neighbours_may_come_in_any_order(tmp_path: Path) -> None:
    """Where more pictures are equally near than count, none of them is drift."""
    same = np.tile(_random(1), (40, 1))
    order = list(reversed(range(40)))
    assert measure_drift(_snapshot(tmp_path, _content(same, range(40))), _content(same, order)).overlap == 1.0
