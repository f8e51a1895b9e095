"""A real VM ended by hand in the console's list: asked about, then gone, with its process and its folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from console.app import ConsoleApp
from engine.engine import Engine
from engine.models import RunRequest, RunResult
from engine.settings import Settings
from tests.console.driving import connection_to, driving
from tests.hostile.remains import remains

pytestmark = pytest.mark.vm
BOOT_S = 90.0


def processes_of(vm_id: str) -> list[int]:
    """Processes whose command line names the VM."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if any(vm_id in part for part in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:  # ended meanwhile
            continue
    return found


async def test_a_vm_is_killed_in_the_console_after_a_question_and_nothing_of_it_is_left(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    engine = Engine(lab, caller="console")
    app = ConsoleApp(connection_to(engine), tick_s=0.5)
    async with driving(app, (120, 36)) as driven:
        await driven.until(lambda: app.last_health is not None, within_s=BOOT_S)
        sleeps = RunRequest(language="python", code="import time; time.sleep(250)", timeout=250)
        run = asyncio.create_task(engine.run(sleeps))
        await driven.press("2")
        await driven.until(lambda: "● running" in driven.text, within_s=BOOT_S)
        vm_id = driven.table.cursor
        assert vm_id is not None
        assert processes_of(vm_id)

        await driven.press("K")
        await driven.sees(f"Kill VM {vm_id}?")
        await driven.press("enter")  # Cancel has the focus
        await driven.until(lambda: not app.screen.is_modal, within_s=BOOT_S)
        assert vm_id in [vm.id for vm in await engine.vms()]

        await driven.press("K")
        await driven.sees(f"Kill VM {vm_id}?")
        await driven.press("tab", "enter")
        await driven.until(lambda: driven.table.keys == [], within_s=BOOT_S)
        ended = await asyncio.wait_for(run, BOOT_S)
        assert isinstance(ended, RunResult)
        assert ended.status == "killed"
        assert processes_of(vm_id) == []
        assert remains(lab) == []
