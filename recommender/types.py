"""The values that cross a boundary: frozen, without behaviour, free of any library but numpy.

Not here: label spaces (`labels`), embedding spaces (`embeddings`), database rows (`catalogue`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NewType, overload

import numpy as np
from numpy.typing import NDArray

TYPE_NAMES = ("male", "female", "non-human")
"""The character types, in the order in which every table and figure lists them."""

PictureId = NewType("PictureId", str)
"""SHA-256 of the bytes of a picture file: 64 lower-case hexadecimal digits."""

Level = Literal["character", "show", "type", "unknown"]

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An upright RGB picture on white, height × width × 3, uint8.

    `width` and `height` are those of the file (upright); `pixels` may be smaller, never larger.
    """

    id: PictureId
    pixels: Pixels
    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """A label of some label space and its probability in 0..1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """A float32 vector of unit length, and the fingerprint of the `EmbeddingSpace` that it lives in."""

    vector: Vector
    space: str


@dataclass(frozen=True, slots=True)
class Encoding:
    """What one forward pass says about a picture: every label's probability (best first), and the embedding."""

    types: tuple[Prediction, ...]
    characters: tuple[Prediction, ...]
    shows: tuple[Prediction, ...]
    embedding: Embedding

    @property
    def best(self) -> dict[str, Prediction]:
        """The likeliest label of each space that has one."""
        ranked = {"character": self.characters, "show": self.shows, "type": self.types}
        return {space: labels[0] for space, labels in ranked.items() if labels}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The most specific level that the model is sure of; `label` is None at level `unknown`.

    `probability` is the chance that it is right, the chance that the picture shows nobody known included.
    """

    level: Level
    label: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A stored picture near a query: its row in the snapshot and the cosine of the two embeddings."""

    row: int
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours(Sequence[Neighbour]):
    """The stored pictures near a query, nearest first: `rows` (n,) and `similarities` (n,), side by side.

    It reads like a list of `Neighbour`, but a thousand of these would take longer to make than to find.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Neighbour]:
        return map(Neighbour, self.rows.tolist(), self.similarities.tolist())

    @overload
    def __getitem__(self, place: int) -> Neighbour: ...

    @overload
    def __getitem__(self, place: slice) -> Neighbours: ...

    def __getitem__(self, place: int | slice) -> Neighbour | Neighbours:
        if isinstance(place, slice):
            return Neighbours(self.rows[place], self.similarities[place])
        return Neighbour(int(self.rows[place]), float(self.similarities[place]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it compares by content, and arrays have no hash


@dataclass(frozen=True, slots=True)
class Show:
    """A show as the library describes it. `slug` is its folder name and its label."""

    slug: str
    title: str
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Character:
    """A character as the library describes it. `label` is `<show>/<character>`; `type` may be unknown."""

    slug: str
    name: str
    show: Show
    type: str | None = None

    @property
    def label(self) -> str:
        """The character's label: its show's folder name and its own."""
        return f"{self.show.slug}/{self.slug}"


@dataclass(frozen=True, slots=True)
class SimilarPicture:
    """A stored picture that looks like the query; `probability` is the chance that both show one character."""

    id: PictureId
    character: Character
    similarity: float
    probability: float


@dataclass(frozen=True, slots=True)
class SimilarCharacter:
    """A character whose best pictures look like the query; `evidence` lists them, best first.

    `probability` is the chance that the query shows this character.
    """

    character: Character
    score: float
    probability: float
    evidence: tuple[PictureId, ...]


@dataclass(frozen=True, slots=True)
class SimilarShow:
    """A show whose best pictures look like the query; `evidence` lists them, best first.

    `probability` is the chance that the query is from this show.
    """

    show: Show
    score: float
    probability: float
    evidence: tuple[PictureId, ...]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which stored pictures may appear among the results. Empty fields let everything through."""

    type: str | None = None
    show: str | None = None
    exclude_shows: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """How many results of each kind are wanted (1..100), and of which pictures."""

    limit: int = 12
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds spent on each step of one answer, `wait` on standing in line for the model.

    `encode` is exactly 0 where the picture was remembered.
    """

    decode: float
    encode: float
    search: float
    rank: float
    total: float
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model answered. `notice` is a sentence to show beside its results, or empty: an untrained model has one."""

    name: str
    backbone: str
    engine: str
    untrained: bool = False
    notice: str = ""


@dataclass(frozen=True, slots=True)
class SimilarResults:
    """What looks like a query, in three gradings, each best first."""

    pictures: tuple[SimilarPicture, ...]
    characters: tuple[SimilarCharacter, ...]
    shows: tuple[SimilarShow, ...]


@dataclass(frozen=True, slots=True)
class CharacterPrediction:
    """A character and the probability that the picture shows it."""

    character: Character
    probability: float


@dataclass(frozen=True, slots=True)
class ShowPrediction:
    """A show and the probability that the picture is from it."""

    show: Show
    probability: float


@dataclass(frozen=True, slots=True)
class Recommendations:
    """The whole answer to one picture. Every list is sorted, best first, and holds at most `Query.limit` entries."""

    model: ModelInfo
    snapshot: str
    types: tuple[Prediction, ...]
    characters: tuple[CharacterPrediction, ...]
    shows: tuple[ShowPrediction, ...]
    verdict: Verdict
    similar: SimilarResults
    timing: Timing


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot as the catalogue knows it. `digest` is the SHA-256 of its manifest; times are UTC, ISO 8601."""

    id: str
    model: str
    space: str
    pictures: int
    characters: int
    shows: int
    created: str
    digest: str
    published: bool = False
