"""A world of any size for measuring: tiny pictures that are all different, and a model whose heads nobody trained.

Not here: what is measured with it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from bench.exporting import exported
from indexer.training.weights import load_backbone
from indexer.workplace import now, workplace
from recommender.calibration import Calibration
from recommender.catalogue import ModelRow
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.heads import SPACES, Heads
from recommender.labels import Hierarchy
from recommender.modelfolder import ModelFolder, NewModel, TrainedPictures, write_model
from recommender.settings import Settings
from recommender.types import Character, DecodedImage, Show

BACKBONE = "squeezenet1_1"
MODEL = "tiny"
PRECISION = "int8"
SIZE = 32
"""Pixels of a side, of the pictures and of what the network looks at: the smallest that a library takes."""
CHARACTERS = 10
"""Characters of a show."""
PICTURES = 100
"""Pictures of a character."""


def cast(pictures: int) -> Hierarchy:
    """Return as many characters as so many pictures are of."""
    count = max(2, -(-pictures // PICTURES))
    shows = [Show(f"show-{number:04}", f"Show {number}", 2000) for number in range(-(-count // CHARACTERS))]
    return Hierarchy.of(
        [
            Character(f"hero-{number % CHARACTERS}", f"Hero {number}", shows[number // CHARACTERS])
            for number in range(count)
        ]
    )


def draw(number: int, side: int = SIZE, kind: str = "PNG") -> bytes:
    """Return a picture file of coarse coloured noise, another one for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.BILINEAR).save(file, kind)
    return file.getvalue()


def make_library(root: Path, pictures: int, side: int = SIZE, kind: str = "PNG") -> Path:
    """Draw a library of so many pictures, dealt out evenly among the characters of `cast`."""
    characters = cast(pictures).characters
    for character in characters:
        (root / character.label).mkdir(parents=True)
    for number in range(pictures):
        label = characters[number % len(characters)].label
        (root / label / f"{number:06}.{kind.lower()}").write_bytes(draw(number, side, kind))
    return root


def make_model(
    settings: Settings, hierarchy: Hierarchy, size: int = SIZE, backbone: str = BACKBONE, weights: str = "none"
) -> TorchBackbone:
    """Put a model whose heads are random, and that looks at `size` pixels, to use in a home; return its backbone."""
    loaded = load_backbone(backbone, weights, 0)
    preprocessing = replace(loaded.preprocessing, size=size)
    network = TorchBackbone.of_network(backbone, loaded.model, preprocessing, settings.threads, "float32", loaded.layer)
    draws = np.random.default_rng(0)
    tensors = {}
    for space, labels in zip(SPACES, hierarchy.spaces, strict=True):
        rows = draws.normal(size=(len(labels), network.space.dimension))
        tensors[f"{space}.weight"] = rows.astype(np.float32)
        tensors[f"{space}.bias"] = np.zeros(len(labels), np.float32)
    with workplace(settings, "bench") as catalogue:
        model = write_model(
            settings.home / "models" / MODEL,
            NewModel(
                space=network.space,
                preprocessing=network.preprocessing,
                heads=Heads.from_tensors(hierarchy, tensors),
                calibration=Calibration(),
                weights=loaded.to_json(),
                pictures=TrainedPictures((), np.empty(0, np.int64), np.empty(0, np.int64)),
                facts={"training": {}},
            ),
            network.save,
        )
        catalogue.add_model(ModelRow(MODEL, backbone, model.digest, model.space.fingerprint, now(), loaded.notice))
    return network


def make_export(settings: Settings, pictures: Sequence[DecodedImage]) -> OpenVinoBackbone:
    """Export the model that `make_model` made as int8, its ranges measured on these pictures, and open it.

    Only its speed is to be measured: it goes through no gate.
    """
    model = ModelFolder.open(settings.home / "models" / MODEL)
    return OpenVinoBackbone.load(exported(model, PRECISION, pictures), model.preprocessing, settings.threads)
