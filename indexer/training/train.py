"""The batch job `train`: a library of labelled pictures becomes a model folder.

Each picture, and each random view of it, goes through the frozen backbone once; what comes out is kept in the embedding
table, and the heads are trained on it. With `--unfreeze` the backbone itself is trained first. Not here: the formula of
the heads (`heads`), the convolutions (`finetune`), the split (`indexer.split`), what is measured (`evaluation`).
"""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError

from indexer.embed import EmbeddingTable, Projected
from indexer.gather import Gatherer, Views, stored
from indexer.library import LIBRARY_LIMITS, Library, first_pictures, require_library
from indexer.progress import progress, say
from indexer.samples import Samples
from indexer.split import PARTS, SHARES
from indexer.stopwatch import Stopwatch
from indexer.training.checkpoint import Run, plain_reason
from indexer.training.demands import known_hierarchy, require_dimension, require_folds, require_possible
from indexer.training.fit import FitOptions, Fitted, Watch, fit
from indexer.training.heads import Epoch, HeadOptions
from indexer.training.history import FINETUNING, HEADS, Row, files, rows_of
from indexer.training.outcome import TrainReport
from indexer.training.precision import SAMPLE, choose_precision
from indexer.training.projecting import choose_projection, wanted_dimension
from indexer.training.stages import Bars, standing_of
from indexer.training.tuning import TuneOptions, tune
from indexer.training.weights import LoadedBackbone, load_backbone
from indexer.workplace import now
from recommender.catalogue import Catalogue, ModelRow
from recommender.encoders.torch_encoder import Precision, TorchBackbone, computes_bfloat16
from recommender.errors import BuildError
from recommender.images import Limits
from recommender.modelfolder import ModelFolder, NewModel, TrainedPictures, write_model
from recommender.projection import Projection
from recommender.settings import Settings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model may be called: it becomes the name of a folder."""
Recipe = Literal["joint", "seed"]
RECIPES: dict[str, HeadOptions] = {
    "joint": HeadOptions(),
    "seed": HeadOptions(
        epochs=5,
        batch=7,
        learning_rate=0.001,
        momentum=0.9,
        weight_decay=0.0,
        patience=5,
        joint=False,
        reads="features",
        standardised=False,
        balanced=False,
        cosine=False,
    ),
}
"""`seed` is the recipe of the project that this one grew from: three models that differ in their last layer only,
trained on the features as they are. It is here to be compared with."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `sokkuri train` was asked for. Without a name the model is called after its backbone, and numbered.

    `views` counts the random views of each picture. `held_out` are labels, `<show>` or `<show>/<character>`, that the
    model is not to know. `folds` asks for cross-validation. `precision` is that of the backbone's features, `auto` the
    fastest that keeps the results. `project` is auto, none, or the number of dimensions that embeddings are projected
    to for the index. `resume` goes on where a run of this name stopped.
    """

    backbone: str = "vgg19"
    weights: str = "auto"
    name: str | None = None
    recipe: Recipe = "joint"
    views: int = 2
    folds: int = 0
    held_out: tuple[str, ...] = ()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    project: str = "auto"
    resume: bool = False
    heads: HeadOptions = field(default_factory=HeadOptions)
    tuning: TuneOptions = field(default_factory=TuneOptions)


def train(settings: Settings, catalogue: Catalogue, root: Path, options: TrainOptions) -> TrainReport:
    """Train a model on a library and make it the one in use. Raises BadLibrary, ModelError or BuildError."""
    clock = Stopwatch()
    _check(options)
    _clear_orphan(settings.home, catalogue, options)
    path = _path_of_model(settings.home / "models", options)
    require_possible(root, require_library(root, settings.home), options.held_out, options.folds, options.project)
    loaded = load_backbone(options.backbone, options.weights, options.heads.seed)
    job = _Job(settings, catalogue, root, options, loaded)
    clock.lap("weights")
    tuned: tuple[Epoch, ...] = ()
    frozen = options.tuning.unfreeze == "none"
    seen = job.look(options.views if frozen else 0)
    clock.lap("embeddings")
    require_folds(seen.samples, options.folds)
    run = job.run(settings.home / "training" / path.name, seen)
    if not frozen:
        limits = Limits.of(settings, LIBRARY_LIMITS.min_side)
        tuned = tune(loaded, seen.samples, seen.library, options.tuning, limits, run)
        clock.lap("backbone")
        seen = job.look(options.views, seen)
        clock.lap("new embeddings")
    with progress("trying projections", "projection", keep=False) as told:
        choice = choose_projection(seen.samples, options.project, told)
    clock.lap("projection")
    fitted = _fit(_projected(seen.samples, choice.projection), run, options)
    clock.lap("heads")
    history = [*rows_of(FINETUNING, tuned), *rows_of(HEADS, fitted.history)]
    fitted = replace(fitted, metrics=fitted.metrics | {"projection": choice.to_json()})
    model = _write(path, job, seen, fitted, history, choice.projection)
    catalogue.add_model(_row_of(model, loaded), use=True)
    run.forget()
    clock.lap("writing")
    return TrainReport(model, seen.library, seen.embedded, seen.nobody, fitted.metrics, clock.seconds)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A library as a backbone sees it.

    `embedded` counts the pictures and views that were new to it, `nobody` the pictures that show nobody.
    """

    backbone: TorchBackbone
    library: Library
    samples: Samples
    embedded: int
    nobody: int


