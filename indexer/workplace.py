"""The home as a place of work: one batch job at a time, with everything in the state that a job may rely on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType

from indexer.holding import held
from indexer.marks import unmark_known
from recommender.catalogue import Catalogue
from recommender.errors import SokkuriError
from recommender.folders import sweep
from recommender.homes import refuse_lost
from recommender.settings import Settings
from recommender.tables import REVISION, revision_at


@contextmanager
def workplace(settings: Settings, job: str, *, founding: bool = False, looking: bool = False) -> Iterator[Catalogue]:
    """Hold the home for a job and give its catalogue, up to date. The system frees the lock of a job that dies.

    Where there is no catalogue one is made, but beside models or snapshots only for a job that is `founding`: for any
    other an empty one would hide that theirs is lost; for the same reason it goes again where the job fails before it
    has written anything to it. Raises Busy, naming the job that holds the home, CatalogueLost, and BuildError where the
    home cannot be written to, unless the job is one that is only `looking`: then all is left as it is there, and an
    older catalogue raises CatalogueVersion.
    """
    with held(settings.home, job, "choose another folder with --home", looking=looking) as writable:
        revision = revision_at(settings.database_url)
        if revision is None and not founding:
            refuse_lost(settings)
        if writable:
            _bring_up_to_date(settings, revision)
        try:
            with Catalogue(settings.database_url) as catalogue:
                if writable:
                    unmark_known(settings.home / "snapshots", catalogue)
                yield catalogue
        except BaseException:
            if writable and revision is None:
                _withdraw(settings)
            raise


def _bring_up_to_date(settings: Settings, revision: str | None) -> None:
    """Remove what crashes left unfinished, and give the catalogue the tables of this version."""
    for folder in ("models", "snapshots", "embeddings"):
        sweep(settings.home / folder)
    if revision != REVISION:
        import migrations  # Alembic takes longer to load than all of the rest together

        migrations.upgrade(settings.database_url)


def _withdraw(settings: Settings) -> None:
    """Remove the catalogue that was made for a job which has failed, if it is empty still."""
    import migrations

    with suppress(SokkuriError, OSError):  # what the job failed with is what is told
        migrations.withdraw(settings.database_url)


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
