"""The demo world, drawn, learned and published in a home of its own, so that it can be served.

Not here: what the world looks like (`world`), how a model is trained (`indexer.training`), the server (`web`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from indexer.demo import shipped
from indexer.demo.world import Plan, World, draw_world, drawer_version, is_drawn
from indexer.progress import progress
from indexer.workplace import workplace
from recommender.bundled import BACKBONE, read_card
from recommender.catalogue import Catalogue
from recommender.errors import BuildError, SokkuriError
from recommender.homes import refuse_lost
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from recommender.snapshots import open_snapshot

FOLDER, WORLD = "demo", "world"
"""Where the demo's home lies in the user's, and the drawings in the demo's."""


def demo_settings(settings: Settings) -> Settings:
    """Return the settings of the demo: its own home and catalogue, so that it never touches the user's."""
    return replace(settings, home=settings.home / FOLDER, database="")


def model_name(plan: Plan) -> str:
    """Return what the demo's model is called: another world, or other weights, ask for another model."""
    made_of = {"drawer": drawer_version(), "weights": read_card()["sha256"], **plan.to_json()}
    return f"demo-{hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:10]}"


def wanted_model(plan: Plan) -> str:
    """Return the name of the model that the demo is published with: the one that comes with Sokkuri where it fits."""
    return shipped.name() if shipped.fits(plan) else model_name(plan)


def is_published(settings: Settings, plan: Plan) -> bool:
    """Tell whether this very world is published and whole. `settings` are those of the demo."""
    name = wanted_model(plan)
    try:
        with Catalogue(settings.database_url) as catalogue:
            published = catalogue.published()
        folder = settings.home / "models" / name
        ModelFolder.open(folder)
        open_snapshot(settings.home / "snapshots" / published.id, published.digest)
    except SokkuriError:
        return False
    whole = not shipped.fits(plan) or shipped.is_whole(folder)
    return whole and published.model == name and is_drawn(settings.home / WORLD, plan)


def publish(settings: Settings, plan: Plan, *, retrain: bool = False) -> None:
    """Draw, learn and publish what is missing of it. `settings` are those of the demo. Raises BuildError or Busy.

    The model that comes with Sokkuri is used where it fits; `retrain` learns one anew, as `sokkuri train` does.
    """
    from indexer.reindex import ReindexOptions, reindex

    with workplace(settings, "demo", founding=True) as catalogue:
        with progress("drawing the demo world") as told:
            world = draw_world(settings.home / WORLD, plan, told)
        if shipped.fits(plan) and not retrain:
            shipped.install(settings.home, world.library, catalogue)
        else:
            _trained(settings, catalogue, plan, world)
        # A newer Sokkuri may draw another world, of which no picture is known: that is no reason to stop.
        reindex(settings, catalogue, world.library, ReindexOptions(accept=True))


def _trained(settings: Settings, catalogue: Catalogue, plan: Plan, world: World) -> None:
    """See to it that the model in use is one that was trained here, on this very world."""
    try:
        from indexer.training.train import TrainOptions, train
    except ModuleNotFoundError as error:
        raise BuildError(
            f"the demo has to be learnt here{shipped.hindrance()}, and {error.name} is not installed: "
            "pip install 'sokkuri[train]'"
        ) from None
    name = model_name(plan)
    if not any(row.name == name for row in catalogue.models()):
        begun = (settings.home / "training" / name).is_dir()
        # The index of a thousand pictures is small as it is, and what is known of the demo was measured on this.
        options = TrainOptions(BACKBONE, "bundled", name=name, views=0, project="none", resume=begun)
        train(settings, catalogue, world.library, options)
    catalogue.use_model(name)


def pack_model(settings: Settings, plan: Plan, folder: Path) -> None:
    """Write the model in use down as one that can be shipped: see `shipped.pack`. `settings` are those of the demo."""
    refuse_lost(settings)
    with Catalogue(settings.database_url) as catalogue:
        name = catalogue.model_in_use().name
    shipped.pack(ModelFolder.open(settings.home / "models" / name), plan, folder)


def something_to_try(settings: Settings) -> list[Path]:
    """Return a few pictures to upload: of characters that the catalogue does not hold."""
    pictures = sorted((settings.home / WORLD / "strangers").rglob("*.jpg"))
    return pictures[:: max(1, len(pictures) // 3)][:3]
