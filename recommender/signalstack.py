"""The memory that a thread's signals are delivered on, kept as it was, whatever a native library does about it.

OpenVINO's CPU plugin gives the thread that opens it an alternate signal stack (sigaltstack(2)) of its own, and unmaps
that with the last network that it compiled, in whatever thread lets go of it. The first thread would keep the address:
the next signal that it gets ends the process (SIGSEGV), or writes into what others have mapped there meanwhile.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_DISABLED = 2
"""What <signal.h> calls SS_DISABLE: signals are delivered on the thread's usual stack."""


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give this thread the signal stack again, or none, that it had before what is done inside.

    Nobody needs the one that is taken from it: OpenVINO gives the thread its own only so that none stays that is too
    small for the registers of processors with AMX, and takes it back only where it is still in use. Elsewhere than on
    Linux, where OpenVINO sets none, this does nothing.
    """
    before = _Stack()
    sigaltstack = _sigaltstack()
    if sigaltstack is None or sigaltstack(None, ctypes.byref(before)):
        yield
        return
    try:
        yield
    finally:
        # The system refuses one that has become too small for a signal's registers.
        if sigaltstack(ctypes.byref(before), None):
            sigaltstack(ctypes.byref(_Stack(None, _DISABLED, 0)), None)


def _sigaltstack() -> Callable[[Any, Any], int] | None:
    """Return the system's function of that name, which returns 0 where all went well; None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        function: Callable[[Any, Any], int] = ctypes.CDLL(None).sigaltstack
    except (AttributeError, OSError):
        return None
    return function
