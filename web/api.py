"""The JSON interface, /api/v1. Each route checks, asks the recommender and translates; `openapi` describes them all."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from recommender.serialise import (
    API,
    character_to_json,
    recommendations_to_json,
    show_to_json,
    similar_to_json,
    thumbnail_url,
)
from recommender.service import Recommender
from recommender.types import Query
from web.browse import characters_of, pictures_of, shows_of
from web.files import checked_id, picture_file, thumbnail_file
from web.listening import still_wanted
from web.queries import check_names, number, query_of
from web.wiring import current, require_room, wiring

Json = dict[str, Any]

PAGE = 100
"""The most pictures of a character that one answer lists."""

blueprint = Blueprint("api", __name__, url_prefix=API)


@blueprint.post("/recommendations")
def recommend() -> Json:
    """Say who is on a picture, and what looks like it."""
    recommender = current()
    query = query_of(request.args, recommender.snapshot)
    require_room()
    with wiring().uploads.held(request, wiring().settings.max_bytes) as data:
        answer = recommender.recommend(data, query, still_wanted(request.environ))
    wiring().metrics.observe(answer.timing)
    return recommendations_to_json(answer)


@blueprint.get("/shows")
def shows() -> Json:
    """List the shows."""
    entries = shows_of(current().snapshot)
    return {
        "shows": [show_to_json(one.show) | {"characters": one.characters, "pictures": one.pictures} for one in entries]
    }


@blueprint.get("/shows/<show>")
def show(show: str) -> Json:
    """Describe a show and list its characters."""
    recommender = current()
    found = recommender.show(show)
    entries = characters_of(recommender.snapshot, show)
    characters = [character_to_json(one.character) | {"pictures": one.pictures} for one in entries]
    return show_to_json(found) | {"pictures": sum(one.pictures for one in entries), "characters": characters}


@blueprint.get("/shows/<show>/similar")
def similar_to_show(show: str) -> Json:
    """List what is drawn like a show."""
    recommender = current()
    found = recommender.show(show)
    return show_to_json(found) | similar_to_json(recommender.similar_to_show(show, _query(recommender)))


@blueprint.get("/characters/<show>/<character>")
def character(show: str, character: str) -> Json:
    """Describe a character and list its pictures, a page at a time."""
    check_names(request.args, ("limit", "offset"))
    limit = number(request.args, "limit", Query().limit, least=1, most=PAGE)
    offset = number(request.args, "offset", 0, least=0, most=999_999_999)
    recommender = current()
    found = recommender.character(f"{show}/{character}")
    ids = pictures_of(recommender.snapshot, found.label)
    page = [_addresses(picture) for picture in ids[offset : offset + limit]]
    return character_to_json(found) | {"count": len(ids), "limit": limit, "offset": offset, "pictures": page}


@blueprint.get("/pictures/<picture>")
def picture(picture: str) -> Json:
    """Describe a stored picture, by the snapshot's names: the catalogue may be of another day."""
    row = wiring().publication.catalogue.picture(checked_id(picture))
    recommender = current()
    place = recommender.snapshot.row(picture)
    found = recommender.character(row.character) if place is None else recommender.snapshot.character(place)
    shown = character_to_json(found)
    size = {"width": row.width, "height": row.height, "format": row.format, "bytes": row.bytes}
    return _addresses(row.id) | shown | size


@blueprint.get("/pictures/<picture>/file")
def file(picture: str) -> Response:
    """Send a stored picture's file."""
    return picture_file(wiring().publication.catalogue.picture(checked_id(picture)), request)


@blueprint.get("/pictures/<picture>/thumbnail")
def thumbnail(picture: str) -> Response:
    """Send a stored picture's thumbnail."""
    return thumbnail_file(wiring().settings.home.resolve(), checked_id(picture), request)


@blueprint.get("/pictures/<picture>/similar")
def similar_to_picture(picture: str) -> Json:
    """List what looks like a stored picture."""
    recommender = current()
    similar = recommender.similar_to_picture(checked_id(picture), _query(recommender))
    return {"id": picture} | similar_to_json(similar)


def _query(recommender: Recommender) -> Query:
    arguments: MultiDict[str, str] = request.args
    return query_of(arguments, recommender.snapshot)


def _addresses(picture: str) -> Json:
    return {"id": picture, "thumbnail_url": thumbnail_url(picture), "url": f"{API}/pictures/{picture}/file"}
