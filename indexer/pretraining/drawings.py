"""The drawings that are learnt from: random people in random styles, none of them the demo world's, and patterns.

```
FOLDER/
  plan.json            how many, and from which seed
  00000.npy ...        CHUNK drawings each: (n, 3, SIDE, SIDE) bytes
```

Every drawing has dice of its own, so the same plan gives the same drawings in any order, and an interrupted run goes
on with the chunks that are missing. What a drawing shows follows from its place in the plan. Not here: how anything is
drawn (`indexer.demo`), nor what is learnt from it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import Empty, Full, Queue
from random import Random
from threading import Event, Thread

import numpy as np
from numpy.typing import NDArray

from indexer.demo.drawing import draw, render
from indexer.demo.identity import random_identity
from indexer.demo.shot import random_shot
from indexer.demo.style import Style, random_style
from indexer.pretraining.patterns import SIDE, random_pattern
from recommender.errors import BuildError

CHUNK = 96
NOBODY = -1
"""Stands for the identity and style of a drawing that shows nobody: a pattern."""
JUDGED_OF = 4
"""Of one person in so many a drawing is kept, to see how well people are told apart in what was not learnt from."""
WAITING = 4
"""Chunks that are read before anyone asks for them."""
PATIENCE = 0.1
"""Seconds after which one who waits looks whether it is over."""


@dataclass(frozen=True, slots=True)
class DrawingPlan:
    """How many styles, how many people in each, how many shots of each; and how many patterns."""

    styles: int = 300
    people: int = 6
    shots: int = 4
    patterns: int = 2_000
    seed: int = 0

    @property
    def identities(self) -> int:
        """How many people there are."""
        return self.styles * self.people

    def __len__(self) -> int:
        return self.identities * self.shots + self.patterns

    def labels(self) -> Labels:
        """Return what is drawn at each place.

        Patterns are strewn evenly among the others; these go round through all people before anyone is drawn again, so
        that the first drawings are a small sample of everything.
        """
        places = np.arange(len(self))
        before = places * self.patterns // len(self)
        pattern = (places + 1) * self.patterns // len(self) > before
        turn = places - before
        identity, shot = turn % self.identities, turn // self.identities
        judged = (identity % JUDGED_OF == 0) & (shot == identity // JUDGED_OF % self.shots)
        if self.shots == 1:
            judged[:] = False
        return Labels(
            np.where(pattern, NOBODY, identity), np.where(pattern, NOBODY, identity % self.styles), judged & ~pattern
        )

    def style(self, number: int) -> Style:
        """Return one of the styles."""
        return random_style(self.dice("style", number))

    def style_vectors(self) -> NDArray[np.float32]:
        """Return all styles as points, (styles, p): see `Style.vector`."""
        return np.stack([self.style(number).vector() for number in range(self.styles)]).astype(np.float32)

    def dice(self, what: str, number: int) -> Random:
        """Return the dice of one thing: the same on every machine, and unlike those of any other."""
        seed = hashlib.sha256(f"{self.seed} {what} {number}".encode()).digest()
        return Random(int.from_bytes(seed[:8], "big"))  # noqa: S311 - dice for drawing, not for secrets


@dataclass(frozen=True, slots=True)
class Labels:
    """Of each of n drawings: who it shows, in which style, and whether it is only judged by, and not learnt from."""

    identity: NDArray[np.int64]
    style: NDArray[np.int64]
    judged: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Drawings that have been read: the place of the first, and `pixels` (n, 3, SIDE, SIDE), bytes."""

    first: int
    pixels: NDArray[np.uint8]


