"""The guest's private Python: Debian's interpreter with only the modules that the agent can come to need.

Modules are compiled beforehand by that same interpreter, run here through its own loader and C library, since
compiling at boot would cost an emulated guest seconds. What lands in the guest is interpreter, libraries, compiled
modules and extensions, given as cpio entries.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.rootfs import command, cpio, packages
from engine.rootfs.command import CommandFailedError

# Reached through importlib or C code, where no import statement shows it.
ROOTS = ("encodings.ascii", "encodings.latin_1", "encodings.utf_8", "ctypes", "json", "traceback")
# Imported by kept modules only inside functions that the agent never calls: most of the library hangs on these.
EXCLUDED = (
    "_pydecimal", "argparse", "bz2", "csv", "datetime", "decimal", "distutils", "doctest", "email", "encodings.mbcs",
    "fractions", "getopt", "gettext", "gzip", "hashlib", "importlib.metadata", "importlib.resources", "lib2to3",
    "logging", "lzma", "ntpath", "optparse", "pdb", "pickle", "pydoc", "random", "shutil", "statistics", "tarfile",
    "tempfile", "test", "tkinter", "unittest", "urllib", "zipfile",
)  # fmt: skip
_LOADER_FOLDERS = {"ld-linux-x86-64.so.2": "lib64", "ld-linux-aarch64.so.1": "lib"}
_COMPILER = Path(__file__).with_name("runtime_modules.py")


@dataclass(frozen=True, slots=True)
class UnpackedPython:
    """The packages unpacked under ``root``, and what is needed to start the interpreter there."""

    root: Path
    version: str
    loader: Path
    library_folders: tuple[Path, ...]

    @property
    def interpreter(self) -> Path:
        return self.root / "usr/bin" / self.version

    @property
    def standard_library(self) -> Path:
        return self.root / "usr/lib" / self.version

    @property
    def loader_command(self) -> list[str | Path]:
        return [self.loader, "--library-path", ":".join(map(str, self.library_folders))]


async def runtime_packages() -> dict[str, str]:
    """Names and versions of the packages that hold the runtime, as the host's apt has them."""
    minimal = _one(await packages.dependencies("python3-minimal"), r"python3\.\d+-minimal")
    library = minimal.replace("python", "libpython").replace("-minimal", "-stdlib")
    own = await packages.dependencies(minimal)
    names = [minimal, _one(own, r"libpython3\.\d+-minimal"), library, _one(own, r"libc6")]
    names += [name for name in own if re.fullmatch(r"libexpat1|zlib1g(t64)?", name)]
    names += [_one(await packages.dependencies(library), r"libffi\d+")]
    return await packages.candidate_versions(names)


async def unpack(archives: list[packages.Package], root: Path) -> UnpackedPython:
    """Unpack the downloaded ``archives`` under ``root``. Raises NotReadyError where they hold no usable Python."""
    for archive in archives:
        await packages.unpack(archive, root)
    versions = sorted(path.name for path in (root / "usr/bin").glob("python3.*") if path.name[8:].isdigit())
    loaders = sorted(path for path in root.rglob("ld-linux-*.so.*") if not path.is_symlink())
    if not versions or not loaders or loaders[0].name not in _LOADER_FOLDERS:
        raise NotReadyError(
            "Debian's Python packages have no interpreter and loader where they are expected",
            remedy="Build on Debian 12 or 13, on amd64 or arm64",
        )
    triplet = loaders[0].parent.name
    folders = tuple(folder for each in ("lib", "usr/lib") if (folder := root / each / triplet).is_dir())
    return UnpackedPython(root, versions[-1], loaders[0], folders)


async def build(python: UnpackedPython, agent: Path, work: Path) -> dict[str, cpio.Entry]:
    """Entries of the runtime and, below ``agent/``, of the package ``guest`` that lies in the folder ``agent``.

    ``work`` is an empty folder for what is made between. Raises InternalError where the agent imports what is absent.
    """
    options = {
        "agent": str(agent),
        "roots": ROOTS,
        "excluded": EXCLUDED,
        "guest_library": f"/usr/lib/{python.version}",
        "out": str(work),
    }
    compile_modules = [*python.loader_command, python.interpreter, "-s", "-S", "-P", _COMPILER, json.dumps(options)]
    try:
        # A fixed seed, for sets among a module's constants are written in the order of their hashes.
        await command.run(compile_modules, env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}, cwd=work)
    except CommandFailedError as error:
        raise InternalError(f"The agent could not be compiled for the guest: {error.output}") from error
    extensions = [Path(path) for path in json.loads((work / "extensions.json").read_text())]
    entries = _tree(work / "agent", "agent")
    library = f"usr/lib/{python.version}"
    entries |= _tree(work / "library", library)
    entries[f"{library}/lib-dynload"] = cpio.folder()
    entries |= {f"{library}/lib-dynload/{path.name}": cpio.file(path.read_bytes()) for path in extensions}
    entries["usr/bin/python3"] = cpio.file(python.interpreter.read_bytes(), 0o755)
    loader = python.loader
    entries[f"{_LOADER_FOLDERS[loader.name]}/{loader.name}"] = cpio.file(loader.read_bytes(), 0o755)
    for path in await _shared_libraries(python, [python.interpreter, *extensions]):
        entries[f"lib/{loader.parent.name}/{path.name}"] = cpio.file(path.read_bytes(), 0o755)
    return entries


async def _shared_libraries(python: UnpackedPython, binaries: list[Path]) -> list[Path]:
    """What the loader would map for ``binaries``, itself left out."""
    found: set[Path] = set()
    for binary in binaries:
        listed = await command.run([*python.loader_command, "--list", binary])
        for match in re.finditer(r"^\s*(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?$", listed, re.MULTILINE):
            path = Path(match[2])
            if path.parent not in python.library_folders:
                raise InternalError(f"{binary.name} of the guest's Python needs {match[1]}, which no package of it has")
            found.add(path)
    return sorted(found - {python.loader})


def _tree(folder: Path, place: str) -> dict[str, cpio.Entry]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {f"{place}/{path.relative_to(folder)}": cpio.file(path.read_bytes()) for path in files}


def _one(names: list[str], pattern: str) -> str:
    for name in names:
        if re.fullmatch(pattern, name):
            return name
    raise NotReadyError(
        f"No package of this host's apt fits {pattern}", remedy="Run `apt-get update`; Debian 12 and 13 have one"
    )


def copy_agent(source: Path, into: Path) -> None:
    """The package ``guest`` alone, so that nothing else that lies beside it can be imported."""
    shutil.copytree(source, into / "guest", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
