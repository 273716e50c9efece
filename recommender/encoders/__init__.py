"""Adapters that run a network, one file an engine, and the choice between them. Importing this loads no engine.

A new snapshot is made with the engine that `choose_backbone` chooses; whoever answers from a snapshot follows it, since
vectors of two engines do not meet.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from recommender.encoder import ModelEncoder
from recommender.errors import EngineMissing, NotFound, SettingError, SokkuriError
from recommender.exports import PRECISIONS, Export
from recommender.modelfolder import ModelFolder
from recommender.ports import Backbone
from recommender.settings import ENGINES, Settings
from recommender.types import DecodedImage, Matrix

DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""What stands where a driver for computing on a graphics card is loaded: NVIDIA's, AMD's, and that of WSL."""

logger = logging.getLogger(__name__)


def keep_use_private() -> None:
    """See to it that OpenVINO's converter and NNCF, imported after this, report to no server what is done with them.

    They do where the package `openvino_telemetry` can be imported, which OpenVINO's own requirements install.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to forbid an import


# Before any module of this package imports OpenVINO.
keep_use_private()


def open_encoder(settings: Settings, name: str, space: str | None = None) -> ModelEncoder:
    """Open the model `name` of the home with the engine that a space is of; without one, as it was trained.

    `space` is a fingerprint. Raises ModelError, Corrupt, or NotFound where no export of the model has the space.
    """
    _require_engine(settings)
    folder = ModelFolder.open(settings.home / "models" / name)
    if space in (None, folder.stored_space(folder.space).fingerprint):
        return ModelEncoder(folder, _torch(folder, settings))
    return ModelEncoder(folder, _openvino(Export.of_space(folder, str(space)), folder, settings))


def choose_backbone(settings: Settings, folder: ModelFolder) -> Backbone:
    """Open a model's backbone with the engine of the settings, for a new snapshot.

    `auto` takes torch where there is a graphics card for it; else the fastest export that was measured on this kind of
    processor to be faster than torch, else torch, and logs what is wrong with others; where torch is not installed, any
    export that runs. torch itself is loaded when the first picture comes. Raises ModelError or Corrupt.
    """
    _require_engine(settings)
    if settings.engine == "torch":
        return _TorchWhenAsked(folder, settings)
    if settings.engine == "auto" and _has_card():
        logger.info("torch runs %s on a graphics card", folder.name)
        return _TorchWhenAsked(folder, settings)
    exports, trouble = _exports(folder)
    without_torch = not _has_torch()
    for export in sorted(exports, key=lambda export: -export.bulk_over_torch):
        try:
            if settings.engine == "auto" and not without_torch:
                export.require_paying()
            backbone = _openvino(export, folder, settings)
        except SokkuriError as error:
            trouble.append(error)
        else:
            if trouble:
                logger.warning("%s runs %s: %s", backbone.engine, folder.name, _told(trouble))
            return backbone
    if settings.engine == "openvino":
        raise trouble[0] if trouble else NotFound(f"model {folder.name} has no export: run `sokkuri export`")
    if trouble:
        runs = "torch runs" if _has_torch() else "no engine is left for"
        logger.warning("%s %s: %s", runs, folder.name, _told(trouble))
    else:
        logger.info("torch runs %s, which has no export: `sokkuri export` makes one", folder.name)
    return _TorchWhenAsked(folder, settings)


def _told(trouble: Sequence[SokkuriError]) -> str:
    """Return what is wrong with some exports, each reason once."""
    return "; ".join(dict.fromkeys(map(str, trouble)))


def _has_torch() -> bool:
    """Tell whether torch is installed, without loading it."""
    try:
        return find_spec("torch") is not None
    except (ImportError, ValueError):  # something forbids to import it
        return False


def _has_card() -> bool:
    """Tell whether torch finds a graphics card; it is loaded only where a driver is there to be found."""
    if not any(file.exists() for file in DRIVERS) or not _has_torch():
        return False
    from recommender.encoders.torch_encoder import device

    return device().type != "cpu"


def _exports(folder: ModelFolder) -> tuple[list[Export], list[SokkuriError]]:
    """Open what there is of a model's exports, and say what is wrong with the others."""
    found: list[Export] = []
    trouble: list[SokkuriError] = []
    for precision in PRECISIONS:
        try:
            found.append(Export.open(folder, precision))
        except NotFound:
            continue
        except SokkuriError as error:
            trouble.append(error)
    return found, trouble


def _require_engine(settings: Settings) -> None:
    """Raise SettingError for an engine that there is not."""
    if settings.engine not in ENGINES:
        raise SettingError(f"SOKKURI_ENGINE has to be one of {', '.join(ENGINES)}, not {settings.engine!r}")


class _TorchWhenAsked:
    """A model's own backbone, which is opened when the first picture comes: loading torch takes seconds."""

    def __init__(self, folder: ModelFolder, settings: Settings) -> None:
        self.space = folder.space
        self.engine = f"torch-{folder.space.precision}"
        self._open = partial(_torch, folder, settings)
        self._opened: Backbone | None = None

    def features(self, images: Sequence[DecodedImage]) -> Matrix:
        """Return an (n, dimension) float32 matrix, a row for each picture. Raises EngineMissing or Corrupt."""
        return self._loaded().features(images)

    def make_ready(self) -> None:
        """Load torch and the network. Raises EngineMissing or Corrupt."""
        self._loaded().make_ready()

    def _loaded(self) -> Backbone:
        if self._opened is None:
            self._opened = self._open()
        return self._opened


def _torch(folder: ModelFolder, settings: Settings) -> Backbone:
    """Open a backbone as it was trained. Raises EngineMissing or Corrupt."""
    try:
        from recommender.encoders.torch_encoder import TorchBackbone
    except ModuleNotFoundError as error:
        raise EngineMissing(
            f"this model needs {error.name}, which is not installed: pip install 'sokkuri[train]'"
        ) from None
    return TorchBackbone.load(folder, settings.threads)


def _openvino(export: Export, folder: ModelFolder, settings: Settings) -> Backbone:
    """Open an export. Raises EngineMissing or ExportUnusable."""
    try:
        from recommender.encoders.openvino_encoder import OpenVinoBackbone
    except ImportError as error:  # also where its libraries cannot be loaded
        raise EngineMissing(f"openvino cannot be loaded ({error}): pip install openvino") from None
    return OpenVinoBackbone.load(export, folder.preprocessing, settings.threads)
