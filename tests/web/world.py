"""A small published world: a library of coloured pictures, a real catalogue, a real FAISS snapshot, thumbnails."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import migrations
from recommender.catalogue import Catalogue, LibraryRows, ModelRow, PictureRow
from recommender.images import decode, thumbnail
from recommender.publication import Publication
from recommender.settings import Settings
from recommender.snapshots import SnapshotContent, write_snapshot
from recommender.types import Character, DecodedImage, PictureId, Show
from tests.fakes import SPACE, FakeEncoder, colours

RED_SEA = Show("red-sea", "Red Sea", 1999)
BLUE_HILLS = Show("blue-hills", "Blue Hills", 2016)
NO_YEAR = Show("no-year", "<b>No & Year</b>")
SHOWS = (RED_SEA, BLUE_HILLS, NO_YEAR)
CHARACTERS = (
    Character("ada", "Ada", RED_SEA, "female"),
    Character("bob", "Bob", RED_SEA, "male"),
    Character("cat", "Cat", BLUE_HILLS, "non-human"),
    Character("dan", "Dan", BLUE_HILLS, "male"),
    Character("eve", "Eve", NO_YEAR, None),
)
EACH = 4
CREATED = "2026-01-01T00:00:00+00:00"
MODEL_DIGEST = "0" * 64


@dataclass(frozen=True)
class World:
    """What was published, and where."""

    settings: Settings
    library: Path
    encoder: FakeEncoder
    pictures: tuple[PictureRow, ...]

    @contextmanager
    def publication(self) -> Iterator[Publication]:
        """Open what is published with the fake model."""
        publication = Publication(self.settings, lambda _settings, _published: self.encoder)
        publication.refresh()
        try:
            yield publication
        finally:
            publication.close()


def draw(seed: int, number: int = 0, *, side: int = 96, form: str = "PNG") -> bytes:
    """Return a picture in four colours that depend on `seed`, a little different for each `number`."""
    base = np.random.default_rng(seed).integers(0, 255, (2, 2, 3))
    near = np.random.default_rng(1000 * seed + number).integers(-12, 12, (2, 2, 3))
    pixels = np.clip(base + near, 0, 255).astype(np.uint8).repeat(side // 2, 0).repeat(side // 2, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def build(folder: Path, notice: str = "") -> World:
    """Publish the world below `folder`."""
    settings = Settings(home=folder / "home", max_bytes=2_000_000, poll_seconds=0.1)
    library = folder / "library"
    rows, vectors = [], []
    examples: dict[Character, DecodedImage] = {}
    for seed, character in enumerate(CHARACTERS):
        (library / character.label).mkdir(parents=True)
        for number in range(EACH):
            data = draw(seed, number)
            image = decode(data)
            examples.setdefault(character, image)
            path = f"{character.label}/{number}.png"
            (library / path).write_bytes(data)
            rows.append(
                PictureRow(image.id, character.label, path, str(library), image.width, image.height, "PNG", len(data))
            )
            vectors.append(colours(image))
            small = settings.home / "thumbnails" / image.id[:2] / f"{image.id}.jpg"
            small.parent.mkdir(parents=True, exist_ok=True)
            small.write_bytes(thumbnail(image))
    world = World(settings, library, FakeEncoder(examples, notice), tuple(rows))
    _publish(world, np.stack(vectors))
    return world


def _publish(world: World, vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    cast = {character.label: character for character in CHARACTERS}
    content = SnapshotContent(
        model="fake",
        model_digest=MODEL_DIGEST,
        space=SPACE,
        pictures=[PictureId(row.id) for row in world.pictures],
        characters=[cast[row.character] for row in world.pictures],
        vectors=vectors,
        created=CREATED,
    )
    info = write_snapshot(world.settings.home / "snapshots" / "s1", content, lambda _folder: None)
    migrations.upgrade(world.settings.database_url)
    with Catalogue(world.settings.database_url) as catalogue:
        catalogue.add_model(ModelRow("fake", "fake", MODEL_DIGEST, SPACE.fingerprint, CREATED))
        catalogue.publish(info, LibraryRows(tuple((show, {}) for show in SHOWS), CHARACTERS, world.pictures))
