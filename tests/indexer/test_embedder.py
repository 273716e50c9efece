"""`indexer.embedder`: pictures go through the backbone once, in batches, beside whoever decodes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from indexer.embed import BATCH, EmbeddingTable
from indexer.embedder import EMBEDDING, LOADING, Embedder
from indexer.progress import heard_by
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, EngineMissing
from recommender.images import decode
from recommender.types import DecodedImage, Matrix
from tests.fakes import colours
from tests.pictures import picture

SPACE = EmbeddingSpace("toy", weights="0" * 64, layer="penultimate", preprocessing="none", dimension=12)


class _ColourBackbone:
    """A backbone whose features are colours; it remembers how many pictures it was given at a time."""

    space = SPACE
    engine = "fake"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return a row for each picture."""
        self.batches.append(len(images))
        return np.stack([colours(image) for image in images])

    def make_ready(self) -> None:
        """Be there already."""


class _SlowBackbone(_ColourBackbone):
    """Answers once it may, or is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()
        self.may_load = threading.Event()
        self.may_load.set()
        self.broken = self.unusable = False
        self.loads = 0

    def make_ready(self) -> None:
        """Be there once it may, or not at all."""
        self.loads += 1
        assert self.may_load.wait(30)
        if self.unusable:
            raise EngineMissing("pip install it")

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Wait, then answer as the other does."""
        assert self.may_go.wait(30)
        if self.broken:
            raise BuildError("there is no more to be had")
        return super().features(images)


def _pictures_in(table: EmbeddingTable, home: Path) -> Iterator[str]:
    """Yield the ids in a table, in the order of its records."""
    table.flush()
    (file,) = (home / "embeddings").glob("*/rows.bin")
    length = file.stat().st_size // len(table)
    content = file.read_bytes()
    for row in range(len(table)):
        yield content[row * length : row * length + 32].hex()


def test_pictures_go_through_the_backbone_once_and_in_batches(tmp_path: Path) -> None:
    """Full batches are embedded as they fill, the rest at the end, and a picture that is known never again."""
    images = [decode(picture(seed)) for seed in range(BATCH + 3)]
    backbone = _ColourBackbone()
    with EmbeddingTable.open(tmp_path, backbone.space) as table:
        embedder = Embedder(backbone, table)
        for image in [*images, *images]:
            embedder.add(image)
        embedder.finish()
        embedder.finish()
        assert embedder.embedded == len(images)
        assert len(table) == len(images)
        expected = np.stack([colours(image) for image in images])
        assert np.array_equal(table.features([image.id for image in images])[:], expected)
    assert backbone.batches == [BATCH, 3]
    with EmbeddingTable.open(tmp_path, backbone.space) as table:
        embedder = Embedder(backbone, table)
        for image in images:
            embedder.add(image)
        embedder.finish()
    assert embedder.embedded == 0
    assert backbone.batches == [BATCH, 3]


def test_a_picture_twice_in_one_batch_is_embedded_once(tmp_path: Path) -> None:
    """Two files with the same bytes are one picture, even before the first of them was embedded."""
    image = decode(picture(1))
    backbone = _ColourBackbone()
    with EmbeddingTable.open(tmp_path, backbone.space) as table:
        embedder = Embedder(backbone, table)
        embedder.add(image)
        embedder.add(image)
        embedder.finish()
        assert len(table) == embedder.embedded == 1
    assert backbone.batches == [1]


def test_a_batch_is_embedded_while_the_next_is_taken(tmp_path: Path) -> None:
    """Whoever adds pictures does not wait for the batch before, but never gets further ahead than one batch."""
    backbone = _SlowBackbone()
    images = [decode(picture(seed)) for seed in range(2 * BATCH)]
    with EmbeddingTable.open(tmp_path, backbone.space) as table:
        with Embedder(backbone, table) as embedder:
            for image in images[:-1]:
                embedder.add(image)  # returns though the first batch is held back
            assert len(table) == 0
            assert not any(embedder.wants(image.id) for image in images[:-1])
            assert embedder.wants(images[-1].id)
            adding = threading.Thread(target=embedder.add, args=(images[-1],))
            adding.start()
            adding.join(0.1)
            assert adding.is_alive()
            backbone.may_go.set()
            adding.join(30)
            assert not adding.is_alive()
        assert [image.id for image in images] == list(_pictures_in(table, tmp_path))
        assert embedder.embedded == len(table) == 2 * BATCH


