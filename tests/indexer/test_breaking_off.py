"""Jobs that are killed, stopped, or short of room, and those that a person watches."""

from __future__ import annotations

import os
import pty
import re
import signal
import termios
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.indexer.worlds import BACKBONE, EMBEDDED, PICTURES, VIEWS, World, add_pictures, wait_for

pytestmark = pytest.mark.slow


def test_only_one_job_at_a_time(world: World) -> None:
    """A second job ends at once and names the first, which goes on undisturbed; a job that was killed holds nothing."""
    owner = world.home / "job.owner"
    before = world.published().info
    first = world.start("reindex", world.library)
    wait_for(lambda: owner.exists() and owner.stat().st_size)
    first.signal(signal.SIGSTOP)
    for arguments in (("reindex", world.library), ("train", world.library, *BACKBONE), ("rollback",)):
        line = world.run(*arguments).line
        assert re.search(r"sokkuri reindex \(process [0-9]+\) is at work in .*: wait until it is done", line)
    assert world.published().info == before
    first.signal(signal.SIGCONT)
    assert first.wait().code == 0
    second = world.start("reindex", world.library)
    wait_for(lambda: owner.exists() and owner.stat().st_size)
    second.signal(signal.SIGKILL)
    assert second.wait().code in {0, -signal.SIGKILL}  # 0: it was done before the signal came
    assert world.reindex("--dry-run")["pictures"] == PICTURES


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
        add_pictures(world.library, number)
        before = world.published().info
        running = world.start("reindex", world.library)
        if number < 3:
            time.sleep(rng.uniform(0.2, 1.0) * whole)
        else:
            wait_for(moments[number - 3], running)
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
    assert world.records() == EMBEDDED + 5 * 6
    assert not (world.home / "job.owner").exists()
    assert world.ask(world.library / "show-0/hero-0/more-4-0.png")["snapshot"] == report["snapshot"]


def test_a_disk_that_is_full_is_one_line(world: World) -> None:
    """Whichever file does not fit, reindex and train end in one line, nothing is published and nothing left over."""
    before = world.published().info
    (world.library / "show-0/hero-0/1.png").unlink()  # or the index of the snapshot before would be shared
    for limit in (1_000, 40_000, 90_000):  # less than the catalogue's log needs, and less than the index has
        line = world.run("reindex", world.library, limit=limit).line
        assert "make room" in line
    assert "snapshots" in line
    assert "File too large" in line
    for limit in (60_000, 1_000_000):  # less than the embeddings of another backbone have, and less than the network
        line = world.run("train", world.library, *BACKBONE, "--seed", "1", limit=limit).line
        assert "File too large" in line
        assert "make room" in line
    assert world.published().info == before
    assert not world.leftovers()
    assert world.reindex()["embedded"] == 0


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("command", ["train", "reindex"])
def test_ctrl_c_ends_a_job_in_one_line(world: World, command: str) -> None:
    """Exit code 130, no traceback, the lock is free again, and what was embedded stays."""
    for seed in range(20):
        add_pictures(world.library, seed)
    running = world.start(command, world.library, *(BACKBONE if command == "train" else ()))
    (table,) = (world.home / "embeddings").iterdir()
    size = (table / "rows.bin").stat().st_size
    wait_for(lambda: (table / "rows.bin").stat().st_size > size)
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.code == 130
    *told, last = filter(None, done.err.splitlines())
    assert last == "sokkuri: stopped; what was finished stays"
    # A reindex embeds by torch here, and says so once.
    assert ["which has no export" in line for line in told] == [True] * (command == "reindex")
    assert EMBEDDED < world.records() < EMBEDDED + 120 * (1 + VIEWS if command == "train" else 1)
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
    # A bar appears only where half a second is not enough.
    slow = ("--backbone", "resnet101", "--weights", "none", "--views", "0")
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
