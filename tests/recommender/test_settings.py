"""`recommender.settings`: the environment is read in one way, and a mistake in it is told, not ignored."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from recommender.errors import SettingError
from recommender.settings import PREFIX, Settings

NAMES = [field.name for field in fields(Settings)]


def test_every_setting_has_a_default_that_works() -> None:
    """An empty environment is enough, and variables of other programs do not matter."""
    assert Settings.from_env({}) == Settings() == Settings.from_env({"PATH": "/bin", "NOT_SOKKURI_HOME": "x"})


def test_each_field_has_its_variable() -> None:
    """Every field is read from SOKKURI_<FIELD>, in the type of its default."""
    environment = {
        "SOKKURI_HOME": "/data/sokkuri",
        "SOKKURI_DATABASE": "sqlite:////data/catalogue.db",
        "SOKKURI_MAX_BYTES": "1000",
        "SOKKURI_MAX_UPLOADS": "1500",
        "SOKKURI_MAX_PIXELS": "2000",
        "SOKKURI_ENGINE": "torch",
        "SOKKURI_THREADS": "3",
        "SOKKURI_POLL_SECONDS": "0.25",
        "SOKKURI_QUEUE": "0",
        "SOKKURI_CACHE": "7",
        "SOKKURI_MAX_REJECTS": "0.25",
        "SOKKURI_MAX_DRIFT": "1",
        "SOKKURI_TARGET_RECALL": "0.9",
        "SOKKURI_MAX_MEMORY": "4000",
        "SOKKURI_CONTACT": "ann@example.org",
        "SOKKURI_HOST_DELAY": "2.5",
        "SOKKURI_FETCH_SECONDS": "60",
        "SOKKURI_PRIVATE_NETWORKS": "127.0.0.0/8",
        "SOKKURI_ADMIN_TOKEN": "sixteen-signs-ok",
    }
    assert {PREFIX + name.upper() for name in NAMES} == set(environment)
    assert Settings.from_env(environment) == Settings(
        home=Path("/data/sokkuri"),
        database="sqlite:////data/catalogue.db",
        max_bytes=1000,
        max_uploads=1500,
        max_pixels=2000,
        engine="torch",
        threads=3,
        poll_seconds=0.25,
        queue=0,
        cache=7,
        max_rejects=0.25,
        max_drift=1.0,
        target_recall=0.9,
        max_memory=4000,
        contact="ann@example.org",
        host_delay=2.5,
        fetch_seconds=60.0,
        private_networks="127.0.0.0/8",
        admin_token="sixteen-signs-ok",  # noqa: S106 - of nobody
    )


@pytest.mark.parametrize("name", ["SOKKURI_MAX_REJECTS", "SOKKURI_MAX_DRIFT"])
def test_a_share_lies_between_0_and_1(name: str) -> None:
    """A limit above 1 would never stop anything: a percentage is told as a mistake."""
    for text in ("0", "1", "0.5"):
        Settings.from_env({name: text})
    with pytest.raises(SettingError, match=f"{name} is a share: it has to be from 0 to 1, not 2"):
        Settings.from_env({name: "2"})


@pytest.mark.parametrize(
    "token", ["fifteen-signs-1", "with a space in it is no token", "ümlaut-token-of-length", "x" * 20 + "\n"]
)
def test_a_weak_token_is_refused_and_not_repeated(token: str) -> None:
    """What could be guessed, or is no text for a header, is one clear line that does not give it away."""
    with pytest.raises(SettingError, match="SOKKURI_ADMIN_TOKEN has to have 16 characters or more") as caught:
        Settings.from_env({"SOKKURI_ADMIN_TOKEN": token})
    assert token not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_token_is_never_shown() -> None:
    """Settings that are printed or logged tell everything but the secret; an empty one means that there is none."""
    settings = Settings.from_env({"SOKKURI_ADMIN_TOKEN": "a-secret-of-some-length"})
    assert "a-secret" not in repr(settings)
    assert Settings.from_env({"SOKKURI_ADMIN_TOKEN": ""}) == Settings()


def test_an_override_wins_unless_it_is_none() -> None:
    """What a command's option says goes before the environment; an option that was not given says nothing."""
    environment = {"SOKKURI_HOME": "/environment", "SOKKURI_THREADS": "2"}
    assert Settings.from_env(environment, home=Path("/option")).home == Path("/option")
    assert Settings.from_env(environment, home=None, threads=None) == Settings.from_env(environment)


def test_an_unknown_setting_is_named() -> None:
    """A misspelt variable is an error that names it and lists all settings."""
    with pytest.raises(SettingError, match="SOKKURI_HOMME") as caught:
        Settings.from_env({"SOKKURI_HOMME": "/data"})
    for name in NAMES:
        assert PREFIX + name.upper() in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, value)
            for name in ("max_bytes", "max_uploads", "max_pixels", "threads", "queue", "cache")
            for value in ("many", "-1", "1.5")
        ),
        ("threads", ""),
        ("threads", "1025"),
        ("threads", "99999999999"),
        ("queue", "513"),
        ("engine", "foo"),
        ("engine", ""),
        *(("poll_seconds", value) for value in ("soon", "", "-0.5", "nan", "inf", "-inf")),
    ],
)
def test_a_value_that_makes_no_sense_is_named(name: str, value: str) -> None:
    """A number that is none, negative, not finite or too large, or an unknown engine is an error that names it."""
    variable = PREFIX + name.upper()
    with pytest.raises(SettingError, match=variable) as caught:
        Settings.from_env({variable: value})
    assert repr(value) in str(caught.value)


def test_the_catalogue_is_in_the_home_unless_told_otherwise() -> None:
    """The default database is HOME/catalogue.db, whatever the home is called; SOKKURI_DATABASE replaces it."""
    for home in ("var", "/data/そっくり 100%/a#b", "relative/folder"):
        assert make_url(Settings(home=Path(home)).database_url).database == f"{home}/catalogue.db"
    assert Settings(database="postgresql://host/base").database_url == "postgresql://host/base"
