"""The OpenAPI 3.1 description of the interface, written by hand as data; a test holds it to the real addresses.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Any

from recommender.serialise import API
from recommender.types import TYPE_NAMES

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
YEAR: Json = {"type": ["integer", "null"]}
KIND: Json = {"type": ["string", "null"], "enum": [*TYPE_NAMES, None]}
IDENTITY: Json = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the picture file"}


def _ranked() -> dict[str, Json]:
    """Return what every ranked group has: its score, what that is worth, and the pictures that say so."""
    return {"score": NUMBER, "probability": SHARE, "evidence": list_of(IDENTITY)}


def object_of(**properties: Json) -> Json:
    """Return the schema of an object that has all of `properties` and nothing else."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def list_of(items: Json) -> Json:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def schema_of(name: str) -> Json:
    """Refer to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


_SIMILAR: dict[str, Json] = {
    "similar_pictures": list_of(schema_of("SimilarPicture")),
    "similar_characters": list_of(schema_of("SimilarCharacter")),
    "similar_shows": list_of(schema_of("SimilarShow")),
}
_SHOW: dict[str, Json] = {"show": TEXT, "title": TEXT, "year": YEAR}
_CHARACTER: dict[str, Json] = {"character": TEXT, "name": TEXT, "show": TEXT, "title": TEXT, "type": KIND}
_PICTURE: dict[str, Json] = {"id": IDENTITY, "thumbnail_url": TEXT, "url": TEXT}

SCHEMAS: Json = {
    "Recommendations": object_of(
        model=object_of(name=TEXT, backbone=TEXT, engine=TEXT, untrained={"type": "boolean"}, notice=TEXT),
        snapshot=TEXT,
        labels=object_of(
            type=list_of(object_of(label=TEXT, probability=SHARE)),
            character=list_of(object_of(label=TEXT, name=TEXT, probability=SHARE)),
            show=list_of(object_of(label=TEXT, title=TEXT, probability=SHARE)),
        ),
        verdict=object_of(
            level={"type": "string", "enum": ["character", "show", "type", "unknown"]},
            label={"type": ["string", "null"]},
            probability=SHARE,
        ),
        **_SIMILAR,
        timing_ms=object_of(wait=NUMBER, decode=NUMBER, encode=NUMBER, search=NUMBER, rank=NUMBER, total=NUMBER),
    ),
    "SimilarPicture": object_of(
        id=IDENTITY,
        character=TEXT,
        name=TEXT,
        show=TEXT,
        title=TEXT,
        similarity=NUMBER | {"description": "cosine of the two embeddings"},
        probability=SHARE | {"description": "calibrated chance that both pictures show the same character"},
        thumbnail_url=TEXT,
        url=TEXT,
    ),
    "SimilarCharacter": object_of(character=TEXT, name=TEXT, show=TEXT, **_ranked()),
    "SimilarShow": object_of(show=TEXT, title=TEXT, **_ranked()),
    "Shows": object_of(shows=list_of(object_of(**_SHOW, characters=COUNT, pictures=COUNT))),
    "Show": object_of(**_SHOW, pictures=COUNT, characters=list_of(object_of(**_CHARACTER, pictures=COUNT))),
    "SimilarToShow": object_of(**_SHOW, **_SIMILAR),
    "Character": object_of(
        **_CHARACTER, count=COUNT, limit=COUNT, offset=COUNT, pictures=list_of(object_of(**_PICTURE))
    ),
    "Picture": object_of(**_PICTURE, **_CHARACTER, width=COUNT, height=COUNT, format=TEXT, bytes=COUNT),
    "SimilarToPicture": object_of(id=IDENTITY, **_SIMILAR),
    "Alive": object_of(status=TEXT),
    "Ready": object_of(status=TEXT, model=TEXT, engine=TEXT, snapshot=TEXT),
    "Problem": object_of(type=TEXT, title=TEXT, status={"type": "integer"}, detail=TEXT),
}


def _parameter(name: str, schema: Json, description: str, *, within: str = "query") -> Json:
    required = {"required": True} if within == "path" else {}
    return {"name": name, "in": within, "schema": schema, "description": description} | required


_FILTERS = [
    _parameter("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 12}, "results of each kind"),
    _parameter("type", {"type": "string", "enum": [*TYPE_NAMES]}, "only characters of this type"),
    _parameter("show", TEXT, "only this show"),
    _parameter("exclude_show", list_of(TEXT), "not this show; may be repeated"),
    _parameter("year_from", {"type": "integer"}, "only shows of this year or later"),
    _parameter("year_to", {"type": "integer"}, "only shows of this year or earlier"),
]
_PAGING = [
    _parameter("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 12}, "pictures to list"),
    _parameter("offset", {"type": "integer", "minimum": 0, "default": 0}, "pictures to skip"),
]
_IN_PATH = {
    "show": _parameter("show", TEXT, "the show's folder name", within="path"),
    "character": _parameter("character", TEXT, "the character's folder name", within="path"),
    "picture": _parameter("picture", IDENTITY, "the picture's id", within="path"),
    "name": _parameter("name", TEXT, "the last part of a problem's type", within="path"),
}
_ERRORS = {
    400: "an unreadable picture or a bad parameter",
    404: "no such show, character or picture",
    408: "a request that takes too long to arrive",
    413: "too many bytes or pixels",
    415: "not a supported picture format",
    422: "JSON of the wrong shape",
    503: "nothing to answer from, or too much at once; see Retry-After",
}


def _operation(path: str, summary: str, answer: Json, errors: tuple[int, ...], query: list[Json] | None = None) -> Json:
    """Describe one way to call an address; its path parameters are read from the path."""
    named = [_IN_PATH[part[1:-1]] for part in path.split("/") if part.startswith("{")]
    problem = {"application/problem+json": {"schema": schema_of("Problem")}}
    failures = {str(status): {"description": _ERRORS[status], "content": problem} for status in errors}
    parameters = [*named, *(query or [])]
    return {
        "summary": summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": {"200": {"description": "found", "content": answer}, **failures},
    }


def _json(name: str) -> Json:
    return {"application/json": {"schema": schema_of(name)}}


_UPLOAD: Json = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": object_of(picture={"type": "string", "contentMediaType": "image/*"})},
        "image/*": {},
        "application/json": {"schema": object_of(base64={"type": "string", "contentEncoding": "base64"})},
    },
}
_PAGE_OF_TEXT: Json = {"text/html": {}}
_GETS: tuple[tuple[str, str, Json, tuple[int, ...], list[Json]], ...] = (
    (f"{API}/shows", "List the shows", _json("Shows"), (503,), []),
    (f"{API}/shows/{{show}}", "Describe a show and its characters", _json("Show"), (404, 503), []),
    (f"{API}/shows/{{show}}/similar", "What is drawn like a show", _json("SimilarToShow"), (400, 404, 503), _FILTERS),
    (
        f"{API}/characters/{{show}}/{{character}}",
        "Describe a character and list its pictures",
        _json("Character"),
        (400, 404, 503),
        _PAGING,
    ),
    (f"{API}/pictures/{{picture}}", "Describe a stored picture", _json("Picture"), (404, 503), []),
    (f"{API}/pictures/{{picture}}/file", "A stored picture's file", {"image/*": {}}, (404, 503), []),
    (f"{API}/pictures/{{picture}}/thumbnail", "A stored picture's thumbnail", {"image/jpeg": {}}, (404,), []),
    (
        f"{API}/pictures/{{picture}}/similar",
        "What looks like a stored picture",
        _json("SimilarToPicture"),
        (400, 404, 503),
        _FILTERS,
    ),
    ("/healthz", "Whether the process answers", _json("Alive"), (), []),
    ("/readyz", "Whether model and snapshot are open", _json("Ready"), (503,), []),
    ("/metrics", "Counts and times, in the text format of Prometheus", {"text/plain": {}}, (), []),
    ("/api/openapi.json", "This description", {"application/json": {}}, (), []),
    ("/api/docs", "This description as a page", _PAGE_OF_TEXT, (), []),
    ("/api/problems/{name}", "What a kind of error means", _PAGE_OF_TEXT, (404,), []),
)
_RECOMMEND = f"{API}/recommendations"
_ASK = "Say who is on a picture, what looks like it, and which shows are drawn like it"

DOCUMENT: Json = {
    "openapi": "3.1.0",
    "info": {
        "title": "Sokkuri",
        "version": "1",
        "description": "Who is this anime character, and which shows are drawn like it? Pictures are stored nowhere.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "paths": {
        _RECOMMEND: {
            "post": _operation(_RECOMMEND, _ASK, _json("Recommendations"), (400, 408, 413, 415, 422, 503), _FILTERS)
            | {"requestBody": _UPLOAD}
        },
        **{
            path: {"get": _operation(path, summary, answer, errors, query)}
            for path, summary, answer, errors, query in _GETS
        },
    },
    "components": {"schemas": SCHEMAS},
}
