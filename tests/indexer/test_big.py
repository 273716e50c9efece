"""A full-size VGG19, 139.6 million random weights of it, through the commands from training to an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.modelfolder import ModelFolder
from tests.indexer.libraries import library
from tests.indexer.running import sokkuri

pytestmark = pytest.mark.big


def test_vgg19_with_random_weights_works_end_to_end(tmp_path: Path) -> None:
    """4096 numbers a picture, labels and look-alikes from one model, and `untrained` said wherever a result is."""
    root, home = library(tmp_path / "library", shows=2, pictures=3), tmp_path / "home"
    trained = sokkuri("train", root, "--weights", "none", "--views", "0", "--home", home)
    assert trained.code == 0, trained.err
    assert "! This model is untrained" in trained.err
    assert "newly embedded: 12 pictures and views of the library, and 40 " in trained.out
    model = ModelFolder.open(home / "models" / "vgg19-1")
    assert model.space.dimension == 4096
    assert model.untrained
    assert {name: rows.shape for name, rows in model.heads().weights.items()} == {
        "type": (3, 4096),
        "character": (4, 4096),
        "show": (2, 4096),
    }
    report = sokkuri("reindex", root, "--home", home, "--json").answer
    assert (report["pictures"], report["embedded"]) == (12, 0)
    file = root / "show-1/hero-0/2.png"
    answer = sokkuri("ask", file, "--home", home, "--json").answer
    assert answer["model"]["name"] == "vgg19-1"
    assert answer["model"]["backbone"] == "vgg19"
    assert "untrained" in answer["model"]["notice"]
    assert len(answer["similar_pictures"]) == 5
    assert len(answer["labels"]["character"]) == 4
    assert sum(row["probability"] for row in answer["labels"]["show"]) == pytest.approx(1, abs=1e-3)
