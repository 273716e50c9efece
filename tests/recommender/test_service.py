"""`recommender.service`: questions get whole, honest answers, and a new snapshot arrives without a failed one."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.calibration import LEVELS, Calibration, Certainty, ProbabilityMap
from recommender.capacity import Capacity
from recommender.catalogue import Catalogue, LibraryRows, ModelRow
from recommender.embeddings import unit_length
from recommender.errors import (
    Abandoned,
    Busy,
    Corrupt,
    InvalidQuery,
    LabelMismatch,
    NoSnapshot,
    NotFound,
    SnapshotError,
    SpaceMismatch,
    Unreadable,
)
from recommender.images import Limits
from recommender.indexes.building import IndexOptions
from recommender.ports import Encoder
from recommender.processor import available_cores
from recommender.publication import RETRY_SECONDS, Publication
from recommender.service import CANDIDATES, MAX_LIMIT, Recommender
from recommender.settings import Settings
from recommender.snapshots import Snapshot, SnapshotContent, open_snapshot, write_snapshot
from recommender.types import (
    Character,
    DecodedImage,
    Embedding,
    Encoding,
    Filters,
    Matrix,
    PictureId,
    Prediction,
    Query,
    Show,
    SimilarResults,
    SnapshotInfo,
    Verdict,
)
from tests.fakes import SPACE, FakeEncoder
from tests.waiting import wait_until
from tests.web.world import CHARACTERS, EACH, MODEL_DIGEST, SHOWS, World, build, draw

EVERYTHING = Query(MAX_LIMIT)
SECONDS = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a published world that nobody changes."""
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture
def own_world(tmp_path: Path) -> World:
    """Return a published world of the test's own."""
    return build(tmp_path)


@pytest.fixture
def recommender(world: World) -> Recommender:
    """Return the recommender of the shared world."""
    with world.publication() as publication:
        return publication.current()


def folder_of(world: World, name: str) -> Path:
    """Return the folder of a snapshot."""
    return world.settings.home / "snapshots" / name


def publish(world: World, name: str, *, pictures: int | None = None, model_digest: str = MODEL_DIGEST) -> SnapshotInfo:
    """Publish another snapshot of the world: the first `pictures` of it."""
    with Catalogue(world.settings.database_url) as catalogue:
        first = next(info for info in catalogue.snapshots() if info.id == "s1")
        stored = open_snapshot(folder_of(world, "s1"), first.digest)
        rows = range(len(stored.pictures))[:pictures]
        content = SnapshotContent(
            model="fake",
            model_digest=model_digest,
            space=SPACE,
            pictures=[stored.picture(row) for row in rows],
            characters=[stored.character(row) for row in rows],
            vectors=np.stack([stored.index.vector(row) for row in rows]),
            created="2026-01-02T00:00:00+00:00",
        )
        info = write_snapshot(folder_of(world, name), content, lambda _folder: None)
        catalogue.publish(info, LibraryRows(tuple((show, {}) for show in SHOWS), CHARACTERS, world.pictures))
    return info


def damage(file: Path) -> bytes:
    """Change one bit in the middle of a file, and return what it held."""
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    return whole


def snapshot_of(folder: Path, characters: Sequence[Character], vectors: Matrix) -> Snapshot:
    """Write and open a snapshot of invented pictures, one for each vector."""
    content = SnapshotContent(
        model="fake",
        model_digest=MODEL_DIGEST,
        space=SPACE,
        pictures=[PictureId(hashlib.sha256(str(row).encode()).hexdigest()) for row in range(len(vectors))],
        characters=characters,
        vectors=unit_length(vectors),
        created="2026-01-01T00:00:00+00:00",
    )
    return open_snapshot(folder, write_snapshot(folder, content, lambda _folder: None).digest)


