"""docs/languages.md, made from the catalogue: ``python -m engine.languages.table >docs/languages.md``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from engine.languages.catalogue import Catalogue, Recipe

_HEAD = """# Languages

Made from `engine/languages/catalogue.toml` by `./taskw docs`; change the catalogue, not this page. A language of your
own is a table in `languages.toml` in the config folder (`/etc/vmdeck` for root, else `~/.config/vmdeck`), with the same
keys; a table of a shipped id replaces it.

Start says what a snapshot of the language holds: **parked**, an interpreter that waits for its script, **server**, a
server that runs and waits for its client, or **page cache**, a system that has run the language once.
"""
_STARTS = {"fork": "parked", "server": "server", "pagecache": "page cache"}


def markdown(recipes: Iterable[Recipe]) -> str:
    """The whole page."""
    return "\n".join(_lines(list(recipes))) + "\n"


def _lines(recipes: list[Recipe]) -> Iterator[str]:
    yield _HEAD
    yield "| language | id and aliases | category | file | start | default limits |"
    yield "|---|---|---|---|---|---|"
    for recipe in recipes:
        names = ", ".join(f"`{name}`" for name in (recipe.id, *recipe.aliases))
        start = _STARTS[recipe.warm]
        yield f"| {recipe.title} | {names} | {recipe.category} | `{recipe.file}` | {start} | {_limits(recipe)} |"
    for recipe in recipes:
        yield from _section(recipe)


def _limits(recipe: Recipe) -> str:
    limits = recipe.limits
    output = f"{limits.stdout_bytes // 1024} and {limits.stderr_bytes // 1024} KiB of stdout and stderr"
    files = f"files of {limits.file_mib} MiB, {limits.tmpfs_mib} MiB together"
    return f"{limits.timeout_s:g} s, {limits.cpu_s:g} s of CPU, {limits.pids} processes, {output}, {files}"


def _section(recipe: Recipe) -> Iterator[str]:
    yield f"\n## {recipe.title}\n"
    if recipe.compile:
        yield f"- compiled by `{shlex.join(recipe.command(recipe.compile))}`"
    yield f"- run by `{shlex.join(recipe.command(recipe.run))}`, the request's arguments behind it"
    if recipe.server:
        yield f"- served by `{shlex.join(recipe.server.start)}`, which runs before the code does"
    if recipe.env:
        yield "- environment: " + ", ".join(f"`{name}={value}`" for name, value in recipe.env.items())
    if recipe.memory_mib:
        yield f"- microVM of {recipe.memory_mib} MiB where the request does not say"
    if recipe.debian:
        packages = ",".join(recipe.debian.packages)
        suite = f" --suite {recipe.debian.suite}" if recipe.debian.suite else ""
        image = f"vmdeck rootfs from-debian --name {recipe.id} --lang {recipe.id} --packages {packages}{suite}"
        yield f"- an image of its own: `{image}`"
    if recipe.example:
        yield f"\n```{recipe.syntax or ''}\n{recipe.example.strip()}\n```"


if __name__ == "__main__":
    print(markdown(Catalogue.load()), end="")
