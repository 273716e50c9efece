"""Gathering: every picture of a library, and every view of it that is asked for, has its features in the table.

Training and evaluation start here. What was looked at before is neither decoded nor embedded again. Not here: which
views there are (`views`), how the table keeps features (`embed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.embed import EmbeddingTable
from indexer.embedder import Embedder
from indexer.library import LIBRARY_LIMITS, Entry, Library, scan
from indexer.progress import progress
from indexer.samples import Stored
from indexer.views import altered, augmented, augmented_name, nothing, nothing_id, view_id
from recommender.catalogue import Catalogue
from recommender.embeddings import EmbeddingSpace
from recommender.heads import Input
from recommender.images import Limits
from recommender.ports import Backbone
from recommender.settings import Settings
from recommender.types import DecodedImage, PictureId

NOTHING = 40
"""Pictures that show nobody, on which a model learns to doubt."""

View = Callable[[DecodedImage], DecodedImage]


@dataclass(frozen=True, slots=True)
class Views:
    """Further views of pictures that are wanted, by name; the name is part of the view's id."""

    make: dict[str, View]

    @classmethod
    def random(cls, count: int) -> Views:
        """Want `count` random views."""
        return cls({augmented_name(number): _augmented(number) for number in range(1, count + 1)})

    @classmethod
    def alterations(cls, names: Sequence[str]) -> Views:
        """Want some alterations."""
        return cls({name: _altered(name) for name in names})


@dataclass(frozen=True, slots=True)
class Gathered:
    """A library whose features are in the table; `embedded` counts the pictures and views that were new."""

    library: Library
    embedded: int


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Fills the table of a backbone."""

    settings: Settings
    catalogue: Catalogue
    backbone: Backbone
    table: EmbeddingTable

    def library(self, root: Path, views: Views, only: Callable[[PictureId], bool] = lambda _: True) -> Gathered:
        """Scan a library, and embed its pictures and the views of those that `only` lets through. Raises BadLibrary."""
        with Embedder(self.backbone, self.table) as embedder:
            library = self._scanned(root, views, only, embedder)
        self.catalogue.remember_files(str(root.resolve()), (*library.files, *library.unreachable))
        return Gathered(library, embedder.embedded)

    def _scanned(self, root: Path, views: Views, only: Callable[[PictureId], bool], embedder: Embedder) -> Library:
        """Scan a library, and give the embedder what it wants of it."""

        def wants(picture: PictureId) -> bool:
            named = views.make if only(picture) else ()
            return embedder.wants(picture) or any(embedder.wants(view_id(picture, name)) for name in named)

        def visit(entry: Entry, image: DecodedImage) -> None:
            embedder.add(image)
            if only(entry.id):
                for name, make in views.make.items():
                    if embedder.wants(view_id(entry.id, name)):
                        embedder.add(make(image))

        with progress("reading pictures") as told:
            limits = Limits.of(self.settings, LIBRARY_LIMITS.min_side)
            known = self.catalogue.files(str(root.resolve()))
            return scan(
                root,
                limits=limits,
                progress=told,
                visit=visit,
                known=known,
                wants=wants,
                without=self.settings.home,
            )

    def nothing(self) -> int:
        """Embed the pictures that show nobody. Returns how many were new."""
        with Embedder(self.backbone, self.table) as embedder:
            for number in range(NOTHING):
                if embedder.wants(nothing_id(number)):
                    embedder.add(nothing(number))
        return embedder.embedded


def stored(
    table: EmbeddingTable, space: EmbeddingSpace, pictures: Sequence[PictureId], views: int, reads: Input = "embedding"
) -> Stored:
    """Return the vectors of pictures, of their random views, and of the pictures that show nobody."""
    identities = list(pictures)
    for number in range(1, views + 1):
        name = augmented_name(number)
        identities += [view_id(picture, name) for picture in pictures]
    identities += [identity for number in range(NOTHING) if (identity := nothing_id(number)) in table]
    vectors = table.embeddings(identities, space)
    return Stored(vectors, vectors if reads == "embedding" else table.features(identities), views)


def _augmented(number: int) -> View:
    return lambda image: augmented(image, number)


def _altered(name: str) -> View:
    return lambda image: altered(image, name)
