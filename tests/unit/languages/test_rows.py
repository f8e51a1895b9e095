"""Every row of the catalogue is whole: its source, its commands, its examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.widgets import TextArea

from engine.errors import InputError, NotReadyError
from engine.languages.catalogue import Catalogue, Lack, Recipe

ROWS = list(Catalogue.load())
HIGHLIGHTERS = TextArea().available_languages
REQUIRED = re.findall(
    r"\w+",
    """
python nodejs typescript go rust java csharp php ruby perl c cpp fortran pascal cobol haskell ocaml elixir erlang
clojure lisp kotlin scala groovy zig nim crystal d julia r octave lua tcl awk bash sqlite
deno bun racket prolog ada forth raku scheme vala objc asm wasm jq duckdb sml haxe fsharp
""",
)
LACKS: tuple[Lack, ...] = ("stdin", "second", "error")

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def commands(row: Recipe) -> list[tuple[str, ...]]:
    return [row.compile, row.run, row.version, *row.prepare]


def test_the_catalogue_has_what_was_asked_for() -> None:
    assert set(REQUIRED) - {row.id for row in ROWS} == set()
    assert len(ROWS) >= 70


@each_row
def test_a_row_has_a_source(row: Recipe) -> None:
    assert row.debian or row.docker


@each_row
def test_wheels_and_npm_packages_are_pinned(row: Recipe) -> None:
    assert [name for name in row.pypi if "==" not in name] == []
    assert [name for name in row.npm if not re.search(r".@\d", name)] == []


@each_row
def test_a_row_says_hello_by_its_id(row: Recipe) -> None:
    assert f"Hello from {row.id}\n" in row.expect
    assert row.title
    assert row.example.strip()


@each_row
def test_a_row_has_every_example_or_says_why_not(row: Recipe) -> None:
    has = {name for name in LACKS if getattr(row, name) is not None}
    assert has | set(row.lacks) == set(LACKS)
    assert has & set(row.lacks) == set()


@each_row
def test_what_is_expected_is_whole_lines(row: Recipe) -> None:
    outputs = [row.expect, *(example.expect for example in (row.stdin, row.second) if example)]
    assert [output for output in outputs if not output.endswith("\n")] == []


@each_row
def test_an_error_says_something(row: Recipe) -> None:
    if row.error:
        assert row.error.says.strip()
        assert row.error.status == "failed" or row.compile, "nothing is compiled"


@each_row
def test_the_second_file_is_another(row: Recipe) -> None:
    if row.second:
        assert row.second.files
        assert row.file not in row.second.files


@each_row
def test_the_tool_tells_its_version(row: Recipe) -> None:
    assert row.version or not row.debian


@each_row
def test_a_shell_is_there_only_where_it_is_needed(row: Recipe) -> None:
    for argv in commands(row):
        if "-c" in argv[:2] and Path(argv[0]).name in ("sh", "bash"):
            assert re.search(r"&&|[*<>|;]|\$@", argv[2]), f"{argv[2]!r} needs no shell"


@each_row
def test_only_known_places_are_left_open(row: Recipe) -> None:
    for argv in (row.compile, row.run):
        assert set(re.findall(r"\{[a-z]+\}", " ".join(argv))) <= {"{file}", "{work}"}
    for argv in (row.version, *row.prepare):
        assert not re.search(r"\{(file|work)\}", " ".join(argv)), "there is no code yet"


def test_braces_that_are_no_place_stay() -> None:
    lua = Catalogue.load().recipe("lua")
    assert lua.command(("awk", "{print $1}", "{work}/{file}")) == ["awk", "{print $1}", "/work//work/main.lua"]


@each_row
def test_the_highlighter_exists(row: Recipe) -> None:
    assert row.syntax is None or row.syntax in HIGHLIGHTERS


@each_row
def test_names_can_be_typed(row: Recipe) -> None:
    for name in (row.id, *row.aliases):
        assert re.fullmatch(r"[a-z0-9][a-z0-9+#._-]*", name), name


def test_only_python_is_parked() -> None:
    assert [row.id for row in ROWS if row.warm == "fork"] == ["python"]


OWN = """
[greeter]
title = "Greeter"
aliases = ["greet"]
file = "main.txt"
run = ["cat", "{file}"]
hello = "Hello from greeter\\n"
expect = "Hello from greeter\\n"
"""


def test_a_table_of_the_users_own_is_a_language(tmp_path: Path) -> None:
    (tmp_path / "languages.toml").write_text(OWN)
    catalogue = Catalogue.load(tmp_path / "languages.toml")
    assert catalogue.recipe("greet").command(catalogue.recipe("greeter").run) == ["cat", "/work/main.txt"]
    assert len(list(catalogue)) == len(ROWS) + 1


def test_a_table_of_the_users_own_replaces_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "languages.toml").write_text(OWN.replace("greeter", "lua"))
    catalogue = Catalogue.load(tmp_path / "languages.toml")
    assert catalogue.recipe("lua").title == "Greeter"
    assert len(list(catalogue)) == len(ROWS)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "languages.toml").write_text(OWN.replace('"greet"', '"py"'))
    with pytest.raises(InputError, match="Two languages are called 'py'"):
        Catalogue.load(tmp_path / "languages.toml")


@pytest.mark.parametrize("wrong", ["frobs = 1", 'warm = "hot"', 'run = "cat"'])
def test_a_table_that_is_not_as_it_should_be_names_its_file(tmp_path: Path, wrong: str) -> None:
    own = OWN.replace('run = ["cat", "{file}"]\n', "") if wrong.startswith("run") else OWN
    (tmp_path / "languages.toml").write_text(own + wrong)
    with pytest.raises(NotReadyError, match=r"languages\.toml"):
        Catalogue.load(tmp_path / "languages.toml")
