"""`recommender.processor`: what a processor can do, as the system tells it."""

from __future__ import annotations

from pathlib import Path

from recommender import processor
from recommender.processor import BFLOAT16, INT8_PRODUCTS, TELLING, instructions, kind


def test_flags_are_read_as_linux_lists_them(tmp_path: Path) -> None:
    """On x86 they are called flags, on ARM features; those that tell nothing are left out."""
    file = tmp_path / "cpuinfo"
    file.write_text("model name\t: Some Processor\nflags\t\t: fpu avx2 avx512_vnni sse2\n", encoding="utf-8")
    assert instructions(file) == {"avx2", "avx512_vnni"}
    file.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp bf16\n", encoding="utf-8")
    assert instructions(file) == {"asimd", "asimddp", "bf16"}


def test_where_nothing_is_told_nothing_is_promised(tmp_path: Path) -> None:
    """Without the file, or without the line, there are no instructions."""
    assert instructions(tmp_path / "none") == frozenset()
    (tmp_path / "cpuinfo").write_text("avx2 everywhere\n", encoding="utf-8")
    assert instructions(tmp_path / "cpuinfo") == frozenset()


def test_what_is_asked_for_is_told() -> None:
    """Each flag that decides anything is among those that are looked for."""
    assert INT8_PRODUCTS | BFLOAT16 <= TELLING


def test_a_kind_is_its_flags() -> None:
    """Two processors with other instructions are of two kinds."""
    mine = kind()
    assert all(flag in mine.split() for flag in processor.instructions())
