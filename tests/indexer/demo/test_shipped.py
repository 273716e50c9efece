"""The demo's model as it comes with Sokkuri: it knows the cast, needs no torch, and can be packed again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.demo import shipped
from indexer.demo.cast import SHOWS
from indexer.demo.publish import demo_settings, is_published, publish, wanted_model
from indexer.demo.world import Plan
from indexer.workplace import workplace
from recommender.bundled import FOLDER as BUNDLED
from recommender.bundled import WEIGHTS, read_card
from recommender.errors import BuildError
from recommender.modelfolder import BACKBONE, ModelFolder
from recommender.publication import Publication
from recommender.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.big]

PLAN = Plan(seed=1, pictures=2, stranger_pictures=1)
OTHER = replace(PLAN, shows=SHOWS[:2])
LIGHT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "sklearn", "scipy", "nncf", "matplotlib", "jinja2"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())
    from dataclasses import replace
    from pathlib import Path
    from indexer.demo.cast import SHOWS
    from indexer.demo.publish import demo_settings, publish
    from indexer.demo.world import Plan
    from recommender.errors import SokkuriError
    from recommender.settings import Settings

    plan = Plan(seed=1, pictures=2, stranger_pictures=1)
    chosen = {"whole": plan, "other": replace(plan, shows=SHOWS[:2])}[sys.argv[2]]
    try:
        publish(demo_settings(Settings(home=Path(sys.argv[1]))), chosen)
    except SokkuriError as error:
        sys.exit(f"sokkuri: {error}")
"""


def _publish_light(home: Path, cast: str) -> subprocess.CompletedProcess[str]:
    """Publish a demo with nothing installed but what serving needs."""
    arguments = [sys.executable, "-c", LIGHT, str(home), cast]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish the whole cast, two pictures of each, without torch."""
    home = tmp_path_factory.mktemp("home")
    done = _publish_light(home, "whole")
    assert done.returncode == 0, done.stderr
    return home


def test_the_shipped_model_fits_its_cast_and_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not used for other characters, with other weights, or with an OpenVINO that it was not made with."""
    assert shipped.fits(Plan())
    assert shipped.fits(PLAN)
    assert not shipped.fits(OTHER)
    assert wanted_model(PLAN) == shipped.name() != wanted_model(OTHER)
    with monkeypatch.context() as patch:
        patch.setattr(shipped, "read_card", lambda: read_card() | {"sha256": "0" * 64})
        assert not shipped.fits(PLAN)
    monkeypatch.setattr("recommender.exports.version", lambda _: "2019.1.0")
    assert not shipped.fits(PLAN)


def test_nothing_that_is_shipped_tells_where_it_was_made() -> None:
    """No file of it holds a path of the machine that it was made on."""
    for file in shipped.FOLDER.rglob("*.json"):
        assert '"/' not in file.read_text(encoding="utf-8"), file


def test_the_demo_needs_no_torch(home: Path) -> None:
    """Drawn, published and answering in a light installation: of pictures that were not learnt from most are known."""
    settings = demo_settings(Settings(home=home))
    assert is_published(settings, PLAN)
    publication = Publication(settings)
    publication.refresh()
    try:
        recommender = publication.current()
        files = sorted((settings.home / "world/library").rglob("01.jpg"))[::3]
        right = 0
        for file in files:
            found = recommender.recommend(file.read_bytes())
            right += found.characters[0].character.label == f"{file.parts[-3]}/{file.parts[-2]}"
        assert right >= 0.9 * len(files)
        assert "drawings alone" in found.model.notice
        assert found.model.engine == "openvino-int8"
    finally:
        publication.close()


def test_a_damaged_demo_is_put_right(home: Path) -> None:
    """A model, an export or a snapshot that is not whole is made anew at the next start; what is whole stays."""
    settings = demo_settings(Settings(home=home))
    model = settings.home / "models" / shipped.name()
    (snapshot,) = (one for one in (settings.home / "snapshots").iterdir() if one.is_dir())
    drawn = {file: file.stat().st_mtime_ns for file in (settings.home / "world").rglob("*.jpg")}
    for file in (model / "model.json", model / "exports/int8/network.bin", snapshot / "index.faiss"):
        file.write_bytes(file.read_bytes()[:-9])
        assert not is_published(settings, PLAN), file
        publish(settings, PLAN)
        assert is_published(settings, PLAN), file
    assert {file: file.stat().st_mtime_ns for file in (settings.home / "world").rglob("*.jpg")} == drawn


def test_a_broken_installation_is_told(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file of the shipped model is missing, one line says so, and nothing of it is left in the home."""
    bundled = tmp_path / "bundled"
    shutil.copytree(BUNDLED, bundled)
    (bundled / "demo/exports/int8/network.bin").unlink()
    monkeypatch.chdir(tmp_path)
    with (
        workplace(Settings(home=tmp_path / "home"), "test") as catalogue,
        pytest.raises(BuildError, match="install Sokkuri again"),
    ):
        shipped.install(tmp_path / "home", home / "demo/world/library", catalogue, bundled / "demo")
    assert not list((tmp_path / "home/models").glob("demo-*"))


def test_what_has_to_be_learnt_says_what_to_install(tmp_path: Path) -> None:
    """Another cast asks for a training; in a light installation one line says what that takes."""
    done = _publish_light(tmp_path, "other")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("sokkuri: the demo has to be learnt here, and ")
    assert "pip install 'sokkuri[train]'" in done.stderr


def test_what_was_packed_can_be_installed(home: Path, tmp_path: Path) -> None:
    """Packed again it is the same model: the weights beside it, its library where it is put."""
    settings = demo_settings(Settings(home=home))
    model = ModelFolder.open(settings.home / "models" / shipped.name())
    folder = tmp_path / "bundled/demo"
    shipped.pack(model, PLAN, folder)
    assert not (folder / BACKBONE).exists()
    assert shipped.fits(PLAN, folder)
    assert shipped.name(folder) == shipped.name()
    (folder.parent / WEIGHTS).symlink_to(BUNDLED / WEIGHTS)
    other = tmp_path / "home"
    with workplace(Settings(home=other), "test") as catalogue:
        installed = shipped.install(other, tmp_path / "library", catalogue, folder)
        assert catalogue.model_in_use().name == installed.name == shipped.name()
        assert shipped.install(other, tmp_path / "library", catalogue, folder).digest == installed.digest
    manifest = json.loads((installed.path / "model.json").read_text(encoding="utf-8"))
    assert manifest["training"]["library"] == str(tmp_path / "library")
    assert manifest["metrics"] == model.manifest["metrics"]


def test_what_is_installed_runs_the_shipped_export() -> None:
    """An export runs with the one release of OpenVINO that it was measured with: that is the one that is required."""
    manifest = json.loads((shipped.FOLDER / "exports" / shipped.PRECISION / "export.json").read_text(encoding="utf-8"))
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"openvino=={manifest['openvino']}" in project["dependencies"]
    assert shipped.hindrance() == ""


def test_what_hinders_the_shipped_export_is_said(tmp_path: Path) -> None:
    """Another release of OpenVINO is named, with the one that is needed."""
    shutil.copytree(shipped.FOLDER, tmp_path / "demo")
    manifest = tmp_path / "demo" / "exports" / shipped.PRECISION / "export.json"
    fields = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(fields | {"openvino": "2019.1.0"}), encoding="utf-8")
    assert "was made with OpenVINO 2019.1.0" in shipped.hindrance(tmp_path / "demo")
