"""`indexer.views`: a picture always gives the same view, which is a picture of its own that a network can look at."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from indexer.views import ALTERATIONS, NETWORK_SIDE, altered, augmented, augmented_name, nothing, nothing_id, view_id
from recommender.images import decode
from recommender.types import DecodedImage, PictureId
from tests.pictures import picture, saved

SIZES = [(1, 1), (2, 1), (1, 900), (900, 1), (3, 5), (40, 700), (260, 240)]
NUMBERS = range(1, 25)


def _image(seed: int = 0, size: tuple[int, int] = (120, 90)) -> DecodedImage:
    return decode(picture(seed, size))


def _drawn(pixels: NDArray[np.uint8]) -> DecodedImage:
    """Return a picture of these pixels."""
    height, width = pixels.shape[:2]
    return DecodedImage(PictureId("0" * 64), pixels, "PNG", width, height)


def _slope(axis: int, size: tuple[int, int] = (100, 80)) -> DecodedImage:
    """Return a grey picture that gets brighter along an axis: 0 is downwards, 1 to the right."""
    height, width = size
    line = np.linspace(40, 215, size[axis]).astype(np.uint8)
    plane = np.broadcast_to(line[:, np.newaxis] if axis == 0 else line, (height, width))
    return _drawn(np.repeat(plane[..., np.newaxis], 3, axis=2))


def _rise(image: DecodedImage, axis: int) -> float:
    """Return how much brighter the second half of a picture is along an axis."""
    lines = image.pixels.astype(float).mean(axis=(1 - axis, 2))
    return float(lines[len(lines) // 2 :].mean() - lines[: len(lines) // 2].mean())


def _require_picture(view: DecodedImage) -> None:
    """Require what every picture is: RGB in bytes, at least one pixel, in memory of its own."""
    assert view.pixels.dtype == np.uint8
    assert view.pixels.ndim == 3
    assert view.pixels.shape[2] == 3
    assert min(view.pixels.shape) >= 1
    assert view.pixels.flags.c_contiguous
    assert len(view.id) == 64
    assert set(view.id) <= set("0123456789abcdef")


# Random views


def test_a_view_depends_on_picture_and_number_alone() -> None:
    """Drawn again, after whatever else was drawn, it has the same id and the same pixels."""
    image = _image()
    before = image.pixels.copy()
    first = [augmented(image, number) for number in NUMBERS]
    torch.rand(7)
    for view, number in reversed(list(zip(first, NUMBERS, strict=True))):
        again = augmented(_image(), number)
        assert again.id == view.id
        assert np.array_equal(again.pixels, view.pixels)
    assert np.array_equal(image.pixels, before)


def test_views_differ() -> None:
    """Another number is another view, and so is the same number of another picture with equal pixels."""
    image = _image()
    other = DecodedImage(PictureId("f" * 64), image.pixels, image.format, image.width, image.height)
    views = [augmented(one, number) for one in (image, other) for number in NUMBERS]
    assert len({view.id for view in views}) == 2 * len(NUMBERS)
    assert len({view.pixels.tobytes() for view in views}) == 2 * len(NUMBERS)
    assert image.id not in {view.id for view in views}


def test_drawing_a_view_leaves_the_generators_alone() -> None:
    """What is drawn elsewhere does not depend on whether views were made in between."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    for number in NUMBERS:
        augmented(_image(), number)
    assert torch.equal(torch.rand(1), expected)


def test_odd_views_are_mirrored_and_even_ones_are_not() -> None:
    """What is brighter to the right is so in every even view and in no odd one; up stays up in all."""
    for number in NUMBERS:
        assert (_rise(augmented(_slope(1), number), axis=1) < 0) == bool(number % 2)
        assert _rise(augmented(_slope(0), number), axis=0) > 0


def test_views_show_a_good_part_of_the_picture() -> None:
    """A cut leaves a third of the area or more, seldom all of it, and more often the upper part than the lower."""
    areas, above, below = [], 0, 0
    for seed in range(100):
        size = (100, 80)
        down, across = np.mgrid[0 : size[0], 0 : size[1]].astype(np.uint8)
        place = _drawn(np.stack([down, across, down * 0], axis=2))
        view = augmented(DecodedImage(PictureId(f"{seed:064x}"), place.pixels, "PNG", 80, 100), 2)
        areas.append(view.pixels.shape[0] * view.pixels.shape[1] / (size[0] * size[1]))
        middle = view.pixels[..., 0].astype(float).mean()
        above, below = above + (middle < 45), below + (middle > 54)
    assert min(areas) >= 0.33
    assert max(areas) == 1
    assert 0.6 < np.mean(areas) < 0.85
    assert above > 1.5 * below


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_of_any_size_has_views(size: tuple[int, int]) -> None:
    """One pixel, a line, a strip: every random view is a picture, and no larger than the one it is of."""
    image = _image(1, size)
    for number in NUMBERS:
        view = augmented(image, number)
        _require_picture(view)
        assert view.pixels.shape[0] <= image.pixels.shape[0]
        assert view.pixels.shape[1] <= image.pixels.shape[1]
        assert (view.format, view.width, view.height) == (image.format, image.width, image.height)


