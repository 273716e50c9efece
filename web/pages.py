"""The pages for people. They work without JavaScript; with it, `static/sokkuri.js` swaps in parts of the same pages."""

from __future__ import annotations

import base64
from dataclasses import replace
from time import perf_counter
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from recommender.errors import SokkuriError
from recommender.images import thumbnail
from recommender.serialise import thumbnail_url
from recommender.service import Recommender
from recommender.types import Query, SimilarResults
from web.browse import characters_of, pictures_of, shows_of
from web.errors import explain
from web.listening import still_wanted
from web.queries import check_names, number
from web.wiring import current, require_room, wiring
from web.wording import UNTRAINED, percent, sentence, word

PREVIEW_SIDE = 480
"""The longer side of the uploaded picture as the page shows it again, in pixels."""
PICTURES = 60
"""How many pictures of a character a page shows."""

blueprint = Blueprint("pages", __name__)
blueprint.add_app_template_filter(percent)
blueprint.add_app_template_filter(sentence)
blueprint.add_app_template_global(thumbnail_url)


@blueprint.app_context_processor
def model_notice() -> dict[str, Any]:
    """Let every page warn of the model that it shows results of."""
    try:
        info = current().encoder.info
    except SokkuriError:
        return {"notice": ""}
    return {"notice": info.notice or (UNTRAINED if info.untrained else "")}


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Show the form, and what can be asked of it."""
    return _home()


@blueprint.post("/")
def ask() -> ResponseReturnValue:
    """Answer the form on the same page; an error is shown in the place of the answer, with its own status."""
    try:
        return _home(**_answer(current()))
    except (SokkuriError, HTTPException) as error:
        return _home(error)


@blueprint.get("/shows")
def shows() -> ResponseReturnValue:
    """Show every show."""
    return render_template("shows.html", entries=shows_of(current().snapshot))


@blueprint.get("/shows/<show>")
def show(show: str) -> ResponseReturnValue:
    """Show a show, its characters and what is drawn like it."""
    recommender = current()
    found = recommender.show(show)
    entries = characters_of(recommender.snapshot, show)
    similar = recommender.similar_to_show(show, Query(limit=6)) if entries else SimilarResults((), (), ())
    return render_template("show.html", show=found, entries=entries, similar=similar)


@blueprint.get("/characters/<show>/<character>")
def character(show: str, character: str) -> ResponseReturnValue:
    """Show a character and its pictures, a page at a time."""
    check_names(request.args, ("page",))
    recommender = current()
    found = recommender.character(f"{show}/{character}")
    pictures = pictures_of(recommender.snapshot, found.label)
    last = max(1, -(-len(pictures) // PICTURES))
    page = number(request.args, "page", 1, least=1, most=last)
    shown = pictures[(page - 1) * PICTURES : page * PICTURES]
    return render_template("character.html", character=found, count=len(pictures), pictures=shown, page=page, last=last)


def _answer(recommender: Recommender) -> dict[str, Any]:
    """Answer the picture in the form. The preview travels inside the page, since the picture is stored nowhere."""
    require_room()
    with wiring().uploads.held(request, wiring().settings.max_bytes) as data:
        wanted = still_wanted(request.environ)
        asked = perf_counter()
        with recommender.admitted(wanted):
            started = perf_counter()
            image = recommender.decode(data)
            decoded = perf_counter()
            answer = recommender.recommend(image, wanted=wanted)
    waiting, decoding = 1000 * (started - asked), 1000 * (decoded - started)
    timing = replace(
        answer.timing,
        wait=answer.timing.wait + waiting,
        decode=answer.timing.decode + decoding,
        total=answer.timing.total + waiting + decoding,
    )
    wiring().metrics.observe(timing)
    answer = replace(answer, timing=timing)
    preview = base64.b64encode(thumbnail(image, PREVIEW_SIDE)).decode()
    return {"answer": answer, "wording": word(answer), "preview": f"data:image/jpeg;base64,{preview}"}


def _home(error: SokkuriError | HTTPException | None = None, **answer: Any) -> Response:
    """Render the page with an answer, an error or neither. Without anything to answer from it says what to run."""
    try:
        recommender = current()
        facts: dict[str, Any] = {"info": recommender.snapshot.info, "model": recommender.encoder.info}
    except SokkuriError as trouble:
        facts, error = {"trouble": True}, trouble
    explained = explain(error) if error else None
    page = render_template("index.html", error=explained, max_bytes=wiring().settings.max_bytes, **facts, **answer)
    response = make_response(page, explained.problem.status if explained else 200)
    response.headers.update(explained.headers if explained else {})
    # The answer holds the picture: neither a proxy nor the browser's disk is to keep it.
    response.headers["Cache-Control"] = "no-store" if request.method == "POST" else "no-cache"
    return response
