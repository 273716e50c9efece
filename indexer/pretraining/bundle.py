"""The files that come of a pretraining: the weights in float16, and a card that says what they are.

Not here: who reads them (`indexer.training.bundled`), nor how they came to be (`pretrain`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from indexer.pretraining.pretrain import Pretrained
from indexer.training.checkpoint import plain_reason
from recommender.bundled import CARD, WEIGHTS
from recommender.errors import BuildError
from recommender.folders import sha256

MOST_BYTES = 60_000_000
"""What the weights may take in the package."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The written files."""

    folder: Path
    card: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the card, and where the files are."""
        return {"folder": str(self.folder), **self.card}

    def to_text(self) -> str:
        """Return what people want to know."""
        told = self.card["told_apart"]
        return (
            f"{self.folder / WEIGHTS} ({self.card['bytes'] / 1e6:.1f} MB): {self.card['views']:,} views in "
            f"{self.card['hours']} hours; of {self.card['drawings']['identities']} drawn people "
            f"{'an unknown part' if told is None else f'{told:.1%}'} are told apart in drawings not learnt from"
        )


def write_bundle(folder: Path, pretrained: Pretrained, size: int) -> Bundle:
    """Write weights and card; `size` is the one at which the network is to look at pictures. Raises BuildError."""
    tensors = {name: tensor.to("cpu", torch.float16) for name, tensor in pretrained.student.folded().items()}
    aside = folder / f"{WEIGHTS}.aside"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside)
        history = pretrained.facts["history"]
        card = {
            "size": size,
            "sha256": sha256(aside),
            "bytes": aside.stat().st_size,
            "told_apart": history[-1]["told_apart"] if history else None,
            **pretrained.facts,
        }
        aside.chmod(0o644)  # safetensors lets nobody else read it; a package is installed for all
        aside.replace(folder / WEIGHTS)
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise BuildError(f"{folder} cannot be written ({plain_reason(error)}): make room and run it again") from None
    if card["bytes"] > MOST_BYTES:
        raise BuildError(f"{folder / WEIGHTS} has {card['bytes']:,} bytes: it may have {MOST_BYTES:,}")
    return Bundle(folder, card)
