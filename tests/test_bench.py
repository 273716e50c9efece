"""The benchmarks run, and their figures keep the names that they are compared by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.collect import Effort, in_peace, killed_and_resumed
from tests.indexer.libraries import library
from tests.indexer.running import sokkuri

pytestmark = pytest.mark.slow


def test_bench_train_measures_what_it_promises(tmp_path: Path) -> None:
    """Cached against naive training, memory on files of two sizes, both recipes on one set of folds, the machine."""
    pictures = library(tmp_path / "pictures", pictures=10)
    file = tmp_path / "figures.json"
    backbone = ("--backbone", "squeezenet1_1", "--weights", "none")
    done = sokkuri("bench", "train", pictures, *backbone, "--quick", "--json", file)
    assert done.code == 0, done.err
    written = json.loads(file.read_text(encoding="utf-8"))
    figures = written["figures"]
    assert written["machine"]["cores"] >= 1
    assert figures["cached_over_naive"] > 1
    assert figures["peak_mb"] >= figures["peak_anonymous_mb"] > 50
    assert figures["first_epoch_after_s"] > 0
    smaller, larger = figures["synthetic"]["smaller"], figures["synthetic"]["larger"]
    assert larger["rows"] == 10 * smaller["rows"]
    for recipe in ("joint", "seed"):
        for space in ("type", "show", "character"):
            row = figures[recipe][space]
            assert 0 <= row["accuracy"] <= 1
            assert row["pictures"] == (50 if space == "type" else 60)  # the last character has no type
    assert "untrained" in figures["notice"]
    assert "untrained" in done.out.splitlines()[0]
    assert "near-duplicates across a naive split" in done.out


def test_bench_collect_measures_what_it_promises(tmp_path: Path) -> None:
    """On a small gallery: faster than half of what the pauses allow, nothing served twice, nothing forbidden asked."""
    effort = Effort(hosts=3, pictures=60, delay=0.1, kills=1)
    peace = in_peace(tmp_path / "peace", effort)
    assert 0.5 < peace["of_politeness_limit"] <= 1
    assert peace["shortest_pause_s"] >= effort.delay
    assert peace["forbidden_requests"] == 0
    assert peace["memory_peak_mb"] > 20
    killed = killed_and_resumed(tmp_path / "killed", effort)
    assert (killed["refetched"], killed["forbidden_requests"]) == (0, 0)
    assert killed["collected"] + killed["interrupted"] == effort.pictures
    assert killed["recovered"] == killed["interrupted"]
