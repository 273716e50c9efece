"""How much memory a process holds, as Linux tells it; elsewhere nothing is told and the figures are 0. Megabytes."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recommender.errors import BuildError

EVERY_SECONDS = 0.05


@dataclass
class Watched:
    """What a command printed as JSON, the most that it held, and moment by moment what was its own: no mapped files."""

    report: dict[str, Any]
    peak: float = 0.0
    own: list[float] = field(default_factory=list)

    @property
    def own_peak(self) -> float:
        """The most that was its own."""
        return max(self.own, default=0.0)


def run_watched(command: Sequence[str]) -> Watched:
    """Run a command that prints JSON, and look at its memory until it ends. Raises BuildError where it fails."""
    watched, ended = Watched({}), threading.Event()

    def look(status: Path) -> None:
        while not ended.wait(EVERY_SECONDS):
            try:
                lines = status.read_text(encoding="ascii").splitlines()
            except OSError:
                return
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            if "RssAnon" not in fields:  # the process has ended, and waits to be asked how
                return
            watched.peak = max(watched.peak, int(fields["VmHWM"].split()[0]) / 1000)
            watched.own.append(int(fields["RssAnon"].split()[0]) / 1000)

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watcher = threading.Thread(target=look, args=[Path(f"/proc/{process.pid}/status")])
        watcher.start()
        out, error = process.communicate()
        ended.set()
        watcher.join()
    if process.returncode:
        raise BuildError(f"{' '.join(command[2:5])} ended with {process.returncode}: {error.strip()[-200:]}")
    watched.report = json.loads(out)
    return watched


def resident(pid: int) -> float:
    """Return the resident memory of a process and its children; 0 where it has ended."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process ended meanwhile
        if int(status.parent.name) == pid or int(fields[1]) == pid:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6
