"""`indexer.gather`: what was looked at once is neither decoded nor embedded again, and everything wanted is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import migrations
from indexer.embed import EmbeddingTable
from indexer.gather import Gatherer, Views, stored
from indexer.library import scan
from indexer.views import altered, augmented, augmented_name, nothing, nothing_id, view_id
from recommender.catalogue import Catalogue
from recommender.embeddings import EmbeddingSpace
from recommender.images import Limits, decode
from recommender.settings import Settings
from recommender.types import DecodedImage, Matrix, PictureId
from tests.fakes import colours
from tests.indexer.libraries import library
from tests.pictures import picture

SPACE = EmbeddingSpace("toy", weights="0" * 64, layer="penultimate", preprocessing="none", dimension=12)
COUNT = 12
NOTHING = 5
NOBODY = Views({})


class _Backbone:
    """A backbone whose features are colours; it notes what it was asked about, and may fail."""

    space = SPACE
    engine = "fake"

    def __init__(self) -> None:
        self.asked: list[PictureId] = []
        self.most = 10**9

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return a row for each picture."""
        self.asked += [image.id for image in images]
        if len(self.asked) > self.most:
            raise ConnectionError("somebody pulled the plug")
        return np.stack([colours(image) for image in images])

    def make_ready(self) -> None:
        """Be there already."""

    def told(self) -> list[PictureId]:
        """Return what it was asked about since this was last called."""
        asked, self.asked = self.asked, []
        return asked


@dataclass
class _Bench:
    """A library, the ids of its pictures in their order, what gathers it, and what was decoded for that."""

    root: Path
    ids: list[PictureId]
    gatherer: Gatherer
    backbone: _Backbone
    decoded: list[PictureId]

    @property
    def table(self) -> EmbeddingTable:
        return self.gatherer.table

    def views(self, *names: str) -> set[PictureId]:
        """Return the ids of these views of every picture."""
        return {view_id(one, name) for one in self.ids for name in names}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Bench]:
    """Make a library of two shows with a damaged picture in it, and an empty home."""
    root = library(tmp_path / "library", shows=2, characters=2, pictures=3)
    (root / "show-0/hero-0/broken.jpg").write_bytes(picture(77, kind="JPEG")[:200])
    settings, backbone = Settings(home=tmp_path / "home"), _Backbone()
    settings.home.mkdir()
    migrations.upgrade(settings.database_url)
    decoded: list[PictureId] = []

    def counting(data: bytes, limits: Limits) -> DecodedImage:
        image = decode(data, limits)
        decoded.append(image.id)
        return image

    with Catalogue(settings.database_url) as catalogue, EmbeddingTable.open(settings.home, SPACE) as table:
        ids = [entry.id for entry in scan(root).entries]
        assert len(ids) == COUNT
        monkeypatch.setattr("indexer.library.decode", counting)
        monkeypatch.setattr("indexer.gather.NOTHING", NOTHING)
        yield _Bench(root, ids, Gatherer(settings, catalogue, backbone, table), backbone, decoded)


def test_everything_is_there_after_the_first_time(bench: _Bench) -> None:
    """Every usable picture and each of its views went through the backbone once; each file was decoded once for all."""
    found = bench.gatherer.library(bench.root, Views.random(2))
    assert found.embedded == 3 * COUNT
    assert sorted(bench.decoded) == sorted(bench.ids)
    asked = bench.backbone.told()
    assert len(asked) == len(set(asked)) == 3 * COUNT
    assert set(asked) == set(bench.ids) | bench.views(augmented_name(1), augmented_name(2))
    assert all(one in bench.table for one in asked)


def test_the_library_is_what_a_scan_finds(bench: _Bench) -> None:
    """Entries, labels and rejects are the same as without any memory, the first time and the second."""
    expected = scan(bench.root)
    assert [reject.path for reject in expected.rejects] == ["show-0/hero-0/broken.jpg"]
    for _ in range(2):
        assert bench.gatherer.library(bench.root, Views.random(1)).library == expected


def test_the_second_time_nothing_is_decoded_and_nothing_embedded(bench: _Bench) -> None:
    """Asked for the same, or for less, it only reads file names and bytes; the damaged picture alone is looked at."""
    bench.gatherer.library(bench.root, Views.random(2))
    bench.backbone.told()
    bench.decoded.clear()
    for views in (Views.random(2), Views.random(1), Views.random(0), NOBODY):
        assert bench.gatherer.library(bench.root, views).embedded == 0
    assert bench.decoded == []
    assert bench.backbone.told() == []


def test_new_views_are_embedded_alone(bench: _Bench) -> None:
    """Pictures have to be decoded to draw their views, but neither they nor their earlier views are embedded again."""
    bench.gatherer.library(bench.root, Views.random(1))
    bench.backbone.told()
    bench.decoded.clear()
    assert bench.gatherer.library(bench.root, Views.random(3)).embedded == 2 * COUNT
    assert set(bench.backbone.told()) == bench.views(augmented_name(2), augmented_name(3))
    assert sorted(bench.decoded) == sorted(bench.ids)


