"""`indexer.export`: from a trained model to an export, to a snapshot made with it, to an answer; or to one line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.exporting import describe
from indexer import export as job
from indexer import exporting, fidelity, racing
from indexer.conversion import converted, sensitive_layers
from indexer.embed import EmbeddingTable
from indexer.export import ExportReport, export
from indexer.library import scan
from indexer.reindex import ReindexOptions, reindex
from indexer.rollback import rollback
from indexer.samples import numbers_of
from indexer.verify import verify
from indexer.workplace import workplace
from recommender import exports
from recommender.calibration import Calibration
from recommender.catalogue import ModelRow
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.encoders.torch_encoder import TorchBackbone, network
from recommender.errors import (
    BadLibrary,
    BuildError,
    Corrupt,
    EngineMissing,
    ExportUnusable,
    FidelityTooLow,
    NotFound,
    SokkuriError,
)
from recommender.exports import Export, installed
from recommender.heads import SPACES, Heads
from recommender.images import Preprocessing, decode
from recommender.modelfolder import ModelFolder, NewModel, TrainedPictures, write_model
from recommender.publication import Publication
from recommender.service import Recommender
from recommender.settings import Settings
from recommender.types import DecodedImage, Matrix
from tests.indexer.libraries import library
from tests.indexer.powercut import Disk
from tests.indexer.running import sokkuri

pytestmark = pytest.mark.slow

CREATED = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class World:
    """A home with a small model, and the library that it was trained on."""

    settings: Settings
    root: Path

    @property
    def model(self) -> ModelFolder:
        """The model."""
        return ModelFolder.open(self.settings.home / "models" / "small")

    def export(self, precision: str = "f32", name: str | None = None) -> ExportReport:
        """Export the model in use, or the one that is named."""
        with workplace(self.settings, "test") as catalogue:
            return export(self.settings, catalogue, name, precision)

    def reindex(self, engine: str) -> str:
        """Publish a snapshot with an engine, and return what it was made with."""
        settings = replace(self.settings, engine=engine)
        with workplace(settings, "test") as catalogue:
            return reindex(settings, catalogue, self.root).engine

    @contextmanager
    def served(self) -> Iterator[Recommender]:
        """Open what is published, as a server does."""
        publication = Publication(self.settings)
        try:
            publication.refresh()
            yield publication.current()
        finally:
            publication.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a library, and a model of it whose heads are the mean embeddings of the characters."""
    folder = tmp_path_factory.mktemp("world")
    world = World(Settings(home=folder / "home", threads=1), library(folder / "library", shows=2))
    pictures: list[DecodedImage] = []
    found = scan(world.root, visit=lambda _, image: pictures.append(image))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = TorchBackbone.of_network("squeezenet1_1", network("squeezenet1_1"), Preprocessing(size=64), 1)
    vectors = backbone.space.embed(backbone.features(pictures))
    numbers = numbers_of(found.hierarchy, found.entries)
    means = np.stack([vectors[numbers == number].mean(axis=0) for number in range(len(found.hierarchy.characters))])
    tensors = {
        f"{name}.{part}": np.zeros((len(space), *shape), np.float32)
        for name, space in zip(SPACES, found.hierarchy.spaces, strict=True)
        for part, shape in (("weight", (means.shape[1],)), ("bias", ()))
    }
    tensors["character.weight"] = (1e4 * (means - means.mean(axis=0))).astype(np.float32)
    part = np.arange(len(pictures)) % 2
    new_model = NewModel(
        space=backbone.space,
        preprocessing=backbone.preprocessing,
        heads=Heads.from_tensors(found.hierarchy, tensors),
        calibration=Calibration(),
        weights={"untrained": True, "notice": "untrained"},
        pictures=TrainedPictures(tuple(entry.id for entry in found.entries), part, np.full(len(part), -1)),
        facts={"training": {"library": str(world.root)}},
    )
    with workplace(world.settings, "test") as catalogue:
        model = write_model(world.settings.home / "models" / "small", new_model, backbone.save)
        row = ModelRow("small", "squeezenet1_1", model.digest, model.space.fingerprint, CREATED)
        catalogue.add_model(row, use=True)
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """Return a copy of the world that a test may change."""
    shutil.copytree(made.settings.home, tmp_path / "home")
    return World(replace(made.settings, home=tmp_path / "home"), made.root)


