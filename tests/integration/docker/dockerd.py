"""A Docker engine of the tests' own: in a folder that goes with it, without network, beside any that runs here.

It has a mount namespace too, since dockerd writes to /etc, /opt and /run whatever it is told; what it mounts goes with
that namespace.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import DockerException

from tests.lab import FOLDER, PREFIX

_START_S = 30.0
_ITS_OWN = """
mkdir -p "$1/etc" && cp -a /etc/passwd /etc/group /etc/hosts /etc/nsswitch.conf "$1/etc" &&
mount --bind "$1/etc" /etc &&
mount -t tmpfs tmpfs /opt && mount -t tmpfs tmpfs /run && shift && exec "$@"
"""
_DRIVERS = ("overlay2", "vfs")  # the second where the kernel has no overlay on this file system


def missing() -> str | None:
    """Why none can be started here, None where one can."""
    if os.geteuid() != 0:
        return "a Docker engine is started by root only"
    lacking = [program for program in ("dockerd", "containerd", "runc") if shutil.which(program) is None]
    return f"not installed: {', '.join(lacking)} (apt-get install docker.io)" if lacking else None


@contextmanager
def running() -> Iterator[str]:
    """URL of an engine that is empty."""
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}dk-", dir=FOLDER))
    process: subprocess.Popen[bytes] | None = None
    try:
        for driver in _DRIVERS:
            process = _started(home, driver)
            if _answers(home, process):
                break
            _stop(process)
        else:
            raise AssertionError((home / "log").read_text()[-4000:])
        yield _url(home)
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(home)


def client(url: str) -> Any:
    return DockerClient(base_url=url, timeout=60)


def _started(home: Path, driver: str) -> subprocess.Popen[bytes]:
    argv = [
        *("unshare", "--mount", "--", "sh", "-c", _ITS_OWN, "sh", home),
        *("dockerd", "--host", _url(home), "--data-root", home / "data", "--exec-root", home / "exec"),
        *("--pidfile", home / "pid", "--storage-driver", driver, "--log-level", "warn"),
        *("--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false", "--ip-masq=false"),
        *("--exec-opt", "native.cgroupdriver=cgroupfs"),
    ]
    with (home / "log").open("ab") as log:
        return subprocess.Popen(argv, stdout=log, stderr=log)


def _answers(home: Path, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            api = client(_url(home))
        except DockerException:
            time.sleep(0.1)
            continue
        api.close()
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _url(home: Path) -> str:
    return f"unix://{home}/docker.sock"
