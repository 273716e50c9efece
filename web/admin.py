"""The operator's page, /admin/jobs: what is published, whether a worker is there, the jobs; start one, cancel one.

It is there only where the settings have a token, which is asked for once. The page works without JavaScript; with it,
`static/jobs.js` swaps in parts of the same page while it is looked at. Not here: who may (`access`), the JSON (`jobs`).
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from recommender.errors import SokkuriError
from recommender.jobs import OPTIONS
from web.access import COOKIE_PATH, FIELD, Session, end_session, is_token, new_session, require_form, session_of
from web.errors import explain
from web.jobs import jobs, keep_nothing, libraries, start_job
from web.wiring import wiring
from web.wording import duration, moment, stage_in_words

MOST_BYTES = 20_000
SHOWN_JOBS = 20
SHOWN_REJECTS = 100
FORBIDDEN = 403

blueprint = Blueprint("admin", __name__, url_prefix=COOKIE_PATH)
blueprint.after_request(keep_nothing)
blueprint.add_app_template_filter(duration)
blueprint.add_app_template_filter(moment)
blueprint.add_app_template_filter(stage_in_words)


@blueprint.before_request
def bound() -> None:
    """Take no more than a form of ours holds."""
    request.max_content_length = MOST_BYTES


@blueprint.get("/jobs")
def overview() -> ResponseReturnValue:
    """Show what there is, or ask for the token."""
    session = session_of(request)
    return _overview(session) if session else _ask_for_token()


@blueprint.post("/session")
def enter() -> ResponseReturnValue:
    """Take the token once, and give the browser a cookie for a working day."""
    if not is_token(request.form.get("token", "")):
        return _ask_for_token(FORBIDDEN, "This is not the token that the server was started with.")
    response = make_response(redirect(url_for("admin.overview"), 303))
    new_session().begin(response)
    return response


@blueprint.post("/leave")
def leave() -> ResponseReturnValue:
    """End the session."""
    session = session_of(request)
    if session:
        require_form(session)
    response = make_response(redirect(url_for("admin.overview"), 303))
    end_session(response)
    return response


@blueprint.post("/jobs")
def start() -> ResponseReturnValue:
    """Start a job; what stands in the way is told on the same page."""
    session = session_of(request)
    if session is None:
        return _ask_for_token(FORBIDDEN)
    require_form(session)
    try:
        start_job(request.form.get("library"), {name: name in request.form for name in OPTIONS})
    except SokkuriError as error:
        return _overview(session, error)
    return redirect(url_for("admin.overview"), 303)


@blueprint.get("/jobs/<job>")
def one(job: str) -> ResponseReturnValue:
    """Show a job with its report and all that happened to it."""
    session = session_of(request)
    if session is None:
        return _ask_for_token()
    return render_template("job.html", job=jobs().job(job), worker=jobs().worker(), shown=SHOWN_REJECTS, **_of(session))


@blueprint.post("/jobs/<job>/cancel")
def cancel(job: str) -> ResponseReturnValue:
    """Cancel a job; one that has ended meanwhile is shown as it is."""
    session = session_of(request)
    if session is None:
        return _ask_for_token(FORBIDDEN)
    require_form(session)
    try:
        jobs().cancel(job)
    except SokkuriError as error:
        return _overview(session, error)
    return redirect(url_for("admin.overview"), 303)


def _overview(session: Session, error: SokkuriError | HTTPException | None = None) -> Response:
    facts: dict[str, Any] = {"published": None, "found": [], "library": None}
    try:
        catalogue = wiring().publication.catalogue
        facts["published"] = catalogue.published()
        facts["library"] = catalogue.published_library()
    except SokkuriError as trouble:
        facts["trouble"] = str(trouble)
    try:
        facts["found"] = jobs().latest(SHOWN_JOBS)
        facts["worker"] = jobs().worker()
    except SokkuriError as trouble:
        error = error or trouble
    explained = explain(error) if error else None
    page = render_template("jobs.html", libraries=libraries(), error=explained, **facts, **_of(session))
    return make_response(page, explained.problem.status if explained else 200)


def _ask_for_token(status: int = 200, wrong: str = "") -> Response:
    """Ask for the token; nothing of what is behind it is shown. A form that did nothing says so by its status."""
    return make_response(render_template("token.html", wrong=wrong), status)


def _of(session: Session) -> dict[str, Any]:
    return {"form_field": FIELD, "form_token": session.form_token, "admin": True}
