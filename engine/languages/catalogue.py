"""The catalogue: every language vmdeck knows, read from catalogue.toml and the user's own languages.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import InputError, NotFoundError, NotReadyError
from engine.models.packages import DebianPackage, NpmPackage, Suite, Wheel
from engine.models.value import Name

WORK_DIR = "/work"
WHEELS = "/usr/local/lib/pydeps"
NPM = "/usr/local/lib/npmdeps"
Category = Literal[
    "Popular", "Web", "Compiled", "Functional", "JVM", "Modern", "Scientific", "Scripting", "Database", "More"
]

_PLACE = re.compile(r"\{(?:file|work)\}")
Argv = tuple[str, ...]
Lack = Literal["stdin", "second", "error"]


class Table(BaseModel):
    """A table of the catalogue: read once, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DebianSource(Table):
    packages: tuple[DebianPackage, ...]
    suite: Suite | None = None


class DockerSource(Table):
    """An image of a registry. Commands of its own stand where tools lie elsewhere in Docker images than in ours."""

    image: str
    compile: Argv | None = None
    run: Argv | None = None
    version: Argv | None = None
    env: dict[str, str] = Field(default_factory=dict, description="over that of the row")


class Server(Table):
    """A program that serves the snippets, such as a database: started before them, as the unprivileged user, with the
    environment of the row, by commands without placeholders. What it takes is not counted as the snippet's."""

    start: Argv = Field(description="runs on in the foreground")
    ready: Argv = Field(description="exits with 0 as soon as the server answers")


class StdinExample(Table):
    """Code that reads standard input, and what it prints when it is given ``input``."""

    code: str
    input: str
    expect: str


class FilesExample(Table):
    """Code that uses a second file."""

    code: str
    files: dict[str, str]
    expect: str


class ErrorExample(Table):
    """Code with a mistake: how its run ends, and what it (or its compiler) says then, on either stream."""

    code: str
    status: Literal["compile_error", "failed"]
    says: str


class LanguageLimits(Table):
    """Defaults of one language; each is replaced by what a request says."""

    timeout_s: float = 10
    cpu_s: float = 10
    pids: int = 128
    stdout_bytes: int = 1024 * 1024
    stderr_bytes: int = 1024 * 1024
    file_mib: int = 64
    tmpfs_mib: int = 64


class Recipe(Table):
    """One language: how its code is laid down, compiled and run, and where its image comes from.

    Of commands each is an argv with placeholders. Wheels and npm packages go on top of the Debian packages: into
    WHEELS and NPM of the image. ``prepare`` runs there at build time, as root, after all packages are there.
    """

    id: Name
    title: str
    aliases: tuple[str, ...] = ()
    category: Category = "More"
    file: str
    compile: Argv = ()
    run: Argv
    env: dict[str, str] = Field(default_factory=dict)
    limits: LanguageLimits = LanguageLimits()
    memory_mib: int | None = None
    syntax: str | None = None
    warm: Literal["fork", "server", "pagecache"] = "pagecache"
    server: Server | None = None
    version: Argv = Field(default=(), description="prints the tool's version, in the image")
    hello: str
    expect: str
    example: str = ""
    stdin: StdinExample | None = None
    second: FilesExample | None = None
    error: ErrorExample | None = None
    lacks: dict[Lack, str] = Field(
        default_factory=dict[Lack, str], description="what the language can't do, and why: there is no example of that"
    )
    debian: DebianSource | None = None
    pypi: tuple[Wheel, ...] = ()
    npm: tuple[NpmPackage, ...] = ()
    prepare: tuple[Argv, ...] = ()
    docker: DockerSource | None = None

    def within(self, source: str) -> Recipe:
        """As it is in an image from ``source``: in those that Docker made, tools lie where their makers put them."""
        if self.docker is None or not source.startswith("docker "):
            return self
        own = {"compile": self.docker.compile, "run": self.docker.run, "version": self.docker.version}
        changed = {key: argv for key, argv in own.items() if argv is not None}
        return self.model_copy(update={**changed, "env": {**self.env, **self.docker.env}})

    @model_validator(mode="after")
    def _warm_as_it_can(self) -> Recipe:
        if (self.warm == "server") != (self.server is not None):
            raise ValueError('warm = "server" and a table `server` go together')
        return self

    def command(self, template: tuple[str, ...]) -> list[str]:
        """An argv of the catalogue with its placeholders filled; other braces in it are its own."""
        places = {"{file}": f"{WORK_DIR}/{self.file}", "{work}": WORK_DIR}
        return [_PLACE.sub(lambda place: places[place[0]], part) for part in template]


class Catalogue:
    """All recipes by id and alias."""

    def __init__(self, recipes: dict[str, Recipe]) -> None:
        self._recipes = recipes
        self._names: dict[str, Recipe] = {}
        for recipe in recipes.values():
            for name in map(str.lower, (recipe.id, *recipe.aliases)):
                if name in self._names:
                    raise InputError(f"Two languages are called {name!r}: {self._names[name].id} and {recipe.id}")
                self._names[name] = recipe

    @classmethod
    def load(cls, own: Path | None = None) -> Catalogue:
        """The shipped catalogue, then ``own`` (if it exists), whose tables replace shipped ones of the same id."""
        recipes = _parse(files(__name__.rpartition(".")[0]).joinpath("catalogue.toml").read_text(), "catalogue.toml")
        if own is not None and own.exists():
            recipes |= _parse(_text_of(own), str(own))
        return cls(recipes)

    def __iter__(self) -> Iterator[Recipe]:
        return iter(self._recipes.values())

    def recipe(self, name: str) -> Recipe:
        """Raises NotFoundError, naming what there is."""
        try:
            return self._names[name.lower()]
        except KeyError:
            known = ", ".join(sorted(self._recipes))
            raise NotFoundError(f"Unknown language {name[:64]!r}", remedy=f"Known languages: {known}") from None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotReadyError(f"{path} can't be read: {error}", remedy=f"Mend or remove {path}") from None


def _parse(text: str, where: str) -> dict[str, Recipe]:
    try:
        tables = tomllib.loads(text)
        if named := [name for name, table in tables.items() if "id" in table]:
            raise TypeError(f"{named[0]}: the table's name is its id")
        return {name: Recipe.model_validate({"id": name, **table}) for name, table in tables.items()}
    except (tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise NotReadyError(f"{where} is not a valid catalogue: {error}", remedy=f"Mend or remove {where}") from None
