"""`indexer.training.checkpoint`: what was saved last is there, whole, and for the training that it belongs to alone."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from indexer.training.checkpoint import KEY, Checkpoint, Run
from recommender.errors import BuildError
from tests.indexer.disks import full_disk

TENSORS = {
    "weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "turned": torch.arange(6, dtype=torch.float64).reshape(2, 3).T,
    "count": torch.tensor(7),
    "none": torch.zeros((0, 5)),
}
STATE = {"epoch": 3, "history": [{"loss": 0.1 + 0.2, "name": "そっくり"}], "best": None}
_FORKING = multiprocessing.get_context("forkserver")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """Return a checkpoint in a folder that is not there yet."""
    return Checkpoint(tmp_path / "run" / "heads.safetensors", "options and pictures")


def _require(checkpoint: Checkpoint, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Require that this is what the checkpoint holds, bit for bit."""
    loaded = checkpoint.load()
    assert loaded
    found, said = loaded
    assert said == state
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_before_the_first_there_is_none(checkpoint: Checkpoint) -> None:
    """Nothing saved is nothing to go on with, and no error; looking for it makes no folder."""
    assert checkpoint.load() is None
    assert not checkpoint.file.parent.exists()


def test_what_was_saved_comes_back(checkpoint: Checkpoint) -> None:
    """Tensors of any kind and order in memory, and what stands beside them, are the same; the last saving counts."""
    checkpoint.save({"weight": torch.ones(3)}, {"epoch": 1})
    checkpoint.save(TENSORS, STATE)
    _require(checkpoint, TENSORS, STATE)
    assert [file.name for file in checkpoint.file.parent.iterdir()] == ["heads.safetensors"]


def test_what_was_loaded_can_be_changed(checkpoint: Checkpoint) -> None:
    """Training on with the loaded tensors changes neither the file nor what is loaded from it next."""
    checkpoint.save(TENSORS, STATE)
    loaded = checkpoint.load()
    assert loaded
    loaded[0]["weight"].fill_(9)
    checkpoint.save(loaded[0], STATE)
    _require(checkpoint, {**TENSORS, "weight": torch.full((3, 4), 9.0)}, STATE)


