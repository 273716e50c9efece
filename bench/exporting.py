"""Exports that go through no gate: those whose speed is measured, and those that tests run or break."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from indexer.conversion import converted, quantised, save
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.exports import FOLDER, FORMAT, MANIFEST, Export, exported_space, installed
from recommender.folders import sha256
from recommender.modelfolder import ModelFolder
from recommender.processor import kind
from recommender.types import DecodedImage


def exported(model: ModelFolder, precision: str, pictures: Sequence[DecodedImage], **changes: Any) -> Export:
    """Export a model, its ranges measured on these pictures. `changes` are fields of export.json to be other ones."""
    network = converted(TorchBackbone.load(model).network, model.preprocessing.size)
    if precision == "int8":
        network = quantised(network, model.space.backbone, pictures, model.preprocessing)
    path = model.path / FOLDER / precision
    path.mkdir(parents=True)
    save(network, path)
    describe(model, precision, **changes)
    return Export.open(model, precision)


def describe(model: ModelFolder, precision: str, **changes: Any) -> None:
    """Write the export.json of the network that lies in the folder of an export."""
    path = model.path / FOLDER / precision
    files = {file.name: sha256(file) for file in sorted(path.iterdir()) if file.name != MANIFEST}
    manifest = {
        "format": FORMAT,
        "model": model.name,
        "model_digest": model.digest,
        "precision": precision,
        "space": exported_space(model.space, precision, files).to_json(),
        "openvino": installed(),
        "needs": [],
        "processor": {"kind": kind()},
        "speed": {"bulk_over_torch": 2.0, "single_over_torch": 2.0},
        "files": files,
    }
    (path / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")
