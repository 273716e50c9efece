"""`indexer.collect.likeness`: copies are told from strangers."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from indexer.collect.likeness import Likenesses, colours_of
from recommender.images import decode, perceptual_hash
from tests.pictures import picture, saved

pytestmark = pytest.mark.slow


def _nearest(kept: bytes, asked: bytes) -> str | None:
    likenesses = Likenesses()
    image = decode(kept)
    likenesses.add("kept", perceptual_hash(image), image.width / image.height, colours_of(image))
    image = decode(asked)
    return likenesses.nearest(perceptual_hash(image), image.width / image.height, colours_of(image))


def _changed(data: bytes, size: tuple[int, int], quality: int) -> bytes:
    return saved(Image.open(io.BytesIO(data)).resize(size), "JPEG", quality=quality)


@pytest.mark.parametrize(("size", "quality"), [((640, 480), 95), ((320, 240), 60), ((160, 120), 40)])
def test_a_copy_of_another_size_and_quality_is_known(size: tuple[int, int], quality: int) -> None:
    """Scaling and saving anew leave a picture nearly the same."""
    original = picture(1, (640, 480))
    assert _nearest(original, _changed(original, size, quality)) == "kept"


def test_strangers_are_strangers() -> None:
    """Other pictures are not the same, nor is the same drawing in other colours, nor one of another shape."""
    original = picture(1, (640, 480))
    image = Image.open(io.BytesIO(original))
    assert all(_nearest(original, picture(seed, (640, 480))) is None for seed in range(2, 30))
    darker = image.point(lambda value: value // 2)
    assert _nearest(original, saved(darker)) is None
    assert _nearest(original, saved(image.resize((480, 480)))) is None


def test_colours_are_means_of_cells() -> None:
    """Each cell of the grid is the mean of its pixels, worked out by hand for a picture of two halves."""
    halves = Image.new("RGB", (80, 80), (10, 20, 30))
    halves.paste((110, 120, 130), (0, 40, 80, 80))
    assert colours_of(decode(saved(halves))) == bytes((10, 20, 30) * 32 + (110, 120, 130) * 32)
    narrow = decode(saved(Image.new("RGB", (3, 5), (1, 2, 3))))
    assert len(colours_of(narrow)) == 192


def test_what_was_removed_is_not_found_and_many_fit() -> None:
    """A picture that is taken out is nobody's likeness; the table grows as it must."""
    likenesses = Likenesses()
    images = [decode(picture(seed)) for seed in range(200)]
    for number, image in enumerate(images):
        likenesses.add(str(number), perceptual_hash(image), 4 / 3, colours_of(image))
    found = [likenesses.nearest(perceptual_hash(image), 4 / 3, colours_of(image)) for image in images]
    assert found == [str(number) for number in range(200)]
    likenesses.remove("7")
    assert likenesses.nearest(perceptual_hash(images[7]), 4 / 3, colours_of(images[7])) is None
