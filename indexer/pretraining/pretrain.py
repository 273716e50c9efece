"""The recipe: phases of growing picture size, one descent, averaged weights, and a checkpoint every few minutes.

Not here: the network (`student`), what it learns (`lessons`), the drawings (`drawings`), the file that is shipped
(`bundle`).
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from indexer.pretraining.augment import plain, views
from indexer.pretraining.drawings import DrawingPlan, arriving
from indexer.pretraining.gallery import Gallery
from indexer.pretraining.lessons import Asked, Drawn, Lessons, weight_of
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
AVERAGED = 0.999
"""How much of the averaged weights stays at each step (Polyak and Juditsky, 1992)."""
WARMING = 0.03
"""The share of the whole over which the learning rate rises."""
MIXED = 0.4
"""The share of views that are mixed of two drawings: teachers have something to say to them, nobody is asked for."""
NOTED_EVERY = 20
"""Steps between two looks at the losses: each makes a graphics card wait."""
TOLD_EVERY = 10
"""Looks at the losses between two at how well people are told apart."""


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
    compiled: bool = False
    start_at: float = 1.0
    """The share of the drawings that has to be there; the others join as they come."""
    minutes: float | None = None
    """How long to learn: samples of phases are shares of it then. None: until all samples are learnt from."""

    @property
    def samples(self) -> int:
        """Views in all phases."""
        return sum(phase.samples for phase in self.phases)

    def purpose(self) -> dict[str, Any]:
        """Return what has to stay the same from one run to the next.

        Phases may change: a training can be cut short, or go on for longer.
        """
        free = {"phases": (), "threads": 0, "compiled": False, "start_at": 1.0, "minutes": None}
        return asdict(replace(self, **free))  # type: ignore[arg-type]  # the names are the fields' own


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The averaged student, in evaluation mode, and what model cards say about how it came to be."""

    student: Student
    facts: dict[str, Any]


Kept = Callable[[Pretrained], None]
"""Takes the student as it stands, at every checkpoint and at the end."""


