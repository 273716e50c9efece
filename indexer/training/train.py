"""The batch job `train`: a library of labelled pictures becomes a model folder.

Each picture goes through the frozen backbone once; what comes out is kept in the embedding table, and only the heads
are trained. Not here: the formula of the heads (`heads`), the split (`indexer.split`), what is measured (`evaluation`).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from indexer.embed import Embedder, EmbeddingTable
from indexer.evaluation.calibration import calibrate
from indexer.evaluation.metrics import measure
from indexer.library import LIBRARY_LIMITS, Library, require_library, scan
from indexer.progress import progress
from indexer.samples import Samples
from indexer.split import PARTS, SHARES
from indexer.stopwatch import Stopwatch
from indexer.training.heads import Epoch, HeadOptions, train_heads
from indexer.training.weights import LoadedBackbone, load_backbone
from indexer.workplace import now
from recommender.catalogue import Catalogue, ModelRow
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BadLibrary, BuildError
from recommender.images import Limits, Preprocessing
from recommender.modelfolder import ModelFolder, NewModel, write_model
from recommender.settings import Settings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model may be called: it becomes the name of a folder."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `sokkuri train` was asked for. Without a name the model is called after its backbone, and numbered."""

    backbone: str = "vgg19"
    weights: str = "imagenet"
    name: str | None = None
    heads: HeadOptions = field(default_factory=HeadOptions)


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came of it. `seconds` are those of each stage."""

    model: ModelFolder
    library: Library
    embedded: int
    metrics: dict[str, Any]
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "model": self.model.name,
            "notice": self.model.notice or None,
            "pictures": len(self.library.entries),
            "embedded": self.embedded,
            "metrics": self.metrics,
            "rejects": [{"path": reject.path, "reason": reject.reason} for reject in self.library.rejects],
            "seconds": self.seconds,
        }

    def to_text(self) -> str:
        """Return the report for people."""
        metrics, training = self.metrics, self.model.manifest["training"]
        lines = [f"{'accuracy on the test part':<44} {'right':>6}  pictures"]
        lines += [_row(space, metrics[space]) for space in ("type", "show", "character")]
        lines += [_row(f"  characters of {show}", row) for show, row in metrics["characters_by_show"].items()]
        parts = ", ".join(f"{count} {name}" for name, count in training["split"]["pictures"].items())
        lines.append(
            f"{len(self.library.entries)} pictures ({parts}); a split by picture would have shown "
            f"{training['split']['leaks_of_naive_split']} near-duplicates of test pictures while training"
        )
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        lines.append(f"{self.embedded} pictures newly embedded; seconds: {stages}")
        lines.append(f"model {self.model.name} is in use: now `sokkuri reindex {self.library.root}`")
        return "\n".join(lines)


def _row(title: str, row: dict[str, Any]) -> str:
    """Return a line of the table of accuracies."""
    accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
    return f"{title:<44} {accuracy:>6}  {row['pictures']:>8}"


def train(settings: Settings, catalogue: Catalogue, root: Path, options: TrainOptions) -> TrainReport:
    """Train a model on a library and make it the one in use. Raises BadLibrary, ModelError or BuildError."""
    clock = Stopwatch()
    path = _path_of_model(settings.home / "models", options)
    require_library(root)
    loaded = load_backbone(options.backbone, options.weights, options.heads.seed)
    backbone = TorchBackbone.of_network(options.backbone, loaded.model, Preprocessing(), settings.threads)
    clock.lap("weights")
    with EmbeddingTable.open(settings.home, backbone.space) as table:
        embedder = Embedder(backbone, table)
        with progress("reading pictures") as told:
            limits = Limits.of(settings, LIBRARY_LIMITS.min_side)
            library = scan(root, limits=limits, progress=told, visit=lambda _, image: embedder.add(image))
        embedder.finish()
        _require_classes(library)
        embeddings = table.embeddings([entry.id for entry in library.entries])
    clock.lap("embeddings")
    samples = Samples.of(library, embeddings, options.heads.seed, alike=not loaded.random_layers)
    new_model = _fit(samples, backbone, loaded, options.heads)
    clock.lap("heads")
    try:
        model = write_model(path, new_model, backbone.save)
    except SafetensorError as error:  # what safetensors makes of a full disk
        raise BuildError(f"{path} cannot be written ({error}): make room and run it again") from None
    row = ModelRow(model.name, options.backbone, model.digest, backbone.space.fingerprint, now(), loaded.notice or None)
    catalogue.add_model(row, use=True)
    clock.lap("writing")
    return TrainReport(model, library, embedder.embedded, new_model.facts["metrics"], clock.seconds)


def _fit(samples: Samples, backbone: TorchBackbone, loaded: LoadedBackbone, options: HeadOptions) -> NewModel:
    """Train the heads, calibrate them on the validation part and measure them on the test part.

    When validation has said how many epochs are best and what the probabilities are worth, the heads are trained once
    more on training and validation pictures together: every picture but those of the test part helps.
    """
    training, validation, test = (samples.part(name) for name in PARTS)
    history: list[Epoch] = []
    with progress("training heads", "epoch") as told:

        def note(epoch: Epoch) -> None:
            history.append(epoch)
            told(epoch.number, options.epochs)

        heads = train_heads(samples.hierarchy, training, validation, options, note)
    calibration = calibrate(heads, training, validation)
    best = min(history, key=lambda epoch: epoch.validation_loss)
    final_options = replace(options, epochs=best.number)
    heads = train_heads(samples.hierarchy, training + validation, None, final_options, lambda _: None)
    heads = replace(heads, temperature=calibration.temperature)
    facts = {
        "created": now(),
        "training": {
            "recipe": "joint",
            "options": asdict(options),
            "epochs": [asdict(epoch) for epoch in history],
            "final_epochs": best.number,
            "split": {
                "seed": samples.split.seed,
                "shares": dict(zip(PARTS, SHARES, strict=True)),
                "pictures": {name: len(samples.split.rows(name)) for name in PARTS},
                "groups": int(samples.split.group.max()) + 1,
                "leaks_of_naive_split": samples.split.leaks_of_naive_split(),
            },
        },
        "metrics": {"part": "test", **measure(heads, test)},
        "versions": {package: version(package) for package in ("sokkuri", "torch", "torchvision", "numpy")},
    }
    return NewModel(backbone.space, backbone.preprocessing, heads, calibration, loaded.to_json(), facts)


def _require_classes(library: Library) -> None:
    """Raise BadLibrary where there is nothing to tell apart."""
    if len(library.hierarchy.characters) == 1:
        only = library.hierarchy.characters[0].label
        raise BadLibrary(f"{library.root} has pictures of one character only ({only}): a model needs at least two")


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
    if (models / options.name).exists():
        raise BuildError(f"there is a model {options.name!r} already: choose another --name")
    return models / options.name
