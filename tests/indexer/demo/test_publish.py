"""The demo, drawn, learned and published for real, on a few characters; and served."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from indexer.demo.cast import SHOWS, STRANGERS
from indexer.demo.publish import demo_settings, is_published, model_name, publish, something_to_try
from indexer.demo.world import Plan
from recommender.bundled import read_card
from recommender.publication import Publication
from recommender.settings import Settings
from tests.indexer.running import sokkuri
from tests.waiting import lines_until

pytestmark = [pytest.mark.slow, pytest.mark.big]

PLAN = Plan(
    pictures=8,
    stranger_pictures=1,
    shows=tuple(replace(show, characters=show.characters[:2]) for show in SHOWS[:3:2]),
    strangers=STRANGERS[:1],
)
SERVE = """
import sys
from pathlib import Path
import indexer.commands
from indexer.demo import world
from tests.indexer.demo.test_publish import PLAN
world.Plan = lambda: PLAN
sys.argv = ["sokkuri", "demo", "--home", sys.argv[1], "--port", "0"]
from recommender.cli import main
main()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a small world."""
    home = tmp_path_factory.mktemp("home")
    publish(demo_settings(Settings(home=home)), PLAN)
    return home


def test_the_demo_has_a_home_of_its_own(home: Path) -> None:
    """What the user has published stays as it is: everything of the demo is in one folder of the home."""
    assert [item.name for item in home.iterdir()] == ["demo"]
    assert is_published(demo_settings(Settings(home=home)), PLAN)
    assert not is_published(demo_settings(Settings(home=home / "elsewhere")), PLAN)


def test_another_world_or_other_weights_are_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new Sokkuri that draws otherwise, or comes with other weights, publishes its demo anew."""
    name = model_name(PLAN)
    assert re.fullmatch(r"demo-[0-9a-f]{10}", name)
    assert model_name(replace(PLAN, seed=1)) != name
    monkeypatch.setattr("indexer.demo.publish.read_card", lambda: read_card() | {"sha256": "0" * 64})
    assert model_name(PLAN) != name


def test_a_published_demo_is_not_made_again(home: Path) -> None:
    """The second time nothing is drawn, embedded or trained."""
    demo = home / "demo"
    kept = {file: file.stat().st_mtime_ns for file in (demo / "models").rglob("*") if file.is_file()}
    drawn = {file: file.stat().st_mtime_ns for file in (demo / "world").rglob("*.jpg")}
    table = {file: file.stat().st_size for file in demo.glob("embeddings/*/rows.bin")}
    publish(demo_settings(Settings(home=home)), PLAN)
    assert {file: file.stat().st_mtime_ns for file in (demo / "models").rglob("*") if file.is_file()} == kept
    assert {file: file.stat().st_mtime_ns for file in (demo / "world").rglob("*.jpg")} == drawn
    assert {file: file.stat().st_size for file in demo.glob("embeddings/*/rows.bin")} == table


def test_the_demo_answers(home: Path) -> None:
    """A stored picture's character is found; strangers lie ready to be tried; the model says what it is."""
    settings = demo_settings(Settings(home=home))
    tried = something_to_try(settings)
    assert tried
    assert all(picture.is_file() for picture in tried)
    publication = Publication(settings)
    publication.refresh()
    try:
        recommender = publication.current()
        picture = next((settings.home / "world/library").rglob("01.jpg"))
        found = recommender.recommend(picture.read_bytes())
        assert "drawings alone" in found.model.notice
        character = f"{picture.parts[-3]}/{picture.parts[-2]}"
        assert found.similar.characters[0].character.label == character
        sure = recommender.certainties(tried[0].read_bytes())
        assert set(sure) == {"character", "show", "type"}
        assert all(0.0 <= chance <= 1.0 for chance in sure.values())
    finally:
        publication.close()


def test_the_demo_is_served(home: Path) -> None:
    """The command goes straight to serving what is published, names pictures to upload, and ends at SIGTERM."""
    arguments = [sys.executable, "-c", SERVE, str(home)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = "".join(lines_until(process, "Sokkuri is at"))
            address = re.search(r"http://\S+", said)
            assert address
            shows = requests.get(f"{address[0]}/api/v1/shows", timeout=30).json()["shows"]
            assert {show["show"] for show in shows} == {show.label for show in PLAN.shows}
            assert ".jpg" in said
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_port_in_use_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    """One line names the port and the next free one; no home is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = sokkuri("demo", "--home", tmp_path / "home", "--port", port)
    assert done.code == 1
    assert f"port {port} is in use: try --port" in done.err.splitlines()[-1]
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """A file where the demo's home is to be made is one line, exit 1."""
    (tmp_path / "demo").write_text("a file")
    done = sokkuri("demo", "--no-serve", "--home", tmp_path)
    assert done.code == 1
    assert str(tmp_path / "demo") in done.err.splitlines()[-1]
