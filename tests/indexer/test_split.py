"""`indexer.split`: 70/20/10 in each character, the same for the same seed, and no near-duplicate on both sides."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from indexer.split import HELD_OUT, PARTS, SHARES, Split, folds, near_duplicate_groups, split
from recommender.embeddings import unit_length
from recommender.images import decode, perceptual_hash
from recommender.types import DecodedImage, Matrix
from tests.fakes import colours
from tests.pictures import picture, pixels, saved

RNG = np.random.default_rng(0)


def _alone(count: int) -> NDArray[np.int64]:
    """Return groups of one picture each."""
    return np.arange(count, dtype=np.int64)


def _random_vectors(count: int, dimension: int = 64) -> Matrix:
    """Return unit vectors none of which is near another."""
    return unit_length(np.random.default_rng(7).standard_normal((count, dimension)).astype(np.float32))


def test_each_character_is_divided_70_20_10() -> None:
    """The shares hold in every class, to within one picture, and not only on the whole."""
    labels = np.repeat(np.arange(4), [100, 50, 37, 10])
    division = split(labels, _alone(len(labels)), seed=3)
    for label in range(4):
        parts = division.part[labels == label]
        for part, share in enumerate(SHARES):
            assert abs(np.count_nonzero(parts == part) - share * len(parts)) <= 1


def test_parts_cover_every_picture_once() -> None:
    """The rows of the three parts together are all rows."""
    division = split(np.repeat([0, 1], 15), _alone(30), seed=0)
    assert sorted(np.concatenate([division.rows(part) for part in PARTS])) == list(range(30))


def test_the_seed_decides() -> None:
    """The same seed gives the same split, another seed another one."""
    labels = np.repeat(np.arange(3), 30)
    first, again, other = (split(labels, _alone(90), seed).part for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 25)), min_size=1, max_size=80),
    st.integers(0, 2**32 - 1),
)
def test_groups_never_straddle(pictures: list[tuple[int, int]], seed: int) -> None:
    """Whatever the labels and groups are, a group lies in one part, every picture in some part, and training has one.

    A group that is a good deal of its character can upset the shares; more than one such group's size it may not.
    """
    labels = np.unique([label for label, _ in pictures], return_inverse=True)[1].astype(np.int64)
    groups = np.unique([group for _, group in pictures], return_inverse=True)[1].astype(np.int64)
    division = split(labels, groups, seed)
    assert all(len(set(division.part[groups == group])) == 1 for group in set(groups))
    assert set(division.part) <= set(range(len(PARTS)))
    assert len(division.rows("train"))
    largest = np.bincount(groups).max()
    if len(set(zip(groups, labels, strict=True))) == len(set(groups)):  # no group of several characters
        for label in set(labels):
            parts = division.part[labels == label]
            for part, share in enumerate(SHARES):
                assert np.count_nonzero(parts == part) <= share * len(parts) + largest


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 25), st.integers(2**64 - 25, 2**64 - 1)), max_size=80),
    st.integers(0, 2**32 - 1),
)
def test_neither_hashes_nor_held_out_pictures_make_a_group_straddle(
    pictures: list[tuple[int, int, int]], seed: int
) -> None:
    """Divided by their hashes first, groups end up in one part all the same; only what is held out is in none."""
    labels = np.array([label for label, _, _ in pictures], dtype=np.int64)
    groups = np.array([group for _, group, _ in pictures], dtype=np.int64)
    division = split(labels, groups, seed, [value for _, _, value in pictures])
    assert np.array_equal(division.part == HELD_OUT, labels == HELD_OUT)
    assert np.array_equal(division.held_out, np.flatnonzero(labels == HELD_OUT))
    for group in set(groups):
        assert len(set(division.part[(groups == group) & (labels != HELD_OUT)])) <= 1
    assert division.leaks() == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tiny_classes_are_trained_on_first(count: int) -> None:
    """A character of one to three pictures has at least one in training."""
    division = split(np.zeros(count, dtype=np.int64), _alone(count), seed=0)
    assert len(division.rows("train")) >= 1
    assert sum(len(division.rows(part)) for part in PARTS) == count


def _versions(seed: int) -> list[DecodedImage]:
    """Return one picture as a user's folder has it: as it is, smaller, recompressed, a little brighter."""
    image = Image.fromarray(pixels(seed, (160, 120)))
    brighter = Image.fromarray(np.clip(np.asarray(image).astype(int) + 8, 0, 255).astype(np.uint8))
    files = (
        saved(image),
        saved(image.resize((80, 60), Image.Resampling.LANCZOS)),
        saved(image, "JPEG", quality=60),
        saved(image, "WEBP", quality=50),
        saved(brighter),
    )
    return [decode(file) for file in files]


