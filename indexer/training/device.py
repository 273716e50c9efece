"""What a network is trained on: a processor or a graphics card, the precision in which it computes, its free memory.

Not here: which network, and what is done when memory is short (`layers`).
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch


@dataclass(frozen=True, slots=True)
class Device:
    """What computes, and in which precision. Weights, losses and steps are float32 always."""

    kind: Literal["cpu", "cuda"]
    precision: torch.dtype
    name: str

    @classmethod
    def found(cls) -> Self:
        """Choose the graphics card where there is one, and half the bits where the hardware computes with them.

        A processor without bfloat16 of its own takes longer for it than for float32 (github.com/pytorch/pytorch,
        issue 118499). `torch.ops.mkldnn._is_mkldnn_bf16_supported` says yes to any AVX-512, so it is not asked.
        """
        if torch.cuda.is_available():
            native = torch.cuda.is_bf16_supported(including_emulation=False)
            return cls("cuda", torch.bfloat16 if native else torch.float16, torch.cuda.get_device_name())
        # Older releases of torch cannot tell: float32 is right everywhere.
        can = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        native = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
        fast = native and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch leaves it so
        return cls("cpu", torch.bfloat16 if fast else torch.float32, str(can.get("cpu_name", "the CPU")))

    @property
    def describe(self) -> str:
        """A few words for the log: `NVIDIA H100 80GB HBM3 in bfloat16`."""
        return f"{self.name} in {str(self.precision).removeprefix('torch.')}"

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the device's precision where that does no harm."""
        return nullcontext() if self.precision is torch.float32 else torch.autocast(self.kind, self.precision)

    def free_memory(self) -> float:
        """Return how many bytes can still be had; infinitely many where nobody tells."""
        if self.kind == "cuda":
            return float(torch.cuda.mem_get_info()[0])
        with suppress(OSError):
            for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
                if line.startswith("MemAvailable:"):
                    return 1024.0 * int(line.split()[1])
        return math.inf
