"""How long it takes, and how much memory, until the light parts are there: `import web` and `sokkuri --help`."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from textwrap import indent
from typing import Any

from bench.report import Figures

TORCH = "import torch"
PROBES = {
    "nothing": "",
    "import web": "import web",
    "sokkuri --help": (
        "import contextlib, io\nfrom recommender.cli import group\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n    group.main(['--help'], standalone_mode=False)"
    ),
    TORCH: TORCH,
}
MEASURE = """
import json, resource, sys, time
started = time.perf_counter()
try:
{code}
except ModuleNotFoundError as error:
    print(json.dumps({{"missing": error.name}}))
    sys.exit()
seconds = time.perf_counter() - started
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps({{"seconds": seconds, "mb": memory, "torch": "torch" in sys.modules}}))
"""


def measure_imports(times: int) -> Figures:
    """Run each probe in fresh processes and return the medians; the first run, with a cold disk cache, is dropped.

    Torch is only there to compare with: a light installation, which has none, is measured without.
    Raises ModuleNotFoundError for anything else that is missing.
    """
    figures: dict[str, Any] = {}
    lines = [f"{'':<16} {'seconds':>8} {'MB':>6}  torch"]
    for name, code in PROBES.items():
        try:
            runs = [_run(code) for _ in range(1 + times)][1:]
        except ModuleNotFoundError as error:
            if error.name != "torch" or code != TORCH:
                raise
            lines.append(f"{name:<16} not installed")
            continue
        figure = {
            "seconds": median(run["seconds"] for run in runs),
            "mb": median(run["mb"] for run in runs),
            "torch": any(run["torch"] for run in runs),
        }
        figures[name] = figure
        lines.append(f"{name:<16} {figure['seconds']:>8.3f} {figure['mb']:>6.0f}  {'yes' if figure['torch'] else 'no'}")
    return Figures(figures, tuple(lines))


def _run(code: str) -> dict[str, Any]:
    """Run a probe in a process of its own. Raises ModuleNotFoundError for what is not installed."""
    script = MEASURE.format(code=indent(code or "pass", "    "))
    finished = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(finished.stdout)
    if missing := result.get("missing"):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
    return result
