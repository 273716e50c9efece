"""What has changed in a library since it was published: pictures that came, went, moved, or were replaced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from recommender.catalogue import PictureRow


@dataclass(frozen=True, slots=True)
class Changes:
    """How many pictures differ. A file with other bytes under its former path is `changed`, neither added nor removed.

    A picture with its former bytes in another place is `moved`. `none` says that not even a label or a size differs.
    """

    added: int
    changed: int
    moved: int
    removed: int
    none: bool = False

    @classmethod
    def between(cls, before: Iterable[PictureRow], after: Sequence[PictureRow]) -> Self:
        """Compare the pictures of the library that was published last with those of the one that was found."""
        stored = {row.id: row for row in before}
        if len(stored) == len(after) and all(stored.get(row.id) == row for row in after):
            return cls(0, 0, 0, 0, none=True)  # as most often: the rest would take far longer to find that out
        places = {picture: (row.library, row.path) for picture, row in stored.items()}
        present = {row.id for row in after}
        ids = {place: picture for picture, place in places.items()}
        added = changed = moved = replaced = 0
        for row in after:
            place = (row.library, row.path)
            former = places.get(row.id)
            if former is not None:
                moved += former != place
            elif place in ids:
                changed += 1
                replaced += ids[place] not in present
            else:
                added += 1
        removed = sum(picture not in present for picture in places) - replaced
        return cls(added, changed, moved, removed)
