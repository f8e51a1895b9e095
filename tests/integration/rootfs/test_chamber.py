"""Commands inside a tree: what they can't reach, and what is left of them. The tree is made of a few of the host's
programs, so that these tests take no archive and no minute."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest

from engine.errors import InternalError, NotReadyError
from engine.rootfs import chamber_init
from engine.rootfs.chamber import ask_version, run_inside
from engine.rootfs.progress import silent
from engine.rootfs.version_line import version_line
from tests.lab import FOLDER, PREFIX

NOBODY = 65534
ENV = {"PATH": "/bin"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox, a program that needs nothing else")
    (tmp_path / "tree" / "bin").mkdir(parents=True)
    shutil.copy(busybox, tmp_path / "tree" / "bin" / "busybox")
    for name in ("sh", "sleep", "cat", "echo", "mount", "mknod", "chroot", "yes", "kill", "touch", "id", "true"):
        (tmp_path / "tree" / "bin" / name).symlink_to("busybox")
    return tmp_path / "tree"


async def said(tree: Path, script: str) -> list[str]:
    lines: list[str] = []
    await run_inside(tree, ["sh", "-c", script], ENV, lambda line, fraction=None: lines.append(line))
    return lines


async def test_it_is_root_of_the_tree_with_that_environment_and_no_other(tree: Path) -> None:
    assert await said(tree, "id -u; echo $PATH; echo ${HOME-none}; echo /*; touch /made") == [
        *("0", "/bin", "none", "/bin /dev /proc"),
    ]
    assert (tree / "made").exists()


@pytest.mark.parametrize("forbidden", ["mount -t tmpfs x /bin", "mknod /x b 8 0", "chroot /bin /busybox true"])
async def test_what_reaches_beyond_files_is_refused(tree: Path, forbidden: str) -> None:
    with pytest.raises(InternalError, match=r"not permitted|denied"):
        await said(tree, forbidden)


async def test_its_capabilities_are_those_over_files_and_users(tree: Path) -> None:
    lines = await said(tree, "cat /proc/self/status")
    held = {name: int(value, 16) for name, _, value in (line.partition(":\t") for line in lines) if "Cap" in name}
    assert held["CapEff"] == held["CapPrm"] == sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 31))
    assert (held["CapInh"], held["CapAmb"]) == (0, 0)
    assert "NoNewPrivs:\t1" in lines


async def test_settings_of_the_hosts_kernel_can_be_read_only(tree: Path) -> None:
    with pytest.raises(InternalError, match="Read-only"):
        await said(tree, "cat /proc/sys/kernel/panic >/proc/sys/kernel/panic")


async def test_it_sees_no_process_but_its_own(tree: Path) -> None:
    (line,) = await said(tree, "echo /proc/[0-9]*")
    assert line.split() == ["/proc/1", "/proc/2"]


async def test_what_it_leaves_running_ends_with_it(tree: Path) -> None:
    assert await said(tree, "sleep 4243 >/dev/null 2>&1 & echo done") == ["done"]
    assert not sleeping()


async def test_cancelled_it_leaves_no_process_and_no_mount(tree: Path) -> None:
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def progress(line: str, fraction: float | None = None) -> None:
        if not started.done():
            started.set_result(None)

    argv = ["sh", "-c", "sleep 4243 & echo started; sleep 4243"]
    work = asyncio.create_task(run_inside(tree, argv, ENV, progress))
    await asyncio.wait({work, started}, return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not sleeping()
    assert str(tree) not in Path("/proc/self/mountinfo").read_text()


async def test_a_tree_whose_mount_points_are_links_is_refused(tree: Path, tmp_path: Path) -> None:
    (tree / "dev").symlink_to(tmp_path)
    with pytest.raises(InternalError, match="is a link"):
        await run_inside(tree, ["true"], ENV, silent)


async def test_a_version_is_the_tools_first_line_that_looks_like_one(tree: Path) -> None:
    script = "echo; echo 'Welcome!'; echo 'tool 1.2.3 \x1b[31m' >&2; echo more 4.5"
    assert await ask_version(tree, ["sh", "-c", script], ENV) == "tool 1.2.3 \\x1b[31m"


async def test_a_tool_that_never_stops_talking_is_cut_off(tree: Path) -> None:
    assert await ask_version(tree, ["sh", "-c", "echo 1.0; yes; true"], ENV) == "1.0"


@pytest.mark.parametrize("argv", [["no-such-tool-1.2"], ["true"], ["sh", "-c", "echo 1.2; exit 3"]])
async def test_a_tool_without_a_version_is_an_error(tree: Path, argv: list[str]) -> None:
    with pytest.raises(NotReadyError, match="version"):
        await ask_version(tree, argv, ENV)


def test_a_user_has_one_as_well_by_being_root_of_a_user_namespace(tree: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can play another user")
    # Not below pytest's own folder, which is root's alone.
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as home:
        moved, program = shutil.move(tree, Path(home) / "tree"), shutil.copy(chamber_init.__file__, home)
        for path in (Path(home), *Path(home).rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        script = "id -u; echo x >/dev/null; touch /made"
        order = {"tree": str(moved), "argv": ["sh", "-c", script], "env": ENV, "most_bytes": None}
        argv = [
            *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
            *("unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--"),
            *("/usr/bin/python3", "-I", "-S", program, json.dumps(order)),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        if "unshare" in done.stderr:
            pytest.skip(f"no user namespaces here: {done.stderr}")
        assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr
        assert (Path(moved) / "made").stat().st_uid == NOBODY


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Lua 5.4.4  Copyright\n", "Lua 5.4.4  Copyright"),
        ("GNU bash\nversion 5.2\n", "version 5.2"),
        ("V8\nno numbers\n", "V8"),
        ("none\n", None),
        ("", None),
        ("x" * 500 + " 1.0", None),
        ("1.0 " + "x" * 500, ("1.0 " + "x" * 500)[:120]),
    ],
)
def test_which_line_is_the_version(text: str, line: str | None) -> None:
    assert version_line(text) == line


def sleeping() -> bool:
    for process in psutil.process_iter():
        try:
            if "4243" in process.cmdline():
                return True
        except psutil.Error:  # ended meanwhile
            continue
    return False
