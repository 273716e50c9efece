"""The recipe end to end, on a few drawings: real teachers' networks (with random weights), a real VGG19, one file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from indexer.pretraining import pretrain as recipe
from indexer.pretraining.bundle import write_bundle
from indexer.pretraining.drawings import CHUNK, NOBODY, Arriving, DrawingPlan, arriving
from indexer.pretraining.gallery import Gallery
from indexer.pretraining.patterns import SIDE
from indexer.pretraining.pretrain import Phase, PretrainOptions, pretrain
from indexer.training.bundled import Bundled
from indexer.training.device import Device
from recommender.bundled import CARD, WEIGHTS
from recommender.encoders.pooled import LAYER
from recommender.encoders.torch_encoder import network
from recommender.errors import BuildError, ModelError
from tests.indexer.disks import full_disk

pytestmark = pytest.mark.slow

PLAN = DrawingPlan(styles=2, people=2, shots=4, patterns=4)
OPTIONS = PretrainOptions(PLAN, (Phase(32, 4, "lower"), Phase(32, 4), Phase(48, 4, "upper")), batch=4)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the state dict of a teacher of each kind; of the large one as much as is asked."""
    folder = tmp_path_factory.mktemp("teachers")
    import torchvision

    for name in ("squeezenet1_0", "mobilenet_v2"):
        torch.manual_seed(1)
        torch.save(torchvision.models.get_model(name, weights=None).state_dict(), folder / f"{name}_random.pth")
    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["E"])[:18].state_dict()
    torch.save({f"features.{name}": tensor for name, tensor in features.items()}, folder / "vgg19_random.pth")
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw the plan once."""
    work = tmp_path_factory.mktemp("work")
    _pixels(work / "drawings", PLAN)
    return work


def _pixels(folder: Path, plan: DrawingPlan) -> NDArray[np.uint8]:
    """Draw all and return it, in the order of the plan."""
    found = np.zeros((len(plan), 3, SIDE, SIDE), dtype=np.uint8)
    with arriving(folder, plan) as coming:
        while (chunk := coming.next(wait=True)) is not None:
            found[chunk.first : chunk.first + len(chunk.pixels)] = chunk.pixels
    return found


def _work(tmp_path: Path, drawn: Path) -> Path:
    """Return a work folder that has the drawings already."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "drawings").symlink_to(drawn / "drawings")
    return work


def test_drawings_are_those_of_the_plan(drawn: Path, tmp_path: Path) -> None:
    """Everybody is drawn as often as planned, with patterns in between; drawn again elsewhere they are the same."""
    labels, found = PLAN.labels(), _pixels(drawn / "drawings", PLAN)
    somebody = labels.identity != NOBODY
    assert len(PLAN) == len(labels.identity) == 20
    assert np.bincount(labels.identity[somebody]).tolist() == [4, 4, 4, 4]
    assert somebody.reshape(4, 5).sum(axis=1).tolist() == [4, 4, 4, 4]
    assert (labels.style[somebody] == labels.identity[somebody] % 2).all()
    assert (labels.style[~somebody] == NOBODY).all()
    assert (_pixels(tmp_path / "again", PLAN) == found).all()
    assert len(np.unique(found.reshape(20, -1), axis=0)) == 20


def test_who_is_judged_by_one_drawing_is_learnt_from_others() -> None:
    """A drawing that is kept back shows somebody of whom there are others; one person in four has such a drawing."""
    plan = DrawingPlan(styles=10, people=4, shots=3, patterns=7)
    labels = plan.labels()
    judged = labels.identity[labels.judged]
    assert len(judged) == len(set(judged.tolist())) == 10
    assert NOBODY not in judged
    assert set(judged.tolist()) <= set(labels.identity[~labels.judged].tolist())
    assert not DrawingPlan(styles=10, people=4, shots=1, patterns=7).labels().judged.any()


def test_missing_chunks_are_drawn_again(tmp_path: Path) -> None:
    """An interrupted run draws what is missing and nothing twice; another plan is refused."""
    plan = DrawingPlan(styles=2, people=1, shots=1, patterns=CHUNK)
    before = _pixels(tmp_path, plan)
    kept = (tmp_path / "00000.npy").stat().st_mtime_ns
    (tmp_path / "00001.npy").unlink()
    after = _pixels(tmp_path, plan)
    assert before.any(axis=(1, 2, 3)).all()
    assert (before == after).all()
    assert (tmp_path / "00000.npy").stat().st_mtime_ns == kept
    with pytest.raises(BuildError, match="another plan"), arriving(tmp_path, replace(plan, seed=1)):
        pass


