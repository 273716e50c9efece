"""The commands of the batch jobs: they read options, call one function, and print what it returns."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from indexer.listing import Reject
from indexer.progress import say
from indexer.workplace import interrupted_by_sigterm, workplace
from recommender.catalogue import Catalogue
from recommender.cli import (
    LISTEN,
    MAIN,
    SERVE_AT,
    NamedPath,
    Number,
    home_option,
    json_option,
    named,
    one_line,
    seed_option,
    settings_of,
    settings_of_home,
)
from recommender.errors import NoNetwork
from recommender.homes import refuse_lost

SHOWN_REJECTS = 10
"""Rejects that are listed on the terminal; `--json` lists all."""

library_argument = click.argument("library", type=NamedPath())


@click.command(epilog="\b\nExamples:\n  sokkuri demo\n  sokkuri demo --port 8080\n  sokkuri demo --no-serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--no-serve", is_flag=True, help="Draw and publish only.")
@click.option(
    "--retrain", is_flag=True, help="Train a model of your own and publish; `sokkuri serve --home HOME/demo` serves it."
)
@click.option(
    "--pack",
    type=NamedPath(),
    help="Write the model in use, once exported, to a folder as one that can come with Sokkuri; nothing else is done.",
)
@home_option
def demo(host: str, port: int, pack: Path | None, home: Path | None, *, no_serve: bool, retrain: bool) -> None:
    """Draw twelve made-up shows and serve them: works offline, with nothing but Sokkuri.

    The model that knows them comes with Sokkuri; where it does not fit, one is trained. The demo is kept in the folder
    `demo` of the home, which is a home of its own: what you have published stays as it is. An interrupted demo goes on
    where it stopped.
    """
    from indexer.demo.publish import demo_settings, is_published, pack_model, publish, something_to_try
    from indexer.demo.world import Plan

    settings = demo_settings(settings_of(home))
    if pack:
        pack_model(settings, Plan(), pack)
        return
    if no_serve and not retrain and is_published(settings, Plan()):
        say(f"the demo is published in {settings.home} already: `sokkuri demo` serves it")
        return
    if no_serve or retrain:
        publish(settings, Plan(), retrain=retrain)
        return
    listener = named(LISTEN)(host, port)  # before minutes of work: a port in use is told at once
    if not is_published(settings, Plan()):
        _publish_aside(settings.home.parent)
    pictures = "".join(f"\n  {picture}" for picture in something_to_try(settings))
    say(f"its home is {settings.home} (--home); pictures to upload, of people it does not know:{pictures}")
    named(SERVE_AT)(listener, host, settings)


def _publish_aside(home: Path) -> None:
    """Publish the demo in a process of its own: a server forks, and what has computed with threads must not."""
    done = subprocess.run(  # noqa: S603 - it starts this very program
        [sys.executable, "-c", MAIN, "demo", "--no-serve", "--home", str(home)], check=False
    )
    if done.returncode:
        sys.exit(done.returncode)


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
    default="auto",
    show_default=True,
    help="imagenet (from torchvision's hub), bundled (comes with Sokkuri, vgg19 only), none (random), or the path of a "
    "state dict (.pth, .safetensors); auto is imagenet where it can be had, else bundled.",
)
@click.option(
    "--recipe",
    default="joint",
    show_default=True,
    type=click.Choice(["joint", "seed"]),
    help="joint: heads that agree with each other; seed: three models with one backbone, to compare with.",
)
@click.option(
    "--unfreeze",
    default="none",
    show_default=True,
    type=click.Choice(["none", "last-block", "all"]),
    help="Which convolutions of the backbone are trained too: hours without a graphics card.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1, 10_000),
    help="The most epochs, of the backbone where that is trained, else of the heads.  [default: the recipe's]",
)
@click.option(
    "--views", default=2, show_default=True, type=click.IntRange(0, 64), help="Random views of each picture, beside it."
)
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Test every picture by heads trained without its fold.  [default: no folds]",
)
@click.option(
    "--holdout",
    "held_out",
    multiple=True,
    callback=lambda _context, _option, values: _held_out(values),
    help="What the model is not to know: show=NAME,... or character=SHOW/NAME,...  (repeatable)",
)
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16"]),
    help="Of the backbone's features; auto is the fastest one that keeps the results.",
)
@click.option(
    "--project",
    default="auto",
    show_default=True,
    help="To how many numbers embeddings are projected for the index; auto is the fewest that find as much on the "
    "validation pictures, none leaves them as they are.",
)
@click.option("--resume", is_flag=True, help="Go on where a training of this name and these options stopped.")
@seed_option("Draws the split, the order, views, and random weights.")
@json_option
@home_option
def train(
    library: Path,
    name: str | None,
    backbone: str,
    weights: str,
    recipe: Literal["joint", "seed"],
    unfreeze: Literal["none", "last-block", "all"],
    epochs: int | None,
    views: int,
    folds: int | None,
    held_out: tuple[str, ...],
    precision: Literal["auto", "float32", "bfloat16"],
    project: str,
    seed: int,
    home: Path | None,
    *,
    resume: bool,
    as_json: bool,
) -> None:
    """Train a model on the pictures of LIBRARY (LIBRARY/<show>/<character>/*.jpg) and make it the one in use.

    The backbone stays as its weights are, unless --unfreeze says otherwise; one softmax head for each label space
    (type, character, show) is trained on top of it. Near-duplicates stay on one side of the split, and the accuracies
    are those of pictures never shown.
    """
    from indexer.training.train import RECIPES, TrainOptions
    from indexer.training.train import train as run
    from indexer.training.tuning import TuneOptions

    settings = settings_of(home)
    heads = replace(RECIPES[recipe], seed=seed)
    tuning = TuneOptions(unfreeze, seed=seed, threads=settings.threads)
    if epochs and unfreeze == "none":
        heads = replace(heads, epochs=epochs)
    elif epochs:
        tuning = replace(tuning, epochs=epochs)
    options = TrainOptions(
        backbone=backbone,
        weights=weights,
        name=name,
        recipe=recipe,
        views=views if recipe == "joint" else 0,
        folds=folds or 0,
        held_out=held_out,
        precision=precision,
        project=project,
        resume=resume,
        heads=heads,
        tuning=tuning,
    )
    with workplace(settings, "train") as catalogue:
        report = run(settings, catalogue, library, options)
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    _tell_rejects(report.library.rejects)
    if report.model.notice:
        click.echo(f"! {report.model.notice}", err=True)
    click.echo(report.to_text())


@click.command(
    epilog="\b\nExamples:\n  sokkuri pretrain weights/ --output bundle/\n"
    "  sokkuri pretrain weights/ --output bundle/ --phase 64:2000000 --phase 112:400000 --batch 512"
)
@click.argument("teachers", type=NamedPath())
@click.option("--output", type=NamedPath(), required=True, help="The folder for the weights and their card.")
@click.option(
    "--phase",
    "phases",
    multiple=True,
    default=("48:40000:lower", "64:80000", "96:20000"),
    show_default=True,
    callback=lambda _context, _option, values: _phases(values),
    help="Picture size, how many views of it, and what learns: lower or upper half, or whole.  (repeatable)",
)
@click.option("--styles", default=300, show_default=True, type=click.IntRange(2), help="Styles that are drawn.")
@click.option("--people", default=6, show_default=True, type=click.IntRange(1), help="Characters in each style.")
@click.option("--shots", default=4, show_default=True, type=click.IntRange(1), help="Drawings of each character.")
@click.option("--patterns", default=2000, show_default=True, type=click.IntRange(0), help="Drawings of nobody.")
@click.option("--batch", default=64, show_default=True, type=click.IntRange(2), help="Views in a step.")
@click.option("--rate", default=1e-3, show_default=True, type=Number(0, min_open=True), help="Learning rate.")
@click.option("--compile", "compiled", is_flag=True, help="Fuse what is computed: on a graphics card that is faster.")
@click.option(
    "--start-at",
    default=1.0,
    show_default=True,
    type=Number(0, 1),
    help="The share of the drawings to wait for; the others join as they are drawn.",
)
@click.option(
    "--minutes",
    type=Number(0, min_open=True),
    help="How long to learn: the views of each phase are then shares of the time.  [default: until all views are seen]",
)
@click.option("--size", type=click.IntRange(32), help="The size to look at pictures with.  [default: the last phase's]")
@seed_option("Draws the drawings, the order, and the first weights.")
@json_option
@home_option
def pretrain(
    teachers: Path,
    output: Path,
    phases: tuple[tuple[int, int, Any], ...],
    styles: int,
    people: int,
    shots: int,
    patterns: int,
    batch: int,
    rate: float,
    start_at: float,
    minutes: float | None,
    size: int | None,
    seed: int,
    home: Path | None,
    *,
    compiled: bool,
    as_json: bool,
) -> None:
    """Train a VGG19 from scratch on drawings: the recipe of the weights that come with Sokkuri.

    TEACHERS is a folder with state dicts of trained networks (vgg19_*.pth, squeezenet1_0_*.pth, mobilenet_v2_*.pth).
    The network learns to see what they see in the drawings, and to tell apart who is drawn and how; no weight of theirs
    is copied. A graphics card is used where there is one. Drawings and checkpoints are kept in the folder `pretraining`
    of the home: the same command goes on where it was stopped, with other phases too. OUTPUT is written at every
    checkpoint, so that a training may be cut short.
    """
    from indexer.pretraining.bundle import write_bundle
    from indexer.pretraining.drawings import DrawingPlan
    from indexer.pretraining.pretrain import Phase, Pretrained, PretrainOptions
    from indexer.pretraining.pretrain import pretrain as run

    plan = DrawingPlan(styles, people, shots, patterns, seed)
    chosen = tuple(Phase(*phase) for phase in phases)
    options = PretrainOptions(
        plan, chosen, batch, rate, seed=seed, compiled=compiled, start_at=start_at, minutes=minutes
    )
    looked_at = size or chosen[-1].size

    def keep(student: Pretrained) -> None:
        write_bundle(output, student, looked_at)

    done = run(settings_of(home).home / "pretraining", teachers, options, keep)
    bundle = write_bundle(output, done, looked_at)
    click.echo(json.dumps(bundle.to_json()) if as_json else bundle.to_text())


@click.command(
    epilog="\b\nExamples:\n  sokkuri evaluate\n  sokkuri evaluate vgg19-1 other-pictures/ --output report/\n"
    "  sokkuri evaluate --compare vgg19-1 squeezenet1_0-1"
)
@click.argument("model", required=False)
@click.argument("library", required=False, type=NamedPath())
@click.option(
    "--output",
    type=NamedPath(),
    help="The folder of the report.  [default: reports/MODEL in the home]",
)
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    callback=lambda _context, _option, names: _two_names(names),
    help="Say which of two models is better, and whether that is luck.",
)
@json_option
@home_option
def evaluate(
    model: str | None,
    library: Path | None,
    output: Path | None,
    compare: tuple[str, str] | None,
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    """Measure MODEL on the pictures of LIBRARY that it has never seen, and write a report with plots and tables.

    MODEL is the one in use and LIBRARY the one that it was trained on, unless they are named.
    """
    settings = settings_of(home)
    alone = Path(model) if model and library is None else None
    if alone and alone.is_dir() and not (settings.home / "models" / alone.name).is_dir():
        model, library = None, alone
    with workplace(settings, "evaluate") as catalogue:
        if compare:
            from indexer.evaluation.compare import compare as run_comparison

            if model or output:
                raise click.UsageError("--compare takes two models, and no other argument but LIBRARY")
            report: Any = run_comparison(settings, catalogue, compare, library)
        else:
            from indexer.evaluation.evaluate import evaluate as run

            report = run(settings, catalogue, model, library, output)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.to_text())


@click.command(
    epilog="\b\nExamples:\n  sokkuri export && sokkuri reindex pictures/\n  sokkuri export vgg19-1 --precision f32\n"
    "  sokkuri export --again"
)
@click.argument("model", required=False)
@click.option(
    "--precision",
    default="int8",
    show_default=True,
    type=click.Choice(["int8", "bf16", "f32"]),
    help="What the backbone computes in: fewer bits are faster where the processor has instructions for them.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Measure the speed of one that is there again, and that of the model's other exports with it.",
)
@json_option
@home_option
def export(model: str | None, precision: str, home: Path | None, *, again: bool, as_json: bool) -> None:
    """Export MODEL to OpenVINO, which runs it faster; refused where answers would change.

    MODEL is the one in use unless it is named. Labels, embeddings, neighbours and accuracy are compared with float32
    torch on the validation pictures of the library that the model was trained on, neighbours among its training
    pictures too. Answers are given by the engine that their snapshot was made with, so `sokkuri reindex` comes next.
    """
    from indexer.export import export as run

    settings = settings_of(home)
    with workplace(settings, "export") as catalogue:
        report = run(settings, catalogue, model, precision, again=again)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.to_text())


@click.command(
    epilog="\b\nExamples:\n  sokkuri reindex pictures/\n  sokkuri reindex pictures/ --dry-run\n"
    "  sokkuri reindex pictures/ --full --json"
)
@library_argument
@click.option("--dry-run", is_flag=True, help="Say what would change and be embedded, and publish nothing.")
@click.option("--full", is_flag=True, help="Read and hash every file, also where its size and time are as before.")
@click.option("--follow-links", is_flag=True, help="Take in pictures outside LIBRARY that links in it lead to.")
@click.option(
    "--accept", is_flag=True, help="Publish even where more is left out, or has drifted, than the settings allow."
)
@click.option(
    "--target-recall",
    type=Number(0, 1, min_open=True),
    help="Share of the ten nearest pictures that the index of a large library is tuned to find.  [default: 0.99]",
)
@click.option(
    "--max-memory", type=click.IntRange(0), help="The most bytes that the index may hold in memory.  [default: any]"
)
@json_option
@home_option
def reindex(
    library: Path,
    home: Path | None,
    target_recall: float | None,
    max_memory: int | None,
    *,
    dry_run: bool,
    full: bool,
    follow_links: bool,
    accept: bool,
    as_json: bool,
) -> None:
    """Embed the pictures of LIBRARY with the model in use, and publish a snapshot that answers are read from.

    Only pictures that the model has never seen are embedded. Where most pictures are left out, or most answers would be
    other ones than so far, it stops before publishing. A running server changes to the new snapshot by itself.
    """
    from indexer.outcome import Held
    from indexer.reindex import ReindexOptions
    from indexer.reindex import reindex as run

    options = ReindexOptions(dry_run=dry_run, full=full, follow_links=follow_links, accept=accept)
    settings = settings_of(home, target_recall=target_recall, max_memory=max_memory)
    with workplace(settings, "reindex", looking=dry_run) as catalogue:
        try:
            report = run(settings, catalogue, library, options)
        except Held as held:
            if as_json:
                click.echo(json.dumps(held.report.to_json(), ensure_ascii=False))
            raise
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    _tell_rejects(report.rejects)
    click.echo(report.to_text())


@click.command(
    epilog="\b\nExamples:\n  sokkuri worker\n  nice sokkuri worker --home /data/sokkuri\n"
    "\b\nJobs are asked for at a server with SOKKURI_ADMIN_TOKEN set, on its page /admin/jobs or so:\n"
    '  curl -X POST -H "Authorization: Bearer $SOKKURI_ADMIN_TOKEN" http://127.0.0.1:8000/api/v1/jobs'
)
@click.option("--run", "job", hidden=True, help="Run one job in this process: what a worker starts for each.")
@home_option
def worker(job: str | None, home: Path | None) -> None:
    """Run the jobs that are asked for over HTTP, one after the other, until Ctrl-C or SIGTERM.

    Each job has a process of its own, and its progress, report or error is told over HTTP. A job whose worker is
    stopped, or dies, goes on where it stopped when the next worker is started. One worker serves a home.
    """
    settings = settings_of(home)
    if job:
        from indexer.jobs import run_job

        run_job(settings, job)
    else:
        from indexer.worker import Worker

        Worker(settings).run()


@click.command(
    epilog="\b\nExamples:\n  sokkuri collect sources.toml --into pictures/\n"
    "  sokkuri collect sources.toml --into pictures/ --retry-failed\n"
    '\b\nA source in SOURCES.toml:\n  [[source]]\n  show = "one-piece"\n  character = "luffy"\n'
    '  type = "male"\n  pages = ["https://gallery.example/luffy", "saved/luffy.html"]'
)
@click.argument("sources", type=NamedPath())
@click.option("--into", required=True, type=NamedPath(), help="The library: a folder, made where there is none.")
@click.option("--retry-failed", is_flag=True, help="Ask again for every address that failed, however often.")
@click.option("--refresh", is_flag=True, help="Ask again for pages that were read less than a day ago.")
@json_option
@home_option
def collect(sources: Path, into: Path, home: Path | None, *, retry_failed: bool, refresh: bool, as_json: bool) -> None:
    """Collect the pictures that the pages in SOURCES.toml show into a library, politely.

    robots.txt and a pause between two requests are heeded. It can be stopped at any moment; the next run goes on.
    """
    from indexer.collect.collect import collect as run
    from indexer.collect.collect import warn_without_contact
    from indexer.collect.desk import CollectOptions
    from indexer.collect.sources import read_sources

    settings = settings_of(home)
    wanted = read_sources(sources)
    warn_without_contact(settings, wanted)
    with workplace(settings, "collect") as catalogue, interrupted_by_sigterm():
        report = run(settings, catalogue, wanted, into, CollectOptions(retry_failed, refresh))
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
    elif report.is_worth_reading:
        click.echo(report.to_text())
    if useless := report.offline or report.barred:
        raise NoNetwork(useless)
    if loud := report.to_warning():
        click.echo(loud, err=True)


@click.command(
    epilog="\b\nExamples:\n  sokkuri forget --source https://gallery.example/ann/\n"
    "  sokkuri forget --source file:saved/luffy.html\n"
    "  sokkuri forget --picture 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --dry-run"
)
@click.option(
    "--source",
    default="",
    help="Forget what came from addresses, or pages, that begin with this; `file:saved/luffy.html` is a saved page, by "
    "its path from where SOURCES.toml lies.",
)
@click.option(
    "--picture",
    default="",
    callback=lambda _context, _option, value: _picture_id(value),
    help="Forget the picture with this id, the SHA-256 of its file.",
)
@click.option(
    "--library",
    "moved",
    multiple=True,
    type=NamedPath(),
    help="A library that was moved, as the folder that it is now, or that another home collected.  (repeatable)",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@json_option
@home_option
def forget(
    source: str, picture: str, moved: tuple[Path, ...], home: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    """Remove pictures on demand: file, provenance, embedding, thumbnail and index entry; publish without them.

    Snapshots that hold them go too, so that no rollback brings them back. Only hashes stay, and keep them out.
    """
    from indexer.collect.forget import forget as run
    from indexer.collect.forget import names_a_source

    if source and not names_a_source(source):
        raise click.UsageError(
            "--source takes an address with its host, such as https://gallery.example/ann/, or a saved page, such as "
            "file:saved/luffy.html"
        )
    if bool(source) == bool(picture):
        raise click.UsageError("name either --source ADDRESS-PREFIX or --picture ID")
    settings = settings_of(home)
    with workplace(settings, "forget", looking=dry_run) as catalogue:
        report = run(settings, catalogue, source=source, picture=picture, moved=moved, dry_run=dry_run)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.to_text())


@click.command(epilog="\b\nExamples:\n  sokkuri models\n  sokkuri models --json")
@json_option
@home_option
def models(home: Path | None, *, as_json: bool) -> None:
    """List the trained models; a star marks the one that the next reindex works with."""
    from indexer.strangers import unknown_models

    settings = settings_of(home)
    refuse_lost(settings)
    with Catalogue(settings.database_url) as catalogue:
        rows = catalogue.models()
        for line in unknown_models(settings, catalogue):
            say(line)
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
    """Choose the MODEL that the next reindex works with; what is served stays until then.

    A whole model that lies in the home, but that its catalogue does not know, is taken in: the catalogue may be lost.
    """
    from indexer.strangers import take_in

    settings = settings_of(home)
    with workplace(settings, "use", founding=True) as catalogue:
        if take_in(settings, catalogue, model):
            say(f"the catalogue did not know {model}: it does now")
        catalogue.use_model(model)
    say(f"{model} is in use from the next `sokkuri reindex LIBRARY` on")


@click.command(epilog="\b\nExamples:\n  sokkuri snapshots\n  sokkuri snapshots --json")
@json_option
@home_option
def snapshots(home: Path | None, *, as_json: bool) -> None:
    """List the snapshots, newest first; a star marks the one that is published.

    The newest is the one that was published for the first time last, whatever the clock said then.
    """
    from indexer.strangers import unknown_snapshots

    settings = settings_of_home(home)
    refuse_lost(settings)
    with Catalogue(settings.database_url) as catalogue:
        rows = catalogue.snapshots()
        for line in unknown_snapshots(settings, catalogue):
            say(line)
    if as_json:
        fields = ("id", "model", "space", "pictures", "characters", "shows", "created", "digest", "published")
        click.echo(json.dumps([{field: getattr(row, field) for field in fields} for row in rows], ensure_ascii=False))
        return
    for row in rows:
        click.echo(
            f"{'*' if row.published else ' '} {row.id}  {row.model:<24} "
            f"{row.pictures:>8} pictures {row.characters:>6} characters {row.shows:>5} shows"
        )


@click.command(epilog="\b\nExamples:\n  sokkuri verify\n  sokkuri verify --json")
@json_option
@home_option
def verify(home: Path | None, *, as_json: bool) -> None:
    """Check every snapshot, embedding and thumbnail, and the catalogue against the index; change nothing.

    A few pictures are embedded again and compared with what is stored. Exit code 1, and a line for each finding, where
    anything is not as it should be.
    """
    from indexer.verify import verify as run

    settings = settings_of_home(home)
    with workplace(settings, "verify", looking=True) as catalogue:
        report = run(settings, catalogue)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.to_text())
    sys.exit(bool(report.findings))


@click.command(epilog="\b\nExamples:\n  sokkuri prune --dry-run\n  sokkuri prune --json")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option(
    "--unknown",
    is_flag=True,
    help="Remove also the snapshots that the catalogue does not know, of one that was lost: see `sokkuri verify`.",
)
@json_option
@home_option
def prune(home: Path | None, *, dry_run: bool, unknown: bool, as_json: bool) -> None:
    """Remove what nothing refers to any more: old snapshots, embeddings of old models, thumbnails.

    The published snapshot and the three newest ones stay, with all that they need; so do the embeddings of every model
    that is there.
    """
    from indexer.prune import prune as run

    settings = settings_of_home(home)
    with workplace(settings, "prune", looking=dry_run) as catalogue:
        report = run(settings, catalogue, dry_run=dry_run, unknown=unknown)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.to_text())


@click.command(epilog="\b\nExamples:\n  sokkuri rollback\n  sokkuri rollback 20260102T030405Z-00")
@click.argument("snapshot", required=False)
@home_option
def rollback(snapshot: str | None, home: Path | None) -> None:
    """Publish SNAPSHOT again; without one, the newest whole one that is older than the published."""
    from indexer.rollback import rollback as run

    settings = settings_of_home(home)
    with workplace(settings, "rollback") as catalogue:
        chosen = run(settings, catalogue, snapshot)
    say(f"published: {chosen.id} ({chosen.pictures} pictures, model {chosen.model})")


@click.group(epilog="\b\nExample:\n  sokkuri db upgrade --home var")
def db() -> None:
    """Look after the catalogue."""


@db.command(epilog="\b\nExample:\n  sokkuri db upgrade --home var")
@home_option
def upgrade(home: Path | None) -> None:
    """Bring the catalogue's tables up to date with this Sokkuri. Batch jobs do so by themselves.

    Where there is no catalogue an empty one is made, also beside models and snapshots whose own one is lost.
    """
    with workplace(settings_of(home), "db upgrade", founding=True):
        say("the catalogue is up to date")


def _two_names(names: tuple[str, str] | None) -> tuple[str, str] | None:
    """Return the two models of `--compare`. An option after a single name is no model's name."""
    for name in names or ():
        if name.startswith("-"):
            raise click.BadParameter(f"it takes two models, and {name} is none: write --compare A B")
    return names


def _phases(values: tuple[str, ...]) -> tuple[tuple[int, int, Any], ...]:
    """Return size, number of views and part of each `SIZE:VIEWS` or `SIZE:VIEWS:PART`."""
    phases = []
    for value in values:
        found = re.fullmatch(r"(\d+):(\d+)(?::(lower|upper|whole))?", value)
        if not found or not int(found[1]) or int(found[1]) % 16:
            raise click.BadParameter(
                f"{value!r} is no SIZE:VIEWS or SIZE:VIEWS:PART with a size that 16 divides, such as 48:40000:lower"
            )
        phases.append((int(found[1]), int(found[2]), found[3] or "whole"))
    return tuple(phases)


def _picture_id(value: str) -> str:
    """Return an id in lower case."""
    identity = value.strip().lower()
    if identity and not re.fullmatch("[0-9a-f]{64}", identity):
        raise click.BadParameter(f"{value!r} is no picture's id, which has 64 hexadecimal digits")
    return identity


def _held_out(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels that `show=NAME,...` and `character=SHOW/NAME,...` name."""
    labels = []
    for value in values:
        kind, equals, names = value.partition("=")
        found = [name.strip() for name in names.split(",") if name.strip()]
        if not equals or not found or kind not in ("show", "character"):
            raise click.BadParameter(f"{value!r} is neither show=NAME,... nor character=SHOW/NAME,...")
        for name in found:
            if (kind == "character") != ("/" in name):
                raise click.BadParameter(f"a character is named SHOW/NAME and a show NAME, so not {kind}={name}")
        labels += found
    return tuple(dict.fromkeys(labels))


def _tell_rejects(rejects: tuple[Reject, ...]) -> None:
    """List the first rejects, and how many more there are."""
    for reject in rejects[:SHOWN_REJECTS]:
        say(one_line(f"left out: {reject.path}: {reject.reason}"))
    if len(rejects) > SHOWN_REJECTS:
        say(f"left out: {len(rejects) - SHOWN_REJECTS} more (--json lists all)")
