"""What reindexing costs when little has changed, how near it comes to the bare engine, and what a kill can do to it.

Pictures and model are tiny, but for those that are compared with the engine: nearly all of the time is what reindexing
itself takes. Kills fall at random
moments of a whole run, while a real server on the same home is asked without a pause. Not here: the world (`tiny`).
"""

from __future__ import annotations

import http.client
import io
import json
import multiprocessing
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from typing import Any

import numpy as np

from bench.memory import run_watched
from bench.report import Figures
from bench.tiny import cast, draw, make_export, make_library, make_model
from indexer.embed import examine
from indexer.progress import progress, say
from indexer.verify import verify
from indexer.workplace import workplace
from recommender.cli import MAIN
from recommender.errors import BuildError
from recommender.images import decode
from recommender.ports import Backbone
from recommender.settings import Settings
from recommender.types import DecodedImage

JPEG_SIDE, JPEG_SIZE = 1000, 224
"""Pixels of a side: of the JPEGs that are compared with the engine, and of what the network looks at."""
MANY_SIDE = 600
"""Pixels of a side of the JPEGs that memory is watched over."""
CALIBRATED = 32
"""Pictures that the ranges of its 8-bit numbers are measured on."""
NEW = 20
"""Pictures that are new in each run that is killed."""
START_SECONDS = 60.0
KILLED = -signal.SIGKILL
_FORKING = multiprocessing.get_context("forkserver")
# A fresh process would spend most of its life importing torch, and most kills would hit that.
_FORKING.set_forkserver_preload(["indexer.commands", "indexer.reindex", "recommender.encoders.torch_encoder"])


@dataclass(frozen=True, slots=True)
class Effort:
    """How many pictures are reindexed unchanged, how often, how many JPEGs are embedded, and how many kills there are.

    `kept` pictures are in the library that is reindexed and killed, `many` in the one whose reindexing has its memory
    watched. `backbone` and its weights embed the JPEGs.
    """

    pictures: int = 100_000
    repeats: int = 3
    jpegs: int = 2000
    kills: int = 200
    kept: int = 500
    many: int = 10_000
    backbone: tuple[str, str] = ("vgg19", "bundled")


QUICK = Effort(pictures=2000, repeats=1, jpegs=100, kills=5, kept=100, many=300)


def measure_reindexing(effort: Effort) -> Figures:
    """Measure all three in homes of their own."""
    with TemporaryDirectory(prefix="sokkuri-bench-") as folder:
        cost = cost_of_change(Path(folder) / "cost", effort)
        speed = beside_the_engine(Path(folder) / "speed", effort)
        memory = steady_memory(Path(folder) / "memory", effort)
        kills = killed_and_resumed(Path(folder) / "kills", effort)
    figures = {**cost, **speed, **memory, **kills}
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in cost["unchanged_stages_s"].items())
    lines = (
        f"{effort.pictures:,} tiny pictures: the first run {cost['first_s']:.1f} s",
        f"  unchanged {cost['unchanged_100k_s']:.2f} s ({stages}; the rest is starting Python)",
        f"  one changed picture published after {cost['one_changed_100k_s']:.2f} s",
        f"{effort.jpegs:,} new JPEGs: {speed['reindex_per_s']:.1f} a second; bare engine × {speed['over_engine']:.2f}",
        f"{effort.many:,} JPEGs: {memory['memory_early_mb']:.0f} MB at most in the first quarter of the time,",
        f"  {memory['memory_late_mb']:.0f} MB in its second half, {memory['memory_publishing_mb']:.0f} MB publishing",
        f"{kills['kills']} kills: {kills['answered_queries']} queries answered, {kills['failed_queries']} failed",
        f"  {kills['repeated_embeddings']} embeddings done twice, {kills['lost_embeddings']} lost",
        f"  {kills['published']} snapshots published meanwhile; `verify` finds {kills['findings']} faults at the end",
    )
    return Figures(figures, lines)


