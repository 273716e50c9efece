"""`/metrics`: what happened is counted, in the format of Prometheus, and nothing is told about anybody's pictures."""

from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests.web.world import build, draw
from web import create_app

API = "/api/v1/recommendations"


def read(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return each sample by its name and labels."""
    response = client.get("/metrics")
    assert response.content_type.startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(response.text))
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_requests_stages_and_memory_are_counted(client: FlaskClient) -> None:
    """One new picture, the same again, and a page that is not there: each counts where it belongs."""
    data = draw(0, 900)
    before = read(client)
    for _ in range(2):
        assert client.post(API, data=data, content_type="image/png").status_code == 200
    assert client.get("/api/v1/shows/nowhere").status_code == 404
    after = read(client)

    def more(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0.0)

    assert more("sokkuri_requests_total", status="200") == 3  # the first reading of the counts is one of them
    assert more("sokkuri_requests_total", status="404") == 1
    assert more("sokkuri_stage_seconds_count", stage="rank") == 2
    assert more("sokkuri_stage_seconds_count", stage="encode") == 1
    assert (more("sokkuri_cache_hits_total"), more("sokkuri_cache_misses_total")) == (1, 1)
    assert more("sokkuri_stage_seconds_sum", stage="encode") > 0
    assert after["sokkuri_queue_length", ()] == after["sokkuri_refused_total", ()] == 0


def test_what_is_served_is_named(client: FlaskClient, empty_client: FlaskClient) -> None:
    """Model, engine and snapshot are there, and where nothing is published no such line."""
    served = [dict(labels) for name, labels in read(client) if name == "sokkuri_serving"]
    assert [(one["model"], one["engine"], one["snapshot"]) for one in served] == [("fake", "fake-float32", "s1")]
    assert not any(name == "sokkuri_serving" for name, _ in read(empty_client))


def test_labels_hold_nothing_that_a_client_sent(client: FlaskClient) -> None:
    """However a request is made, the lines stay the same: neither addresses nor names nor digests make new ones."""
    client.get("/api/v1/shows/red-sea")
    client.get("/api/v1/shows/nowhere")
    names = set(read(client))
    for secret in ("/api/v1/shows/blue-hills", "/secret-path", "/api/v1/shows/secret-show?secret=1"):
        client.get(secret)
    client.post(API, data={"picture": (__file__, "secret.png")}, headers={"User-Agent": "secret"})
    labels = {label for _, pairs in set(read(client)) - names for label in pairs}
    assert labels <= {("status", "415")}
    assert "secret" not in client.get("/metrics").text


def test_the_full_line_is_told_before_the_upload_is_read(tmp_path: Path) -> None:
    """Where nobody may wait and all places are taken, 503 comes with Retry-After, as a problem, and is counted."""
    world = build(tmp_path)
    with world.publication() as publication:
        capacity = publication.capacity
        client = create_app(world.settings, publication).test_client()
        capacity.working._longest = 0
        held = [capacity.working.entered() for _ in range(capacity.working._free)]
        for place in held:
            place.__enter__()
        response = client.post(API, data=b"no picture at all", content_type="image/png")
        assert (response.status_code, response.content_type) == (503, "application/problem+json")
        assert response.json is not None
        assert response.json["type"] == "/api/problems/busy"
        assert int(response.headers["Retry-After"]) >= 1
        assert read(client)["sokkuri_refused_total", ()] == 1
        for place in held:
            place.__exit__(None, None, None)
        assert client.post(API, data=draw(0, 5), content_type="image/png").status_code == 200
