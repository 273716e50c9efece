"""A trained model on disk: a folder that is written once, checked at every opening, and holds no pickle.

```
models/<name>/
  model.json             backbone, labels, preprocessing, embedding space, training, metrics, calibration, checksums
  backbone.safetensors   the network without its last layer
  heads.safetensors      one linear layer for each label space
  projection.safetensors where embeddings are projected for the index: mean and directions
  pictures.safetensors   which pictures the model was trained on, and which it was tested on: `split`
  folds.safetensors      where it was cross-validated: the heads of each fold
  history.csv            a line for each epoch; learning_curves.png draws them
```

Not here: how a network is built from the weights (`encoders`), nor how they were found (`indexer.training`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recommender.calibration import Calibration
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, Corrupt, LabelMismatch, NotFound
from recommender.folders import check_files, sha256, shown, written_aside
from recommender.heads import Heads
from recommender.images import Preprocessing
from recommender.labels import Hierarchy
from recommender.projection import Projection, projected_name
from recommender.types import Matrix, PictureId

FORMAT = 2
PROJECTING_FORMAT = 3
"""That of a model with a projection: who does not know of it would store other embeddings than calibration is of."""
FORMATS = (FORMAT, PROJECTING_FORMAT)
MANIFEST = "model.json"
BACKBONE = "backbone.safetensors"
HEADS = "heads.safetensors"
PICTURES = "pictures.safetensors"
FOLDS = "folds.safetensors"
PROJECTION = "projection.safetensors"
REMEDY = "train the model again under another name (`sokkuri train LIBRARY --name NAME`)"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """An opened and checked model folder."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a model folder. Raises NotFound, Corrupt (a file is damaged) or LabelMismatch."""
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            if manifest["format"] not in FORMATS:
                raise Corrupt(
                    f"{shown(path / MANIFEST)} has format {manifest['format']}, this Sokkuri reads "
                    f"{' and '.join(map(str, FORMATS))}: {REMEDY}"
                )
            checksums = manifest["files"]
        except FileNotFoundError:
            raise NotFound(f"there is no model {path.name!r}: `sokkuri models` lists them") from None
        except (ValueError, KeyError, TypeError):
            raise Corrupt(f"{shown(path / MANIFEST)} is damaged: {REMEDY}") from None
        folder = cls(path, manifest)
        try:
            check_files(path, checksums, REMEDY)
            folder._check_fields()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Corrupt(f"{shown(path / MANIFEST)} is damaged: {REMEDY}") from None
        return folder

    def _check_fields(self) -> None:
        """Read every field once, so that a damaged one is told at opening. Raises LabelMismatch, or what it meets."""
        for space in self.hierarchy.spaces:
            if self.manifest["labels"]["digests"][space.name] != space.digest:
                raise LabelMismatch(
                    f"{self.path / MANIFEST}: the digest of label space {space.name} does not fit: {REMEDY}"
                )
        _ = (
            self.space,
            self.stored_space(self.space),
            self.preprocessing,
            self.calibration,
            self.untrained,
            self.notice,
            self.tells_duplicates,
        )
        _ = (self.manifest["heads"]["joint"], self.manifest["heads"]["reads"])

    @property
    def name(self) -> str:
        """The model's name: its folder's."""
        return self.path.name

    @property
    def digest(self) -> str:
        """The SHA-256 of model.json, which holds those of the other files: it stands for the whole model."""
        return sha256(self.path / MANIFEST)

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings that the heads may read: those of the backbone."""
        return EmbeddingSpace.from_json(self.manifest["space"])

    def stored_space(self, space: EmbeddingSpace) -> EmbeddingSpace:
        """Return the space that is stored and searched, given the backbone's or an export's: projected, if at all."""
        projection = self.manifest.get("projection")  # older models have none
        if not projection:
            return space
        name = projected_name(projection["digest"], whitened=projection["whitened"])
        return space.projected(name, int(projection["dimension"]))

    def projection(self) -> Projection | None:
        """Read what embeddings are projected by before they are stored or compared, or None. Raises Corrupt."""
        said = self.manifest.get("projection")
        if not said:
            return None
        try:
            tensors = load_file(self.path / PROJECTION)
            found = Projection.from_tensors(tensors, whitened=bool(said["whitened"]))
            same = found.to_json() == said
        except (OSError, SafetensorError, KeyError, IndexError):
            same = False
        if not same:
            raise Corrupt(f"{shown(self.path / PROJECTION)} is not the projection of the model: {REMEDY}")
        return found

    @property
    def hierarchy(self) -> Hierarchy:
        """The labels that the model knows."""
        return Hierarchy.from_json(self.manifest["labels"])

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the network's input."""
        return Preprocessing.from_json(self.manifest["preprocessing"])

    @property
    def calibration(self) -> Calibration:
        """What the model's numbers are worth."""
        return Calibration.from_json(self.manifest["calibration"])

    @property
    def untrained(self) -> bool:
        """Whether the backbone's weights are random."""
        return bool(self.manifest["weights"]["untrained"])

    @property
    def tells_duplicates(self) -> bool:
        """Whether near-duplicates may be told by its embeddings, and not by perceptual hashes alone."""
        weights = self.manifest["weights"]
        return bool(weights.get("tells_duplicates", not weights.get("random_layers")))  # older models do not say

    @property
    def notice(self) -> str:
        """A sentence to show beside every result, or nothing."""
        return str(self.manifest["weights"]["notice"])

    def heads(self) -> Heads:
        """Read the heads. Raises LabelMismatch where they do not fit the labels."""
        return self._dressed(load_file(self.path / HEADS), self.calibration.temperatures)

    def fold_heads(self) -> tuple[Heads, ...]:
        """Read the heads of each fold, in order; none where the model was not cross-validated."""
        if not (self.path / FOLDS).exists():
            return ()
        tensors = load_file(self.path / FOLDS)
        return tuple(
            self._dressed(
                {
                    name.partition(".")[2]: tensor
                    for name, tensor in tensors.items()
                    if name.partition(".")[0] == str(fold)
                },
                temperatures,
            )
            for fold, temperatures in enumerate(self.manifest["fold_temperatures"])
        )

    def pictures(self) -> TrainedPictures:
        """Read which pictures the model was trained and tested on."""
        tensors = load_file(self.path / PICTURES)
        identities = tuple(PictureId(identity.tobytes().hex()) for identity in tensors["id"])
        return TrainedPictures(identities, tensors["part"].astype(np.int64), tensors["fold"].astype(np.int64))

    def _dressed(self, tensors: dict[str, Matrix], temperatures: Mapping[str, float]) -> Heads:
        """Return heads with their temperatures, and with what model.json says about all heads of the model."""
        heads = Heads.from_tensors(self.hierarchy, tensors)
        return replace(heads, temperatures=temperatures, **self.manifest["heads"])


