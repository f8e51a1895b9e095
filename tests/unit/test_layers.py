"""The arrows of the architecture, kept by reading every import of every file, those inside functions included.

    console, cli, http, client -> engine -> runs, jobs, ... -> snapshots, rootfs, vmm -> guestlink -> guest.protocol

A module may import what has a lower rank, and its equals as long as no circle comes of it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("console", "engine", "guest")
MAX_LINES = 500

# A unit is the longest of these prefixes of a module's name. A new part of the engine needs a rank here.
RANKS = {
    "guest": 0,
    "engine.models": 0,
    "engine.errors": 0,
    "engine.printable": 0,
    "engine.folders": 0,
    "engine.states": 0,
    "engine.settings": 0,
    "engine.api": 0,
    "engine.problem": 0,
    "engine.caller": 0,
    "engine.host": 0,
    "engine.whole_file": 0,
    "engine.own_folder": 0,
    "engine.listening": 0,
    "engine.languages": 0,
    "engine.vmm.base": 0,  # the contract of all VMMs: values and protocols
    "engine.vmm.stopwatch": 0,
    "engine.vmm.tail": 0,
    "engine.guestlink": 1,
    "engine.vmm": 2,
    "engine.rootfs": 2,
    "engine.snapshots": 2,
    "engine.objectstore": 3,
    "engine.history": 3,
    "engine.jobs": 3,
    "engine.runs": 3,
    "engine.setup": 3,
    "engine.lock": 3,
    "engine.viewers": 3,
    "engine.config_file": 3,
    "engine.operator_settings": 4,
    "engine.backend": 4,
    "engine.inventory": 4,
    "engine.sampling": 4,
    "engine.past": 4,
    "engine.tool_version": 5,
    "engine.stock": 5,
    "engine.exchange": 5,
    "engine.host_setup": 5,
    "engine.client": 5,
    "engine.engine": 6,
    "engine.attach": 7,
    "engine.http": 7,
    "engine.companion": 8,
    "engine.cli": 9,
    "engine.__main__": 10,
}
CONSOLE_MAY_IMPORT = (
    *("console", "engine.api", "engine.models", "engine.errors"),
    *("engine.folders", "engine.states", "engine.printable"),
    *("textual", "rich"),
    "pydantic",  # the public types are made of it, and a form tells what is wrong with one
)
GUEST_MAY_IMPORT = ("guest",)
WIRE = "guest.protocol"
RUNS_THE_AGENT = "engine.cli"  # `vmdeck guest`: the one place outside guest/ that knows more of it than the wire
TERMINAL = "engine.cli"  # the one place of the engine that draws
DRAWS = "rich"


@dataclass(frozen=True)
class Import:
    """One imported module, as seen at a line of a file."""

    file: Path
    line: int
    importer: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.importer} imports {self.name}"


def under(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def is_cli(name: str) -> bool:
    """engine.cli and its files beside it, engine.cli_*."""
    return under(name, TERMINAL) or name.startswith(f"{TERMINAL}_")


def unit(name: str) -> str | None:
    if is_cli(name):
        return "engine.cli"
    return max((prefix for prefix in RANKS if under(name, prefix)), key=len, default=None)


def module_name(path: Path) -> str:
    """Of a path relative to the root."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path, *packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted(path.relative_to(root) for path in (root / package).rglob("*.py"))


def is_module(root: Path, name: str) -> bool:
    path = root.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def imports(root: Path, *packages: str) -> list[Import]:
    found: list[Import] = []
    for path in sources(root, *packages):
        importer = module_name(path)
        base = importer.split(".") if path.name == "__init__.py" else importer.split(".")[:-1]
        for node in ast.walk(ast.parse((root / path).read_text())):
            found += [Import(path, line, importer, name) for line, name in named_by(node, base, root)]
    return found


