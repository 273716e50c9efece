"""What every benchmark ends with: a table for people, a file for programs, and the machine that it was measured on."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

PACKAGES = ("sokkuri", "torch", "torchvision", "openvino", "nncf", "faiss-cpu", "hnswlib", "numpy", "pillow")


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one benchmark by name, and the lines of its table."""

    figures: dict[str, Any]
    lines: tuple[str, ...]


def publish(measured: Figures, file: Path | None) -> None:
    """Print the table on stdout and, where a file is named, write machine and figures to it as JSON."""
    described = machine()
    click.echo("\n".join(measured.lines))
    click.echo(f"on {described['processor']}, {described['cores']} cores, Python {described['python']}")
    if file:
        text = json.dumps({"machine": described, "figures": measured.figures}, indent=1, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, system, versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    """Return the processor's own name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
