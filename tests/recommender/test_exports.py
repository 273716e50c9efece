"""`recommender.exports` and the choice of an engine: what is not whole, or not for this machine, is never run."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.exporting import describe, exported
from recommender import encoders, exports
from recommender.encoders import choose_backbone, has_card, open_encoder, require_answerable
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.errors import Corrupt, EngineMissing, ExportUnusable, NotFound, SettingError, SokkuriError
from recommender.exports import MANIFEST, NETWORK, WEIGHTS, Export, exported_space, fastest_first, is_exported_from
from recommender.images import decode
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from tests.contracts.test_encoder_contract import written
from tests.pictures import picture
from tests.recommender.test_signalstack import stack

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a home with a small model, and export that in float32 and with eight bits."""
    home = tmp_path_factory.mktemp("home")
    model = written(home / "models" / "small", "embedding", joint=True)
    exported(model, "f32", ())
    exported(model, "int8", [decode(picture(0))])
    return home


@pytest.fixture
def model(made: Path, tmp_path: Path) -> ModelFolder:
    """Return the model in a home of the test's own, without exports."""
    shutil.copytree(made, tmp_path / "home", ignore=shutil.ignore_patterns("exports"))
    return ModelFolder.open(tmp_path / "home" / "models" / "small")


def give(made: Path, model: ModelFolder, precision: str, **changes: Any) -> Export:
    """Give the model its export in a precision; `changes` are fields of export.json that say something else."""
    part = Path("models", "small", "exports", precision)
    shutil.copytree(made / part, model.path.parents[1] / part)
    describe(model, precision, **changes)
    return Export.open(model, precision)


@pytest.fixture
def export(made: Path, model: ModelFolder) -> Export:
    """Give the model its export in float32."""
    return give(made, model, "f32")


@pytest.fixture
def settings(model: ModelFolder) -> Settings:
    """Return the settings of its home."""
    return Settings(home=model.path.parents[1], threads=1)


def refusal(call: Callable[[], object], kind: type[SokkuriError]) -> str:
    """Return the one line with which something is refused."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_an_export_is_a_space_of_its_own(model: ModelFolder, export: Export) -> None:
    """It differs from the model's in weights and precision alone, and other bytes make another space."""
    assert export.space == replace(model.space, weights=export.space.weights, precision="openvino-f32")
    assert export.space.weights != model.space.weights
    assert is_exported_from(export.space, model.space)
    assert not is_exported_from(model.space, model.space)
    assert not is_exported_from(replace(export.space, layer="another"), model.space)
    assert exported_space(model.space, "f32", {NETWORK: "a", WEIGHTS: "b"}) != exported_space(
        model.space, "f32", {NETWORK: "a", WEIGHTS: "c"}
    )


@pytest.mark.parametrize("name", [NETWORK, WEIGHTS])
def test_a_truncated_export_is_named(model: ModelFolder, export: Export, name: str) -> None:
    """A file that lost its end is damage, with the command that makes the export anew."""
    os.truncate(export.path / name, 100)
    line = refusal(lambda: Export.open(model, "f32"), Corrupt)
    assert f"models/small/exports/f32/{name} is damaged" in line
    assert "sokkuri export small --precision f32" in line


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "space": {}}', "[" * 200_000])
def test_a_damaged_description_is_named(model: ModelFolder, export: Export, text: str) -> None:
    """Whatever stands in export.json, the answer is one line."""
    (export.path / MANIFEST).write_text(text, encoding="utf-8")
    assert "export.json is damaged" in refusal(lambda: Export.open(model, "f32"), ExportUnusable)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"openvino": "2019.1.0"}, "was made with OpenVINO 2019.1.0"),
        ({"model_digest": "0" * 64}, "was made of another model than small is now"),
        ({"needs": ["no_such_instruction"]}, "needs a processor with no_such_instruction"),
        ({"format": 99}, "has format 99"),
        ({"files": {}}, "is damaged"),
        ({"needs": "avx2"}, "is damaged"),
        ({"needs": [["avx2"]]}, "is damaged"),
        ({"openvino": ["2026"]}, "is damaged"),
        ({"processor": {"kind": None}}, "is damaged"),
        ({"speed": {"bulk_over_torch": 10**400, "single_over_torch": 2.0}}, "is damaged"),
        ({"speed": {"bulk_over_torch": 2.0, "single_over_torch": float("nan")}}, "is damaged"),
        ({"files": {NETWORK: "a", WEIGHTS: "b", "\0": "c"}}, "is damaged"),
        ({"files": {NETWORK: "a", WEIGHTS: "b", "\ud800": "c"}}, "is damaged"),
    ],
)
def test_what_does_not_fit_is_refused(model: ModelFolder, export: Export, changes: dict[str, Any], told: str) -> None:
    """Another OpenVINO, another model, a processor without the instruction: one line that says which."""
    describe(model, export.precision, **changes)
    line = refusal(lambda: Export.open(model, "f32"), ExportUnusable)
    assert told in line
    assert "sokkuri export small --precision " in line