def at_angles(degrees: Sequence[float]) -> Matrix:
    """Return unit vectors at these angles from the first axis: the cosine to it falls as the angle rises."""
    vectors = np.zeros((len(degrees), SPACE.dimension), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vectors


def snapshot_served(publication: Publication) -> str | None:
    """Return the id of the snapshot that questions are answered from, None where there is none."""
    try:
        return publication.current().snapshot.info.id
    except SnapshotError:
        return None


# The answer


def test_a_stored_picture_is_no_look_alike_of_itself(recommender: Recommender, world: World) -> None:
    """Asked about a picture that it stores, the recommender leaves that one out, everywhere, and nothing else."""
    data = (world.library / world.pictures[0].path).read_bytes()
    similar = recommender.recommend(data, EVERYTHING).similar
    own = world.pictures[0].id
    assert {one.id for one in similar.pictures} == {row.id for row in world.pictures} - {own}
    evidence = [*(one.evidence for one in similar.characters), *(one.evidence for one in similar.shows)]
    assert all(own not in pictures for pictures in evidence)
    assert recommender.similar_to_picture(own, EVERYTHING) == similar


def test_a_new_picture_is_compared_with_every_stored_one(recommender: Recommender, world: World) -> None:
    """A picture that is not stored leaves nothing out, and finds the character that it was drawn like."""
    answer = recommender.recommend(draw(2, 77), EVERYTHING)
    assert {one.id for one in answer.similar.pictures} == {row.id for row in world.pictures}
    assert answer.similar.characters[0].character == answer.characters[0].character == CHARACTERS[2]
    assert answer.verdict.label == CHARACTERS[2].label
    assert answer.similar.shows[0].show == CHARACTERS[2].show


@pytest.mark.parametrize("limit", [1, 3, 12, MAX_LIMIT])
def test_every_list_holds_at_most_limit(recommender: Recommender, limit: int) -> None:
    """Each list has `limit` entries, or all that there are, sorted best first."""
    answer = recommender.recommend(draw(0, 77), Query(limit))
    lengths = {
        "types": (answer.types, 3),
        "characters": (answer.characters, len(CHARACTERS)),
        "shows": (answer.shows, len(SHOWS)),
        "similar pictures": (answer.similar.pictures, EACH * len(CHARACTERS)),
        "similar characters": (answer.similar.characters, len(CHARACTERS)),
        "similar shows": (answer.similar.shows, len(SHOWS)),
    }
    for name, (found, available) in lengths.items():
        assert len(found) == min(limit, available), name
    for probabilities in (answer.types, answer.characters, answer.shows):
        values = [one.probability for one in probabilities]
        assert values == sorted(values, reverse=True)
    for graded in (answer.similar.characters, answer.similar.shows):
        scores = [one.score for one in graded]
        assert scores == sorted(scores, reverse=True)
    cosines = [one.similarity for one in answer.similar.pictures]
    assert cosines == sorted(cosines, reverse=True)


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_senseless_limit_is_refused(recommender: Recommender, world: World, limit: int) -> None:
    """However it is asked, a limit outside 1..100 is an InvalidQuery that says so."""
    for ask in (
        lambda: recommender.recommend(draw(0), Query(limit)),
        lambda: recommender.similar_to_picture(world.pictures[0].id, Query(limit)),
        lambda: recommender.similar_to_show("red-sea", Query(limit)),
    ):
        with pytest.raises(InvalidQuery, match=f"1 to 100, not {limit}"):
            ask()


def test_evidence_proves_the_score(recommender: Recommender, world: World) -> None:
    """Evidence is up to three pictures of that very character or show, most similar first."""
    similar = recommender.recommend(draw(1, 77), EVERYTHING).similar
    cosine = {one.id: one.similarity for one in similar.pictures}
    labels = {row.id: row.character for row in world.pictures}
    for one in similar.characters:
        assert {labels[picture] for picture in one.evidence} == {one.character.label}
    for one_show in similar.shows:
        assert {labels[picture].partition("/")[0] for picture in one_show.evidence} == {one_show.show.slug}
    for evidence in (*(one.evidence for one in similar.characters), *(one.evidence for one in similar.shows)):
        assert len(evidence) == 3
        assert [cosine[picture] for picture in evidence] == sorted((cosine[p] for p in evidence), reverse=True)


def test_the_timings_add_up(recommender: Recommender) -> None:
    """Each step's milliseconds are given, and together they are the total."""
    timing = recommender.recommend(draw(0, 78)).timing
    steps = (timing.wait, timing.decode, timing.encode, timing.search, timing.rank)
    assert all(step > 0 for step in steps)
    assert sum(steps) == pytest.approx(timing.total)


# The verdict, and what a score is worth


class Saying(FakeEncoder):
    """Says the same about every picture, whose embedding is the first axis; `calibration` says what that is worth."""

    def __init__(self, best: Mapping[str, str], calibration: Calibration) -> None:
        super().__init__({character: image() for character in CHARACTERS})
        self.calibration = calibration
        self._said = {level: (Prediction(label, 0.5),) for level, label in best.items()}

    def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
        """Say it."""
        embedding = Embedding(at_angles([0])[0], SPACE.fingerprint)
        types, characters, shows = (self._said.get(level, ()) for level in ("type", "character", "show"))
        return [Encoding(types, characters, shows, embedding) for _ in images]


def certain(level: str, *, nearest: float = 0.0, label: float = 0.0) -> Calibration:
    """Return a calibration that believes this level alone, with log-odds that are a sum of cosines."""
    never = dict.fromkeys(LEVELS, Certainty(threshold=2.0))
    return Calibration(certainty={**never, level: Certainty(0.0, 0.0, 0.0, nearest, label)})


def log_odds(verdict: Verdict) -> float:
    """Return the log-odds that a verdict stands for."""
    return math.log(verdict.probability / (1 - verdict.probability))


@pytest.fixture(scope="module")
def angular(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Return a snapshot of five pictures: two of Bob, one of Ada, two of Dan, who is from another show."""
    rows = [CHARACTERS[number] for number in (1, 1, 0, 3, 3)]
    return snapshot_of(tmp_path_factory.mktemp("angular") / "s", rows, at_angles([10, 20, 40, 60, 75]))


@pytest.mark.parametrize(
    ("level", "label", "degrees"),
    [
        ("character", "red-sea/bob", 10),
        ("character", "blue-hills/dan", 60),
        ("character", "no-year/eve", 75),
        ("show", "red-sea", 10),
        ("show", "blue-hills", 60),
        ("show", "no-year", 75),
        ("type", "male", 10),
        ("type", "female", 40),
        ("type", "non-human", 75),
    ],
)
def test_the_verdict_weighs_how_near_pictures_come(angular: Snapshot, level: str, label: str, degrees: float) -> None:
    """The cosine of the nearest picture of all, and that of the nearest one of the best label, reach the calibration.

    A label of which no picture was found counts as far away as the last picture that was.
    """
    best = {"character": "red-sea/ada", "show": "red-sea", "type": "male"} | {level: label}
    for calibration, angle in ((certain(level, nearest=1.0), 10), (certain(level, label=1.0), degrees)):
        verdict = Recommender(Saying(best, calibration), angular, Limits()).recommend(image()).verdict
        assert (verdict.level, verdict.label) == (level, label)
        assert log_odds(verdict) == pytest.approx(math.cos(math.radians(angle)), abs=1e-5)


@pytest.mark.parametrize(
    "filters",
    [Filters(show="blue-hills"), Filters(type="male"), Filters(year_from=2100), Filters(exclude_shows=("red-sea",))],
)
def test_the_verdict_does_not_depend_on_what_was_asked_for(angular: Snapshot, filters: Filters) -> None:
    """Who it is stays the same where a filter hides the nearest pictures, or all of them, and for a stored picture."""
    best = {"character": "red-sea/ada", "show": "red-sea", "type": "female"}
    recommender = Recommender(Saying(best, certain("character", nearest=2.0, label=3.0)), angular, Limits())
    for picture in (image(), replace(image(), id=angular.picture(0))):
        free, filtered = (recommender.recommend(picture, Query(1, one)) for one in (Filters(), filters))
        assert filtered.verdict == free.verdict
        assert filtered.similar != free.similar


def test_a_stored_picture_does_not_vouch_for_itself(angular: Snapshot) -> None:
    """That the catalogue holds this very picture makes the verdict no surer: its nearest neighbour is another one."""
    encoder = Saying({"character": "red-sea/bob"}, certain("character", nearest=1.0, label=2.0))
    recommender = Recommender(encoder, angular, Limits())
    for filters in (Filters(), Filters(show="red-sea")):
        verdict = recommender.recommend(replace(image(), id=angular.picture(0)), Query(filters=filters)).verdict
        assert log_odds(verdict) == pytest.approx(3 * math.cos(math.radians(20)), abs=1e-5)


def test_a_catalogue_without_another_picture_is_far_away(tmp_path: Path) -> None:
    """Where nothing is left to compare with, the cosines are 0 and the lists empty; nothing fails."""
    snapshot = snapshot_of(tmp_path / "s", [CHARACTERS[0]], at_angles([5]))
    encoder = Saying({"character": "red-sea/ada"}, certain("character", nearest=9.0, label=9.0))
    answer = Recommender(encoder, snapshot, Limits()).recommend(replace(image(), id=snapshot.picture(0)))
    assert answer.verdict == Verdict("character", "red-sea/ada", 0.5)
    assert answer.similar == SimilarResults((), (), ())


def test_every_score_says_what_it_is_worth(world: World) -> None:
    """Pictures, characters and shows each have a probability, from a map of their own, that falls along the list."""
    encoder = FakeEncoder({CHARACTERS[0]: image()})
    encoder.calibration = replace(
        encoder.calibration,
        same_character=ProbabilityMap((-1.0, 1.0), (-0.5, 0.5)),
        character_score=ProbabilityMap((-1.0, 1.0), (-0.25, 0.25)),
        show_score=ProbabilityMap((-1.0, 1.0), (-0.125, 0.125)),
    )
    with world.publication() as publication:
        snapshot = publication.current().snapshot
    similar = Recommender(encoder, snapshot, Limits()).recommend(draw(0, 77), EVERYTHING).similar
    for one in similar.pictures:
        assert one.probability == pytest.approx(one.similarity / 2)
    for character in similar.characters:
        assert character.probability == pytest.approx(character.score / 4)
    for show in similar.shows:
        assert show.probability == pytest.approx(show.score / 8)
    assert similar.pictures
    assert similar.characters
    assert similar.shows


# Filters


@pytest.mark.parametrize(
    ("filters", "slugs"),
    [
        (Filters(type="male"), "bob dan"),
        (Filters(show="red-sea"), "ada bob"),
        (Filters(exclude_shows=("red-sea", "no-year")), "cat dan"),
        (Filters(year_from=2000), "cat dan"),
        (Filters(year_to=2015), "ada bob"),
        (Filters(type="male", year_from=2000), "dan"),
        (Filters(show="red-sea", year_from=2000), ""),
    ],
)
def test_filters_leave_all_that_passes(recommender: Recommender, filters: Filters, slugs: str) -> None:
    """A filtered answer holds every character and picture that passes and none that does not."""
    expected = set(slugs.split())
    similar = recommender.recommend(draw(0, 77), Query(MAX_LIMIT, filters)).similar
    assert {one.character.slug for one in similar.characters} == expected
    assert [one.character.slug in expected for one in similar.pictures] == [True] * EACH * len(expected)


def test_filters_do_not_touch_the_labels(recommender: Recommender) -> None:
    """What the model sees in the picture is the same whichever results are wanted."""
    free = recommender.recommend(draw(0, 77))
    filtered = recommender.recommend(draw(0, 77), Query(filters=Filters(show="blue-hills")))
    assert (free.characters, free.verdict) == (filtered.characters, filtered.verdict)


def test_an_unknown_show_is_told_before_the_picture_is_read(recommender: Recommender) -> None:
    """A wrong filter is the error that is reported, even where the picture is none; then the picture is."""
    with pytest.raises(NotFound, match="'nowhere'"):
        recommender.recommend(b"no picture", Query(filters=Filters(show="nowhere")))
    with pytest.raises(Unreadable):
        recommender.recommend(b"")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """Return a recommender over 25 shows, the nearest of which has more pictures than a search returns."""
    shows = [Show(f"show-{number:02}", f"Show {number}", 2000 + number) for number in range(25)]
    cast = [Character("hero", "Hero", show, "male") for show in shows]
    rows = [cast[0]] * (CANDIDATES + 200) + [character for character in cast[1:] for _ in range(4)]
    degrees = np.concatenate([np.linspace(0, 20, CANDIDATES + 200), np.linspace(30, 80, 4 * 24)])
    snapshot = snapshot_of(tmp_path_factory.mktemp("crowded") / "s", rows, at_angles(degrees.tolist()))
    encoder = FakeEncoder({cast[0]: image()})
    return Recommender(encoder, snapshot, Limits())


def image() -> DecodedImage:
    """Return a small picture."""
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return DecodedImage(PictureId("0" * 64), pixels, "PNG", 8, 8)


@pytest.mark.parametrize("limit", [1, 2, 12, 25, 100])
@pytest.mark.parametrize(
    ("filters", "available"), [(Filters(), 25), (Filters(type="male"), 25), (Filters(year_to=2011), 12)]
)
def test_a_huge_show_leaves_room_for_others(crowded: Recommender, limit: int, filters: Filters, available: int) -> None:
    """Never fewer characters and shows than asked for where enough exist, though one fills the whole search."""
    similar = crowded.similar_to_picture(crowded.snapshot.picture(0), Query(limit, filters))
    for graded in (similar.characters, similar.shows):
        assert len(graded) == min(limit, available)
        scores = [one.score for one in graded]
        assert scores == sorted(scores, reverse=True)
    slugs = [one.show.slug for one in similar.shows]
    assert slugs == [f"show-{number:02}" for number in range(len(slugs))]


def test_the_first_places_do_not_depend_on_the_limit(crowded: Recommender) -> None:
    """Asking for more only adds to the end of each list."""
    picture = crowded.snapshot.picture(0)
    few, many = (crowded.similar_to_picture(picture, Query(limit)) for limit in (5, 100))
    assert few.characters == many.characters[:5]
    assert few.shows == many.shows[:5]


def test_pictures_that_a_filter_hides_do_not_count(tmp_path: Path) -> None:
    """A show's score under a filter is that of its passing pictures: hidden ones do not water it down."""
    mixed, plain = Show("mixed", "Mixed"), Show("plain", "Plain")
    him, her = Character("him", "Him", mixed, "male"), Character("her", "Her", mixed, "female")
    other, last = Character("other", "Other", plain, "male"), Character("last", "Last", Show("far", "Far"), "male")
    rows = [him] * 3 + [her] * 200 + [other] * 20 + [last] * 20
    degrees = [10.0] * 3 + [85.0] * 200 + [60.0] * 20 + [89.0] * 20
    recommender = Recommender(
        FakeEncoder({him: image()}), snapshot_of(tmp_path / "s", rows, at_angles(degrees)), Limits()
    )
    # Seen from a picture at 10 degrees, two alike are left, which is more than twenty at 60.
    found = recommender.similar_to_picture(recommender.snapshot.picture(0), Query(filters=Filters(type="male")))
    assert [one.show for one in found.shows] == [mixed, plain, last.show]


# Stored pictures, shows and names


def test_a_show_is_not_similar_to_itself(recommender: Recommender) -> None:
    """What is drawn like a show comes from the other shows only: pictures, characters and shows."""
    similar = recommender.similar_to_show("red-sea", EVERYTHING)
    assert {one.show.slug for one in similar.shows} == {"blue-hills", "no-year"}
    assert {one.character.slug for one in similar.characters} == {"cat", "dan", "eve"}
    assert len(similar.pictures) == 3 * EACH
    query = Query(filters=Filters(show="red-sea"))
    assert recommender.similar_to_show("red-sea", query) == SimilarResults((), (), ())


def test_what_is_not_stored_is_not_found(recommender: Recommender) -> None:
    """An unknown picture, show or character is named in a NotFound."""
    for ask in (
        lambda: recommender.similar_to_picture("../../etc/passwd"),
        lambda: recommender.similar_to_show("../../etc/passwd"),
        lambda: recommender.show("../../etc/passwd"),
        lambda: recommender.character("../../etc/passwd"),
    ):
        with pytest.raises(NotFound, match="etc/passwd"):
            ask()


def test_names_are_those_of_the_snapshot(world: World) -> None:
    """Where a show was renamed after training, the new title is given; what only the model knows keeps its own."""
    with world.publication() as publication:
        snapshot = publication.current().snapshot
    renamed = replace(CHARACTERS[0], name="Old Ada", show=replace(SHOWS[0], title="Old Sea"))
    gone = Character("gone", "Gone", Show("gone", "Gone for Good"))
    recommender = Recommender(FakeEncoder({renamed: image(), gone: image()}), snapshot, Limits())
    found = {one.character.label: one.character for one in recommender.recommend(draw(0)).characters}
    assert found == {"red-sea/ada": CHARACTERS[0], "gone/gone": gone}


# Limits of work


class SlowEncoder(FakeEncoder):
    """Takes until it is told to go on."""

    def __init__(self) -> None:
        super().__init__({CHARACTERS[0]: image()})
        self.go_on = threading.Event()

    def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
        """Encode after waiting."""
        assert self.go_on.wait(SECONDS)
        return super().encode(images)


def test_too_many_questions_are_sent_away(recommender: Recommender) -> None:
    """With room for so many pictures and two waiting, others get Busy; those inside are answered."""
    encoder = SlowEncoder()
    capacity = Capacity(waiting=2)
    small = Recommender(encoder, recommender.snapshot, Limits(), capacity)
    data = draw(0, 77)
    room = available_cores() + 1 + 2
    with ThreadPoolExecutor(room + 5) as pool:
        asked = [pool.submit(small.recommend, data) for _ in range(room + 5)]
        wait_until(lambda: sum(one.done() for one in asked) == 5)
        encoder.go_on.set()
        errors = [one.exception() for one in asked]
    assert sum(error is None for error in errors) == room
    assert sum(isinstance(error, Busy) for error in errors) == capacity.working.refused == 5
    assert small.recommend(data).snapshot == "s1"


class CountingEncoder(FakeEncoder):
    """Counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__({CHARACTERS[0]: image()})
        self.asked = 0

    def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
        """Encode and count."""
        self.asked += len(images)
        return super().encode(images)


def test_the_model_is_not_asked_twice_about_the_same_bytes(recommender: Recommender) -> None:
    """A picture that is sent again is answered from memory, whatever is asked about it, and says just the same."""
    encoder, capacity = CountingEncoder(), Capacity(encodings=9)
    remembering = Recommender(encoder, recommender.snapshot, Limits(), capacity)
    first, again = (remembering.recommend(draw(0, 77)) for _ in range(2))
    assert replace(again, timing=first.timing) == first
    assert (again.timing.encode, encoder.asked, capacity.encodings.hits) == (0.0, 1, 1)
    query = Query(1, Filters(show="blue-hills"))
    filtered = remembering.recommend(draw(0, 77), query)
    assert filtered.similar == recommender.recommend(draw(0, 77), query).similar
    remembering.recommend(draw(0, 78))
    assert encoder.asked == 2


def test_a_picture_that_many_send_at_once_is_looked_at_once(recommender: Recommender) -> None:
    """Those who wait for their turn take what was found meanwhile; only who is let in together computes it twice."""
    capacity = Capacity(waiting=20, encodings=9)
    computing = threading.Event()

    class Gathering(CountingEncoder):
        """Computes once all others stand in line."""

        def encode(self, images: Sequence[DecodedImage]) -> list[Encoding]:
            assert computing.wait(SECONDS)
            return super().encode(images)

    encoder = Gathering()
    crowded = Recommender(encoder, recommender.snapshot, Limits(), capacity)
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(crowded.recommend, draw(0, 77)) for _ in range(12)]
        wait_until(lambda: capacity.working.waiting + available_cores() + 1 == 12)
        computing.set()
        answers = [one.result(SECONDS) for one in asked]
    together = max(2, available_cores())
    assert 1 <= encoder.asked <= together
    assert capacity.encodings.hits == 12 - encoder.asked
    assert capacity.encodings.misses == encoder.asked
    assert all(replace(one, timing=answers[0].timing) == answers[0] for one in answers)


def test_another_model_is_asked_anew(recommender: Recommender) -> None:
    """What one model said is never given as the answer of another, though both make the same embeddings."""
    capacity = Capacity(encodings=9)
    encoders = [CountingEncoder(), CountingEncoder()]
    for encoder, digest in zip(encoders, ("1" * 64, "2" * 64), strict=True):
        snapshot = replace(recommender.snapshot, model_digest=digest)
        for _ in range(2):
            Recommender(encoder, snapshot, Limits(), capacity).recommend(draw(0, 77))
    assert [encoder.asked for encoder in encoders] == [1, 1]


def test_nobody_computes_for_who_is_gone(recommender: Recommender) -> None:
    """Where the answer is not wanted any more when the turn comes, the picture is neither decoded nor encoded."""
    encoder, capacity = CountingEncoder(), Capacity(waiting=4)
    small = Recommender(encoder, recommender.snapshot, Limits(), capacity)
    places = available_cores() + 1
    with ThreadPoolExecutor(1) as pool, ExitStack() as inside:
        for _ in range(places):
            inside.enter_context(small.admitted())
        left = pool.submit(small.recommend, draw(0, 77), None, lambda: False)
        assert isinstance(left.exception(SECONDS), Abandoned)
    assert (encoder.asked, capacity.working.abandoned) == (0, 1)


def test_vectors_of_two_spaces_never_meet(recommender: Recommender) -> None:
    """A snapshot of another embedding space than the encoder's cannot be served."""
    info = replace(recommender.snapshot.info, space="another")
    with pytest.raises(SpaceMismatch, match="another"):
        Recommender(recommender.encoder, replace(recommender.snapshot, info=info), Limits())


# Publication


def test_nothing_published_is_said(tmp_path: Path) -> None:
    """Before anything was indexed `current` raises NoSnapshot with the commands to run, and creates nothing."""
    publication = Publication(Settings(home=tmp_path / "home"))
    with pytest.raises(NoSnapshot):
        publication.current()
    publication.refresh()
    with pytest.raises(NoSnapshot, match="sokkuri train LIBRARY"):
        publication.current()
    publication.close()
    assert list(tmp_path.iterdir()) == []


def test_the_first_snapshot_is_noticed_too(tmp_path: Path) -> None:
    """A server that was started too early answers once something is published."""
    encoders: list[Encoder] = []
    publication = Publication(Settings(home=tmp_path / "home"), lambda _settings, _published: encoders[0])
    publication.refresh()
    encoders.append(build(tmp_path).encoder)
    publication.refresh()
    assert publication.current().snapshot.info.id == "s1"
    publication.close()


def test_a_new_snapshot_arrives_without_a_failed_answer(own_world: World) -> None:
    """A new snapshot is served within two seconds; no answer to those who keep asking fails or mixes the two."""
    settings = replace(own_world.settings, poll_seconds=Settings().poll_seconds)
    publication = Publication(settings, lambda _settings, _published: own_world.encoder)
    publication.refresh()
    publication.watch()
    stop, swapped = threading.Event(), threading.Event()
    data = draw(0, 77)

    def ask() -> list[str]:
        seen = []
        while not stop.is_set():
            answer = publication.current().recommend(data, EVERYTHING)
            assert len(answer.similar.pictures) == {"s1": 20, "s2": 12}[answer.snapshot]
            if answer.snapshot == "s2":
                swapped.set()
            seen.append(answer.snapshot)
            time.sleep(0.005)
        return seen

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        publish(own_world, "s2", pictures=12)
        published = time.monotonic()
        arrived = swapped.wait(SECONDS)
        seconds = time.monotonic() - published
        stop.set()
        answers = [one.result(SECONDS) for one in asked]
    publication.close()
    assert arrived
    assert seconds < 2
    for seen in answers:
        assert seen == sorted(seen)  # s1 first, then s2, and never back
        assert seen


def test_vectors_that_are_only_mapped_are_checked_while_answering(own_world: World) -> None:
    """They are not read before the first answer, but damage in them ends the answers as any other does, by name."""
    count = 10_000
    vectors = unit_length(np.random.default_rng(0).normal(size=(count, SPACE.dimension)).astype(np.float32))
    content = SnapshotContent(
        model="fake",
        model_digest=MODEL_DIGEST,
        space=SPACE,
        pictures=[PictureId(f"{row:064x}") for row in range(count)],
        characters=[CHARACTERS[0]] * count,
        vectors=vectors,
        created="2026-01-02T00:00:00+00:00",
        index=IndexOptions(exact_numbers=0),
    )
    folder = folder_of(own_world, "s2")
    info = write_snapshot(folder, content, lambda _folder: None)
    with Catalogue(own_world.settings.database_url) as catalogue:
        catalogue.publish(info, LibraryRows(tuple((show, {}) for show in SHOWS), CHARACTERS, own_world.pictures))
    with own_world.publication() as publication:
        assert publication.current().snapshot.info.id == "s2"
    whole = damage(folder / "vectors.npy")
    assert len(open_snapshot(folder, info.digest, mapped_later=True).index) == count
    with pytest.raises(Corrupt, match=r"s2/vectors\.npy is damaged"):
        open_snapshot(folder, info.digest)
    with own_world.publication() as publication, pytest.raises(Corrupt, match=r"s2/vectors\.npy is damaged"):
        publication.current()
    (folder / "vectors.npy").write_bytes(whole)
    damage(folder / "index.faiss")
    with pytest.raises(Corrupt, match=r"s2/index\.faiss is damaged"):
        open_snapshot(folder, info.digest, mapped_later=True)


def test_who_has_begun_keeps_the_old_snapshot(own_world: World) -> None:
    """A request that holds the recommender of the old snapshot finishes on it after the swap."""
    with own_world.publication() as publication:
        before = publication.current()
        publish(own_world, "s2", pictures=12)
        publication.refresh()
        assert publication.current().snapshot.info.id == "s2"
        assert before.recommend(draw(0)).snapshot == "s1"


def test_an_earlier_snapshot_can_be_published_again(own_world: World) -> None:
    """A rollback is noticed like any publication."""
    with own_world.publication() as publication:
        publish(own_world, "s2", pictures=12)
        publication.refresh()
        publication.catalogue.republish("s1")
        publication.refresh()
        assert publication.current().snapshot.info.id == "s1"


def test_the_model_is_opened_once(own_world: World) -> None:
    """A new snapshot of the same model does not read the network again."""
    opened = []

    def open_encoder(_settings: Settings, published: SnapshotInfo) -> Encoder:
        opened.append(published.model)
        return own_world.encoder

    publication = Publication(own_world.settings, open_encoder)
    publication.refresh()
    publish(own_world, "s2", pictures=12)
    publication.refresh()
    assert publication.current().snapshot.info.id == "s2"
    publication.close()
    assert opened == ["fake"]


@pytest.fixture
def damaged(own_world: World) -> Iterator[tuple[Publication, Path, bytes]]:
    """Serve s1, publish s2 with a damaged file, and refresh; give the file and what it should hold."""
    with own_world.publication() as publication:
        publish(own_world, "s2", pictures=12)
        file = folder_of(own_world, "s2") / "index.faiss"
        whole = damage(file)
        publication.refresh()
        yield publication, file, whole


def test_a_damaged_snapshot_leaves_the_old_one_serving(damaged: tuple[Publication, Path, bytes]) -> None:
    """What cannot be opened changes nothing for those who ask."""
    publication, _, _ = damaged
    assert publication.current().recommend(draw(0)).snapshot == "s1"


def test_trouble_is_logged_once(own_world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged snapshot is logged once, with the file's name, however often it is looked at."""
    publish(own_world, "s2", pictures=12)
    file = folder_of(own_world, "s2") / "pictures.npy"
    damage(file)
    publication = Publication(
        replace(own_world.settings, poll_seconds=0.01), lambda _settings, _published: own_world.encoder
    )
    with caplog.at_level(logging.WARNING):
        publication.watch()
        wait_until(lambda: bool(caplog.records))
        time.sleep(0.2)
        publication.close()
    assert ["snapshots/s2/pictures.npy" in record.getMessage() for record in caplog.records] == [True]


def test_a_damaged_snapshot_is_left_alone_for_a_while(
    damaged: tuple[Publication, Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are not read again at every poll, but after RETRY_SECONDS it is tried again, and served if repaired."""
    publication, file, whole = damaged
    file.write_bytes(whole)
    publication.refresh()
    assert publication.current().snapshot.info.id == "s1"
    monkeypatch.setattr("recommender.publication.monotonic", lambda: time.monotonic() + RETRY_SECONDS)
    publication.refresh()
    assert publication.current().snapshot.info.id == "s2"


def test_the_next_snapshot_is_tried_at_once(damaged: tuple[Publication, Path, bytes], own_world: World) -> None:
    """Another publication is opened at the next look, without waiting because the one before was damaged."""
    publication, _, _ = damaged
    publish(own_world, "s3", pictures=8)
    publication.refresh()
    assert publication.current().snapshot.info.id == "s3"


def test_a_damaged_first_snapshot_is_the_answer(own_world: World) -> None:
    """Where nothing else is open, `current` raises what stood in the way, a new error for each request."""
    damage(folder_of(own_world, "s1") / "roster.json")
    with own_world.publication() as publication:
        with pytest.raises(Corrupt, match=r"roster\.json") as first:
            publication.current()
        with pytest.raises(Corrupt) as second:
            publication.current()
    assert first.value is not second.value


def test_a_snapshot_of_a_replaced_model_is_refused(own_world: World) -> None:
    """A snapshot that was made with another model of the same name is not served with the new one."""
    with Catalogue(own_world.settings.database_url) as catalogue:
        catalogue.add_model(ModelRow("fake", "fake", "1" * 64, SPACE.fingerprint, "2026-01-02T00:00:00+00:00"))
    with own_world.publication() as publication, pytest.raises(LabelMismatch, match="another model named fake"):
        publication.current()


def test_a_snapshot_of_another_space_is_refused(own_world: World) -> None:
    """A model whose space is not the snapshot's does not get to see it: SpaceMismatch."""
    other = FakeEncoder({CHARACTERS[0]: image()})
    other.space = replace(SPACE, weights="others")
    publication = Publication(own_world.settings, lambda _settings, _published: other)
    publication.refresh()
    with pytest.raises(SpaceMismatch, match="snapshot s1"):
        publication.current()
    publication.close()


def test_the_watcher_survives_what_nobody_foresaw(own_world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error while opening is logged, and a later snapshot is noticed all the same."""
    failing = [RuntimeError("out of memory")]

    def open_encoder(_settings: Settings, _published: SnapshotInfo) -> Encoder:
        if failing:
            raise failing.pop()
        return own_world.encoder

    publication = Publication(replace(own_world.settings, poll_seconds=0.02), open_encoder)
    publication.watch()
    wait_until(lambda: not failing)
    publish(own_world, "s2", pictures=12)
    wait_until(lambda: snapshot_served(publication) == "s2")
    publication.close()
    assert "out of memory" in caplog.text


def test_closing_ends_the_watcher(own_world: World) -> None:
    """After `close` no thread is left, however long it would have waited."""
    publication = Publication(
        replace(own_world.settings, poll_seconds=60), lambda _settings, _published: own_world.encoder
    )
    publication.watch()
    publication.close()
    assert "publication" not in {thread.name for thread in threading.enumerate()}
