"""`recommender.ranking`: a few good pictures count; neither one lucky picture nor a large number of them does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender.ranking import BEST, SHOWN, RankedGroup, rank_groups
from recommender.types import Neighbour, Neighbours

COSINES = st.floats(-1, 1, width=32)


def straightforward(neighbours: Neighbours, group_of: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[RankedGroup]:
    """Rank as the module's docstring says it, group by group and picture by picture, in exact fractions."""
    members: dict[int, list[Neighbour]] = {}
    for neighbour in neighbours:
        members.setdefault(int(group_of[neighbour.row]), []).append(neighbour)
    ranked = []
    for group, found in members.items():
        size = max(int(sizes[group]), len(found))
        drawn = min(SHOWN, size)
        score, left = Fraction(0), Fraction(1)
        for above, neighbour in enumerate(found):
            pairs = [(comb(above, better), drawn - 1 - better) for better in range(min(BEST, drawn))]
            ways = sum(ways_above * comb(size - 1 - above, others) for ways_above, others in pairs)
            share = Fraction(ways, comb(size, drawn) * BEST)
            score, left = score + share * Fraction(neighbour.similarity), left - share
        score += left * Fraction(neighbours[-1].similarity)
        ranked.append((-score, group, RankedGroup(group, float(score), tuple(one.row for one in found[:BEST]))))
    return [one for _, _, one in sorted(ranked, key=lambda three: three[:2])]


@settings(deadline=None)
@given(data=st.data(), groups=st.integers(1, 12), pictures=st.integers(1, 150), unseen=st.integers(0, 200))
def test_it_gives_what_the_straightforward_version_gives(
    data: st.DataObject, groups: int, pictures: int, unseen: int
) -> None:
    """Many groups at once come out as they do one by one: the same order, the same evidence, scores to 12 digits."""
    cosines = sorted((data.draw(COSINES) for _ in range(min(pictures, 8))), reverse=True)
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    similarities = np.sort(np.append(generator.uniform(-1, 1, pictures), cosines).astype(np.float32))[::-1]
    neighbours = Neighbours(generator.permutation(len(similarities) + 3)[: len(similarities)], similarities)
    group_of = generator.integers(0, groups, len(similarities) + 3)
    sizes = np.bincount(group_of, minlength=groups) + generator.integers(0, unseen + 1, groups)
    expected, found = straightforward(neighbours, group_of, sizes), rank_groups(neighbours, group_of, sizes)
    np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], rtol=0, atol=1e-12)
    by_group = {one.group: one.evidence for one in expected}
    assert {one.group: one.evidence for one in found} == by_group
    distinct = len({round(one.score, 12) for one in expected}) == len(expected)
    assert not distinct or [one.group for one in found] == [one.group for one in expected]
    assert rank_groups(neighbours, group_of, sizes, 2) == found[:2]


def ranked(
    groups: Sequence[Sequence[float]], *, sizes: Sequence[int] | None = None, found: int | None = None
) -> list[RankedGroup]:
    """Rank groups given by their pictures' similarities, of which the search returned the best `found`."""
    pairs = sorted(((cosine, group) for group, cosines in enumerate(groups) for cosine in cosines), reverse=True)
    neighbours = nearest([cosine for cosine, _ in pairs])
    group_of = np.array([group for _, group in pairs], dtype=np.int64)
    return rank_groups(
        neighbours[:found], group_of, np.array(sizes or [len(cosines) for cosines in groups], dtype=np.int64)
    )


def nearest(similarities: Sequence[float]) -> Neighbours:
    """Return neighbours by falling similarity, of rows 0, 1, 2, ..."""
    return Neighbours(np.arange(len(similarities)), np.array(similarities, dtype=np.float32))


def scores(groups: Sequence[Sequence[float]], *, found: int | None = None) -> list[float]:
    """Return each group's score, in the order of the groups."""
    return [one.score for one in sorted(ranked(groups, found=found), key=lambda one: one.group)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 19, 20, 21, 22, 23])
def test_the_score_is_the_expectation_over_all_draws(size: int) -> None:
    """The closed form equals the mean of the best three over every possible draw of twenty, one by one."""
    cosines = np.random.default_rng(size).uniform(-1, 1, size).astype(np.float32).tolist()
    draws = list(combinations(sorted(cosines, reverse=True), min(SHOWN, size)))
    total = sum(sum([*draw, *[min(cosines)] * BEST][:BEST]) / BEST for draw in draws)
    assert scores([cosines])[0] == pytest.approx(total / len(draws), abs=1e-9)


@settings(deadline=None)
@given(cosines=st.lists(COSINES, min_size=SHOWN, max_size=SHOWN), copies=st.integers(2, 30))
def test_number_alone_never_wins(cosines: list[float], copies: int) -> None:
    """A group of 40 to 600 pictures never beats a group of 20 that is distributed alike."""
    small, large = scores([cosines, cosines * copies])
    assert large <= small + 1e-9


