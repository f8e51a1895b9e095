"""docs/languages.md, made from catalogue and proofs: ``python -m engine.languages.table >docs/languages.md``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.languages.catalogue import Catalogue, LanguageLimits, Recipe
from engine.languages.proofs import LanguageProof, read_proofs, standing

_HEAD = """# Languages

Made from `engine/languages/catalogue.toml` by `./taskw docs`; change the catalogue, not this page. A language of your
own is a table in `languages.toml` in the config folder (`/etc/vmdeck` for root, else `~/.config/vmdeck`), with the same
keys; a table of a shipped id replaces it.

Start says what a snapshot of the language holds: **parked**, an interpreter that waits for its script, **server**, a
server that runs and waits for its client, or **page cache**, a system that has run the language once. Source says what
an image is made from; **docker only** is what no registry of packages has.
"""
_PROOFS_HEAD = """
## Proven

By `./taskw test:languages`: each image was built, and its examples (a hello, one that reads standard input, one with a
second file, an error) ran in microVMs, as the unprivileged user and without network. Times are from the request to
the first output of hello, by a boot and from a snapshot, compiling included.
"""
_STARTS = {"fork": "parked", "server": "server", "pagecache": "page cache"}


def markdown(recipes: Iterable[Recipe], proofs: Mapping[str, LanguageProof]) -> str:
    """The whole page."""
    return "\n".join(_lines(list(recipes), proofs)) + "\n"


def proof_table(recipes: Iterable[Recipe], proofs: Mapping[str, LanguageProof]) -> Iterator[str]:
    """A table of the languages whose proof stands, and how many these are."""
    proven = [(recipe, proof) for recipe in recipes if (proof := standing(recipe, proofs))]
    yield "| language | version | image MB | build s | cold ms | warm ms | peak MiB | VMM | date |"
    yield "|---|---|---:|---:|---:|---:|---:|---|---|"
    for recipe, proof in proven:
        figures = (
            _number(proof.image_bytes, 1e6), _number(proof.build_s), _number(proof.cold_ms), _number(proof.warm_ms),
            _number(proof.peak_memory_bytes, 1024 * 1024),
        )  # fmt: skip
        version = (proof.version or "").replace("|", "\\|")
        yield f"| {recipe.title} | {version} | {' | '.join(figures)} | {proof.vmm} | {proof.date:%Y-%m-%d} |"
    yield f"\n{len(proven)} languages are proven."


def source(recipe: Recipe) -> str:
    """What an image of the language is made from, in a few words."""
    parts = [
        *(["Debian" + (f" {recipe.debian.suite}" if recipe.debian.suite else "")] if recipe.debian else []),
        *(["PyPI"] if recipe.pypi else []),
        *(["npm"] if recipe.npm else []),
    ]
    return " and ".join(parts) if parts else "docker only"


def _number(value: float | None, unit: float = 1) -> str:
    return "" if value is None else f"{value / unit:.0f}"


def _lines(recipes: list[Recipe], proofs: Mapping[str, LanguageProof]) -> Iterator[str]:
    yield _HEAD
    yield f"Where a language says nothing else, a run has {_limits(LanguageLimits())}.\n"
    yield "| language | id and aliases | category | source | start | proven |"
    yield "|---|---|---|---|---|---|"
    for recipe in recipes:
        names = ", ".join(f"`{name}`" for name in (recipe.id, *recipe.aliases))
        proof = standing(recipe, proofs)
        cells = (
            names,
            recipe.category,
            source(recipe),
            _STARTS[recipe.warm],
            f"{proof.date:%Y-%m-%d}" if proof else "no",
        )
        yield f"| {recipe.title} | {' | '.join(cells)} |"
    yield _PROOFS_HEAD
    yield from proof_table(recipes, proofs)
    for recipe in recipes:
        yield from _section(recipe)


def _limits(limits: LanguageLimits) -> str:
    output = f"{limits.stdout_bytes // 1024} and {limits.stderr_bytes // 1024} KiB of stdout and stderr"
    files = f"files of {limits.file_mib} MiB, {limits.tmpfs_mib} MiB together"
    return f"{limits.timeout_s:g} s, {limits.cpu_s:g} s of CPU, {limits.pids} processes, {output}, {files}"


def _section(recipe: Recipe) -> Iterator[str]:
    yield f"\n## {recipe.title}\n"
    yield f"- its code is `{recipe.file}`"
    if recipe.compile:
        yield f"- compiled by `{_shown(recipe.command(recipe.compile))}`"
    yield f"- run by `{_shown(recipe.command(recipe.run))}`, the request's arguments behind it"
    if recipe.server:
        yield f"- served by `{_shown(recipe.server.start)}`, which runs before the code does"
    if recipe.env:
        yield "- environment: " + ", ".join(f"`{name}={value}`" for name, value in recipe.env.items())
    if recipe.memory_mib:
        yield f"- microVM of {recipe.memory_mib} MiB where the request does not say"
    if recipe.limits != LanguageLimits():
        yield f"- {_limits(recipe.limits)}"
    yield from _sources(recipe)
    for example, why in recipe.lacks.items():
        yield f"- no example of {_LACKING[example]}: {why}"
    if recipe.example:
        yield f"\n```{recipe.syntax or ''}\n{recipe.example.strip()}\n```"


_LACKING = {"stdin": "reading standard input", "second": "a second file", "error": "an error"}


def _sources(recipe: Recipe) -> Iterator[str]:
    if recipe.debian:
        suite = f" of {recipe.debian.suite}" if recipe.debian.suite else ""
        yield f"- Debian packages{suite}: {_names(recipe.debian.packages)}"
    if recipe.pypi:
        yield f"- wheels: {_names(recipe.pypi)}"
    if recipe.npm:
        yield f"- npm packages: {_names(recipe.npm)}"
    if recipe.docker:
        yield f"- Docker image: `{recipe.docker.image}`"
    yield f"- an image of its own: `vmdeck rootfs build {recipe.id}`"


def _names(packages: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in packages)


def _shown(argv: Sequence[str]) -> str:
    """In one line: a script among the arguments is only hinted at."""
    return shlex.join(part if "\n" not in part else "..." for part in argv)


if __name__ == "__main__":
    print(markdown(Catalogue.load(), read_proofs()), end="")
