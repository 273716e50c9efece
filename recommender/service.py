"""The whole way from a picture to its answer: decode, encode, search, look up, rank.

A `Recommender` answers from one model and one snapshot and never changes. Not here: which snapshot that is
(`publication`), any rule of ranking (`ranking`) and any format (`serialise`, `web`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from recommender.calibration import Nearness
from recommender.capacity import Capacity, EncodingKey
from recommender.embeddings import require_same_space, unit_length
from recommender.errors import InvalidQuery, NotFound
from recommender.gate import always
from recommender.images import Limits, decode, picture_id
from recommender.ports import Encoder
from recommender.ranking import RankedGroup, rank_groups
from recommender.snapshots import Snapshot
from recommender.types import (
    Character,
    CharacterPrediction,
    DecodedImage,
    Encoding,
    Level,
    Neighbours,
    PictureId,
    Query,
    Recommendations,
    Show,
    ShowPrediction,
    SimilarCharacter,
    SimilarPicture,
    SimilarResults,
    SimilarShow,
    Timing,
    Vector,
    Verdict,
)

MAX_LIMIT = 100
"""The most results of a kind that a question may ask for."""
CANDIDATES = 1000
"""How many neighbours are grouped into characters and shows; ten times the largest answer."""
BLOCK = 1024
"""Stored vectors that are held in memory at once."""
_NO_CLASS = -2
"""The class number of a label that the snapshot does not have: no row's, not even that of an untyped one."""


