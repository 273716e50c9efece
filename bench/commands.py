"""The command `bench`: a group with one sub-command for each thing that is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from bench.report import publish
from recommender.cli import home_option, settings_of

json_file = click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write figures to FILE."
)
quick = click.option(
    "--quick", is_flag=True, help="Fewer repetitions: seconds instead of minutes, and rougher figures."
)


@click.group(
    epilog="\b\nExamples:\n  sokkuri bench imports\n  sokkuri bench serve --json serve.json\n"
    "  sokkuri bench accuracy pictures/ --backbone squeezenet1_0 --weights squeezenet1_0.pth"
)
def bench() -> None:
    """Measure, and print the figures. Let nothing else run on the machine meanwhile."""


@bench.command(
    epilog="\b\nExample:\n  sokkuri bench accuracy pictures/ --backbone squeezenet1_0 --weights squeezenet1_0.pth"
)
@click.argument("library", type=click.Path(path_type=Path))
@click.option("--backbone", default="vgg19", show_default=True, help="A torchvision classification network.")
@click.option("--weights", default="imagenet", show_default=True, help="As for `sokkuri train`.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1, 100), help="How many splits are drawn.")
@quick
@json_file
def accuracy(library: Path, backbone: str, weights: str, seeds: int, file: Path | None, *, quick: bool) -> None:
    """Train on LIBRARY in a home of its own, and print the accuracy on pictures that were never shown."""
    from bench.accuracy import measure_accuracy

    publish(measure_accuracy(library, backbone, weights, 1 if quick else seeds), file)


@bench.command(
    epilog="\b\nExample:\n  sokkuri bench train pictures/ --backbone squeezenet1_0 --weights squeezenet1_0.pth"
)
@click.argument("library", type=click.Path(path_type=Path))
@click.option("--backbone", default="vgg19", show_default=True, help="A torchvision classification network.")
@click.option("--weights", default="imagenet", show_default=True, help="As for `sokkuri train`.")
@click.option("--views", type=click.IntRange(0, 64), help="Random views of each picture.  [default: 2, quick: 0]")
@quick
@json_file
def train(library: Path, backbone: str, weights: str, views: int | None, file: Path | None, *, quick: bool) -> None:
    """Train on LIBRARY in a home of its own: how fast, with how much memory, how well, and how well by which recipe."""
    from bench.train import QUICK, Effort, measure_training

    effort = QUICK if quick else Effort()
    effort = effort if views is None else replace(effort, views=views)
    publish(measure_training(library, backbone, weights, effort), file)


@bench.command(epilog="\b\nExamples:\n  sokkuri bench serve\n  sokkuri bench serve --full-size --json serve.json")
@click.option(
    "--full-size", is_flag=True, help="Not what is published, but made-up pictures and a VGG19 at 224 pixels in int8."
)
@home_option
@quick
@json_file
def serve(home: Path | None, file: Path | None, *, full_size: bool, quick: bool) -> None:
    """Start the server on what is published in the home, and post JPEGs of 1000×1000 pixels: 1, 16 and 200 clients."""
    from bench.serve import QUICK, Effort, measure_full_size, measure_serving

    effort = QUICK if quick else Effort()
    publish(measure_full_size(effort) if full_size else measure_serving(settings_of(home), effort), file)


@bench.command(epilog="\b\nExamples:\n  sokkuri bench collect --quick\n  sokkuri bench collect --json collect.json")
@quick
@json_file
def collect(file: Path | None, *, quick: bool) -> None:
    """Collect from a gallery of 20 hosts on this machine: how fast, killed ten times, and from one that misbehaves."""
    from bench.collect import QUICK, Effort, measure_collecting

    publish(measure_collecting(QUICK if quick else Effort()), file)


@bench.command(
    epilog="\b\nExamples:\n  sokkuri bench engine --quick\n  sokkuri bench engine --probe pictures/ --json engine.json"
)
@click.option("--weights", default="bundled", show_default=True, help="As for `sokkuri train`, for vgg19.")
@click.option(
    "--probe", type=click.Path(path_type=Path), help="A library of real pictures to examine the engines on as well."
)
@home_option
@quick
@json_file
def engine(weights: str, probe: Path | None, home: Path | None, file: Path | None, *, quick: bool) -> None:
    """Time a VGG19 at 224 pixels by torch and by OpenVINO in every precision, and see whether answers stay the same."""
    from bench.engine import QUICK, Effort, measure_engines

    publish(measure_engines(weights, settings_of(home).threads, QUICK if quick else Effort(), probe), file)


@bench.command(epilog="\b\nExamples:\n  sokkuri bench reindex --quick\n  sokkuri bench reindex --json reindex.json")
@click.option("--kills", type=click.IntRange(0), help="How often a reindex is killed.  [default: 200, quick: 5]")
@quick
@json_file
def reindex(kills: int | None, file: Path | None, *, quick: bool) -> None:
    """Reindex 100,000 tiny pictures of which none, and one, has changed; kill it 200 times while a server answers."""
    from bench.reindex import QUICK, Effort, measure_reindexing

    effort = QUICK if quick else Effort()
    effort = effort if kills is None else replace(effort, kills=kills)
    publish(measure_reindexing(effort), file)


@bench.command(epilog="\b\nExamples:\n  sokkuri bench index --quick\n  sokkuri bench index --json index.json")
@click.option("--huge", is_flag=True, help="Build ten million as well: 17 GB in the temporary folder, and a long time.")
@home_option
@quick
@json_file
def index(home: Path | None, file: Path | None, *, huge: bool, quick: bool) -> None:
    """Build and search indexes of up to a million vectors: recall, latency, memory, filters, beside exact search.

    What ten million would come to is extrapolated, unless they are asked for and disk and memory allow them. Noisy
    vectors are drawn from the embeddings that are published in the home, where there are any.
    """
    from bench.index import HUGE, QUICK, Effort, measure_indexes

    effort = replace(QUICK if quick else Effort(), huge=HUGE if huge else 0)
    publish(measure_indexes(settings_of(home), effort), file)


@bench.command(epilog="\b\nExample:\n  sokkuri bench imports --json imports.json")
@quick
@json_file
def imports(file: Path | None, *, quick: bool) -> None:
    """Time what has to start quickly: the server's modules and `sokkuri --help`."""
    from bench.imports import measure_imports

    publish(measure_imports(3 if quick else 11), file)


@bench.command(
    epilog="\b\nExamples:\n  sokkuri bench demo\n"
    "  sokkuri bench demo --probe pictures/ --trunk squeezenet1_0=squeezenet1_0.pth --json demo.json"
)
@click.option("--weights", default="bundled", show_default=True, help="As for `sokkuri train`, for vgg19.")
@click.option(
    "--probe", type=click.Path(path_type=Path), help="A library of real pictures to try the trunk on as well."
)
@click.option("--trunk", "trunks", multiple=True, help="BACKBONE=FILE to be probed beside it.  (repeatable)")
@quick
@json_file
def demo(weights: str, probe: Path | None, trunks: tuple[str, ...], file: Path | None, *, quick: bool) -> None:
    """Draw the demo world, learn it, and compare what is said about it with what is true of it."""
    from bench.demo import QUICK, Effort, measure_demo

    named = {}
    for trunk in trunks:
        backbone, equals, path = trunk.partition("=")
        if not equals:
            raise click.UsageError(f"--trunk takes BACKBONE=FILE, not {trunk}")
        named[backbone] = Path(path)
    publish(measure_demo(QUICK if quick else Effort(), weights, probe, named), file)
