"""The laws of the architecture, read off the source: who imports whom, who knows which package, what is never done."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("recommender", "indexer", "web", "migrations", "bench")

MAY_IMPORT = {
    "recommender": {"recommender"},
    "indexer": {"indexer", "recommender", "migrations"},
    "web": {"web", "recommender"},
    "migrations": {"migrations", "recommender"},
    "bench": set(PACKAGES),
}
"""The arrows between the packages. `recommender.cli` names sub-commands as strings, which are no imports."""

TORCH = (
    "recommender/encoders/torch_encoder.py",
    "recommender/encoders/pooled.py",
    "indexer/training/",
    "indexer/pretraining/",
    "indexer/views.py",
    "indexer/conversion.py",
)
HOMES = {
    "PIL": ("recommender/images.py", "indexer/demo/"),
    "alembic": ("migrations/",),
    "bs4": ("indexer/collect/",),
    "click": ("recommender/cli.py", "recommender/asking.py", "indexer/commands.py", "web/commands.py"),
    "faiss": (
        "recommender/indexes/faiss_index.py",
        "recommender/indexes/ivf_index.py",
        "recommender/indexes/lists.py",
        "recommender/indexes/tuning.py",
    ),
    "filelock": ("indexer/",),
    "flask": ("web/",),
    "gunicorn": ("web/",),
    "huey": ("recommender/jobqueue.py",),
    "jinja2": ("indexer/evaluation/",),
    "matplotlib": ("indexer/evaluation/",),
    "nncf": ("indexer/conversion.py",),
    "numpy": ("recommender/", "indexer/", "web/"),
    "openvino": ("recommender/encoders/openvino_encoder.py", "indexer/conversion.py", "indexer/exporting.py"),
    "prometheus_client": ("web/metrics.py",),
    "protego": ("indexer/collect/manners.py",),
    "requests": ("indexer/collect/",),
    "resvg_py": ("indexer/demo/drawing.py",),
    "safetensors": (
        "recommender/modelfolder.py",
        "recommender/encoders/torch_encoder.py",
        "indexer/training/",
        "indexer/pretraining/",
    ),
    "scipy": ("indexer/evaluation/",),
    "sklearn": ("indexer/evaluation/",),
    "soupsieve": ("indexer/collect/sources.py",),
    "sqlalchemy": ("recommender/catalogue.py", "recommender/rows.py", "recommender/tables.py", "migrations/"),
    "torch": TORCH,
    "torchvision": tuple(home for home in TORCH if home != "indexer/conversion.py"),
    "tqdm": ("indexer/progress.py",),
    "urllib3": ("indexer/collect/",),
    "werkzeug": ("web/",),
}
"""Where each third-party package may be imported: files, or folders with a slash. `bench` measures them all."""

READS_ENVIRONMENT = {"recommender/cli.py", "web/__init__.py", "web/commands.py", "migrations/env.py"}
"""Each passes the environment on to `Settings.from_env` and looks at nothing in it."""

IMPORTS_ALL = """
import importlib, json, sys, threading
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps([thread.name for thread in threading.enumerate()]))
"""


@dataclass(frozen=True)
class Module:
    """A source file, by its path below the repository."""

    path: str

    @property
    def package(self) -> str:
        """The package that it belongs to."""
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        """How it is imported."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        """What it says."""
        return ast.parse((ROOT / self.path).read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> set[str]:
        """The packages that it imports anywhere, within functions too."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0] if node.level == 0 else self.package)
        return found

    def calls(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Give every call as a dotted name, with its literal keyword arguments."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                literals: dict[str, object] = {
                    keyword.arg: keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg and isinstance(keyword.value, ast.Constant)
                }
                yield ast.unparse(node.func), literals


MODULES = [
    Module(file.relative_to(ROOT).as_posix()) for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))
]


def of(*packages: str) -> list[Module]:
    """Return the modules of some packages."""
    return [module for module in MODULES if module.package in packages]


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_point_one_way(package: str) -> None:
    """The recommender stands alone; indexer and web stand on it and never see each other."""
    assert of(package)
    for module in of(package):
        assert module.imports & set(PACKAGES) <= MAY_IMPORT[package], module.path


def test_only_the_command_line_imports_by_name() -> None:
    """Nobody goes around the arrows with strings but `recommender.cli`."""
    dynamic = {"import_module", "importlib.import_module", "__import__", "pkgutil.resolve_name"}
    assert {module.path for module in MODULES if dynamic & {name for name, _ in module.calls()}} <= {
        "recommender/cli.py"
    }


