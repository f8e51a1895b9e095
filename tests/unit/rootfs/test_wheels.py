from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.errors import InputError, InternalError, NotReadyError, VmdeckError
from engine.rootfs import wheels
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.progress import silent
from engine.settings import Settings


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache(Settings(data_dir=tmp_path / "data"))


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a program that stands for Python with its pip; its arguments go to the file ``arguments``."""

    def write(script: str) -> Path:
        program = tmp_path / "python"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/arguments\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        return tmp_path / "arguments"

    return write


async def fetch(cache: PackageCache, tmp_path: Path, **tree: tuple[int, int]) -> Path:
    into = tmp_path / "wheels"
    await wheels.fetch_wheels(["numpy==2.1"], into, cache, silent, **tree)
    return into


async def test_what_fits_is_decided_by_the_tree(cache: PackageCache, pip, tmp_path: Path) -> None:
    arguments = pip(f"mkdir {tmp_path}/wheels")
    await fetch(cache, tmp_path, python=(3, 9), glibc=(2, 18))
    given = arguments.read_text().splitlines()
    assert given[given.index("--python-version") + 1] == "3.9"
    platforms = [each for each in given if each.startswith("--platform=manylinux")]
    assert platforms[0].startswith("--platform=manylinux_2_18_")
    assert any(each.startswith("--platform=manylinux2014_") for each in platforms)
    assert "--only-binary=:all:" in given
    assert given[-2:] == ["--", "numpy==2.1"]
    assert not (tmp_path / "wheels.pip").exists()


async def test_scripts_start_the_images_python_and_programs_stay(cache: PackageCache, pip, tmp_path: Path) -> None:
    pip(
        f"mkdir -p {tmp_path}/wheels/bin {tmp_path}/wheels/x-1.dist-info; cd {tmp_path}/wheels\n"
        "printf '#!/home/me/.venv/bin/python3.11\\nprint(1)\\n' >bin/script\n"
        "printf \"#!/bin/sh\\n'''exec' /a\\ path/python \\\"\\$0\\\"\\n' '''\\nprint(1)\\n\" >bin/long\n"
        "printf '\\177ELF#!python\\n' >bin/program\n"
        "printf '../../bin/script,sha256=x,1\\nx.py,sha256=y,2\\n' >x-1.dist-info/RECORD"
    )
    into = await fetch(cache, tmp_path)
    assert (into / "bin/script").read_text() == "#!/usr/bin/python3\nprint(1)\n"
    assert (into / "bin/long").read_text() == "#!/usr/bin/python3\nprint(1)\n"
    assert (into / "bin/program").read_bytes() == b"\x7fELF#!python\n"
    assert (into / "x-1.dist-info/RECORD").read_text() == "x.py,sha256=y,2\n"


@pytest.mark.parametrize(
    ("said", "kind", "named"),
    [
        ("ERROR: No matching distribution found for nosuch==9", InputError, "nosuch==9"),
        ("NewConnectionError: failed\nERROR: No matching distribution found for numpy", NotReadyError, "reached"),
        ("ERROR: Cannot install a==1 and b==2 because these conflict", InputError, "a==1 and b==2"),
        ("/bin/python: No module named pip", NotReadyError, "pip"),
        ("OSError: No space left on device", NotReadyError, "no space"),
        ("something new", InternalError, "something new"),
    ],
)
async def test_a_failure_names_its_cause(
    cache: PackageCache, pip, tmp_path: Path, said: str, kind: type[VmdeckError], named: str
) -> None:
    pip(f"cat >&2 <<'END'\n{said}\nEND\nexit 1")
    with pytest.raises(kind, match=named):
        await fetch(cache, tmp_path)
