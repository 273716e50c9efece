"""The stages of a training as a person hears of them: a bar for each, and where an interrupted one goes on."""

from __future__ import annotations

from contextlib import ExitStack

from indexer.progress import Told, progress
from indexer.training.checkpoint import Run
from indexer.training.fit import CHOOSING, FINAL, REHEARSAL
from indexer.training.heads import Epoch
from indexer.training.tuning import STAGE as BACKBONE


def standing_of(run: Run) -> str:
    """Say how far an interrupted training came, or nothing where it cannot be gone on with: its checkpoints tell why.

    The last stage is the one that it stopped in.
    """
    stages = [
        f"{_title(stage).removeprefix('training ')} after epoch {done}" + (f" of at most {most}" if most else "")
        for stage, done, most in run.standing()
    ]
    before = f"; before that, {', '.join(stages[:-1])}" if len(stages) > 1 else ""
    return f"{stages[-1]}{before}" if stages else ""


def _title(stage: str) -> str:
    """Return what a person calls a stage of a training."""
    titles = {
        CHOOSING: "training heads",
        REHEARSAL: "rehearsing with strangers",
        FINAL: "training heads on all",
        BACKBONE: "training the backbone",
    }
    return titles.get(stage, f"training {stage.replace('-choosing', ', choosing epochs').replace('-', ' ')}")


class Bars:
    """A bar for each stage of a fit, the first of which stays. `pictures` are those of an epoch."""

    def __init__(self, pictures: int, epochs: int) -> None:
        self._pictures, self._epochs = pictures, epochs
        self._stage = ""
        self._open = ExitStack()
        self._told: Told | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, *ended: object) -> None:
        self._open.close()

    def told(self, stage: str, epoch: Epoch) -> None:
        """Hear of an epoch; one of a new stage ends the bar of the one before."""
        if stage != self._stage or self._told is None:
            self._open.close()
            self._told = self._open.enter_context(progress(_title(stage), keep=stage == CHOOSING))
            self._stage = stage
        accuracy = "" if epoch.validation_accuracy is None else f", accuracy {epoch.validation_accuracy:.3f}"
        done, total = epoch.number * self._pictures, self._epochs * self._pictures
        self._told(done, total, f"loss {epoch.training_loss:.3f}{accuracy}")
