"""A trained model on disk: a folder that is written once, checked at every opening, and holds no pickle.

```
models/<name>/
  model.json             backbone, labels, preprocessing, embedding space, training, metrics, calibration, checksums
  backbone.safetensors   the network without its last layer
  heads.safetensors      one linear layer for each label space
```

Not here: how a network is built from the weights (`encoders`), nor how they were found (`indexer.training`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safetensors.numpy import load_file, save_file

from recommender.calibration import Calibration
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, Corrupt, LabelMismatch, NotFound
from recommender.folders import check_files, sha256, shown, written_aside
from recommender.heads import Heads
from recommender.images import Preprocessing
from recommender.labels import Hierarchy

FORMAT = 1
MANIFEST = "model.json"
BACKBONE = "backbone.safetensors"
HEADS = "heads.safetensors"
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
            if manifest["format"] != FORMAT:
                raise Corrupt(
                    f"{shown(path / MANIFEST)} has format {manifest['format']}, this Sokkuri reads {FORMAT}: {REMEDY}"
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
        _ = (self.space, self.preprocessing, self.calibration, self.untrained, self.notice)

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
        """The space of the model's embeddings."""
        return EmbeddingSpace.from_json(self.manifest["space"])

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
    def notice(self) -> str:
        """A sentence to show beside every result, or nothing."""
        return str(self.manifest["weights"]["notice"])

    def heads(self) -> Heads:
        """Read the heads. Raises LabelMismatch where they do not fit the labels."""
        return Heads.from_tensors(self.hierarchy, load_file(self.path / HEADS), self.calibration.temperature)


@dataclass(frozen=True, slots=True)
class NewModel:
    """What a model folder is made of. `facts` are the parts of model.json that nobody has to compute with."""

    space: EmbeddingSpace
    preprocessing: Preprocessing
    heads: Heads
    calibration: Calibration
    weights: dict[str, Any]
    facts: dict[str, Any]


def write_model(path: Path, model: NewModel, save_backbone: Callable[[Path], None]) -> ModelFolder:
    """Write a model folder, whole or not at all. Raises BuildError where one of that name exists already."""
    try:
        with written_aside(path) as aside:
            save_backbone(aside / BACKBONE)
            save_file(dict(model.heads.to_tensors()), aside / HEADS)
            manifest = {
                "format": FORMAT,
                "name": path.name,
                "backbone": model.space.backbone,
                "weights": model.weights,
                "labels": model.heads.hierarchy.to_json()
                | {"digests": {space.name: space.digest for space in model.heads.hierarchy.spaces}},
                "preprocessing": model.preprocessing.to_json(),
                "space": model.space.to_json(),
                "calibration": model.calibration.to_json(),
                **model.facts,
                "files": {name: sha256(aside / name) for name in (BACKBONE, HEADS)},
            }
            text = json.dumps(manifest, ensure_ascii=False, indent=1)
            (aside / MANIFEST).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise BuildError(f"there is a model {path.name!r} already: choose another --name") from None
    return ModelFolder.open(path)
