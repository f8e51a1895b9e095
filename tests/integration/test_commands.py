"""The command line on a real engine and real microVMs, as a user types it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.settings import Settings

pytestmark = pytest.mark.vm
VMDECK = str(Path(sys.executable).with_name("vmdeck"))


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str


class Shell:
    """Runs vmdeck with the lab's folders."""

    def __init__(self, lab: Settings) -> None:
        folders = {"VMDECK_DATA_DIR": str(lab.data_dir), "VMDECK_RUNTIME_DIR": str(lab.runtime_dir)}
        self._env = {**os.environ, **folders}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            VMDECK,
            *arguments,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str) -> Ended:
        process = await self.start(*arguments)
        stdout, stderr = await process.communicate()
        return Ended(process.returncode or 0, stdout.decode(), stderr.decode())


@pytest.fixture
def vmdeck(lab: Settings) -> Shell:
    return Shell(lab)


async def test_host_passes_output_and_exit_code_through(vmdeck: Shell) -> None:
    code = "import sys; print(sys.argv[1:]); print('err', file=sys.stderr); sys.exit(9)"
    ended = await vmdeck("host", "--lang", "python", "--code", code, "--arg", "a", "--arg", "--b")
    assert ended == Ended(9, "['a', '--b']\n", "err\n")


async def test_a_timeout_exits_with_124_and_says_so(vmdeck: Shell) -> None:
    ended = await vmdeck("host", "--lang", "python", "--code", "while True: pass", "--timeout", "1")
    assert ended.code == 124
    assert "timeout" in ended.stderr


async def test_json_prints_the_result_and_nothing_else(vmdeck: Shell) -> None:
    ended = await vmdeck("host", "--lang", "python", "--code", "print('x')", "--json")
    result = json.loads(ended.stdout)
    assert ended.code == 0
    assert {
        "trace_id",
        "status",
        "stdout",
        "stderr",
        "exit_code",
        "exec_time",
        "timings",
        "boot",
        "usage",
        "vm",
    } <= set(result)
    assert (result["status"], result["stdout"], result["stderr"]) == ("success", "x\n", None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--lang", "cobolish", "--code", "x"), "cobolish"),
        (("--lang", "python", "--code", "x", "--timeout", "-3"), "timeout"),
        (("--lang", "python", "--code", "x", "--snapshot", "absent"), "absent"),
        (("--lang", "python", "--file", "/no/such/file.py"), "/no/such/file.py"),
        (("--lang", "python", "--code", "x", "--kernel", "/etc/hostname"), "/etc/hostname"),
        (
            (
                "--lang",
                "python",
            ),
            "--code",
        ),
    ],
)
async def test_bad_input_exits_with_2_and_names_what_is_wrong(
    vmdeck: Shell, arguments: tuple[str, ...], named: str
) -> None:
    ended = await vmdeck("host", *arguments)
    assert ended.code == 2
    assert named in ended.stderr
    assert ended.stdout == ""


async def test_ctrl_c_ends_the_run_and_its_vm(vmdeck: Shell, lab: Settings) -> None:
    process = await vmdeck.start(
        "host", "--lang", "python", "--code", "print('up')\nwhile True: pass", "--timeout", "60"
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"up\n"
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 130
    assert not list(lab.vms_dir.glob("*"))


async def test_two_commands_at_once_take_turns(vmdeck: Shell) -> None:
    first, second = await asyncio.gather(
        *(vmdeck("host", "--lang", "python", "--code", f"print({number})") for number in (1, 2))
    )
    assert (first.code, first.stdout) == (0, "1\n")
    assert (second.code, second.stdout) == (0, "2\n")


async def test_a_command_attaches_to_the_daemon_that_owns_the_data_folder(vmdeck: Shell, lab: Settings) -> None:
    daemon = await vmdeck.start("serve")
    try:
        async with asyncio.timeout(20):
            while not lab.socket_path.exists():
                await asyncio.sleep(0.02)
        ended = await vmdeck("host", "--lang", "python", "--code", "print('attached')")
        assert ended == Ended(0, "attached\n", "")
        assert await vmdeck("vms", "--json") == Ended(0, "[]\n", "")
    finally:
        daemon.send_signal(signal.SIGTERM)
        await asyncio.wait_for(daemon.wait(), 20)
    assert not lab.socket_path.exists()


async def test_a_snapshot_can_be_made_listed_verified_used_and_removed(vmdeck: Shell) -> None:
    made = await vmdeck("snapshot", "create", "--lang", "bash", "--mem", "192", "--vcpus", "1", "--name", "mine")
    assert made.code == 0, made.stderr
    listed = json.loads((await vmdeck("snapshot", "list", "--json")).stdout)
    assert [(entry["memory_mib"], entry["fits"]) for entry in listed if entry["name"] == "mine"] == [(192, True)]
    assert (await vmdeck("snapshot", "verify", "mine")).code == 0
    code = ("--code", "echo $0", "--json")
    run = json.loads((await vmdeck("host", "--lang", "bash", "--snapshot", "mine", *code)).stdout)
    assert (run["boot"], run["stdout"]) == ("snapshot", "/work/main.sh\n")
    assert (await vmdeck("snapshot", "rm", "mine", "--yes")).code == 0
    assert (await vmdeck("snapshot", "verify", "mine")).code == 2


async def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    bare = Shell(Settings(data_dir=tmp_path / "bare" / "data", runtime_dir=tmp_path / "bare" / "run"))
    for arguments in (("setup", "--dry-run"), ("setup", "--undo", "--dry-run")):
        ended = await bare(*arguments)
        assert ended.code == 0, ended.stderr
    assert not (tmp_path / "bare").exists()


async def test_setup_has_nothing_left_to_do_on_a_prepared_host(vmdeck: Shell, prepared: Settings) -> None:
    ended = await vmdeck("setup", "--dry-run", "--json")
    steps = json.loads(ended.stdout)
    assert [step["id"] for step in steps if not (step["done"] or step["skipped"])] == []
