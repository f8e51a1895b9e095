"""Every row of the catalogue is whole: its source, its commands, its examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.widgets import TextArea

from engine.errors import InputError, NotReadyError
from engine.languages.catalogue import Catalogue, Lack

ROWS = list(Catalogue.load())
REQUIRED = re.findall(
    r"\w+",
    """
python nodejs typescript go rust java csharp php ruby perl c cpp fortran pascal cobol haskell ocaml elixir erlang
clojure lisp kotlin scala groovy zig nim crystal d julia r octave lua tcl awk bash sqlite
deno bun racket prolog ada forth raku scheme vala objc asm wasm jq duckdb sml haxe fsharp
""",
)
LACKS: tuple[Lack, ...] = ("stdin", "second", "error")


def test_the_catalogue_has_what_was_asked_for() -> None:
    assert set(REQUIRED) - {row.id for row in ROWS} == set()
    assert len(ROWS) >= 70


def test_every_row_has_a_source() -> None:
    assert [row.id for row in ROWS if not (row.debian or row.pypi or row.npm or row.docker)] == []


def test_wheels_and_npm_packages_are_pinned() -> None:
    assert [name for row in ROWS for name in row.pypi if "==" not in name] == []
    assert [name for row in ROWS for name in row.npm if not re.search(r".@\d", name)] == []


def test_every_row_says_hello_by_its_id() -> None:
    assert [row.id for row in ROWS if f"Hello from {row.id}\n" not in row.expect] == []
    assert [row.id for row in ROWS if not (row.title and row.example.strip())] == []


def test_every_row_has_every_example_or_says_why_not() -> None:
    for row in ROWS:
        has = [name for name in LACKS if getattr(row, name) is not None]
        assert sorted([*has, *row.lacks]) == sorted(LACKS), row.id
        assert all(row.lacks.values()), row.id


def test_what_is_expected_is_whole_lines() -> None:
    outputs = {row.id: [row.expect, *(each.expect for each in (row.stdin, row.second) if each)] for row in ROWS}
    assert [name for name, expected in outputs.items() if not all(each.endswith("\n") for each in expected)] == []


def test_every_error_says_something() -> None:
    assert [row.id for row in ROWS if row.error and not row.error.says.strip()] == []


def test_only_what_is_compiled_has_errors_of_compiling() -> None:
    assert [row.id for row in ROWS if row.error and row.error.status == "compile_error" and not row.compile] == []


def test_the_second_file_is_not_the_first() -> None:
    assert [row.id for row in ROWS if row.second and (not row.second.files or row.file in row.second.files)] == []


def test_every_tool_tells_its_version() -> None:
    assert [row.id for row in ROWS if not row.version] == []


def test_a_shell_is_there_only_where_it_is_needed() -> None:
    argvs = [argv for row in ROWS for argv in (row.compile, row.run, row.version, *row.prepare)]
    shells = [argv for argv in argvs if argv[:2] in (("sh", "-c"), ("bash", "-c"))]
    assert [argv for argv in shells if not re.search(r"&&|[*<>|;]|\$@", argv[2])] == []


def test_only_known_places_are_left_open() -> None:
    with_code = [part for row in ROWS for argv in (row.compile, row.run) for part in argv]
    assert set(re.findall(r"\{[a-z]+\}", " ".join(with_code))) <= {"{file}", "{work}"}
    at_build = [part for row in ROWS for argv in (row.version, *row.prepare) for part in argv]
    assert [part for part in at_build if re.search(r"\{(file|work)\}", part)] == [], "there is no code yet"


def test_braces_that_are_no_place_stay() -> None:
    lua = Catalogue.load().recipe("lua")
    assert lua.command(("awk", "{print $1}", "{work}/{file}")) == ["awk", "{print $1}", "/work//work/main.lua"]


@pytest.mark.parametrize("source", ["docker golang:1.25", "docker archive golang:1.25"])
def test_in_whatever_docker_made_tools_are_where_their_makers_put_them(source: str) -> None:
    go = Catalogue.load().recipe("go")
    assert (go.within(source).compile[0], go.within(source).version[0]) == ("go", "go")
    assert go.within(source).env == {**go.env, "GOCACHE": "/tmp/go-build"}
    assert go.within("debian bookworm") == go


def test_every_highlighter_exists() -> None:
    assert {row.syntax for row in ROWS} - {None} <= set(TextArea().available_languages)


def test_names_can_be_typed() -> None:
    names = [name for row in ROWS for name in (row.id, *row.aliases)]
    assert [name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9+#._-]*", name)] == []


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


@pytest.mark.parametrize("wrong", ["frobs = 1", 'warm = "hot"', 'run = "cat"', 'id = "python"', "[A-B]", '["../x"]'])
def test_a_table_that_is_not_as_it_should_be_names_its_file(tmp_path: Path, wrong: str) -> None:
    own = OWN.replace('run = ["cat", "{file}"]\n', "") if wrong.startswith("run") else OWN
    (tmp_path / "languages.toml").write_text(own + wrong)
    with pytest.raises(NotReadyError, match=r"languages\.toml"):
        Catalogue.load(tmp_path / "languages.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "languages.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(NotReadyError, match=r"languages\.toml can't be read"):
        Catalogue.load(tmp_path / "languages.toml")


def test_a_language_is_found_by_an_alias_however_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "languages.toml").write_text(OWN.replace('"greet"', '"Greet"'))
    assert Catalogue.load(tmp_path / "languages.toml").recipe("gREET").id == "greeter"