def test_the_remedy_is_one_that_works_here(model: ModelFolder, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bf16 an export made anew would lack the same instruction; without torch none can be made at all."""
    shutil.copytree(export.path, export.path.parent / "bf16")
    describe(model, "bf16", needs=["no_such_instruction"])
    line = refusal(lambda: Export.open(model, "bf16"), ExportUnusable)
    assert "needs a processor with no_such_instruction, and this one has none: run `sokkuri export small" in line
    assert "--precision int8`" in line
    monkeypatch.setattr(exports, "find_spec", lambda _: None)
    for precision in ("bf16", "int8"):
        with pytest.raises(SokkuriError, match=r"pip install 'sokkuri\[train\]'"):
            Export.open(model, precision)


def test_a_space_that_is_not_its_networks_is_refused(model: ModelFolder, export: Export) -> None:
    """export.json cannot claim the space of other weights: a snapshot would meet what it was not made with."""
    describe(model, "f32", space=replace(export.space, weights="0" * 64).to_json())
    assert "does not describe its network" in refusal(lambda: Export.open(model, "f32"), ExportUnusable)


def test_an_unknown_precision_is_refused(model: ModelFolder) -> None:
    """The line lists those that there are; one that there is but was not made is not found."""
    assert "f32, bf16, int8" in refusal(lambda: Export.open(model, "f16"), ExportUnusable)
    assert "has no export int8" in refusal(lambda: Export.open(model, "int8"), NotFound)


def test_a_snapshot_finds_its_export(model: ModelFolder, export: Export, settings: Settings) -> None:
    """The space leads to the engine that made it, whatever the settings say; the model's own space leads to torch."""
    for engine in ("auto", "torch", "openvino"):
        chosen = replace(settings, engine=engine)
        encoder = open_encoder(chosen, "small", export.space.fingerprint)
        assert encoder.space == export.space
        assert encoder.info.engine == "openvino-f32"
        assert open_encoder(chosen, "small", model.space.fingerprint).info.engine == "torch-float32"
    assert open_encoder(settings, "small").info.engine == "torch-float32"


def test_a_snapshot_whose_export_is_gone_or_damaged_is_not_served_by_another(
    model: ModelFolder, export: Export, settings: Settings
) -> None:
    """A damaged export is told as such; one that was made anew, or is gone, asks for a reindex."""
    space = export.space.fingerprint
    whole = (export.path / WEIGHTS).read_bytes()
    (export.path / WEIGHTS).write_bytes(whole[:-1])
    assert "network.bin is damaged" in refusal(lambda: open_encoder(settings, "small", space), Corrupt)
    describe(model, "f32")
    assert "sokkuri reindex LIBRARY" in refusal(lambda: open_encoder(settings, "small", space), NotFound)


def test_auto_takes_the_fastest_export(made: Path, model: ModelFolder, settings: Settings) -> None:
    """Of two that are faster than torch the faster one; without any, or where it is told to, torch."""
    assert choose_backbone(settings, model).engine == "torch-float32"
    give(made, model, "f32")
    give(made, model, "int8", speed={"bulk_over_torch": 3.0, "single_over_torch": 3.0})
    assert choose_backbone(settings, model).engine == "openvino-int8"
    describe(model, "int8", speed={"bulk_over_torch": 1.5, "single_over_torch": 9.0})
    assert choose_backbone(settings, model).engine == "openvino-f32"
    assert choose_backbone(replace(settings, engine="torch"), model).engine == "torch-float32"


def test_auto_takes_a_graphics_card_before_any_export(
    made: Path, model: ModelFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is a driver and torch finds a card; a driver alone is none, and without one torch is not asked."""
    give(made, model, "int8", speed={"bulk_over_torch": 3.0, "single_over_torch": 3.0})
    found = False
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found)
    monkeypatch.setattr(encoders, "DRIVERS", (made,))
    assert choose_backbone(settings, model).engine == "openvino-int8"
    found = True
    assert choose_backbone(settings, model).engine == "torch-float32"
    assert choose_backbone(replace(settings, engine="openvino"), model).engine == "openvino-int8"
    monkeypatch.setattr(encoders, "DRIVERS", (made / "absent",))
    assert choose_backbone(settings, model).engine == "openvino-int8"


def test_what_was_measured_on_a_lesser_processor_pays_too(made: Path, model: ModelFolder, settings: Settings) -> None:
    """An export that was faster without some of this processor's instructions is taken; one that had others is not."""
    give(made, model, "f32", speed={"bulk_over_torch": 3.0, "single_over_torch": 3.0})
    describe(model, "f32", processor={"kind": platform.machine()})
    assert choose_backbone(settings, model).engine == "openvino-f32"
    describe(model, "f32", processor={"kind": f"{platform.machine()} abacus"})
    assert choose_backbone(settings, model).engine == "torch-float32"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"openvino": "2019.1.0"}, "was made with OpenVINO 2019.1.0"),
        ({"processor": {"kind": "z80"}}, "was measured on another kind of processor"),
        ({"speed": {"bulk_over_torch": 0.9, "single_over_torch": 2.0}}, "is no faster than torch"),
        ({"speed": {"bulk_over_torch": 2.0, "single_over_torch": 0.9}}, "is no faster than torch"),
    ],
)
def test_auto_falls_back_to_torch_and_says_why(
    model: ModelFolder,
    export: Export,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    told: str,
) -> None:
    """One line in the log names the export and what is wrong with it."""
    describe(model, export.precision, **changes)
    with caplog.at_level(logging.WARNING):
        assert choose_backbone(settings, model).engine == "torch-float32"
    (record,) = caplog.records
    assert "torch runs small" in record.getMessage()
    assert told in record.getMessage()


