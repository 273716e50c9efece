"""The benchmarks run, and their figures keep the names that they are compared by."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench.collect import Effort, in_peace, killed_and_resumed
from bench.crowd import Pictures
from bench.engine import QUICK as QUICK_ENGINES
from bench.engine import measure_engines
from bench.extrapolation import extrapolate
from bench.imports import measure_imports
from bench.index import LARGE, measure_indexes
from bench.index import Effort as IndexEffort
from bench.reindex import Effort as ReindexEffort
from bench.reindex import measure_reindexing
from bench.report import publish
from bench.serve import Effort as Serving
from bench.serve import measure_serving
from recommender.encoders.torch_encoder import network
from recommender.images import decode
from recommender.settings import Settings
from tests.indexer.libraries import library
from tests.indexer.running import sokkuri

pytestmark = pytest.mark.slow


def test_bench_imports_needs_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a light installation torch is said not to be there, and the rest is measured; anything else is needed."""
    absent = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "torch.py").write_text(absent)
    measured = measure_imports(1)
    assert measured.lines[-1].split() == ["import", "torch", "not", "installed"]
    assert list(measured.figures) == ["nothing", "import web", "sokkuri --help"]
    assert all(figure["seconds"] >= 0 and not figure["torch"] for figure in measured.figures.values())
    (tmp_path / "flask.py").write_text(absent)
    with pytest.raises(ModuleNotFoundError, match="flask"):
        measure_imports(1)


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


def test_bench_serve_measures_what_it_promises(tmp_path: Path) -> None:
    """On a small model: one client, 16 and 200; every figure that is compared has its name, and nothing fails."""
    home = ("--home", tmp_path / "home")
    pictures = library(tmp_path / "pictures", pictures=10)
    backbone = ("--backbone", "squeezenet1_1", "--weights", "none", "--views", "0")
    for command in (("train", pictures, *backbone, *home), ("reindex", pictures, *home)):
        done = sokkuri(*command)
        assert done.code == 0, done.err
    effort = Serving(requests=3, rounds=2, seconds16=2.0, seconds200=2.0, engine_seconds=1.0)
    measured = measure_serving(Settings(home=tmp_path / "home"), effort)
    figures = measured.figures
    assert 0 < figures["p50_ms"] <= figures["p95_ms"]
    assert figures["p50_over_forward"] > 1
    assert 0.1 < figures["throughput16_over_engine"] < 1.5
    assert (figures["errors16"], figures["errors200"]) == (0, 0)
    assert figures["refused200"] > 0
    assert figures["p99_ms_200"] < 60_000
    assert figures["crowd_peak_mb"] >= figures["server_resident_mb"] > 50
    assert set(figures["median_ms"]) == {"wait", "decode", "encode", "search", "rank", "total"}
    publish(measured, tmp_path / "figures.json")


def test_no_picture_of_the_crowd_is_posted_twice() -> None:
    """Each is a JPEG of its own digest that is read like any other, so that nothing remembered can flatter a server."""
    pictures = Pictures()
    made = [decode(pictures.next()) for _ in range(30)]
    assert len({one.id for one in made}) == 30
    assert {(one.width, one.height, one.format) for one in made} == {(1000, 1000, "JPEG")}
    assert not np.array_equal(made[0].pixels, made[1].pixels)


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


