"""A catalogue that is lost, or restored from an older copy, is told as such; nothing that it does not know is removed.

What a job that died has left is none of that, and may go.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import indexer.commands
from bench.tiny import make_model
from indexer.library import scan
from indexer.marks import MARK, mark
from indexer.rollback import rollback
from indexer.strangers import take_in
from indexer.workplace import workplace
from recommender import asking
from recommender.catalogue import Catalogue
from recommender.errors import CatalogueLost, NoSnapshot, NotFound, SokkuriError, UnknownArtefacts
from recommender.publication import Publication
from recommender.settings import Settings
from tests.indexer.homes import PICTURES, Home, new_home
from tests.pictures import picture


def files(home: Home) -> set[Path]:
    """Return the files and folders of a home but those of the lock."""
    return {path for path in home.settings.home.rglob("*") if not path.name.startswith("job.")}


def publish(home: Home, number: int) -> str:
    """Replace a picture and publish; return the snapshot's id, which is that of another second than any before."""
    home.put("show-0/hero-0/0.png", picture(90_000 + number))
    return home.reindex().snapshot or ""


def lose_catalogue(home: Home) -> None:
    """Remove the files of the catalogue."""
    for file in home.settings.home.glob("catalogue.db*"):
        file.unlink()


def copy_catalogue(home: Home, copy: Path) -> None:
    """Copy the catalogue as `.backup` does: the file alone may lack what still lies beside it."""
    with closing(sqlite3.connect(home.settings.home / "catalogue.db")) as source, closing(sqlite3.connect(copy)) as to:
        source.backup(to)


def roll_back(home: Home, snapshot: str | None = None) -> str:
    """Publish a snapshot again, and return its id."""
    with workplace(home.settings, "test") as catalogue:
        return rollback(home.settings, catalogue, snapshot).id


def use(home: Home, model: str) -> bool:
    """Do as `sokkuri use`; tell whether the model was unknown."""
    with workplace(home.settings, "test", founding=True) as catalogue:
        unknown = take_in(home.settings, catalogue, model)
        catalogue.use_model(model)
        return unknown


def call(home: Home, command: str) -> Result:
    """Run a command of a home."""
    return CliRunner().invoke(getattr(indexer.commands, command), ["--home", str(home.settings.home)])


def restore_older(home: Home) -> tuple[Home, str, str]:
    """Restore the catalogue of a home from a copy; return the snapshot of that day, and one that came later."""
    before = home.published().info.id
    copy = home.settings.home.with_name("copy.db")
    copy_catalogue(home, copy)
    later = publish(home, 0)
    lose_catalogue(home)
    shutil.copyfile(copy, home.settings.home / "catalogue.db")
    return home, before, later


@pytest.fixture
def older(home: Home) -> tuple[Home, str, str]:
    """Return a home with an older catalogue, the last snapshot that this knows, and one that came later."""
    return restore_older(home)


WORK: list[Callable[[Home], object]] = [Home.verify, Home.prune, roll_back, Home.reindex]


@pytest.mark.parametrize("job", WORK)
def test_a_lost_catalogue_is_told_and_none_is_made(home: Home, job: Callable[[Home], object]) -> None:
    """Whatever works on what is there says what to do, and leaves everything as it is: no empty catalogue hides it."""
    lose_catalogue(home)
    before = files(home)
    with pytest.raises(CatalogueLost, match=r"1 models and 2 snapshots .* Restore .*`sokkuri use tiny` begins another"):
        job(home)
    assert files(home) == before


@pytest.mark.parametrize("command", ["verify", "prune", "rollback", "snapshots", "models"])
def test_commands_on_a_lost_catalogue(home: Home, command: str) -> None:
    """So do the commands, also those that only list."""
    lose_catalogue(home)
    before = files(home)
    done = call(home, command)
    assert isinstance(done.exception, CatalogueLost)
    assert not done.stdout
    assert files(home) == before


