"""`indexer.demo.drawing`: everything that can be named can be drawn, the same every time, and fills the picture."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.demo.cast import SHOWS
from indexer.demo.drawing import draw, render, svg
from indexer.demo.identity import ACCESSORIES, CUTS, FRINGES, OUTFITS, SPECIES, Identity, random_identity
from indexer.demo.parts.colour import Colour
from indexer.demo.parts.relief import Relief, hatched
from indexer.demo.production import dice_of
from indexer.demo.shot import BACKGROUNDS, EXPRESSIONS, FRAMINGS, OCCLUSIONS, POSES, Shot, random_shot
from indexer.demo.style import CHOICES, RANGES, Style, from_row, random_style

pytestmark = pytest.mark.slow

SMALL = 80
STYLE = Style()
HUMAN = replace(random_identity(dice_of("4"), "female"), accessories=())
PINNED = "8eed12843b7fd60e9dc69ece8134e5cd9e57ceaebf5a58cca0ae09645219473e"
"""SHA-256 of the SVG of twelve random drawings. Change it when the drawings are meant to change, and then only."""


def _pixels(
    style: Style = STYLE, identity: Identity = HUMAN, shot: Shot | None = None, width: int = SMALL
) -> NDArray[np.int64]:
    """Return a small picture as numbers."""
    return np.asarray(draw(style, identity, shot or Shot(), width)).astype(np.int64)


def _of_species(species: str) -> Identity:
    if species == "human":
        return HUMAN
    return replace(HUMAN, type="non-human", species=species)


def _random(seed: int) -> tuple[Style, Identity, Shot]:
    dice = dice_of(str(seed))
    style = random_style(dice)
    return style, random_identity(dice), random_shot(dice, style)


def _differ(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Tell whether pictures differ where one would see it: some pixel by a twentieth of the range."""
    return one.shape != other.shape or int(np.abs(one - other).max()) > 12


def test_one_seed_gives_the_same_pixels() -> None:
    """Drawn again from the same dice, every pixel is the same; from others, it is another picture."""
    assert np.array_equal(_pixels(*_random(7)), _pixels(*_random(7)))
    assert _differ(_pixels(*_random(7)), _pixels(*_random(8)))


def test_drawings_are_pinned() -> None:
    """Twelve drawings have the SVG that they had when they were last looked at."""
    digest = hashlib.sha256()
    for seed in range(12):
        digest.update(svg(*_random(seed)).encode())
    assert digest.hexdigest() == PINNED


@pytest.mark.parametrize("framing", FRAMINGS)
def test_picture_has_the_size_of_its_framing(framing: str) -> None:
    """RGB, as wide and high as stated, or as wide as asked for and as high as fits."""
    shot = Shot(framing=framing)
    picture = draw(STYLE, HUMAN, shot)
    assert (picture.mode, picture.size) == ("RGB", FRAMINGS[framing])
    smaller = draw(STYLE, HUMAN, shot, 150)
    assert smaller.width == 150
    assert abs(smaller.height - 150 * picture.height / picture.width) <= 1


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "background"])
def test_every_choice_of_a_style_shows(name: str) -> None:
    """Whatever is chosen can be drawn, and no two choices give one picture."""
    style = replace(STYLE, blush=1.0, shade_strength=1.0)
    shot = Shot(framing="head", expression="smile")
    pictures = [_pixels(from_row(style.to_json() | {name: value}), HUMAN, shot, 160) for value in CHOICES[name]]
    for place, one in enumerate(pictures):
        assert all(_differ(one, other) for other in pictures[:place]), CHOICES[name][place]


@pytest.mark.parametrize("name", RANGES)
def test_every_number_of_a_style_shows(name: str) -> None:
    """The least and the most of a number give two pictures."""
    shot = Shot(framing="figure" if name == "heads" else "head", backdrop=HUMAN.colours[0])
    least, most = (_pixels(from_row({name: value}), HUMAN, shot) for value in RANGES[name])
    assert _differ(least, most)


@pytest.mark.parametrize("species", SPECIES)
def test_every_species_can_be_drawn(species: str) -> None:
    """In every framing there is more than the background, and it looks different when turned, angry, or asleep."""
    identity, still = _of_species(species), Shot(background="plain")
    head, *rest = (_pixels(identity=identity, shot=replace(still, framing=framing)) for framing in FRAMINGS)
    assert min(picture.std() for picture in (head, *rest)) > 10
    for change in (replace(still, turn=0.9), replace(still, expression="angry"), replace(still, expression="closed")):
        assert _differ(head, _pixels(identity=identity, shot=change))


def test_no_two_species_look_the_same() -> None:
    """Each is told from each other by more than its name."""
    pictures = [_pixels(identity=_of_species(species)) for species in SPECIES]
    for place, one in enumerate(pictures):
        assert all(_differ(one, other) for other in pictures[:place]), SPECIES[place]


