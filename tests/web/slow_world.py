"""A server whose model takes its time: `python -m tests.web.slow_world FOLDER SECONDS QUEUE [NAME=VALUE]...`.

A name is that of a number in `web.worker`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recommender.types import DecodedImage, Encoding
from tests.fakes import FakeEncoder
from tests.web.serve_world import loader
from tests.web.world import build
from web import worker
from web.commands import listen, run, threads_for

if __name__ == "__main__":

    class SlowEncoder(FakeEncoder):
        """A fake model that sleeps over each picture."""

        def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
            """Encode after a while."""
            time.sleep(float(sys.argv[2]))
            return super().encode(images)

    world = build(Path(sys.argv[1]))
    world.encoder.__class__ = SlowEncoder
    world = replace(world, settings=replace(world.settings, queue=int(sys.argv[3])))
    for name, _, value in (argument.partition("=") for argument in sys.argv[4:]):
        assert hasattr(worker, name)
        setattr(worker, name, float(value))
    listener = listen("127.0.0.1", 0)
    size = {"workers": 1, "threads": threads_for(world.settings)}
    run(loader(world), listener, size, f"port {listener.getsockname()[1]}")
