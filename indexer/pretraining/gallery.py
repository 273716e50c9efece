"""What has been drawn so far, in memory: where the network is, if there is room.

Not here: who draws (`drawings`), nor how a drawing becomes a view (`augment`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from indexer.pretraining.drawings import NOBODY, Arriving, DrawingPlan
from indexer.pretraining.lessons import Drawn
from indexer.pretraining.patterns import SIDE
from indexer.progress import Told
from indexer.training.device import Device
from recommender.errors import BuildError

FILLED = 0.5
"""How much of a graphics card's free memory drawings may take."""


class Gallery:
    """The drawings of a plan; more hang there each time that one looks, until all have come.

    Raises BuildError where there is no memory for them.
    """

    def __init__(self, plan: DrawingPlan, arriving: Arriving, device: Device) -> None:
        self._arriving, self._place = arriving, torch.device(device.kind)
        size = len(plan) * 3 * SIDE * SIDE
        room = device.kind != "cpu" and size < FILLED * device.free_memory()
        where = self._place if room else torch.device("cpu")
        try:
            self._pixels = torch.empty((len(plan), 3, SIDE, SIDE), dtype=torch.uint8, device=where)
        except RuntimeError:  # what torch makes of memory that it does not get
            raise BuildError(
                f"{len(plan):,} drawings take {size / 1e9:.0f} GB of memory, which is not there: have fewer drawn"
            ) from None
        labels = plan.labels()
        self._identity, self._style = (torch.from_numpy(one).to(self._place) for one in (labels.identity, labels.style))
        self._kept = torch.from_numpy(labels.judged)
        self._there = torch.zeros(len(plan), dtype=torch.bool)
        self.learnt_from = torch.zeros(0, dtype=torch.int64)
        """The places of drawings that are there to be learnt from."""

    def wait_for(self, share: float, told: Told) -> None:
        """Wait until so much of the plan has been drawn. Raises BuildError where drawings cannot be written."""
        while self.drawn < share * len(self._there):
            self._hang(wait=True)
            told(self.drawn, len(self._there))
        self.look()

    @property
    def drawn(self) -> int:
        """How many drawings there are."""
        return int(self._there.sum())

    @property
    def judged(self) -> Tensor:
        """The places of drawings that are there and not learnt from."""
        return (self._there & self._kept).nonzero()[:, 0]

    def look(self) -> None:
        """Take what has come since; never wait for it."""
        while self._hang(wait=False):
            pass

    def _hang(self, *, wait: bool) -> bool:
        """Take one more chunk."""
        chunk = self._arriving.next(wait=wait)
        if chunk is None:
            return False
        places = slice(chunk.first, chunk.first + len(chunk.pixels))
        self._pixels[places] = torch.from_numpy(chunk.pixels).to(self._pixels.device)
        self._there[places] = True
        self.learnt_from = (self._there & ~self._kept).nonzero()[:, 0]
        return True

    def pixels(self, places: Tensor) -> Tensor:
        """Return drawings by their places, (n, 3, SIDE, SIDE), bytes, where the network is."""
        return self._pixels[places.to(self._pixels.device, non_blocking=True)].to(self._place, non_blocking=True)

    def labels(self, places: Tensor, nobody: int = 0) -> Drawn:
        """Return who is drawn at some places; of the first so many it is not asked."""
        here = places.to(self._place, non_blocking=True)
        identity, style = self._identity[here], self._style[here]
        identity[:nobody] = style[:nobody] = NOBODY
        return Drawn(identity, style)