@pytest.mark.parametrize(
    ("field", "values"),
    [("cut", CUTS), ("fringe", FRINGES), ("outfit", OUTFITS), ("accessories", tuple((one,) for one in ACCESSORIES))],
)
def test_every_choice_of_an_identity_shows(field: str, values: tuple[object, ...]) -> None:
    """Each cut, fringe, outfit and accessory can be drawn, and no two are one picture."""
    change = {"cut": "ponytail"} if field == "accessories" else {}
    shown = [
        _pixels(identity=replace(HUMAN, **(change | {field: value})), shot=Shot(framing="bust"))  # type: ignore[arg-type]
        for value in values
    ]
    for place, one in enumerate(shown):
        assert all(_differ(one, other) for other in shown[:place]), values[place]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("expression", EXPRESSIONS),
        ("pose", POSES),
        ("background", BACKGROUNDS),
        ("occlusion", OCCLUSIONS),
        ("mirrored", (False, True)),
        ("turn", (-0.8, 0.0, 0.8)),
        ("tilt", (-12.0, 0.0, 12.0)),
        ("gaze", (-1.0, 1.0)),
        ("zoom", (0.85, 1.0)),
        ("x", (-0.07, 0.07)),
        ("brightness", (0.85, 1.0)),
        ("tinted", (0.0, 0.8)),
        ("evening", (0.0, 0.6)),
        ("bubble", (0.0, 0.3)),
    ],
)
def test_everything_of_a_shot_shows(field: str, values: tuple[object, ...]) -> None:
    """No two values give one picture."""
    framing = "figure" if field == "pose" else "bust"
    shot = Shot(framing=framing, tint=Colour(0.8, 0.1, 60.0), seed=3)
    shown = [_pixels(shot=replace(shot, **{field: value})) for value in values]  # type: ignore[arg-type]
    for place, one in enumerate(shown):
        assert all(_differ(one, other) for other in shown[:place]), values[place]


def test_mirrored_is_the_mirror_image() -> None:
    """A mirrored shot is the other one seen in a mirror, to within the smoothing of edges."""
    plain, mirrored = _pixels(shot=Shot(turn=0.7)), _pixels(shot=Shot(turn=0.7, mirrored=True))
    assert np.abs(plain[:, ::-1] - mirrored).mean() < 2.0
    assert np.abs(plain - mirrored).mean() > 4.0


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_background_covers_the_whole_picture(background: str) -> None:
    """Nothing shows through: over black and over white the picture is the same."""
    for seed in range(4):
        drawn = svg(STYLE, HUMAN, Shot(framing="figure", background=background, seed=seed))
        start = drawn.index(">") + 1
        over = [
            np.asarray(render(f'{drawn[:start]}<rect width="300" height="480" fill="{paper}"/>{drawn[start:]}', SMALL))
            for paper in ("#000000", "#ffffff")
        ]
        assert np.array_equal(over[0], over[1])


def test_svg_holds_neither_text_nor_files() -> None:
    """Only shapes and paints: no font and no file has a say, and no number has more than four decimals."""
    for seed in range(20):
        drawn = svg(*_random(seed))
        assert not re.search(r"<text|<image|<use|href|font|nan|inf\b", drawn)
        assert not re.search(r"\d\.\d{5}", drawn)


def test_a_thin_spike_casts_its_shadow_within_itself() -> None:
    """However deep a shadow should be, it ends halfway to the opposite edge.

    The light comes from the left. A post one wide and ten high has its shadow in the right half of it, nowhere else.
    """
    shadow = Relief("M0 0L1 0L1 10L0 10Z", (-1.0, 0.0)).shadow(5.0)
    across = [float(number) for number in re.findall(r"[ML](-?[\d.]+)", shadow)]
    assert min(across) == pytest.approx(0.54, abs=0.01)
    assert max(across) == pytest.approx(1.0)


def test_a_shadow_is_as_deep_as_asked_for() -> None:
    """On a wide board it is `depth` deep, on the side away from the light; the rim is on the other side."""
    relief = Relief("M0 0L100 0L100 10L0 10Z", (-1.0, 0.0))
    shadow, rim = (
        [float(x) for x in re.findall(r"[ML](-?[\d.]+)", strip)] for strip in (relief.shadow(5), relief.rim(2))
    )
    assert (min(shadow), max(shadow)) == pytest.approx((95.0, 100.0))
    assert (min(rim), max(rim)) == pytest.approx((0.0, 2.0))


def test_hatching_stays_within_its_outline() -> None:
    """Level lines one apart fill a triangle as wide as it is there, and no space between posts."""
    triangle = re.findall(r"M([\d.]+) ([\d.]+)L([\d.]+) [\d.]+", hatched("M0 0.5L8 0.5L8 8.5Z", 1.0, 0.0))
    assert [tuple(map(float, line)) for line in triangle] == [(height - 0.5, height, 8.0) for height in range(1, 9)]
    posts = re.findall(r"M([\d.]+) [\d.]+L([\d.]+) ", hatched("M0 0L9 0L9 5L6 5L6 1L3 1L3 5L0 5Z", 2.0, 0.0))
    assert {tuple(map(float, line)) for line in posts} == {(0.0, 3.0), (6.0, 9.0), (0.0, 9.0)}


@pytest.mark.slow
def test_whole_cast_can_be_drawn() -> None:
    """Everybody of the demo world, in every framing, is more than the background."""
    for show in SHOWS:
        for one in show.characters:
            for framing in FRAMINGS:
                assert _pixels(show.style, one.identity, Shot(framing=framing)).std() > 5


@pytest.mark.slow
def test_anything_random_can_be_drawn() -> None:
    """Two hundred random drawings, none of them blank."""
    for seed in range(200):
        assert _pixels(*_random(seed)).std() > 3
