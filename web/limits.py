"""How many files a worker may open, and how many connections it therefore holds.

Not here: what happens once there are too many (`worker`).
"""

from __future__ import annotations

import errno
import resource

from recommender.errors import SettingError

CONNECTIONS = 2_048
"""The most connections of a worker; fewer where the system allows fewer open files."""
OWN_FILES = 256
"""Files that the rest of a worker may have open: pictures, catalogue, snapshot."""
LEAST_OWN_FILES = 96
"""The same where files are few: half of those that there are, but so many. At rest a worker has fourteen open."""
LEAST_FILES = 128
"""With fewer open files a server would not be worth starting."""
OUT_OF_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
"""The numbers of errors that say that the system has no room for another connection."""


def connections_that_fit() -> int:
    """Return how many connections a worker may hold, having raised the number of files that it may open.

    Raises SettingError where hardly any files may be opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    if soft < LEAST_FILES:
        raise SettingError(
            f"this process may open {soft} files, and a server needs {LEAST_FILES} or more: raise `ulimit -n`"
        )
    return min(CONNECTIONS, soft - min(OWN_FILES, max(LEAST_OWN_FILES, soft // 2)))
