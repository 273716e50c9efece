"""README keeps up with the program: whatever a user can call, set or ask for is named there, with its default."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from recommender.cli import COMMANDS
from recommender.settings import PREFIX, Settings
from web.openapi_jobs import document

ROOT = Path(__file__).parents[1]
PROMISED_TARGETS = ("setup", "run", "test", "test-fast", "bench")
"""Those that interfaces.md fixes, as far as they exist."""


@pytest.fixture(scope="module")
def readme() -> str:
    """Return README; until it has a section there is nothing to hold it to."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if not re.search(r"^## ", text, re.MULTILINE):
        pytest.skip("README has no sections yet")
    return text


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """Return the targets that the Makefile lists."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_named(readme: str, name: str) -> None:
    """Each command appears as it is typed: `sokkuri NAME`."""
    assert re.search(rf"\bsokkuri {name}\b", readme)


def test_only_commands_are_named(readme: str) -> None:
    """What README tells to type exists: no command of yesterday or tomorrow."""
    named = set(re.findall(r"(?:^\$? *|`)sokkuri ([a-z]+)", readme, re.MULTILINE))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_stands_in_a_table(readme: str, field: object) -> None:
    """Each setting has a row with its variable and its default."""
    name = getattr(field, "name", "")
    variable = PREFIX + name.upper()
    rows = [line for line in readme.splitlines() if line.startswith("|") and f"`{variable}`" in line]
    assert len(rows) == 1, f"{variable} has {len(rows)} rows"
    default = getattr(Settings(), name)
    written = {str(default), f"{default:,}"} if isinstance(default, int) else {str(default), f"{default}/"}
    cells = [cell.strip().strip("`") for cell in rows[0].strip("|").split("|")]
    assert written & set(cells) or (default == "" and {"", "empty", "(empty)"} & set(cells)), rows[0]


def test_only_settings_are_named(readme: str) -> None:
    """No variable stands in README that nothing reads."""
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", readme)) <= known


@pytest.mark.parametrize("path", document(with_jobs=True)["paths"])
def test_every_address_is_named(readme: str, path: str) -> None:
    """Each address of the interface is there in full; what stands between braces may have another name."""
    assert re.search(re.escape(re.sub(r"{\w+}", "{}", path)) + r"(?![\w/{])", re.sub(r"{\w+}", "{}", readme))


def test_every_make_target_that_is_named_exists(readme: str, targets: set[str]) -> None:
    """`make TARGET` in README is a target of the Makefile."""
    named = set(re.findall(r"(?:^\$? *|`)make ([a-z][a-z-]*)", readme, re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("target", PROMISED_TARGETS)
def test_every_promised_target_is_named_and_exists(readme: str, targets: set[str], target: str) -> None:
    """The targets that other files rely on are in the Makefile and in README."""
    assert target in targets
    assert re.search(rf"\bmake {target}(?![\w-])", readme)


def test_every_link_within_the_repository_leads_somewhere(readme: str) -> None:
    """A relative link names a file that is there; a picture too."""
    links = re.findall(r"\]\(([^)\s]+)\)", readme) + re.findall(r'\bsrc="([^"]+)"', readme)
    local = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith(("#", "mailto:"))]
    assert [link for link in local if not (ROOT / link).exists()] == []
