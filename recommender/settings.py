"""The settings, and the only reader of the environment. Every setting has a default that works.

Not here: what a setting does. Commands and `create_app` pass a `Settings` on; nothing else looks at the environment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from recommender.errors import SettingError

PREFIX = "SOKKURI_"
_TOKEN = re.compile(r"[!-~]{16,}")
"""What a bearer token may be: signs that a header carries unchanged, and too many to be guessed."""
ENGINES = ("auto", "torch", "openvino")
MOST = {"threads": 1024, "queue": 512}
"""The largest value of settings that cost memory: a thread of the processor, or one that waits with a picture."""


_SHARES = ("max_rejects", "max_drift")


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set from outside. Each field is read from the variable `SOKKURI_<FIELD>`."""

    home: Path = Path("var")
    """Where models, embeddings, snapshots, thumbnails and the catalogue are kept."""
    database: str = ""
    """A SQLAlchemy URL; empty means `HOME/catalogue.db`."""
    max_bytes: int = 20_000_000
    """The largest picture file that is accepted, in bytes."""
    max_uploads: int = 256_000_000
    """The most bytes of uploads that a server's process holds at once; whoever finds no room gets 503."""
    max_pixels: int = 24_000_000
    """The largest picture that is accepted, in pixels (width × height)."""
    engine: str = "auto"
    """What runs the model for the next snapshot: auto, torch or openvino. Answers keep to what theirs was made with."""
    threads: int = 0
    """Threads for one forward pass, at most 1,024; 0 means every core of this process, divided among the workers."""
    poll_seconds: float = 1.0
    """How often a server looks for a newly published snapshot, in seconds."""
    queue: int = 32
    """How many pictures may wait for the model before the server answers 503, at most 512: each holds a thread."""
    cache: int = 256
    """Of how many pictures a server remembers what its model said, for when one is sent again; 0 means of none."""

    max_rejects: float = 0.5
    """The share of a library's pictures, 0 to 1, that may be left out, or be gone since; beyond it a reindex stops."""
    max_drift: float = 0.8
    """The share of nearest neighbours, 0 to 1, that may be others than so far; beyond it a reindex stops likewise."""
    target_recall: float = 0.99
    """The share of the ten nearest pictures that a large index is tuned to find, above 0 and at most 1."""
    max_memory: int = 0
    """The most bytes that an index may hold in memory; 0 means as many as its kind needs."""

    contact: str = ""
    """How the owner of a site can reach who collects from it: a mail or web address, told with every request."""
    host_delay: float = 1.0
    """Seconds between two requests of the collector to one host; robots.txt may ask for more."""
    fetch_seconds: float = 30.0
    """The longest that one address may take to be fetched, in seconds."""
    private_networks: str = ""
    """Networks, such as 127.0.0.0/8, that are collected from although they are private; empty means none."""

    admin_token: str = field(default="", repr=False)
    """The secret of whoever may start jobs over HTTP; without one neither their addresses nor their page exist."""

    def __post_init__(self) -> None:
        """Refuse shares that are none, and a secret that is easily guessed or that no header could carry.

        The secret is not repeated in the error.
        """
        if self.admin_token and not _TOKEN.fullmatch(self.admin_token):
            raise SettingError(
                f"{PREFIX}ADMIN_TOKEN has to have 16 characters or more, letters, digits and ASCII signs without "
                'spaces: `python3 -c "import secrets; print(secrets.token_urlsafe())"` makes one'
            )
        for name in _SHARES:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise SettingError(f"{PREFIX}{name.upper()} is a share: it has to be from 0 to 1, not {value:g}")

    @classmethod
    def from_env(cls, environment: Mapping[str, str], **overrides: object) -> Self:
        """Read the settings from `environment`; an override that is not None wins. Raises SettingError."""
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(
            name for name in environment if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in known
        )
        if unknown:
            allowed = ", ".join(PREFIX + name.upper() for name in known)
            raise SettingError(f"unknown setting {unknown[0]}; the settings are {allowed}")
        values: dict[str, object] = {}
        for name in known:
            text = environment.get(PREFIX + name.upper())
            if text is not None:
                values[name] = _parse(name, text)
        values.update((name, value) for name, value in overrides.items() if value is not None)
        return cls(**values)  # type: ignore[arg-type]  # _parse gives each field its own type

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the catalogue."""
        return self.database or f"sqlite:///{self.home / 'catalogue.db'}"


def _parse(name: str, text: str) -> object:
    """Turn the text of a variable into the type of the field `name`, which its default shows."""
    default = getattr(Settings(), name)
    try:
        value = type(default)(text) if not isinstance(default, Path) else Path(text)
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise SettingError(f"{PREFIX}{name.upper()} has to be {kind}, not {text!r}") from None
    if isinstance(value, (int, float)) and not 0 <= value < math.inf:
        raise SettingError(f"{PREFIX}{name.upper()} has to be 0 or more, not {text!r}")
    if isinstance(value, int) and value > MOST.get(name, value):
        raise SettingError(f"{PREFIX}{name.upper()} has to be a whole number from 0 to {MOST[name]}, not {text!r}")
    if name == "engine" and value not in ENGINES:
        raise SettingError(f"{PREFIX}ENGINE has to be one of {', '.join(ENGINES)}, not {text!r}")
    return value