def refusal(call: Callable[[], object], kind: type[SokkuriError]) -> str:
    """Return the one line with which something is refused."""
    with pytest.raises(kind) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_an_export_says_how_true_and_how_fast_it_is(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """In float32 nothing changes but rounding; the model's own files stay as they were; results alone go to stdout."""
    before = {file.name: file.read_bytes() for file in world.model.path.iterdir()}
    report = world.export()
    manifest = report.export.manifest
    assert report.made
    assert (manifest["fidelity"]["pictures"], manifest["fidelity"]["gallery"]) == (21, 11)
    assert set(manifest["fidelity"]["agreement"].values()) == {1.0}
    assert manifest["fidelity"]["cosine"] == pytest.approx(1, abs=1e-5)
    assert manifest["speed"]["openvino"]["single_ms"] > 0
    assert manifest["kept"] == []
    assert sorted(manifest["files"]) == ["network.bin", "network.xml"]
    assert "same best label" in report.to_text()
    assert {file.name: file.read_bytes() for file in world.model.path.iterdir() if file.is_file()} == before
    assert capsys.readouterr().out == ""


def test_an_export_that_is_there_stays(world: World) -> None:
    """A snapshot may have been made with it: asked again, nothing is made; a damaged one is made anew."""
    first = world.export().export
    again = world.export()
    assert not again.made
    assert again.export == first
    (first.path / "network.bin").write_bytes(b"")
    assert world.export().made
    assert Export.open(world.model, "f32").space.precision == "openvino-f32"


@pytest.fixture
def no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let eight bits of a network with random weights pass, which change answers: only speeds matter here."""
    for bound in ("LEAST_AGREEMENT", "LEAST_COSINE", "LEAST_OVERLAP"):
        monkeypatch.setattr(fidelity, bound, 0.0)
    monkeypatch.setattr(fidelity, "MOST_LOST", 100.0)


@pytest.mark.usefixtures("no_gate")
def test_all_exports_are_measured_in_one_race(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new export has those measured anew that are there; `again` does so too, and changes nothing but the speed."""
    first = world.export().export
    manifest = first.path / "export.json"
    manifest.write_text(json.dumps(first.manifest | {"speed": {"bulk_over_torch": 1e6, "single_over_torch": 1e6}}))
    made = world.export("int8").export
    both = [Export.open(world.model, precision).manifest for precision in ("f32", "int8")]
    assert both[0]["speed"]["torch"] == both[1]["speed"]["torch"]
    assert both[0]["speed"]["measured"] == both[1]["speed"]["measured"]
    assert both[0] | {"speed": None} == first.manifest | {"speed": None}
    monkeypatch.setattr(racing, "now", lambda: "later")
    with workplace(world.settings, "test") as catalogue:
        report = export(world.settings, catalogue, None, "f32", again=True)
    assert (report.made, report.measured) == (False, True)
    assert "measured again" in report.to_text()
    after = [Export.open(world.model, precision).manifest for precision in ("f32", "int8")]
    assert [one["speed"]["measured"] for one in after] == ["later", "later"]
    assert [one | {"speed": None} for one in after] == [one | {"speed": None} for one in both]
    assert Export.open(world.model, "int8").space == made.space
    assert {file.name for file in first.path.iterdir()} == {"export.json", "network.bin", "network.xml"}


def test_a_disturbed_measurement_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that measures again; a quiet one is not."""
    for bound, told in ((-1.0, 1), (1e9, 0)):
        shutil.rmtree(world.model.path / "exports", ignore_errors=True)
        monkeypatch.setattr(racing, "DISTURBED", bound)
        world.export()
        assert capsys.readouterr().err.count("by `sokkuri export small --precision f32 --again`") == told


@pytest.mark.usefixtures("no_gate")
def test_the_report_says_what_the_next_reindex_takes(world: World) -> None:
    """This export, another one, or torch, as `reindex` then does; or one of a model that is not in use."""

    def speed(precision: str, times: float) -> None:
        file = world.model.path / "exports" / precision / "export.json"
        one = {"bulk_over_torch": times, "single_over_torch": times, "openvino": {"bulk_per_second": 100 * times}}
        file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"speed": one}), encoding="utf-8")

    world.export("f32")
    world.export("int8")
    for times, taken, outlooks in (
        ((2.0, 3.0), "openvino-int8", ("uses openvino-int8, which is the fastest one here", "LIBRARY` uses it")),
        ((3.0, 2.0), "openvino-f32", ("LIBRARY` uses it", "uses openvino-f32, which is the fastest one here")),
        ((3.0, 0.5), "openvino-f32", ("LIBRARY` uses it", "--again` measures it again); the next")),
        ((0.5, 0.5), "torch-float32", ("torch-float32, since no export is faster here",) * 2),
    ):
        for precision, one in zip(("f32", "int8"), times, strict=True):
            speed(precision, one)
        reports = [world.export(precision) for precision in ("f32", "int8")]
        for report, outlook in zip(reports, outlooks, strict=True):
            assert outlook in report.to_text().splitlines()[-1]
            assert report.to_json()["reindex_takes"] == taken
        assert world.reindex("auto") == taken
    with workplace(replace(world.settings, engine="torch"), "test") as catalogue:
        told = export(replace(world.settings, engine="torch"), catalogue, None, "f32").to_text()
        assert "uses torch-float32, since SOKKURI_ENGINE=torch" in told
    assert "after `sokkuri use small` uses torch-float32" in replace(reports[0], in_use=False).to_text()


def test_an_export_goes_only_when_there_is_a_better_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of another OpenVINO stays where no new one can be made: going back to that release would serve it."""
    manifest = world.export().export.path / "export.json"
    manifest.write_text(manifest.read_text().replace(installed(), "2019.1.0"))
    kept = manifest.read_bytes()

    def refused(*_: object) -> None:
        raise BuildError("no training picture is there")

    with monkeypatch.context() as patched:
        patched.setattr("indexer.export._rows", refused)
        with pytest.raises(BuildError, match="no training picture"):
            world.export()
    assert manifest.read_bytes() == kept
    assert world.export().made
    assert Export.open(world.model, "f32").manifest["openvino"] == installed()


def test_a_snapshot_remembers_its_engine(world: World) -> None:
    """Reindexing decides; whoever answers follows the snapshot, and tables of two engines are kept apart."""
    assert world.reindex("torch") == "torch-float32"
    with world.served() as recommender:
        assert recommender.encoder.info.engine == "torch-float32"
    space = world.export().export.space
    with world.served() as recommender:
        assert recommender.encoder.info.engine == "torch-float32"
    assert world.reindex("openvino") == "openvino-f32"
    assert {table.fingerprint for table in EmbeddingTable.every(world.settings.home)} == {
        one.unprojected.fingerprint for one in (space, world.model.space)
    }
    with world.served() as recommender:
        assert recommender.encoder.space == space
        file = world.root / "show-0/hero-0/0.png"
        answer = recommender.recommend(file.read_bytes())
        assert answer.model.engine == "openvino-f32"
        row = recommender.snapshot.row(decode(file.read_bytes()).id)
        assert row is not None
        asked = recommender.encoder.encode([decode(file.read_bytes())])[0].embedding.vector
        assert float(asked @ recommender.snapshot.index.vector(row)) == pytest.approx(1, abs=1e-3)


def test_a_running_server_follows_a_snapshot_to_another_engine(world: World) -> None:
    """A publication that has torch open opens the export for a snapshot made with it."""
    world.reindex("torch")
    publication = Publication(world.settings)
    publication.refresh()
    world.export()
    world.reindex("openvino")
    publication.refresh()
    assert publication.current().encoder.info.engine == "openvino-f32"
    publication.close()


def test_a_snapshot_without_its_export_is_one_clear_error(world: World) -> None:
    """Damaged, it is named; gone, the line says to reindex. Torch never steps in."""
    made = world.export().export
    world.reindex("openvino")
    (made.path / "network.bin").write_bytes(b"")

    def serve() -> None:
        with world.served():
            raise AssertionError

    assert "exports/f32/network.bin is damaged" in refusal(serve, Corrupt)
    shutil.rmtree(made.path)
    assert "sokkuri reindex LIBRARY" in refusal(serve, NotFound)


def test_below_the_gate_nothing_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the figure and its bound; no folder is left, and torch goes on."""
    monkeypatch.setattr(fidelity, "LEAST_COSINE", 1.5)
    line = refusal(world.export, FidelityTooLow)
    assert "small is not exported as f32: the mean cosine of the embeddings is 1.0000 (at least 1.5)" in line
    assert list((world.model.path / "exports").iterdir()) == []
    assert world.reindex("auto") == "torch-float32"


def test_eight_bits_are_tried_again_with_sensitive_layers_in_float32(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the whole network loses too much, the first and the last layer are kept; the export says which."""
    attempts = []

    def strict_once(exam: fidelity.Exam, features: Matrix) -> fidelity.Fidelity:
        attempts.append(fidelity.compare(exam, features))
        lost = dict.fromkeys(attempts[-1].agreement, 0.5 if len(attempts) == 1 else 1.0)
        return replace(attempts[-1], agreement=lost, cosine=1.0, overlap=1.0, gained={})

    monkeypatch.setattr(exporting, "compare", strict_once)
    monkeypatch.setattr(exporting, "widened", lambda _exam, figures, *_: figures)
    report = world.export("int8")
    layers = sensitive_layers(converted(TorchBackbone.load(world.model).network, 64))[1]
    assert len(attempts) == len(layers) == 2
    assert report.export.manifest["kept"] == list(layers)
    assert "in float32: " in report.to_text()
    assert attempts[0].cosine > 0.9
    assert attempts[0] != attempts[1]
    assert world.reindex("openvino") == "openvino-int8"


def test_what_a_processor_lacks_is_told_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 without its instructions is refused before any work; an unknown precision too."""
    monkeypatch.setattr(job, "instructions", frozenset)
    assert "does not compute in bf16" in refusal(lambda: world.export("bf16"), ExportUnusable)
    assert "f32, bf16, int8" in refusal(lambda: world.export("f16"), ExportUnusable)


def test_what_is_missing_is_told_before_torch_is_loaded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is gone, an engine that cannot be loaded, a name that is none: each in one line, at once."""
    monkeypatch.setitem(sys.modules, "indexer.exporting", None)
    world.root.rename(world.root.with_name("moved"))
    try:
        assert "does not exist" in refusal(world.export, BadLibrary)
    finally:
        world.root.with_name("moved").rename(world.root)
    for name, told in (("", "name is empty"), ("../small", "'../small'"), ("..", "'..'"), ("../../etc", "'../../etc'")):
        assert told in refusal(partial(world.export, name=name), NotFound)
    with monkeypatch.context() as patched:
        patched.setattr(exports, "find_spec", lambda _: None)
        assert "exporting needs torch, which is not installed" in refusal(world.export, EngineMissing)
    monkeypatch.setitem(sys.modules, "recommender.encoders.openvino_encoder", None)
    assert "openvino cannot be loaded" in refusal(world.export, EngineMissing)


def test_few_validation_pictures_are_told_and_too_few_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training pictures are compared on as well, until the ten nearest are at most half of the others."""
    world.export()
    assert "16 validation pictures are few: 5 training pictures are compared on as well" in capsys.readouterr().err
    monkeypatch.setattr(job, "GALLERY", 4)
    shutil.rmtree(world.model.path / "exports")
    assert "20 pictures of small are too few to tell" in refusal(world.export, BuildError)


def test_neighbours_are_looked_for_among_training_pictures_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that mistakes only what it was not examined on is refused for the neighbours that are found."""
    asked: list[int] = []
    features = OpenVinoBackbone.features

    def forgetful(self: OpenVinoBackbone, images: Sequence[DecodedImage]) -> Matrix:
        rows = features(self, images)
        asked.append(len(images))
        return rows if len(images) == 21 else rows[::-1]

    monkeypatch.setattr(OpenVinoBackbone, "features", forgetful)
    assert "of the 10 nearest among 31 pictures are the same (at least 0.95)" in refusal(world.export, FidelityTooLow)
    assert asked == [21, 11]


def test_an_export_whose_figures_are_gone_stays(world: World) -> None:
    """It runs without them: the report says that they cannot be read, and nothing is a traceback."""
    manifest = world.export().export.path / "export.json"
    whole = json.loads(manifest.read_text(encoding="utf-8"))
    damages: list[dict[str, Any]] = [
        {"fidelity": None},
        {"fidelity": whole["fidelity"] | {"agreement": None}},
        {"fidelity": whole["fidelity"] | {"cosine": 10**400}},
        {"fidelity": whole["fidelity"] | {"gained": [1]}},
        {"kept": 5},
        {"kept": ["\ud800"]},
        {"speed": whole["speed"] | {"torch": None}},
        {"speed": whole["speed"] | {"openvino": {"single_ms": "x"}}},
    ]
    for damage in [*damages, None]:
        fields = whole | damage if damage else {name: whole[name] for name in whole if name not in ("fidelity", "kept")}
        manifest.write_text(json.dumps(fields), encoding="utf-8")
        report = world.export()
        assert not report.made
        assert "does not tell any more what was measured" in report.to_text()
        assert json.dumps(report.to_json(), ensure_ascii=False).encode()
        assert report.to_json()["fidelity"] is None
    manifest.write_text(json.dumps(whole), encoding="utf-8")
    assert world.export().to_json()["fidelity"] == whole["fidelity"]


def test_a_file_in_the_place_of_the_folder_is_named(world: World) -> None:
    """Room would not help."""
    place = world.model.path / "exports"
    place.write_text("mine")
    line = refusal(world.export, BuildError)
    assert "models/small/exports is no folder: move it away" in line
    place.unlink()
    place.mkdir()
    (place / "f32").write_text("mine")
    assert "models/small/exports/f32 is no folder: move it away" in refusal(world.export, BuildError)
    assert (place / "f32").read_text() == "mine"


def test_a_full_disk_is_one_line(world: World) -> None:
    """The network does not fit: OpenVINO's error says nothing of room, the line does; nothing is left."""
    done = sokkuri("export", "small", "--precision", "f32", "--home", world.settings.home, limit=1_000_000)
    assert (done.code, done.out) == (1, "")
    _few_pictures, line = done.err.splitlines()
    assert "the network cannot be written" in line
    assert "make room and run it again" in line
    assert list((world.model.path / "exports").iterdir()) == []


def test_where_nothing_could_answer_nothing_is_published(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without torch and a usable export, though every picture is in torch's table; a dry run says so too."""
    world.reindex("torch")
    made = world.export().export
    world.reindex("openvino")
    (made.path / "network.bin").write_bytes(b"")
    monkeypatch.setattr(exports, "find_spec", lambda _: None)
    with workplace(world.settings, "test") as catalogue:
        before = catalogue.published()
        for options in (ReindexOptions(), ReindexOptions(dry_run=True)):
            line = refusal(partial(reindex, world.settings, catalogue, world.root, options), EngineMissing)
            assert "nothing here can run model small" in line
        assert catalogue.published() == before
        refused = refusal(lambda: rollback(world.settings, catalogue, None), Corrupt)
        assert "no older snapshot is whole" in refused
        assert "is passed over: this model needs torch" in capsys.readouterr().err
        assert catalogue.published() == before


def test_a_change_of_engine_is_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names what answered so far; where nothing changes there is none, nor where the model is another."""
    world.export()
    world.reindex("openvino")
    capsys.readouterr()
    world.reindex("openvino")
    assert "was made with" not in capsys.readouterr().err
    world.reindex("torch")
    told = capsys.readouterr().err
    assert "was made with openvino-f32, and the new one will be with torch-float32" in told
    world.reindex("openvino")
    assert "was made with torch-float32, and the new one will be with openvino-f32" in capsys.readouterr().err
    rebuilt = world.model.path / "exports" / "f32" / "network.xml"
    rebuilt.write_text(rebuilt.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    describe(world.model, "f32")
    world.reindex("openvino")
    assert "and the new one will be with openvino-f32, of another export" in capsys.readouterr().err


def test_a_snapshot_whose_export_is_gone_is_not_published_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """`verify` names it, and `rollback` passes over it, or refuses it by its name; put back, it is whole again."""
    world.reindex("torch")
    made = world.export().export
    world.reindex("openvino")
    world.reindex("torch")
    with workplace(world.settings, "test") as catalogue:
        last, middle, first = (info.id for info in catalogue.snapshots())
        assert verify(world.settings, catalogue).findings == ()
        made.path.rename(world.settings.home / "aside")
        (finding,) = verify(world.settings, catalogue).findings
        assert f"nothing here can answer from snapshot {middle}: " in finding
        line = refusal(lambda: rollback(world.settings, catalogue, middle), NotFound)
        assert "put its folder back into models/small/exports, or run `sokkuri reindex LIBRARY`" in line
        assert catalogue.published().id == last
        capsys.readouterr()
        assert rollback(world.settings, catalogue, None).id == first
        assert f"{middle} is passed over: " in capsys.readouterr().err
        (world.settings.home / "aside").rename(made.path)
        assert rollback(world.settings, catalogue, middle).id == middle
        shutil.rmtree(made.path)
        # Once, though nothing that is published can be embedded again either.
        assert len(verify(world.settings, catalogue).findings) == 1


def test_without_the_pictures_nothing_can_be_measured(world: World, tmp_path: Path) -> None:
    """A library that is gone, or holds none of the model's validation pictures, is told in one line."""
    other = library(tmp_path / "other", shows=3, pictures=2)
    shutil.rmtree(other / "show-0")
    shutil.rmtree(other / "show-1")
    manifest = world.model.path / "model.json"
    for root, kind, told in (
        (tmp_path / "gone", BadLibrary, "does not exist"),
        (other, BuildError, "no train picture"),
    ):
        fields = json.loads(manifest.read_text(encoding="utf-8"))
        fields["training"]["library"] = str(root)
        manifest.write_text(json.dumps(fields), encoding="utf-8")
        assert told in refusal(world.export, kind)


def test_the_command_prints_its_result_alone(world: World) -> None:
    """`--json` is one object on stdout; an unknown model and an unknown precision end in one line."""
    home = ("--home", world.settings.home)
    done = sokkuri("export", "small", "--precision", "f32", "--json", *home)
    assert done.code == 0, done.err
    assert done.answer["made"] is True
    assert done.answer["fidelity"]["cosine"] == pytest.approx(1, abs=1e-5)
    assert "there is no model 'large'" in sokkuri("export", "large", *home).line
    assert sokkuri("export", "--precision", "f16", *home).code == 2


def test_a_power_cut_while_exporting(world: World, tmp_path: Path) -> None:
    """An export is there as a whole or not at all, also where it takes the place of another one."""
    former = world.export().export
    manifest = former.path / "export.json"
    manifest.write_text(json.dumps(former.manifest | {"openvino": "another"}), encoding="utf-8")
    disk = Disk(world.settings.home)
    with disk.watched():
        made = world.export()
        ended = disk.note("the end")
    assert made.made
    draws = np.random.default_rng(0)
    seen: set[type] = set()
    known: list[object] = []
    for number, moment in enumerate(disk.moments):
        chances = [1.0] if moment.safe in known else [0.0, 0.5]
        known.append(moment.safe)
        for chance in chances if number < ended else [0.0]:
            target = tmp_path / "cut"
            moment.rebuild(target, chance, draws)
            cut = World(replace(world.settings, home=target), world.root)
            try:
                export = Export.open(cut.model, "f32")
            except (NotFound, ExportUnusable) as error:
                seen.add(type(error))
                assert number < ended, moment.after
            else:
                seen.add(Export)
                assert export.manifest == made.export.manifest
            shutil.rmtree(target)
    assert seen == {NotFound, ExportUnusable, Export}