@pytest.mark.parametrize("purpose", ["other options", "", "options and pictures "])
def test_the_checkpoint_of_another_training_is_refused(checkpoint: Checkpoint, purpose: str) -> None:
    """One line says what to do; the file stays for whoever it belongs to."""
    checkpoint.save(TENSORS, STATE)
    with pytest.raises(BuildError, match=r"other options or another library: repeat its options, or run without --res"):
        Checkpoint(checkpoint.file, purpose).load()
    _require(checkpoint, TENSORS, STATE)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_a_checkpoint_that_was_cut_is_refused(checkpoint: Checkpoint, length: int) -> None:
    """A file that lost its end is named as damaged, with what to do, in one line."""
    checkpoint.save(TENSORS, STATE)
    checkpoint.file.write_bytes(checkpoint.file.read_bytes()[:length])
    with pytest.raises(BuildError, match=r"heads\.safetensors is damaged: run it again without --resume") as caught:
        checkpoint.load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "header", [None, {}, {KEY: ""}, {KEY: "{"}, {KEY: "[]"}, {KEY: "7"}, {KEY: "{}"}, {"other": "{}"}]
)
def test_a_file_that_is_no_checkpoint_is_refused(checkpoint: Checkpoint, header: dict[str, str] | None) -> None:
    """A safetensors file without the state of a training, or anything else by that name, is named as damaged."""
    checkpoint.file.parent.mkdir()
    save_file(TENSORS | {"turned": torch.zeros(2)}, checkpoint.file, header)
    with pytest.raises(BuildError, match="is damaged"):
        checkpoint.load()
    checkpoint.file.write_bytes(json.dumps(header).encode() * 20)
    with pytest.raises(BuildError, match="is damaged"):
        checkpoint.load()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be is named in one line, with what to do."""
    (tmp_path / "run").write_text("x")
    with pytest.raises(BuildError, match=r"heads\.safetensors cannot be written \(File exists\): make room"):
        Checkpoint(tmp_path / "run" / "heads.safetensors", "x").save(TENSORS, STATE)


def test_a_full_disk_is_one_line_and_leaves_the_one_before(checkpoint: Checkpoint) -> None:
    """What did not fit is told with what to do, and the training can go on from where it was saved last."""
    checkpoint.save(TENSORS, STATE)
    with (
        pytest.raises(
            BuildError, match=r"heads\.safetensors cannot be written .*: make room and run it with --resume"
        ) as caught,
        full_disk(1000),
    ):
        checkpoint.save({"weight": torch.zeros(1000)}, STATE)
    assert "\n" not in str(caught.value)
    _require(checkpoint, TENSORS, STATE)
    checkpoint.save({"weight": torch.zeros(1000)}, STATE)
    _require(checkpoint, {"weight": torch.zeros(1000)}, STATE)


def _save_for_ever(checkpoint: Checkpoint) -> NoReturn:
    """Save numbered states until the process is killed."""
    number = 0
    while True:
        number += 1
        checkpoint.save({"number": torch.full((50_000,), float(number))}, {"number": number})


@pytest.mark.slow
def test_kill_9_leaves_a_whole_checkpoint(checkpoint: Checkpoint) -> None:
    """Killed at any moment of saving, what is there is one saving, whole, and it can be written over."""
    moments = np.random.default_rng(0)
    for _ in range(3):
        checkpoint.file.unlink(missing_ok=True)
        process = _FORKING.Process(target=_save_for_ever, args=(checkpoint,))
        process.start()
        deadline = time.monotonic() + 60
        while not checkpoint.file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        loaded = checkpoint.load()
        assert loaded
        tensors, state = loaded
        assert (tensors["number"] == state["number"]).all()
    checkpoint.save(TENSORS, STATE)
    _require(checkpoint, TENSORS, STATE)


def test_a_run_keeps_its_stages_apart(tmp_path: Path) -> None:
    """Each stage has a file of its own, which another stage does not take for its own either."""
    run = Run.of(tmp_path / "run", options=1)
    before = run.begun
    run.checkpoint("one").save(TENSORS, STATE)
    assert (before, run.begun) == (False, True)
    assert run.checkpoint("two").load() is None
    _require(run.checkpoint("one"), TENSORS, STATE)
    run.checkpoint("one").file.rename(run.checkpoint("two").file)
    with pytest.raises(BuildError, match="other options"):
        run.checkpoint("two").load()


def test_a_forgotten_run_never_began(tmp_path: Path) -> None:
    """After it is done, or before it begins anew, nothing of it is left; forgetting twice is no error."""
    run = Run.of(tmp_path / "runs" / "one", options=1)
    other = Run.of(tmp_path / "runs" / "other", options=1)
    for each in (run, other):
        each.checkpoint("heads").save(TENSORS, STATE)
    run.forget()
    run.forget()
    assert not run.begun
    assert run.checkpoint("heads").load() is None
    assert other.begun


def test_all_that_a_result_depends_on_names_a_run(tmp_path: Path) -> None:
    """The same things in another order are the same run; a changed option, picture or order of pictures is not."""

    def purpose(**everything: Any) -> str:
        return Run.of(tmp_path, **everything).purpose

    expected = purpose(options={"seed": 1, "epochs": 5}, pictures=[["a", "x"], ["b", None]])
    assert purpose(pictures=[("a", "x"), ("b", None)], options={"epochs": 5, "seed": 1}) == expected
    others = [
        purpose(options={"seed": 2, "epochs": 5}, pictures=[["a", "x"], ["b", None]]),
        purpose(options={"seed": 1, "epochs": 5}, pictures=[["b", None], ["a", "x"]]),
        purpose(options={"seed": 1, "epochs": 5}, pictures=[["a", "y"], ["b", None]]),
        purpose(options={"seed": 1, "epochs": 5}, pictures=[["a", "x"]]),
    ]
    assert len({expected, *others}) == 5
