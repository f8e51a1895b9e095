from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from engine.errors import NotReadyError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError


async def test_lines_of_both_streams_reach_progress_and_output_is_returned() -> None:
    lines: list[str] = []

    def progress(line: str, fraction: float | None = None) -> None:
        lines.append(line)

    output = await command.run(["sh", "-c", "echo one; echo two >&2"], progress=progress)
    assert output == "one"
    assert sorted(lines) == ["one", "two"]


async def test_a_failure_quotes_what_the_program_said() -> None:
    with pytest.raises(CommandFailedError, match="status 3: the reason"):
        await command.run(["sh", "-c", "echo the reason >&2; exit 3"])


async def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(NotReadyError) as caught:
        await command.run(["no-such-program-here"], package="some-package")
    assert "some-package" in caught.value.remedy


async def test_a_full_disk_is_told_from_other_failures() -> None:
    with pytest.raises(NotReadyError, match="no space left"):
        await command.run(["sh", "-c", "echo 'write: No space left on device' >&2; exit 1"])


async def test_a_line_without_end_takes_no_unbounded_memory() -> None:
    output = await command.run(["sh", "-c", "head -c 3000000 /dev/zero; echo; echo end"])
    assert output.endswith("end")
    assert len(output) <= command.LINE_BYTES


async def test_an_argument_never_meets_a_shell(tmp_path: Path) -> None:
    assert await command.run(["echo", f"$(touch {tmp_path}/made); `true`"]) == f"$(touch {tmp_path}/made); `true`"
    assert list(tmp_path.iterdir()) == []


async def test_cancelling_ends_children_of_children_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "TERM_GRACE_S", 0.2)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def progress(line: str, fraction: float | None = None) -> None:
        started.set_result(int(line))

    # The grandchild ignores being asked.
    script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' & wait"
    running = asyncio.create_task(command.run(["sh", "-c", script], progress=progress))
    grandchild = psutil.Process(await started)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gone, alive = psutil.wait_procs([grandchild], timeout=5)
    assert gone == [grandchild]
    assert alive == []


async def test_a_flood_can_be_cancelled() -> None:
    flooding = asyncio.Event()

    def progress(line: str, fraction: float | None = None) -> None:
        flooding.set()

    running = asyncio.create_task(command.run(["yes"], progress=progress))
    await flooding.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_asked_program_may_tidy_up() -> None:
    lines: list[str] = []
    ready = asyncio.Event()

    def progress(line: str, fraction: float | None = None) -> None:
        lines.append(line)
        ready.set()

    script = "trap 'echo tidied; exit 1' TERM; echo ready; while :; do sleep 0.05; done"
    running = asyncio.create_task(command.run(["sh", "-c", script], progress=progress))
    await ready.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "tidied" in lines


async def test_what_may_be_secret_stays_out_of_a_programs_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VMDECK_API_TOKEN", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "s3cret")
    shown = await command.run(["env"], env={"GIVEN": "1"})
    names = {line.partition("=")[0] for line in shown.splitlines() if "s3cret" in line}
    assert names == {"HTTPS_PROXY"}
    assert "GIVEN=1" in shown.splitlines()
