"""What the service's unit leaves to an engine is enough for its work: the same capabilities, without systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from engine.settings import Settings

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here (Debian package util-linux)"),
]
VMDECK = str(Path(sys.executable).with_name("vmdeck"))


def of_this_process() -> set[str]:
    """Names of the capabilities that can be had here at all; a host may withhold some."""
    mask = int(re.search(r"^CapBnd:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)[1], 16)  # type: ignore[index]
    names = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True, check=True).stdout.split()
    return {name for number, name in enumerate(names) if mask >> number & 1}


def confined(*command: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    unit = (files("engine.setup") / "vmdeck.service").read_text()
    assert "NoNewPrivileges=yes" in unit
    kept = {
        name.removeprefix("CAP_").lower()
        for line in re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
        for name in line.split()
    }
    bounding = ",".join(["-all", *(f"+{name}" for name in sorted(kept & of_this_process()))])
    return subprocess.run(
        ["setpriv", "--no-new-privs", f"--bounding-set={bounding}", "--inh-caps=-all", *command],
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


def test_code_runs(lab: Settings) -> None:
    done = confined(VMDECK, "host", "--lang", "python", "--code", "print(6 * 7)", settings=lab)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_the_capabilities_are_really_given_up(lab: Settings) -> None:
    done = confined("cat", "/proc/self/status", settings=lab)
    kept = int(re.search(r"^CapEff:\s*(\w+)$", done.stdout, re.MULTILINE)[1], 16)  # type: ignore[index]
    net_admin, sys_module = 12, 16
    assert not kept & (1 << net_admin | 1 << sys_module)


@pytest.mark.nightly
def test_an_image_is_built(lab: Settings) -> None:
    (lab.data_dir / "images").unlink()  # a link to those that all tests share
    done = confined(VMDECK, "rootfs", "from-debian", "--name", "small", "--packages", "bash", settings=lab)
    assert (done.returncode, done.stdout) == (0, "Image small is ready\n"), done.stderr[-2000:]
