"""`indexer.evaluation.calibration`: how sure the model says it is, is how often it is right."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.evaluation.calibration import (
    ASSUMED,
    LEAST,
    NAMED,
    PRECISION,
    calibrate,
    certainties,
    fit_maps,
    fit_verdict,
)
from indexer.evaluation.rehearsal import KINDS, Answers, Train, together
from indexer.evaluation.scaling import HOTTEST, calibrated
from indexer.samples import Part, Samples, Stored
from indexer.split import HELD_OUT, Split
from recommender.calibration import LEVELS, Calibration, Certainty, Nearness, ProbabilityMap
from recommender.embeddings import unit_length
from recommender.heads import SPACES, Heads
from recommender.labels import Hierarchy
from recommender.ranking import rank_groups
from recommender.types import Matrix, Neighbours, Prediction
from tests.indexer.casts import CAST, plain_heads

pytestmark = pytest.mark.slow

COUNT = len(CAST.characters)
HERE = Nearness(1.0, dict.fromkeys(LEVELS, 1.0))


# The verdict


def _answers(count: int, seed: int, kind: str, *, right: float | None = None, near: float = 0.8) -> Answers:
    """Invent answers of a kind. `right` is how often they are right; None: as often as their probability says."""
    draw = np.random.default_rng(seed)
    probability = {level: draw.uniform(0.3, 1.0, count) for level in LEVELS}
    return Answers(
        np.full(count, KINDS.index(kind)),
        np.clip(draw.normal(near, 0.05, count), -1, 1),
        probability,
        {level: np.clip(draw.normal(near - 0.05, 0.05, count), -1, 1) for level in LEVELS},
        {level: draw.random(count) < (probability[level] if right is None else right) for level in LEVELS},
        {level: np.ones(count, dtype=bool) for level in LEVELS},
    )


def _world(seed: int, count: int = 800) -> Answers:
    """Return answers about people who are known and near, and about strangers who are far, with the same softmax."""
    strangers = [_answers(count, seed + 1 + number, kind, right=0.0, near=0.4) for number, kind in enumerate(KINDS[1:])]
    return together([_answers(count, seed, KINDS[0]), *strangers])


def _said(fitted: Mapping[str, Certainty], answers: Answers) -> tuple[float, float]:
    """Return how often verdicts are right where people ask as is assumed, and how many of the questions get one."""
    share = np.array([ASSUMED[KINDS[kind]] / np.sum(answers.kind == kind) for kind in answers.kind])
    undecided = np.ones(len(answers), dtype=bool)
    said = right = 0.0
    for level in LEVELS:
        sure = (
            undecided & answers.counts[level] & (certainties(fitted[level], answers, level) >= fitted[level].threshold)
        )
        said += float(share[sure].sum())
        right += float(share[sure & answers.right[level]].sum())
        undecided &= ~sure
    return right / said, said / float(share.sum())


def test_verdicts_reach_the_precision_that_they_promise() -> None:
    """Of what is said, over all levels, 95 % is right: on the pictures it was measured on, and nearly so on others."""
    measured, fresh = _world(seed=10), _world(seed=20)
    fitted = fit_verdict(measured)
    precision, share = _said(fitted, measured)
    assert precision >= PRECISION
    assert share > 0.1
    precision, share = _said(fitted, fresh)
    assert precision >= PRECISION - 0.05
    assert share > 0.1


def test_thresholds_are_no_higher_than_they_have_to_be() -> None:
    """Any lower threshold of the first level would break the promise on the pictures it was measured on."""
    measured = _world(seed=30)
    certainty = fit_verdict(measured)["character"]
    sure = certainties(certainty, measured, "character")
    share = np.array([ASSUMED[KINDS[kind]] for kind in measured.kind])
    for lower in np.unique(sure[sure < certainty.threshold]):
        said = sure >= lower
        assert (share * measured.right["character"])[said].sum() < PRECISION * share[said].sum()


def test_a_sure_softmax_far_from_everything_is_not_believed() -> None:
    """With 0.99 for every label, somebody near is named, and what resembles nothing stored is unknown."""
    calibration = Calibration(certainty=fit_verdict(_world(seed=40)))
    best = {level: Prediction("somebody", 0.99) for level in LEVELS}
    near, far = (Nearness(cosine, dict.fromkeys(LEVELS, cosine - 0.05)) for cosine in (0.8, 0.4))
    assert calibration.verdict(best, near).level == "character"
    assert calibration.verdict(best, far).level == "unknown"
    assert calibration.verdict(best, far).probability > 0.7


def test_certainty_says_how_often_it_is_right() -> None:
    """Where the softmax is honest about those it knows, and only these are asked about, certainty is that honesty."""
    answers = _answers(8000, 50, "known")
    fitted = fit_verdict(answers)
    for level in LEVELS:
        sure = certainties(fitted[level], answers, level)
        for low in (0.4, 0.6, 0.8):
            bin_ = (sure >= low) & (sure < low + 0.1)
            assert answers.right[level][bin_].mean() == pytest.approx(sure[bin_].mean(), abs=0.05)


def test_certainties_are_those_of_the_verdict() -> None:
    """What was measured is what an answer computes: the same formula from the same numbers."""
    answers, certainty = _world(seed=60, count=5), Certainty(0.0, -3.0, 0.7, 2.0, 5.0)
    found = certainties(certainty, answers, "show")
    for row in range(len(answers)):
        nearness = Nearness(float(answers.nearest[row]), {"show": float(answers.near["show"][row])})
        best = {"show": Prediction("one", float(answers.probability["show"][row]))}
        verdict = Calibration(certainty={"show": certainty}).verdict(best, nearness)
        assert verdict.probability == pytest.approx(found[row])


@pytest.mark.parametrize("kind", ["known", "nothing"])
def test_how_many_pictures_of_a_kind_were_rehearsed_does_not_matter(kind: str) -> None:
    """What people are assumed to ask about is fixed: ten times as many answers of one kind change hardly anything."""
    measured = _world(seed=70, count=500)
    more = together([measured, *[measured.only(measured.kind == KINDS.index(kind))] * 9])
    one, other = fit_verdict(measured), fit_verdict(more)
    for level in LEVELS:
        mine, theirs = (certainties(fitted[level], measured, level) for fitted in (one, other))
        assert np.abs(mine - theirs).max() < 0.02
    assert one["character"].threshold == pytest.approx(other["character"].threshold, abs=0.02)


def test_a_kind_that_was_not_rehearsed_leaves_its_share_to_the_others() -> None:
    """A library that can rehearse no strangers is measured on those it knows, and promises the same of these."""
    known = _answers(3000, 80, "known")
    precision, share = _said(fit_verdict(known), known)
    assert precision >= PRECISION
    assert share > 0.1


def test_strict_verdicts_name_few_strangers() -> None:
    """Where known pictures are right enough to pay for every stranger, only strict thresholds keep these out."""
    known = _answers(2000, 85, "known", right=1.0)
    strangers = _answers(500, 86, "unknown show", right=0.0, near=0.75)
    measured = together([known, strangers])
    named = {}
    for strict in (False, True):
        fitted = fit_verdict(measured, strict=strict)
        for level in ("character", "show"):
            sure = certainties(fitted[level], strangers, level) >= fitted[level].threshold
            named[strict, level] = float(sure.mean())
    for level in ("character", "show"):
        assert named[True, level] <= NAMED
    assert max(named[False, level] for level in ("character", "show")) > 2 * NAMED


def test_strict_verdicts_without_strangers_are_as_ever() -> None:
    """A library of one show has no unknown show to ask about: its thresholds rest on what it has."""
    known = _answers(2000, 87, "known")
    assert fit_verdict(known, strict=True) == fit_verdict(known)


def test_nearer_and_likelier_never_make_less_sure() -> None:
    """Where what is near and likely is wrong more often, by chance, it counts for nothing and not against the label."""
    answers = _answers(2000, 90, "known", right=0.5)
    perverse = replace(answers, right={level: values < 0.6 for level, values in answers.probability.items()})
    perverse = replace(perverse, near={level: -values for level, values in answers.probability.items()})
    for certainty in fit_verdict(perverse).values():
        assert min(certainty.odds, certainty.nearest, certainty.label) >= 0
        assert certainty.odds < 0.05


def test_a_level_that_is_never_right_enough_is_never_believed() -> None:
    """Where guesses are no better than chance no probability is enough, not even 1."""
    fitted = fit_verdict(_answers(2000, 100, "known", right=0.3))
    assert all(certainty.threshold > 1 for certainty in fitted.values())
    best = {level: Prediction("one/c0", 1.0) for level in LEVELS}
    assert Calibration(certainty=fitted).verdict(best, HERE).level == "unknown"


def test_one_lucky_picture_sets_no_threshold() -> None:
    """With fewer than ten pictures at a level nothing is promised, however right they are; with ten it is."""
    for count in (1, LEAST - 1):
        fitted = fit_verdict(_answers(count, 110, "known", right=1.0))
        assert all(certainty.threshold > 1 for certainty in fitted.values())
    assert fit_verdict(_answers(LEAST, 110, "known", right=1.0))["character"].threshold <= 1


def test_pictures_whose_type_nobody_knows_say_nothing_about_types() -> None:
    """They are no wrong answers: the certainty of types is that of the others alone."""
    answers = _answers(2000, 120, "known")
    untold = np.arange(2000) % 2 == 0
    doubtful = replace(
        answers,
        counts={**answers.counts, "type": ~untold},
        right={**answers.right, "type": answers.right["type"] & ~untold},
    )
    found, expected = fit_verdict(doubtful)["type"], fit_verdict(answers.only(~untold))["type"]
    assert (found.bias, found.odds) == pytest.approx((expected.bias, expected.odds), abs=0.05)


def test_where_no_picture_has_a_type_none_is_believed() -> None:
    """A level that nothing is known about is never said, and nothing fails."""
    answers = _answers(500, 130, "known")
    untyped = replace(answers, counts={**answers.counts, "type": np.zeros(500, dtype=bool)})
    fitted = fit_verdict(untyped)
    assert fitted["type"].threshold > 1
    assert fitted["character"].threshold <= 1


# Maps


def _clusters(each: int, seed: int, noise: float = 0.6) -> Part:
    """Return unit vectors around one axis for each character."""
    draw = np.random.default_rng(seed)
    characters = np.repeat(np.arange(COUNT), each)
    vectors = np.eye(COUNT)[characters] + noise * draw.standard_normal((len(characters), COUNT))
    return Part.of(unit_length(vectors.astype(np.float32)), characters)


def test_maps_never_fall_and_are_probabilities() -> None:
    """The nearer two pictures, the likelier they show one character or show: never less likely, always in 0..1."""
    found = fit_maps(_clusters(30, seed=1), _clusters(15, seed=2), CAST)
    assert set(found) == {"same_character", "same_show", "character_score", "show_score"}
    for worth in found.values():
        assert all(one < other for one, other in itertools.pairwise(worth.similarity))
        assert all(one <= other for one, other in itertools.pairwise(worth.probability))
        assert 0 < min(worth.probability) <= max(worth.probability) < 1
        assert len(worth.similarity) == len(worth.probability)
        assert worth(1.0) > worth(-1.0)


def test_similarity_maps_are_right_on_average() -> None:
    """Over the pairs of an answer (a picture's nearest neighbours) the chances add up to what is found."""
    training, fresh = _clusters(40, seed=1), _clusters(20, seed=3)
    found = fit_maps(training, _clusters(20, seed=2), CAST)
    cosines = fresh.embeddings() @ training.embeddings().T
    nearest = np.argsort(-cosines, axis=1)[:, :12]
    shown = np.take_along_axis(cosines, nearest, 1).ravel()
    for name, label in (("same_character", np.arange(COUNT)), ("same_show", CAST.show_of)):
        chances = [found[name](float(cosine)) for cosine in shown]
        same = label[training.characters[nearest]] == label[fresh.characters][:, np.newaxis]
        assert np.mean(chances) == pytest.approx(same.mean(), abs=0.05)


def test_score_maps_are_right_on_average() -> None:
    """Over the characters, or shows, that an answer ranks, the chances of the scores add up to what is found."""
    training, fresh = _clusters(15, seed=1, noise=0.5), _clusters(20, seed=3, noise=0.5)
    maps = fit_maps(training, _clusters(40, seed=2, noise=0.5), CAST)
    for name, label in (("character_score", np.arange(COUNT)), ("show_score", CAST.show_of)):
        groups = label[training.characters]
        chances, right = [], []
        for vector, truth in zip(fresh.embeddings(), label[fresh.characters], strict=True):
            cosine = training.embeddings() @ vector
            order = np.argsort(-cosine)
            for one in rank_groups(Neighbours(order, cosine[order]), groups, np.bincount(groups)):
                chances.append(maps[name](one.score))
                right.append(one.group == truth)
        assert np.mean(chances) == pytest.approx(np.mean(right), abs=0.05)
        sure = np.array(chances) > 0.6
        assert sure.sum() > 40
        assert np.array(right)[sure].mean() == pytest.approx(np.array(chances)[sure].mean(), abs=0.1)


def test_maps_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of both parts may be read a few at a time: the maps are those of all pairs at once."""
    training, validation = _clusters(15, seed=1), _clusters(8, seed=2)
    whole = fit_maps(training, validation, CAST)
    monkeypatch.setattr("indexer.samples.BLOCK", 7)
    for name, worth in fit_maps(training, validation, CAST).items():
        assert worth.similarity == pytest.approx(whole[name].similarity)
        assert worth.probability == pytest.approx(whole[name].probability)


# Everything together


def _samples(hierarchy: Hierarchy = CAST, each: int = 40, noise: float = 0.35, test: float = 0.1) -> Samples:
    """Return pictures around one axis for each character, and some of nobody, between all axes."""
    draw = np.random.default_rng(5)
    characters = np.repeat(np.arange(COUNT), each)
    vectors = 3 * np.eye(COUNT)[characters] + 3 * noise * draw.standard_normal((len(characters), COUNT))
    nobody = draw.standard_normal((40, COUNT)) - 1.0
    part = np.tile(np.random.default_rng(6).permuted(np.repeat([0, 1, 2], [each // 2, each // 4, each // 4])), COUNT)
    vectors[part == 2] *= test
    stored = np.concatenate([vectors, nobody]).astype(np.float32)
    return Samples(hierarchy, Stored(stored, stored), characters, Split(part, np.arange(len(characters)), seed=0))


def _train(hierarchy: Hierarchy, part: Part) -> Heads:
    """Take a picture for the character whose pictures it is nearest to on average."""
    vectors = part.embeddings()
    weights: dict[str, Matrix] = {
        space.name: np.zeros((len(space), part.dimension), np.float32) for space in hierarchy.spaces
    }
    weights["character"] = np.stack(
        [vectors[part.characters == one].mean(axis=0) for one in range(len(hierarchy.characters))]
    )
    return Heads(hierarchy, weights, {name: np.zeros(len(rows), np.float32) for name, rows in weights.items()})


def _trained(samples: Samples, train: Train = _train) -> Heads:
    """Return heads of the training part, calibrated on the validation part."""
    heads = train(samples.hierarchy, samples.read(samples.part("train")))
    return calibrated(heads, samples.read(samples.part("validation")))


def test_a_calibration_is_whole_and_survives_the_disk() -> None:
    """It has a temperature for each label space, a certainty for each level, every map, and the precision promised."""
    samples = _samples()
    found = calibrate(samples, _trained(samples), _train)
    assert found.precision == PRECISION
    assert set(found.temperatures) == set(SPACES)
    assert set(found.certainty) == set(LEVELS)
    assert ProbabilityMap() not in (found.same_character, found.same_show, found.character_score, found.show_score)
    assert Calibration.from_json(found.to_json()) == found


def test_known_characters_are_named_and_strangers_are_not() -> None:
    """A picture near its character is named, and one far from all is unknown, with the same softmax."""
    samples = _samples(noise=0.15)
    heads = _trained(samples)
    found = calibrate(samples, heads, _train)
    for softmax in (0.9, 0.999):
        best = {level: Prediction("somebody", softmax) for level in LEVELS}
        assert found.verdict(best, Nearness(9.0, dict.fromkeys(LEVELS, 9.0))).level == "character"
        assert found.verdict(best, Nearness(-1.0, dict.fromkeys(LEVELS, -1.0))).level == "unknown"


def test_the_test_part_is_never_looked_at() -> None:
    """Whatever the vectors of its pictures are, they change neither temperatures nor thresholds nor maps."""
    one, other = (_samples(test=scale) for scale in (0.1, 50.0))
    assert not np.array_equal(one.part("test").embeddings(), other.part("test").embeddings())
    assert calibrate(one, _trained(one), _train) == calibrate(other, _trained(other), _train)


def test_who_is_unknown_is_asked_of_heads_with_the_same_temperatures() -> None:
    """Rehearsed heads speak as the model will: a model that boasts a hundredfold is calibrated to the same verdicts."""
    samples = _samples()

    def boasting(hierarchy: Hierarchy, part: Part) -> Heads:
        heads = _train(hierarchy, part)
        return replace(heads, weights={name: rows * np.float32(3) for name, rows in heads.weights.items()})

    plain = calibrate(samples, _trained(samples), _train)
    loud = calibrate(samples, _trained(samples, boasting), boasting)
    assert loud.temperatures["character"] == pytest.approx(3 * plain.temperatures["character"], rel=0.02)
    for level in LEVELS:
        assert loud.certainty[level].threshold == pytest.approx(plain.certainty[level].threshold, abs=0.02)
        assert loud.certainty[level].odds == pytest.approx(plain.certainty[level].odds, rel=0.1, abs=0.02)


def test_what_is_said_about_strangers_and_nobody_counts() -> None:
    """Heads that were trained without some characters, and pictures of nobody, have their say in what is believed."""
    samples = _samples()
    heads = _trained(samples)
    found = calibrate(samples, heads, _train)
    assert calibrate(samples, heads, _silent).certainty != found.certainty
    stored = samples.stored.vectors[: len(samples.characters)]
    assert calibrate(replace(samples, stored=Stored(stored, stored)), heads, _train).certainty != found.certainty


def _only(samples: Samples, part: NDArray[np.int64]) -> Samples:
    """Return the samples with another division."""
    return replace(samples, split=replace(samples.split, part=part))


def test_without_validation_pictures_it_is_never_sure() -> None:
    """Nothing was measured: whatever the probabilities, the verdict is unknown; no heads are trained for it."""
    samples = _samples()
    nothing = _only(samples, np.where(samples.split.part == 1, 0, samples.split.part))

    def never(_hierarchy: Hierarchy, _part: Part) -> Heads:
        raise AssertionError("there is nothing to ask about")

    found = calibrate(nothing, _trained(nothing), never)
    assert all(temperature == 1 for temperature in found.temperatures.values())
    best = {level: Prediction("x", 1.0) for level in LEVELS}
    assert found.verdict(best, HERE).level == "unknown"
    assert Calibration.from_json(found.to_json()) == found


def _silent(hierarchy: Hierarchy, _part: Part) -> Heads:
    """Return heads to whom everybody is as likely."""
    shapes = {space.name: (len(space), COUNT) for space in hierarchy.spaces}
    weights: dict[str, Matrix] = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return Heads(hierarchy, weights, {name: np.zeros(rows, np.float32) for name, (rows, _) in shapes.items()})


@pytest.mark.parametrize(("trained", "validated"), [(1, 1), (1, 3), (2, 1), (3, 6)])
def test_tiny_parts_are_enough(trained: int, validated: int) -> None:
    """One picture in each part gives a calibration that can be used: sure of nobody, every number in its range.

    The many pictures of nobody that it was right about make a single picture of somebody no better a witness.
    """
    samples = _samples(each=4)
    part = np.full(len(samples.characters), HELD_OUT)
    part[np.flatnonzero(samples.split.part == 0)[::2][:trained]] = 0
    part[np.flatnonzero(samples.split.part == 1)[:validated]] = 1
    found = calibrate(_only(samples, part), calibrated(plain_heads(), samples.at(np.flatnonzero(part == 1))), _silent)
    assert all(1 / HOTTEST <= temperature <= HOTTEST for temperature in found.temperatures.values())
    assert all(certainty.threshold > 1 for certainty in found.certainty.values())
    for worth in (found.same_character, found.same_show, found.character_score, found.show_score):
        assert 0 <= worth(0.5) <= 1
    assert Calibration.from_json(found.to_json()) == found


def test_a_library_without_types_is_never_sure_of_one() -> None:
    """Where no character has a type there is nothing to measure, and nothing fails."""
    untyped = Hierarchy.of([replace(character, type=None) for character in CAST.characters])
    samples = _samples(untyped)
    found = calibrate(samples, _trained(samples), _train)
    best = {"type": Prediction("male", 1.0)}
    assert found.verdict(best, Nearness(0.5, {"type": 0.5})).level == "unknown"
