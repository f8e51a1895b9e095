"""What the service's unit leaves to an engine is enough for its work: the same capabilities and writable folders,
without systemd."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.settings import Settings
from engine.setup import service

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here (Debian package util-linux)"),
]
ROOT = Path(__file__).parents[2]
TREE = Path(__file__).with_name("unit_tree.py")
PROTECTED = ("/etc", "/run", "/usr", "/var/lib", str(ROOT))
VMDECK = str(Path(sys.executable).with_name("vmdeck"))


def of_this_process() -> set[str]:
    """Names of the capabilities that can be had here at all; a host may withhold some."""
    mask = int(re.search(r"^CapBnd:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)[1], 16)  # type: ignore[index]
    names = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True, check=True).stdout.split()
    return {name for number, name in enumerate(names) if mask >> number & 1}


def words(unit: str, setting: str) -> list[str]:
    """All values of a setting that takes several."""
    return [word for line in re.findall(rf"^{setting}=(.*)$", unit, re.MULTILINE) for word in shlex.split(line)]


def confined(*command: str, settings: Settings, shown: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """Run it with what the unit leaves to the service: capabilities, and folders that can be written."""
    unit = service.unit_text(settings)
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes"):
        assert line in unit.splitlines()
    made = [f"/run/{name}" for name in words(unit, "RuntimeDirectory")]  # by systemd, before the service starts
    for folder in (*made, *words(unit, "ReadWritePaths")):
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    tree = ["--writable", *made, *words(unit, "ReadWritePaths")]
    tree += ["--shown", str(ROOT), sys.prefix, *map(str, shown), str(settings.data_dir.parent)]
    kept = {name.removeprefix("CAP_").lower() for name in words(unit, "CapabilityBoundingSet")}
    bounding = ",".join(["-all", *(f"+{name}" for name in sorted(kept & of_this_process()))])
    privileges = ["setpriv", "--no-new-privs", f"--bounding-set={bounding}", "--inh-caps=-all"]
    return subprocess.run(
        ["unshare", "--mount", sys.executable, str(TREE), *tree, "--", *privileges, *command],
        env={
            **os.environ,
            "VMDECK_DATA_DIR": str(settings.data_dir),
            "VMDECK_RUNTIME_DIR": str(settings.runtime_dir),
        },
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def test_jailed_code_runs(lab: Settings, prepared: Settings) -> None:
    done = confined(
        VMDECK, "host", "--lang", "python", "--code", "print(6 * 7)", "--json", settings=lab, shown=[prepared.data_dir]
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["stdout"], result["vm"]["jailed"]) == ("42\n", True)


def test_nothing_but_the_units_folders_can_be_written(lab: Settings, prepared: Settings) -> None:
    places = [*PROTECTED, lab.data_dir.parent]
    script = "for each; do touch $each/vmdeck-probe && echo $each; done; ls -A /tmp; touch $VMDECK_DATA_DIR/probe"
    done = confined("sh", "-c", script, "sh", *map(str, places), settings=lab, shown=[prepared.data_dir])
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stdout.splitlines() if line.startswith("/")]
    assert done.stderr.count("Read-only file system") == len(places)
    assert set(done.stdout.split()) <= {Path(path).parts[2] for path in (ROOT, sys.prefix, lab.data_dir)}


def test_the_capabilities_are_really_given_up(lab: Settings, prepared: Settings) -> None:
    done = confined("cat", "/proc/self/status", settings=lab, shown=[prepared.data_dir])
    kept = int(re.search(r"^CapEff:\s*(\w+)$", done.stdout, re.MULTILINE)[1], 16)  # type: ignore[index]
    net_admin, sys_module = 12, 16
    assert not kept & (1 << net_admin | 1 << sys_module)


@pytest.mark.nightly
def test_an_image_is_built(lab: Settings, prepared: Settings) -> None:
    (lab.data_dir / "images").unlink()  # a link to those that all tests share
    build = ("rootfs", "from-debian", "--name", "small", "--packages", "bash")
    done = confined(VMDECK, *build, settings=lab, shown=[prepared.data_dir])
    assert (done.returncode, done.stdout) == (0, "Image small is ready\n"), done.stderr[-2000:]
