"""Two models side by side on the same pictures, and whether the difference may be luck."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.evaluation.findings import SpaceFindings, tell_labels
from indexer.evaluation.scores import McNemar, mcnemar
from indexer.evaluation.subject import Bench
from recommender.catalogue import Catalogue
from recommender.encoders.torch_encoder import TorchBackbone
from recommender.errors import BuildError
from recommender.settings import Settings
from recommender.types import PictureId

ORDER = ("type", "show", "character")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both models' names, and for each label space on how many pictures which of them is right."""

    models: tuple[str, str]
    spaces: dict[str, McNemar]
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return {
            "models": list(self.models),
            "notices": list(self.notices),
            **{
                space: found.to_json() | {"pictures": found.pictures, "sentence": found.sentence(*self.models)}
                for space, found in self.spaces.items()
            },
        }

    def to_text(self) -> str:
        """Return a line for each label space, after what has to be said about the models."""
        lines = [f"! {notice}" for notice in self.notices]
        lines += [f"{space + ':':<11} {found.sentence(*self.models)}" for space, found in self.spaces.items()]
        return "\n".join(lines)


def compare(settings: Settings, catalogue: Catalogue, names: tuple[str, str], root: Path | None) -> Comparison:
    """Ask both models about the pictures that neither has seen: one of each near-duplicate group.

    Raises NotFound, or BuildError where there are no such pictures.
    """
    bench = Bench(settings, catalogue)
    verdicts: list[dict[str, dict[PictureId, bool]]] = []
    groups: dict[PictureId, int] = {}
    notices = []
    for name in names:
        model = bench.model(name)
        notices += [f"{name}: {model.notice}"] if model.notice else []
        subject = bench.open(model, root or bench.library_of(model), TorchBackbone.load(model, settings.threads))
        identities = [entry.id for entry in subject.library.entries]
        groups = groups or dict(zip(identities, subject.group.tolist(), strict=True))
        verdicts.append({space: _right(found, identities) for space, found in tell_labels(subject).items()})
    spaces = {}
    for space in ORDER:
        one, other = (verdict[space] for verdict in verdicts)
        first_of_group = {groups.get(picture, -1): picture for picture in sorted(set(one) & set(other), reverse=True)}
        shared = sorted(first_of_group.values())
        spaces[space] = mcnemar(
            np.array([one[picture] for picture in shared], dtype=bool),
            np.array([other[picture] for picture in shared], dtype=bool),
        )
    if not spaces["character"].pictures:
        raise BuildError(
            f"there is no picture that neither {names[0]} nor {names[1]} has seen: "
            "train both on one library with one --seed"
        )
    return Comparison(names, spaces, tuple(notices))


def _right(found: SpaceFindings, identities: list[PictureId]) -> dict[PictureId, bool]:
    """Return, by picture, whether the best label is right."""
    rows = zip(found.rows.tolist(), found.right.tolist(), strict=True)
    return {identities[row]: right for row, right in rows}
