"""What is evaluated: a model and a library, and which of its pictures the model has never seen.

A picture is tested when it was in the model's test part, in one of its folds, or is new; never when a near-duplicate
of it was trained on. Not here: any figure (`findings`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.embed import EmbeddingTable, Projected
from indexer.embedder import Embedder
from indexer.gather import Gatherer, Views
from indexer.library import Library
from indexer.progress import say
from indexer.samples import Part, Samples, Stored, numbers_of, predict
from indexer.split import HELD_OUT, PARTS, Split, Vectors, near_duplicate_groups
from indexer.views import nothing, nothing_id, view_id
from recommender.catalogue import Catalogue
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError
from recommender.heads import Heads, Probabilities
from recommender.labels import Hierarchy
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings

TEST = PARTS.index("test")
FRESH = range(1000, 1040)
"""Numbers of the pictures of nobody that are asked about: others than those that the model learned to doubt on."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Heads, the entries that they are asked about, and the entries that they, and a catalogue, may have seen."""

    heads: Heads
    asked: NDArray[np.int64]
    seen: NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """A model beside a library of n entries.

    `everybody` are the characters of library and model together, `characters` (n,) each entry's number among them,
    `known` whether the model knows it, `part` the part that it had in training (HELD_OUT: none), `group` its
    near-duplicate group. `embeddings` holds the entries' embeddings, `vectors` what is stored and compared of these,
    which is the same unless the model projects them, and `inputs` what the heads read.
    """

    model: ModelFolder
    library: Library
    everybody: Hierarchy
    embeddings: Vectors
    vectors: Vectors
    inputs: Vectors
    characters: NDArray[np.int64]
    known: NDArray[np.bool_]
    part: NDArray[np.int64]
    fold: NDArray[np.int64]
    group: NDArray[np.int64]

    @cached_property
    def panels(self) -> tuple[Panel, ...]:
        """Who is asked about what: the model about its test part, or each fold's heads about their fold."""
        folds = self.model.fold_heads()
        if folds:
            return tuple(
                Panel(heads, np.flatnonzero(self.known & (self.fold == number)), self._others(number))
                for number, heads in enumerate(folds)
            )
        return (Panel(self.model.heads(), np.flatnonzero(self.tested), np.flatnonzero(self.trained)),)

    def _others(self, fold: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.known & (self.fold >= 0) & (self.fold != fold))

    @cached_property
    def trained(self) -> NDArray[np.bool_]:
        """Which entries the model's heads were trained on."""
        return np.asarray(self.known & (self.part != HELD_OUT) & ((self.part != TEST) | (self.fold >= 0)))

    @cached_property
    def tested(self) -> NDArray[np.bool_]:
        """Which entries the model has not seen, nor a near-duplicate of them."""
        if (self.fold >= 0).any():
            return self.known & (self.fold >= 0)
        seen = np.zeros(int(self.group.max(initial=0)) + 1, dtype=bool)
        seen[self.group[self.trained]] = True
        return self.known & ~self.trained & ~seen[self.group]

    @property
    def strangers(self) -> NDArray[np.bool_]:
        """Which entries show a character that the model does not know."""
        return ~self.known

    def embedded(self, rows: NDArray[np.int64]) -> Part:
        """Return what is compared of some entries, numbered among everybody."""
        return Part(self.vectors, rows, self.characters[rows])

    def read(self, rows: NDArray[np.int64]) -> Part:
        """Return what the heads read of some entries."""
        return Part(self.inputs, rows, self.characters[rows])

    @property
    def samples(self) -> Samples:
        """The entries as they were split for training, numbered among everybody; those of no part are left out."""
        characters = np.where(self.part == HELD_OUT, HELD_OUT, self.characters)
        stored = Stored(self.vectors, self.inputs, 0)
        return Samples(self.everybody, stored, characters, Split(self.part, self.group, self.seed))

    @property
    def seed(self) -> int:
        """The seed that the model was trained with."""
        return int(self.model.manifest["training"]["split"]["seed"])

    def said(self, *, calibrated: bool = True, inputs: Vectors | None = None) -> Iterator[tuple[Panel, Probabilities]]:
        """Yield what each panel says about its entries; `inputs` are read instead of the entries' own."""
        for panel in self.panels:
            heads = panel.heads if calibrated else panel.heads.uncalibrated
            yield panel, predict(heads, Part(inputs or self.inputs, panel.asked, self.characters[panel.asked]))


