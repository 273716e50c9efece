"""What the demo world shows: how fast it is drawn, how well it is learned, whether similar shows are; and the trunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.probe import Probe, probe
from bench.report import Figures
from indexer.demo.truth import TOP, ndcg, random_ndcg, relevance, spearman
from indexer.demo.world import Plan, World, draw_world
from indexer.progress import progress
from indexer.reindex import reindex
from indexer.training.train import TrainOptions, train
from indexer.workplace import workplace
from recommender.errors import BuildError
from recommender.publication import Publication
from recommender.service import Recommender
from recommender.settings import Settings
from recommender.types import Query

SPACES = ("type", "show", "character")


@dataclass(frozen=True, slots=True)
class Effort:
    """How many pictures a character has, in how many folds they are tested, and how many others are asked about."""

    pictures: int = 24
    folds: int = 5
    unseen: int = 2


QUICK = Effort(pictures=8, folds=2, unseen=1)
UNSEEN_SEED = 1
"""The world is drawn with seed 0: pictures of this seed are of its characters, and nobody has seen them."""


def measure_demo(effort: Effort, weights: str, library: Path | None, trunks: Mapping[str, Path]) -> Figures:
    """Draw, train, publish and ask, in a home of its own; then probe trunks on a library of real pictures."""
    with TemporaryDirectory(prefix="sokkuri-bench-") as folder:
        settings = Settings(home=Path(folder) / "home")
        plan = Plan(pictures=effort.pictures)
        started = perf_counter()
        world = _drawn(Path(folder) / "world", plan)
        draw_s = perf_counter() - started
        unseen = _drawn(Path(folder) / "unseen", replace(plan, seed=UNSEEN_SEED, pictures=effort.unseen))
        with workplace(settings, "bench demo") as catalogue:
            started = perf_counter()
            options = TrainOptions("vgg19", weights, views=0, folds=effort.folds, project="none")
            report = train(settings, catalogue, world.library, options)
            train_s = perf_counter() - started
            started = perf_counter()
            reindex(settings, catalogue, world.library)
            reindex_s = perf_counter() - started
        publication = Publication(settings)
        publication.refresh()
        recommender = publication.current()
        figures = {
            "notice": report.model.notice or None,
            "pictures": world.drawn,
            "draw_s": draw_s,
            "draw_s_for_1500": 1500 * draw_s / world.drawn,
            "train_s": train_s,
            "reindex_s": reindex_s,
            **{f"{space}_accuracy": report.metrics[space]["accuracy"] for space in SPACES},
            "accuracy_pictures": report.metrics["character"]["pictures"],
            **_strangers(recommender, world, unseen),
            **_shows(recommender, plan),
        }
        publication.close()
    if library:
        with progress("probing trunks", "trunk") as told:
            probes = probe(library, {"bundled": None, **trunks}, told)
        figures |= _probed(probes)
    return Figures(figures, tuple(_lines(figures)))


def _drawn(folder: Path, plan: Plan) -> World:
    with progress("drawing") as told:
        return draw_world(folder, plan, told)


def _strangers(recommender: Recommender, world: World, unseen: World) -> dict[str, Any]:
    """Ask about people that the catalogue does not hold, and about new pictures of those that it holds."""
    sure: dict[str, list[float]] = {"unseen": [], "strangers": []}
    levels: dict[str, dict[str, int]] = {"unseen": {}, "strangers": {}}
    right = 0
    for name, folder in (("unseen", unseen.library), ("strangers", world.strangers)):
        for file in sorted(folder.rglob("*.jpg")):
            data = file.read_bytes()
            sure[name].append(recommender.certainties(data)["character"])
            answer = recommender.recommend(data)
            level = answer.verdict.level
            levels[name][level] = levels[name].get(level, 0) + 1
            right += name == "unseen" and answer.characters[0].character.label == f"{file.parts[-3]}/{file.parts[-2]}"
    known = np.repeat([1, 0], [len(sure["unseen"]), len(sure["strangers"])])
    return {
        "unknown_auroc": float(roc_auc_score(known, sure["unseen"] + sure["strangers"])),
        "strangers": len(sure["strangers"]),
        "unseen": len(sure["unseen"]),
        "unseen_character_accuracy": right / len(sure["unseen"]),
        "verdicts": levels,
    }


def _shows(recommender: Recommender, plan: Plan) -> dict[str, Any]:
    """Compare what is said to be drawn alike with what is drawn alike."""
    styles = {show.label: show.style for show in plan.shows}
    found, by_chance, correlations = [], [], []
    for label, style in styles.items():
        similar = recommender.similar_to_show(label, Query(limit=len(styles))).shows
        score = {one.show.slug: one.score for one in similar}
        truth = relevance(style, {other: styles[other] for other in styles if other != label})
        if set(score) != set(truth):
            raise BuildError(f"the shows similar to {label} are not all the others")
        found.append(ndcg([one.show.slug for one in similar], truth))
        by_chance.append(random_ndcg(truth))
        correlations.append(spearman([score[other] for other in truth], list(truth.values())) or 0.0)
    return {
        f"similar_shows_ndcg{TOP}": float(np.mean(found)),
        f"random_ndcg{TOP}": float(np.mean(by_chance)),
        "similar_shows_spearman": float(np.mean(correlations)),
    }


def _probed(probes: Mapping[str, Mapping[str, Probe]]) -> dict[str, Any]:
    """Return the figures of all trunks, and those of the bundled one by their fixed names."""
    fixed = {
        f"probe_{show.replace('-', '_')}": probes["bundled"][show].accuracy
        for show in ("one-piece", "new-game")
        if show in probes["bundled"]
    }
    return {
        **fixed,
        "probes": {trunk: {show: one.to_json() for show, one in shows.items()} for trunk, shows in probes.items()},
    }


def _lines(figures: dict[str, Any]) -> list[str]:
    """Return the tables for people."""
    lines = [figures["notice"]] if figures["notice"] else []
    lines += [
        (
            f"{figures['pictures']} pictures drawn in {figures['draw_s']:.0f} s "
            f"(1,500 in {figures['draw_s_for_1500']:.0f} s), learned in {figures['train_s']:.0f} s, "
            f"published in {figures['reindex_s']:.0f} s"
        ),
        f"accuracy over folds, {figures['accuracy_pictures']} pictures: "
        + ", ".join(f"{space} {figures[f'{space}_accuracy']:.3f}" for space in SPACES),
        (
            f"{figures['unseen']} new pictures of known characters: {figures['unseen_character_accuracy']:.3f} right; "
            f"told from {figures['strangers']} of unknown ones: AUROC {figures['unknown_auroc']:.3f}"
        ),
    ]
    lines += [
        f"  verdicts about {name}: " + ", ".join(f"{count} {level}" for level, count in sorted(counts.items()))
        for name, counts in figures["verdicts"].items()
    ]
    lines.append(
        f"similar shows: NDCG@{TOP} {figures[f'similar_shows_ndcg{TOP}']:.3f} "
        f"(at random {figures[f'random_ndcg{TOP}']:.3f}), Spearman {figures['similar_shows_spearman']:.3f}"
    )
    for trunk, shows in figures.get("probes", {}).items():
        said = "; ".join(
            f"{show} {one['accuracy']:.3f}, precision@1 {one['precision_at_1']:.3f}, mAP {one['mean_ap']:.3f} "
            f"(n={one['pictures']})"
            for show, one in shows.items()
        )
        lines.append(f"probe of {trunk}: {said}")
    return lines
