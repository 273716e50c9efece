"""Fixtures: a small published home, whole and as a copy."""

from tests.indexer.homes import home, published_home

__all__ = ["home", "published_home"]