@dataclass(frozen=True, slots=True)
class Bench:
    """Opens models and libraries, and fills in features that are missing."""

    settings: Settings
    catalogue: Catalogue

    def model(self, name: str | None) -> ModelFolder:
        """Open a model, or the one in use. Raises NotFound, Corrupt or NoSnapshot."""
        return ModelFolder.open(self.settings.home / "models" / (name or self.catalogue.model_in_use().name))

    def library_of(self, model: ModelFolder) -> Path:
        """Return the library that a model was trained on."""
        return Path(str(model.manifest["training"]["library"]))

    def open(self, model: ModelFolder, root: Path, backbone: TorchBackbone) -> Subject:
        """Let a model look at a library. Raises BadLibrary, or BuildError where it knows nobody there."""
        with EmbeddingTable.open(self.settings.home, model.space) as table:
            library = Gatherer(self.settings, self.catalogue, backbone, table).library(root, Views({})).library
            pictures = [entry.id for entry in library.entries]
            embeddings = table.embeddings(pictures, model.space)
            inputs = embeddings if model.heads().reads == "embedding" else table.features(pictures)
        known_characters = {one.label: one for one in model.hierarchy.characters}
        found = {one.label: one for one in library.hierarchy.characters}
        everybody = Hierarchy.of((known_characters | found).values())
        known = np.array([entry.character.label in known_characters for entry in library.entries])
        if not known.any():
            raise BuildError(
                f"model {model.name} knows no character of {root}: name the library that it was trained on"
            )
        hashes = [entry.perceptual_hash for entry in library.entries]
        part, fold = _places(model, library)
        _tell_changes(model, library)
        return Subject(
            model=model,
            library=library,
            everybody=everybody,
            embeddings=embeddings,
            vectors=_projected(embeddings, model),
            inputs=inputs,
            characters=numbers_of(everybody, library.entries),
            known=known,
            part=part,
            fold=fold,
            group=near_duplicate_groups(hashes, embeddings if model.tells_duplicates else None),
        )

    def altered(
        self, subject: Subject, backbone: TorchBackbone, names: tuple[str, ...], rows: NDArray[np.int64]
    ) -> dict[str, Vectors]:
        """Return, for each alteration, what the heads read of some entries; the rows are those of `rows`."""
        wanted = {subject.library.entries[row].id for row in rows}
        with EmbeddingTable.open(self.settings.home, subject.model.space) as table:
            gatherer = Gatherer(self.settings, self.catalogue, backbone, table)
            gatherer.library(subject.library.root, Views.alterations(names), lambda picture: picture in wanted)
            reads = subject.model.heads().reads
            return {
                name: table.embeddings(views, subject.model.space) if reads == "embedding" else table.features(views)
                for name in names
                if (views := [view_id(subject.library.entries[row].id, name) for row in rows])
            }

    def nobody(self, subject: Subject, backbone: TorchBackbone) -> tuple[Part, Part]:
        """Return pictures that show nobody: as the heads read them, and as they are compared."""
        identities = [nothing_id(number) for number in FRESH]
        with EmbeddingTable.open(self.settings.home, subject.model.space) as table:
            with Embedder(backbone, table) as embedder:
                for number, identity in zip(FRESH, identities, strict=True):
                    if embedder.wants(identity):
                        embedder.add(nothing(number))
            embedded = table.embeddings(identities, subject.model.space)
            read = embedded if subject.model.heads().reads == "embedding" else table.features(identities)
        nobody = np.full(len(identities), HELD_OUT, dtype=np.int64)
        return Part.of(read, nobody), Part.of(_projected(embedded, subject.model), nobody)


def _projected(embeddings: Vectors, model: ModelFolder) -> Vectors:
    """Return what a model stores and compares of embeddings."""
    projection = model.projection()
    return Projected(embeddings, projection) if projection else embeddings


def _tell_changes(model: ModelFolder, library: Library) -> None:
    """Say what has come and gone since the model was trained, if this is the library that it was trained on."""
    before, after = set(model.pictures().id), {entry.id for entry in library.entries}
    if str(library.root.resolve()) == model.manifest["training"]["library"] and before != after:
        say(
            f"{library.root} has changed since {model.name} was trained: {len(before - after)} pictures are gone, "
            f"{len(after - before)} are new"
        )


def _places(model: ModelFolder, library: Library) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the part and the fold that each entry had when the model was trained; new ones had none."""
    pictures = model.pictures()
    columns = zip(pictures.id, pictures.part.tolist(), pictures.fold.tolist(), strict=True)
    places = {picture: (part, fold) for picture, part, fold in columns}
    found = [places.get(entry.id, (HELD_OUT, -1)) for entry in library.entries]
    return np.array([part for part, _ in found], dtype=np.int64), np.array([fold for _, fold in found], dtype=np.int64)
