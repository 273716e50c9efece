"""The description of the interface is true: its addresses are the application's, its schemas those of the answers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.web.world import World, draw
from web.openapi import DOCUMENT
from web.openapi_jobs import document

SCHEMAS = document(with_jobs=True)["components"]["schemas"]


def test_paths_are_those_of_the_application(app: Flask) -> None:
    """Every address and method of the interface is described, and nothing else."""
    described = {(path, method.upper()) for path, operations in DOCUMENT["paths"].items() for method in operations}
    served = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in ("api", "describe")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == served


def test_path_parameters_are_described() -> None:
    """Each name in braces is a parameter of its operation."""
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("Shows", "/api/v1/shows"),
        ("Show", "/api/v1/shows/red-sea"),
        ("SimilarToShow", "/api/v1/shows/red-sea/similar"),
        ("Character", "/api/v1/characters/red-sea/ada"),
        ("Picture", "/api/v1/pictures/{id}"),
        ("SimilarToPicture", "/api/v1/pictures/{id}/similar"),
        ("Alive", "/healthz"),
        ("Ready", "/readyz"),
        ("Problem", "/api/v1/nowhere"),
    ],
)
def test_answers_have_the_described_shape(client: FlaskClient, world: World, schema: str, path: str) -> None:
    """An answer has exactly the fields of its schema, with values of the described types."""
    answer = client.get(path.format(id=world.pictures[0].id)).get_json()
    check(answer, SCHEMAS[schema], schema)


def test_recommendations_have_the_described_shape(client: FlaskClient) -> None:
    """So does the answer to a picture."""
    answer = client.post("/api/v1/recommendations", data=draw(0), content_type="image/png").get_json()
    check(answer, SCHEMAS["Recommendations"], "Recommendations")


def test_document_is_served(client: FlaskClient) -> None:
    """A program can read the description, and a person too."""
    assert client.get("/api/openapi.json").get_json() == DOCUMENT
    page = client.get("/api/docs").text
    for path in DOCUMENT["paths"]:
        assert path in page


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}


def check(value: Any, schema: dict[str, Any], where: str) -> None:
    """Hold a value to as much of JSON Schema as the document uses."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert isinstance(value, tuple(kind for name in kinds for kind in TYPES[name])), where
    if "enum" in schema:
        assert value in schema["enum"], where
    if "pattern" in schema:
        assert re.search(schema["pattern"], str(value)), where
    if value is not None and "maximum" in schema:
        assert schema["minimum"] <= value <= schema["maximum"] + 1e-9, where
    if isinstance(value, dict):
        check_object(value, schema, where)
    if isinstance(value, list):
        assert value, f"{where} is empty, which proves nothing"
        for one in value:
            check(one, schema["items"], f"{where}[]")


def check_object(value: dict[str, Any], schema: dict[str, Any], where: str) -> None:
    """Hold an object to the fields that its schema names; or, where it names none, any name to the one schema."""
    schemas = schema.get("properties") or dict.fromkeys(value, schema["additionalProperties"])
    assert set(value) == set(schemas), where
    for name, one in value.items():
        if schemas[name] is True:  # anything may stand there
            continue
        check(one, schemas[name], f"{where}.{name}")