def cost_of_change(folder: Path, effort: Effort) -> dict[str, Any]:
    """Time whole commands: the first run, unchanged ones, and one after which a single picture is another."""
    settings = Settings(home=folder / "home")
    say(f"drawing {effort.pictures} pictures")
    root = make_library(folder / "library", effort.pictures)
    make_model(settings, cast(effort.pictures))
    # Run by OpenVINO, as a model is once it was exported: loading torch would take longer than all the rest.
    make_export(settings, [decode(draw(number)) for number in range(CALIBRATED)])
    say("reindexing them for the first time")
    first, _ = _timed(settings, root)
    runs = [_timed(settings, root) for _ in range(effort.repeats)]
    seconds, report = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
    _require(report, embedded=0, pictures=effort.pictures)
    changed = []
    for number in range(effort.repeats):
        next(root.rglob("*.png")).write_bytes(draw(effort.pictures + number))
        taken, report = _timed(settings, root)
        _require(report, embedded=1, changed=1)
        changed.append((taken, report["seconds"]))
    one_changed, stages = sorted(changed, key=lambda run: run[0])[len(changed) // 2]
    return {
        "pictures": effort.pictures,
        "first_s": first,
        "unchanged_100k_s": seconds,
        "unchanged_stages_s": runs[-1][1]["seconds"],
        "one_changed_100k_s": one_changed,
        "one_changed_stages_s": stages,
    }


def _timed(settings: Settings, root: Path) -> tuple[float, Any]:
    """Run `sokkuri reindex` as a person would, and return its seconds and its report."""
    started = perf_counter()
    done = subprocess.run(_command(settings, root), capture_output=True, text=True, check=False)
    taken = perf_counter() - started
    if done.returncode:
        raise BuildError(f"reindex ended with {done.returncode}: {done.stderr.strip()}")
    return taken, json.loads(done.stdout)


def _command(settings: Settings, root: Path) -> list[str]:
    return [sys.executable, "-c", MAIN, "reindex", str(root), "--home", str(settings.home), "--json"]


def _require(report: Any, **expected: int) -> None:
    """Raise BuildError unless a report has these figures: another run would be measured than is said."""
    for name, value in expected.items():
        if report[name] != value:
            raise BuildError(f"{name} is {report[name]} and should be {value}: {report}")


def beside_the_engine(folder: Path, effort: Effort) -> dict[str, Any]:
    """Compare reindexing new JPEGs, decoding and thumbnails included, with the bare network on decoded pictures.

    The network, by OpenVINO in int8, is timed before and after: it counts as being as quick as the mean of both.
    """
    settings = Settings(home=folder / "home", engine="openvino")
    root = make_library(folder / "library", effort.jpegs, JPEG_SIDE, "JPEG")
    images = [decode(file.read_bytes()) for file in sorted(root.rglob("*.jpeg"))[: min(effort.jpegs, 256)]]
    name, weights = effort.backbone
    make_model(settings, cast(effort.jpegs), JPEG_SIZE, name, weights)
    backbone = make_export(settings, images[:CALIBRATED])
    before = _rate(backbone, images)
    taken, report = _timed(settings, root)
    engine = (before + _rate(backbone, images)) / 2
    _require(report, embedded=effort.jpegs)
    stages = report["seconds"]
    reindexed = effort.jpegs / sum(stages.values())
    return {
        "jpegs": effort.jpegs,
        "backbone": name,
        "engine": report["engine"],
        "engine_per_s": engine,
        "reindex_per_s": reindexed,
        "over_engine": reindexed / engine,
        "jpegs_s": taken,
        "jpegs_stages_s": stages,
    }


def steady_memory(folder: Path, effort: Effort) -> dict[str, Any]:
    """Watch the memory of a run that embeds many JPEGs: what it holds must not grow with what it has done.

    Scanning and embedding take more than nine tenths of the time; what the index takes comes after them.
    """
    settings = Settings(home=folder / "home")
    say(f"drawing {effort.many} JPEGs")
    root = make_library(folder / "library", effort.many, MANY_SIDE, "JPEG")
    make_model(settings, cast(effort.many))
    make_export(settings, [decode(draw(number)) for number in range(CALIBRATED)])
    say("watching the memory of a reindex of them")
    watched = run_watched(_command(settings, root))
    _require(watched.report, embedded=effort.many)
    own = watched.own or [0.0]
    return {
        "memory_pictures": effort.many,
        "memory_early_mb": max(own[: len(own) // 4 + 1]),
        "memory_late_mb": max(own[len(own) // 2 : len(own) * 9 // 10 + 1]),
        "memory_publishing_mb": max(own[len(own) * 9 // 10 :]),
        "memory_peak_mb": watched.peak,
    }


def _rate(backbone: Backbone, images: Sequence[DecodedImage]) -> float:
    """Return how many pictures a second a network takes."""
    backbone.features(images[:16])
    started = perf_counter()
    backbone.features(images)
    return len(images) / (perf_counter() - started)


@dataclass
class _Queries:
    """Asks a server without a pause, from a thread of its own, and counts how it goes."""

    port: int
    picture: bytes
    answered: int = 0
    failed: int = 0
    snapshots: set[str] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)

    def ask_on(self) -> None:
        """Ask until told to stop."""
        while not self.stopping.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.request("POST", "/api/v1/recommendations", self.picture, {"Content-Type": "image/png"})
                response = connection.getresponse()
                answer = json.loads(response.read())
                found = bool(answer.get("similar_pictures")) and response.status == http.client.OK
            except (OSError, ValueError, http.client.HTTPException):
                found = False
            finally:
                connection.close()
            self.answered += found
            self.failed += not found
            if found:
                self.snapshots.add(answer["snapshot"])


def killed_and_resumed(folder: Path, effort: Effort) -> dict[str, Any]:
    """Kill reindexing again and again while a server answers, and look after each kill whether anything was lost."""
    settings = Settings(home=folder / "home", threads=1, max_drift=1.0)
    root = make_library(folder / "library", effort.kept, 64)
    backbone = make_model(settings, cast(effort.kept), 64)
    _timed(settings, root)
    table = settings.home / "embeddings" / backbone.space.unprojected.fingerprint
    moments = np.random.default_rng(0)
    whole = _length_of_a_run(settings, root)
    lost = repeated = kills = runs = 0
    known = examine(table).pictures
    with _serving(settings) as port, _asking(port, draw(0, 64)) as queries, progress("killing", "kill") as told:
        while kills < effort.kills:
            _add(root, runs)
            runs += 1
            killed = _reindex_and_kill(settings, root, float(moments.uniform(0.0, whole)))
            kills += killed
            state = examine(table)
            lost += len(known - state.pictures)
            repeated += state.repeated
            known |= state.pictures
            told(kills, effort.kills, f"{queries.answered} queries answered, {queries.failed} failed")
        _, report = _timed(settings, root)
        sleep(2 * settings.poll_seconds)
    expected = effort.kept + NEW * (runs + 2)
    _require(report, pictures=expected)
    state = examine(table)
    with workplace(settings, "bench") as catalogue:
        findings = verify(settings, catalogue).findings
        published = len(catalogue.snapshots())
    return {
        "kills": kills,
        "whole_run_s": whole,
        "answered_queries": queries.answered,
        "failed_queries": queries.failed,
        "lost_embeddings": lost + expected - len(state.pictures),
        "repeated_embeddings": max(repeated, state.repeated),
        "published": published,
        "answering_snapshots": len(queries.snapshots),
        "findings": len(findings),
    }


def _add(root: Path, run: int) -> None:
    """Add a few pictures that no run has seen."""
    folder = next(path for path in sorted(root.glob("*/*")) if path.is_dir())
    for number in range(NEW):
        (folder / f"new-{run}-{number}.png").write_bytes(draw(10_000_000 + run * NEW + number, 64))


def _length_of_a_run(settings: Settings, root: Path) -> float:
    """Return how long a run of this kind takes when nobody kills it."""
    for run in (-2, -1):  # the first one starts the process that the others are forked from
        _add(root, run)
        started = perf_counter()
        if _reindex_and_kill(settings, root, START_SECONDS):
            raise BuildError("a reindex of a few pictures takes longer than a minute")
    return perf_counter() - started


def _reindex_and_kill(settings: Settings, root: Path, after: float) -> bool:
    """Start a reindex and kill it after so many seconds; return False where it was done before."""
    process = _FORKING.Process(target=_reindex, args=(str(root), str(settings.home)))
    process.start()
    process.join(after)
    process.kill()
    process.join()
    code = process.exitcode
    process.close()
    if code not in (0, KILLED):
        raise BuildError(f"reindex ended with {code}")
    return code == KILLED


def _reindex(root: str, home: str) -> None:
    """Do in a forked process what the command does, in silence unless it fails."""
    sys.argv = ["sokkuri", "reindex", root, "--home", home, "--json"]
    from tqdm import tqdm

    from recommender.cli import main

    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process would leave behind
    sys.stdout = sys.stderr = told = io.StringIO()
    try:
        main()
    except SystemExit as ended:
        if ended.code and sys.__stderr__:
            sys.__stderr__.write(told.getvalue())
        raise


@contextmanager
def _asking(port: int, picture: bytes) -> Iterator[_Queries]:
    """Ask a server without a pause until the block ends."""
    queries = _Queries(port, picture)
    thread = threading.Thread(target=queries.ask_on)
    thread.start()
    try:
        yield queries
    finally:
        queries.stopping.set()
        thread.join()


@contextmanager
def _serving(settings: Settings) -> Iterator[int]:
    """Run `sokkuri serve` on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", MAIN, "serve", "--port", str(port), "--home", str(settings.home)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = monotonic() + START_SECONDS
        while not _ready(port):
            if monotonic() > deadline or process.poll() is not None:
                raise BuildError("the server is not ready")
            sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection, suppress(OSError):
        connection.request("GET", "/readyz")
        with connection.getresponse() as answer:
            answer.read()
            return answer.status == http.client.OK
    return False
