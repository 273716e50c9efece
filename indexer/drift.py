"""Drift: how far the answers of a new snapshot would lie from those of the one that is served.

A fixed sample of pictures, which both snapshots hold, is asked for its nearest neighbours in both. A neighbour that the
new one does not name any more is drift, whether it is gone or others have come nearer; what is newly added is left out,
or every library that grows would drift. Not here: what is done about it (`reindex`).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recommender.snapshots import Snapshot, SnapshotContent
from recommender.types import Matrix

if TYPE_CHECKING:
    from recommender.indexes.lists import Vectors

GONE = -1
"""Stands for the row of a picture that the new snapshot does not hold."""
SAMPLE = 100
"""Pictures that are asked for their neighbours. Ids are hashes: those with the smallest are as good as drawn at random,
and stay the same from one reindex to the next."""
NEIGHBOURS = 10
BLOCK = 4096
"""Vectors that are held at once."""
SHOWN = 5
"""Shows that are named: those whose neighbours changed most."""
ROUNDING = 1e-5
"""Two similarities nearer than this count as equal: either picture may come first."""

Read = Callable[[NDArray[np.int64]], Matrix]


@dataclass(frozen=True, slots=True)
class Drift:
    """How many of the nearest neighbours stayed, in 0..1, since `snapshot`, on a sample of so many `pictures`.

    `shows` are those whose neighbours changed most, each with its own overlap, the worst first. `other_space` says that
    another model, or another precision, made the vectors.
    """

    snapshot: str
    overlap: float
    pictures: int
    shows: tuple[tuple[str, float], ...] = ()
    other_space: bool = False

    def to_text(self) -> str:
        """Return one line for people."""
        if not self.pictures:
            return f"nothing in common with {self.snapshot}: none of its pictures is in this one"
        worst = ", ".join(f"{show} {overlap:.2f}" for show, overlap in self.shows)
        most = f"; least in {worst}" if worst else ""
        why = ", which another model or precision made: others are to be expected" if self.other_space else ""
        return f"{self.overlap:.3f} of the nearest neighbours are those of {self.snapshot}{why}{most}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self) | {"shows": dict(self.shows)}


def measure_drift(before: Snapshot, coming: SnapshotContent) -> Drift:
    """Compare the neighbours in the snapshot that is served with those in the one that is coming."""
    old = {identity.tobytes(): row for row, identity in enumerate(before.pictures)}
    new = {bytes.fromhex(picture): row for row, picture in enumerate(coming.pictures)}
    common = [identity for identity in old if identity in new]
    same_space = before.info.space == coming.space.fingerprint
    if coming.index_of or (len(common) == len(old) and same_space):
        # The same vectors of the same pictures have the same neighbours.
        return Drift(before.info.id, 1.0, min(SAMPLE, len(common)))
    count = min(NEIGHBOURS, len(old) - 1)
    if not common or not count:
        return Drift(before.info.id, float(bool(common)), len(common), other_space=not same_space)
    sample = heapq.nsmallest(SAMPLE, common)
    known = np.array([new[identity] for identity in common])
    new_row = np.full(len(old), GONE)
    new_row[[old[identity] for identity in common]] = known
    asked = np.array([old[identity] for identity in sample])
    neighbours, _ = _nearest(before.index.vectors, np.arange(len(old)), asked, count)
    asking = np.array([new[identity] for identity in sample])
    if same_space:  # the same vectors: those that are still there are as near as they were
        overlaps = np.asarray((new_row[neighbours] != GONE).mean(axis=1))
    else:
        _, least = _nearest(lambda rows: coming.vectors[rows], known, asking, min(count, len(common) - 1))
        overlaps = _overlaps(coming.vectors, asking, new_row[neighbours], least)
    shows = [coming.characters[row].show.slug for row in asking]
    return Drift(before.info.id, float(overlaps.mean()), len(sample), _worst(shows, overlaps), not same_space)


def _nearest(
    read: Read, rows: NDArray[np.int64], asked: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the `count` nearest of `rows` for each asked row, in no order, and the similarity of the last of them.

    Shapes (asked, count) and (asked,). No row is its own neighbour.
    """
    queries = read(asked)
    best = np.full((len(asked), count), -np.inf, np.float32)
    found = np.full((len(asked), count), -1)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        similar = queries @ read(block).T
        similar[asked[:, np.newaxis] == block] = -np.inf
        similar = np.concatenate([best, similar], axis=1)
        among = np.concatenate([found, np.broadcast_to(block, (len(asked), len(block)))], axis=1)
        kept = np.argpartition(-similar, count - 1, axis=1)[:, :count] if count else found
        best, found = np.take_along_axis(similar, kept, axis=1), np.take_along_axis(among, kept, axis=1)
    return found, best.min(axis=1, initial=np.inf)


def _overlaps(
    vectors: Vectors, asking: NDArray[np.int64], neighbours: NDArray[np.int64], least: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return, for each asked picture, the share of its former neighbours that are as near as its neighbours now.

    `neighbours` are (asked, count) new rows of the former neighbours, GONE for one that is not there.
    """
    there = neighbours != GONE
    former = vectors[np.where(there, neighbours, 0).ravel()].reshape(*neighbours.shape, -1)
    near = np.einsum("qd,qkd->qk", vectors[asking], former)
    return np.asarray((there & (near >= least[:, np.newaxis] - ROUNDING)).mean(axis=1))


def _worst(shows: Sequence[str], overlaps: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    """Return the shows whose neighbours changed at all, those that changed most first."""
    by_show: dict[str, list[float]] = defaultdict(list)
    for show, overlap in zip(shows, overlaps, strict=True):
        by_show[show].append(float(overlap))
    means = sorted((float(np.mean(values)), show) for show, values in by_show.items())
    return tuple((show, mean) for mean, show in means[:SHOWN] if mean < 1.0)
