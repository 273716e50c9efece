"""The command `sokkuri` in processes of its own: quick to start, helpful, and never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from recommender.cli import COMMANDS, group, line_of, main, one_line
from recommender.folders import flush

SOKKURI = Path(sys.executable).with_name("sokkuri")
HEAVY = ("torch", "torchvision", "faiss", "sklearn", "sqlalchemy", "PIL", "indexer", "bench")
LIGHT = ("torch", "torchvision", "sklearn", "scipy", "nncf", "matplotlib")
"""What a light installation has not."""
SECONDS = 60


def sokkuri(*arguments: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [SOKKURI, *arguments],
        env={**os.environ, "SOKKURI_HOME": str(home), **settings},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def commands() -> Iterator[tuple[str, click.Command]]:
    """Give every command with its full name, those within groups too."""
    for name in COMMANDS:
        if find_spec(COMMANDS[name][0].partition(":")[0]) is None:
            continue
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())


def imported_after(code: str) -> set[str]:
    """Return the packages that a fresh Python has imported after running `code`."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_help_imports_nothing_heavy() -> None:
    """`sokkuri --help` loads no network library, no index, no database and none of the commands."""
    found = imported_after("sys.argv = ['sokkuri', '--help']; from recommender.cli import main; main()")
    assert "click" in found
    assert not found & {*HEAVY, "web", "flask"}


def test_web_imports_nothing_heavy() -> None:
    """`import web` loads no network library, no index and no database: workers do, after the fork."""
    found = imported_after("import web")
    assert "flask" in found
    assert not found & set(HEAVY)


def test_a_full_disk_is_one_line_that_says_what_to_do() -> None:
    """Wherever a command meets it, the line names the file and asks for room."""
    code = (
        "import errno\n"
        "from recommender import cli\n"
        "def full(**_):\n"
        "    raise OSError(errno.ENOSPC, 'No space left on device', 'thumbnails/a.jpg')\n"
        "cli.group.main = full\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("sokkuri: No space left on device (thumbnails/a.jpg): make room")


def test_a_disk_that_fails_is_one_line_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fsync says names no file: the line does, and what to do."""

    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error") as caught:
        flush(tmp_path)
    line = line_of(caught.value)
    assert line is not None
    assert line.startswith(f"Input/output error ({tmp_path}): check the disk and run it again")


@pytest.mark.parametrize(
    ("words", "absent", "remedy"),
    [
        *((words, LIGHT, "sokkuri[train]") for words in ("train .", "evaluate", "pretrain . --output o", "export")),
        ("export", ("openvino",), "openvino"),
    ],
)
def test_without_what_it_needs_a_command_says_what_to_install(
    words: str, absent: tuple[str, ...], remedy: str, tmp_path: Path
) -> None:
    """In a light installation a command that needs torch ends in one line, not in a traceback; so without OpenVINO."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {absent!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"sys.argv = ['sokkuri', *{words.split()!r}, '--home', {str(tmp_path)!r}]\n"
        "from recommender.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "pip install" in line
    assert remedy in line


@pytest.mark.parametrize("words", ["train .", "evaluate", "pretrain . --output o", "export"])
@pytest.mark.parametrize("fault", ["ImportError('libtorch.so: no such file')", "OSError('libtorch.so: no such file')"])
def test_what_is_installed_but_does_not_load_is_one_line(words: str, fault: str, tmp_path: Path) -> None:
    """Half an installation, or one for another system: the package is named, with its own words, and no traceback."""
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    (tmp_path / "broken" / "torch" / "__init__.py").write_text(f"raise {fault}\n", encoding="utf-8")
    code = (
        f"import sys\nsys.path.insert(0, {str(tmp_path / 'broken')!r})\n"
        f"sys.argv = ['sokkuri', *{words.split()!r}, '--home', {str(tmp_path)!r}]\n"
        "from recommender.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    if words != "export":  # which tells first that there is no model
        assert "torch, which is installed but cannot be loaded (libtorch.so: no such file): pip install" in line


def test_other_errors_of_the_system_are_not_taken_for_a_package() -> None:
    """An import that fails in our own files is a mistake of the program, and keeps its traceback."""
    assert line_of(ImportError("cannot import name 'x'")) is None


def test_help_lists_every_command(tmp_path: Path) -> None:
    """The list shows all commands, in order, each with one line of help; and the way from a folder to answers."""
    done = sokkuri("--help", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    places = [text.index(f" {name} {summary}") for name, (_, summary) in COMMANDS.items()]
    assert places == sorted(places)
    assert "\n    sokkuri train LIBRARY\n" in done.stdout
    assert "\\b" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_each_command_says_itself(name: str) -> None:
    """The line in the list is the first line of the command's own help."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(import_module(module), attribute)
    assert (command.help or "").partition("\n")[0] == COMMANDS[name][1]
    assert COMMANDS[name][1].endswith(".")


def test_every_command_shows_an_example() -> None:
    """The help of each command ends with a call that can be copied, of that very command."""
    without = []
    for name, command in commands():
        lines = command.get_help(click.Context(command, info_name=f"sokkuri {name}")).splitlines()
        examples = lines[next((n for n, line in enumerate(lines) if "Example" in line), len(lines)) :]
        if not any(f"  sokkuri {name}" in line for line in examples):
            without.append(name)
    assert without == []


def test_every_command_takes_a_home() -> None:
    """Whatever looks at the home can be told where it is, in the same words."""
    for name, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        if not isinstance(command, click.Group) and not name.startswith("bench"):
            assert "--home" in options, name


def test_importing_the_commands_needs_no_network_library() -> None:
    """Even a command's own --help is there at once: what it runs is imported when it runs."""
    found = imported_after("import recommender.asking, indexer.commands, web.commands")
    assert not found & {"torch", "torchvision", "sklearn", "gunicorn"}


@dataclass(frozen=True)
class Done:
    """How a call ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs `main` in this process, which is quicker, on an empty home."""

    def run(*arguments: str, **settings: str) -> Done:
        for name, value in {"SOKKURI_HOME": str(tmp_path / "home"), **settings}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["sokkuri", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return Done(ended.value.code if isinstance(ended.value.code, int) else -1, output.out, output.err)

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "nonsense"),
        (("--nonsense",), "--nonsense"),
        (("ask",), "PICTURE"),
        (("ask", "x.png", "--limit", "0"), "--limit"),
        (("ask", "x.png", "--limit", "many"), "many"),
        (("db", "nonsense"), "nonsense"),
        (("reindex", ".", "--target-recall", "nan"), "--target-recall"),
        (("reindex", ".", "--target-recall", "2"), "--target-recall"),
    ],
)
def test_wrong_usage_is_exit_2(call: Callable[..., Done], arguments: tuple[str, ...], said: str) -> None:
    """A wrong call ends with 2 and one line on stderr that names what is wrong and where to find help."""
    done = call(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "--help" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--nope",), "sokkuri"),
        (("ask", "--nope"), "sokkuri ask"),
        (("ask", "x.png", "--limit"), "sokkuri ask"),
        (("bench", "demo", "--probe"), "sokkuri bench demo"),
        (("bench", "--nope"), "sokkuri bench"),
        (("db", "upgrade", "--home"), "sokkuri db upgrade"),
    ],
)
def test_the_hint_names_the_innermost_command(
    call: Callable[..., Done], arguments: tuple[str, ...], named: str
) -> None:
    """Whatever is wrong, also an option without its value: help is where that very command has it."""
    done = call(*arguments)
    assert done.code == 2
    assert done.stderr.endswith(f"(`{named} --help` tells more)\n")


