"""`recommender.capacity`: what was said of the latest pictures is remembered, within bounds, and never mixed up."""

from __future__ import annotations

from itertools import count

import numpy as np

from recommender.capacity import Capacity, EncodingKey, Encodings
from recommender.settings import Settings
from recommender.types import Embedding, Encoding, PictureId

_NUMBERS = count()


def key(picture: str, *, model: str = "model", space: str = "space") -> EncodingKey:
    """Return a key."""
    return EncodingKey(PictureId(picture), model, space)


def encoding() -> Encoding:
    """Return an encoding that differs from every other one."""
    return Encoding((), (), (), Embedding(np.array([next(_NUMBERS)], dtype=np.float32), "space"))


def test_content_model_and_space_all_count() -> None:
    """The same bytes under another model or in another space are another question."""
    kept, one = Encodings(9), encoding()
    kept.keep(key("a"), one)
    assert kept.get(key("a")) is one
    assert [kept.get(other) for other in (key("b"), key("a", model="new"), key("a", space="int8"))] == [None] * 3
    assert (kept.hits, kept.misses) == (1, 3)


def test_it_never_holds_more_than_it_may() -> None:
    """The one that was not asked for the longest makes room; being asked for keeps one in."""
    kept = Encodings(2)
    kept.keep(key("a"), encoding())
    kept.keep(key("b"), encoding())
    assert kept.get(key("a"))
    kept.keep(key("c"), encoding())
    assert len(kept) == 2
    assert [bool(kept.get(key(name))) for name in "abc"] == [True, False, True]


def test_none_are_kept_where_none_may_be() -> None:
    """With 0 nothing is remembered."""
    kept = Encodings(0)
    kept.keep(key("a"), encoding())
    assert (len(kept), kept.get(key("a"))) == (0, None)


def test_the_settings_are_the_bounds() -> None:
    """`queue` bounds the line and `cache` the memory."""
    capacity = Capacity.of(Settings(queue=0, cache=1))
    capacity.encodings.keep(key("a"), encoding())
    capacity.encodings.keep(key("b"), encoding())
    assert len(capacity.encodings) == 1
    assert capacity.working.waiting == 0
