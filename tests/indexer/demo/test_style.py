"""`indexer.demo.style`: a style is a point in a space whose distances mean something."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from indexer.demo.production import dice_of
from indexer.demo.style import CHOICES, RANGES, Style, from_row, random_style


def _dice(seed: int) -> random.Random:
    return dice_of(str(seed))


def test_vector_lies_between_nought_and_one() -> None:
    """Every number is scaled by its range and every list of choices has one place taken, whatever the style."""
    length = len(RANGES) + sum(len(choices) for choices in CHOICES.values())
    for seed in range(50):
        vector = random_style(_dice(seed)).vector()
        assert vector.shape == (length,)
        assert vector.min() >= 0
        assert vector.max() <= 1
        assert np.count_nonzero(vector[len(RANGES) :]) == len(CHOICES)


@pytest.mark.parametrize("name", RANGES)
def test_ends_of_a_range_are_at_distance_one(name: str) -> None:
    """From the least to the most of a number is one step, and halfway between them half of one."""
    low, high = RANGES[name]
    least, middle, most = (from_row({name: value}).vector() for value in (low, (low + high) / 2, high))
    assert np.linalg.norm(most - least) == pytest.approx(1.0)
    assert np.linalg.norm(middle - least) == pytest.approx(0.5)


@pytest.mark.parametrize("name", CHOICES)
def test_two_choices_are_at_distance_one(name: str) -> None:
    """No choice is nearer to one than to another."""
    vectors = [from_row({name: value}).vector() for value in CHOICES[name]]
    distances = [np.linalg.norm(one - other) for place, one in enumerate(vectors) for other in vectors[:place]]
    assert distances == pytest.approx([1.0] * len(distances))


def test_row_is_flat_and_comes_back() -> None:
    """A row has one entry for each number and choice, and the style of a style's row is that style."""
    style = random_style(_dice(3))
    row = style.to_json()
    assert set(row) == set(RANGES) | set(CHOICES)
    assert all(isinstance(value, (float, str)) for value in row.values())
    assert from_row(row) == style


def test_styles_are_spread_over_the_whole_space() -> None:
    """Of 400 random styles every choice is taken by some, and every number comes near both of its ends."""
    styles = [random_style(_dice(seed)) for seed in range(400)]
    for name, choices in CHOICES.items():
        assert {style.choice(name) for style in styles} == set(choices)
    for name, (low, high) in RANGES.items():
        numbers = [(style.number(name) - low) / (high - low) for style in styles]
        assert min(numbers) < 0.02
        assert max(numbers) > 0.98


def test_dice_decide() -> None:
    """Dice that fall alike give one style, others another."""
    assert random_style(_dice(1)) == random_style(_dice(1))
    assert random_style(_dice(1)) != random_style(_dice(2))


def test_what_cannot_be_drawn_is_refused() -> None:
    """A number outside its range, a choice that is none, and a name that means nothing are told by name."""
    with pytest.raises(ValueError, match=r"heads is 9\.0"):
        replace(Style(), heads=9.0)
    with pytest.raises(ValueError, match="ink is 'gold'"):
        replace(Style(), ink="gold")
    with pytest.raises(ValueError, match="no fonts"):
        from_row({"fonts": "serif"})
