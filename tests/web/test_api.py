"""The JSON interface: its field names are promised to clients, its values come from the recommender."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from recommender.catalogue import Catalogue, LibraryRows
from recommender.types import PictureId
from tests.web.world import CHARACTERS, EACH, SHOWS, World, draw

API = "/api/v1"


def test_answer_has_the_fixed_fields(client: FlaskClient) -> None:
    """Names and nesting are those that clients were promised."""
    answer = client.post(f"{API}/recommendations", data=draw(2, 50), content_type="image/png").get_json()
    assert set(answer["model"]) == {"name", "backbone", "engine", "untrained", "notice"}
    assert answer["snapshot"] == "s1"
    assert set(answer["labels"]) == {"type", "character", "show"}
    assert set(answer["labels"]["type"][0]) == {"label", "probability"}
    assert set(answer["labels"]["character"][0]) == {"label", "name", "probability"}
    assert set(answer["labels"]["show"][0]) == {"label", "title", "probability"}
    assert set(answer["verdict"]) == {"level", "label", "probability"}
    fields = {"id", "character", "name", "show", "title", "similarity", "probability", "thumbnail_url", "url"}
    assert set(answer["similar_pictures"][0]) == fields
    assert set(answer["similar_characters"][0]) == {"character", "name", "show", "score", "probability", "evidence"}
    assert set(answer["similar_shows"][0]) == {"show", "title", "score", "probability", "evidence"}
    assert set(answer["timing_ms"]) == {"wait", "decode", "encode", "search", "rank", "total"}


def test_answer_is_about_the_picture(client: FlaskClient) -> None:
    """A picture of Cat is told to be Cat, of Blue Hills, with Cat's pictures as the nearest."""
    answer = client.post(f"{API}/recommendations", data=draw(2, 50), content_type="image/png").get_json()
    assert answer["verdict"]["label"] == "blue-hills/cat"
    assert answer["similar_shows"][0]["show"] == "blue-hills"
    assert [one["character"] for one in answer["similar_pictures"][:EACH]] == ["blue-hills/cat"] * EACH


@pytest.mark.parametrize(
    ("query", "shows"),
    [
        ("show=red-sea", {"red-sea"}),
        ("exclude_show=red-sea&exclude_show=no-year", {"blue-hills"}),
        ("year_from=2000", {"blue-hills"}),
        ("year_to=1999", {"red-sea"}),
        ("type=male", {"red-sea", "blue-hills"}),
    ],
)
def test_filters(client: FlaskClient, query: str, shows: set[str]) -> None:
    """Each filter keeps what it names among the similar shows and nothing else."""
    answer = client.post(f"{API}/recommendations?{query}", data=draw(0), content_type="image/png").get_json()
    assert {one["show"] for one in answer["similar_shows"]} == shows


def test_limit_cuts_every_list(client: FlaskClient) -> None:
    """No list is longer than `limit`."""
    answer = client.post(f"{API}/recommendations?limit=2", data=draw(0), content_type="image/png").get_json()
    lists = [*answer["labels"].values(), *(answer[name] for name in answer if name.startswith("similar_"))]
    assert [len(one) for one in lists] == [2] * 6


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=1.5",
        "limit=²",
        "limit=" + "9" * 5000,
        "limit=1&limit=2",
        "type=robot",
        "show=nowhere",
        "exclude_show=nowhere",
        "year_from=soon",
        "year_to=-1",
        "year_from=2001&year_to=2000",
        "limti=3",
    ],
)
@pytest.mark.parametrize("path", [f"{API}/recommendations", f"{API}/shows/red-sea/similar"])
def test_bad_parameters(client: FlaskClient, path: str, query: str) -> None:
    """A parameter that makes no sense is 400, an unknown show in a filter too, and the sentence names it."""
    send = client.post if path.endswith("recommendations") else client.get
    response = send(f"{path}?{query}", data=draw(0), content_type="image/png")
    problem = response.get_json()
    assert (response.status_code, problem["type"]) == (400, "/api/problems/bad-parameter")
    assert query.partition("=")[0] in problem["detail"]
    assert len(problem["detail"]) < 250


def test_shows(client: FlaskClient) -> None:
    """Shows are listed with how much there is of each, and each lists its characters."""
    shows = client.get(f"{API}/shows").get_json()["shows"]
    assert shows[0] == {"show": "blue-hills", "title": "Blue Hills", "year": 2016, "characters": 2, "pictures": 8}
    show = client.get(f"{API}/shows/red-sea").get_json()
    assert [one["character"] for one in show["characters"]] == ["red-sea/ada", "red-sea/bob"]
    assert show["pictures"] == 2 * EACH
    similar = client.get(f"{API}/shows/red-sea/similar?limit=1").get_json()
    assert len(similar["similar_shows"]) == 1
    assert similar["similar_shows"][0]["show"] != "red-sea"


def test_character(client: FlaskClient) -> None:
    """A character lists its pictures a page at a time, with the count of all."""
    url = f"{API}/characters/blue-hills/cat"
    first = client.get(f"{url}?limit=3").get_json()
    rest = client.get(f"{url}?limit=3&offset=3").get_json()
    assert (first["name"], first["type"], first["count"]) == ("Cat", "non-human", EACH)
    assert len({one["id"] for one in first["pictures"] + rest["pictures"]}) == EACH
    assert client.get(f"{url}?limit=0").status_code == 400