def test_a_server_says_that_the_catalogue_is_lost(home: Home) -> None:
    """Nobody is told that nothing was indexed yet; and a home with nothing in it has lost nothing."""
    lose_catalogue(home)
    publication = Publication(home.settings)
    publication.refresh()
    with pytest.raises(CatalogueLost, match="the catalogue is lost"):
        publication.current()
    publication.close()
    empty = Publication(Settings(home=home.settings.home / "empty"))
    empty.refresh()
    with pytest.raises(NoSnapshot):
        empty.current()


def test_without_a_copy_everything_comes_back_but_the_catalogue(home: Home) -> None:
    """`use` begins another one and takes the model in, a reindex publishes anew; then prune may be told of the rest."""
    publish(home, 0)
    lose_catalogue(home)
    before = files(home)
    assert use(home, "tiny")
    assert not use(home, "tiny")
    with pytest.raises(NotFound):
        use(home, "../models/tiny")
    with pytest.raises(UnknownArtefacts, match=r"nothing was removed: snapshots/.* is unknown .*SOKKURI_DATABASE"):
        home.prune()
    with pytest.raises(UnknownArtefacts, match="nothing was removed"):
        home.prune(unknown=True)  # as long as nothing else could be served
    findings = home.verify().findings
    assert sum("is unknown to the catalogue" in finding for finding in findings) == len(findings) == 3
    with pytest.raises(UnknownArtefacts, match=r"snapshots/.* is unknown to .*`sokkuri reindex LIBRARY`"):
        roll_back(home)
    assert call(home, "snapshots").stderr.count("is unknown to the catalogue") == 3
    time.sleep(1.1)  # snapshots are named by the second
    assert home.reindex().embedded == 0
    assert sum("`sokkuri prune --unknown` removes it" in finding for finding in home.verify().findings) == 3
    with pytest.raises(UnknownArtefacts, match="does SOKKURI_DATABASE name the right one"):
        home.prune()
    known = {path for path in before if path.parent.name == "snapshots"}
    assert {home.settings.home / "snapshots" / name for name in home.prune(unknown=True).snapshots} == known
    assert home.verify().findings == ()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_failed_use_leaves_the_catalogue_lost(home: Home, tmp_path: Path, *, damaged: bool) -> None:
    """A mistyped name, or a model that is not whole, founds nothing: whoever comes next hears what is lost."""
    lose_catalogue(home)
    if damaged:
        (home.settings.home / "models" / "tiny" / "model.json").write_text("{", encoding="utf-8")
    before = files(home)
    (tmp_path / "asked.png").write_bytes(picture(1))
    for settings in (home.settings, home.with_settings(database=f"sqlite:///{tmp_path / 'other.db'}").settings):
        with pytest.raises(SokkuriError), workplace(settings, "use", founding=True) as catalogue:
            take_in(settings, catalogue, "tiny" if damaged else "tyni")
    done = CliRunner().invoke(indexer.commands.use, ["tiny" if damaged else "tyni", "--home", str(home.settings.home)])
    assert isinstance(done.exception, SokkuriError)
    assert files(home) == before
    assert not list(tmp_path.glob("other.db*"))
    for command, argument in ((indexer.commands.reindex, home.root), (asking.ask, tmp_path / "asked.png")):
        options = ["--dry-run"] if command is indexer.commands.reindex else []
        done = CliRunner().invoke(command, [str(argument), *options, "--home", str(home.settings.home)])
        assert isinstance(done.exception, CatalogueLost)
    assert files(home) == before


def test_a_first_job_that_fails_leaves_no_catalogue(tmp_path: Path) -> None:
    """Also in a new home, however the job ends; but what it has found out already is kept."""
    settings = Settings(home=tmp_path / "home")
    file = settings.home / "catalogue.db"

    def fail(ending: BaseException, work: Callable[[Catalogue], object]) -> None:
        with workplace(settings, "test") as catalogue:
            work(catalogue)
            raise ending

    for ending in (NotFound("no"), KeyboardInterrupt(), SystemExit(2)):
        with pytest.raises(type(ending)):
            fail(ending, lambda catalogue: catalogue.counts())
        assert not list(settings.home.glob("catalogue.db*"))
    with pytest.raises(NotFound):
        fail(NotFound("no"), lambda catalogue: catalogue.remember_forgotten(["a" * 64], "2025-01-01T00:00:00Z"))
    with Catalogue(settings.database_url) as catalogue:
        assert catalogue.forgotten() == {"a" * 64}
    file.unlink()
    with workplace(settings, "test"):
        pass
    with pytest.raises(NotFound):
        fail(NotFound("no"), lambda catalogue: catalogue.counts())
    assert file.exists(), "it is not what this job made"