@settings(deadline=None)
@given(cosines=st.lists(COSINES, min_size=SHOWN, max_size=SHOWN), found=st.integers(50, 220))
def test_number_alone_never_wins_in_a_short_search(cosines: list[float], found: int) -> None:
    """The same holds where the search returned only the best of the 220 pictures."""
    by_group = {one.group: one.score for one in ranked([cosines, cosines * 10], found=found)}
    assert by_group[1] <= by_group.get(0, 1.0) + 1e-9


@settings(deadline=None)
@given(cosines=st.lists(COSINES, min_size=SHOWN, max_size=60), copies=st.integers(2, 10))
def test_duplicates_change_a_score_by_little(cosines: list[float], copies: int) -> None:
    """With every picture several times a group's score moves by at most a quarter of its range, whatever it holds."""
    once, often = scores([cosines])[0], scores([cosines * copies])[0]
    assert abs(once - often) <= 0.25 * (max(cosines) - min(cosines)) + 1e-9


@pytest.mark.parametrize("size", [20, 40, 200])
def test_duplicates_hardly_change_an_even_spread(size: int) -> None:
    """Where similarities are spread evenly, ten times the pictures move the score by less than 3 % of the range."""
    cosines = np.linspace(1, 0, size).tolist()
    assert scores([cosines])[0] == pytest.approx(scores([cosines * 10])[0], abs=0.03)


@pytest.mark.parametrize("size", [3, 5, 20, 200])
def test_one_lucky_picture_does_not_beat_three_good_ones(size: int) -> None:
    """A group with one perfect match loses to one of the same size with three good matches."""
    dull = [0.3] * (size - 3)
    lucky, good = [1.0, 0.3, 0.3, *dull], [0.7, 0.7, 0.7, *dull]
    assert [one.group for one in ranked([lucky, good])] == [1, 0]


def test_a_single_picture_does_not_beat_three_good_ones() -> None:
    """What a group lacks in pictures counts as the least similar picture found, not as another lucky one."""
    assert next(one.group for one in ranked([[1.0], [0.7, 0.7, 0.7], [0.3]])) == 1


@given(cosines=st.lists(COSINES, min_size=1, max_size=30), place=st.integers(0, 29), more=st.floats(0, 1))
def test_a_more_similar_picture_never_harms(cosines: list[float], place: int, more: float) -> None:
    """A score does not fall when one of the group's pictures becomes more similar."""
    better = list(cosines)
    better[place % len(cosines)] += more
    assert scores([better, [-1.0]])[0] >= scores([cosines, [-1.0]])[0] - 1e-9


@given(cosines=st.lists(COSINES, min_size=3, max_size=100))
def test_a_score_lies_within_its_similarities(cosines: list[float]) -> None:
    """A score is a mean of similarities: no larger than the best and no smaller than the worst."""
    assert min(cosines) - 1e-9 <= scores([cosines])[0] <= max(cosines) + 1e-9


def test_a_huge_group_is_no_trouble() -> None:
    """A group of 100,000 pictures, all found or hardly any, gives a finite score without any numeric warning."""
    cosines = np.linspace(0.9, 0.1, 100_000).tolist()
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        everything = ranked([cosines])[0]
        hardly = ranked([cosines[:3], [0.2]], sizes=[100_000, 1])
    assert 0.8 < everything.score < 0.9
    assert hardly[0].score == pytest.approx(0.2, abs=1e-3)


def test_pictures_that_were_not_found_count_as_the_last_one_found() -> None:
    """Of a group of 40 with three found, each of the three is drawn with probability 1/2; the rest is at the floor."""
    found = ranked([[1.0, 1.0, 1.0], [0.0]], sizes=[40, 1])
    assert found[0].score == pytest.approx(0.5)


def test_evidence_is_the_best_three() -> None:
    """A group's evidence is the rows of its three best pictures, best first, or of all where it has fewer."""
    found = rank_groups(nearest([1.0, 0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 1, 0, 0]), np.array([4, 1]))
    assert {one.group: one.evidence for one in found} == {0: (0, 1, 3), 1: (2,)}


def test_ties_go_to_the_lower_number() -> None:
    """Equal groups keep one order, so that the same question always has the same answer."""
    assert [one.group for one in ranked([[0.5, 0.4], [0.5, 0.4], [0.9, 0.9], [0.5, 0.4]])] == [2, 0, 1, 3]


def test_nothing_found_gives_nothing() -> None:
    """Without neighbours there are no groups; a group without a neighbour does not appear."""
    assert rank_groups(nearest([]), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)) == []
    assert [one.group for one in ranked([[0.5], []])] == [0]
