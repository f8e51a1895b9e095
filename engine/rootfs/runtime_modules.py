"""Compiles the modules that the agent may import. Run by the guest's own Python, on the host, as a program.

Its arguments are one JSON object: ``agent`` (folder that holds the package guest), ``roots`` (modules always kept),
``excluded`` (modules never kept), ``guest_library`` (where the standard library lies in the guest), ``out``. Under
``out`` it writes ``library/`` and ``agent/`` with compiled files only, and ``extensions.json``, a list of files.
It can import nothing of this project: the interpreter that runs it has its own standard library and no more.
"""

from __future__ import annotations

import json
import py_compile
import sys
from modulefinder import ModuleFinder
from pathlib import Path


def main() -> None:
    options = json.loads(sys.argv[1])
    agent, out = Path(options["agent"]), Path(options["out"])
    library = Path(json.__file__).parent.parent
    finder = ModuleFinder(path=[str(agent), *sys.path], excludes=options["excluded"])
    for name in (*options["roots"], *(f"guest.{file.stem}" for file in sorted((agent / "guest").glob("*.py")))):
        finder.import_hook(name, fromlist=["*"])
    # Without the names that are attributes of a package, which the finder can't tell from modules.
    absent = {*finder.any_missing_maybe()[0], *options["excluded"]} & set(finder.badmodules)
    missing = sorted(
        f"{importer} imports {name}"
        for name in absent
        for importer in finder.badmodules[name]
        if importer.startswith("guest.")
    )
    if missing:
        sys.exit(f"The guest has no such module: {', '.join(missing)}")
    extensions: list[str] = []
    for name in sorted(finder.modules):
        source: str | None = vars(finder.modules[name])["__file__"]
        if source is None:  # built in
            continue
        if not source.endswith(".py"):
            extensions.append(source)
        elif Path(source).is_relative_to(agent):
            compiled_file(Path(source), agent, out / "agent", "/agent", optimize=0)
        else:
            # Docstrings of the library are half its size, and nobody reads them there.
            compiled_file(Path(source), library, out / "library", options["guest_library"], optimize=2)
    (out / "extensions.json").write_text(json.dumps(extensions))


def compiled_file(source: Path, base: Path, out: Path, guest_base: str, *, optimize: int) -> None:
    """Compile ``source`` to the same place below ``out``; never checked against a source, and without a time in it."""
    relative = source.relative_to(base)
    target = out / relative.with_suffix(".pyc")
    target.parent.mkdir(parents=True, exist_ok=True)
    py_compile.compile(
        str(source),
        str(target),
        dfile=f"{guest_base}/{relative}",
        doraise=True,
        optimize=optimize,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


if __name__ == "__main__":
    main()
