"""`indexer.evaluation.retrieval`: rankings counted by hand, the same however they are cut into blocks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score

from indexer.evaluation import retrieval
from indexer.evaluation.intervals import mean_interval
from indexer.evaluation.retrieval import Components, Items, Retrieval, Rows, random_average_precision, retrieve
from recommender.embeddings import unit_length
from recommender.types import Matrix

pytestmark = pytest.mark.slow


class Lazy:
    """Vectors that are read when asked for, never more than a block of them, and can do nothing else."""

    def __init__(self, vectors: Matrix, most: int) -> None:
        self._vectors, self._most = vectors, most
        self.reads = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and numbers in each."""
        return self._vectors.shape

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, rows: slice, /) -> Matrix:
        found = self._vectors[rows]
        assert 0 < len(found) <= self._most
        self.reads += 1
        return found


def _alone(count: int) -> NDArray[np.int64]:
    """Return groups of one picture each."""
    return np.arange(count, dtype=np.int64)


def _items(vectors: Rows, label: object, apart: object = None, group: object = None) -> Items:
    """Return pictures that are kept apart from nothing and have no near-duplicates, unless told otherwise."""
    count = len(vectors)
    return Items(
        vectors,
        np.asarray(label, dtype=np.int64),
        np.full(count, -1) if apart is None else np.asarray(apart, dtype=np.int64),
        _alone(count) if group is None else np.asarray(group, dtype=np.int64),
    )


def _at(*cosines: float) -> Matrix:
    """Return vectors that have these cosines with (1, 0)."""
    return np.array([(cosine, np.sqrt(1 - cosine**2)) for cosine in cosines], dtype=np.float32)


def _query(label: int = 0, apart: int = -1, group: int = 99) -> Items:
    """Return one picture that seeks, at (1, 0)."""
    return _items(_at(1.0), [label], [apart], [group])


def _random(count: int, seed: int, dimension: int = 16) -> Items:
    """Return vectors that lie a little around their label, some of them near-duplicates of others."""
    rng = np.random.default_rng(seed)
    label = rng.integers(7, size=count)
    vectors = rng.standard_normal((count, dimension)) + np.eye(7, dimension)[label]
    return _items(
        unit_length(vectors.astype(np.float32)), label, label * 3 + rng.integers(3, size=count), _alone(count) // 2
    )


def _values(found: Retrieval) -> tuple[float, float]:
    assert found.precision_at_1 is not None
    assert found.mean_average_precision is not None
    return found.precision_at_1.value, found.mean_average_precision.value


def _by_scikit_learn(queries: Items, gallery: Items) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the queries with something to find, and their average precisions, one by one by another's hand."""
    asked, averages = [], []
    for row in range(len(queries.vectors)):
        keep = gallery.group != queries.group[row]
        if queries.apart[row] >= 0:
            keep &= gallery.apart != queries.apart[row]
        relevant = gallery.label[keep] == queries.label[row]
        if relevant.any():
            cosines = gallery.vectors[:][keep] @ queries.vectors[row : row + 1][0]
            asked.append(row)
            averages.append(average_precision_score(relevant, cosines))
    return np.array(asked, dtype=np.int64), np.array(averages)


def test_average_precision_is_that_counted_by_hand() -> None:
    """Relevant pictures at ranks 1, 3 and 4 of five: (1/1 + 2/3 + 3/4) / 3, and the nearest picture is relevant."""
    found = retrieve(_query(), _items(_at(0.1, 0.9, 0.4, 0.6, 0.5), [1, 0, 0, 1, 0]))
    assert _values(found) == pytest.approx((1.0, (1 + 2 / 3 + 3 / 4) / 3))
    assert (found.queries, found.without) == (1, 0)


def test_a_nearest_picture_of_another_label_is_wrong() -> None:
    """One relevant picture at rank 2."""
    assert _values(retrieve(_query(), _items(_at(0.9, 0.5), [1, 0]))) == (0.0, 0.5)


def test_near_duplicates_of_the_query_are_not_ranked() -> None:
    """The picture itself and its near-duplicates, right or wrong, neither help nor hurt."""
    gallery = _items(_at(1.0, 0.99, 0.9, 0.5), [0, 1, 1, 0], group=[99, 99, 1, 2])
    assert _values(retrieve(_query(), gallery)) == (0.0, 0.5)


def test_what_is_to_be_kept_apart_is_not_ranked() -> None:
    """A show is found by its other characters only: those of the query's own character are left out."""
    gallery = _items(_at(0.99, 0.9, 0.5), [0, 1, 0], apart=[5, 6, 7])
    assert _values(retrieve(_query(apart=5), gallery)) == (0.0, 0.5)
    assert _values(retrieve(_query(apart=-1), gallery)) == pytest.approx((1.0, (1 + 2 / 3) / 2))


def test_minus_one_keeps_nothing_apart() -> None:
    """It is the same number on both sides, and means that there is none."""
    assert _values(retrieve(_query(apart=-1), _items(_at(0.9), [0], apart=[-1]))) == (1.0, 1.0)


