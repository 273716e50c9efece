"""Fixtures: a published world, the application on it, and a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from recommender.publication import Publication
from recommender.settings import Settings
from tests.web.world import World, build
from web import create_app


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a published world that all tests share: nothing in it is changed."""
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture
def own_world(tmp_path: Path) -> World:
    """Return a world of its own to a test that damages it."""
    return build(tmp_path)


@pytest.fixture
def app(world: World) -> Iterator[Flask]:
    """Wire the application on the shared world."""
    with world.publication() as publication:
        yield create_app(world.settings, publication)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of the application."""
    return app.test_client()


@pytest.fixture
def own_client(own_world: World) -> Iterator[FlaskClient]:
    """Return a client of an application on the test's own world."""
    with own_world.publication() as publication:
        yield create_app(own_world.settings, publication).test_client()


@pytest.fixture
def empty_client(tmp_path: Path) -> Iterator[FlaskClient]:
    """Return a client of an application in whose home nothing was ever published."""
    settings = Settings(home=tmp_path / "nothing")
    publication = Publication(settings)
    publication.refresh()
    yield create_app(settings, publication).test_client()
    publication.close()