def test_learning_starts_before_all_is_drawn(teachers: Path, tmp_path: Path) -> None:
    """With a share to start at, views are of what there is; the card says how many drawings there were in the end."""
    plan = DrawingPlan(styles=2, people=2, shots=CHUNK, patterns=0)
    options = replace(OPTIONS, plan=plan, phases=(Phase(32, 8),), start_at=0.2, minutes=0.02)
    seen: list[int] = []
    done = pretrain(tmp_path, teachers, options, lambda student: seen.append(student.facts["views"]))
    assert done.facts["drawings"]["in_all"] >= CHUNK
    assert seen == [done.facts["views"]]
    assert done.facts["hours"] * 60 < 1


def test_an_interrupted_training_comes_to_the_same(
    drawn: Path, teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after its second step and started again, it ends with the weights of an unbroken one."""
    unbroken = pretrain(_work(tmp_path, drawn), teachers, OPTIONS)
    again = tmp_path / "again"
    again.mkdir()
    work = _work(again, drawn)
    monkeypatch.setattr(recipe, "SAVED_EVERY", 0.0)

    def stop(done: int, _total: int, _note: str = "") -> None:
        if done >= 12:
            raise KeyboardInterrupt

    class Stopping:
        def __enter__(self) -> object:
            return stop

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "progress", lambda *_: Stopping())
        with pytest.raises(KeyboardInterrupt):
            pretrain(work, teachers, OPTIONS)
    resumed = pretrain(work, teachers, OPTIONS)
    assert resumed.facts["views"] == 12
    for name, tensor in unbroken.student.state_dict().items():
        torch.testing.assert_close(resumed.student.state_dict()[name], tensor, rtol=0, atol=1e-6, msg=name)


def test_the_bundle_is_what_train_loads(drawn: Path, teachers: Path, tmp_path: Path) -> None:
    """Weights in float16 and a card: together they make a VGG19 with a light top that sees what the student saw."""
    done = pretrain(_work(tmp_path, drawn), teachers, replace(OPTIONS, phases=(Phase(32, 8),)))
    bundle = write_bundle(tmp_path / "bundle", done, 48)
    assert bundle.card["bytes"] < 60_000_000
    assert {tensor.dtype for tensor in load_file(tmp_path / "bundle" / WEIGHTS).values()} == {torch.float16}
    card = json.loads((tmp_path / "bundle" / CARD).read_text())
    assert card["teachers"] == ["vgg19_random", "squeezenet1_0_random", "mobilenet_v2_random"]
    assert card["drawings"]["in_all"] == 20
    found = Bundled.read(tmp_path / "bundle")
    assert found.preprocessing.size == 48
    shipped = network("vgg19", LAYER)
    shipped.load_state_dict(found.state)
    pictures = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        seen, expected = shipped(pictures), done.student(pictures).embedding
    torch.testing.assert_close(seen, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_drawings_without_memory_for_them_are_told() -> None:
    """A plan of ten million drawings is refused before one is drawn, with the memory that it takes."""
    plan = DrawingPlan(styles=2, people=2, shots=2_500_000, patterns=0)
    with pytest.raises(BuildError, match=r"10,000,000 drawings take 1505 GB"):
        Gallery(plan, Arriving(Queue(), 0), Device.found())


def test_a_folder_without_teachers_is_told(drawn: Path, tmp_path: Path) -> None:
    """The line names the folder and the files that it looked for."""
    with pytest.raises(ModelError, match=r"squeezenet1_0_\*\.pth"):
        pretrain(_work(tmp_path, drawn), tmp_path, OPTIONS)


def test_a_half_without_a_teacher_is_told(drawn: Path, teachers: Path, tmp_path: Path) -> None:
    """The lower half alone learns from a VGG19 only: without one, the line says which teacher is missing."""
    (tmp_path / "few").mkdir()
    (tmp_path / "few/squeezenet1_0_random.pth").symlink_to(teachers / "squeezenet1_0_random.pth")
    with pytest.raises(ModelError, match=r"the lower half: vgg19_\*\.pth"):
        pretrain(_work(tmp_path, drawn), tmp_path / "few", OPTIONS)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """One line, and no half a chunk."""
    with full_disk(50_000), pytest.raises(BuildError, match="make room"):
        _pixels(tmp_path, DrawingPlan(styles=2, people=1, shots=2, patterns=0))
    assert not list(tmp_path.glob("*.npy"))
