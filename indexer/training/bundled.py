"""The weights that come with Sokkuri, as a network takes them, and what has to be said about them.

Not here: where they lie and what the card says (`recommender.bundled`), nor the architecture (`encoders.pooled`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from recommender.bundled import FOLDER, WEIGHTS, missing, read_card
from recommender.images import Preprocessing

NOTICE = (
    "This model's backbone comes with Sokkuri and was trained on drawings alone: of other pictures it sees less than "
    "one with ImageNet weights."
)


@dataclass(frozen=True, slots=True)
class Bundled:
    """The weights in float32, and how a picture becomes the network's input: at the size that they are meant for."""

    state: Mapping[str, torch.Tensor]
    preprocessing: Preprocessing

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Bundled:
        """Read weights and card. Raises WeightsMissing where a file is absent or damaged."""
        card = read_card(folder)
        try:
            state = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
        except (OSError, SafetensorError):
            raise missing(folder) from None
        return cls(state, Preprocessing(size=int(card["size"])))
