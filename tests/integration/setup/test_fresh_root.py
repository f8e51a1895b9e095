"""Setup on a Debian that has nothing yet: complete, then again, then undone; and with each download spoiled."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.setup.archive_proxy import Spoil, corrupted, refused, spoiling, stalled, truncated
from tests.integration.setup.fresh_root import FreshRoot, make_archive, unable
from tests.lab import FOLDER, PREFIX

pytestmark = [pytest.mark.vm, pytest.mark.nightly, pytest.mark.timeout(900)]
SETUP = ("vmdeck", "setup", "--yes", "--skip-docker")


@pytest.fixture(scope="module")
def archive() -> Iterator[Path]:
    if reason := unable():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}debian-", dir=FOLDER) as name:
        path = Path(name) / "root.tar"
        make_archive(path)
        yield path


@pytest.fixture
def root(archive: Path) -> Iterator[FreshRoot]:
    folder = archive.parent / "root"
    try:
        yield FreshRoot.unpack(archive, folder)
    finally:
        shutil.rmtree(folder)


# What it has done so far, and its locks: none of it is setup's, so undo leaves it.
OF_THE_ENGINE = {"history.db", "history.db-wal", "history.db-shm", "jobs", ".lock", "engine.lock"}


def test_setup_completes_then_changes_nothing_then_is_undone(root: FreshRoot) -> None:
    packages_before, files_before = root.packages(), root.listing()

    first = root.run(*SETUP)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-4000:]
    assert first.stdout.splitlines()[-1] == "This host is ready."
    ran = root.run("vmdeck", "host", "--lang", "python", "--code", "print(6 * 7)", "--json")
    assert (json.loads(ran.stdout)["stdout"], json.loads(ran.stdout)["boot"]) == ("42\n", "snapshot"), ran.stderr

    made = root.listing()
    plan = json.loads(root.told("vmdeck setup --skip-docker --dry-run --json"))
    assert [step["id"] for step in plan if not step["done"] and not step["skipped"]] == []
    again = root.run(*SETUP)
    assert again.returncode == 0, again.stderr[-4000:]
    assert root.listing() == made

    undone = root.run("vmdeck", "setup", "--undo", "--yes")
    assert undone.returncode == 0, undone.stdout[-2000:] + undone.stderr[-4000:]
    assert root.packages() == packages_before
    data = root.folder / "var/lib/vmdeck"
    assert {path.name for path in data.iterdir()} <= OF_THE_ENGINE
    left = root.listing().keys() - files_before.keys()
    # What apt itself keeps of packages that it has removed is the only thing beyond that.
    own = tuple(f"var/lib/vmdeck/{name}" for name in OF_THE_ENGINE)
    conffiles = {path for path in left if not path.startswith(("var/lib/dpkg/", "etc/", *own))}
    assert conffiles == set()
    assert "Nothing is recorded" in root.told("vmdeck setup --undo --yes")


SPOILS: dict[str, tuple[Spoil, str]] = {
    "refused": (refused, "403"),
    "truncated": (truncated, "Failed to fetch"),
    "corrupted": (corrupted, "Hash Sum mismatch"),
    "stalled": (stalled, "Failed to fetch"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILS.values(), ids=SPOILS.keys())
def test_spoiled_packages_are_an_error_that_says_so_and_leave_nothing(spoil: Spoil, said: str, root: FreshRoot) -> None:
    before = root.packages()
    with spoiling(spoil) as proxy:
        (root.folder / "etc/apt/apt.conf.d/99proxy").write_text(
            f'Acquire::http::Proxy "{proxy}"; Acquire::http::Timeout "5"; Acquire::Retries "0";\n'
        )
        done = root.run(*SETUP)
    assert done.returncode != 0
    message = done.stderr[done.stderr.rindex("vmdeck: ") :]
    assert "Setup failed at packages" in message
    assert said in message
    assert "kernel" in message  # it comes from the same archive
    assert root.packages() == before
    data = root.folder / "var/lib/vmdeck"
    assert [path for store in ("kernels", "guest", "images", "snapshots") for path in (data / store).iterdir()] == []
    recorded = json.loads(root.told("vmdeck setup --undo --dry-run --json"))
    assert {trace["kind"] for trace in recorded} <= {"folder", "file"}
