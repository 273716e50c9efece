"""The command `sokkuri` in processes of its own, which can be killed, limited and watched.

They are forked from a process that has already imported torch: a fresh one would take five seconds to do so.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SECONDS = 120
"""A command that takes longer than this hangs."""
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [
        "indexer.commands",
        "indexer.reindex",
        "indexer.training.train",
        "recommender.asking",
        "torchvision.models",
        "pytest",
        "hypothesis",
    ]
)


@dataclass(frozen=True)
class Done:
    """How a command ended: exit code, and what it wrote."""

    code: int | None
    out: str
    err: str

    @cached_property
    def answer(self) -> Any:
        """What the command says with `--json`."""
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line of an error. Fails where the command did not end with exit code 1 and one line on stderr."""
        assert self.code == 1, self
        assert len(self.err.splitlines()) == 1, self.err
        assert self.err.startswith("sokkuri: "), self.err
        assert not self.out
        return self.err.strip()


class Running:
    """A `sokkuri` that was started. `limit` is the largest file that it may write, in bytes: its disk is full then.

    `terminal` is the device that stands in for a person's terminal; without it what is written goes into files.
    """

    def __init__(self, *arguments: str | Path, limit: int | None = None, terminal: str | None = None) -> None:
        self._folder = TemporaryDirectory()
        self._out, self._err = (Path(self._folder.name) / name for name in ("out", "err"))
        streams = (str(self._out), terminal or str(self._err))
        self._process: ForkServerProcess = _FORKING.Process(target=_work, args=(arguments, streams, limit))
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process.pid
        if self.alive:
            os.kill(self._process.pid, number)

    def wait(self) -> Done:
        """Wait until it has ended."""
        self._process.join(SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
        texts = [file.read_text(encoding="utf-8") if file.exists() else "" for file in (self._out, self._err)]
        done = Done(self._process.exitcode, *texts)
        self._process.close()
        self._folder.cleanup()
        assert done.code is not None, "it hung"
        return done


def sokkuri(*arguments: str | Path, limit: int | None = None) -> Done:
    """Run `sokkuri` with these arguments to its end."""
    return Running(*arguments, limit=limit).wait()


def _work(arguments: tuple[str | Path, ...], streams: tuple[str, str], limit: int | None) -> None:
    """Do in the forked process what the command does: its arguments, its streams, its entry point."""
    for number, name in enumerate(streams, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOCTTY), number)
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = ["sokkuri", *map(str, arguments)]
    from recommender.cli import main

    main()