def test_picture(client: FlaskClient, world: World) -> None:
    """A picture tells whose it is, its size and its addresses; its file is the very bytes of the library."""
    row = world.pictures[0]
    found = client.get(f"{API}/pictures/{row.id}").get_json()
    assert (found["character"], found["width"], found["format"], found["bytes"]) == (
        row.character,
        row.width,
        "PNG",
        row.bytes,
    )
    assert str(world.library) not in str(found)
    file = client.get(found["url"])
    assert file.data == (world.library / row.path).read_bytes()
    assert file.content_type == "image/png"
    small = client.get(found["thumbnail_url"])
    assert (small.status_code, small.content_type) == (200, "image/jpeg")
    similar = client.get(f"{API}/pictures/{row.id}/similar?limit=3").get_json()
    assert row.id not in {one["id"] for one in similar["similar_pictures"]}
    assert len(similar["similar_pictures"]) == 3


def test_files_may_be_kept_for_ever(client: FlaskClient, world: World) -> None:
    """A picture's address holds its checksum, so a client that has it need not ask again."""
    for kind in ("file", "thumbnail"):
        url = f"{API}/pictures/{world.pictures[0].id}/{kind}"
        first = client.get(url)
        assert "immutable" in first.headers["Cache-Control"]
        assert first.headers["X-Content-Type-Options"] == "nosniff"
        again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "picture",
    ["../../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", "A" * 64, "0" * 63, "0" * 65, "0" * 64, "%00"],
)
@pytest.mark.parametrize("rest", ["", "/file", "/thumbnail", "/similar"])
def test_no_such_picture(client: FlaskClient, picture: str, rest: str) -> None:
    """What is not the id of a known picture is 404 with a problem document: paths, capitals, other lengths."""
    response = client.get(f"{API}/pictures/{picture}{rest}")
    assert response.status_code == 404
    assert response.get_json()["status"] == 404


def test_capital_digits_are_no_id(client: FlaskClient, world: World) -> None:
    """A picture has one address: its id in capitals is another, and wrong."""
    assert client.get(f"{API}/pictures/{world.pictures[0].id.upper()}").status_code == 404


@pytest.mark.parametrize("path", ["shows/nowhere", "shows/nowhere/similar", "characters/red-sea/zoe", "characters/x/y"])
def test_unknown_names(client: FlaskClient, path: str) -> None:
    """An unknown show or character in a path is 404, and the sentence says where the known ones are listed."""
    response = client.get(f"{API}/{path}")
    assert response.status_code == 404
    assert "/api/v1/shows" in response.get_json()["detail"]


def test_file_that_vanished(own_client: FlaskClient, own_world: World) -> None:
    """A file that was removed, changed or replaced by a link to elsewhere is not served."""
    rows = own_world.pictures
    (own_world.library / rows[0].path).unlink()
    (own_world.library / rows[1].path).write_bytes(b"other")
    same_size = (own_world.library / rows[2].path).read_bytes()[:-1] + b"?"
    (own_world.library / rows[2].path).write_bytes(same_size)
    secret = own_world.settings.home / "secret.png"
    (own_world.library / rows[3].path).rename(secret)
    (own_world.library / rows[3].path).symlink_to(secret)
    for row, words in zip(rows, ("removed", "changed", "changed", "outside"), strict=False):
        response = own_client.get(f"{API}/pictures/{row.id}/file")
        assert response.status_code == 404
        assert words in response.get_json()["detail"]
        assert str(own_world.library) not in response.text


def test_thumbnail_that_is_missing(own_client: FlaskClient, own_world: World) -> None:
    """A missing thumbnail is a problem document and no broken picture."""
    picture: PictureId = own_world.pictures[0].id
    (own_world.settings.home / "thumbnails" / picture[:2] / f"{picture}.jpg").unlink()
    response = own_client.get(f"{API}/pictures/{picture}/thumbnail")
    assert (response.status_code, response.content_type) == (404, "application/problem+json")


def test_a_picture_of_an_earlier_library_is_served_after_a_rollback(own_world: World, own_client: FlaskClient) -> None:
    """What the newest library dropped, or gave to another character, is shown as the served snapshot has it."""
    dropped, moved = own_world.pictures[0], own_world.pictures[-1]
    other = replace(moved, character=CHARACTERS[0].label)
    with Catalogue(own_world.settings.database_url) as catalogue:
        served = catalogue.published()
        newer = replace(served, id="s2", created="2026-01-02T00:00:00+00:00", digest="1" * 64)
        pictures = (*own_world.pictures[1:-1], other)
        catalogue.publish(newer, LibraryRows(tuple((show, {}) for show in SHOWS), CHARACTERS, pictures))
        catalogue.republish(served.id)
    answer = own_client.get(f"/api/v1/pictures/{dropped.id}").get_json()
    assert (answer["character"], answer["width"]) == (dropped.character, dropped.width)
    assert own_client.get(f"/api/v1/pictures/{dropped.id}/file").data == (own_world.library / dropped.path).read_bytes()
    assert own_client.get(f"/api/v1/pictures/{moved.id}").get_json()["character"] == moved.character