class Arriving:
    """The drawings of a plan, chunk by chunk, while others are still being drawn."""

    def __init__(self, chunks: Queue[Chunk | Exception], count: int) -> None:
        self._chunks, self._count = chunks, count
        self.left = count

    def __len__(self) -> int:
        return self._count

    def next(self, *, wait: bool) -> Chunk | None:
        """Return a chunk that nobody has had yet; None where there is none yet, or no more.

        Raises BuildError where drawings cannot be written.
        """
        if not self.left:
            return None
        try:
            found = self._chunks.get(block=wait)
        except Empty:
            return None
        if isinstance(found, Exception):
            raise found
        self.left -= 1
        return found


@contextmanager
def arriving(folder: Path, plan: DrawingPlan) -> Iterator[Arriving]:
    """Draw what is missing in a folder, in the background, and give all as it comes.

    Raises BuildError where the folder holds other drawings, or cannot be written.
    """
    _claim(folder, plan)
    chunks: Queue[Chunk | Exception] = Queue(WAITING)
    over = Event()

    def read(pool: ProcessPoolExecutor) -> None:
        try:
            for number in _in_order(pool, folder, plan, over):
                _put(chunks, Chunk(number * CHUNK, np.load(_file(folder, number), allow_pickle=False)), over)
        except OSError as error:
            _put(chunks, BuildError(f"{folder} cannot be written ({error.strerror}): make room, run it again"), over)
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits for drawings has to hear of it
            _put(chunks, error, over)

    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn"), initializer=_give_way) as pool:
        reader = Thread(target=read, args=(pool,), daemon=True)
        reader.start()
        try:
            yield Arriving(chunks, _chunks(plan))
        finally:
            over.set()
            reader.join()
            pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, folder: Path, plan: DrawingPlan, over: Event) -> Iterator[int]:
    """Give the chunks that were there before, then the others as they are drawn, until it is over."""
    there = [_file(folder, number).exists() for number in range(_chunks(plan))]
    finished: Queue[Future[int]] = Queue()
    for number in np.flatnonzero(np.logical_not(there)).tolist():
        pool.submit(_draw_chunk, folder, plan, number).add_done_callback(finished.put)
    yield from np.flatnonzero(there).tolist()
    left = there.count(False)
    while left and not over.is_set():
        # `as_completed` would wait for ever for jobs that were cancelled.
        with suppress(Empty):
            job = finished.get(timeout=PATIENCE)
            left -= 1
            yield job.result()


def _put(chunks: Queue[Chunk | Exception], one: Chunk | Exception, over: Event) -> None:
    """Hand something over as soon as there is room, unless nobody waits for it any more."""
    while not over.is_set():
        with suppress(Full):
            return chunks.put(one, timeout=PATIENCE)
    return None


def _give_way() -> None:
    """Leave the processor to the one who learns."""
    os.nice(10)


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


def _chunks(plan: DrawingPlan) -> int:
    """Return how many chunks there are."""
    return -(-len(plan) // CHUNK)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.npy"


def _draw_chunk(folder: Path, plan: DrawingPlan, number: int) -> int:
    """Draw a chunk and write it, whole or not at all; return its number."""
    labels = plan.labels()
    places = range(number * CHUNK, min(number * CHUNK + CHUNK, len(plan)))
    pixels = np.stack([_drawn(plan, labels, place) for place in places])
    aside = folder / f"{number:05}.{os.getpid()}.aside"
    try:
        with aside.open("wb") as file:
            np.save(file, pixels)
        aside.replace(_file(folder, number))
    finally:
        aside.unlink(missing_ok=True)
    return number


def _drawn(plan: DrawingPlan, labels: Labels, place: int) -> NDArray[np.uint8]:
    """Return the pixels of one drawing, (3, SIDE, SIDE)."""
    dice = plan.dice("drawing", place)
    if labels.identity[place] == NOBODY:
        picture = render(random_pattern(dice))
    else:
        style = plan.style(int(labels.style[place]))
        person = random_identity(plan.dice("person", int(labels.identity[place])))
        picture = draw(style, person, random_shot(dice, style), SIDE)
    square = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)))
    return np.ascontiguousarray(square.transpose(2, 0, 1))