@dataclass(frozen=True, slots=True)
class TrainedPictures:
    """The library that a model was trained on: ids, and for each the number of its part and of its fold.

    Parts: 0 is training, 1 validation, 2 test, -1 held out. A picture without a fold (-1) is in its part; one with a
    fold was left out of the heads of that fold, and is tested by these.
    """

    id: tuple[PictureId, ...]
    part: NDArray[np.int64]
    fold: NDArray[np.int64]

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return what `ModelFolder.pictures` reads."""
        identities = np.frombuffer(bytes.fromhex("".join(self.id)), dtype=np.uint8).reshape(-1, 32)
        return {"id": identities, "part": self.part.astype(np.int8), "fold": self.fold.astype(np.int16)}


@dataclass(frozen=True, slots=True)
class NewModel:
    """What a model folder is made of.

    `facts` are the parts of model.json that nobody has to compute with; `files` are further files, by name.
    """

    space: EmbeddingSpace
    preprocessing: Preprocessing
    heads: Heads
    calibration: Calibration
    weights: dict[str, Any]
    pictures: TrainedPictures
    facts: dict[str, Any]
    folds: tuple[Heads, ...] = ()
    projection: Projection | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def write_model(path: Path, model: NewModel, save_backbone: Callable[[Path], None]) -> ModelFolder:
    """Write a model folder, whole or not at all. Raises BuildError where one of that name exists already."""
    try:
        with written_aside(path) as aside:
            save_backbone(aside / BACKBONE)
            save_file(dict(model.heads.to_tensors()), aside / HEADS)
            save_file(model.pictures.to_tensors(), aside / PICTURES)
            if model.folds:
                save_file(
                    {
                        f"{fold}.{name}": tensor
                        for fold, heads in enumerate(model.folds)
                        for name, tensor in heads.to_tensors().items()
                    },
                    aside / FOLDS,
                )
            if model.projection:
                save_file(model.projection.to_tensors(), aside / PROJECTION)
            for name, content in model.files.items():
                (aside / name).write_bytes(content)
            manifest = {
                "format": PROJECTING_FORMAT if model.projection else FORMAT,
                "name": path.name,
                "backbone": model.space.backbone,
                "weights": model.weights,
                "labels": model.heads.hierarchy.to_json()
                | {"digests": {space.name: space.digest for space in model.heads.hierarchy.spaces}},
                "preprocessing": model.preprocessing.to_json(),
                "space": model.space.to_json(),
                **({"projection": model.projection.to_json()} if model.projection else {}),
                "heads": {"joint": model.heads.joint, "reads": model.heads.reads},
                "fold_temperatures": [dict(heads.temperatures) for heads in model.folds],
                "calibration": model.calibration.to_json(),
                **model.facts,
                "files": {file.name: sha256(file) for file in sorted(aside.iterdir())},
            }
            text = json.dumps(manifest, ensure_ascii=False, indent=1)
            (aside / MANIFEST).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise BuildError(f"there is a model {path.name!r} already: choose another --name") from None
    return ModelFolder.open(path)
