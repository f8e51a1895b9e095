"""What README and docs/ say of commands, tasks, settings and files is so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from engine.cli.root import program
from engine.host.checks import CHECKS
from engine.languages.catalogue import Catalogue
from engine.languages.proofs import read_proofs
from engine.languages.table import markdown
from engine.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(program())
TASKS = set(re.findall(r"^  ([a-z][a-z:-]*):$", (ROOT / "Taskfile.yaml").read_text(), re.MULTILINE))
OTHERS = {"VMDECK_ASCII", "VMDECK_CONFIG_DIR", "VMDECK_PYTHON"}
TOLD_TO_CODE = {"VMDECK_USER", "VMDECK_WORKDIR"}  # in microVMs, see docs/operations.md
VARIABLES = {f"VMDECK_{name.upper()}" for name in Settings.model_fields} | OTHERS | TOLD_TO_CODE

_CODE = re.compile(r"```(\w*)\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_COMMAND = re.compile(r"(?:^|(?<=[\s;|(]))vmdeck(?: [^\n|;#`]+)?")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands(text: str) -> Iterator[str]:
    """Every command line of ours in the page's code, inline or in blocks of shell, continued lines joined."""
    for language, block, inline in _CODE.findall(text):
        if language in ("", "sh"):
            yield from _COMMAND.findall((block or inline).replace("\\\n", " "))


def unknown(line: str) -> str | None:
    """The first word of a command line that our command does not know, None where it knows all."""
    at = COMMANDS
    for word in shlex.split(line, posix=True)[1:]:
        if word.startswith("-") and len(word) > 1:
            known = {name for param in at.params for name in param.opts} | {"--help", "-h"}
            if word.partition("=")[0] not in known:
                return f"{at.name} has no {word}"
        elif isinstance(at, TyperGroup):
            if word not in at.commands:
                return f"{at.name} has no command {word}"
            at = at.commands[word]
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    wrong = {line: reason for line in commands(page.read_text()) if (reason := unknown(line))}
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_task_exists(page: Path) -> None:
    assert set(re.findall(r"\./taskw ([a-z][a-z:-]*)", page.read_text())) <= TASKS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_is_a_setting(page: Path) -> None:
    assert set(re.findall(r"VMDECK_[A-Z_]*[A-Z]", page.read_text())) <= VARIABLES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_resolves(page: Path) -> None:
    targets = [link.partition("#")[0] for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_source_file_exists(page: Path) -> None:
    paths = re.findall(r"`((?:console|docs|engine|guest|tests|themes)/[\w./-]+)`", page.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_page_of_languages_is_made_from_the_catalogue() -> None:
    assert (ROOT / "docs" / "languages.md").read_text() == markdown(Catalogue.load(), read_proofs()), (
        "make it anew: ./taskw docs"
    )


def test_operations_names_every_check_of_the_host() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert [spec.title for spec in CHECKS if spec.title not in page] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("`vmdeck host --lang python --code 'print(1)'`", None),
        ("`vmdeck host --langs python`", "host has no --langs"),
        ("```sh\nvmdeck snapshot\\\n  make\n```", "snapshot has no command make"),
        ("`vmdeck frobnicate`", "vmdeck has no command frobnicate"),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, reason: str | None) -> None:
    assert [unknown(line) for line in commands(text)] == [reason]