def test_auto_says_why_it_falls_back_to_another_export(
    made: Path, model: ModelFolder, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """That is another space: one line in the log names the faster export, and what is wrong with it."""
    for precision, times in (("f32", 1.5), ("int8", 3.0)):
        give(made, model, precision, speed={"bulk_over_torch": times, "single_over_torch": times})
    with caplog.at_level(logging.WARNING):
        assert choose_backbone(settings, model).engine == "openvino-int8"
        assert not caplog.records
        os.truncate(model.path / "exports" / "int8" / WEIGHTS, 100)
        assert choose_backbone(settings, model).engine == "openvino-f32"
    (record,) = caplog.records
    assert "openvino-f32 runs small" in record.getMessage()
    assert "exports/int8/network.bin is damaged" in record.getMessage()


@pytest.mark.parametrize("change", [lambda file: os.truncate(file, 0), lambda file: file.write_bytes(bytes(99))])
def test_a_network_that_runs_does_not_need_its_file(
    made: Path, model: ModelFolder, settings: Settings, change: Callable[[Path], Any]
) -> None:
    """Whatever becomes of the file while it is served, the answers stay what they were, and the process alive."""
    give(made, model, "int8")
    backbone = choose_backbone(replace(settings, engine="openvino"), model)
    images = [decode(picture(seed)) for seed in range(2)]
    before = backbone.features(images)
    change(model.path / "exports" / "int8" / WEIGHTS)
    assert np.array_equal(backbone.features(images), before)


@pytest.mark.usefixtures("export")
def test_without_openvino_torch_runs(
    model: ModelFolder, settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package is absent `auto` says so in one line and works, and `openvino` says what to install."""

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(exports, "version", absent)
    with caplog.at_level(logging.WARNING):
        assert choose_backbone(settings, model).engine == "torch-float32"
    assert ["pip install openvino" in record.getMessage() for record in caplog.records] == [True]
    wanted = replace(settings, engine="openvino")
    assert "pip install openvino" in refusal(lambda: choose_backbone(wanted, model), EngineMissing)


def test_without_torch_any_export_runs(
    made: Path, model: ModelFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a light installation an export is taken though nobody measured it on this kind of processor."""
    give(made, model, "f32", speed={"bulk_over_torch": 0.5, "single_over_torch": 0.5}, processor={"kind": "z80"})
    monkeypatch.setattr(exports, "find_spec", lambda _: None)
    assert choose_backbone(settings, model).engine == "openvino-f32"


def test_without_torch_and_an_export_nothing_runs(
    made: Path, model: ModelFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody could answer from is refused before any work, with what has to be installed to make an export."""
    monkeypatch.setattr(exports, "find_spec", lambda _: None)
    for engine, told in (
        ("auto", "nothing here can run model small: it has no export, and torch is not installed"),
        ("openvino", "model small has no export"),
        ("torch", "this model needs torch, which is not installed"),
    ):
        chosen = replace(settings, engine=engine)
        with pytest.raises((EngineMissing, NotFound)) as caught:
            choose_backbone(chosen, model)
        assert told in str(caught.value)
        assert "pip install 'sokkuri[train]'" in str(caught.value)
    damaged = give(made, model, "int8")
    os.truncate(damaged.path / WEIGHTS, 0)
    line = refusal(lambda: choose_backbone(settings, model), EngineMissing)
    assert "exports/int8/network.bin is damaged" in line
    assert "pip install 'sokkuri[train]' (an export is made of what torch runs) and run `sokkuri export small" in line


def test_torch_that_is_there_and_does_not_load_is_one_line(
    made: Path, model: ModelFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found when the first picture comes, or whoever publishes asks whether answers could be given."""
    (forbidden := made.parent / "broken" / "torch").mkdir(parents=True, exist_ok=True)
    (forbidden / "__init__.py").write_text("raise ImportError('libtorch.so: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(forbidden.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "recommender.encoders.torch_encoder")
    for engine in ("torch", "auto"):
        backbone = choose_backbone(replace(settings, engine=engine), model)
        line = refusal(partial(backbone.features, [decode(picture(0))]), EngineMissing)
        assert "torch cannot be loaded (libtorch.so: cannot open shared object file)" in line
        assert "sokkuri[train]" in line
    with monkeypatch.context() as patched:
        patched.setattr(encoders, "DRIVERS", (made,))
        assert not has_card()
    asked = partial(require_answerable, settings, "small", model.space.fingerprint)
    assert "libtorch.so" in refusal(asked, EngineMissing)


def test_an_engine_that_does_not_load_answers_nothing(
    model: ModelFolder, export: Export, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the export is whole: what `verify` and `rollback` ask is whether answers can be given."""
    space = model.stored_space(export.space).fingerprint
    require_answerable(settings, "small", space)
    monkeypatch.setitem(sys.modules, "recommender.encoders.openvino_encoder", None)
    assert "openvino cannot be loaded" in refusal(partial(require_answerable, settings, "small", space), EngineMissing)


def test_torch_is_not_loaded_where_an_export_serves(made: Path, model: ModelFolder, settings: Settings) -> None:
    """Loading it takes seconds: neither an unchanged reindex nor an answer may wait for that."""
    export = give(made, model, "f32")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from recommender.encoders import choose_backbone, require_answerable\n"
        "from recommender.modelfolder import ModelFolder\nfrom recommender.settings import Settings\n"
        f"settings = Settings(home=Path({str(settings.home)!r}))\n"
        f"model = ModelFolder.open(Path({str(model.path)!r}))\n"
        "assert choose_backbone(settings, model).engine == 'openvino-f32'\n"
        f"require_answerable(settings, 'small', {model.stored_space(export.space).fingerprint!r})\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_who_runs_by_torch_hears_once_of_exports(
    made: Path, model: ModelFolder, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """When the first picture goes through torch, unless torch was asked for, or there is an export."""
    images = [decode(picture(0))]
    for chosen in (settings, replace(settings, engine="torch")):
        backbone = choose_backbone(chosen, model)
        backbone.features(images)
        backbone.features(images)
        if chosen is settings:
            (record,) = caplog.records
            assert record.levelno == logging.WARNING
            assert "torch runs small, which has no export: `sokkuri export` makes one" in record.getMessage()
        else:
            assert not caplog.records
        caplog.clear()
    give(made, model, "f32", speed={"bulk_over_torch": 3.0, "single_over_torch": 3.0})
    choose_backbone(settings, model).features(images)
    assert not caplog.records


def test_exports_of_one_processor_are_compared_by_their_rates(
    made: Path, model: ModelFolder, settings: Settings
) -> None:
    """What torch did beside them in runs of their own decides nothing, unless processors differ."""
    rates = {"int8": (240.0, 150.0), "f32": (239.0, 104.0)}
    for precision, (rate, torch_rate) in rates.items():
        speed = {
            "bulk_over_torch": rate / torch_rate,
            "single_over_torch": 2.0,
            "openvino": {"single_ms": 1.0, "bulk_per_second": rate},
        }
        give(made, model, precision, speed=speed)
    exports_there = [Export.open(model, precision) for precision in ("f32", "int8")]
    assert [export.precision for export in fastest_first(exports_there)] == ["int8", "f32"]
    assert choose_backbone(settings, model).engine == "openvino-int8"
    describe(model, "f32", speed=exports_there[0].manifest["speed"], processor={"kind": platform.machine()})
    assert choose_backbone(settings, model).engine == "openvino-f32"


def test_what_is_gone_is_told_with_what_helps_here(
    made: Path, model: ModelFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing could run the model a reindex would be refused: the line says how to get an export first."""
    gone = partial(Export.of_space, model, "0" * 16)
    assert refusal(gone, NotFound).endswith("or run `sokkuri reindex LIBRARY`")
    monkeypatch.setattr(exports, "find_spec", lambda _: None)
    with pytest.raises(NotFound) as caught:
        gone()
    assert str(caught.value).endswith(
        "or pip install 'sokkuri[train]' (an export is made of what torch runs) and run "
        "`sokkuri export small --precision int8` and `sokkuri reindex LIBRARY`"
    )
    give(made, model, "f32")
    assert refusal(gone, NotFound).endswith("or run `sokkuri reindex LIBRARY`")
    assert choose_backbone(settings, model).engine == "openvino-f32"


def test_openvino_is_taken_where_it_is_asked_for(made: Path, model: ModelFolder, settings: Settings) -> None:
    """Without an export there is one line; a slow one is run all the same, a damaged one is told."""
    wanted = replace(settings, engine="openvino")
    assert "has no export" in refusal(lambda: choose_backbone(wanted, model), NotFound)
    slow = give(made, model, "f32", speed={"bulk_over_torch": 0.1, "single_over_torch": 0.1})
    assert choose_backbone(wanted, model).engine == "openvino-f32"
    (slow.path / NETWORK).unlink()
    assert "network.xml cannot be read" in refusal(lambda: choose_backbone(wanted, model), Corrupt)


def test_an_unknown_engine_is_refused(model: ModelFolder, settings: Settings) -> None:
    """The line lists the engines."""
    unknown = replace(settings, engine="tensorflow")
    for call in (lambda: choose_backbone(unknown, model), lambda: open_encoder(unknown, "small")):
        assert "auto, torch, openvino" in refusal(call, SettingError)


def test_what_openvino_cannot_read_is_one_line(model: ModelFolder, export: Export) -> None:
    """A network that is none, but has the right checksum, is refused and not a traceback."""
    (export.path / NETWORK).write_text("<net>", encoding="utf-8")
    describe(model, "f32")
    again = Export.open(model, "f32")
    line = refusal(lambda: OpenVinoBackbone.load(again, model.preprocessing, 1), ExportUnusable)
    assert "OpenVINO cannot run models/small/exports/f32/network.xml" in line
    assert "remove the folder and run `sokkuri export small" in line


def test_a_precision_that_the_processor_has_not_is_not_replaced(
    model: ModelFolder, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO computes in float32 where it lacks bfloat16, and says nothing: that is an error here."""
    monkeypatch.setattr("openvino.CompiledModel.get_property", lambda _self, _name: "another")
    assert "does not compute in f32" in refusal(
        lambda: OpenVinoBackbone.load(export, model.preprocessing, 1), ExportUnusable
    )
    assert json.loads((export.path / MANIFEST).read_text(encoding="utf-8"))["precision"] == "f32"


def test_opening_an_export_leaves_the_signal_stack_alone(export: Export, model: ModelFolder) -> None:
    """OpenVINO's own, which goes with the network, does not stay with the thread that opened it."""
    before = stack()
    backbone = OpenVinoBackbone.load(export, model.preprocessing, 1)
    assert stack() == before
    del backbone
    assert stack() == before


SWITCHED = """
import gc, os, signal, sys, threading
from pathlib import Path
from recommender.encoders.openvino_encoder import OpenVinoBackbone
from recommender.exports import Export
from recommender.modelfolder import ModelFolder
signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
model = ModelFolder.open(Path(sys.argv[1]))
open_one = lambda: OpenVinoBackbone.load(Export.open(model, "f32"), model.preprocessing, 1)
serving = [open_one()]
def switch():
    serving.append(open_one())
    del serving[0]
    gc.collect()
for _ in range(2):
    thread = threading.Thread(target=switch)
    thread.start()
    thread.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.usefixtures("export")
def test_a_signal_is_heard_after_a_switch_of_models(model: ModelFolder) -> None:
    """A process that let go of its first network in another thread lives on when a signal comes."""
    ended = subprocess.run(
        [sys.executable, "-c", SWITCHED, str(model.path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, "heard\n"), ended.stderr
