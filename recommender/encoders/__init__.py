"""Adapters that run a network, one file an engine, and the choice between them. Importing this loads no engine."""

from __future__ import annotations

from recommender.encoder import ModelEncoder
from recommender.errors import EngineMissing, SettingError
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings

ENGINES = ("auto", "torch")


def open_encoder(settings: Settings, name: str) -> ModelEncoder:
    """Open the model `name` of the home with the engine of the settings. Raises ModelError, or Corrupt."""
    if settings.engine not in ENGINES:
        raise SettingError(f"SOKKURI_ENGINE has to be one of {', '.join(ENGINES)}, not {settings.engine!r}")
    folder = ModelFolder.open(settings.home / "models" / name)
    try:
        from recommender.encoders.torch_encoder import TorchBackbone
    except ModuleNotFoundError as error:
        raise EngineMissing(
            f"this model needs {error.name}, which is not installed: pip install 'sokkuri[train]'"
        ) from None
    return ModelEncoder(folder, TorchBackbone.load(folder, settings.threads))