def test_nobody_imports_the_tests() -> None:
    """What is installed works without the tests."""
    assert [module.path for module in MODULES if "tests" in module.imports] == []


def test_every_package_has_one_home() -> None:
    """A third-party package is imported only in the files that the architecture gives it, and each has such a home."""
    for module in of("recommender", "indexer", "web", "migrations"):
        foreign = module.imports - set(PACKAGES) - sys.stdlib_module_names - {"_typeshed"}
        for name in foreign:
            assert name in HOMES, f"{module.path} imports {name}, which has no home"
            assert any(
                module.path == home or (home.endswith("/") and module.path.startswith(home)) for home in HOMES[name]
            ), f"{module.path} imports {name}, whose home is {' or '.join(HOMES[name])}"


def test_every_home_is_lived_in() -> None:
    """The list of homes names no package and no file that is not there any more."""
    for name, homes in HOMES.items():
        for home in homes:
            tenants = [module for module in MODULES if module.path.startswith(home) and name in module.imports]
            assert tenants, f"nothing in {home} imports {name}"


def test_only_the_doors_read_the_environment() -> None:
    """`os.environ` is passed to `Settings.from_env` where a program starts, and is looked at nowhere else."""
    for module in of("recommender", "indexer", "web", "migrations"):
        names = [ast.unparse(node) for node in ast.walk(module.tree) if isinstance(node, (ast.Attribute, ast.Name))]
        assert not {"os.getenv", "os.environb", "getenv"} & set(names), module.path
        assert "os" not in [node.module for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom)], (
            module.path
        )
        passed = [
            argument
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Settings.from_env"
            for argument in node.args
            if ast.unparse(argument) == "os.environ"
        ]
        assert names.count("os.environ") == len(passed), module.path
        assert not passed or module.path in READS_ENVIRONMENT, module.path


@pytest.mark.slow
def test_importing_builds_nothing(tmp_path: Path) -> None:
    """All modules can be imported in an empty folder without a file appearing there or a thread being started."""
    (tmp_path / "empty").mkdir(mode=0o555)
    names = [module.name for module in of("recommender", "indexer", "web")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SOKKURI_", "XDG_"))}
    # Torch makes a folder of its own below TMPDIR when it is imported: that one is not looked at.
    places = {"HOME": str(tmp_path / "empty"), "TMPDIR": str(tmp_path / "for-torch")}
    (tmp_path / "for-torch").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_ALL, json.dumps(names)],
        cwd=tmp_path / "empty",
        env=environment | places | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == ["MainThread"]
    assert list((tmp_path / "empty").rglob("*")) == []


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    """A function that seems to belong into utils, common or helpers belongs to a type."""
    drawers = {"util", "utils", "common", "helper", "helpers", "misc", "shared", "tools"}
    assert [module.path for module in MODULES if drawers & set(module.name.split("."))] == []


def test_no_pickle_is_ever_loaded() -> None:
    """Loading a pickle runs whatever is in it: numpy and torch are told not to, and nothing else is asked."""
    for module in MODULES:
        assert not module.imports & {"joblib", "dill", "cloudpickle", "shelve", "marshal"}, module.path
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module == "pickle":
                raise AssertionError(f"{module.path}: import pickle as a whole, so that its use can be seen")
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                assert node.attr in ("UnpicklingError", "PicklingError", "PickleError"), module.path
        for name, literals in module.calls():
            if name in ("np.load", "numpy.load"):
                assert literals.get("allow_pickle") is False, module.path
            if name == "torch.load" or name.endswith(("get_state_dict", "load_state_dict_from_url")):
                assert literals.get("weights_only") is True, module.path


def published_files() -> list[Path]:
    """Return the files that git knows, and those that it would add."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this is no git checkout, so nothing tells which files are the project's")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize(
    "trace",
    [
        *("/".join(("", folder, "")) for folder in ("work", "root")),
        *(".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))),
        *("-".join((word, "url")) for word in ("index", "registry")),
    ],
)
def test_no_file_tells_where_it_was_made(trace: str) -> None:
    """No path of one machine and no address of a registry stands in any file: they would hold nowhere else."""
    found = [file.relative_to(ROOT).as_posix() for file in published_files() if trace.encode() in file.read_bytes()]
    assert found == []
