"""`indexer.demo.world`: one plan, the same files, whatever happens meanwhile; and nobody else's are touched."""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from indexer.demo import production
from indexer.demo import world as module
from indexer.demo.cast import SHOWS, STRANGERS, DrawnShow
from indexer.demo.identity import Identity
from indexer.demo.shot import Shot
from indexer.demo.style import CHOICES, RANGES, Style
from indexer.demo.world import DRAWS, Plan, World, draw_world
from indexer.library import scan
from recommender.errors import BuildError, Busy
from tests.indexer.disks import full_disk

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only /proc tells which processes run")
PROGRAM = """
import sys
from pathlib import Path
from indexer.demo.world import draw_world
from tests.indexer.demo.test_world import many

if __name__ == "__main__":
    try:
        draw_world(Path(sys.argv[1]), many(), lambda done, total, note="": None, processes=2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def few(show: DrawnShow, characters: int = 2) -> DrawnShow:
    """Leave a show only its first characters."""
    return replace(show, characters=show.characters[:characters])


PLAN = Plan(7, 2, 1, shows=(few(SHOWS[0]), few(SHOWS[1])), strangers=(few(STRANGERS[0]),))
PICTURES = 2 * 2 * 2 + 2
FILES = PICTURES + 2 * 3
"""Pictures, and three tables for each of the two parts."""


def many() -> Plan:
    """Return a plan that takes a second or more."""
    return replace(PLAN, pictures=10)


def _untold(done: int, total: int, note: str = "") -> None:
    """Hear of progress, and forget it."""


def _draw(folder: Path, plan: Plan = PLAN, processes: int = 1) -> World:
    return draw_world(folder, plan, _untold, processes=processes)


def _files(folder: Path) -> dict[str, bytes]:
    """Return the files of the world in a folder, those that mark and guard it left out."""
    names = {"lock", "world.json", "unfinished.json"}
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in names
    }


def _times(folder: Path) -> dict[str, int]:
    """Return when each picture was written, and which file it is on the disk."""
    return {str(file): file.stat().st_mtime_ns ^ file.stat().st_ino for file in folder.rglob("*.jpg")}


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _scribble(style: Style, identity: Identity, shot: Shot, width: int) -> Image.Image:
    """Stand in for the drawer, of which nothing is asked here but that it be quick: colours of their own."""
    digest = hashlib.sha256(repr((style, identity, shot)).encode()).digest()
    return Image.frombytes("RGB", (2, 5), digest[:30]).resize((width, shot.size[1]))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process scribble. Processes that it starts draw all the same."""
    monkeypatch.setattr(production, "draw", _scribble)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scribble a small world once, to be looked at."""
    folder = tmp_path_factory.mktemp("world") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(production, "draw", _scribble)
        assert _draw(folder) == World(folder, PICTURES)
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """Give a copy of the small world, to be tampered with."""
    return Path(shutil.copytree(drawn, tmp_path / "demo"))


def test_a_world_is_a_library_that_scan_reads(drawn: Path) -> None:
    """Every picture is accepted, under its show and character, with title, year, name and type of the tables."""
    library = scan(World(drawn, 0).library)
    assert library.rejects == ()
    assert library.ignored == ("styles.csv",)
    assert [entry.path for entry in library.entries] == sorted(
        f"{show.label}/{character.label}/{number}.jpg"
        for show in PLAN.shows
        for character in show.characters
        for number in ("01", "02")
    )
    for entry in library.entries:
        show = next(show for show in PLAN.shows if show.label == entry.character.show.slug)
        character = next(one for one in show.characters if one.label == entry.character.slug)
        assert (entry.character.name, entry.character.type) == (character.name, character.identity.type)
        assert (entry.character.show.title, entry.character.show.year) == (show.title, show.year)
        assert entry.format == "JPEG"
    for show in PLAN.shows:
        extras = library.extras[show.label]
        assert extras["studio"] == show.studio
        assert 1 <= int(extras["popularity"]) < 10**8


def test_strangers_are_laid_out_alike(drawn: Path) -> None:
    """They have a library's folders and tables of their own, and no file of theirs is one of the library's."""
    strangers = scan(World(drawn, 0).strangers)
    assert {entry.character.label for entry in strangers.entries} == {
        f"{show.label}/{one.label}" for show in PLAN.strangers for one in show.characters
    }
    assert len(strangers.entries) == 2
    assert not {entry.id for entry in strangers.entries} & {entry.id for entry in scan(drawn / "library").entries}


@pytest.mark.usefixtures("quick")
def test_strangers_are_shot_by_dice_of_their_own(tmp_path: Path) -> None:
    """A stranger of the same name and looks as somebody in the library is seen in other pictures."""
    _draw(tmp_path / "demo", replace(PLAN, strangers=PLAN.shows, stranger_pictures=2))
    found = [set(_files(tmp_path / "demo" / part).values()) for part in ("library", "strangers")]
    assert [data for data in found[0] & found[1] if data.startswith(b"\xff\xd8")] == []


def test_styles_are_written_to_the_last_parameter(drawn: Path) -> None:
    """From the row of a show its style can be read again."""
    rows = _rows(drawn / "library/styles.csv")
    assert [row["show"] for row in rows] == [show.label for show in PLAN.shows]
    for row, show in zip(rows, PLAN.shows, strict=True):
        assert set(row) == {"show", *RANGES, *CHOICES}
        assert {name: float(row[name]) for name in RANGES} == {name: show.style.number(name) for name in RANGES}
        assert {name: row[name] for name in CHOICES} == {name: show.style.choice(name) for name in CHOICES}


def test_the_whole_plan_is_the_one_that_was_asked_for() -> None:
    """By default there are 24 pictures of each character of all shows, and 60 of 20 strangers."""
    plan = Plan()
    assert plan.pictures == 24
    assert plan.shows == SHOWS
    assert plan.stranger_pictures * sum(len(show.characters) for show in plan.strangers) == 60


def test_two_processes_draw_what_one_does(tmp_path: Path) -> None:
    """Every file of the two worlds is the same, byte for byte, and so is what is written down about them."""
    plan = replace(PLAN, pictures=1, strangers=(few(STRANGERS[0], 1),))
    one, two = tmp_path / "one", tmp_path / "two"
    assert _draw(one, plan).drawn == _draw(two, plan, processes=2).drawn == 5
    assert len(_files(one)) == 5 + 2 * 3
    assert _files(one) == _files(two)
    assert (one / "world.json").read_bytes() == (two / "world.json").read_bytes()


@pytest.mark.usefixtures("quick")
def test_a_picture_depends_on_nothing_beside_it(drawn: Path, tmp_path: Path) -> None:
    """With fewer pictures, fewer shows and another order of them, those that remain are the same."""
    _draw(tmp_path / "some", replace(PLAN, pictures=1, shows=PLAN.shows[::-1]))
    whole, some = _files(drawn), _files(tmp_path / "some")
    pictures = [name for name in some if name.endswith(".jpg")]
    assert len(pictures) == 2 * 2 + 2
    assert all(some[name] == whole[name] for name in pictures)


@pytest.mark.usefixtures("quick")
def test_another_seed_gives_other_pictures(drawn: Path, tmp_path: Path) -> None:
    """No picture of the two worlds is the same, and neither is how popular a show is."""
    _draw(tmp_path / "other", replace(PLAN, seed=8))
    one, other = _files(drawn), _files(tmp_path / "other")
    assert set(one) == set(other)
    same = [name for name in one if one[name] == other[name]]
    assert sorted(same) == sorted(f"{part}/{table}.csv" for part in PLAN.parts for table in ("characters", "styles"))


@pytest.mark.usefixtures("quick")
def test_a_whole_world_is_left_alone(folder: Path) -> None:
    """The second time nothing is drawn, and nothing written: a folder that others read can be read only."""
    before = _times(folder)
    with FileLock(folder / "lock"):
        assert _draw(folder) == World(folder, 0)
    assert _times(folder) == before


@pytest.mark.usefixtures("quick")
def test_progress_counts_what_is_there_already(folder: Path) -> None:
    """Of 10 pictures 7 are there: it begins with these, and ends with all."""
    for name in list(_times(folder))[:3]:
        Path(name).unlink()
    heard: list[tuple[int, int]] = []
    draw_world(folder, PLAN, lambda done, total, note="": heard.append((done, total)), processes=1)  # noqa: ARG005
    assert heard == [(7, 10), (8, 10), (9, 10), (10, 10)]


@pytest.mark.usefixtures("quick")
def test_what_was_lost_is_drawn_again_and_nothing_else(folder: Path, drawn: Path) -> None:
    """Missing, empty and cut off pictures and a missing table come back as they were; the others are not touched."""
    files = sorted(folder.rglob("*.jpg"))
    files[0].unlink()
    shutil.rmtree(files[-1].parent)
    files[2].write_bytes(b"")
    files[3].write_bytes(files[3].read_bytes()[:-100])
    (folder / "library/shows.csv").unlink()
    kept = {name: when for name, when in _times(folder).items() if name not in map(str, files[2:4])}
    assert _draw(folder).drawn == PICTURES - len(kept)
    assert kept.items() <= _times(folder).items()
    assert _files(folder) == _files(drawn)


@pytest.mark.usefixtures("quick")
def test_a_lost_table_alone_is_written_again(folder: Path, drawn: Path) -> None:
    """Nothing is drawn for it, and the other tables stay as they are, corrected by the user or not."""
    (folder / "strangers/styles.csv").unlink()
    (folder / "library/shows.csv").write_text("show,title\n")
    assert _draw(folder).drawn == 0
    assert _files(folder) == _files(drawn) | {"library/shows.csv": b"show,title\n"}


@pytest.mark.usefixtures("quick")
def test_what_a_crash_left_is_swept_away(folder: Path, drawn: Path) -> None:
    """Half-written files go, those of a folder that the user made as well; the world is whole afterwards."""
    picture = next(folder.rglob("*.jpg"))
    picture.unlink()
    (folder / "world.json").rename(folder / "unfinished.json")
    for place in (picture.parent, folder / "library", folder):
        (place / ".aside-01.jpg-0123abcd").write_bytes(b"half")
    _draw(folder)
    assert _files(folder) == _files(drawn)
    assert {item.name for item in folder.iterdir()} == {"library", "strangers", "lock", "world.json"}


@pytest.mark.usefixtures("quick")
def test_another_plan_replaces_the_world_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the old world nothing remains but the files that the user put into it; one line tells why it takes long."""
    (folder / "library/mine.txt").write_text("mine")
    own = folder / "library" / PLAN.shows[0].label / PLAN.shows[0].characters[0].label / "mine.jpg"
    own.write_bytes(b"mine")
    plan = replace(PLAN, seed=8, pictures=1, shows=(few(SHOWS[2], 1),))
    _draw(folder, plan)
    assert capsys.readouterr().err.splitlines() == [
        f"{folder} holds a demo world of another plan or drawer: it is drawn anew"
    ]
    assert own.read_bytes() == b"mine"
    assert (folder / "library/mine.txt").read_text() == "mine"
    assert {name for name in _files(folder) if name.startswith("library/") and "mine" not in name} == {
        *(f"library/{table}.csv" for table in ("shows", "characters", "styles")),
        f"library/{SHOWS[2].label}/{SHOWS[2].characters[0].label}/01.jpg",
    }
    assert [item.name for item in (folder / "library").iterdir() if item.name == PLAN.shows[1].label] == []


