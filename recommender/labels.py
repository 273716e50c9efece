"""The three label spaces (type, character, show) and how they hang together.

A character belongs to one show and, where the library says so, to one type: the hierarchy is what makes a show's
probability the sum of its characters'. Not here: where the labels are read from (`indexer.library`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recommender.types import TYPE_NAMES, Character, Show

UNTYPED = -1
"""Stands in `Hierarchy.type_of` where the library does not tell a character's type."""


@dataclass(frozen=True)
class LabelSpace:
    """An ordered set of labels; the position of a label is its class number."""

    name: str
    labels: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the name and the labels in order: two spaces are interchangeable where it is equal."""
        return hashlib.sha256("\n".join((self.name, *self.labels)).encode()).hexdigest()

    @cached_property
    def positions(self) -> dict[str, int]:
        """Class number by label."""
        return {label: number for number, label in enumerate(self.labels)}

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Hierarchy:
    """The characters that a model knows, ordered by label, with the spaces and arrows that follow from them."""

    characters: tuple[Character, ...]

    @classmethod
    def of(cls, characters: Iterable[Character]) -> Self:
        """Order the characters by label, so that the same set always gives the same class numbers."""
        return cls(tuple(sorted(characters, key=lambda character: character.label)))

    @cached_property
    def shows(self) -> tuple[Show, ...]:
        """The shows of the characters, ordered by folder name."""
        return tuple(sorted({c.show.slug: c.show for c in self.characters}.values(), key=lambda show: show.slug))

    @cached_property
    def character_space(self) -> LabelSpace:
        """The label space of the characters: `<show>/<character>`."""
        return LabelSpace("character", tuple(character.label for character in self.characters))

    @cached_property
    def show_space(self) -> LabelSpace:
        """The label space of the shows: their folder names."""
        return LabelSpace("show", tuple(show.slug for show in self.shows))

    @cached_property
    def type_space(self) -> LabelSpace:
        """The label space of the character types, always all three."""
        return LabelSpace("type", TYPE_NAMES)

    @property
    def spaces(self) -> tuple[LabelSpace, LabelSpace, LabelSpace]:
        """The three label spaces: type, character, show."""
        return self.type_space, self.character_space, self.show_space

    @cached_property
    def show_of(self) -> NDArray[np.int64]:
        """The class number of each character's show."""
        positions = self.show_space.positions
        return np.array([positions[c.show.slug] for c in self.characters], dtype=np.int64)

    @cached_property
    def type_of(self) -> NDArray[np.int64]:
        """The class number of each character's type, or UNTYPED."""
        positions = self.type_space.positions
        return np.array([UNTYPED if c.type is None else positions[c.type] for c in self.characters], dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return shows and characters as a JSON object."""
        return {
            "shows": [{"slug": show.slug, "title": show.title, "year": show.year} for show in self.shows],
            "characters": [
                {"show": c.show.slug, "slug": c.slug, "name": c.name, "type": c.type} for c in self.characters
            ],
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote, in the order in which it was written."""
        shows = {row["slug"]: Show(row["slug"], row["title"], row["year"]) for row in fields["shows"]}
        return cls(
            tuple(Character(row["slug"], row["name"], shows[row["show"]], row["type"]) for row in fields["characters"])
        )
