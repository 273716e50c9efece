"""`indexer.demo.shot`: shots vary in everything, and mostly have the background that the show is in the habit of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from indexer.demo.production import dice_of
from indexer.demo.shot import BACKGROUNDS, EXPRESSIONS, FRAMINGS, HABIT, OCCLUSIONS, POSES, Shot, random_shot
from indexer.demo.style import Style

STYLE = Style(background="night-city")
MANY = [random_shot(dice_of(str(seed)), STYLE) for seed in range(1000)]


def test_dice_decide() -> None:
    """Dice that fall alike give one shot; a thousand others are all different."""
    assert random_shot(dice_of("5"), STYLE) == random_shot(dice_of("5"), STYLE)
    assert len(set(MANY)) == len(MANY)


def test_everything_there_is_occurs() -> None:
    """Every framing, expression, pose, occlusion and background is seen, mirrored or not, with a bubble or without."""
    assert {shot.framing for shot in MANY} == set(FRAMINGS)
    assert {shot.expression for shot in MANY} == set(EXPRESSIONS)
    assert {shot.pose for shot in MANY} == set(POSES)
    assert {shot.occlusion for shot in MANY} == set(OCCLUSIONS)
    assert {shot.background for shot in MANY} == set(BACKGROUNDS)
    assert {shot.mirrored for shot in MANY} == {True, False}
    assert {bool(shot.bubble) for shot in MANY} == {True, False}


def test_background_is_mostly_the_habit_of_the_show() -> None:
    """Its own background is seen as often as habit says, plus its share of the rest, to within four standard errors."""
    expected = HABIT + (1 - HABIT) / len(BACKGROUNDS)
    seen = sum(shot.background == STYLE.background for shot in MANY) / len(MANY)
    assert abs(seen - expected) < 4 * (expected * (1 - expected) / len(MANY)) ** 0.5


def test_quality_is_one_that_pictures_have() -> None:
    """JPEG quality is 60 to 95, both included."""
    assert min(shot.quality for shot in MANY) == 60
    assert max(shot.quality for shot in MANY) == 95


@pytest.mark.parametrize(("framing", "size"), [("head", (320, 320)), ("bust", (320, 400)), ("figure", (300, 480))])
def test_framing_decides_the_size(framing: str, size: tuple[int, int]) -> None:
    """A head is square, a bust higher than wide, a figure much higher."""
    assert Shot(framing=framing).size == size


def test_what_cannot_be_drawn_is_refused() -> None:
    """An unknown framing is told by name."""
    with pytest.raises(ValueError, match="'feet' cannot be drawn"):
        replace(Shot(), framing="feet")
