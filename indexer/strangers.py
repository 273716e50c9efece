"""Models and snapshots that lie in a home, but that its catalogue does not know: it was lost, or is another one.

Nothing of theirs may be removed then. Not here: what a crash left of a snapshot that never was published, which
`indexer.prune` removes; and unfinished folders, which `workplace` sweeps.
"""

from __future__ import annotations

from pathlib import Path

from indexer.workplace import now
from recommender.catalogue import Catalogue, ModelRow
from recommender.errors import NotFound, UnknownArtefacts
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings

ELSE = "if it is not wanted, remove the folder"


def strangers(settings: Settings, catalogue: Catalogue) -> list[str]:
    """Return a line for each finished model and snapshot that the catalogue does not know, which says what to do.

    Where it knows one of the snapshots that lie there, it is the catalogue of this home: then a job that died, before
    it could publish or while it pruned, left those that it does not know, and they are none.
    """
    models = {row.name for row in catalogue.models()}
    lines = [
        f"models/{folder.name} is unknown to the catalogue: `sokkuri use {folder.name}` takes it in, if the catalogue "
        f"was lost; SOKKURI_DATABASE may also name another one; {ELSE}"
        for folder in finished(settings.home / "models")
        if folder.name not in models
    ]
    known = {info.id for info in catalogue.snapshots()}
    found = [folder.name for folder in finished(settings.home / "snapshots")]
    if known.isdisjoint(found):
        lines += [
            f"snapshots/{name} is unknown to the catalogue: restore that, or correct SOKKURI_DATABASE; or "
            f"run `sokkuri use MODEL` and `sokkuri reindex LIBRARY`, which make another one; {ELSE}"
            for name in found
        ]
    return lines


def refuse_strangers(settings: Settings, catalogue: Catalogue) -> None:
    """Raise UnknownArtefacts where the catalogue does not know all that lies there."""
    if lines := strangers(settings, catalogue):
        more = f", and {len(lines) - 1} more (`sokkuri verify` lists them)" if len(lines) > 1 else ""
        raise UnknownArtefacts(f"nothing was removed: {lines[0]}{more}")


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


def finished(parent: Path) -> list[Path]:
    """Return the finished folders of a kind of artefact, by name; `workplace` has swept the others."""
    return sorted(path for path in parent.glob("*") if path.is_dir() and not path.name.startswith("."))
