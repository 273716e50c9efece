"""Adapters that run a network, one file an engine, and the choice between them. Importing this loads no engine.

A new snapshot is made with the engine that `choose_backbone` chooses; whoever answers from a snapshot follows it, since
vectors of two engines do not meet.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.encoder import ModelEncoder
from recommender.errors import EngineMissing, NotFound, SettingError, SokkuriError
from recommender.exports import DEFAULT, PRECISIONS, Export, fastest_first, has_torch, made_by
from recommender.modelfolder import ModelFolder
from recommender.ports import Backbone
from recommender.settings import ENGINES, Settings
from recommender.types import DecodedImage, Matrix

if TYPE_CHECKING:
    from recommender.encoders.openvino_encoder import OpenVinoBackbone
    from recommender.encoders.torch_encoder import TorchBackbone

DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""What stands where a driver for computing on a graphics card is loaded: NVIDIA's, AMD's, and that of WSL."""

USUALLY_FASTER = "usually two to four times as fast"
"""What an export in 8 bits comes to beside torch on the same processor: 2 with SqueezeNet, 3 to 4 with VGG19."""

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
    """Open a model's backbone with the engine of the settings, for a new snapshot, and log why it is that one.

    `auto` takes torch where there is a graphics card for it; else the fastest export that was measured to be faster
    than torch, on a processor with no instruction that this one lacks, else torch, and logs what is wrong with others;
    where torch is not installed, any export that runs. torch itself is loaded when the first picture comes, which also
    tells whether it can be. Raises ModelError or Corrupt, EngineMissing also where nothing here could answer.
    """
    backbone, why, level = _chosen(settings, folder)
    if why:
        logger.log(level, why)
    return backbone


def engine_chosen(settings: Settings, folder: ModelFolder) -> Backbone:
    """Return what `choose_backbone` would open, and log nothing. Raises what that raises."""
    return _chosen(settings, folder)[0]


def _chosen(settings: Settings, folder: ModelFolder) -> tuple[Backbone, str, int]:
    """Choose an engine; also return what to log of it, and as how grave."""
    _require_engine(settings)
    if settings.engine == "torch":
        return _TorchWhenAsked(folder, settings), "", logging.INFO
    if settings.engine == "auto" and has_card():
        return _TorchWhenAsked(folder, settings), f"torch runs {folder.name} on a graphics card", logging.INFO
    exports, trouble = _exports(folder)
    wants_faster = settings.engine == "auto" and has_torch()
    backbone = _first_that_runs(exports, folder, settings, trouble, paying=wants_faster)
    if backbone:
        why = f"{backbone.engine} runs {folder.name}: {_told(trouble)}" if trouble else ""
        return backbone, why, logging.WARNING
    if wants_faster and trouble:
        return _TorchWhenAsked(folder, settings), f"torch runs {folder.name}: {_told(trouble)}", logging.WARNING
    if wants_faster:
        hint = f"torch runs {folder.name}, which has no export: `sokkuri export` makes one, {USUALLY_FASTER}"
        return _TorchWhenAsked(folder, settings, hint), "", logging.INFO
    if settings.engine == "openvino":
        raise trouble[0] if trouble else NotFound(f"model {folder.name} has no export: {made_by(folder.name, DEFAULT)}")
    why = _told(trouble) or f"it has no export, and torch is not installed: {made_by(folder.name, DEFAULT)}"
    raise EngineMissing(f"nothing here can run model {folder.name}: {why}")


def _first_that_runs(
    exports: Sequence[Export], folder: ModelFolder, settings: Settings, trouble: list[SokkuriError], *, paying: bool
) -> Backbone | None:
    """Open the fastest export that runs (if `paying`, and is faster than torch); add what is wrong with others."""
    for export in fastest_first(exports):
        try:
            if paying:
                export.require_paying()
            return _openvino(export, folder, settings)
        except SokkuriError as error:
            trouble.append(error)
    return None


def _told(trouble: Sequence[SokkuriError]) -> str:
    """Return what is wrong with some exports, each reason once."""
    return "; ".join(dict.fromkeys(map(str, trouble)))


def has_card() -> bool:
    """Tell whether torch finds a graphics card; it is loaded only where a driver is there to be found."""
    if not any(file.exists() for file in DRIVERS) or not has_torch():
        return False
    try:
        torch_backbone()
    except EngineMissing:
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
    """A model's own backbone, which is opened when the first picture comes: loading torch takes seconds.

    `hint` is what to tell then. Raises EngineMissing at once where torch is not installed.
    """

    def __init__(self, folder: ModelFolder, settings: Settings, hint: str = "") -> None:
        if not has_torch():
            raise _missing("torch")
        self._hint = hint
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
            if self._hint:
                logger.warning(self._hint)
            self._opened = self._open()
        return self._opened


def _missing(name: str | None) -> EngineMissing:
    """Return the error of a package that torch's engine needs."""
    return EngineMissing(f"this model needs {name}, which is not installed: pip install 'sokkuri[train]'")


def _torch(folder: ModelFolder, settings: Settings) -> Backbone:
    """Open a backbone as it was trained. Raises EngineMissing or Corrupt."""
    return torch_backbone().load(folder, settings.threads)


def torch_backbone() -> type[TorchBackbone]:
    """Load torch, which takes seconds, and return what runs a network by it. Raises EngineMissing."""
    if not has_torch():
        raise _missing("torch")
    try:
        from recommender.encoders.torch_encoder import TorchBackbone
    except ModuleNotFoundError as error:
        raise _missing(error.name) from None
    except (ImportError, OSError) as error:  # its libraries cannot be loaded
        raise EngineMissing(f"torch cannot be loaded ({error}): pip install 'sokkuri[train]'") from None
    return TorchBackbone


def _openvino(export: Export, folder: ModelFolder, settings: Settings) -> Backbone:
    """Open an export. Raises EngineMissing or ExportUnusable."""
    return openvino_backbone().load(export, folder.preprocessing, settings.threads)


def openvino_backbone() -> type[OpenVinoBackbone]:
    """Load OpenVINO, and return what runs a network by it. Raises EngineMissing."""
    try:
        from recommender.encoders.openvino_encoder import OpenVinoBackbone
    except (ImportError, OSError) as error:  # also where its libraries cannot be loaded
        raise EngineMissing(f"openvino cannot be loaded ({error}): pip install openvino") from None
    return OpenVinoBackbone


def require_answerable(settings: Settings, name: str, space: str) -> None:
    """Raise what `open_encoder` would raise, as far as that can be told without opening a network.

    `space` is the fingerprint of stored embeddings. The engine itself is loaded, for torch in seconds: it may be there
    and not run. Raises ModelError, Corrupt or NotFound.
    """
    folder = ModelFolder.open(settings.home / "models" / name)
    if space == folder.stored_space(folder.space).fingerprint:
        torch_backbone()
    else:
        Export.of_space(folder, space)
        openvino_backbone()