def named_by(node: ast.AST, base: list[str], root: Path) -> Iterator[tuple[int, str]]:
    """Modules that a statement, or a call of import_module with a fixed name, imports."""
    match node:
        case ast.Import(names=names):
            yield from ((node.lineno, alias.name) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            stem = base[: len(base) - level + 1] if level else []
            origin = ".".join([*stem, *([module] if module else [])])
            for alias in names:
                inner = f"{origin}.{alias.name}"
                yield node.lineno, inner if is_module(root, inner) else origin
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            yield node.lineno, name
        case _:
            pass


# --- the rules: each gives what breaks it


def wrong_in_console(root: Path) -> list[Import]:
    return [
        use
        for use in imports(root, "console")
        if not under(use.name, *CONSOLE_MAY_IMPORT, *sys.stdlib_module_names) and use.name != "engine"
    ]


def wrong_in_guest(root: Path) -> list[Import]:
    return [use for use in imports(root, "guest") if not under(use.name, *GUEST_MAY_IMPORT, *sys.stdlib_module_names)]


def drawn_by_engine(root: Path) -> list[Import]:
    return [
        use
        for use in imports(root, "engine")
        if under(use.name, "console", "textual") or (under(use.name, DRAWS) and not is_cli(use.importer))
    ]


def agent_known_by_engine(root: Path) -> list[Import]:
    return [
        use
        for use in imports(root, "engine")
        if under(use.name, "guest") and not under(use.name, WIRE) and not is_cli(use.importer)
    ]


def unranked(root: Path) -> list[str]:
    return [name for path in sources(root, "engine") if (name := module_name(path)) != "engine" and unit(name) is None]


def against_the_arrows(root: Path) -> list[Import]:
    found: list[Import] = []
    for use in imports(root, "engine"):
        upper, lower = unit(use.importer), unit(use.name)
        if upper is not None and lower is not None and RANKS[lower] > RANKS[upper]:
            found.append(use)
    return found


def circle(root: Path) -> list[str]:
    """Units that import each other in a circle; empty where none do."""
    graph: dict[str, set[str]] = {}
    for use in imports(root, "engine"):
        upper, lower = unit(use.importer), unit(use.name)
        if upper is not None and lower is not None and upper != lower:
            graph.setdefault(upper, set()).add(lower)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def too_long(root: Path) -> list[str]:
    lengths = {path: len((root / path).read_text().splitlines()) for path in sources(root, *OURS)}
    return [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > MAX_LINES]


# --- the project keeps them


def test_console_imports_the_public_engine_and_its_toolkit_only() -> None:
    assert [str(use) for use in wrong_in_console(ROOT)] == []


def test_guest_imports_the_standard_library_only() -> None:
    assert [str(use) for use in wrong_in_guest(ROOT)] == []


def test_engine_knows_no_console_and_draws_in_its_cli_only() -> None:
    assert [str(use) for use in drawn_by_engine(ROOT)] == []


def test_engine_knows_of_the_guest_only_the_wire() -> None:
    assert [str(use) for use in agent_known_by_engine(ROOT)] == []


def test_every_part_of_the_engine_has_a_rank() -> None:
    assert unranked(ROOT) == []


def test_arrows_point_down() -> None:
    assert [str(use) for use in against_the_arrows(ROOT)] == []


def test_no_parts_import_each_other_in_a_circle() -> None:
    assert circle(ROOT) == []


def test_no_file_is_too_long_to_read() -> None:
    assert too_long(ROOT) == []


# --- and each rule would notice


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A project whose every package exists and is empty."""
    for folder in (*OURS, "engine/runs", "engine/vmm", "engine/guestlink", "engine/host"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    for name in ("guest/protocol.py", "guest/agent.py", "engine/runs/runner.py", "engine/vmm/base.py"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "rule"),
    [
        ("console/app.py", "import engine.runs", wrong_in_console),
        ("console/app.py", "from engine import runs", wrong_in_console),
        ("console/app.py", "def late():\n    from engine.runs import runner", wrong_in_console),
        ("console/app.py", "import httpx", wrong_in_console),
        ("guest/agent.py", "import psutil", wrong_in_guest),
        ("guest/agent.py", "from engine.models import Vm", wrong_in_guest),
        ("engine/runs/a.py", "import console", drawn_by_engine),
        ("engine/cli.py", "def late():\n    from textual.app import App", drawn_by_engine),
        ("engine/cli.py", "import importlib\nimportlib.import_module('console.launch')", drawn_by_engine),
        ("engine/runs/a.py", "from rich.console import Console", drawn_by_engine),
        ("engine/runs/a.py", "from guest import agent", agent_known_by_engine),
        ("engine/novelty.py", "", unranked),
        ("engine/vmm/a.py", "import engine.runs.runner", against_the_arrows),
        ("engine/vmm/a.py", "from ..runs import runner", against_the_arrows),
        ("engine/vmm/a.py", "from .. import runs", against_the_arrows),
        ("engine/guestlink/a.py", "def late():\n    import engine.vmm.qemu", against_the_arrows),
        ("engine/host/a.py", "if TYPE_CHECKING:\n    from engine.runs import runner", against_the_arrows),
        ("engine/models.py", "import engine.vmm.qemu", against_the_arrows),
        ("engine/runs/a.py", "x = 1\n" * (MAX_LINES + 1), too_long),
    ],
)
def test_a_breach_is_noticed(house: Path, file: str, text: str, rule: object) -> None:
    (house / file).write_text(text)
    assert callable(rule)
    assert len(rule(house)) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("console/app.py", "import tomllib\nfrom textual.app import App\nfrom engine.models import Vm"),
        ("guest/agent.py", "import os\nfrom guest import protocol\nfrom . import protocol"),
        ("engine/cli_table.py", "from rich.table import Table\nimport guest.agent"),
        ("engine/runs/a.py", "from engine.vmm import base\nimport guest.protocol\nfrom engine.models import Vm"),
        ("engine/guestlink/a.py", "from engine.vmm.base import ByteStream"),
    ],
)
def test_what_the_arrows_allow_is_no_breach(house: Path, file: str, text: str) -> None:
    (house / file).write_text(text)
    rules = (wrong_in_console, wrong_in_guest, drawn_by_engine, agent_known_by_engine, unranked, against_the_arrows)
    assert [found for rule in rules for found in rule(house)] == []
    assert circle(house) == []


def test_a_circle_of_equals_is_noticed(house: Path) -> None:
    (house / "engine" / "jobs.py").write_text("import engine.history")
    (house / "engine" / "history.py").write_text("from engine.jobs import JobBoard")
    assert {"engine.jobs", "engine.history"} <= set(circle(house))


# --- and so does what is loaded in the end, through third parties too


def loaded_by(statements: str, *flags: str) -> set[str]:
    """Top names of all modules in a fresh interpreter after ``statements``."""
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{statements}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", ["engine.cli", "engine.engine", "engine.http", "engine.client"])
def test_the_engine_loads_no_textual(module: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} does not exist yet")
    assert loaded_by(f"import {module}") & {"textual", "console"} == set()


def test_the_engine_loads_no_docker() -> None:
    """Only the processes that talk to a Docker engine do: importing it takes a tenth of a second."""
    assert "docker" not in loaded_by("import engine.engine, engine.http.app")


def test_a_console_and_its_way_to_an_engine_load_neither_the_engine_nor_a_server() -> None:
    """The engine is another process; what it needs would cost the console time and memory."""
    heavy = "{'engine.engine', 'engine.http', 'engine.vmm', 'fastapi', 'uvicorn', 'boto3', 'docker'}"
    code = f"import console.app, engine.client, engine.companion, sys; sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.stderr.strip() == "set()"


def test_the_guest_runs_on_the_standard_library_alone() -> None:
    names = [module_name(path) for path in sources(ROOT, "guest") if path.name != "__main__.py"]
    statements = "\n".join(f"import {name}" for name in names)
    loaded = loaded_by(statements, "-I", "-S")  # no site-packages to be found at all
    assert loaded - set(sys.stdlib_module_names) - {"guest", "__main__"} == set()
