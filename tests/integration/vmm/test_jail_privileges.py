"""What the service's unit leaves to an engine is enough for the real jailer, and to end what that has started."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.integration.test_service_privileges import confined
from tests.integration.vmm.lab import Lab

pytestmark = [
    pytest.mark.usefixtures("root"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here (Debian package util-linux)"),
]
ROOT = Path(__file__).parents[3]


def test_a_jailed_vm_starts_and_ends(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    paths = map(str, (lab.home, lab.binaries, lab.vmlinux, lab.initramfs))
    script = (sys.executable, "-m", "tests.integration.vmm.jailed_once")
    done = confined(
        *script,
        *paths,
        lab.cgroup_prefix,
        settings=lab.settings,
        shown=[lab.binaries, lab.vmlinux.parent, lab.initramfs.parent],
    )
    assert (done.returncode, done.stdout) == (0, "True\n[]\n"), done.stderr[-2000:]
