"""What a training comes to: its report, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from indexer.evaluation.metrics import untested_told
from indexer.evaluation.rehearsal import shows_told
from indexer.library import Library
from indexer.training.projecting import projection_told
from recommender.encoders import USUALLY_FASTER, has_card
from recommender.modelfolder import ModelFolder


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came of it. `seconds` are those of each stage.

    `embedded` counts the pictures of the library and the views of these that were new to the backbone, and `nobody` the
    drawn pictures that show nobody, on which a model learns to doubt.
    """

    model: ModelFolder
    library: Library
    embedded: int
    nobody: int
    metrics: dict[str, Any]
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "model": self.model.name,
            "notice": self.model.notice or None,
            "pictures": len(self.library.entries),
            "embedded": self.embedded,
            "embedded_of_nobody": self.nobody,
            "metrics": self.metrics,
            "untested": self.untested,
            "not_rehearsed": self.not_rehearsed or None,
            "rejects": [{"path": reject.path, "reason": reject.reason} for reject in self.library.rejects],
            "seconds": self.seconds,
        }

    @property
    def untested(self) -> list[str]:
        """The characters of which the test part, or the folds, hold no picture."""
        return [label for label, row in self.metrics["characters"].items() if not row["pictures"]]

    @property
    def not_rehearsed(self) -> str:
        """What could not be rehearsed with so few shows, in a sentence; empty where they are enough."""
        return shows_told(len(self.model.hierarchy.shows))

    def to_text(self) -> str:
        """Return the report for people."""
        metrics, training = self.metrics, self.model.manifest["training"]
        where = "on the test part" if metrics["part"] == "test" else f"over {training['folds']} folds"
        lines = [f"{f'accuracy {where}':<44} {'right':>6}  pictures"]
        lines += [_row(space, metrics[space]) for space in ("type", "show", "character")]
        lines += [_row(f"  characters of {show}", row) for show, row in metrics["characters_by_show"].items()]
        pictures = training["split"]["pictures"]
        parts = ", ".join(f"{count} {name}" for name, count in pictures.items() if count)
        lines.append(
            f"{len(self.library.entries)} pictures ({parts}); a split by picture would have shown "
            f"{training['split']['leaks_of_naive_split']} near-duplicates of test pictures while training"
        )
        if not metrics["character"]["pictures"]:
            lines.append("nothing was tested: the library is too small for a test part; --folds tests every picture")
        elif untested := untested_told(self.untested):
            lines.append(untested)
        if told := self.not_rehearsed:
            lines.append(told)
        lines.append(projection_told(metrics["projection"]))
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        drawn = f", and {self.nobody} drawn ones that show nobody, to learn doubt on" if self.nobody else ""
        lines.append(f"newly embedded: {self.embedded} pictures and views of the library{drawn}; seconds: {stages}")
        faster = "" if has_card() else f" (after `sokkuri export` it is {USUALLY_FASTER}, and so are answers)"
        lines.append(f"model {self.model.name} is in use: now `sokkuri reindex {self.library.root}`{faster}")
        return "\n".join(lines)


def _row(title: str, row: dict[str, Any]) -> str:
    """Return a line of the table of accuracies."""
    accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
    return f"{title:<44} {accuracy:>6}  {row['pictures']:>8}"
