"""The drawings that are learnt from: random people in random styles, none of them the demo world's, and patterns.

```
FOLDER/
  plan.json            how many, and from which seed
  00000.npz ...        CHUNK drawings each: pixels (n, 3, SIDE, SIDE) bytes; identity, style (n); parameters (n, p)
```

Every drawing has dice of its own, so the same plan gives the same drawings in any order, and an interrupted run goes
on with the chunks that are missing. Not here: how anything is drawn (`indexer.demo`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from indexer.demo.drawing import draw, render
from indexer.demo.identity import random_identity
from indexer.demo.shot import random_shot
from indexer.demo.style import random_style
from indexer.pretraining.lessons import NOBODY
from indexer.pretraining.patterns import SIDE, random_pattern
from indexer.progress import progress
from recommender.errors import BuildError

CHUNK = 192
VALIDATION = 8
"""One shot in so many is kept to see how well identities are told apart in drawings that were not learnt from."""


@dataclass(frozen=True, slots=True)
class DrawingPlan:
    """How many styles, how many people in each, how many shots of each; and how many patterns."""

    styles: int = 400
    people: int = 8
    shots: int = 6
    patterns: int = 3_000
    seed: int = 0

    @property
    def identities(self) -> int:
        """How many people there are."""
        return self.styles * self.people

    def __len__(self) -> int:
        return self.identities * self.shots + self.patterns


@dataclass(frozen=True, slots=True)
class Drawings:
    """n drawings in memory. `pixels` is (n, 3, SIDE, SIDE) bytes, `parameters` (n, p), mean 0 and deviation 1."""

    pixels: NDArray[np.uint8]
    identity: NDArray[np.int64]
    style: NDArray[np.int64]
    parameters: NDArray[np.float32]
    judged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pixels)


def drawings(folder: Path, plan: DrawingPlan) -> Drawings:
    """Draw what is missing and read all. Raises BuildError where the folder holds other drawings, or is full."""
    _claim(folder, plan)
    chunks = [range(start, min(start + CHUNK, len(plan))) for start in range(0, len(plan), CHUNK)]
    missing = [number for number in range(len(chunks)) if not _file(folder, number).exists()]
    workers = os.cpu_count() or 1
    with (
        progress("drawing", "drawing") as told,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        jobs = [pool.submit(_draw_chunk, folder, plan, number, chunks[number]) for number in missing]
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                told(min(len(plan), (len(chunks) - len(missing) + done) * CHUNK), len(plan))
        except OSError as error:
            pool.shutdown(cancel_futures=True)
            raise BuildError(f"{folder} cannot be written ({error.strerror}): make room and run it again") from None
    return _read(folder, plan, len(chunks))


def _read(folder: Path, plan: DrawingPlan, chunks: int) -> Drawings:
    """Read every chunk into memory."""
    pixels = np.empty((len(plan), 3, SIDE, SIDE), dtype=np.uint8)
    labels: dict[str, list[NDArray[np.float32]]] = {"identity": [], "style": [], "parameters": []}
    for number in range(chunks):
        with np.load(_file(folder, number), allow_pickle=False) as chunk:
            pixels[number * CHUNK : number * CHUNK + len(chunk["pixels"])] = chunk["pixels"]
            for name, values in labels.items():
                values.append(chunk[name])
    identity, style, parameters = (np.concatenate(labels[name]) for name in ("identity", "style", "parameters"))
    known = identity != NOBODY
    spread = parameters[known].std(axis=0)
    scaled = (parameters - parameters[known].mean(axis=0)) / np.where(spread > 0, spread, 1)
    judged = np.arange(len(plan)) % VALIDATION == VALIDATION - 1
    return Drawings(
        pixels, identity.astype(np.int64), style.astype(np.int64), scaled.astype(np.float32), judged & known
    )


def _claim(folder: Path, plan: DrawingPlan) -> None:
    """Write down the plan of new drawings, or make sure that those in the folder are of this plan."""
    wanted = json.dumps({**asdict(plan), "side": SIDE, "chunk": CHUNK})
    file = folder / "plan.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(wanted, encoding="utf-8")
    except OSError as error:
        raise BuildError(f"{folder} cannot be written ({error.strerror}): choose another --home") from None
    if file.read_text(encoding="utf-8") != wanted:
        raise BuildError(f"{folder} holds drawings of another plan: delete it, or choose another --home")


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.npz"


def _draw_chunk(folder: Path, plan: DrawingPlan, number: int, places: range) -> None:
    """Draw a chunk and write it, whole or not at all."""
    drawn = list(_drawn(plan, places))
    aside = folder / f"{number:05}.{os.getpid()}.aside"
    with aside.open("wb") as file:
        np.savez(
            file,
            pixels=np.stack([pixels for pixels, _, _, _ in drawn]),
            identity=np.array([identity for _, identity, _, _ in drawn]),
            style=np.array([style for _, _, style, _ in drawn]),
            parameters=np.stack([parameters for _, _, _, parameters in drawn]).astype(np.float32),
        )
    aside.replace(_file(folder, number))


def _drawn(plan: DrawingPlan, places: range) -> Iterator[tuple[NDArray[np.uint8], int, int, NDArray[np.float64]]]:
    """Give pixels, identity, style and the style's parameters of some drawings, by their place in the plan.

    Places go round through all people before anyone is drawn again, with the patterns at the end.
    """
    for place in places:
        dice = _dice(plan, "drawing", place)
        identity = place % plan.identities
        style_number = identity % plan.styles
        style = random_style(_dice(plan, "style", style_number))
        pattern = place >= plan.identities * plan.shots
        if pattern:
            identity = style_number = NOBODY
            picture = render(random_pattern(dice))
        else:
            person = random_identity(_dice(plan, "person", identity))
            picture = draw(style, person, random_shot(dice, style), SIDE)
        square = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)))
        yield np.ascontiguousarray(square.transpose(2, 0, 1)), identity, style_number, style.vector()


def _dice(plan: DrawingPlan, what: str, number: int) -> Random:
    """Return the dice of one thing: the same on every machine, and unlike those of any other."""
    seed = hashlib.sha256(f"{plan.seed} {what} {number}".encode()).digest()
    return Random(int.from_bytes(seed[:8], "big"))  # noqa: S311 - dice for drawing, not for secrets
