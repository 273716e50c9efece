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
    """Both models' names, and for each label space on how many pictures which of them is right.

    `tested` counts the pictures that each of the models has not seen, and `shared` those that neither has.
    """

    models: tuple[str, str]
    spaces: dict[str, McNemar]
    tested: tuple[int, int]
    shared: int
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return {
            "models": list(self.models),
            "notices": list(self.notices),
            "tested": list(self.tested),
            "shared": self.shared,
            "pictures": self.basis,
            **{
                space: found.to_json() | {"pictures": found.pictures, "sentence": found.sentence(*self.models)}
                for space, found in self.spaces.items()
            },
        }

    @property
    def basis(self) -> str:
        """On which pictures the models are compared, in a sentence."""
        (one, other), (first, second) = self.models, self.tested
        return (
            f"compared on the pictures that neither model has seen, near-duplicates counted once (n): {one} is tested "
            f"by {first} pictures, {other} by {second}, and {self.shared} of these are the same"
        )

    def to_text(self) -> str:
        """Return a line for each label space, after what has to be said about the models."""
        lines = [*(f"! {notice}" for notice in self.notices), self.basis]
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
        first, second = (verdict[space] for verdict in verdicts)
        common = sorted(set(first) & set(second), reverse=True)
        chosen = sorted({groups.get(picture, -1): picture for picture in common}.values())
        spaces[space] = mcnemar(
            np.array([first[picture] for picture in chosen], dtype=bool),
            np.array([second[picture] for picture in chosen], dtype=bool),
        )
    if not spaces["character"].pictures:
        raise BuildError(
            f"there is no picture that neither {names[0]} nor {names[1]} has seen: "
            "train both on one library with one --seed"
        )
    one, other = (set(verdict["character"]) for verdict in verdicts)
    return Comparison(names, spaces, (len(one), len(other)), len(one & other), tuple(notices))


def _right(found: SpaceFindings, identities: list[PictureId]) -> dict[PictureId, bool]:
    """Return, by picture, whether the best label is right."""
    rows = zip(found.rows.tolist(), found.right.tolist(), strict=True)
    return {identities[row]: right for row, right in rows}