def test_queries_that_have_nothing_to_find_are_left_out_and_counted() -> None:
    """Of three queries one has only a near-duplicate of its label, and one no picture of its label at all."""
    queries = _items(_at(1.0, 1.0, 1.0), [0, 1, 2], group=[50, 7, 52])
    found = retrieve(queries, _items(_at(0.9, 0.5), [0, 1], group=[6, 7]))
    assert (found.queries, found.without) == (1, 2)
    assert _values(found) == (1.0, 1.0)


@pytest.mark.parametrize(("queries", "gallery"), [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_without_queries_every_figure_is_none(queries: int, gallery: int) -> None:
    """Nobody asks, nothing is there, or the only picture is the query itself."""
    pictures = _items(_at(1.0, 0.9, 0.8), [0, 0, 0])
    asking, there = (_items(pictures.vectors[:count], pictures.label[:count]) for count in (queries, gallery))
    assert retrieve(asking, there) == Retrieval(0, queries, None, None, None)


def test_pictures_of_one_label_are_always_found() -> None:
    """Where every picture is relevant no ranking is wrong, not even a random one."""
    pictures = _items(_random(20, seed=1).vectors, np.zeros(20))
    found = retrieve(pictures, pictures)
    for one in (found.precision_at_1, found.mean_average_precision):
        assert one is not None
        assert (one.value, one.low, one.high) == pytest.approx((1.0, 0.8316, 1.0), abs=0.01)  # Clopper and Pearson
    assert found.random_map == pytest.approx(1.0)


def test_all_wrong_is_as_bad_as_it_can_be() -> None:
    """One relevant picture, the last of four."""
    assert _values(retrieve(_query(), _items(_at(0.9, 0.8, 0.7, 0.1), [1, 1, 1, 0]))) == (0.0, 0.25)


def test_equal_cosines_are_one_step_in_any_order() -> None:
    """Of three pictures at one place, two relevant, the nearest is relevant with 2/3, and so are all three."""
    for label in ([0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1]):
        assert _values(retrieve(_query(), _items(_at(1, 1, 1, 0), label))) == pytest.approx((2 / 3, 2 / 3))


def test_a_network_that_tells_nothing_apart_ranks_like_none() -> None:
    """Where all vectors are equal, average precision is the share of relevant pictures, whatever their order is."""
    pictures = _items(np.repeat(_at(1.0), 6, axis=0), [0, 0, 0, 1, 1, 1])
    assert _values(retrieve(pictures, pictures)) == pytest.approx((2 / 5, 2 / 5))


def test_rankings_are_those_of_scikit_learn() -> None:
    """An independent reference agrees on every query, within a library and across two."""
    library, others = _random(90, seed=2), _random(60, seed=3)
    for queries, gallery in ((library, library), (others, library)):
        asked, averages = _by_scikit_learn(queries, gallery)
        found = retrieve(queries, gallery)
        assert (found.queries, found.without) == (len(asked), len(queries.label) - len(asked))
        assert _values(found)[1] == pytest.approx(averages.mean())


def test_intervals_draw_groups_of_queries() -> None:
    """The interval is that of the average precisions, drawn by near-duplicate group, of the queries that count."""
    library = _random(90, seed=2)
    asked, averages = _by_scikit_learn(library, library)
    expected, other = (mean_interval(averages, library.group[asked], seed) for seed in (5, 6))
    found = retrieve(library, library, seed=5).mean_average_precision
    assert found is not None
    assert expected is not None
    assert found.to_json() == pytest.approx(expected.to_json())
    assert found != other


@pytest.mark.parametrize(("asking", "there"), [(1, 1), (7, 13), (40, 97), (41, 98), (97, 40), (500, 500)])
def test_blocks_change_nothing(asking: int, there: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that end just before, at or after the last picture give what one block gives, from vectors on disk too."""
    queries, gallery = _random(40, seed=4), _random(97, seed=5)
    whole = retrieve(queries, gallery)
    monkeypatch.setattr(retrieval, "QUERY_BLOCK", asking)
    monkeypatch.setattr(retrieval, "VECTOR_BLOCK", there)
    lazy = Lazy(gallery.vectors[:], there)
    cut = retrieve(
        Items(Lazy(queries.vectors[:], asking), queries.label, queries.apart, queries.group),
        Items(lazy, gallery.label, gallery.apart, gallery.group),
    )
    assert _values(cut) == pytest.approx(_values(whole))
    assert (cut.queries, cut.without, cut.random_map) == (whole.queries, whole.without, whole.random_map)
    assert lazy.reads == -(-40 // asking) * -(-97 // there)


def test_chance_is_what_shuffling_gives() -> None:
    """The closed form is the mean over random rankings, and for one relevant picture the mean of 1/rank."""
    rng = np.random.default_rng(6)
    ranks = np.arange(1, 13)
    shuffled = [np.sort(rng.permutation(ranks)[:4]) for _ in range(4000)]
    simulated = np.mean([np.mean(np.arange(1, 5) / places) for places in shuffled])
    assert random_average_precision(4, 12) == pytest.approx(simulated, rel=0.02)
    assert random_average_precision(1, 4) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert random_average_precision(1, 1) == pytest.approx(1.0)


def test_vectors_without_meaning_rank_as_chance_does() -> None:
    """Labels that have nothing to do with the vectors are found as often as at random."""
    rng = np.random.default_rng(7)
    vectors = unit_length(rng.standard_normal((300, 32)).astype(np.float32))
    pictures = _items(vectors, rng.integers(20, size=300))
    found = retrieve(pictures, pictures)
    assert found.random_map == pytest.approx(_values(found)[1], rel=0.15)


def test_results_can_be_written_as_json() -> None:
    """Intervals stay three numbers, and None becomes null."""
    found = json.loads(json.dumps(retrieve(_query(), _items(_at(0.5), [0])).to_json()))
    assert found["precision_at_1"] == pytest.approx({"value": 1.0, "low": 0.025, "high": 1.0}, abs=0.01)
    assert json.loads(json.dumps(retrieve(_query(), _items(_at(0.5), [1])).to_json()))["random_map"] is None


@pytest.mark.parametrize("whiten", [False, True])
def test_components_are_those_of_scikit_learn(*, whiten: bool) -> None:
    """Cosines after projection are those of an independent principal component analysis."""
    vectors = _random(200, seed=8).vectors[:]
    found = Components.fit(vectors).project(vectors, 5, whiten=whiten)
    expected = unit_length(PCA(5, whiten=whiten, svd_solver="full").fit_transform(vectors.astype(np.float64)))
    assert found.dtype == np.float32
    assert np.allclose(found @ found.T, expected @ expected.T, atol=1e-4)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("block", [1, 66, 67, 99, 100, 101])
def test_components_do_not_depend_on_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted and projected a few rows at a time, from vectors on disk, they are what they are at once."""
    vectors = _random(100, seed=9).vectors[:]
    whole = Components.fit(vectors)
    expected = whole.project(vectors, 6, whiten=True)
    monkeypatch.setattr(retrieval, "VECTOR_BLOCK", block)
    components = Components.fit(Lazy(vectors, block))
    found = components.project(Lazy(vectors, block), 6, whiten=True)
    assert np.allclose(components.variances, whole.variances)
    assert np.allclose(found @ found.T, expected @ expected.T, atol=1e-5)


def test_variances_fall_and_add_up() -> None:
    """The first component is the one that varies most, and together they hold all that varies."""
    vectors = _random(200, seed=10).vectors[:]
    components = Components.fit(vectors)
    assert components.available == 16
    assert (np.diff(components.variances) < 0).all()
    assert components.variances.sum() == pytest.approx(vectors.var(axis=0, dtype=np.float64).sum())
    assert np.allclose(components.directions.T @ components.directions, np.eye(16), atol=1e-9)


def test_whitened_components_vary_alike() -> None:
    """A direction in which little varies counts about as much as others, and not hundreds of times less."""
    rng = np.random.default_rng(11)
    vectors = unit_length((rng.standard_normal((4000, 6)) * [9, 3, 1, 1, 1, 0.3]).astype(np.float32))
    components = Components.fit(vectors)
    plain, white = (components.project(vectors, 6, whiten=whiten).var(axis=0) for whiten in (False, True))
    assert plain.max() > 100 * plain.min()
    assert white.max() < 4 * white.min()


def test_whitening_does_not_raise_noise() -> None:
    """A direction that varies a million times less than the damping allows stays all but silent."""
    components = Components(np.zeros(2), np.eye(2), np.array([1.0, 1e-10]))
    found = components.project(np.array([[0.8, 0.0001]], dtype=np.float32), 2, whiten=True)
    assert found[0, 1] / found[0, 0] == pytest.approx(0.0001 / 0.8 / np.sqrt(1e-10 + 1e-6), rel=1e-3)


def test_what_is_available_is_what_varies() -> None:
    """No more than asked for, than the vectors have numbers, than differences between them, or than directions used."""
    vectors = _random(200, seed=12).vectors[:]
    assert Components.fit(vectors, most=5).available == 5
    assert Components.fit(vectors[:4]).available == 3
    assert Components.fit(vectors[:1]).available == 0
    assert Components.fit(vectors[:0]).available == 0
    assert Components.fit(np.repeat(vectors[:1], 9, axis=0)).available == 0
    flat = np.zeros((200, 16), dtype=np.float32)
    flat[:, :2] = _at(*np.linspace(-1, 1, 200))
    assert Components.fit(flat).available == 2


@pytest.mark.parametrize("dimension", [0, 4])
def test_more_components_than_there_are_cannot_be_had(dimension: int) -> None:
    """The caller is told how many there are."""
    vectors = _random(4, seed=13).vectors
    with pytest.raises(ValueError, match=f"there are 3 components: {dimension} of them"):
        Components.fit(vectors).project(vectors, dimension, whiten=False)


def test_a_vector_at_the_mean_is_similar_to_nothing() -> None:
    """It becomes zeros, not nan."""
    components = Components(np.array([0.5, 0.5]), np.eye(2), np.array([1.0, 0.5]))
    assert components.project(np.full((1, 2), 0.5, np.float32), 2, whiten=True).tolist() == [[0.0, 0.0]]
