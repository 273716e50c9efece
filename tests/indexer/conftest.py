"""Fixtures: a small published home, and a trained and published world; each whole and as a copy."""

from tests.indexer.homes import home, published_home
from tests.indexer.worlds import finished, untouched, world

__all__ = ["finished", "home", "published_home", "untouched", "world"]
