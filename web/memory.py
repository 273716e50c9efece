"""How the C library keeps what a serving process frees, settled before its first thread is there.

Not here: how much memory uploads may take (`uploads`).
"""

from __future__ import annotations

import ctypes

from recommender.images import reuse_memory

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""What `mallopt` of the GNU C library calls these three settings (malloc.h)."""
_ARENAS = 2
_OWN_PAGES = 1_048_576
"""From so many bytes on, a block has pages of its own, which go back to the system with it. A usual picture, decoded
and as a network takes it, has fewer: to get pages for each anew would take as long as to decode it."""
_KEPT = 4_194_304
"""Bytes that stay at the free end of a heap for the next picture."""


def keep_memory_flat() -> None:
    """Let fifty threads share two heaps, and return at once what large pictures took.

    The GNU C library gives every thread a heap for itself, up to eight for each core, and keeps what was freed there:
    with 200 clients a server grew for minutes. Other C libraries have no such setting, and no such heaps.
    """
    reuse_memory()
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_ARENA_MAX, _ARENAS)
    mallopt(_MMAP_THRESHOLD, _OWN_PAGES)
    mallopt(_TRIM_THRESHOLD, _KEPT)
