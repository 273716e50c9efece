"""`recommender.signalstack`: no thread keeps a signal stack that is not there any more."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from contextlib import suppress

import pytest

from recommender.signalstack import kept_signal_stack

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nobody sets signal stacks elsewhere")

SIZE = 1 << 16
LENT = """
import ctypes, os, signal
from tests.recommender.test_signalstack import lend
signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
{borrow}
ctypes.CDLL(None).munmap(ctypes.c_void_p(place), ctypes.c_size_t(1 << 16))
os.kill(os.getpid(), signal.SIGUSR1)
"""


class Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def stack() -> tuple[int | None, int]:
    """Return where this thread's signal stack is, and its flags."""
    found = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found.start, found.flags


def lend() -> int:
    """Give this thread a signal stack, as a native library does; return where it is."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(
        None, ctypes.c_size_t(SIZE), mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0
    )
    assert libc.sigaltstack(ctypes.byref(Stack(place, 0, SIZE)), None) == 0
    return int(place)


def outcome(borrow: str) -> tuple[int, str]:
    """Return how a process ends that gets a signal once the stack that was lent to it is gone, and what it says."""
    ended = subprocess.run(
        [sys.executable, "-c", LENT.format(borrow=borrow)], capture_output=True, text=True, check=False, timeout=30
    )
    return ended.returncode, ended.stdout


def test_a_thread_has_its_own_again() -> None:
    """Whatever is set inside, afterwards all is as before, also where it went wrong."""
    before = stack()
    with kept_signal_stack():
        place = lend()
        assert stack()[0] == place
    assert stack() == before
    with suppress(ZeroDivisionError), kept_signal_stack():
        raise ZeroDivisionError(lend())
    assert stack() == before


def test_a_signal_outlives_the_stack_that_was_lent() -> None:
    """A signal that comes after a library took its stack away is heard; without the remedy it ends the process."""
    remedied = "from recommender.signalstack import kept_signal_stack\nwith kept_signal_stack(): place = lend()"
    assert outcome(remedied) == (0, "heard\n")
    assert outcome("place = lend()") == (-11, "")
