"""From a folder of pictures to an answer, through the commands, with everything that can go wrong on the way."""

from __future__ import annotations

import io
import json
import os
import pickletools
import pty
import re
import shutil
import signal
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recommender.catalogue import Catalogue
from recommender.folders import ASIDE
from recommender.modelfolder import ModelFolder
from recommender.settings import Settings
from recommender.snapshots import Snapshot, open_snapshot
from tests.indexer.libraries import library
from tests.indexer.running import Done, Running, sokkuri
from tests.pictures import picture, pixels, saved

pytestmark = pytest.mark.slow

BACKBONE = ("--backbone", "squeezenet1_1", "--weights", "none")
PICTURES = 48


@dataclass(frozen=True)
class World:
    """A home, the library that it was made from, and what commands are asked to work on."""

    home: Path
    library: Path

    def run(self, command: str, *arguments: str | Path, limit: int | None = None) -> Done:
        """Run a command of `sokkuri` in this home to its end."""
        return sokkuri(command, *arguments, "--home", self.home, limit=limit)

    def start(self, command: str, *arguments: str | Path, terminal: str | None = None) -> Running:
        """Start a command of `sokkuri` in this home."""
        return Running(command, *arguments, "--home", self.home, terminal=terminal)

    def train(self, *arguments: str) -> Any:
        """Train on the library and return what the command reports."""
        done = self.run("train", self.library, *BACKBONE, *arguments, "--json")
        assert done.code == 0, done.err
        return done.answer

    def reindex(self, *arguments: str) -> Any:
        """Reindex the library and return what the command reports."""
        done = self.run("reindex", self.library, *arguments, "--json")
        assert done.code == 0, done.err
        return done.answer

    def ask(self, file: Path) -> Any:
        """Ask about a picture and return the answer."""
        done = self.run("ask", file, "--json")
        assert done.code == 0, done.err
        return done.answer

    def published(self) -> Snapshot:
        """Open what is published, with every checksum compared."""
        with Catalogue(Settings(home=self.home).database_url) as catalogue:
            info = catalogue.published()
        return open_snapshot(self.home / "snapshots" / info.id, info.digest)

    def snapshots(self) -> list[str]:
        """Return the folders of finished snapshots."""
        return sorted(path.name for path in (self.home / "snapshots").iterdir() if not path.name.startswith(ASIDE))

    def leftovers(self) -> list[Path]:
        """Return what a crash left unfinished."""
        return [path for parent in ("snapshots", "models") for path in (self.home / parent).glob(f"{ASIDE}*")]

    def records(self) -> int:
        """Return how many embeddings are kept, after the last byte was accounted for."""
        (table,) = (self.home / "embeddings").iterdir()
        dimension = int(json.loads((table / "space.json").read_text(encoding="utf-8"))["dimension"])
        count, rest = divmod((table / "rows.bin").stat().st_size, 36 + 4 * dimension)
        assert rest == 0
        return count


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Train and reindex once. Tests that only look may share it."""
    root = tmp_path_factory.mktemp("finished")
    world = World(root / "home", library(root / "library"))
    (world.library / "show-1/hero-1/broken.jpg").write_bytes(picture(77, kind="JPEG")[:200])
    world.train()
    world.reindex()
    return world


@pytest.fixture
def world(finished: World, tmp_path: Path) -> World:
    """Give a copy of the finished world, to be changed."""
    shutil.copytree(finished.home, tmp_path / "home")
    shutil.copytree(finished.library, tmp_path / "library")
    return World(tmp_path / "home", tmp_path / "library")


@pytest.fixture
def untouched(world: World) -> Iterator[None]:
    """Require that the published snapshot is the same after a test as before it, and whole; and nothing left over."""
    before = world.published().info
    yield
    assert world.published().info == before
    assert not world.leftovers()


def test_a_model_folder_tells_all_that_a_model_is(finished: World) -> None:
    """model.json names backbone, labels and digests, preprocessing, space, split, metrics and versions."""
    (folder,) = (finished.home / "models").iterdir()
    model = ModelFolder.open(folder)
    said = model.manifest
    assert sorted(file.name for file in folder.iterdir()) == ["backbone.safetensors", "heads.safetensors", "model.json"]
    assert said["name"] == folder.name == "squeezenet1_1-1"
    assert said["backbone"] == said["space"]["backbone"] == "squeezenet1_1"
    assert said["labels"]["digests"] == {space.name: space.digest for space in model.hierarchy.spaces}
    assert [len(space) for space in model.hierarchy.spaces] == [3, 6, 3]
    assert model.hierarchy.characters[0].name == "Hero 0-0"
    assert model.hierarchy.characters[-1].type is None
    assert model.preprocessing.size == 224
    assert said["space"]["preprocessing"] == model.preprocessing.describe
    assert said["space"]["dimension"] == 512
    assert re.fullmatch("[0-9a-f]{64}", said["space"]["weights"])
    split = said["training"]["split"]
    assert split["seed"] == 0
    assert sum(split["pictures"].values()) == PICTURES
    assert all(split["pictures"].values())
    assert said["metrics"]["part"] == "test"
    assert said["metrics"]["character"]["pictures"] == split["pictures"]["test"]
    assert set(said["metrics"]["characters"]) == set(model.hierarchy.character_space.labels)
    assert {"sokkuri", "torch", "torchvision", "numpy"} <= set(said["versions"])
    assert set(said["calibration"]["thresholds"]) == {"character", "show", "type"}
    assert said["weights"]["untrained"] is True


def test_no_pickle_is_stored(finished: World) -> None:
    """No file of the home is a pickle: they could run code when they are opened."""
    for file in finished.home.rglob("*"):
        if file.is_file():
            data = file.read_bytes()[:64]
            assert not data.startswith((b"\x80", b"PK")), file
            with pytest.raises((ValueError, IndexError)):
                list(pickletools.genops(data or b"\0"))


def test_training_again_embeds_nothing(world: World) -> None:
    """What went through a backbone once is kept: a second training only trains heads, and the same ones."""
    report = world.train()
    assert report["embedded"] == 0
    assert report["model"] == "squeezenet1_1-2"
    assert report["pictures"] == PICTURES
    one, other = (ModelFolder.open(world.home / "models" / f"squeezenet1_1-{number}") for number in (1, 2))
    assert one.space == other.space
    for space, weights in one.heads().weights.items():
        assert np.array_equal(weights, other.heads().weights[space])
    assert world.records() == PICTURES


def test_reindexing_embeds_what_training_has_not(world: World) -> None:
    """After a training nothing is embedded again; a new picture is, alone."""
    assert world.reindex()["embedded"] == 0
    (world.library / "show-0/hero-0/new.png").write_bytes(picture(99_999))
    report = world.reindex()
    assert (report["embedded"], report["added"], report["removed"], report["pictures"]) == (1, 1, 0, PICTURES + 1)
    assert world.records() == PICTURES + 1


def test_an_answer_finds_the_picture(finished: World, tmp_path: Path) -> None:
    """A stored picture, re-encoded, is the most similar one, with its character and show as first results."""
    file = tmp_path / "again.webp"
    file.write_bytes(saved(Image.fromarray(pixels(11_003)), "WEBP", lossless=True))
    answer = finished.ask(file)
    first = answer["similar_pictures"][0]
    assert first["similarity"] == pytest.approx(1, abs=1e-3)
    assert (first["show"], first["character"]) == ("show-1", "show-1/hero-1")
    with Catalogue(Settings(home=finished.home).database_url) as catalogue:
        assert catalogue.picture(first["id"]).path == "show-1/hero-1/3.png"
    assert answer["snapshot"] == finished.published().info.id
    assert answer["model"]["name"] == "squeezenet1_1-1"
    assert {row["show"] for row in answer["similar_shows"]} == {"show-0", "show-1", "show-2"}


def test_untrained_is_said_wherever_a_result_is(finished: World) -> None:
    """Training, the list of models, and both forms of an answer say that the weights are random."""
    file = finished.library / "show-0/hero-0/0.png"
    assert "untrained" in finished.ask(file)["model"]["notice"]
    assert "! This model is untrained" in finished.run("ask", file).out
    assert "untrained" in finished.run("models").out
    assert "untrained" in finished.run("models", "--json").answer[0]["notice"]


def test_a_damaged_picture_is_a_reject(finished: World) -> None:
    """It is listed with its reason by both jobs and stops neither; the text names it on stderr."""
    report = finished.reindex("--dry-run")
    (reject,) = report["rejects"]
    assert reject["path"] == "show-1/hero-1/broken.jpg"
    assert "cut off" in reject["reason"]
    done = finished.run("reindex", finished.library, "--dry-run")
    assert done.code == 0
    assert "left out: show-1/hero-1/broken.jpg: " in done.err
    assert "1 left out" in done.out


def test_removed_pictures_leave_the_answers(world: World) -> None:
    """What is no longer in the library is in no result and no list after the next reindex."""
    shutil.rmtree(world.library / "show-2/hero-1")
    (world.library / "show-0/hero-0/0.png").unlink()
    report = world.reindex()
    assert (report["pictures"], report["removed"], report["added"], report["characters"]) == (PICTURES - 9, 9, 0, 5)
    roster = {character.label for character in world.published().roster.characters}
    assert "show-2/hero-1" not in roster
    answer = world.ask(world.library / "show-0/hero-0/1.png")
    assert "show-2/hero-1" not in {row["character"] for row in answer["similar_pictures"]}


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_publishes_nothing(world: World) -> None:
    """It says what would change and changes nothing, not even the embeddings."""
    (world.library / "show-0/hero-0/new.png").write_bytes(picture(99_999))
    before = sorted(path for path in world.home.rglob("*") if "catalogue" not in path.name)
    report = world.reindex("--dry-run")
    assert report["snapshot"] is None
    assert (report["added"], report["removed"]) == (1, 0)
    assert sorted(path for path in world.home.rglob("*") if "catalogue" not in path.name) == before
    assert world.records() == PICTURES


def _emptied(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _without_pictures(root: Path) -> None:
    _emptied(root)
    (root / "notes.txt").write_text("no pictures here", encoding="utf-8")


def _unknown_type(root: Path) -> None:
    (root / "characters.csv").write_text("show,character,type\nshow-0,hero-0,male\nshow-0,hero-1,robot\n")


def _missing_column(root: Path) -> None:
    (root / "characters.csv").write_text("show,name,type\nshow-0,Hero,male\n")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_emptied, ("holds no picture in the layout",)),
        (_without_pictures, ("holds no picture in the layout",)),
        (shutil.rmtree, ("does not exist",)),
        (_unknown_type, ("characters.csv, row 3, column type", "'robot'")),
        (_missing_column, ("characters.csv, row 1", "no column character")),
    ],
)
def test_a_wrong_library_is_one_line(world: World, spoil: Callable[[Path], None], words: tuple[str, ...]) -> None:
    """Exit 1, one line that names file and row, for both jobs, and what is published stays."""
    spoil(world.library)
    for done in (world.run("reindex", world.library), world.run("train", world.library, *BACKBONE)):
        assert str(world.library) in done.line
        for word in words:
            assert word in done.line


def test_reindexing_before_training_is_one_line(tmp_path: Path) -> None:
    """It says which command comes first, as the lists do."""
    world = World(tmp_path / "home", library(tmp_path / "library", shows=1, pictures=1))
    assert "run `sokkuri train LIBRARY`" in world.run("models").line
    assert not world.home.exists()
    assert "run `sokkuri train LIBRARY`" in world.run("reindex", world.library).line
    assert "run `sokkuri reindex LIBRARY`" in world.run("ask", world.library / "show-0/hero-0/0.png").line


def _make(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number))
    return root


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["s/a/0.png", "s/a/1.png", "s/a/2.png"], "one character only (s/a): a model needs at least two"),
        (["s/a/0.png"], "one character only (s/a)"),
    ],
)
def test_one_character_is_too_few(tmp_path: Path, names: list[str], words: str) -> None:
    """There is nothing to tell apart: one line, and no model."""
    world = World(tmp_path / "home", _make(tmp_path / "library", *names))
    assert words in world.run("train", world.library, *BACKBONE).line
    assert not list((world.home / "models").glob("*"))


@pytest.mark.parametrize("names", [["s/a/0.png", "s/b/0.png"], ["s/a/0.png", "s/a/1.png", "t/b/0.png"]])
def test_two_characters_are_enough(tmp_path: Path, names: list[str]) -> None:
    """Too few pictures for every part are no error: nothing is measured, and nothing claimed."""
    world = World(tmp_path / "home", _make(tmp_path / "library", *names))
    done = world.run("train", world.library, *BACKBONE)
    assert done.code == 0, done.err
    assert re.search(r"^type +- +0$", done.out, re.MULTILINE)
    assert world.reindex()["pictures"] == len(names)
    answer = world.ask(world.library / "s/a/0.png")
    assert answer["verdict"]["level"] == "unknown"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backbone", "squeezenet1_1", "--weights", "missing.pth"], "there is no weights file missing.pth"),
        (["--backbone", "squeezenet", "--weights", "none"], "did you mean squeezenet1_1 or squeezenet1_0"),
        ([*BACKBONE, "--name", "squeezenet1_1-1"], "there is a model 'squeezenet1_1-1' already: choose another --name"),
        ([*BACKBONE, "--name", "../mine"], "cannot be called '../mine'"),
        ([*BACKBONE, "--name", "a/b"], "cannot be called 'a/b'"),
        ([*BACKBONE, "--name", ""], "cannot be called ''"),
    ],
)
def test_wrong_options_of_train_are_one_line(world: World, arguments: list[str], words: str) -> None:
    """Each is told before any picture is read, and makes no model."""
    assert words in world.run("train", world.library, *arguments).line
    assert len(list((world.home / "models").iterdir())) == 1


def test_a_home_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """A file where the home should be, above it, or where one of its folders should be, is named."""
    root = library(tmp_path / "library", shows=1, pictures=1)
    (tmp_path / "file").write_text("x")
    for home in (tmp_path / "file" / "home", tmp_path / "file"):
        done = sokkuri("train", root, *BACKBONE, "--home", home)
        assert done.code in {1, 2}  # 2: click itself refuses a file as --home
        assert len(done.err.splitlines()) == 1
        assert str(tmp_path / "file") in done.err
    home = tmp_path / "home"
    home.mkdir()
    (home / "embeddings").write_text("x")
    assert str(home / "embeddings") in sokkuri("train", root, *BACKBONE, "--home", home).line


def test_a_damaged_catalogue_is_one_line(world: World) -> None:
    """Every command says what is damaged and what to do."""
    (world.home / "catalogue.db").write_bytes(b"no database at all, but long enough to look at" * 100)
    for suffix in ("-wal", "-shm"):
        (world.home / f"catalogue.db{suffix}").unlink(missing_ok=True)
    picture_file = world.library / "show-0/hero-0/0.png"
    for arguments in (
        ("train", world.library, *BACKBONE),
        ("reindex", world.library),
        ("models",),
        ("ask", picture_file),
    ):
        assert "the catalogue is damaged" in world.run(*arguments).line


@pytest.mark.usefixtures("untouched")
def test_a_damaged_model_is_one_line(world: World) -> None:
    """A flipped bit in the backbone is noticed, and the file is named."""
    file = world.home / "models/squeezenet1_1-1/backbone.safetensors"
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    assert "backbone.safetensors is damaged" in world.run("reindex", world.library).line


def _wait_for(condition: Callable[[], object], running: Running | None = None) -> None:
    """Wait until the condition holds, or the command has ended."""
    deadline = time.monotonic() + 60
    while not condition() and (running is None or running.alive):
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def test_only_one_job_at_a_time(world: World) -> None:
    """A second job ends at once and names the first, which goes on undisturbed; a job that was killed holds nothing."""
    owner = world.home / "job.owner"
    before = world.published().info
    first = world.start("reindex", world.library)
    _wait_for(lambda: owner.exists() and owner.stat().st_size)
    first.signal(signal.SIGSTOP)
    for arguments in (("reindex", world.library), ("train", world.library, *BACKBONE), ("rollback",)):
        line = world.run(*arguments).line
        assert re.search(r"sokkuri reindex \(process [0-9]+\) is at work in .*: wait until it is done", line)
    assert world.published().info == before
    first.signal(signal.SIGCONT)
    assert first.wait().code == 0
    second = world.start("reindex", world.library)
    _wait_for(lambda: owner.exists() and owner.stat().st_size)
    second.signal(signal.SIGKILL)
    assert second.wait().code in {0, -signal.SIGKILL}  # 0: it was done before the signal came
    assert world.reindex("--dry-run")["pictures"] == PICTURES


def _add_pictures(root: Path, seed: int) -> None:
    """Add a few pictures, so that a reindex has something to embed."""
    for number in range(6):
        (root / f"show-{number % 3}/hero-0/more-{seed}-{number}.png").write_bytes(
            picture(500_000 + 100 * seed + number)
        )


def test_kill_9_never_harms_what_is_published(world: World) -> None:
    """Killed at any moment, a reindex leaves an open snapshot; the next one succeeds, sweeps up and repeats nothing.

    The moments: three drawn from the length of a whole run, the one in which the new folder is being written, and
    the one in which it has just got its name.
    """
    started = time.monotonic()
    world.reindex()
    whole = time.monotonic() - started
    rng = np.random.default_rng(0)
    known = set(world.snapshots())
    moments: list[Callable[[], object]] = [world.leftovers, lambda: set(world.snapshots()) - known]
    for number in range(5):
        _add_pictures(world.library, number)
        before = world.published().info
        running = world.start("reindex", world.library)
        if number < 3:
            time.sleep(rng.uniform(0.2, 1.0) * whole)
        else:
            _wait_for(moments[number - 3], running)
        running.signal(signal.SIGKILL)
        killed = running.wait().code
        assert killed in {0, -signal.SIGKILL}
        after = world.published().info
        assert after.id == before.id or after.pictures == before.pictures + 6
    pictures = PICTURES + 5 * 6
    report = world.reindex()
    assert report["pictures"] == pictures
    assert world.published().info.id == report["snapshot"]
    assert len(world.published().pictures) == pictures
    assert not world.leftovers()
    assert world.records() == pictures
    assert not (world.home / "job.owner").exists()
    assert world.ask(world.library / "show-0/hero-0/more-4-0.png")["snapshot"] == report["snapshot"]


def test_a_disk_that_is_full_is_one_line(world: World) -> None:
    """Whichever file does not fit, reindex and train end in one line, nothing is published and nothing left over."""
    before = world.published().info
    for limit in (1_000, 40_000, 90_000):  # less than the catalogue's log needs, and less than the index has
        line = world.run("reindex", world.library, limit=limit).line
        assert "File too large" in line or "disk I/O error" in line
    assert "snapshots" in line
    assert "make room" in line
    for limit in (60_000, 1_000_000):  # less than the embeddings of another backbone have, and less than the network
        line = world.run("train", world.library, *BACKBONE, "--seed", "1", limit=limit).line
        assert "File too large" in line
        assert "make room" in line
    assert world.published().info == before
    assert not world.leftovers()
    assert world.reindex()["embedded"] == 0


def test_rollback_publishes_an_older_snapshot(world: World) -> None:
    """Without a name the one before, with a name that one; an unknown one, or none before, is one line."""
    first = world.published().info.id
    assert f"no snapshot older than {first}" in world.run("rollback").line
    (world.library / "show-0/hero-0/new.png").write_bytes(picture(99_999))
    second = world.reindex()["snapshot"]
    done = world.run("rollback")
    assert done.code == 0
    assert first in done.err
    assert world.published().info.id == first
    assert world.ask(world.library / "show-0/hero-0/0.png")["snapshot"] == first
    assert world.run("rollback", second).code == 0
    assert world.published().info.id == second
    assert "there is no snapshot 'nonsense'" in world.run("rollback", "nonsense").line


def test_rollback_refuses_a_damaged_snapshot(world: World) -> None:
    """What is published stays when the older snapshot is no longer whole."""
    first = world.published().info.id
    second = world.reindex()["snapshot"]
    (world.home / "snapshots" / first / "roster.json").write_text("{}")
    assert "roster.json is damaged" in world.run("rollback", first).line
    assert world.published().info.id == second


def test_lists_mark_what_is_in_use(world: World) -> None:
    """`models` and `snapshots` list the newest first, in text and JSON, and mark one."""
    first = world.published().info.id
    second = world.reindex()["snapshot"]
    assert second > first
    rows = world.run("snapshots", "--json").answer
    assert [(row["id"], row["published"]) for row in rows] == [(second, True), (first, False)]
    assert rows[0]["pictures"] == PICTURES
    lines = world.run("snapshots").out.splitlines()
    assert lines[0].startswith(f"* {second}")
    assert lines[1].startswith(f"  {first}")
    world.train("--name", "mine")
    assert {row["name"]: row["in_use"] for row in world.run("models", "--json").answer} == {
        "mine": True,
        "squeezenet1_1-1": False,
    }
    assert world.run("use", "squeezenet1_1-1").code == 0
    starred = [line for line in world.run("models").out.splitlines() if line.startswith("*")]
    assert len(starred) == 1
    assert "squeezenet1_1-1" in starred[0]
    assert "there is no model 'nobody'" in world.run("use", "nobody").line


def test_another_model_answers_after_the_next_reindex(world: World) -> None:
    """Until then the answers name the model that the snapshot was made with; afterwards the new one, in a new space."""
    file = world.library / "show-0/hero-0/0.png"
    world.train("--name", "other", "--seed", "5")
    assert world.ask(file)["model"]["name"] == "squeezenet1_1-1"
    assert world.reindex()["model"] == "other"
    assert world.ask(file)["model"]["name"] == "other"
    assert len(list((world.home / "embeddings").iterdir())) == 2
    world.run("rollback")
    assert world.ask(file)["model"]["name"] == "squeezenet1_1-1"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("command", ["train", "reindex"])
def test_ctrl_c_ends_a_job_in_one_line(world: World, command: str) -> None:
    """Exit code 130, no traceback, the lock is free again, and what was embedded stays."""
    for seed in range(20):
        _add_pictures(world.library, seed)
    running = world.start(command, world.library, *(BACKBONE if command == "train" else ()))
    (table,) = (world.home / "embeddings").iterdir()
    size = (table / "rows.bin").stat().st_size
    _wait_for(lambda: (table / "rows.bin").stat().st_size > size)
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.code == 130
    assert done.err.strip() == "sokkuri: stopped; what was finished stays"
    assert PICTURES < world.records() < PICTURES + 120
    assert not (world.home / "job.owner").exists()
    assert world.reindex("--dry-run")["added"] == 120


def _read_all(descriptor: int, into: list[bytes]) -> None:
    """Read a terminal until the other side is closed."""
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:
            return
        if not data:
            return
        into.append(data)


def test_a_person_sees_a_bar_and_a_log_file_does_not(world: World) -> None:
    """On a terminal a bar counts pictures; elsewhere stderr has plain lines only. Results are on stdout either way."""
    person, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    shown: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(person, shown))
    reader.start()
    slow = ("--backbone", "resnet18", "--weights", "none")  # a bar appears only where half a second is not enough
    done = world.start("train", world.library, *slow, terminal=os.ttyname(terminal)).wait()
    os.close(terminal)
    reader.join()
    os.close(person)
    assert done.code == 0
    assert done.out.startswith("accuracy on the test part")
    text = b"".join(shown).decode()
    assert re.search(r"reading pictures: +[0-9]+%.*/49 ", text), text
    quiet = world.run("train", world.library, *BACKBONE, "--seed", "7")
    assert quiet.code == 0
    assert "\r" not in quiet.err
    assert "%" not in quiet.err
    assert len(quiet.err.splitlines()) == 2  # the reject and the notice
    assert quiet.out.startswith("accuracy on the test part")


def test_real_file_kinds_reach_the_index(tmp_path: Path) -> None:
    """Every format of a user's folder is trained on and indexed, upright and on white."""
    root = tmp_path / "library"
    for character in range(2):
        folder = root / "show" / f"hero-{character}"
        folder.mkdir(parents=True)
        for number, kind in enumerate(("PNG", "JPEG", "WEBP", "GIF", "BMP")):
            (folder / f"{number}.{kind.lower()}").write_bytes(picture(10 * character + number, kind=kind))
        transparent = Image.new("RGBA", (64, 64), (character * 200, 10, 10, 128))
        (folder / "half.png").write_bytes(saved(transparent))
        cmyk = Image.open(io.BytesIO(picture(50 + character))).convert("CMYK")
        (folder / "print.jpg").write_bytes(saved(cmyk, "JPEG"))
    world = World(tmp_path / "home", root)
    assert world.train()["rejects"] == []
    assert world.reindex()["pictures"] == 14
