"""What can be looked through without asking about a picture: the shows, characters and pictures of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.snapshots import Snapshot
from recommender.types import Character, PictureId, Show


@dataclass(frozen=True, slots=True)
class ShowEntry:
    """A show of a list, with how much there is of it and a picture to show it by."""

    show: Show
    characters: int
    pictures: int
    cover: PictureId


@dataclass(frozen=True, slots=True)
class CharacterEntry:
    """A character of a list, likewise."""

    character: Character
    pictures: int
    cover: PictureId


def shows_of(snapshot: Snapshot) -> list[ShowEntry]:
    """Return every show, ordered by folder name."""
    covers = _covers(snapshot, snapshot.show_of)
    cast = np.bincount(snapshot.roster.show_of, minlength=len(snapshot.roster.shows))
    return [
        ShowEntry(show, int(cast[number]), int(snapshot.show_sizes[number]), covers[number])
        for number, show in enumerate(snapshot.roster.shows)
    ]


def characters_of(snapshot: Snapshot, show: str) -> list[CharacterEntry]:
    """Return the characters of a show, ordered by label; none for a show that is not in the snapshot."""
    covers = _covers(snapshot, snapshot.character_of)
    return [
        CharacterEntry(character, int(snapshot.character_sizes[number]), covers[number])
        for number, character in enumerate(snapshot.roster.characters)
        if character.show.slug == show
    ]


def pictures_of(snapshot: Snapshot, character: str) -> list[PictureId]:
    """Return the pictures of a character by its label; none for a character that is not in the snapshot."""
    number = snapshot.roster.character_space.positions.get(character)
    if number is None:
        return []
    return [snapshot.picture(int(row)) for row in np.flatnonzero(snapshot.character_of == number)]


def _covers(snapshot: Snapshot, groups: NDArray[np.int64]) -> dict[int, PictureId]:
    """Return the first picture of each group of rows."""
    found, rows = np.unique(groups, return_index=True)
    return {int(group): snapshot.picture(int(row)) for group, row in zip(found, rows, strict=True)}
