"""What lies in a home beside its catalogue, and whether the catalogue that ought to know it is lost.

Not here: what the catalogue knows (`catalogue`), and what is done about what it does not (`indexer.strangers`).
"""

from __future__ import annotations

from pathlib import Path

from recommender.errors import CatalogueLost
from recommender.settings import Settings
from recommender.tables import revision_at


def finished(parent: Path) -> list[Path]:
    """Return the finished folders of a kind of artefact, by name: those that are still being written are hidden."""
    return sorted(path for path in parent.glob("*") if path.is_dir() and not path.name.startswith("."))


def lost(settings: Settings) -> CatalogueLost | None:
    """Return an error that says what to do where there is no catalogue though models or snapshots lie there."""
    models, snapshots = (finished(settings.home / kind) for kind in ("models", "snapshots"))
    if not (models or snapshots) or revision_at(settings.database_url) is not None:
        return None
    begins = f"`sokkuri use {models[-1].name}`" if models else "`sokkuri db upgrade`"
    return CatalogueLost(
        f"the catalogue is lost: {len(models)} models and {len(snapshots)} snapshots lie in the home, and none that "
        "knows them. Restore it from a copy, or correct SOKKURI_DATABASE; without a copy "
        f"{begins} begins another one, and `sokkuri reindex LIBRARY` publishes anew, embedding no picture twice"
    )


def refuse_lost(settings: Settings) -> None:
    """Raise CatalogueLost where there is no catalogue though models or snapshots lie there."""
    if error := lost(settings):
        raise error
