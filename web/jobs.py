"""The jobs as JSON, /api/v1/jobs: asked for, looked at and cancelled by whoever has the token.

Without a token in the settings none of these addresses exists. Not here: what a job does, and where it runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnprocessableEntity, UnsupportedMediaType

from recommender.errors import SnapshotError, UnknownLibrary
from recommender.jobqueue import submit
from recommender.jobs import OPTIONS, Job, Jobs, Seen
from recommender.serialise import API
from web.access import require_bearer
from web.queries import check_names
from web.uploads import read_body
from web.wiring import wiring

Json = dict[str, Any]

MOST_BYTES = 20_000
"""A job is asked for in a few words; a path may be long."""
NO_WORKER = "no worker is there: start one beside the server with `sokkuri worker`, on the same home"

blueprint = Blueprint("jobs", __name__, url_prefix=f"{API}/jobs")
blueprint.before_request(require_bearer)


@blueprint.after_request
def keep_nothing(response: Response) -> Response:
    """Let no proxy and no disk keep what an operator sees."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("")
def start() -> tuple[Response, int, dict[str, str]]:
    """Ask for a job."""
    check_names(request.args, ())
    job = start_job(*_wanted())
    return jsonify(job_to_json(job, jobs().worker())), 202, {"Location": _address(job)}


@blueprint.get("")
def latest() -> Json:
    """List the jobs, the newest first."""
    check_names(request.args, ())
    return {
        "jobs": [entry_to_json(job) for job in jobs().latest()],
        "worker": worker_to_json(jobs().worker()),
        "libraries": libraries(),
    }


@blueprint.get("/<job>")
def job(job: str) -> Json:
    """Tell how far a job is, or how it ended."""
    check_names(request.args, ())
    return job_to_json(jobs().job(job), jobs().worker())


@blueprint.post("/<job>/cancel")
def cancel(job: str) -> Json:
    """Cancel a job."""
    check_names(request.args, ())
    return job_to_json(jobs().cancel(job), jobs().worker())


def jobs() -> Jobs:
    """Return the jobs of the home."""
    return Jobs(wiring().settings.home)


def libraries() -> list[str]:
    """Return the libraries that a job may be about: those that this home looked through before."""
    try:
        return wiring().publication.catalogue.libraries()
    except SnapshotError:
        return []  # nothing was trained or indexed yet


def start_job(library: str | None, options: Mapping[str, bool]) -> Job:
    """Ask for a reindex of a library, by default the published one. Raises UnknownLibrary, Conflict, JobsUnusable.

    A token is no key to all of the machine's folders: what nobody ever indexed from its terminal is not looked into.
    """
    known = libraries()
    if library is None:
        library = wiring().publication.catalogue.published_library() if known else None
        if library is None:
            raise UnknownLibrary(
                "nothing was indexed in this home yet: run `sokkuri reindex LIBRARY` once at its terminal"
                if not known
                else f"nothing tells which library is meant: name one of {', '.join(known)}"
            )
    elif (library := library.rstrip("/") or "/") not in known:
        raise UnknownLibrary(
            f"{library[:200]!r} is no library of this home ({', '.join(known) or 'it has none yet'}): only what was "
            "indexed there before is let in; run `sokkuri reindex LIBRARY` once at its terminal"
        )
    return submit(wiring().settings.home, library, options)


def _wanted() -> tuple[str | None, dict[str, bool]]:
    """Read what is asked for. Raises the werkzeug errors for 400, 413, 415 and 422, each with a sentence."""
    try:
        body = read_body(request, MOST_BYTES)
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge(f"a job is asked for with {MOST_BYTES:,} bytes of JSON at most") from None
    if not body.strip():
        return None, {}
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("a job is asked for as JSON: send the header `Content-Type: application/json`")
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest('the body is not JSON: send nothing, or such as {"full": true}, in UTF-8') from None
    allowed = ("library", *OPTIONS)
    shape = f"the JSON has to be an object of {', '.join(allowed)}, each of which may be left out"
    if not isinstance(value, dict):
        raise UnprocessableEntity(shape)
    for name, given in value.items():
        if name not in allowed:
            raise UnprocessableEntity(f"there is no {name[:40]!r}: {shape}")
        kind = str if name == "library" else bool
        if not isinstance(given, kind):
            raise UnprocessableEntity(f"{name!r} has to be {'a text' if kind is str else 'true or false'}")
    return value.pop("library", None), value


def entry_to_json(job: Job) -> Json:
    """Return a job as a list shows it."""
    counted = job.done is not None and job.total is not None
    return {
        "id": job.id,
        "url": _address(job),
        "state": job.state,
        "library": job.library,
        "options": dict(job.options),
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "stage": job.stage,
        "progress": {"done": job.done, "total": job.total} if counted else None,
        "seconds_left": job.seconds_left,
        "cancelling": job.cancelling,
        "error": job.error,
    }


def job_to_json(job: Job, worker: Seen | None) -> Json:
    """Return all about a job."""
    happened = [{"at": one.at, "what": one.what} for one in job.history]
    return entry_to_json(job) | {"report": job.report, "history": happened, "worker": worker_to_json(worker)}


def worker_to_json(worker: Seen | None) -> Json:
    """Return whether a worker is there, and what helps where none is."""
    alive = worker is not None and worker.alive
    return {"alive": alive, "seen": worker.at if worker else None, "notice": "" if alive else NO_WORKER}


def _address(job: Job) -> str:
    return f"{API}/jobs/{job.id}"
