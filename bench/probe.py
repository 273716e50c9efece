"""What a frozen trunk sees in real pictures: a linear classifier, and the nearest picture, on its last feature map.

The protocol is one for all trunks: pictures stretched to a square, bicubic; mean and maximum of each map of the last
layer of `features`; StandardScaler and LogisticRegression(C=0.01) over five stratified folds; precision@1 and mean
average precision by the cosine of the same numbers. Near-duplicates are not grouped: it compares trunks and is no claim
of accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from indexer.library import Library, scan
from indexer.progress import Told
from indexer.training.weights import load_backbone
from recommender.images import Preprocessing, decode, prepare

BATCH = 16
SIZES = {"squeezenet1_0": 224, "mobilenet_v2": 224}
"""Pixels that a trunk looks at; others look at SIZE."""
SIZE = 112


@dataclass(frozen=True, slots=True)
class Probe:
    """How well a trunk's features tell the characters of a show apart."""

    accuracy: float
    precision_at_1: float
    mean_ap: float
    pictures: int
    characters: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


def probe(root: Path, trunks: Mapping[str, Path | None], told: Told) -> dict[str, dict[str, Probe]]:
    """Probe each trunk on each show of a library; a trunk without a file is named by its weights, for vgg19."""
    library = scan(root)
    found = {}
    for number, (name, file) in enumerate(trunks.items()):
        backbone = name.partition(":")[0] if file else "vgg19"
        network = load_backbone(backbone, str(file) if file else name, 0).model
        found[name] = _probed(library, network, Preprocessing(size=SIZES.get(backbone, SIZE)))
        told(number + 1, len(trunks))
    return found


def _probed(library: Library, network: nn.Module, preprocessing: Preprocessing) -> dict[str, Probe]:
    """Probe one trunk on every show that has pictures enough."""
    features = network.get_submodule("features").eval()
    found = {}
    for show in library.hierarchy.shows:
        entries = [entry for entry in library.entries if entry.character.show.slug == show.slug]
        labels = np.array([entry.character.label for entry in entries])
        rows = []
        for start in range(0, len(entries), BATCH):
            pictures = [decode((library.root / entry.path).read_bytes()) for entry in entries[start : start + BATCH]]
            batch = torch.from_numpy(np.stack([prepare(picture, preprocessing) for picture in pictures]))
            rows.append(_pooled(features, batch))
        found[show.slug] = measured(np.concatenate(rows), labels)
    return found


def _pooled(features: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        maps = features(batch.contiguous(memory_format=torch.channels_last))
        pooled: NDArray[np.float32] = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1).numpy()
    return pooled


def measured(rows: NDArray[np.float32], labels: NDArray[Any]) -> Probe:
    """Probe features (n, d) with their labels (n,)."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    accuracy = float(np.mean(cross_val_score(classifier, rows, labels, cv=folds)))
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :-1]
    same = labels[order] == labels[:, np.newaxis]
    precision = np.cumsum(same, axis=1) / np.arange(1, same.shape[1] + 1)
    hits = same.sum(axis=1)
    average = (precision * same).sum(axis=1)[hits > 0] / hits[hits > 0]
    return Probe(accuracy, float(same[:, 0].mean()), float(average.mean()), len(labels), len(np.unique(labels)))
