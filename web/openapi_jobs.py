"""What the description of the interface says about jobs, where the settings have a token; data, as in `openapi`."""

from __future__ import annotations

from typing import Any

from recommender.jobs import OPTIONS, STATES
from recommender.serialise import API
from web.openapi import COUNT, DOCUMENT, NUMBER, TEXT, list_of, object_of, schema_of
from web.openapi import SCHEMAS as OTHERS

Json = dict[str, Any]

_FLAG: Json = {"type": "boolean"}
_MOMENT: Json = {"type": "string", "format": "date-time"}
_OPTIONS = {
    "dry_run": "only say what would change",
    "full": "read and hash every file, whatever its size and time say",
    "follow_links": "take in pictures outside the library that links in it lead to",
    "accept": "publish even where more is left out, or has drifted, than the settings allow",
}


def _or_null(schema: Json) -> Json:
    return schema | {"type": [schema["type"], "null"]}


_ENTRY: dict[str, Json] = {
    "id": TEXT,
    "url": TEXT,
    "state": {"type": "string", "enum": [*STATES]},
    "library": TEXT,
    "options": object_of(**{name: _FLAG | {"description": _OPTIONS[name]} for name in OPTIONS}),
    "created": _MOMENT,
    "started": _or_null(_MOMENT),
    "ended": _or_null(_MOMENT),
    "stage": _or_null(TEXT)
    | {
        "description": "waiting, opening, scanning, loading (of the model) and embedding where pictures are new, "
        "comparing, building or publishing"
    },
    "progress": _or_null(object_of(done=COUNT, total=COUNT))
    | {"description": "pictures that were read, from scanning to embedding; new ones wait while loading"},
    "seconds_left": _or_null(NUMBER) | {"description": "until all pictures are read, at the pace of the last 30 s"},
    "cancelling": _FLAG | {"description": "it is to stop at its next safe point"},
    "error": _or_null(TEXT) | {"description": "the line that a terminal would show"},
}
_REPORT = object_of(
    snapshot=_or_null(TEXT) | {"description": "what was published, if anything"},
    model=TEXT,
    engine=TEXT,
    **dict.fromkeys(
        ("pictures", "characters", "shows", "added", "changed", "moved", "removed", "embedded"),
        COUNT,
    ),
    drift=_or_null(
        object_of(
            snapshot=TEXT,
            overlap=NUMBER,
            pictures=COUNT,
            shows={"type": "object", "additionalProperties": NUMBER},
            other_space=_FLAG | {"description": "another model or precision made it, so neighbours differ"},
        )
    ),
    index={
        "type": "object",
        "additionalProperties": True,
        "description": "what `index.json` says of the index; empty where none was made",
    },
    held=TEXT | {"description": "why nothing was published; empty where nothing spoke against it"},
    rejects=list_of(object_of(path=TEXT, reason=TEXT)),
    left_out=COUNT | {"description": "pictures: a folder that cannot be read counts as those that were known in it"},
    gone=object_of(share=NUMBER, shows={"type": "object", "additionalProperties": COUNT})
    | {"description": "what was published before and is not there any more, and shows that lost all their pictures"},
    seconds={"type": "object", "additionalProperties": NUMBER, "description": "by stage"},
    pictures_per_second=NUMBER,
)
SCHEMAS: Json = {
    "JobEntry": object_of(**_ENTRY),
    "Job": object_of(
        **_ENTRY,
        report=_or_null(_REPORT) | {"description": "what `sokkuri reindex --json` gives"},
        history=list_of(object_of(at=_MOMENT, what=TEXT)),
        worker=schema_of("Worker"),
    ),
    "Jobs": object_of(
        jobs=list_of(schema_of("JobEntry")),
        worker=schema_of("Worker"),
        libraries={"type": "array", "items": TEXT, "description": "what a job may be about"},
    ),
    "Worker": object_of(alive=_FLAG, seen=_or_null(_MOMENT), notice=TEXT),
}
SECURITY: Json = {"token": {"type": "http", "scheme": "bearer", "description": "SOKKURI_ADMIN_TOKEN of the server"}}

_ERRORS = {
    400: "a body that is no JSON, or a parameter, of which there is none",
    401: "no token, or a wrong one",
    404: "no such job",
    408: "a request that takes too long to arrive",
    409: "another job is queued or running, or this one has ended",
    413: "too many bytes",
    415: "a body that is not application/json",
    422: "JSON of the wrong shape, or a library that was never indexed here",
    503: "the jobs cannot be read or written; see Retry-After",
}


def _operation(summary: str, schema: str, errors: tuple[int, ...], **more: Any) -> Json:
    problem = {"application/problem+json": {"schema": schema_of("Problem")}}
    failures = {str(error): {"description": _ERRORS[error], "content": problem} for error in errors}
    found = {"description": "found", "content": {"application/json": {"schema": schema_of(schema)}}}
    return {"summary": summary, "security": [{"token": []}], **more, "responses": {"200": found, **failures}}


def _accepted(operation: Json) -> Json:
    """Turn what an operation answers into 202: it goes on, at an address of its own."""
    found = operation["responses"].pop("200")
    location = {"Location": {"schema": TEXT, "description": "the job"}}
    taken = found | {"description": "taken: a worker will run it", "headers": location}
    return operation | {"responses": {"202": taken, **operation["responses"]}}


_IN_PATH = [{"name": "job", "in": "path", "required": True, "schema": TEXT, "description": "the job's id"}]
_WANTED: Json = {
    "required": False,
    "description": "What is left out is the library that was published last, and false.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"library": TEXT, **_ENTRY["options"]["properties"]},
                "additionalProperties": False,
            }
        }
    },
}
PATHS: Json = {
    f"{API}/jobs": {
        "get": _operation("List the jobs, the newest first", "Jobs", (400, 401, 503)),
        "post": _accepted(
            _operation(
                "Start a reindex in a worker, one at a time",
                "Job",
                (400, 401, 408, 409, 413, 415, 422, 503),
                requestBody=_WANTED,
            )
        ),
    },
    f"{API}/jobs/{{job}}": {
        "get": _operation("Tell how far a job is, or how it ended", "Job", (400, 401, 404, 503), parameters=_IN_PATH)
    },
    f"{API}/jobs/{{job}}/cancel": {
        "post": _operation(
            "Cancel a job: at once where it is queued, else at its next safe point",
            "Job",
            (400, 401, 404, 409, 503),
            parameters=_IN_PATH,
        )
    },
}


def document(*, with_jobs: bool) -> Json:
    """Return the description of an application: jobs are part of it where the settings have a token for them."""
    if not with_jobs:
        return DOCUMENT
    components = {"schemas": OTHERS | SCHEMAS, "securitySchemes": SECURITY}
    return DOCUMENT | {"paths": DOCUMENT["paths"] | PATHS, "components": components}
