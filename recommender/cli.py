"""The command `sokkuri`, whose sub-commands are imported only when they are called.

Also the one place where an error becomes a line on the terminal, and the only file of
`recommender` that names the other packages, and it names them as strings.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import click

from recommender.errors import NotFound, SokkuriError
from recommender.settings import Settings

MAIN = "from recommender.cli import main; main()"
"""What the command `sokkuri` runs, wherever it is installed: for a process of its own."""
LISTEN, SERVE_AT = "web.commands:listen", "web.commands:serve_at"
"""What a command of another package needs that ends in serving."""
TRAINING = ("jinja2", "matplotlib", "nncf", "scipy", "sklearn", "torch", "torchvision")
"""What the extra `train` installs, by the names that are imported; serving does without."""
COMMANDS = {
    "demo": (
        "indexer.commands:demo",
        "Draw twelve made-up shows and serve them: works offline, with nothing but Sokkuri.",
    ),
    "collect": (
        "indexer.commands:collect",
        "Collect the pictures that the pages in SOURCES.toml show into a library, politely.",
    ),
    "train": (
        "indexer.commands:train",
        "Train a model on the pictures of LIBRARY (LIBRARY/<show>/<character>/*.jpg) and make it the one in use.",
    ),
    "pretrain": (
        "indexer.commands:pretrain",
        "Train a VGG19 from scratch on drawings: the recipe of the weights that come with Sokkuri.",
    ),
    "evaluate": (
        "indexer.commands:evaluate",
        "Measure MODEL on the pictures of LIBRARY that it has never seen, and write a report with plots and tables.",
    ),
    "export": (
        "indexer.commands:export",
        "Export MODEL to OpenVINO, which runs it faster; refused where answers would change.",
    ),
    "reindex": (
        "indexer.commands:reindex",
        "Embed the pictures of LIBRARY with the model in use, and publish a snapshot that answers are read from.",
    ),
    "worker": (
        "indexer.commands:worker",
        "Run the jobs that are asked for over HTTP, one after the other, until Ctrl-C or SIGTERM.",
    ),
    "serve": ("web.commands:serve", "Serve the page and the JSON interface until Ctrl-C or SIGTERM."),
    "ask": (
        "recommender.asking:ask",
        "Ask who is on each PICTURE, who looks like it, and which shows are drawn like it.",
    ),
    "models": (
        "indexer.commands:models",
        "List the trained models; a star marks the one that the next reindex works with.",
    ),
    "use": (
        "indexer.commands:use",
        "Choose the MODEL that the next reindex works with; what is served stays until then.",
    ),
    "snapshots": (
        "indexer.commands:snapshots",
        "List the snapshots, newest first; a star marks the one that is published.",
    ),
    "verify": (
        "indexer.commands:verify",
        "Check every snapshot, embedding and thumbnail, and the catalogue against the index; change nothing.",
    ),
    "prune": (
        "indexer.commands:prune",
        "Remove what nothing refers to any more: old snapshots, embeddings of old models, thumbnails.",
    ),
    "rollback": (
        "indexer.commands:rollback",
        "Publish SNAPSHOT again; without one, the newest whole one that is older than the published.",
    ),
    "forget": (
        "indexer.commands:forget",
        "Remove pictures on demand: file, provenance, embedding, thumbnail and index entry; publish without them.",
    ),
    "db": ("indexer.commands:db", "Look after the catalogue."),
    "bench": ("bench.commands:bench", "Measure, and print the figures. Let nothing else run on the machine meanwhile."),
}
"""Where each command is, and the first line of its help: `sokkuri --help` imports none of them."""

INTERRUPTED = 130
LARGEST_SEED = 2**32 - 1
"""NumPy takes no negative seed, and torch none that needs more than 64 bits, multiplied by the number of an epoch."""
Function = TypeVar("Function", bound=Callable[..., Any])


def named(reference: str) -> Any:
    """Import what a string such as `web.commands:serve` names."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


