"""What the processor can do beyond the ordinary: the instructions that decide how fast and how exactly networks run.

Not here: which engine needs which of them (`recommender.exports`).
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists a processor's flags; on other systems nothing is known, so nothing is promised."""
TELLING = frozenset(
    {
        *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
        *("asimd", "asimddp", "bf16", "i8mm"),
    }
)
"""Flags, as Linux calls them, that tell one kind of processor from another: those of x86, then those of ARM."""
INT8_PRODUCTS = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp"})
"""With any of these, products of 8-bit numbers are summed in 32 bits. Without them x86 sums pairs in 16 bits, which
overflow (oneDNN developer guide, "Nuances of int8 computations")."""
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""With any of these the processor computes with bfloat16 itself."""


def instructions(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Return which of the telling flags this processor has."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        title, _, flags = line.partition(":")
        if title.strip() in ("flags", "Features"):
            return TELLING & set(flags.split())
    return frozenset()


def kind() -> str:
    """Return a word for this kind of processor: on two of one kind, figures may be compared and networks agree."""
    return " ".join([platform.machine(), *sorted(instructions())])


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