def test_a_new_picture_is_embedded_alone(bench: _Bench) -> None:
    """It is the only one that is decoded; a renamed one is not even that."""
    bench.gatherer.library(bench.root, Views.random(1))
    bench.backbone.told()
    bench.decoded.clear()
    (bench.root / "show-0/hero-0/0.png").rename(bench.root / "show-0/hero-0/renamed.png")
    (bench.root / "show-1/hero-1/new.png").write_bytes(picture(99_999))
    new = decode(picture(99_999)).id
    found = bench.gatherer.library(bench.root, Views.random(1))
    assert found.embedded == 2
    assert set(bench.backbone.told()) == {new, view_id(new, augmented_name(1))}
    assert bench.decoded == [new]
    assert "show-0/hero-0/renamed.png" in {entry.path for entry in found.library.entries}


def test_only_some_pictures_have_views(bench: _Bench) -> None:
    """Where only the test part is altered, the other pictures are embedded as they are."""
    chosen = set(bench.ids[::4])
    names = ("mirrored", "grey")
    found = bench.gatherer.library(bench.root, Views.alterations(names), chosen.__contains__)
    assert found.embedded == COUNT + 2 * len(chosen)
    views = {view_id(one, name) for one in chosen for name in names}
    assert set(bench.backbone.told()) == set(bench.ids) | views
    bench.decoded.clear()
    assert bench.gatherer.library(bench.root, Views.alterations(names), chosen.__contains__).embedded == 0
    assert bench.decoded == []


def test_a_view_has_its_own_features(bench: _Bench) -> None:
    """What the table keeps under a view's id is what the backbone gives for that view of that picture."""
    views = Views({**Views.random(2).make, **Views.alterations(["grey"]).make})
    entries = bench.gatherer.library(bench.root, views).library.entries
    for entry in entries[:4]:
        image = decode((bench.root / entry.path).read_bytes())
        for view in (image, augmented(image, 1), augmented(image, 2), altered(image, "grey")):
            assert np.array_equal(bench.table.features([view.id])[:][0], colours(view))


def test_an_interrupted_gathering_repeats_nothing(bench: _Bench) -> None:
    """What was embedded before somebody pulled the plug is not embedded again, and what was not is not missing."""
    bench.backbone.most = 20
    with pytest.raises(ConnectionError):
        bench.gatherer.library(bench.root, Views.random(2))
    kept = len(bench.table)
    assert 0 < kept <= 20
    bench.backbone.most = 10**9
    bench.backbone.told()
    assert bench.gatherer.library(bench.root, Views.random(2)).embedded == 3 * COUNT - kept
    assert len(bench.backbone.told()) == 3 * COUNT - kept
    assert len(bench.table) == 3 * COUNT


def test_pictures_of_nobody_are_embedded_once(bench: _Bench) -> None:
    """There are as many as there should be, each under its id; the second time there is nothing to do."""
    assert bench.gatherer.nothing() == NOTHING
    assert set(bench.backbone.told()) == {nothing_id(number) for number in range(NOTHING)}
    assert np.array_equal(bench.table.features([nothing_id(3)])[:][0], colours(nothing(3)))
    assert bench.gatherer.nothing() == 0
    assert bench.backbone.told() == []


@pytest.mark.parametrize("views", [0, 1, 2])
def test_stored_vectors_are_in_the_order_that_samples_count_on(bench: _Bench, views: int) -> None:
    """First the pictures, then each view of all of them, then nobody; heads read the embeddings themselves."""
    bench.gatherer.library(bench.root, Views.random(2))
    bench.gatherer.nothing()
    pictures = bench.ids[::-1]
    found = stored(bench.table, SPACE, pictures, views)
    expected = [
        *pictures,
        *(view_id(one, augmented_name(number)) for number in range(1, views + 1) for one in pictures),
        *(nothing_id(number) for number in range(NOTHING)),
    ]
    assert found.views == views
    assert found.inputs is found.vectors
    assert len(found.vectors) == len(expected)
    assert np.array_equal(found.vectors[:], SPACE.embed(bench.table.features(expected)[:]))


def test_heads_may_read_features(bench: _Bench) -> None:
    """Then their inputs are the features as the backbone gave them, row by row beside the embeddings."""
    bench.gatherer.library(bench.root, NOBODY)
    found = stored(bench.table, SPACE, bench.ids, 0, "features")
    assert np.array_equal(found.inputs[:], bench.table.features(bench.ids)[:])
    assert np.array_equal(found.vectors[:], SPACE.embed(found.inputs[:]))
    assert len(found.vectors) == COUNT  # nobody was not embedded: there is nothing to read of it


def test_views_that_were_never_embedded_are_missed(bench: _Bench) -> None:
    """Reading what is not there is an error, and never the vector of another picture."""
    bench.gatherer.library(bench.root, Views.random(1))
    with pytest.raises(KeyError):
        stored(bench.table, SPACE, bench.ids, 2)


def test_another_projection_costs_no_forward_pass(bench: _Bench) -> None:
    """What is made of features is decided when they are read: the pictures are not embedded again for it."""
    bench.gatherer.library(bench.root, NOBODY)
    bench.backbone.told()
    plain = replace(SPACE, projection="none")
    assert bench.gatherer.library(bench.root, NOBODY).embedded == 0
    features = bench.table.features(bench.ids)[:]
    assert np.array_equal(stored(bench.table, plain, bench.ids, 0).vectors[:], plain.embed(features))
