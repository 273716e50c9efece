"""The recipe: phases of growing picture size, one descent, averaged weights, and a checkpoint every few minutes.

Not here: the network (`student`), what it learns (`lessons`), the drawings (`drawings`), the file that is shipped
(`bundle`).
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from indexer.pretraining.augment import plain, views
from indexer.pretraining.drawings import DrawingPlan, Drawings, drawings
from indexer.pretraining.lessons import Asked, Drawn, Lessons
from indexer.pretraining.student import CHANNELS, LOWER, Part, Student
from indexer.pretraining.teachers import Scale, Teacher, teachers_of
from indexer.progress import progress
from indexer.training.checkpoint import Run
from indexer.training.device import Device
from recommender.errors import ModelError

BLOCKS = {"lower": range(LOWER), "upper": range(LOWER, len(CHANNELS)), "whole": range(len(CHANNELS))}
"""The blocks that each part consists of."""
MEASURED = 256
"""Drawings over which the scale of a teacher's maps is measured."""
JUDGED = 1024
"""The most drawings that identities are told apart in, to see how it goes."""
SAVED_EVERY = 120.0
"""Seconds between two checkpoints."""
AVERAGED = 0.998
"""How much of the averaged weights stays at each step (Polyak and Juditsky, 1992)."""
WARMING = 0.03
"""The share of all views over which the learning rate rises."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Views of `size` pixels, `samples` of them, and which part of the student learns from them."""

    size: int
    samples: int
    part: Part = "whole"