def test_what_fails_beside_is_told_to_whoever_adds(tmp_path: Path) -> None:
    """An error of the backbone ends the job, at the latest at its end; what was appended before stays."""
    backbone = _SlowBackbone()
    backbone.may_go.set()
    with EmbeddingTable.open(tmp_path, backbone.space) as table:
        with Embedder(backbone, table) as embedder:
            embedder.add(decode(picture(0)))
        backbone.broken = True
        with pytest.raises(BuildError, match="no more"), Embedder(backbone, table) as embedder:
            embedder.add(decode(picture(1)))
        assert len(table) == 1


def test_an_error_elsewhere_leaves_no_batch_half_appended(tmp_path: Path) -> None:
    """Where reading pictures fails, the batch that is on its way is awaited before the table is closed."""
    backbone = _SlowBackbone()
    with EmbeddingTable.open(tmp_path, backbone.space) as table:
        with pytest.raises(KeyError), Embedder(backbone, table) as embedder:
            _add_and_fail(embedder, backbone)
        assert len(table) == BATCH


def _add_and_fail(embedder: Embedder, backbone: _SlowBackbone) -> None:
    """Fail while a batch is on its way, which ends a little later."""
    for seed in range(BATCH):
        embedder.add(decode(picture(seed)))
    threading.Timer(0.2, backbone.may_go.set).start()
    raise KeyError("somewhere else")


def _add(embedder: Embedder, seeds: Iterable[int]) -> None:
    for seed in seeds:
        embedder.add(decode(picture(seed)))


class _Stages:
    """Notes the stages that it hears of, and lets something happen at each."""

    def __init__(self, then: dict[str, threading.Event]) -> None:
        self.told: list[str] = []
        self._then = then

    def began(self, stage: str) -> None:
        """Hear of a stage that is none of the embedder's."""
        raise AssertionError(stage)

    def turned_to(self, stage: str) -> None:
        """Hear of a stage."""
        self.told.append(stage)
        self._then[stage].set()

    def counted(self, done: int, total: int) -> None:
        """Hear of no count: pictures are counted by whoever reads them."""
        raise AssertionError((done, total))


def test_what_is_waited_for_is_told(tmp_path: Path) -> None:
    """First for the backbone to be loaded, which begins with the first picture; from then on pictures are embedded."""
    backbone = _SlowBackbone()
    backbone.may_load.clear()
    # Nothing goes on until it was told: were it not, this would hang until an assertion of the backbone ends it.
    stages = _Stages({LOADING: backbone.may_load, EMBEDDING: backbone.may_go})
    with EmbeddingTable.open(tmp_path, backbone.space) as table, heard_by(stages):
        with Embedder(backbone, table) as embedder:
            embedder.add(decode(picture(0)))
            deadline = time.monotonic() + 30
            while not backbone.loads:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            assert stages.told == []
        assert stages.told == [LOADING, EMBEDDING]
        assert (embedder.embedded, backbone.loads) == (1, 1)
        assert embedder.loading_seconds > 0
        with Embedder(backbone, table) as embedder:
            embedder.add(decode(picture(0)))
        assert (stages.told, backbone.loads) == ([LOADING, EMBEDDING], 1), "nothing is loaded where nothing is new"
        with Embedder(backbone, table) as embedder:
            _add(embedder, range(1, 2 * BATCH))
        assert stages.told[-1] == EMBEDDING
        assert stages.told.count(EMBEDDING) == 2


def test_what_cannot_be_loaded_is_tried_once(tmp_path: Path) -> None:
    """Its error ends the job, and no batch that waited for it tries again."""
    backbone = _SlowBackbone()
    backbone.unusable = True
    with EmbeddingTable.open(tmp_path, backbone.space) as table:
        with pytest.raises(EngineMissing, match="pip install"), Embedder(backbone, table) as embedder:
            _add(embedder, range(2 * BATCH))
        assert (len(table), backbone.loads, backbone.batches) == (0, 1, [])
