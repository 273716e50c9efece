"""`indexer.demo.cast`: the laws of the demo world."""

from __future__ import annotations

import re

import numpy as np
import pytest

from indexer.demo.cast import SHOWS, STRANGERS, DrawnShow, slug
from indexer.demo.identity import TYPES

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
EVERY = (*SHOWS, *STRANGERS)


def test_there_are_twelve_shows_and_sixty_characters() -> None:
    """Twelve shows, all different, sixty characters or more, at least five in each."""
    assert len({show.label for show in SHOWS}) == len({show.title for show in SHOWS}) == 12
    assert sum(len(show.characters) for show in SHOWS) >= 60
    assert min(len(show.characters) for show in SHOWS) >= 5


@pytest.mark.parametrize("show", SHOWS, ids=lambda show: show.label)
def test_every_show_has_all_types(show: DrawnShow) -> None:
    """Male, female and non-human characters play in it."""
    assert {one.identity.type for one in show.characters} == set(TYPES)


def test_labels_are_slugs_and_unique() -> None:
    """A label is that of a folder: small letters, digits, single hyphens; no two in one show are the same."""
    for show in EVERY:
        labels = [one.label for one in show.characters]
        assert all(SLUG.fullmatch(label) for label in (show.label, *labels))
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("name", "label"),
    [("Sgt. Ilse Harrow", "sgt-ilse-harrow"), ("R-OO", "r-oo"), ("  Comet   Post 77!", "comet-post-77")],
)
def test_slug(name: str, label: str) -> None:
    """Whatever is no letter or digit separates, once."""
    assert slug(name) == label


@pytest.mark.parametrize("show", SHOWS, ids=lambda show: show.label)
def test_characters_of_a_show_can_be_told_apart(show: DrawnShow) -> None:
    """No two of them agree in species, cut and hair colour at once, and nobody dresses in another's clothes."""
    looks = [(one.identity.species, one.identity.cut, one.identity.hair) for one in show.characters]
    clothes = [(one.identity.outfit, one.identity.colours) for one in show.characters]
    assert len(set(looks)) == len(looks)
    assert len(set(clothes)) == len(clothes)


def test_every_show_has_a_cousin() -> None:
    """Shows come in pairs: the nearest in style to each is the one it is paired with."""
    vectors = np.stack([show.style.vector() for show in SHOWS])
    distances = np.linalg.norm(vectors[:, np.newaxis] - vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    for number, nearest in enumerate(distances.argmin(axis=1)):
        assert nearest == number ^ 1, SHOWS[number].label


def test_no_two_shows_are_drawn_alike() -> None:
    """Cousins are apart by more than two ends of a number or two choices are."""
    vectors = [show.style.vector() for show in SHOWS]
    for place, one in enumerate(vectors):
        assert all(np.linalg.norm(one - other) > 1.0 for other in vectors[:place])


def test_strangers_are_of_two_sorts() -> None:
    """Ten are new to shows of the catalogue and drawn in their style, ten play in shows that it lacks."""
    known = {show.label: show for show in SHOWS}
    visits = [show for show in STRANGERS if show.label in known]
    foreign = [show for show in STRANGERS if show.label not in known]
    assert sum(len(show.characters) for show in visits) == 10
    assert sum(len(show.characters) for show in foreign) == 10
    for show in visits:
        assert show.style == known[show.label].style
        assert not {one.label for one in show.characters} & {one.label for one in known[show.label].characters}
    for show in foreign:
        assert all(np.linalg.norm(show.style.vector() - other.style.vector()) > 1.0 for other in SHOWS)
