"""What a request may reach: the settings and the publication, held by the application and by no module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app
from flask.json.provider import DefaultJSONProvider

from recommender.errors import Busy, ModelError, SnapshotError, SokkuriError
from recommender.publication import Publication
from recommender.service import Recommender
from recommender.settings import Settings
from web.metrics import Metrics
from web.uploads import UploadRoom

_KEY = "sokkuri"


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts of one application."""

    settings: Settings
    publication: Publication
    metrics: Metrics
    uploads: UploadRoom

    def attach(self, app: Flask) -> None:
        """Make this the wiring of `app`."""
        app.extensions[_KEY] = self


class Json(DefaultJSONProvider):
    """JSON in the order in which it was written, with names in their own script."""

    sort_keys = False
    ensure_ascii = False


def wiring() -> Wiring:
    """Return the wiring of the application that answers this request."""
    return wiring_of(current_app)


def wiring_of(app: Flask) -> Wiring:
    """Return the wiring of an application."""
    return cast("Wiring", app.extensions[_KEY])


def current() -> Recommender:
    """Return the recommender to answer this request with. Raises ModelError, SnapshotError or Busy where there is none.

    What stood in the way of opening it is never the fault of this request, so no other family leaves here: a model
    that is missing on the server is no "not found" of the client's.
    """
    try:
        return wiring().publication.current()
    except (ModelError, SnapshotError, Busy):
        raise
    except SokkuriError as trouble:
        raise ModelError(str(trouble)) from trouble


def require_room() -> None:
    """Raise Busy where no other picture can be taken: so a refused one is never read, let alone taken apart."""
    wiring().publication.capacity.working.require_room()