def test_what_another_catalogue_serves_outlives_a_reindex_beside_it(home: Home) -> None:
    """However much is published under another SOKKURI_DATABASE, verify names what the first one serves; prune stops."""
    served = home.published().info.id
    other = home.with_settings(database=f"sqlite:///{home.settings.home / 'other.db'}")
    use(other, "tiny")
    time.sleep(1.1)  # snapshots are named by the second
    assert other.reindex().embedded == 0
    assert sum(f"snapshots/{served} is unknown" in finding for finding in other.verify().findings) == 1
    with pytest.raises(UnknownArtefacts, match="nothing was removed"):
        other.prune()
    assert home.published().info.id == served


def test_a_prune_that_died_after_its_rows_leaves_nothing_unknown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was about to remove is marked, and the next one removes it."""
    for number in range(4):
        publish(home, number)
        time.sleep(1.1)  # snapshots are named by the second
    with monkeypatch.context() as patch:
        patch.setattr("indexer.prune._remove", _died)
        with pytest.raises(SokkuriError, match="killed"):
            home.prune()
    assert home.verify().findings == ()
    assert len(home.prune().snapshots) > 0


def _died(*_told: object, **_more: object) -> None:
    raise SokkuriError("killed")


def test_an_empty_catalogue_is_not_believed(home: Home) -> None:
    """One that was begun by `sokkuri db upgrade` alone knows no model: prune stops, verify and rollback name both."""
    lose_catalogue(home)
    with workplace(home.settings, "test", founding=True):
        pass
    before = files(home)
    with pytest.raises(UnknownArtefacts, match=r"nothing was removed: models/tiny is unknown .*and 2 more"):
        home.prune()
    assert [line.partition("/")[0] for line in home.verify().findings if "is unknown to" in line] == [
        "models",
        "snapshots",
        "snapshots",
    ]
    with pytest.raises(UnknownArtefacts, match=r"`sokkuri use tiny` and `sokkuri reindex LIBRARY`"):
        roll_back(home)
    assert "models/tiny is unknown" in call(home, "models").stderr
    assert files(home) == before


def test_another_catalogue_by_mistake_costs_nothing(home: Home, tmp_path: Path) -> None:
    """A mistyped SOKKURI_DATABASE, a catalogue of no bytes, or that of another home: prune stops."""
    before = files(home)
    other = home.with_settings(database=f"sqlite:///{home.settings.home / 'katalog.db'}")
    with pytest.raises(CatalogueLost, match="SOKKURI_DATABASE"):
        other.prune()
    (tmp_path / "second").mkdir()
    second = new_home(tmp_path / "second")
    time.sleep(1.1)  # its snapshot is newer than any of this home
    second.reindex()
    with pytest.raises(UnknownArtefacts, match="snapshots/"):
        home.with_settings(database=second.settings.database_url).prune()
    (home.settings.home / "catalogue.db").write_bytes(b"")
    with pytest.raises(CatalogueLost):
        home.prune()
    assert files(home) == before


def test_an_older_copy_is_told(older: tuple[Home, str, str]) -> None:
    """Verify, prune, rollback and the list of snapshots name what came later; what the copy knows is served."""
    home, before, later = older
    told = [finding for finding in home.verify().findings if later in finding]
    assert len(told) == 1
    assert "newer than all that it knows" in told[0]
    assert "Restore a newer copy" in told[0]
    assert "run `sokkuri reindex LIBRARY`" in told[0]
    there = files(home)
    with pytest.raises(UnknownArtefacts, match=f"nothing was removed: snapshots/{later} is unknown"):
        home.prune()
    with pytest.raises(UnknownArtefacts, match=f"snapshots/{later} is unknown"):
        roll_back(home, later)
    listed = call(home, "snapshots")
    assert before in listed.stdout
    assert later not in listed.stdout
    assert f"snapshots/{later} is unknown" in listed.stderr
    assert home.published().info.id == before
    assert files(home) == there


def test_after_an_older_copy_a_reindex_publishes_what_was_lost(older: tuple[Home, str, str]) -> None:
    """It names what it does not know, embeds nothing, and is newer; prune removes the other where told to."""
    home, _, later = older
    time.sleep(1.1)  # snapshots are named by the second
    report = home.reindex()
    assert (report.embedded, report.pictures) == (0, PICTURES)
    (told,) = home.verify().findings
    assert told.startswith(f"snapshots/{later} is unknown")
    assert home.prune(unknown=True).snapshots == (later,)
    assert home.verify().findings == ()


def test_a_model_that_is_newer_than_the_copy(home: Home) -> None:
    """Both are told, the snapshot with the model that has to be taken in before the reindex."""
    copy = home.settings.home.with_name("copy.db")
    copy_catalogue(home, copy)
    (home.settings.home / "models" / "tiny").rename(home.settings.home / "models" / "former")
    make_model(home.settings, scan(home.root).hierarchy, size=40)
    (home.settings.home / "models" / "tiny").rename(home.settings.home / "models" / "later")
    (home.settings.home / "models" / "former").rename(home.settings.home / "models" / "tiny")
    manifest = home.settings.home / "snapshots" / "99990101T000000Z-00" / "snapshot.json"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps({"model": "later"}), encoding="utf-8")
    lose_catalogue(home)
    shutil.copyfile(copy, home.settings.home / "catalogue.db")
    findings = home.verify().findings
    assert len(findings) == 2
    assert findings[0].startswith("models/later is unknown to the catalogue: `sokkuri use later` takes it in")
    assert "run `sokkuri use later` and `sokkuri reindex LIBRARY`" in findings[1]


def test_forget_looks_into_what_the_catalogue_does_not_know(tmp_path: Path) -> None:
    """A picture that is forgotten is in no folder that lies there, whatever the catalogue was restored from."""
    from indexer.collect.forget import forget

    fresh = new_home(tmp_path)  # a copy would know, and forget, the picture of the home that it was made from as well
    fresh.reindex()
    home, before, later = restore_older(fresh)
    with workplace(home.settings, "test") as catalogue:
        wanted = next(row.id for row in catalogue.pictures() if row.path == "show-1/hero-0/0.png")
        report = forget(home.settings, catalogue, picture=wanted)
    assert set(report.snapshots) == {before, later}
    assert [path.name for path in (home.settings.home / "snapshots").iterdir()] == [report.snapshot]


def test_the_mark_goes_with_the_commit(home: Home) -> None:
    """What is published has none; one that a job left which died after its commit goes before the next job."""
    folder = home.settings.home / "snapshots" / home.published().info.id
    assert not (folder / MARK).exists()
    mark(folder)
    assert home.verify().findings == ()
    assert not (folder / MARK).exists()


def test_a_first_reindex_that_died_before_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it left is no stranger: verify finds nothing, rollback says what it is, and prune removes it."""
    home = new_home(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "publish", _died)
        with pytest.raises(SokkuriError, match="killed"):
            home.reindex()
    (left,) = (home.settings.home / "snapshots").iterdir()
    assert home.verify().findings == ()
    with pytest.raises(NotFound, match=f"snapshots/{left.name} is what a job left that was stopped: `sokkuri prune`"):
        roll_back(home, left.name)
    with pytest.raises(NoSnapshot):
        roll_back(home)
    assert home.prune().snapshots == (left.name,)
    assert not left.exists()
    assert home.reindex().embedded == 0
