"""`recommender.encoders.feeding`: pictures come out in their order, and no core waits for another without need."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recommender.encoders import feeding
from recommender.encoders.feeding import PIXELS, Feeder
from recommender.images import Preprocessing, decode, prepare
from recommender.types import DecodedImage, Matrix
from tests.pictures import picture
from tests.waiting import wait_until

PREPROCESSING = Preprocessing(size=224)
BATCH = PIXELS // 224**2


@pytest.fixture(scope="module")
def images() -> list[DecodedImage]:
    """Return two batches and a half."""
    return [decode(picture(seed)) for seed in range(2 * BATCH + 2)]


def _means(pictures: Matrix) -> Matrix:
    return np.asarray(pictures.mean(axis=(2, 3)))


def test_rows_are_those_of_the_pictures_in_their_order(images: list[DecodedImage]) -> None:
    """A picture in a batch gives bit for bit what it gives alone; nothing gives nothing."""
    feeder = Feeder(_means, PREPROCESSING, 3)
    found = feeder.features(images)
    for row, image in zip(found, images, strict=True):
        assert np.array_equal(row, feeder.features([image])[0])
        assert np.array_equal(row, _means(prepare(image, PREPROCESSING)[np.newaxis])[0])
    assert feeder.features([]).shape == (0, 3)


def test_the_next_batch_is_made_ready_while_the_network_computes(
    images: list[DecodedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first forward pass ends only once the second batch is ready: one after the other, this would never end."""
    ready: list[DecodedImage] = []
    second = threading.Event()

    def counted(image: DecodedImage, preprocessing: Preprocessing) -> Matrix:
        ready.append(image)
        if len(ready) == 2 * BATCH:
            second.set()
        return prepare(image, preprocessing)

    def forward(pictures: Matrix) -> Matrix:
        assert second.wait(30)
        return _means(pictures)

    monkeypatch.setattr(feeding, "prepare", counted)
    assert Feeder(forward, PREPROCESSING, 3).features(images[: 2 * BATCH]).shape == (2 * BATCH, 3)


def test_one_forward_pass_runs_at_a_time_and_always_in_the_same_thread(images: list[DecodedImage]) -> None:
    """However many threads ask: a network keeps what it computes with for every thread that ever called it."""
    callers: set[str] = set()
    inside = threading.Lock()

    def forward(pictures: Matrix) -> Matrix:
        assert inside.acquire(blocking=False)
        callers.add(threading.current_thread().name)
        found = _means(pictures)
        inside.release()
        return found

    feeder = Feeder(forward, PREPROCESSING, 3)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(feeder.features, [images] * 6))
    assert all(np.array_equal(one, found[0]) for one in found)
    assert len(callers) == 1


def test_what_the_network_raises_comes_to_whoever_asked(images: list[DecodedImage]) -> None:
    """Also from a batch that is not the last; the feeder goes on working."""
    broken = True

    def forward(pictures: Matrix) -> Matrix:
        if broken:
            raise RuntimeError("out of memory")
        return _means(pictures)

    feeder = Feeder(forward, PREPROCESSING, 3)
    with pytest.raises(RuntimeError, match="out of memory"):
        feeder.features(images)
    broken = False
    assert len(feeder.features(images)) == len(images)


def test_on_a_graphics_card_those_who_wait_are_computed_together(images: list[DecodedImage]) -> None:
    """While one pass runs, others ask; the next pass holds them all, up to a batch, and each gets its own rows."""
    sizes: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def forward(pictures: Matrix) -> Matrix:
        sizes.append(len(pictures))
        started.set()
        assert go_on.wait(30)
        return _means(pictures)

    feeder = Feeder(forward, PREPROCESSING, 3, merging=True)
    with ThreadPoolExecutor(BATCH + 2) as pool:
        asked = [pool.submit(feeder.features, images[:1])]
        assert started.wait(30)
        asked += [pool.submit(feeder.features, [image]) for image in images[1 : BATCH + 2]]
        wait_until(lambda: feeder.waiting == BATCH + 1)
        go_on.set()
        found = np.concatenate([one.result(30) for one in asked])
    assert sizes == [1, BATCH, 1]
    assert np.array_equal(found, Feeder(_means, PREPROCESSING, 3).features(images[: BATCH + 2]))


def test_what_is_computed_together_also_fails_together(images: list[DecodedImage]) -> None:
    """Whoever was in a pass that failed is told so; whoever was not is answered."""
    started, go_on = threading.Event(), threading.Event()

    def forward(pictures: Matrix) -> Matrix:
        started.set()
        assert go_on.wait(30)
        if len(pictures) > 1:
            raise RuntimeError("out of memory")
        return _means(pictures)

    feeder = Feeder(forward, PREPROCESSING, 3, merging=True)
    with ThreadPoolExecutor(3) as pool:
        alone = pool.submit(feeder.features, images[:1])
        assert started.wait(30)
        together = [pool.submit(feeder.features, images[:1]) for _ in range(2)]
        wait_until(lambda: feeder.waiting == 2)
        go_on.set()
        assert len(alone.result(30)) == 1
        assert [str(one.exception(30)) for one in together] == ["out of memory"] * 2