@pytest.mark.usefixtures("quick")
def test_a_replacement_that_is_interrupted_goes_on(folder: Path, tmp_path: Path) -> None:
    """Stopped in the middle of another plan, the folder holds no mixture in the end, whichever is asked for next."""
    other = replace(PLAN, seed=8)

    def stop(done: int, total: int, note: str = "") -> None:
        del total, note
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_world(folder, other, stop, processes=1)
    assert not (folder / "world.json").exists()
    halfway = Path(shutil.copytree(folder, tmp_path / "halfway"))
    assert _draw(folder, other).drawn == PICTURES - 4
    assert _draw(halfway).drawn == PICTURES
    assert _files(folder) == _files(_draw(tmp_path / "fresh", other).folder)


def test_who_stops_listening_stops_the_drawing(tmp_path: Path) -> None:
    """An error in what is told ends the processes that draw before it goes on its way."""

    def fail(done: int, total: int, note: str = "") -> None:
        del total, note
        if done:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        draw_world(tmp_path / "demo", many(), fail, processes=2)
    assert caught.tb  # it holds what was left on the way
    assert multiprocessing.active_children() == []
    assert len(list(tmp_path.rglob("*.jpg"))) < 30
    FileLock(tmp_path / "demo/lock").acquire(timeout=0)


