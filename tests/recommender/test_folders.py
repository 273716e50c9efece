"""`recommender.folders`: a folder appears whole or not at all, and a damaged file is named."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from recommender.errors import Corrupt
from recommender.folders import ASIDE, check_files, sha256, sweep, written_aside

DIES = """
import os, signal, sys
from pathlib import Path
from recommender.folders import written_aside
with written_aside(Path(sys.argv[1])) as aside:
    (aside / "first.bin").write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_appears_when_it_is_finished(tmp_path: Path) -> None:
    """Inside the block nothing has the final name; after it everything written is there, and nothing else."""
    target = tmp_path / "deep" / "target"
    with written_aside(target) as aside:
        (aside / "a.txt").write_text("a")
        (aside / "b.txt").write_text("b")
        assert not target.exists()
        assert aside.parent == target.parent  # on the same disk, or the rename would not be atomic
    assert sorted(file.name for file in target.iterdir()) == ["a.txt", "b.txt"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_whoever_the_umask_lets_can_read_every_file(tmp_path: Path, umask: int) -> None:
    """Also what a library made for its owner alone; a file that another folder has too keeps its permissions."""
    (tmp_path / "shared").write_text("s")
    (tmp_path / "shared").chmod(0o640)
    before = os.umask(umask)
    try:
        with written_aside(tmp_path / "target") as aside:
            save_file({"a": np.zeros(2, np.float32)}, aside / "private.safetensors")
            (aside / "plain.txt").write_text("p")
            (aside / "shared").hardlink_to(tmp_path / "shared")
            (aside / "folder").mkdir()
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "target").iterdir()}
    own = 0o666 & ~umask
    assert modes == {"private.safetensors": own, "plain.txt": own, "shared": 0o640, "folder": 0o777 & ~umask}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_remains_of_a_failure(tmp_path: Path, error: type[BaseException]) -> None:
    """An exception in the block, Ctrl-C too, passes through and leaves neither the folder nor a part of it."""

    def fail() -> None:
        with written_aside(tmp_path / "target") as aside:
            (aside / "a.txt").write_text("a")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_only_what_sweep_removes(tmp_path: Path) -> None:
    """After kill -9 in the middle there is no target, and `sweep` removes the rest but no finished folder."""
    with written_aside(tmp_path / "finished") as aside:
        (aside / "a.txt").write_text("a")
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path / "target")], check=False)
    assert died.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()} - {"finished"}
    assert len(left) == 1
    assert left.pop().startswith(ASIDE)
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["finished"]
    assert (tmp_path / "finished" / "a.txt").read_text() == "a"


def test_sweeping_where_nothing_was_ever_written_is_no_error(tmp_path: Path) -> None:
    """A home that is still empty can be swept, and stays empty."""
    sweep(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_never_overwritten(tmp_path: Path) -> None:
    """An existing target is refused before anything is written, and stays as it is."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a.txt").write_text("old")
    entered = False
    with pytest.raises(FileExistsError), written_aside(tmp_path / "target"):
        entered = True
    assert not entered
    assert (tmp_path / "target" / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_target_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Where somebody else was faster, the rename fails and the other one's folder stays."""

    def be_late() -> None:
        with written_aside(tmp_path / "target") as aside:
            (aside / "a.txt").write_text("late")
            (tmp_path / "target").mkdir()
            (tmp_path / "target" / "a.txt").write_text("first")

    with pytest.raises(OSError, match="target"):
        be_late()
    assert (tmp_path / "target" / "a.txt").read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 1


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    """A file's checksum is the SHA-256 of its content."""
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_whole_files_pass(tmp_path: Path) -> None:
    """Files with the recorded checksums raise nothing; files that nobody recorded do not matter."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "other").write_bytes(b"other")
    check_files(tmp_path, {"a": sha256(tmp_path / "a")}, "run it again")


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "empty", "missing", "folder"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    """A changed bit, a missing end, something appended or a missing file: Corrupt names the file and the remedy."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    checksums = {name: sha256(tmp_path / name) for name in ("a", "b", "c")}
    file = tmp_path / "b"
    data = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        changed = {"flipped": b"c" + data[1:], "cut": data[:-1], "longer": data + b"b", "empty": b""}
        file.write_bytes(changed[damage])
    with pytest.raises(Corrupt, match=r"/b .*: run it again$"):
        check_files(tmp_path, checksums, "run it again")