def test_bench_reindex_measures_what_it_promises(tmp_path: Path) -> None:
    """On few pictures: every figure that is compared has its name, and no kill loses, repeats or interrupts a thing."""
    effort = ReindexEffort(pictures=120, repeats=1, jpegs=40, kills=3, kept=30, backbone=("squeezenet1_1", "none"))
    measured = measure_reindexing(effort)
    figures = measured.figures
    assert figures["kills"] == 3
    assert (figures["failed_queries"], figures["lost_embeddings"], figures["repeated_embeddings"]) == (0, 0, 0)
    assert figures["answered_queries"] > 0
    assert figures["findings"] == 0
    assert all(figures[name] > 0 for name in ("unchanged_100k_s", "one_changed_100k_s", "over_engine"))
    publish(measured, tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["machine"]["cores"] >= 1


def test_bench_engine_measures_what_it_promises(tmp_path: Path) -> None:
    """On a small network: the figures that are compared have their names, and precisions that are missing are told."""
    effort = replace(QUICK_ENGINES, backbone="squeezenet1_1", size=64, singles=2, side=256)
    probed = library(tmp_path / "library", shows=1, characters=3, pictures=4)
    measured = measure_engines("none", 1, effort, probed)
    figures = measured.figures
    assert figures["probed_fidelity_f32"]["pictures"] == 6
    assert figures["probed_fidelity_f32"]["cosine"] > 0.999
    assert {
        "bulk_int8_over_torch_f32",
        "single_int8_over_torch_f32",
        "single_ms_int8",
        "bulk_per_s_int8",
        "fraction_of_int8_peak",
        "fidelity_top1_int8",
        "fidelity_cosine_int8",
        "fidelity_overlap10_int8",
    } <= set(figures)
    assert figures["fidelity_top1_f32"] == 1.0
    assert figures["fidelity_cosine_f32"] > figures["fidelity_cosine_int8"] > 0.9
    assert figures["operations_per_picture"] == _operations("squeezenet1_1", 64)
    assert any("bf16" in line for line in measured.lines)
    assert all(figures[name] > 0 for name in ("float32_peak_per_s", "int8_peak_per_s", "fraction_of_int8_peak"))
    publish(measured, tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["machine"]["versions"]["openvino"]


def test_bench_index_measures_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hundredth of the vectors in the place of a million: every figure that is compared has its name."""
    monkeypatch.setattr("bench.index.LARGE", LARGE // 100)
    effort = IndexEffort(sizes=(LARGE // 100,), queries=20, exact_queries=5, filtered=5, yardstick=0)
    measured = measure_indexes(Settings(home=tmp_path), effort)
    figures = measured.figures
    assert {
        "recall10_1e6",
        "p50_ms_1e6",
        "bytes_per_vector_1e6",
        "build_s_1e6",
        "exact_p50_ms_1e6",
        "filter_recall10_min",
    } <= set(figures)
    assert figures["noisy_drawn_from"] == "synthetic"
    assert figures["recall10_1e6"] == figures["filter_recall10_min"] == 1.0  # so few are searched exactly
    assert 1024 <= figures["bytes_per_vector_1e6"] < 1030
    assert set(figures["clustered_10000"]["filters"]) == {"0.5", "0.05", "0.005", "0.0001"}
    assert all(one["fewest_found"] == 10 for one in figures["noisy_10000"]["filters"].values())


@pytest.mark.slow
def test_ten_million_are_told_one_way_or_the_other(tmp_path: Path) -> None:
    """What inverted files of two sizes come to is extrapolated and said so; a size that is asked for is measured."""
    effort = IndexEffort(sizes=(66_000,), queries=20, exact_queries=5, filtered=5, yardstick=0)
    measured = measure_indexes(Settings(home=tmp_path), effort)
    figures, table = measured.figures["clustered_10000000"], "\n".join(measured.lines)
    assert figures["extrapolated_from"] == [66_000]
    assert "clustered 10,000,000: extrapolated from 66,000, not measured" in table
    known = measured.figures["clustered_66000"]
    assert figures["build_s"] == pytest.approx(10_000_000 / 66_000 * known["build_s"])
    assert 40 < figures["bytes_per_vector"] < known["bytes_per_vector"]
    asked = measure_indexes(Settings(home=tmp_path), replace(effort, sizes=(10_000,), huge=66_000))
    figures = asked.figures["clustered_66000"]
    assert figures["recall10"] > 0.9
    assert figures["exact_p50_ms"] > 0
    assert "extrapolated" not in "\n".join(asked.lines)


def test_two_sizes_tell_how_a_figure_grows() -> None:
    """Through both runs a straight line in logarithms, no steeper than comparing with all; bytes follow the lists."""
    sizes = {
        size: {
            "p50_ms": 0.001 * size**0.6,
            "build_s": 1e-6 * size**1.9,
            "bytes_per_vector": held,
            "mapped_bytes_per_vector": 512.0,
        }
        for size, held in ((100_000, 61.0), (1_000_000, 48 * 1.032 + 2.048))
    }
    found = extrapolate(sizes, 10_000_000, 256)
    assert found["extrapolated_from"] == [100_000, 1_000_000]
    assert found["p50_ms"] == pytest.approx(0.001 * 10_000_000**0.6)
    assert found["build_s"] == pytest.approx(10**1.5 * sizes[1_000_000]["build_s"])
    assert found["bytes_per_vector"] == pytest.approx(48 * (1 + 32 / 10_000_000**0.5) + 2048 / 10_000_000**0.5)
    assert extrapolate({}, 10_000_000, 256) == {}


def _operations(name: str, size: int) -> int:
    """Count two operations for each product in a network's convolutions: places x filters x weights of a filter."""
    model = network(name)
    counts = []

    def count(layer: nn.Module, _: object, maps: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        counts.append(2 * maps.numel() * layer.weight[0].numel())

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        model(torch.zeros(1, 3, size, size))
    return sum(counts)
