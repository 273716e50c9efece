"""Production: pictures are ordered, and drawn by as many processes as there are cores.

An order says all that its picture depends on, dice included: whoever carries it out, in whatever order, writes the same
file. A file appears whole or not at all. Not here: which pictures there are (`world`), what they look like (`drawing`).
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Thread
from uuid import uuid4

from indexer.demo.drawing import WIDTH, draw
from indexer.demo.identity import Identity
from indexer.demo.shot import random_shot
from indexer.demo.style import Style
from recommender.errors import BuildError
from recommender.folders import ASIDE, flush

MAX_PROCESSES = 8
"""Each holds some 60 MB; eight draw a world in seconds."""
WORTH_A_PROCESS = 20
"""Pictures that take about as long to draw as a further process takes to start."""
_END = b"\xff\xd9"
"""The last two bytes of a JPEG file (ITU-T T.81, B.1.1.3: end of image)."""


@dataclass(frozen=True, slots=True)
class Order:
    """A picture to be drawn, and where to. `dice` is what the dice of its shot are seeded with."""

    file: Path
    style: Style
    identity: Identity
    dice: str

    @property
    def is_done(self) -> bool:
        """Whether the file is there, to its last byte: a power cut may have left it empty, or with zeros at its end."""
        try:
            with self.file.open("rb") as file:
                file.seek(-min(len(_END), file.seek(0, os.SEEK_END)), os.SEEK_END)
                return file.read() == _END
        except FileNotFoundError:
            return False


def dice_of(text: str) -> random.Random:
    """Return dice that fall the same for the same text, on every machine and in every process."""
    digest = hashlib.sha256(text.encode()).digest()
    return random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - they draw pictures, and guard no secret


def write_whole(file: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file aside and rename it, so that it appears whole or not at all; `durable` means after a power cut too.

    Raises OSError.
    """
    aside = file.with_name(f"{ASIDE}{file.name}-{uuid4().hex[:8]}")
    try:
        aside.write_bytes(content)
        if durable:
            flush(aside)
        aside.replace(file)
    finally:
        with suppress(OSError):  # must not hide what went wrong
            aside.unlink(missing_ok=True)


def carry_out(orders: Sequence[Order], processes: int | None = None) -> Generator[int, None, None]:
    """Draw the pictures of all orders, and yield how many are done, each time that one more is.

    Left to itself it takes as many processes as there are cores and enough work. An error, Ctrl-C, or its being closed
    ends all of them after the picture that each is at. Raises OSError where a file cannot be written, and BuildError
    where a process dies.
    """
    if processes is None:
        processes = max(1, min(_cores(), MAX_PROCESSES, len(orders) // WORTH_A_PROCESS))
    if processes == 1:
        for done, order in enumerate(orders, start=1):
            _draw(order)
            yield done
        return
    # Spawned and not forked: whoever calls may have started threads, which a fork would leave behind holding locks.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        with _interrupts_later():
            drawn: list[Future[None]] = [pool.submit(_draw, order) for order in orders]
        for done, future in enumerate(as_completed(drawn), start=1):
            future.result()
            yield done
    except BrokenProcessPool:
        raise BuildError(
            "a process that draws ended unexpectedly (for lack of memory?): run it again, it goes on where it stopped"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _draw(order: Order) -> None:
    """Carry out one order."""
    shot = random_shot(dice_of(order.dice), order.style)
    picture = BytesIO()
    draw(order.style, order.identity, shot, WIDTH).save(picture, "JPEG", quality=shot.quality)
    order.file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(order.file, picture.getvalue())


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block. Processes that are started in it never hear of it.

    A terminal sends it to all processes: each would end in a traceback, and leave half a file.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Let this process end when the one that started it does: killed, that could not tell it, and it would wait on."""
    Thread(target=_wait_for_parent, name="parent", daemon=True).start()


def _wait_for_parent() -> None:
    """Wait until the process that started this one has ended, then end this one as it is."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