@pytest.mark.parametrize("seen", [True, False])
def test_copies_of_a_picture_are_one_group_and_strangers_are_not(*, seen: bool) -> None:
    """Resized, re-encoded and brightened copies share a group; other pictures do not; with the hashes alone as well."""
    originals = range(12)
    images = [version for seed in originals for version in _versions(seed)]
    vectors = np.stack([colours(image) for image in images])
    groups = near_duplicate_groups([perceptual_hash(image) for image in images], vectors if seen else None)
    by_picture = groups.reshape(len(originals), -1)
    assert (by_picture == by_picture[:, :1]).all()
    assert len(set(by_picture[:, 0])) == len(originals)


def test_flat_drawings_with_one_hash_are_strangers_where_the_embeddings_say_so() -> None:
    """A perceptual hash that two pictures share by chance does not make them one."""
    vectors = _random_vectors(3)
    assert len(set(near_duplicate_groups([0, 0, 0], vectors))) == 3
    assert len(set(near_duplicate_groups([0, 0, 0], None))) == 1


@pytest.mark.parametrize(("copy", "grouped"), [(0.85, True), (0.6, False)])
def test_what_a_cosine_means_is_learnt_from_the_library(copy: float, *, grouped: bool) -> None:
    """Where any two pictures are at 0.72, a copy with the same hash at 0.85 is one; what is as like as any is none."""
    usual = 0.72
    own = np.eye(101, dtype=np.float32)[:100] * np.sqrt(1 - usual)
    vectors = np.concatenate([own, np.full((100, 1), np.sqrt(usual), np.float32)], axis=1)
    assert vectors[0] @ vectors[1] == pytest.approx(usual)
    # The copy of the first: as much of it as makes this cosine, and something that no other has.
    rest = vectors[0] * 0
    rest[100] = 1.0
    vectors[99] = copy * vectors[0] + np.sqrt(1 - copy**2) * rest
    hashes = [int(value) for value in RNG.integers(0, 2**63, 99)]
    groups = near_duplicate_groups([*hashes, hashes[0]], vectors)
    assert (groups[99] == groups[0]) == grouped
    assert len(set(groups)) == (99 if grouped else 100)


def test_embeddings_that_coincide_are_one_group_whatever_the_hashes_say() -> None:
    """The same scene, cut differently, has another hash and the same embedding."""
    vectors = _random_vectors(3)
    vectors[2] = vectors[0]
    one, other, third = near_duplicate_groups([0, 2**64 - 1, 0x5555555555555555], vectors)
    assert one == third
    assert one != other


def test_near_duplicates_of_near_duplicates_belong_together() -> None:
    """A chain of small changes is one group, across the blocks in which pairs are compared."""
    angles = np.append(np.linspace(0, 5, 1100), 5.64)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    hashes = [int(value) for value in RNG.integers(0, 2**63, len(angles))]
    groups = near_duplicate_groups(hashes, vectors)
    assert len(set(groups[:1100])) == 1
    assert groups[1100] not in groups[:1100]


def test_vectors_behind_those_of_the_pictures_are_no_pictures() -> None:
    """Where embeddings of views follow those of the pictures, which are as like as can be, they join nothing."""
    vectors = _random_vectors(1500)
    hashes = [int(value) for value in RNG.integers(0, 2**63, 1300)]
    groups = near_duplicate_groups(hashes, np.concatenate([vectors[:1300], vectors]))
    assert groups.tolist() == list(range(1300))


def test_one_picture_is_one_group() -> None:
    """Nothing is compared where there is one picture or none."""
    assert near_duplicate_groups([5], np.ones((1, 1), np.float32)).tolist() == [0]
    assert near_duplicate_groups([], np.ones((0, 4), np.float32)).tolist() == []


def test_leaks_of_a_naive_split_are_counted() -> None:
    """Where pictures have near-duplicates a split by picture would leak, and without any it would not."""
    labels = np.zeros(200, dtype=np.int64)
    assert split(labels, _alone(200), seed=0).naive().leaks() == 0
    pairs = np.repeat(np.arange(100), 2)
    division = split(labels, pairs, seed=0)
    assert division.leaks() == 0
    # Of a pair, one is trained on and the other is not with a chance of 2 × 0.7 × 0.3.
    assert division.naive().leaks() == pytest.approx(42, abs=15)


def test_leaks_are_the_tested_pictures_whose_twin_was_trained_on() -> None:
    """Each picture outside training counts once; one whose twin is held out, or tested with it, does not."""
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 3], dtype=np.int64)
    part = np.array([0, 1, 2, 1, 2, 0, HELD_OUT, 2], dtype=np.int64)
    assert Split(part, groups, seed=0).leaks() == 2


