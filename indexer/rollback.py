"""Rolling back: an earlier snapshot is published again, once it has proved whole. Nothing is built or removed."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.progress import say
from indexer.strangers import not_known, unknown_snapshots
from recommender.catalogue import Catalogue
from recommender.encoders import require_answerable
from recommender.errors import Corrupt, ModelError, NoSnapshot, NotFound, UnknownArtefacts
from recommender.settings import Settings
from recommender.snapshots import open_snapshot
from recommender.types import SnapshotInfo


def rollback(settings: Settings, catalogue: Catalogue, snapshot: str | None) -> SnapshotInfo:
    """Publish an earlier snapshot again, once it has proved whole: the one named, or the next older one that is whole.

    Whole is one whose files are, and from which this machine can answer. Raises NotFound, Corrupt where the one that is
    named is damaged, or all that are older, ModelError where nothing here runs its model, and UnknownArtefacts where
    the catalogue does not know it, or nothing of what lies there.
    """
    known = catalogue.snapshots()
    if snapshot is not None and all(info.id != snapshot for info in known):
        raise not_known(settings, catalogue, snapshot)
    try:
        published = catalogue.published()
    except NoSnapshot:
        if lines := unknown_snapshots(settings, catalogue):
            raise UnknownArtefacts(lines[-1]) from None
        raise
    if snapshot is None:
        older = known[1 + [info.id for info in known].index(published.id) :]
        if not older:
            raise NotFound(f"there is no snapshot older than {published.id}: `sokkuri snapshots` lists them")
        chosen = _newest_whole(settings, older)
    else:
        chosen = next(info for info in known if info.id == snapshot)
        _require_whole(settings, chosen)
    catalogue.republish(chosen.id)
    return chosen


def _newest_whole(settings: Settings, snapshots: Sequence[SnapshotInfo]) -> SnapshotInfo:
    """Return the first that is whole, and tell of those that are passed over. Raises Corrupt where none is."""
    for info in snapshots:
        try:
            _require_whole(settings, info)
        except (Corrupt, ModelError, NotFound) as error:
            say(f"{info.id} is passed over: {error}")
        else:
            return info
    raise Corrupt("no older snapshot is whole: run `sokkuri reindex LIBRARY` to build one anew")


def _require_whole(settings: Settings, info: SnapshotInfo) -> None:
    """Raise what `rollback` raises unless a snapshot is whole, and so is what its questions go through."""
    open_snapshot(settings.home / "snapshots" / info.id, info.digest)
    require_answerable(settings, info.model, info.space)