def pretrain(work: Path, teachers: Path, options: PretrainOptions, kept: Kept | None = None) -> Pretrained:
    """Draw, then train; everything is kept in `work`, and a second call goes on where the first one stopped.

    Raises BuildError or ModelError.
    """
    device = Device.found()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    taught = teachers_of(teachers, torch.device(device.kind))
    _require_lessons(taught, options.phases)
    checkpoint = Run.of(work / "training", options=options.purpose()).checkpoint("student")
    with arriving(work / "drawings", options.plan) as coming:
        gallery = Gallery(options.plan, coming, device)
        with progress("drawing", "drawing") as told:
            gallery.wait_for(options.start_at, told)
        descent = _Descent(gallery, taught, options, device)
        held = checkpoint.load()
        if held:
            descent.restore(*held)

        def keep() -> Pretrained:
            checkpoint.save(*descent.state())
            done = Pretrained(descent.averaged.eval(), descent.facts())
            if kept:
                kept(done)
            return done

        with progress("training the backbone", "view") as told:
            saved = monotonic()
            for note in descent.steps():
                told(min(options.samples, round(descent.done * options.samples)), options.samples, note)
                if monotonic() - saved > SAVED_EVERY:
                    keep()
                    saved = monotonic()
        return keep()


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
        self, gallery: Gallery, teachers: tuple[Teacher, ...], options: PretrainOptions, device: Device
    ) -> None:
        self._gallery, self._teachers, self._options, self._device = gallery, teachers, options, device
        self._place = torch.device(device.kind)
        torch.manual_seed(options.seed)
        self._student = Student().to(self._place).to(memory_format=torch.channels_last)
        self.averaged = Student().to(self._place).to(memory_format=torch.channels_last).requires_grad_(False)
        self.averaged.load_state_dict(self._student.state_dict())
        self._dice = torch.Generator(self._place)
        self._scales = self._measured()
        plan = options.plan
        self._lessons = Lessons(self._asked(), plan.identities, torch.from_numpy(plan.style_vectors())).to(self._place)
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
        # Fused, a step takes two thirds of the time on a graphics card; for each size of picture that takes a minute.
        self._losses = torch.compile(self._loss, dynamic=False) if options.compiled else self._loss
        self.samples, self.step, self.seconds = 0, 0, 0.0
        self.history: list[dict[str, float]] = []

    def steps(self) -> Iterator[str]:
        """Go on to the end, a step at a time; each gives a note on how it stands."""
        recent: dict[str, Tensor] = {}
        note, noted, begun = "", (monotonic(), self.samples), monotonic() - self.seconds
        while self.done < 1:
            self._gallery.look()
            phase = self._phase()
            for name, value in self._step(phase).items():
                recent[name] = torch.lerp(value, recent.get(name, value), 0.95)
            self.seconds = monotonic() - begun
            if self.step % NOTED_EVERY == 0:
                losses = {name: float(value) for name, value in recent.items()}
                if self.step % (TOLD_EVERY * NOTED_EVERY) == 0:
                    row = {"samples": self.samples, "size": phase.size, "seconds": self.seconds, **losses}
                    self.history.append(row | {"told_apart": self._told_apart()})
                rate = (self.samples - noted[1]) / max(monotonic() - noted[0], 1e-9)
                noted = monotonic(), self.samples
                note = (
                    f"{self.done:.0%}, {phase.size} px, {phase.part}, {rate:.0f}/s of {self._gallery.drawn} drawings, "
                    + " ".join(f"{name} {value:.2f}" for name, value in losses.items())
                )
            yield note

    @property
    def done(self) -> float:
        """How much of the whole has been learnt: of the time where there is a limit to it, else of the samples."""
        minutes = self._options.minutes
        return self.samples / self._options.samples if minutes is None else self.seconds / (60 * minutes)

    def _phase(self) -> Phase:
        """Return the phase that the next step belongs to."""
        end = 0
        for phase in self._options.phases:
            end += phase.samples
            if self.done * self._options.samples < end:
                return phase
        return self._options.phases[-1]

    def _step(self, phase: Phase) -> dict[str, Tensor]:
        """Learn from one batch; return the losses, where the network is."""
        options = self._options
        # A batch depends on its number alone, so that a resumed run sees what an unbroken one would have seen.
        draw = torch.Generator().manual_seed(options.seed * 1_000_003 + self.step)
        self._dice.manual_seed(options.seed * 1_000_003 + self.step)
        learnt_from, mixed = self._gallery.learnt_from, int(MIXED * options.batch)
        rows = learnt_from[torch.randint(len(learnt_from), (options.batch,), generator=draw)]
        large = views(self._gallery.pixels(rows), 2 * phase.size, self._dice, mixed)
        small = torch.nn.functional.avg_pool2d(large, 2)
        self._set_rate()
        self._student.learn(phase.part)
        losses = self._losses(large, small, phase.part, self._gallery.labels(rows, mixed))
        total = torch.stack([weight_of(name) * loss.float() for name, loss in losses.items()]).sum()
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(self._student.parameters(), 5.0)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._average()
        self.samples += options.batch
        self.step += 1
        return {name: loss.detach().float() for name, loss in losses.items()}

    def _loss(self, large: Tensor, small: Tensor, part: Part, drawn: Drawn) -> dict[str, Tensor]:
        """Let teachers and student look; return the loss of each lesson."""
        with self._device.autocast():
            targets = self._targets({1: small, 2: large}, BLOCKS[part])
            losses: dict[str, Tensor] = self._lessons(self._student(small, part), targets, drawn)
            return losses

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
        rows = self._gallery.learnt_from[:MEASURED]
        with torch.no_grad():
            for part in torch.split(rows, self._options.batch):
                large = views(self._gallery.pixels(part), 2 * size, dice)
                pictures = {1: torch.nn.functional.avg_pool2d(large, 2), 2: large}
                for teacher in self._teachers:
                    for name, maps in teacher(pictures[teacher.kind.enlarged], BLOCKS["whole"]).items():
                        seen.setdefault(name, []).append(maps.float())
        return {name: Scale.measured(maps) for name, maps in seen.items()}

    def _set_rate(self) -> None:
        """Let the learning rate rise, then fall along a cosine over the samples."""
        done = self.done
        rising = min(1.0, (done + self._options.batch / self._options.samples) / WARMING)
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
        rows = self._gallery.judged[:JUDGED]
        size = self._phase().size
        self.averaged.eval()
        right = torch.zeros((), device=self._place)
        for part in torch.split(rows, self._options.batch):
            with self._device.autocast():
                embedding = self.averaged(plain(self._gallery.pixels(part), size)).embedding
            right += (self._lessons.cosines(embedding.float()).argmax(1) == self._gallery.labels(part).identity).sum()
        return float(right) / max(1, len(rows))

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
            | {"identities": self._options.plan.identities, "in_all": self._gallery.drawn},
            "teachers": [teacher.name for teacher in self._teachers],
            "phases": [asdict(phase) for phase in self._options.phases],
            "views": self.samples,
            "batch": self._options.batch,
            "learning_rate": self._options.learning_rate,
            "minutes": self._options.minutes,
            "seed": self._options.seed,
            "hours": round(self.seconds / 3600, 2),
            "machine": f"{self._device.describe}, {torch.get_num_threads()} threads, {platform.machine()}",
            "history": self.history,
        }