class LazyGroup(click.Group):
    """A group that reads COMMANDS: listing costs nothing, calling imports one module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = named(COMMANDS[cmd_name][0])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Say who an anime character is, and which shows are drawn like it.\n\n"
        "\b\nFrom a folder LIBRARY/<show>/<character>/*.jpg to answers:\n"
        "  sokkuri train LIBRARY\n  sokkuri reindex LIBRARY\n  sokkuri serve\n  sokkuri ask picture.jpg"
    ),
    epilog="Every command has its own --help, with examples. Settings: see README, “Settings”.",
)
@click.version_option(package_name="sokkuri")
def group() -> None:
    """Run a sub-command: `main` is what a terminal starts."""


def main() -> None:
    """Run the command line. What a user can cause ends as one line on stderr: exit 1, 2 for wrong usage, 130 for ^C."""
    logging.basicConfig(level=logging.WARNING, format="sokkuri: %(message)s")
    try:
        code = group.main(prog_name="sokkuri", standalone_mode=False)
    except click.Abort:
        _end("stopped; what was finished stays", INTERRUPTED)
    except click.UsageError as error:
        if "\n" in error.format_message():
            error.show()  # the help of a group that was called without a command
            sys.exit(error.exit_code)
        where = error.ctx.command_path if error.ctx else _innermost(sys.argv[1:])
        _end(f"{error.format_message()} (`{where} --help` tells more)", error.exit_code)
    except click.ClickException as error:
        _end(error.format_message(), error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away; writing the rest would only fail again, at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        line = line_of(error)
        if line is None:
            raise
        _end(line, 1)
    sys.exit(code if isinstance(code, int) else 0)


def _innermost(words: Sequence[str]) -> str:
    """Return the path of the command that some words call: not every error of click's parser says whose it is."""
    context = click.Context(group, info_name="sokkuri")
    for word in words:
        if not isinstance(context.command, click.Group):
            break
        if command := context.command.get_command(context, word):  # what is no command is an option without a value
            context = click.Context(command, context, info_name=word)
    return context.command_path


def line_of(error: Exception) -> str | None:
    """Return what a user is told about an error that a command ends with; None for a mistake of the program."""
    if isinstance(error, SokkuriError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").partition(".")[0]
        if missing in TRAINING:
            return f"this command needs {missing}, which is not installed: pip install 'sokkuri[train]', or make setup"
        if missing == "openvino":
            return f"this command needs {missing}, which is not installed: pip install {missing}"
    if broken := _unloadable(error):
        remedy = broken if broken == "openvino" else "'sokkuri[train]'"
        return f"this command needs {broken}, which is installed but cannot be loaded ({error}): pip install {remedy}"
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = ": make room and run it again, what is finished is kept" if full else ""
        if error.errno == errno.EIO:
            remedy = ": check the disk and run it again; nothing was published that is not whole"
        return f"{error.strerror or error}{where}{remedy}"
    return None


def _unloadable(error: Exception) -> str:
    """Return the package in whose own files an import failed, as where a library of its is gone; "" without any."""
    # What ctypes cannot load is an OSError without a number.
    if not isinstance(error, ImportError) and not (isinstance(error, OSError) and error.errno is None):
        return ""
    found, trace = "", error.__traceback__
    while trace:
        package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        found = package if package in (*TRAINING, "openvino") else found
        trace = trace.tb_next
    return found


class Number(click.FloatRange):
    """A number in a range, as `FloatRange`, which lets `nan` through: no comparison rules that out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Fails as a wrong usage."""
        found = super().convert(value, param, ctx)
        if isnan(found):
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


class NamedPath(click.Path):
    """A file or folder by its name, as `Path`. An empty name, as an unset variable leaves it, is no folder."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Fails as a wrong usage."""
        if value == "":
            self.fail("the name is empty: name a file or folder, . for this one", param, ctx)
        return super().convert(value, param, ctx)


def home_option(function: Function) -> Function:
    """Add `--home` to a command; `settings_of` understands its value."""
    return click.option(
        "--home",
        type=NamedPath(file_okay=False),
        help="Where models, snapshots and the catalogue are kept.  [default: SOKKURI_HOME, or var]",
    )(function)


def seed_option(draws: str) -> Callable[[Function], Function]:
    """Add `--seed` to a command, with what is drawn by it: a number that every generator in use takes."""
    return click.option("--seed", default=0, show_default=True, type=click.IntRange(0, LARGEST_SEED), help=draws)


def json_option(function: Function) -> Function:
    """Add `--json` to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


def settings_of(home: Path | None, **options: object) -> Settings:
    """Return the settings of the environment, with `--home` and other options on top, where they are given."""
    return Settings.from_env(os.environ, home=home, **options)


def settings_of_home(home: Path | None) -> Settings:
    """Return the settings for a command that only looks at what is there. Raises NotFound where there is no home."""
    settings = settings_of(home)
    if not settings.home.is_dir():
        raise NotFound(f"there is no home {settings.home}: name another with --home, or run `sokkuri train LIBRARY`")
    return settings


def one_line(text: str) -> str:
    r"""Return a text such that a terminal shows one line: control characters, which names of files may hold, as \n."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _end(line: str, code: int) -> None:
    """Print one line on stderr and exit."""
    click.echo(f"sokkuri: {one_line(line)}", err=True)
    sys.exit(code)
