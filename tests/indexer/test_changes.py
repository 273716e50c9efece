"""`indexer.changes`: what came, went, moved, and was replaced, each counted once."""

from __future__ import annotations

from dataclasses import replace

from indexer.changes import Changes
from recommender.catalogue import PictureRow
from recommender.types import PictureId


def _row(picture: str, path: str, library: str = "/library") -> PictureRow:
    return PictureRow(PictureId(picture), "s/c", path, library, 8, 8, "PNG", 99)


BEFORE = [_row("a", "s/c/1"), _row("b", "s/c/2"), _row("c", "s/c/3")]


def test_the_same_pictures_are_no_change() -> None:
    """Another order is none, and neither are other labels; whether really nothing differs is told as well."""
    assert Changes.between(BEFORE, BEFORE[::-1]) == Changes(0, 0, 0, 0, none=True)
    after = [replace(row, character="s/d") for row in reversed(BEFORE)]
    assert Changes.between(BEFORE, after) == Changes(0, 0, 0, 0)
    assert not Changes.between(BEFORE, [*BEFORE, _row("d", "s/c/4")]).none


def test_each_kind_is_told_from_the_others() -> None:
    """A new file is added, a missing one removed, other bytes under a path are changed, the same elsewhere moved."""
    after = [_row("a", "s/d/1"), _row("x", "s/c/2"), _row("y", "s/c/9")]
    assert Changes.between(BEFORE, after) == Changes(added=1, changed=1, moved=1, removed=1)


def test_two_files_that_change_places_have_moved() -> None:
    """No bytes are new, so nothing is added, changed or removed."""
    after = [_row("b", "s/c/1"), _row("a", "s/c/2"), _row("c", "s/c/3")]
    assert Changes.between(BEFORE, after) == Changes(0, 0, 2, 0)


def test_a_picture_whose_place_was_taken_has_moved() -> None:
    """Renamed, with a new file under its former name: one moved, one changed, none removed."""
    after = [_row("x", "s/c/1"), _row("a", "s/c/4"), *BEFORE[1:]]
    assert Changes.between(BEFORE, after) == Changes(added=0, changed=1, moved=1, removed=0)


def test_another_folder_is_another_place() -> None:
    """The same library elsewhere has moved as a whole; a file of another library under the same name is added."""
    assert Changes.between(BEFORE, [_row(row.id, row.path, "/elsewhere") for row in BEFORE]) == Changes(0, 0, 3, 0)
    assert Changes.between(BEFORE, [_row("x", "s/c/1", "/elsewhere")]) == Changes(1, 0, 0, 3)


def test_a_first_library_is_added() -> None:
    """Where nothing was known, everything is new."""
    assert Changes.between([], BEFORE) == Changes(3, 0, 0, 0)
