"""A server gives back what pictures took, however many threads looked at them."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import sys, threading
from pathlib import Path
import numpy as np
from web.memory import keep_memory_flat

def resident():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

def look_at_pictures():
    for _ in range(3):
        for size in range(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])):
            with inside:
                pictures = [np.ones(size, np.uint8) for _ in range(int(sys.argv[5]))]
                kept.append(np.ones(1000, np.uint8))
                del pictures
        together.wait()

if sys.argv[1] == "flat":
    keep_memory_flat()
kept, together, inside, before = [], threading.Barrier(24), threading.BoundedSemaphore(3), resident()
threads = [threading.Thread(target=look_at_pictures) for _ in range(24)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident() - before - sum(one.nbytes for one in kept))
"""
LARGE = (1_100_000, 4_000_000, 400_000, 8)
USUAL = (600_000, 1_000_000, 40_000, 8)
"""Sizes of decoded pictures in bytes: the smallest, the largest, the step between two; how many are held at once."""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library has heaps for each thread")


@glibc
def test_what_large_pictures_took_is_given_back() -> None:
    """Of 24 threads, three at work at a time, each with up to 32 MB of pictures, next to nothing stays behind."""
    assert left_behind("flat", LARGE) < 6_000_000 < left_behind("as it is", LARGE)


@glibc
def test_usual_pictures_share_two_heaps() -> None:
    """Of 24 threads with 5 to 8 MB of pictures each, three at a time, what two heaps hold is all that stays."""
    assert left_behind("flat", USUAL) < 45_000_000 < left_behind("as it is", USUAL)


LOADING = """
import sys, threading
from web.commands import listen, run

def load():
    from PIL import Image
    print(Image.core.get_blocks_max(), threading.active_count(), file=sys.stderr)
    sys.exit(4)  # which tells gunicorn not to try again

run(load, listen("127.0.0.1", 0), {"workers": 1, "threads": 2}, "never said")
"""


def test_a_worker_settles_that_before_it_has_threads() -> None:
    """When a worker loads its application, decoding may keep memory for the next picture, and no thread has a heap."""
    done = subprocess.run([sys.executable, "-c", LOADING], check=False, capture_output=True, text=True, timeout=60)
    told = next(line for line in done.stderr.splitlines() if line[0].isdigit())
    blocks, threads = map(int, told.split())
    assert blocks > 0
    assert threads == 1


def left_behind(how: str, sizes: tuple[int, int, int, int]) -> int:
    """Return the bytes that a process still holds after its threads looked at pictures of these sizes."""
    command = [sys.executable, "-c", SCRIPT, how, *map(str, sizes)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
