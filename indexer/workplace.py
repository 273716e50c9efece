"""The home as a place of work: one batch job at a time, with everything in the state that a job may rely on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

from indexer.holding import held
from indexer.marks import unmark_known
from recommender.catalogue import Catalogue
from recommender.folders import sweep
from recommender.homes import refuse_lost
from recommender.settings import Settings
from recommender.tables import REVISION, revision_at


@contextmanager
def workplace(settings: Settings, job: str, *, founding: bool = False) -> Iterator[Catalogue]:
    """Hold the home for a job and give its catalogue, up to date. The system frees the lock of a job that dies.

    Where there is no catalogue one is made, but beside models or snapshots only for a job that is `founding`: for any
    other an empty one would hide that theirs is lost. Raises Busy, naming the job that holds the home, BuildError where
    the home cannot be written to, and CatalogueLost.
    """
    with held(settings.home, job, "choose another folder with --home"):
        for folder in ("models", "snapshots", "embeddings"):
            sweep(settings.home / folder)
        revision = revision_at(settings.database_url)
        if revision is None and not founding:
            refuse_lost(settings)
        if revision != REVISION:
            import migrations  # Alembic takes longer to load than all of the rest together

            migrations.upgrade(settings.database_url)
        with Catalogue(settings.database_url) as catalogue:
            unmark_known(settings.home / "snapshots", catalogue)
            yield catalogue


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a job as Ctrl-C does: what it is about is finished, and what it has is written."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