@pytest.mark.usefixtures("quick")
def test_another_drawer_draws_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of a drawer that was changed since are not mixed with new ones."""
    monkeypatch.setattr(module, "drawer_version", lambda: "another")
    assert _draw(folder).drawn == PICTURES


def test_the_drawer_is_all_that_draws() -> None:
    """The modules that count for the drawer's version are those that drawing a shot imports, and no others."""
    names = "print(*(name for name in sys.modules if name.startswith('indexer.demo.')))"
    program = f"import sys, indexer.demo.drawing, indexer.demo.shot; {names}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {Path(*name.split(".")[2:]).with_suffix(".py").as_posix() for name in done.stdout.split()}
    home = ROOT / "indexer/demo"
    counted = {file.relative_to(home).as_posix() for pattern in DRAWS for file in home.glob(pattern)}
    assert loaded - {"parts.py"} == counted - {"parts/__init__.py"}


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    """It stays as it is: no lock, no folder, no picture appears in it."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BuildError, match="holds something other than a demo world: name an empty folder"):
        _draw(tmp_path)
    assert _everything(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"what": "another", "parts": {}}', '{"what": "sokkuri demo world"}'])
def test_a_record_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    """A world.json that is not of a demo world makes the folder none of ours."""
    (tmp_path / "world.json").write_text(text)
    with pytest.raises(BuildError, match="name an empty folder"):
        _draw(tmp_path)
    assert _everything(tmp_path) == ["world.json"]


@pytest.mark.usefixtures("quick")
def test_a_record_cannot_lead_out_of_its_folder(folder: Path, tmp_path: Path) -> None:
    """One that names files elsewhere, itself or through a link, has none of them removed."""
    elsewhere = tmp_path / "elsewhere/hero/01.jpg"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(b"mine")
    (folder / "library/link").symlink_to(tmp_path / "elsewhere")
    record = json.loads((folder / "world.json").read_text())
    record["parts"]["library"]["characters"] |= {"../../elsewhere": ["hero"], "link": ["hero"]}
    (folder / "world.json").write_text(json.dumps(record))
    assert _draw(folder).drawn == PICTURES
    assert elsewhere.read_bytes() == b"mine"


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be, above it or inside it, is told and left as it is."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BuildError, match=r"/file is a file: name a folder for the demo world"):
        _draw(tmp_path / "file")
    with pytest.raises(BuildError, match=r"cannot be written \(Not a directory\): name another folder") as caught:
        _draw(tmp_path / "file" / "demo")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("method", ["mkdir", "write_bytes"])
def test_a_folder_that_may_not_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Without permission the error names the folder and the way out; it is simulated, since root may write anywhere."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(BuildError, match=r"demo cannot be written \(Permission denied\): name another folder"):
        _draw(tmp_path / "demo")


@pytest.mark.usefixtures("quick")
def test_a_full_disk_is_one_line_and_can_be_gone_on_from(tmp_path: Path, drawn: Path) -> None:
    """Where a picture does not fit, the error says what to do; when there is room the rest is drawn, and only that."""
    folder = tmp_path / "demo"
    sizes = sorted(file.stat().st_size for file in drawn.rglob("*.jpg"))
    with (
        pytest.raises(BuildError, match=r"\(File too large\): make room and run it again, it goes on") as caught,
        full_disk(sizes[-2]),
    ):
        _draw(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "world.json").exists()
    assert not list(folder.rglob(".aside-*"))
    before = _times(folder)
    assert _draw(folder).drawn == PICTURES - len(before) > 0
    assert before.items() <= _times(folder).items()
    assert _files(folder) == _files(drawn)


def test_a_disk_that_is_full_for_others_is_one_line_too(tmp_path: Path) -> None:
    """What the processes that draw cannot write is told in the same words, and nothing half remains."""
    with pytest.raises(BuildError, match=r"demo cannot be written \(File too large\): make room"), full_disk(3000):
        _draw(tmp_path / "demo", processes=2)
    assert not [*tmp_path.rglob("*.jpg"), *tmp_path.rglob(".aside-*")]


def test_two_do_not_draw_in_one_folder(folder: Path) -> None:
    """The second ends at once, and says why."""
    (folder / "world.json").rename(folder / "unfinished.json")
    with FileLock(folder / "lock"), pytest.raises(Busy, match=f"drawing in {folder}: wait until it is done"):
        _draw(folder)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw the world of many pictures without any interruption."""
    return _draw(tmp_path_factory.mktemp("large") / "demo", many(), processes=2).folder