def test_a_naive_split_knows_as_little_of_who_is_held_out() -> None:
    """The split by picture has the same shares, holds out the same pictures, and is the same each time."""
    labels = np.where(np.arange(2000) % 4 == 0, HELD_OUT, 0)
    division = split(labels, _alone(2000), seed=5)
    naive = division.naive()
    assert np.array_equal(naive.held_out, division.held_out)
    for part, share in zip(PARTS, SHARES, strict=True):
        assert len(naive.rows(part)) == pytest.approx(share * 1500, abs=60)
    assert np.array_equal(naive.part, division.naive().part)


def _joined(groups: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups of which some pairs were made one."""
    groups = groups.copy()
    for one, other in pairs:
        groups[groups == groups[other]] = groups[one]
    return groups


def test_two_backbones_share_nearly_all_of_their_test_pictures() -> None:
    """Where two networks see 3 % of the pictures grouped differently, nine tenths of their test parts are the same.

    Divided by the groups alone, without the hashes that both have, they would share hardly more than chance.
    """
    draw = np.random.default_rng(1)
    labels = np.repeat(np.arange(10), 200)
    hashes = [int(value) for value in draw.integers(0, 2**63, len(labels))]
    for one, other in draw.integers(0, len(labels), (100, 2)):
        hashes[one] = hashes[other]
    common = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    seen = [_joined(common, draw.integers(0, len(labels), (30, 2))) for _ in range(2)]

    def shared(hashes: list[int]) -> float:
        one, other = (set(split(labels, groups, 0, hashes).rows("test").tolist()) for groups in seen)
        assert min(len(one), len(other)) > 180
        return len(one & other) / max(len(one), len(other))

    assert shared(hashes) >= 0.9
    assert shared([]) < 0.5


def test_groups_that_straddle_hardly_upset_the_shares() -> None:
    """Moving them as a whole leaves each character within a few pictures of 70/20/10."""
    draw = np.random.default_rng(2)
    labels = np.repeat(np.arange(5), 100)
    groups = np.where(draw.random(500) < 0.3, draw.integers(0, 60, 500) + 1000 * labels, 10_000 + np.arange(500))
    division = split(labels, groups, 0, [int(value) for value in draw.integers(0, 2**63, 500)])
    for label in range(5):
        counts = np.bincount(division.part[labels == label], minlength=3)
        assert np.abs(counts - 100 * np.array(SHARES)).max() <= 6


def test_a_straddling_group_goes_where_most_of_it_is() -> None:
    """The majority decides, even where another part lacks more; what straddles nothing stays where its hash put it."""
    labels, hashes = np.zeros(100, dtype=np.int64), list(range(100))
    before = split(labels, _alone(100), 3, hashes)
    trained, validated, tested = (before.rows(part) for part in PARTS)
    groups = 100 + _alone(100)
    groups[[tested[0], tested[1], trained[0]]] = 0
    for number in range(5):  # while these are looked for a place, training lacks most
        groups[[trained[2 * number + 1], trained[2 * number + 2], validated[number]]] = 1 + number
    after = split(labels, groups, 3, hashes)
    assert after.part[trained[0]] == PARTS.index("test")
    assert (after.part[validated[:5]] == PARTS.index("train")).all()
    assert np.flatnonzero(after.part != before.part).tolist() == sorted([trained[0], *validated[:5]])


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_folds_are_of_one_size_in_each_character(count: int) -> None:
    """Every picture is in one fold; each has its share of every character, to within one picture."""
    labels = np.repeat(np.arange(3), [40, 33, 25])
    found = folds(labels, _alone(len(labels)), count, seed=0)
    assert set(found) == set(range(count))
    for label in range(3):
        sizes = np.bincount(found[labels == label], minlength=count)
        assert sizes.max() - sizes.min() <= 1


def test_folds_keep_groups_together_and_follow_the_seed() -> None:
    """No near-duplicate is in another fold; the same seed draws the same folds, another seed others."""
    labels = np.repeat(np.arange(3), 40)
    groups = np.arange(120) // 3
    first, again, other = (folds(labels, groups, 4, seed) for seed in (1, 1, 2))
    assert (first.reshape(-1, 3) == first[::3, np.newaxis]).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pictures_of_one_frame_at_two_sizes_do_not_leak() -> None:
    """End to end on pixels: both sizes of every frame are in one part."""
    frames = []
    for seed in range(20):
        large = Image.open(io.BytesIO(picture(seed, (128, 96))))
        frames += [decode(saved(large)), decode(saved(large.resize((64, 48))))]
    groups = near_duplicate_groups([perceptual_hash(frame) for frame in frames], None)
    division = split(np.zeros(len(frames), dtype=np.int64), groups, seed=1)
    pairs = division.part.reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()
    assert division.naive().leaks() > 0
