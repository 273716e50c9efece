"""A query and a stored picture go through the same code: whichever way the same bytes come, the network sees the same.

Where they did not, a picture would not find itself, and every similarity would be off by the difference.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from indexer.library import scan
from recommender.images import Preprocessing, prepare
from recommender.types import DecodedImage, Encoding
from tests.fakes import FakeEncoder
from tests.pictures import picture, pixels, saved
from tests.web.world import build
from web import create_app

API = "/api/v1/recommendations"
TURNED = Image.Exif()
TURNED[0x0112] = 6  # the tag of the orientation: a quarter turn
PICTURES = {
    "large.jpg": picture(1, (1300, 1000), "JPEG", quality=85),
    "turned.jpg": saved(Image.fromarray(pixels(2, (700, 1100))), "JPEG", exif=TURNED),
    "grey.jpg": picture(3, (640, 500), "JPEG", "L"),
    "clear.png": picture(4, (300, 200), "PNG", "RGBA"),
    "small.webp": picture(5, (90, 70), "WEBP"),
    "few.gif": picture(6, (120, 110), "GIF", "P"),
}


class Watcher(FakeEncoder):
    """Keeps the pictures that it is asked about."""

    seen: list[DecodedImage]

    def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
        """Keep and encode."""
        self.seen += images
        return super().encode(images)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DecodedImage]:
    """Return the pictures as a batch job decodes them, by the names of their files."""
    root = tmp_path_factory.mktemp("library")
    folder = root / "show" / "character"
    folder.mkdir(parents=True)
    for name, data in PICTURES.items():
        (folder / name).write_bytes(data)
    found: dict[str, DecodedImage] = {}
    scan(root, visit=lambda entry, image: found.update({Path(entry.path).name: image}))
    return found


@pytest.mark.parametrize("way", ["form", "body", "base64", "page"])
@pytest.mark.parametrize("name", PICTURES)
def test_query_and_stored_picture_are_equal_bit_for_bit(
    tmp_path: Path, stored: dict[str, DecodedImage], name: str, way: str
) -> None:
    """The same file, uploaded in any way and read by a batch job: the same pixels, and the same network's input."""
    world = build(tmp_path)
    world.encoder.__class__ = Watcher
    world.encoder.seen = []  # type: ignore[attr-defined]  # it is a Watcher now
    world = replace(world, settings=replace(world.settings, cache=0))
    with world.publication() as publication:
        assert send(create_app(world.settings, publication).test_client(), name, way) == 200
    (seen,) = world.encoder.seen  # type: ignore[attr-defined]
    assert (seen.id, seen.format) == (stored[name].id, stored[name].format)
    assert (seen.width, seen.height) == (stored[name].width, stored[name].height)
    np.testing.assert_array_equal(seen.pixels, stored[name].pixels)
    for preprocessing in (Preprocessing(), Preprocessing(64, "pad", "bilinear")):
        np.testing.assert_array_equal(prepare(seen, preprocessing), prepare(stored[name], preprocessing))


def send(client: FlaskClient, name: str, way: str) -> int:
    """Upload a picture in one of the ways that there are; return the status."""
    data = PICTURES[name]
    if way == "body":
        return client.post(API, data=data, content_type="image/jpeg").status_code
    if way == "base64":
        return client.post(API, json={"base64": base64.b64encode(data).decode()}).status_code
    return client.post(API if way == "form" else "/", data={"picture": (io.BytesIO(data), name)}).status_code