def _start(folder: Path) -> subprocess.Popen[str]:
    """Draw many pictures in a program of its own, with a session of its own."""
    program = folder.parent / "draws.py"
    program.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(program), str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _in_session(session: int) -> list[str]:
    """Return the processes of a session that are alive (proc(5): state and session are the 3rd and 6th field)."""
    alive = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if fields[3] == str(session) and fields[0] not in "ZX":
            alive.append(file.parent.name)
    return alive


def _some_are_drawn(folder: Path) -> bool:
    return len(list(folder.rglob("*.jpg"))) >= 8


def _require_resumable(folder: Path, whole: Path) -> None:
    """Assert that there are whole pictures only, and that going on draws the rest, and nothing twice."""
    there = {name: data for name, data in _files(folder).items() if not Path(name).name.startswith(".")}
    assert len(there) < len(_files(whole))
    assert there.items() <= _files(whole).items()
    assert not (folder / "world.json").exists()
    before = _times(folder)
    _draw(folder, many(), processes=2)
    assert before.items() <= _times(folder).items()
    assert _files(folder) == _files(whole)


@pytest.mark.slow
@needs_proc
def test_kill_9_leaves_whole_files_and_no_process(tmp_path: Path, large: Path) -> None:
    """The processes that drew end with the one that was killed, and a second run completes the world."""
    with _start(tmp_path / "demo") as process:
        _wait_until(lambda: _some_are_drawn(tmp_path / "demo"))
        assert len(_in_session(process.pid)) >= 3
        process.kill()
        assert process.wait() == -signal.SIGKILL
        _wait_until(lambda: not _in_session(process.pid), 10)
    _require_resumable(tmp_path / "demo", large)


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("moment", ["while processes start", "while they draw"])
def test_ctrl_c_ends_at_once_without_a_word(tmp_path: Path, large: Path, moment: str) -> None:
    """A terminal's SIGINT to all processes stops within a second or two, no process complains, no half file is left."""
    with _start(tmp_path / "demo") as process:
        if moment == "while they draw":
            _wait_until(lambda: _some_are_drawn(tmp_path / "demo"))
        else:
            _wait_until(lambda: len(_in_session(process.pid)) >= 4)
            time.sleep(0.15)  # at first a process is deaf, then it imports
        start = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
        assert time.monotonic() - start < 15
        assert process.communicate()[1] == ""
    assert not list((tmp_path / "demo").rglob(".aside-*"))
    _require_resumable(tmp_path / "demo", large)


def _everything(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*"))