@dataclass(frozen=True, slots=True)
class _Job:
    """What a training works with from beginning to end."""

    settings: Settings
    catalogue: Catalogue
    root: Path
    options: TrainOptions
    loaded: LoadedBackbone

    def look(self, views: int, before: _Seen | None = None) -> _Seen:
        """Let the library, and random views of it, go through the backbone; the split of `before` is kept."""
        backbone = self._backbone(before.backbone.space.precision if before else None)
        require_dimension(self.options.project, backbone.space.dimension)
        with EmbeddingTable.open(self.settings.home, backbone.space) as table:
            gatherer = Gatherer(self.settings, self.catalogue, backbone, table)
            gathered = gatherer.library(self.root, Views.random(views))
            embedded, nobody = gathered.embedded, gatherer.nothing()
            entries = gathered.library.entries
            vectors = stored(table, backbone.space, [entry.id for entry in entries], views, self.options.heads.reads)
        if before:
            if [entry.id for entry in entries] != [entry.id for entry in before.library.entries]:
                raise BuildError(f"{self.root} has changed while the training ran: run it again")
            samples = replace(before.samples, stored=vectors)
            return _Seen(backbone, gathered.library, samples, before.embedded + embedded, before.nobody + nobody)
        hierarchy = known_hierarchy(gathered.library, self.options.held_out)
        alike = self.loaded.tells_duplicates
        samples = Samples.of(hierarchy, entries, vectors, self.options.heads.seed, alike=alike)
        return _Seen(backbone, gathered.library, samples, embedded, nobody)

    def _backbone(self, precision: str | None) -> TorchBackbone:
        """Return the backbone as it is now, in a precision, or in the fastest that keeps the results."""
        options, loaded = self.options, self.loaded
        exact = TorchBackbone.of_network(
            options.backbone, loaded.model, loaded.preprocessing, self.settings.threads, layer=loaded.layer
        )
        wanted = precision or options.precision
        if wanted == "auto":
            wanted = self._remembered(exact) or self._fastest(exact)
        return exact.in_precision("bfloat16" if wanted == "bfloat16" else "float32")

    def _remembered(self, exact: TorchBackbone) -> Precision | None:
        """Return the precision in which the home has features of these weights already.

        The choice is made once: with another one, every picture of the library would have to be embedded again.
        """
        usable: tuple[Precision, ...] = ("bfloat16", "float32") if computes_bfloat16() else ("float32",)
        for precision in usable:
            if EmbeddingTable.exists(self.settings.home, exact.in_precision(precision).space):
                return precision
        return None

    def _fastest(self, exact: TorchBackbone) -> Precision:
        """Return the fastest precision that keeps the embeddings of the library's first pictures."""
        limits = Limits.of(self.settings, LIBRARY_LIMITS.min_side)
        sample = first_pictures(self.root, limits, SAMPLE, self.settings.home) if computes_bfloat16() else ()
        return choose_precision(exact.in_precision, sample)

    def run(self, folder: Path, seen: _Seen) -> Run:
        """Return the checkpoints of this training: those of an interrupted one only where it is to be resumed."""
        run = Run.of(
            folder,
            options=asdict(replace(self.options, resume=False, name=None)),
            space=seen.backbone.space.to_json(),
            pictures=[[entry.id, entry.character.label, entry.character.type] for entry in seen.library.entries],
        )
        if not self.options.resume:
            run.forget()
        elif not run.begun:
            say(
                f"no training of {folder.name} with these options was interrupted after an epoch: it begins at the "
                "first one, and uses what was embedded before"
            )
        elif standing := standing_of(run):
            say(f"going on with the training of {folder.name}: {standing}")
        return run


def _projected(samples: Samples, projection: Projection | None) -> Samples:
    """Let similarities be those of projected embeddings, which answers show; heads read what they read."""
    if projection is None:
        return samples
    return replace(samples, stored=replace(samples.stored, vectors=Projected(samples.stored.vectors, projection)))


