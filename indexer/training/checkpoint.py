"""Checkpoints: where an interrupted training goes on. One file for each stage of a run, rewritten after each epoch.

A checkpoint is a safetensors file: tensors, and a line of JSON in its header. It is written aside and renamed, so that
kill -9 leaves the one before. Not here: what is in it (`heads`, `epochs`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from recommender.errors import BuildError

KEY = "state"


def plain_reason(error: OSError | SafetensorError) -> str:
    """Return why a file could not be written, in the system's words: safetensors wraps them in its own."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rpartition("I/O error: ")[2].partition(" (os error")[0] or "no reason given"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The file of one stage. `purpose` stands for all that its result depends on: it must be the same to go on."""

    file: Path
    purpose: str

    def save(self, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Write where the stage stands. Raises BuildError where the disk is full."""
        aside = self.file.with_suffix(".aside")
        header = {KEY: json.dumps({"purpose": self.purpose, **state})}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside, header)
            aside.replace(self.file)
        except (OSError, SafetensorError) as error:  # the latter is what safetensors makes of a full disk
            raise BuildError(
                f"{self.file} cannot be written ({plain_reason(error)}): make room and run it with --resume"
            ) from None

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Return tensors and state of the last epoch that was saved, or None where there is none yet.

        Raises BuildError where the file is damaged or belongs to another training.
        """
        if not self.file.exists():
            return None
        try:
            with safe_open(self.file, framework="pt") as file:
                state = json.loads(file.metadata()[KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            purpose = state.pop("purpose")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
            raise BuildError(f"{self.file} is damaged: run it again without --resume") from None
        if purpose != self.purpose:
            raise BuildError(
                "the unfinished training of this name is of other options or another library: "
                "repeat its options, or run without --resume"
            )
        return tensors, state


@dataclass(frozen=True, slots=True)
class Run:
    """The checkpoints of one training, in a folder of their own; `purpose` is digested from all that it depends on."""

    folder: Path
    purpose: str

    @classmethod
    def of(cls, folder: Path, **everything: Any) -> Run:
        """Name a run by what its result depends on (anything that JSON can hold)."""
        text = json.dumps(everything, sort_keys=True, default=str)
        return cls(folder, hashlib.sha256(text.encode()).hexdigest())

    @property
    def begun(self) -> bool:
        """Whether a training of this name stopped before its end."""
        return self.folder.is_dir()

    def standing(self) -> list[tuple[str, int, int]]:
        """Return the stages that were begun, the latest last: name, epochs done, and epochs at most (0: not known).

        A file that cannot be read, or is another training's, is left out: who loads it tells why.
        """
        found = []
        for file in sorted(self.folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns):
            with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
                with safe_open(file, framework="pt") as stage:
                    state = json.loads(stage.metadata()[KEY])
                if state["purpose"].startswith(f"{self.purpose} "):
                    found.append((file.stem, len(state["history"]), int(state.get("most", 0))))
        return found

    def checkpoint(self, stage: str) -> Checkpoint:
        """Return the checkpoint of a stage."""
        return Checkpoint(self.folder / f"{stage}.safetensors", f"{self.purpose} {stage}")

    def forget(self) -> None:
        """Remove the checkpoints: the training is done, or is to begin anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
