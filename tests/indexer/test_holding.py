"""`indexer.holding`: one job at a time in a folder, and the right name for the one that is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

import pytest
from filelock import FileLock

from indexer.holding import NOTED_WITHIN, held
from recommender.errors import BuildError, Busy

HOLD = "import sys, time; from pathlib import Path; from indexer.holding import held\n"
HOLD += "with held(Path(sys.argv[1]), 'first', 'x'): print('held', flush=True); time.sleep(60)"


def _dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    """A folder that is held is refused, by the name of its job and process, and free afterwards."""
    with held(tmp_path / "a", "collect", "x"):
        expected = rf"^sokkuri collect \(process {os.getpid()}\) is at work in a library: wait until it is done$"
        with pytest.raises(Busy, match=expected), held(tmp_path / "a", "other", "x", shown=Path("a library")):
            pass
    with held(tmp_path / "a", "other", "x"):
        pass
    assert not (tmp_path / "a" / "job.owner").exists()


def test_a_dead_jobs_folder_is_taken_over(tmp_path: Path) -> None:
    """What a killed job held is free at once, and its name is not told of the next one."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=rf"sokkuri first \(process {process.pid}\)"), held(tmp_path, "b", "x"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert "first" in (tmp_path / "job.owner").read_text()
    with held(tmp_path, "next", "x"):
        assert "next" in (tmp_path / "job.owner").read_text()


def test_a_stale_name_is_nobodys(tmp_path: Path) -> None:
    """Between taking over a dead job's folder and noting a name, the dead job's name stands there: it is not told."""
    owner = tmp_path / "job.owner"
    owner.write_text(f"sokkuri train (process {_dead_process()})")
    with FileLock(tmp_path / "job.lock"):
        with pytest.raises(Busy, match=r"^another sokkuri is at work"), held(tmp_path, "b", "x"):
            pass
        name = f"sokkuri collect (process {os.getpid()})"
        noting = threading.Timer(NOTED_WITHIN / 4, owner.write_text, [name])
        noting.start()
        started = monotonic()
        with pytest.raises(Busy, match=r"^sokkuri collect"), held(tmp_path, "b", "x"):
            pass
        assert monotonic() - started < NOTED_WITHIN
        noting.join()


def test_what_cannot_be_held(tmp_path: Path) -> None:
    """A folder that cannot be made is one sentence that ends with what to do."""
    (tmp_path / "file").write_text("")
    expected = r"file/b cannot be used \(Not a directory\): choose another$"
    with pytest.raises(BuildError, match=expected), held(tmp_path / "file" / "b", "a", "choose another"):
        pass
