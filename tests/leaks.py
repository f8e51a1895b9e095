"""What a test session leaves on its machine: processes, mounts, sockets, folders, loop devices, control groups.

Everything that the session starts inherits a mark in its environment or works in one of its folders, and everything
that it makes lies in folders of its own, so that others may use the machine meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import FOLDER, PREFIX, SESSION

MARK = "VMDECK_TEST_SESSION"
_SETTLE_S = 10.0  # processes that were killed need a moment to be gone


@dataclass(frozen=True)
class Places:
    """Where this session may leave something: its mark, and the starts of paths that are its own."""

    mark: str
    roots: tuple[str, ...]

    def remains(self) -> set[str]:
        """One line for each thing that is there."""
        return {
            *self._processes(),
            *self._mounts(),
            *self._sockets(),
            *self._loop_devices(),
            *(f"folder {path}" for path in FOLDER.glob(f"{PREFIX}*")),
            *(f"control group {path}" for path in Path("/sys/fs/cgroup").rglob("*vmdeck*") if _is_empty(path)),
        }

    def _ours(self, path: str) -> bool:
        return path.startswith(self.roots)

    def _processes(self) -> Iterator[str]:
        mark = f"{MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                folder = str((entry / "cwd").readlink())  # a VMM has the folder of its VM, and no variable
            except OSError:
                continue  # it ended meanwhile, or is another user's
            if mark in environment or self._ours(folder) or (state == "Z" and int(parent) == os.getpid()):
                yield f"process {entry.name} ({state}): {command[:300]}"

    def _mounts(self) -> Iterator[str]:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if self._ours(place := line.split()[4]):
                yield f"mount {place}"

    def _sockets(self) -> Iterator[str]:
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and self._ours(fields[7]):
                yield f"socket {fields[7]}"

    def _loop_devices(self) -> Iterator[str]:
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            if self._ours(file := backing.read_text().strip()):
                yield f"loop device {backing.parts[3]} of {file}"

    def left_since(self, before: set[str]) -> set[str]:
        """What is there and was not before, once it stays so."""
        deadline = time.monotonic() + _SETTLE_S
        while (left := self.remains() - before) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


def _is_empty(group: Path) -> bool:
    """Nothing runs in it: one in use may be of another session on this machine, and ours is told by its process."""
    try:
        return not any(members.read_text() for members in group.rglob("cgroup.procs"))
    except OSError:
        return False  # removed while we looked


@pytest.fixture(scope="session", autouse=True)
def nothing_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Fails the session, naming what it left."""
    places = Places(SESSION, (f"{FOLDER}/{PREFIX}", f"{tmp_path_factory.getbasetemp()}/"))
    os.environ[MARK] = places.mark
    before = places.remains()
    yield places
    del os.environ[MARK]
    left = places.left_since(before)
    assert not left, "the tests left on this machine:\n" + "\n".join(sorted(left))
