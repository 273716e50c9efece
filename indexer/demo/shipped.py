"""The demo's model as it comes with Sokkuri: heads, and the backbone in 8 bits. With it the demo needs no training.

```
recommender/bundled/demo/
  model.json, heads.safetensors, ...   the model folder, but for the backbone, which is the bundled weights
  exports/int8/                        its export
  fits.json                            the cast that it knows, and the weights that it was trained on
```

It is what `sokkuri demo --retrain` and `sokkuri export` made; `pack` wrote it down. Where it does not fit, because the
cast, the weights or OpenVINO are others, the demo trains its own. Not here: when that is (`publish`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from indexer.demo.world import Plan
from indexer.workplace import now
from recommender.bundled import FOLDER as BUNDLED
from recommender.bundled import WEIGHTS, read_card
from recommender.catalogue import Catalogue, ModelRow
from recommender.errors import BuildError, SokkuriError
from recommender.exports import DAMAGE, Export
from recommender.exports import FOLDER as EXPORTS
from recommender.exports import MANIFEST as EXPORTED
from recommender.folders import flush, sha256, shown, written_aside
from recommender.modelfolder import BACKBONE, HEADS, MANIFEST, ModelFolder

FOLDER = BUNDLED / "demo"
FITS = "fits.json"
PRECISION = "int8"


def fits(plan: Plan, folder: Path = FOLDER) -> bool:
    """Tell whether the shipped model knows this cast, sees with these weights, and can be run here."""
    try:
        found = json.loads((folder / FITS).read_text(encoding="utf-8"))
        if found != _wanted(plan):
            return False
        Export.require_runnable(folder / EXPORTS / PRECISION)
    except (*DAMAGE, SokkuriError):
        return False
    return True


def hindrance(folder: Path = FOLDER) -> str:
    """Say why the shipped export cannot be run here, in brackets; empty where it can be, or cannot be read."""
    try:
        Export.require_runnable(folder / EXPORTS / PRECISION)
    except SokkuriError as error:
        return f" ({error})"
    except DAMAGE:
        pass
    return ""


def name(folder: Path = FOLDER) -> str:
    """Return what the shipped model is called."""
    return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["name"])


def install(home: Path, library: Path, catalogue: Catalogue, folder: Path = FOLDER) -> ModelFolder:
    """Put the shipped model into a home, as if it had been trained there on the library. Raises BuildError.

    What is there already stays if it is whole, and is put there anew if it is not.
    """
    path = home / "models" / name(folder)
    if not is_whole(path):
        try:
            shutil.rmtree(path, ignore_errors=True)
            with written_aside(path) as aside:
                shutil.copytree(folder, aside, dirs_exist_ok=True)
                (aside / FITS).unlink()
                shutil.copyfile(folder.parent / WEIGHTS, aside / BACKBONE)
                _renewed(aside, library=str(library.resolve()))
                for file in (aside / EXPORTS).rglob("*"):
                    flush(file)
        except OSError as error:
            raise BuildError(f"{path} cannot be written ({_reason(error)}): make room and run it again") from None
        if not is_whole(path):
            shutil.rmtree(path, ignore_errors=True)
            raise BuildError(f"the model that comes with Sokkuri is damaged ({shown(folder)}): install Sokkuri again")
    model = ModelFolder.open(path)
    space = model.space
    row = ModelRow(model.name, space.backbone, model.digest, space.fingerprint, now(), model.notice or None)
    catalogue.add_model(row, use=True)
    return model


def is_whole(path: Path) -> bool:
    """Tell whether a model and its export are there, to the last byte, and can be run here."""
    try:
        Export.open(ModelFolder.open(path), PRECISION)
    except SokkuriError:
        return False
    return True


def pack(model: ModelFolder, plan: Plan, folder: Path = FOLDER) -> None:
    """Write a model of the demo world down as one that can be shipped. It has to have its export.

    The backbone is left out, being the bundled weights, and so is where the library lay. Raises NotFound or
    ExportUnusable where there is no export, BuildError where the folder cannot be written.
    """
    Export.open(model, PRECISION)
    called = f"demo-{sha256(model.path / HEADS)[:10]}"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(model.path, folder, ignore=lambda _, names: [one for one in names if one == BACKBONE])
        (folder / BACKBONE).symlink_to(BUNDLED / WEIGHTS)
        _renewed(folder, library="the demo world", name=called)
        (folder / BACKBONE).unlink()
        (folder / FITS).write_text(json.dumps(_wanted(plan), indent=1) + "\n", encoding="utf-8")
        for file in folder.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # a package is installed for all
    except OSError as error:
        raise BuildError(f"{folder} cannot be written ({_reason(error)}): make room and run it again") from None


def _reason(error: OSError) -> str:
    """Return why a folder could not be copied: `shutil.Error` lists what went wrong with each file."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    return error.strerror or str(error)


def _wanted(plan: Plan) -> dict[str, Any]:
    """Return what a model depends on that is to be used as it is: pictures may differ, people and weights may not."""
    return {"cast": plan.cast, "weights": read_card()["sha256"]}


def _renewed(folder: Path, *, library: str, name: str | None = None) -> None:
    """Write down where a model's library lies, and what the model is called; its export follows it."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["training"]["library"] = library
    manifest["name"] = name or manifest["name"]
    manifest["files"][BACKBONE] = sha256(folder / BACKBONE)
    _write(folder / MANIFEST, manifest)
    export = json.loads((folder / EXPORTS / PRECISION / EXPORTED).read_text(encoding="utf-8"))
    export |= {"model": manifest["name"], "model_digest": sha256(folder / MANIFEST)}
    _write(folder / EXPORTS / PRECISION / EXPORTED, export)


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
