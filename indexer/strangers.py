"""Models and snapshots that lie in a home and that its catalogue does not know: it was lost, is old, or another one's.

Nothing of theirs may be removed then. Not here: what a crash left of a snapshot that never was published, which
`indexer.prune` removes (`marks` tells them apart); and unfinished folders, which `workplace` sweeps.
"""

from __future__ import annotations

import json
from pathlib import Path

from indexer.marks import is_marked
from indexer.workplace import now
from recommender.catalogue import Catalogue, ModelRow
from recommender.errors import NotFound, SokkuriError, UnknownArtefacts
from recommender.homes import finished
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings

ELSE = "if it is not wanted, remove the folder"


def unknown_models(settings: Settings, catalogue: Catalogue) -> list[str]:
    """Return a line for each finished model that the catalogue does not know, which says what to do."""
    known = {row.name for row in catalogue.models()}
    return [
        f"models/{folder.name} is unknown to the catalogue: `sokkuri use {folder.name}` takes it in, if the catalogue "
        f"was lost; SOKKURI_DATABASE may also name another one; {ELSE}"
        for folder in finished(settings.home / "models")
        if folder.name not in known
    ]


def unknown_snapshots(settings: Settings, catalogue: Catalogue) -> list[str]:
    """Return a line for each snapshot that was published and that the catalogue does not know, which says what to do.

    It may be what another catalogue of the same home serves, however much this one has published since.
    """
    there = finished(settings.home / "snapshots")
    known = [info.id for info in catalogue.snapshots()]
    names = {folder.name for folder in there}
    newest = next((name for name in known if name in names), "")
    models = {row.name for row in catalogue.models()}
    return [_told(folder, newest, models) for folder in there if folder.name not in known and not is_marked(folder)]


def strangers(settings: Settings, catalogue: Catalogue) -> list[str]:
    """Return a line for each finished model and published snapshot that the catalogue does not know."""
    return unknown_models(settings, catalogue) + unknown_snapshots(settings, catalogue)


def refuse_strangers(settings: Settings, catalogue: Catalogue, *, snapshots: bool = True) -> None:
    """Raise UnknownArtefacts where the catalogue does not know all that lies there, or all models."""
    if lines := strangers(settings, catalogue) if snapshots else unknown_models(settings, catalogue):
        more = f", and {len(lines) - 1} more (`sokkuri verify` lists them)" if len(lines) > 1 else ""
        raise UnknownArtefacts(f"nothing was removed: {lines[0]}{more}")


def not_known(settings: Settings, catalogue: Catalogue, snapshot: str) -> SokkuriError:
    """Return an error that says why a snapshot that the catalogue does not know cannot be published again."""
    folder = settings.home / "snapshots" / snapshot
    if folder not in finished(settings.home / "snapshots"):
        return NotFound(f"there is no snapshot {snapshot!r}: `sokkuri snapshots` lists them")
    for line in unknown_snapshots(settings, catalogue):
        if line.startswith(f"snapshots/{snapshot} "):
            return UnknownArtefacts(line)
    return NotFound(f"snapshots/{snapshot} is what a job left that was stopped: `sokkuri prune` removes it")


def take_in(settings: Settings, catalogue: Catalogue, name: str) -> bool:
    """Make the catalogue know a whole model that lies in the home, unless it does; tell whether it did not.

    Raises NotFound where there is none, Corrupt or LabelMismatch where it is not whole.
    """
    try:
        catalogue.model(name)
    except NotFound:
        if name not in {folder.name for folder in finished(settings.home / "models")}:
            raise
        model = ModelFolder.open(settings.home / "models" / name)
        created = str(model.manifest.get("created") or now())
        space = model.space
        row = ModelRow(name, space.backbone, model.digest, space.fingerprint, created, model.notice or None)
        catalogue.add_model(row, use=False)
        return True
    return False


def _told(folder: Path, newest: str, models: set[str]) -> str:
    """Return the line for a snapshot; `newest` is the last one that the catalogue published first, or empty.

    Nothing but its name, a time, tells how old a stranger is.
    """
    what = f"snapshots/{folder.name} is unknown to the catalogue"
    gone = "`sokkuri prune --unknown` removes it"
    if folder.name < newest:
        return f"{what}: does SOKKURI_DATABASE name the right one? Then it belongs to one that was lost, and {gone}"
    newer = ", and newer than all that it knows" if newest else ""
    return (
        f"{what}{newer}: was that lost, or restored from an older copy? Restore a newer copy, or correct "
        f"SOKKURI_DATABASE; or run {_anew(folder, models)}, which publishes anew and embeds no picture twice; "
        f"after that {gone}"
    )


def _anew(folder: Path, models: set[str]) -> str:
    """Return the commands that publish what a snapshot is of once more, its model taken in where it has to be."""
    from recommender.snapshots import MANIFEST  # that loads FAISS, and hardly ever does anybody come here

    try:
        model = str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError):
        model = "MODEL"
    first = "" if model in models else f"`sokkuri use {model}` and "
    return f"{first}`sokkuri reindex LIBRARY`"
