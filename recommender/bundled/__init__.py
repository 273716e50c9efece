"""The VGG19 that comes with Sokkuri: a file of weights beside this one, and a card that says what it is.

Not here: who reads the weights (`indexer.training.bundled`), nor how they were trained (`indexer.pretraining`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recommender.errors import WeightsMissing

BACKBONE = "vgg19"
FOLDER = Path(__file__).parent
WEIGHTS, CARD = "vgg19.safetensors", "vgg19.json"


def read_card(folder: Path = FOLDER) -> dict[str, Any]:
    """Return the card: `sha256` of the weights, `size` of the pictures they are for, and how they came to be.

    Raises WeightsMissing where it is absent or damaged.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        card["sha256"], int(card["size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise missing(folder) from None
    return card


def missing(folder: Path) -> WeightsMissing:
    """Return the error of a package without its weights."""
    return WeightsMissing(
        f"the weights that come with Sokkuri cannot be read from {folder}: install it again, "
        "or use --weights imagenet, PATH or none"
    )
