"""`indexer.training.device`: the hardware that there is decides where and in which precision is computed."""

from __future__ import annotations

import pytest
import torch

from indexer.training.device import Device


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx2": True}, torch.float32),
        ({"avx512_f": True, "avx512_bw": True, "avx512_bf16": False}, torch.float32),
        ({"avx512_f": True, "avx512_bf16": True, "cpu_name": "Zen"}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ],
)
def test_a_processor_computes_in_bfloat16_only_if_it_can(
    capabilities: dict[str, object], precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVX-512 alone does not do; the choice is told in words."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    device = Device.found()
    assert (device.kind, device.precision) == ("cpu", precision)
    assert device.describe == f"{capabilities.get('cpu_name', 'the CPU')} in {str(precision).split('.')[1]}"
    assert device.free_memory() > 1e6
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert Device.found().precision is torch.float32


@pytest.mark.parametrize(("native", "precision"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_graphics_card_is_used_where_there_is_one(
    native: bool, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 where the card computes with it, else in float16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GeForce")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (7, 8))
    device = Device.found()
    assert (device.kind, device.precision, device.name) == ("cuda", precision, "GeForce")
    assert device.free_memory() == 7.0
