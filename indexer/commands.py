"""The commands of the batch jobs: they read options, call one function, and print what it returns."""

from __future__ import annotations

import json
from pathlib import Path

import click

from indexer.library import Reject
from indexer.progress import say
from indexer.workplace import workplace
from recommender.catalogue import Catalogue
from recommender.cli import home_option, json_option, settings_of

SHOWN_REJECTS = 10
"""Rejects that are listed on the terminal; `--json` lists all."""

library_argument = click.argument("library", type=click.Path(path_type=Path))


@click.command(
    epilog="\b\nExamples:\n  sokkuri train pictures/\n"
    "  sokkuri train pictures/ --backbone squeezenet1_0 --weights squeezenet1_0.pth\n"
    "  sokkuri train pictures/ --weights none --name just-trying"
)
@library_argument
@click.option("--name", help="What to call the model.  [default: the backbone, numbered]")
@click.option("--backbone", default="vgg19", show_default=True, help="A torchvision classification network.")
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    help="imagenet (from torchvision's hub), none (random), or the path of a state dict (.pth, .safetensors).",
)
@click.option("--epochs", default=60, show_default=True, type=click.IntRange(1, 10_000), help="The most epochs.")
@click.option("--seed", default=0, show_default=True, help="Draws the split, the order, and random weights.")
@json_option
@home_option
def train(
    library: Path,
    name: str | None,
    backbone: str,
    weights: str,
    epochs: int,
    seed: int,
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    """Train a model on the pictures of LIBRARY (LIBRARY/<show>/<character>/*.jpg) and make it the one in use.

    The backbone stays as its weights are; one softmax head for each label space (type, character, show) is trained on
    top of it. Near-duplicates stay on one side of the split, and the accuracies are those of pictures never shown.
    """
    from indexer.training.heads import HeadOptions
    from indexer.training.train import TrainOptions
    from indexer.training.train import train as run

    settings = settings_of(home)
    with workplace(settings, "train") as catalogue:
        report = run(
            settings, catalogue, library, TrainOptions(backbone, weights, name, HeadOptions(epochs=epochs, seed=seed))
        )
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    _tell_rejects(report.library.rejects)
    if report.model.notice:
        click.echo(f"! {report.model.notice}", err=True)
    click.echo(report.to_text())


@click.command(
    epilog="\b\nExamples:\n  sokkuri reindex pictures/\n  sokkuri reindex pictures/ --dry-run\n"
    "  sokkuri reindex pictures/ --json"
)
@library_argument
@click.option("--dry-run", is_flag=True, help="Say what would change and publish nothing.")
@json_option
@home_option
def reindex(library: Path, home: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Embed the pictures of LIBRARY with the model in use, and publish a snapshot that answers are read from.

    Only pictures that the model has never seen are embedded. A running server changes to the new snapshot by itself.
    """
    from indexer.reindex import reindex as run

    settings = settings_of(home)
    with workplace(settings, "reindex") as catalogue:
        report = run(settings, catalogue, library, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    _tell_rejects(report.rejects)
    click.echo(report.to_text())


@click.command(epilog="\b\nExamples:\n  sokkuri models\n  sokkuri models --json")
@json_option
@home_option
def models(home: Path | None, *, as_json: bool) -> None:
    """List the trained models; a star marks the one that the next reindex works with."""
    with Catalogue(settings_of(home).database_url) as catalogue:
        rows = catalogue.models()
    if as_json:
        fields = ("name", "backbone", "digest", "space", "created", "notice", "in_use")
        click.echo(json.dumps([{field: getattr(row, field) for field in fields} for row in rows], ensure_ascii=False))
        return
    for row in rows:
        click.echo(
            f"{'*' if row.in_use else ' '} {row.name:<24} {row.backbone:<20} {row.created}  {row.notice or ''}".rstrip()
        )


@click.command(epilog="\b\nExample:\n  sokkuri use squeezenet1_0-1 && sokkuri reindex pictures/")
@click.argument("model")
@home_option
def use(model: str, home: Path | None) -> None:
    """Choose the MODEL that the next reindex works with; what is served stays until then."""
    with workplace(settings_of(home), "use") as catalogue:
        catalogue.use_model(model)
    say(f"{model} is in use from the next `sokkuri reindex LIBRARY` on")


@click.command(epilog="\b\nExamples:\n  sokkuri snapshots\n  sokkuri snapshots --json")
@json_option
@home_option
def snapshots(home: Path | None, *, as_json: bool) -> None:
    """List the snapshots, newest first; a star marks the one that is published."""
    with Catalogue(settings_of(home).database_url) as catalogue:
        rows = catalogue.snapshots()
    if as_json:
        fields = ("id", "model", "space", "pictures", "characters", "shows", "created", "digest", "published")
        click.echo(json.dumps([{field: getattr(row, field) for field in fields} for row in rows], ensure_ascii=False))
        return
    for row in rows:
        click.echo(
            f"{'*' if row.published else ' '} {row.id}  {row.model:<24} "
            f"{row.pictures:>8} pictures {row.characters:>6} characters {row.shows:>5} shows"
        )


@click.command(epilog="\b\nExamples:\n  sokkuri rollback\n  sokkuri rollback 20260102T030405Z-00")
@click.argument("snapshot", required=False)
@home_option
def rollback(snapshot: str | None, home: Path | None) -> None:
    """Publish SNAPSHOT again; without one, the newest that is older than the published one."""
    from indexer.reindex import rollback as run

    settings = settings_of(home)
    with workplace(settings, "rollback") as catalogue:
        chosen = run(settings, catalogue, snapshot)
    say(f"published: {chosen.id} ({chosen.pictures} pictures, model {chosen.model})")


@click.group()
def db() -> None:
    """Look after the catalogue."""


@db.command(epilog="\b\nExample:\n  sokkuri db upgrade --home var")
@home_option
def upgrade(home: Path | None) -> None:
    """Bring the catalogue's tables up to date with this Sokkuri. Batch jobs do so by themselves."""
    with workplace(settings_of(home), "db upgrade"):
        say("the catalogue is up to date")


def _tell_rejects(rejects: tuple[Reject, ...]) -> None:
    """List the first rejects, and how many more there are."""
    for reject in rejects[:SHOWN_REJECTS]:
        say(f"left out: {reject.path}: {reject.reason}")
    if len(rejects) > SHOWN_REJECTS:
        say(f"left out: {len(rejects) - SHOWN_REJECTS} more (--json lists all)")
