"""What the options of a training ask of the library: told before a picture is opened, as far as names of files tell.

After hours of embedding a name misspelt would be told too late. What only pictures tell (which of them can be used, and
which are near-duplicates) is judged again by the same rules once it is known. Not here: what each option means.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.library import Library, Names
from indexer.listing import Reject
from indexer.samples import Samples
from indexer.split import HELD_OUT
from indexer.training.projecting import wanted_dimension
from recommender.errors import BadLibrary, BuildError
from recommender.labels import Hierarchy

FEWEST = 2
"""Of fewer characters there is nothing to tell apart."""


def require_possible(root: Path, names: Names, held_out: Sequence[str], folds: int, project: str) -> None:
    """Refuse what cannot be done with so many files of each character, whatever they show.

    Raises BadLibrary and BuildError.
    """
    known = _known(root, list(names.files), held_out)
    if len(known) < FEWEST:
        raise _too_few(root, known, held_out, names.rejects)
    count = sum(names.files[label] for label in known)
    if folds > count:
        raise BuildError(f"--folds {folds} is too many: the library has {count} pictures")
    wanted = wanted_dimension(project)
    if wanted and wanted >= count:
        raise BuildError(
            f"--project {wanted} is too much: the library has {count} pictures, "
            f"and so many have at most {count - 1} principal components"
        )


def require_dimension(project: str, dimension: int) -> None:
    """Raise BuildError where embeddings of `dimension` numbers are to be projected to more of them."""
    wanted = wanted_dimension(project)
    if wanted and wanted > dimension:
        raise BuildError(f"--project {wanted} is too much: this backbone's embeddings have {dimension} numbers")


def require_folds(samples: Samples, count: int) -> None:
    """Raise BuildError where there are more folds than pictures to fill them."""
    groups = len(np.unique(samples.split.group[samples.characters != HELD_OUT]))
    if count > groups:
        raise BuildError(
            f"--folds {count} is too many: the library has {groups} pictures, near-duplicates counted once"
        )


def known_hierarchy(library: Library, held_out: Sequence[str]) -> Hierarchy:
    """Return the characters that the model is to know. Raises BadLibrary where they are fewer than two."""
    characters = library.hierarchy.characters
    known = set(_known(library.root, [one.label for one in characters], held_out))
    if len(known) < FEWEST:
        raise _too_few(library.root, sorted(known), held_out, library.rejects)
    return Hierarchy(tuple(one for one in characters if one.label in known))


def _known(root: Path, characters: Sequence[str], held_out: Sequence[str]) -> list[str]:
    """Return the labels that are not held out. Raises BadLibrary where a label to hold out is none of the library."""
    labels = {*characters, *(label.partition("/")[0] for label in characters)}
    for label in held_out:
        if label not in labels:
            near = difflib.get_close_matches(label, sorted(labels), n=3)
            hint = f": did you mean {' or '.join(near)}?" if near else f": {root} has no such folder"
            raise BadLibrary(f"there is no {label!r} to hold out{hint}")
    return [label for label in characters if not {label, label.partition("/")[0]} & set(held_out)]


def _too_few(root: Path, known: Sequence[str], held_out: Sequence[str], left_out: Sequence[Reject]) -> BadLibrary:
    """Return the error for a library that holds nobody, or one character only, for the model to know."""
    left = f" ({known[0]})" if known else ""
    rejects = f"; {len(left_out)} pictures were left out ({left_out[0].reason})" if left_out else ""
    without = " that is not held out" if held_out else ""
    return BadLibrary(
        f"{root} has pictures of {'one character only' if known else 'no character'}{left}{without}: "
        f"a model needs at least two{rejects}"
    )