@dataclass(frozen=True, slots=True)
class _Search:
    """Near what to look, among which rows (a mask; None lets all through), and how many results of each kind."""

    vector: Vector
    rows: NDArray[np.bool_] | None
    limit: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the model said of a picture, and the seconds that decoding and computing took."""

    picture: PictureId
    encoding: Encoding
    decoding: float
    computing: float


class Recommender:
    """Answers from one model and one snapshot; any number of threads may ask at once."""

    def __init__(self, encoder: Encoder, snapshot: Snapshot, limits: Limits, capacity: Capacity | None = None) -> None:
        require_same_space(snapshot.info.space, encoder.space.fingerprint, f"snapshot {snapshot.info.id}")
        self.encoder = encoder
        self.snapshot = snapshot
        self._limits = limits
        self._capacity = capacity or Capacity()
        known = {character.label: character for character in encoder.hierarchy.characters}
        self._characters = known | {character.label: character for character in snapshot.roster.characters}
        self._shows = {show.slug: show for show in (*encoder.hierarchy.shows, *snapshot.roster.shows)}

    def recommend(
        self, data: bytes | DecodedImage, query: Query | None = None, wanted: Callable[[], bool] = always
    ) -> Recommendations:
        """Answer one picture. One that is decoded already waits for nobody but the forward pass before it.

        `wanted` is asked while the picture waits. Raises InvalidImage, InvalidQuery, NotFound (an unknown show), Busy
        where too many wait, or Abandoned where the answer is not wanted any more.
        """
        query = query or Query()
        _check_limit(query)
        # An unknown show is told before any work is done on the picture.
        passing = self.snapshot.rows_passing(query.filters)
        started = perf_counter()
        seen = self._seen(data, wanted)
        encoded = perf_counter()
        encoding = seen.encoding
        search = _Search(encoding.embedding.vector, self._without(seen.picture, passing), query.limit)
        neighbours = self._neighbours(search)
        verdict = self._verdict(encoding, neighbours if passing is None else self._anywhere(encoding, seen.picture))
        searched = perf_counter()
        similar = self._similar(search, neighbours)
        ranked = perf_counter()
        timing = Timing(
            decode=1000 * seen.decoding,
            encode=1000 * seen.computing,
            search=1000 * (searched - encoded),
            rank=1000 * (ranked - searched),
            total=1000 * (ranked - started),
            wait=1000 * (encoded - started - seen.decoding - seen.computing),
        )
        return self._answer(encoding, verdict, similar, query.limit, timing)

    def certainties(self, data: bytes) -> dict[Level, float]:
        """Return the chance that the best label of each level is right: what a verdict is chosen by.

        Raises InvalidImage or Busy.
        """
        seen = self._seen(data, always)
        nearness = self._nearness(seen.encoding, self._anywhere(seen.encoding, seen.picture))
        return self.encoder.calibration.certainties(seen.encoding.best, nearness)

    @contextmanager
    def admitted(self, wanted: Callable[[], bool] = always) -> Iterator[None]:
        """Hold a place among the pictures that are worked on, for whoever decodes one and asks about it afterwards.

        Raises Busy where too many wait, or Abandoned.
        """
        with self._capacity.working.entered(wanted):
            yield

    def decode(self, data: bytes) -> DecodedImage:
        """Decode a picture within the limits. Raises InvalidImage."""
        return decode(data, self._limits)

    def _seen(self, data: bytes | DecodedImage, wanted: Callable[[], bool]) -> _Seen:
        """Return what the model says of a picture: from memory where it was asked about the same bytes lately."""
        started = perf_counter()
        picture = data.id if isinstance(data, DecodedImage) else picture_id(data)
        key = EncodingKey(picture, self.snapshot.model_digest, self.snapshot.info.space)
        known = self._capacity.encodings.get(key)
        if known is not None:
            return _Seen(picture, known, perf_counter() - started, 0.0)
        if isinstance(data, DecodedImage):
            return self._encode(data, key, wanted)
        with self._capacity.working.entered(wanted):
            started = perf_counter()
            known = self._capacity.encodings.sent_meanwhile(key)
            if known is not None:
                return _Seen(picture, known, perf_counter() - started, 0.0)
            image = self.decode(data)
            decoding = perf_counter() - started
            return replace(self._encode(image, key, wanted), decoding=decoding)

    def _encode(self, image: DecodedImage, key: EncodingKey, wanted: Callable[[], bool]) -> _Seen:
        """Run the model on a picture once its turn has come, and remember what it says."""
        with self._capacity.encoding.entered(wanted):
            started = perf_counter()
            encoding = self._capacity.encodings.sent_meanwhile(key)
            if encoding is None:
                encoding = self.encoder.encode([image])[0]
                self._capacity.encodings.keep(key, encoding)
            return _Seen(image.id, encoding, 0.0, perf_counter() - started)

    def similar_to_picture(self, picture: str, query: Query | None = None) -> SimilarResults:
        """Return what looks like a stored picture. Raises NotFound where the snapshot does not hold it."""
        query = query or Query()
        _check_limit(query)
        row = self.snapshot.row(picture)
        if row is None:
            raise NotFound(f"there is no picture {picture!r} in snapshot {self.snapshot.info.id}")
        others = self._without(picture, self.snapshot.rows_passing(query.filters))
        search = _Search(self.snapshot.index.vector(row), others, query.limit)
        return self._similar(search, self._neighbours(search))

    def similar_to_show(self, show: str, query: Query | None = None) -> SimilarResults:
        """Return what is drawn like a show: near the mean of its pictures, its own left out. Raises NotFound."""
        query = query or Query()
        _check_limit(query)
        number = self.snapshot.roster.show_space.positions.get(show)
        if number is None:
            raise NotFound(f"there is no show {show!r}: GET /api/v1/shows lists them")
        rows = np.flatnonzero(self.snapshot.show_of == number)
        total = np.zeros(self.encoder.space.dimension, dtype=np.float32)
        for first in range(0, len(rows), BLOCK):  # the vectors of a large show would not fit into memory together
            total += self.snapshot.index.vectors(rows[first : first + BLOCK]).sum(axis=0)
        others = replace(query.filters, exclude_shows=(*query.filters.exclude_shows, show))
        search = _Search(unit_length(total), self.snapshot.rows_passing(others), query.limit)
        return self._similar(search, self._neighbours(search))

    def _without(self, picture: str, rows: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Take the query's own picture, where it is stored, out of the rows that may be found."""
        own = self.snapshot.row(picture)
        if own is None:
            return rows
        others = np.ones(len(self.snapshot.pictures), dtype=bool) if rows is None else rows.copy()
        others[own] = False
        return others

    def _neighbours(self, search: _Search) -> Neighbours:
        """Return the stored pictures that are compared with the query, nearest first."""
        return self.snapshot.index.search(search.vector, CANDIDATES, search.rows)

    def _anywhere(self, encoding: Encoding, picture: PictureId) -> Neighbours:
        """Return the picture's neighbours without any filter: what it shows does not depend on what was asked for."""
        return self._neighbours(_Search(encoding.embedding.vector, self._without(picture, None), 1))

    def _verdict(self, encoding: Encoding, neighbours: Neighbours) -> Verdict:
        """Say how sure the model is, given how near the stored pictures come."""
        return self.encoder.calibration.verdict(encoding.best, self._nearness(encoding, neighbours))

    def _nearness(self, encoding: Encoding, neighbours: Neighbours) -> Nearness:
        """Say how near the stored pictures come, of all labels and of the best ones. Neighbours are nearest first."""
        if not neighbours:
            return Nearness()
        roster, snapshot = self.snapshot.roster, self.snapshot
        spaces = {"character": roster.character_space, "show": roster.show_space, "type": roster.type_space}
        classes = {"character": snapshot.character_of, "show": snapshot.show_of, "type": snapshot.type_of}
        near = {}
        for level, prediction in encoding.best.items():
            number = spaces[level].positions.get(prediction.label, _NO_CLASS)
            places = np.flatnonzero(classes[level][neighbours.rows] == number)
            near[level] = neighbours[int(places[0]) if len(places) else -1].similarity
        return Nearness(neighbours[0].similarity, near)

    def _ranked(
        self, search: _Search, neighbours: Neighbours, group_of: NDArray[np.int64], groups: int
    ) -> list[RankedGroup]:
        """Rank groups of pictures; where the pictures of a few left no room for others, these are searched for too.

        What a later search finds is no more similar than anything that an earlier one found, and so are the scores.
        """
        sizes = np.bincount(group_of if search.rows is None else group_of[search.rows], minlength=groups)
        ranked = rank_groups(neighbours, group_of, sizes, search.limit)
        while len(ranked) < min(search.limit, int(np.count_nonzero(sizes))):
            unseen = np.ones(groups, dtype=bool)
            unseen[[one.group for one in ranked]] = False
            rows = unseen[group_of] if search.rows is None else unseen[group_of] & search.rows
            more = rank_groups(self._neighbours(replace(search, rows=rows)), group_of, sizes, search.limit)
            if not more:
                break
            ranked += more
        return ranked[: search.limit]

    def _similar(self, search: _Search, neighbours: Neighbours) -> SimilarResults:
        """Grade the neighbours as pictures, characters and shows."""
        snapshot, calibration = self.snapshot, self.encoder.calibration
        shown = neighbours[: search.limit]
        characters = self._ranked(search, neighbours, snapshot.character_of, len(snapshot.roster.characters))
        shows = self._ranked(search, neighbours, snapshot.show_of, len(snapshot.roster.shows))
        same = calibration.same_character.of_all([one.similarity for one in shown])
        character_chances = calibration.character_score.of_all([one.score for one in characters])
        show_chances = calibration.show_score.of_all([one.score for one in shows])
        return SimilarResults(
            pictures=tuple(
                SimilarPicture(snapshot.picture(one.row), snapshot.character(one.row), one.similarity, chance)
                for one, chance in zip(shown, same, strict=True)
            ),
            characters=tuple(
                SimilarCharacter(snapshot.roster.characters[one.group], one.score, chance, self._evidence(one))
                for one, chance in zip(characters, character_chances, strict=True)
            ),
            shows=tuple(
                SimilarShow(snapshot.roster.shows[one.group], one.score, chance, self._evidence(one))
                for one, chance in zip(shows, show_chances, strict=True)
            ),
        )

    def _evidence(self, ranked: RankedGroup) -> tuple[PictureId, ...]:
        return tuple(self.snapshot.picture(row) for row in ranked.evidence)

    def _answer(
        self, encoding: Encoding, verdict: Verdict, similar: SimilarResults, limit: int, timing: Timing
    ) -> Recommendations:
        """Put names to the labels: those of the snapshot where it knows them, else those of the model's day."""
        return Recommendations(
            model=self.encoder.info,
            snapshot=self.snapshot.info.id,
            types=encoding.types[:limit],
            characters=tuple(
                CharacterPrediction(self.character(one.label), one.probability) for one in encoding.characters[:limit]
            ),
            shows=tuple(ShowPrediction(self.show(one.label), one.probability) for one in encoding.shows[:limit]),
            verdict=verdict,
            similar=similar,
            timing=timing,
        )

    def character(self, label: str) -> Character:
        """Return a character of the snapshot or the model by its label. Raises NotFound."""
        try:
            return self._characters[label]
        except KeyError:
            raise NotFound(f"there is no character {label!r}: GET /api/v1/shows lists shows and characters") from None

    def show(self, slug: str) -> Show:
        """Return a show of the snapshot or the model by its folder name. Raises NotFound."""
        try:
            return self._shows[slug]
        except KeyError:
            raise NotFound(f"there is no show {slug!r}: GET /api/v1/shows lists them") from None


def _check_limit(query: Query) -> None:
    """Raise InvalidQuery unless the number of results asked for is one that is given."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidQuery(f"limit has to be from 1 to {MAX_LIMIT}, not {query.limit}")
