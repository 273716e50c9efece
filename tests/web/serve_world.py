"""The real server on a small world, for tests: `python -m tests.web.serve_world FOLDER [MAX_UPLOADS [SEND_BUFFER]]`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flask import Flask

from recommender.publication import Publication
from tests.web.world import World, build
from web import create_app
from web.commands import listen, run


def loader(world: World) -> Callable[[], Flask]:
    """Return what makes the application in a worker."""

    def load() -> Flask:
        publication = Publication(world.settings, lambda _settings, _published: world.encoder)
        publication.refresh()
        return create_app(world.settings, publication)

    return load


if __name__ == "__main__":
    listener = listen("127.0.0.1", 0)
    world = build(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        world = replace(world, settings=replace(world.settings, max_uploads=int(sys.argv[2])))
    if len(sys.argv) > 3:  # in bytes, for its connections too: answers of a few kilobytes wait for who takes them
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(sys.argv[3]))
    run(loader(world), listener, {"workers": 1, "threads": 48}, f"port {listener.getsockname()[1]}")