@dataclass(frozen=True, slots=True)
class PretrainOptions:
    """What is drawn, how long each size is trained, and how the descent goes."""

    plan: DrawingPlan = field(default_factory=DrawingPlan)
    phases: tuple[Phase, ...] = (Phase(48, 40_000, "lower"), Phase(64, 80_000), Phase(96, 20_000))
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 0
    threads: int = 0

    @property
    def samples(self) -> int:
        """Views in all phases."""
        return sum(phase.samples for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The averaged student, in evaluation mode, and what model cards say about how it came to be."""

    student: Student
    facts: dict[str, Any]


def pretrain(work: Path, teachers: Path, options: PretrainOptions) -> Pretrained:
    """Draw, then train; everything is kept in `work`, and a second call goes on where the first one stopped.

    Raises BuildError or ModelError.
    """
    drawn = drawings(work / "drawings", options.plan)
    device = Device.found()
    if options.threads:
        torch.set_num_threads(options.threads)
    place = torch.device(device.kind)
    descent = _Descent(drawn, teachers_of(teachers, place), options, device)
    # Phases may change from one run to the next: a training can be cut short, or go on for longer.
    run = Run.of(work / "training", options=asdict(replace(options, phases=(), threads=0)))
    checkpoint = run.checkpoint("student")
    held = checkpoint.load()
    if held:
        descent.restore(*held)
    with progress("training the backbone", "view") as told:
        saved = monotonic()
        for note in descent.steps():
            told(descent.samples, options.samples, note)
            if monotonic() - saved > SAVED_EVERY:
                checkpoint.save(*descent.state())
                saved = monotonic()
    checkpoint.save(*descent.state())
    return Pretrained(descent.averaged.eval(), descent.facts())


def _require_lessons(teachers: Sequence[Teacher], phases: Sequence[Phase]) -> None:
    """Raise ModelError where a part of the student is to learn alone that no teacher knows anything about."""
    for part in {phase.part for phase in phases}:
        if not any(tap.block in BLOCKS[part] for teacher in teachers for tap in teacher.kind.taps):
            raise ModelError(
                f"no teacher has anything to say to the {part} half: vgg19_*.pth teaches the lower one, "
                "squeezenet1_0_*.pth and mobilenet_v2_*.pth the upper one"
            )


class _Descent:
    """The student on its way. `samples` counts the views that it has seen, `seconds` the time that took."""

    def __init__(
        self, drawn: Drawings, teachers: tuple[Teacher, ...], options: PretrainOptions, device: Device
    ) -> None:
        self._drawn, self._teachers, self._options, self._device = drawn, teachers, options, device
        self._place = torch.device(device.kind)
        torch.manual_seed(options.seed)
        self._student = Student().to(self._place).to(memory_format=torch.channels_last)
        self.averaged = Student().to(self._place).to(memory_format=torch.channels_last).requires_grad_(False)
        self.averaged.load_state_dict(self._student.state_dict())
        self._dice = torch.Generator(self._place)
        self._learnt_from = torch.from_numpy((~drawn.judged).nonzero()[0])
        _require_lessons(teachers, options.phases)
        self._scales = self._measured()
        plan, parameters = options.plan, drawn.parameters.shape[1]
        self._lessons = Lessons(self._asked(), plan.identities, plan.styles, parameters).to(self._place)
        learnt = [*self._student.parameters(), *self._lessons.parameters()]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [one for one in learnt if one.dim() > 1], "weight_decay": options.weight_decay},
                {"params": [one for one in learnt if one.dim() <= 1], "weight_decay": 0.0},
            ],
            options.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.samples, self.step, self.seconds = 0, 0, 0.0
        self.history: list[dict[str, float]] = []

    def steps(self) -> Iterator[str]:
        """Go on to the end, a step at a time; each gives a note on how it stands."""
        recent: dict[str, float] = {}
        while self.samples < self._options.samples:
            started = monotonic()
            phase = self._phase()
            losses = self._step(phase)
            for name, value in losses.items():
                recent[name] = 0.95 * recent.get(name, value) + 0.05 * value
            self.seconds += monotonic() - started
            if self.step % 200 == 0:
                row = {"samples": self.samples, "size": phase.size, "seconds": self.seconds, **recent}
                self.history.append(row | {"told_apart": self._told_apart()})
            rate = self._options.batch / max(monotonic() - started, 1e-9)
            yield f"{phase.size} px, {phase.part}, {rate:.0f}/s, " + " ".join(
                f"{name} {value:.2f}" for name, value in recent.items()
            )

    def _phase(self) -> Phase:
        """Return the phase that the next step belongs to."""
        end = 0
        for phase in self._options.phases:
            end += phase.samples
            if self.samples < end:
                return phase
        return self._options.phases[-1]

    def _step(self, phase: Phase) -> dict[str, float]:
        """Learn from one batch."""
        options = self._options
        # A batch depends on its number alone, so that a resumed run sees what an unbroken one would have seen.
        draw = torch.Generator().manual_seed(options.seed * 1_000_003 + self.step)
        self._dice.manual_seed(options.seed * 1_000_003 + self.step)
        rows = self._learnt_from[torch.randint(len(self._learnt_from), (options.batch,), generator=draw)]
        large = views(self._pixels(rows), 2 * phase.size, self._dice)
        small = torch.nn.functional.avg_pool2d(large, 2)
        self._set_rate()
        self._student.learn(phase.part)
        blocks = BLOCKS[phase.part]
        with self._autocast():
            targets = self._targets({1: small, 2: large}, blocks)
            seen = self._student(small, phase.part)
            losses = self._lessons(seen, targets, self._labels(rows))
        total = torch.stack(list(losses.values())).sum()
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(self._student.parameters(), 5.0)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._average()
        self.samples += options.batch
        self.step += 1
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _pixels(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self._drawn.pixels[rows.numpy()]).to(self._place)

    def _labels(self, rows: Tensor) -> Drawn:
        chosen = rows.numpy()
        return Drawn(
            *(
                torch.from_numpy(values[chosen]).to(self._place)
                for values in (self._drawn.identity, self._drawn.style, self._drawn.parameters)
            )
        )

    def _autocast(self) -> Any:
        fast = self._device.precision
        return nullcontext() if fast is torch.float32 else torch.autocast(self._device.kind, fast)

    def _targets(self, pictures: Mapping[int, Tensor], blocks: range) -> dict[str, Tensor]:
        """Return what each teacher sees that the student's blocks are held to, as targets."""
        found = {}
        with torch.no_grad():
            for teacher in self._teachers:
                for name, maps in teacher(pictures[teacher.kind.enlarged], blocks).items():
                    found[name] = self._scales[name].target(maps.float())
        return found

    def _asked(self) -> list[Asked]:
        """Return all maps that the student is held to."""
        return [
            Asked(
                teacher.name_of(tap),
                tap.block,
                len(self._scales[teacher.name_of(tap)].mean),
                whole=teacher.kind.whole and tap == teacher.kind.taps[-1],
            )
            for teacher in self._teachers
            for tap in teacher.kind.taps
        ]

    def _measured(self) -> dict[str, Scale]:
        """Measure the scale of each teacher's maps on views of the first phase's size."""
        dice = torch.Generator(self._place).manual_seed(self._options.seed)
        size = self._options.phases[0].size
        seen: dict[str, list[Tensor]] = {}
        rows = torch.arange(0, min(MEASURED, len(self._learnt_from)))
        with torch.no_grad():
            for part in torch.split(rows, self._options.batch):
                large = views(self._pixels(self._learnt_from[part]), 2 * size, dice)
                pictures = {1: torch.nn.functional.avg_pool2d(large, 2), 2: large}
                for teacher in self._teachers:
                    for name, maps in teacher(pictures[teacher.kind.enlarged], BLOCKS["whole"]).items():
                        seen.setdefault(name, []).append(maps.float())
        return {name: Scale.measured(maps) for name, maps in seen.items()}

    def _set_rate(self) -> None:
        """Let the learning rate rise, then fall along a cosine over the samples."""
        done = (self.samples + self._options.batch) / self._options.samples
        rising = min(1.0, done / WARMING)
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        for group in self._optimiser.param_groups:
            group["lr"] = self._options.learning_rate * rising * max(falling, 0.01)

    def _average(self) -> None:
        """Move the averaged student a little towards the student."""
        keep = min(AVERAGED, (1 + self.step) / (10 + self.step))
        mine, theirs = self.averaged.state_dict(), self._student.state_dict()
        moving = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in moving], [theirs[name] for name in moving], 1 - keep)

    @torch.no_grad()
    def _told_apart(self) -> float:
        """Return the part of drawings that were not learnt from whose identity the averaged student tells."""
        rows = torch.from_numpy(self._drawn.judged.nonzero()[0][:JUDGED])
        size = self._phase().size
        self.averaged.eval()
        right = 0
        for part in torch.split(rows, self._options.batch):
            embedding = self.averaged(plain(self._pixels(part), size)).embedding
            right += int((self._lessons.cosines(embedding).argmax(1) == self._labels(part).identity).sum())
        return right / max(1, len(rows))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that a resumed run needs."""
        tensors: dict[str, Tensor] = {}
        for name, module in self._modules().items():
            tensors |= {f"{name}:{key}": value for key, value in module.state_dict().items()}
        moments = self._optimiser.state_dict()["state"]
        for number, one in moments.items():
            tensors |= {f"moment:{number}:{key}": value for key, value in one.items()}
        for name, scale in self._scales.items():
            tensors |= {f"scale:{name}:{key}": getattr(scale, key) for key in Scale.__slots__}
        counts = {"samples": self.samples, "step": self.step, "seconds": self.seconds, "history": self.history}
        return tensors, counts

    def restore(self, tensors: Mapping[str, Tensor], counts: Mapping[str, Any]) -> None:
        """Take up what `state` returned."""

        def those(prefix: str) -> dict[str, Tensor]:
            return {key.removeprefix(prefix): one for key, one in tensors.items() if key.startswith(prefix)}

        for name, module in self._modules().items():
            module.load_state_dict(those(f"{name}:"))
        moments: dict[int, dict[str, Tensor]] = {}
        weights = [weight for group in self._optimiser.param_groups for weight in group["params"]]
        for key, value in those("moment:").items():
            number, _, kind = key.partition(":")
            weight = weights[int(number)]
            # The fused step pairs numbers by their place in memory: moments have to lie there as the weights do.
            laid_out = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
            moments.setdefault(int(number), {})[kind] = laid_out
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        for name in self._scales:
            self._scales[name] = Scale(**{key: one.to(self._place) for key, one in those(f"scale:{name}:").items()})
        self.samples, self.step, self.seconds = (counts[name] for name in ("samples", "step", "seconds"))
        self.history = list(counts["history"])

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"student": self._student, "averaged": self.averaged, "lessons": self._lessons}

    def facts(self) -> dict[str, Any]:
        """Return what the model card says."""
        return {
            "drawings": asdict(self._options.plan)
            | {"identities": self._options.plan.identities, "in_all": len(self._drawn)},
            "teachers": [teacher.name for teacher in self._teachers],
            "phases": [asdict(phase) for phase in self._options.phases],
            "views": self.samples,
            "batch": self._options.batch,
            "seed": self._options.seed,
            "hours": round(self.seconds / 3600, 2),
            "machine": f"{self._device.describe}, {torch.get_num_threads()} threads, {platform.machine()}",
            "history": self.history,
        }