# Alterations


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_every_alteration_is_a_picture_of_its_own(alteration: str, size: tuple[int, int]) -> None:
    """It is RGB in bytes, has an id of its own that its name decides, and leaves the picture as it was."""
    image = _image(2, size)
    before = image.pixels.copy()
    view = altered(image, alteration)
    _require_picture(view)
    assert view.id == view_id(image.id, alteration)
    assert np.array_equal(altered(image, alteration).pixels, view.pixels)
    assert np.array_equal(image.pixels, before)


def test_ids_of_views_are_all_different() -> None:
    """Neither two alterations, nor two random views, nor the same view of two pictures share an id."""
    pictures = [PictureId("0" * 64), PictureId("1" * 64)]
    names = [*ALTERATIONS, *(augmented_name(number) for number in NUMBERS)]
    ids = {view_id(one, name) for one in pictures for name in names} | {nothing_id(number) for number in NUMBERS}
    assert len(ids | set(pictures)) == 2 + len(pictures) * len(names) + len(NUMBERS)
    image = _image()
    assert augmented(image, 3).id == view_id(image.id, augmented_name(3))


def test_an_unknown_alteration_is_an_error() -> None:
    """A misspelt name is no view that happens to change nothing."""
    with pytest.raises(KeyError, match="upside-down"):
        altered(_image(), "upside-down")


def test_the_mirror_shows_left_as_right() -> None:
    """Mirrored, the columns are in reverse; mirrored twice, everything is as it was."""
    image = _image()
    assert np.array_equal(altered(image, "mirrored").pixels, image.pixels[:, ::-1])
    assert np.array_equal(altered(altered(image, "mirrored"), "mirrored").pixels, image.pixels)


def test_the_head_is_in_the_upper_middle() -> None:
    """What is left is the upper half, and of that the middle two thirds."""
    image = _image(size=(120, 90))
    assert np.array_equal(altered(image, "head").pixels, image.pixels[:45, 20:100])


def test_grey_keeps_the_light_and_loses_the_colour() -> None:
    """The three channels are equal, and each is the luma of ITU-R BT.601."""
    image = _image()
    grey = altered(image, "grey").pixels
    assert (grey == grey[..., :1]).all()
    luma = image.pixels.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(grey[..., 0] - luma).max() <= 1.1


def test_a_poor_jpeg_is_one_of_quality_30() -> None:
    """It comes close to what Pillow makes of the picture at that quality, and farther from the picture itself."""
    image = _image(size=(160, 120))
    found = altered(image, "jpeg-30").pixels.astype(float)
    pillow = np.asarray(Image.open(io.BytesIO(saved(Image.fromarray(image.pixels), "JPEG", quality=30))), dtype=float)
    assert found.shape == pillow.shape
    assert np.abs(found - pillow).mean() < 0.5 * np.abs(found - image.pixels).mean()


def test_blur_is_measured_at_the_scale_of_the_network() -> None:
    """Two pixels at 224: a large picture is reduced first, and an edge gets wider by a Gaussian of that deviation."""
    edge = np.zeros((448, 448, 3), np.uint8)
    edge[:, 224:] = 255
    blurred = altered(_drawn(edge), "blurred").pixels
    assert blurred.shape == (NETWORK_SIDE, NETWORK_SIDE, 3)
    step = np.diff(blurred[100, :, 0].astype(float)) / 255
    places = np.arange(len(step)) - 111
    assert step.sum() == pytest.approx(1, abs=0.01)
    assert (step * places).sum() == pytest.approx(0, abs=0.1)
    assert np.sqrt((step * places**2).sum()) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((448, 448), (112, 112)), ((600, 300), (224, 112)), ((112, 112), (112, 112)), ((100, 900), (100, 900))],
)
def test_half_the_resolution_is_that_of_the_network(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """The short side comes to 112 pixels, with the proportions kept; a picture with no more than that stays."""
    height, width = altered(_image(size=size), "half-resolution").pixels.shape[:2]
    assert (width, height) == expected


# Nobody


def test_pictures_of_nobody_are_pictures() -> None:
    """Each number always gives the same picture, and no two numbers the same one, of the network's size."""
    found = [nothing(number) for number in range(40)]
    for number, image in enumerate(found):
        _require_picture(image)
        assert image.id == nothing_id(number)
        assert image.pixels.shape == (NETWORK_SIDE, NETWORK_SIDE, 3)
        assert (image.width, image.height) == (NETWORK_SIDE, NETWORK_SIDE)
        assert np.array_equal(nothing(number).pixels, image.pixels)
    assert len({image.pixels.tobytes() for image in found}) == len(found)


def test_nobody_comes_in_five_kinds() -> None:
    """Plain sheets, gradients, stripes of two colours, blots and noise take turns."""
    sheet, gradient, stripes, blots, noise = (nothing(number).pixels.astype(float) for number in range(5, 10))
    kinds = (sheet, gradient, stripes, blots, noise)
    colours = [len(np.unique(pixels[::4, ::4].reshape(-1, 3), axis=0)) for pixels in kinds]
    assert colours[0] == 1
    assert colours[2] == 2
    assert min(colours[1], colours[3]) > 50
    assert colours[4] > 3000
    steps = [np.abs(np.diff(pixels, axis=1)).mean() for pixels in (gradient, blots, noise)]
    assert max(steps[:2]) < 3 < steps[2]
