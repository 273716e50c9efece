"""What the service says about itself: whether it is alive and ready, and what its interface is."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, render_template
from flask.typing import ResponseReturnValue

from recommender.errors import NotFound
from web.errors import PROBLEMS
from web.metrics import CONTENT_TYPE
from web.openapi_jobs import document
from web.wiring import current, wiring

blueprint = Blueprint("describe", __name__)


@blueprint.get("/healthz")
def alive() -> dict[str, Any]:
    """Say that the process answers."""
    return {"status": "alive"}


@blueprint.get("/readyz")
def ready() -> dict[str, Any]:
    """Say which model and snapshot are open, or answer 503 with the reason."""
    recommender = current()
    return {
        "status": "ready",
        "model": recommender.encoder.info.name,
        "engine": recommender.encoder.info.engine,
        "snapshot": recommender.snapshot.info.id,
    }


@blueprint.get("/metrics")
def metrics() -> Response:
    """Send what an operator watches, in the text format of Prometheus."""
    return Response(wiring().metrics.text(), content_type=CONTENT_TYPE)


@blueprint.get("/api/openapi.json")
def openapi() -> dict[str, Any]:
    """Send the description of the interface."""
    return document(with_jobs=bool(wiring().settings.admin_token))


@blueprint.get("/api/docs")
def docs() -> ResponseReturnValue:
    """Show the description of the interface."""
    return render_template("docs.html", document=openapi())


@blueprint.get("/api/problems/<name>")
def problem(name: str) -> ResponseReturnValue:
    """Explain a kind of error."""
    if name not in PROBLEMS:
        raise NotFound(f"there is no problem {name[:40]!r}: /api/docs lists them")
    return render_template("problem.html", problem=PROBLEMS[name])