def test_no_command_at_all_shows_the_help(call: Callable[..., Done]) -> None:
    """`sokkuri` alone is wrong usage too, but what helps there is the list of commands."""
    done = call()
    assert (done.code, done.stdout) == (2, "")
    assert all(name in done.stderr for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("models",), {}, "sokkuri train LIBRARY"),
        (("models",), {"SOKKURI_HOMME": "x"}, "SOKKURI_HOMME"),
        (("models",), {"SOKKURI_THREADS": "many"}, "SOKKURI_THREADS"),
        (("models",), {"SOKKURI_DATABASE": "no URL"}, "SOKKURI_DATABASE"),
        (("use", "nobody"), {}, "'nobody'"),
        (("db", "upgrade", "--home", "/proc/nowhere"), {}, "/proc/nowhere"),
    ],
)
def test_what_a_user_can_cause_is_exit_1(
    call: Callable[..., Done], arguments: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    """An error ends with 1, nothing on stdout and one line on stderr, which says what was wrong."""
    done = call(*arguments, **settings)
    assert (done.code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("sokkuri: ")
    assert said in done.stderr


@pytest.mark.parametrize("command", ["verify", "prune", "snapshots", "rollback"])
def test_a_home_that_is_not_there_is_not_made(call: Callable[..., Done], tmp_path: Path, command: str) -> None:
    """What only looks says that there is nothing to look at, and makes nothing."""
    done = call(command, "--home", str(tmp_path / "nohome"))
    assert (done.code, done.stdout) == (1, "")
    assert "there is no home" in done.stderr
    assert not (tmp_path / "nohome").exists()


def test_a_damaged_catalogue_is_exit_1(call: Callable[..., Done], tmp_path: Path) -> None:
    """A catalogue that is no database is told in a line as well."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "catalogue.db").write_bytes(b"no database " * 1000)
    done = call("snapshots")
    assert done.code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "damaged" in done.stderr


def test_asking_too_early_says_what_to_run(tmp_path: Path) -> None:
    """Before anything was indexed `ask` ends with 1 and says so once, as a process of its own shows."""
    done = sokkuri("ask", "picture.png", home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "sokkuri train LIBRARY" in done.stderr


def test_interrupting_is_exit_130(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a job ends with 130 and one line, and the job lets go of the home."""
    os.mkfifo(tmp_path / "job.owner")  # writing to it waits for a reader: the job stays in its middle
    command = [str(SOKKURI), "db", "upgrade", "--home", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while not (tmp_path / "job.lock").exists() and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 130
    assert stdout == ""
    assert [line for line in stderr.splitlines() if line] == ["sokkuri: stopped; what was finished stays"]
    assert not (tmp_path / "job.owner").exists()


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    """`sokkuri ... | head` ends quietly."""
    script = f"{SOKKURI} --help | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [("そっくり ×", "そっくり ×"), ("a\nb\tc", r"a\nb\tc"), ("\x1b[31m", r"\x1b[31m"), ("\udcff", r"\udcff")],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    """Names of files may hold line breaks and terminal codes: a message stays one line, and changes no colour."""
    assert one_line(text) == shown