def _fit(samples: Samples, run: Run, options: TrainOptions) -> Fitted:
    """Train the heads where a person looks on."""
    fitting = FitOptions(options.heads, options.folds, refit=options.recipe == "joint")
    pictures = len(samples.seen(samples.part("train")))
    bars = Bars(pictures, options.heads.epochs)
    with bars:
        return fit(samples, fitting, Watch(bars.told, run.checkpoint))


def _write(
    path: Path, job: _Job, seen: _Seen, fitted: Fitted, history: list[Row], projection: Projection | None
) -> ModelFolder:
    """Write the model folder. Raises BuildError where the disk is full or the name was taken meanwhile."""
    samples, backbone = seen.samples, seen.backbone
    pictures = TrainedPictures(tuple(entry.id for entry in seen.library.entries), samples.split.part, fitted.fold)
    new_model = NewModel(
        space=backbone.space,
        preprocessing=backbone.preprocessing,
        heads=fitted.heads,
        calibration=fitted.calibration,
        weights=job.loaded.to_json(),
        pictures=pictures,
        facts=_facts(job, seen, fitted, history),
        folds=fitted.fold_heads,
        projection=projection,
        files=files(history, fitted.best),
    )
    try:
        return write_model(path, new_model, backbone.save)
    except SafetensorError as error:  # what safetensors makes of a full disk
        raise BuildError(
            f"{path} cannot be written ({plain_reason(error)}): make room and run it again with --resume"
        ) from None


def _facts(job: _Job, seen: _Seen, fitted: Fitted, history: list[Row]) -> dict[str, Any]:
    """Return the parts of model.json that nobody has to compute with."""
    options, division = job.options, seen.samples.split
    counts = {name: len(division.rows(name)) for name in PARTS} | {"held out": len(division.held_out)}
    return {
        "created": now(),
        "training": {
            "recipe": options.recipe,
            "library": str(seen.library.root.resolve()),
            "unfreeze": options.tuning.unfreeze,
            "views": options.views,
            "folds": options.folds,
            "held_out": list(options.held_out),
            "options": asdict(options.heads),
            "epochs": history,
            "final_epochs": fitted.best,
            "split": {
                "seed": division.seed,
                "shares": dict(zip(PARTS, SHARES, strict=True)),
                "pictures": counts,
                "groups": int(division.group.max()) + 1,
                "leaks_of_naive_split": division.naive().leaks(),
            },
        },
        "metrics": fitted.metrics,
        "versions": {package: version(package) for package in ("sokkuri", "torch", "torchvision", "numpy")},
    }


def _row_of(model: ModelFolder, loaded: LoadedBackbone) -> ModelRow:
    """Return what the catalogue keeps of a model."""
    space = model.space
    return ModelRow(model.name, space.backbone, model.digest, space.fingerprint, now(), loaded.notice or None)


def _check(options: TrainOptions) -> None:
    """Raise BuildError where options contradict each other, or mean nothing."""
    wanted_dimension(options.project)
    if options.folds == 1 or options.folds < 0:
        raise BuildError("--folds takes 2 or more: each fold is tested by a model of the others")
    if options.folds and options.tuning.unfreeze != "none":
        raise BuildError(
            "--folds needs a frozen backbone, or the backbone would have seen every fold: leave --unfreeze"
        )
    if options.recipe == "seed" and options.tuning.unfreeze != "none":
        raise BuildError("the recipe seed trains the last layer only: leave --unfreeze out, or use --recipe joint")


def _clear_orphan(home: Path, catalogue: Catalogue, options: TrainOptions) -> None:
    """Remove the folder of a model that was written in the very moment before a crash: nothing names it yet.

    Its checkpoints are still there, so a resumed training comes to it again within seconds.
    """
    if not options.resume or not options.name or not (home / "training" / options.name).is_dir():
        return
    if options.name not in {row.name for row in catalogue.models()} and NAME.fullmatch(options.name):
        shutil.rmtree(home / "models" / options.name, ignore_errors=True)


def _path_of_model(models: Path, options: TrainOptions) -> Path:
    """Return the folder that the model will be written to. Raises BuildError where the name is taken or unusable."""
    if options.name is None:
        number = 1
        while (models / f"{options.backbone}-{number}").exists():
            number += 1
        return models / f"{options.backbone}-{number}"
    if not NAME.fullmatch(options.name):
        raise BuildError(
            f"a model cannot be called {options.name!r}: use letters, digits, dots, dashes and underscores"
        )
    if (models / options.name).exists() and options.resume:
        raise BuildError(
            f"there is nothing to resume: the training of {options.name!r} came to its end, and the model is there "
            f"(`sokkuri use {options.name}` puts it to use)"
        )
    if (models / options.name).exists():
        raise BuildError(f"there is a model {options.name!r} already: choose another --name")
    return models / options.name
