"""Whole runs on guests that lie: the caller hears an error, the VM is gone, its place is free again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import GuestProtocolError, InternalError, OutcomeUnknownError, VmdeckError
from engine.languages.catalogue import Catalogue
from engine.models import BatchResult, Image, Limits, RunRequest, RunResult, VmmChoice
from engine.runs.admission import Admission
from engine.runs.lease import Start
from engine.runs.plan import Plan, make_plan
from engine.runs.runner import Runner
from engine.settings import Settings
from engine.vmm.base import MachineState, VmSpec
from engine.vmm.fleet import Fleet
from tests.hostile.fake_vmm import FakeVmm
from tests.hostile.peak_memory import PeakMemory

MIB = 1024 * 1024
_NOWHERE = Path("/nonexistent")
_SPEC = VmSpec(64, 1, _NOWHERE, _NOWHERE, _NOWHERE, "", ())
_IMAGE = Image(
    name="fake", digest="0", size_bytes=0, disk_bytes=0, created=datetime.now(UTC), source="a test", path=str(_NOWHERE)
)


@dataclass
class Stand:
    """A real runner on a VMM whose guests tell one lie."""

    lie: str
    settings: Settings
    ends: list[RunResult | VmdeckError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vmm = FakeVmm(self.lie)
        self.fleet = Fleet(self.vmm)  # type: ignore[arg-type] - it does what the fleet asks of one
        self.admission = Admission(1, 0)
        choice = VmmChoice(vmm="fake", accelerator="none", version=None, reason="a test")
        self.runner = Runner(self.settings, self.fleet, self.admission, choice, self._plan, self._ended)

    async def _plan(self, request: RunRequest, stdin: str | None) -> tuple[Plan, Start]:
        recipe = Catalogue.load().recipe(request.language)
        saved = MachineState(_SPEC, "", "", _NOWHERE, _NOWHERE)
        return make_plan(request, recipe, _IMAGE, self.settings, stdin), Start(_SPEC, saved, "fake", "")

    async def _ended(self, request: RunRequest, trace_id: str, item: int, outcome: RunResult | VmdeckError) -> None:
        self.ends.append(outcome)

    async def run(self, **fields: object) -> RunResult:
        request = {"language": "python", "code": "pass", "timeout": 1, **fields}
        result = await self.runner.run(RunRequest.model_validate(request))
        assert not isinstance(result, BatchResult)
        return result

    def assert_nothing_is_left(self) -> None:
        assert [vm.destroyed > 0 for vm in self.vmm.vms] == [True] * len(self.vmm.vms)
        assert len(self.vmm.vms) > 0
        assert self.fleet.idle
        assert self.admission.running == 0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, runtime_dir=tmp_path / "run", restore_deadline_s=2, kill_grace_s=0.5)


@pytest.mark.parametrize(
    ("lie", "error", "words"),
    [
        ("garbage", GuestProtocolError, "header length"),
        ("another_op", GuestProtocolError, "Output for request 4 out of turn"),
        ("more_output_than_the_limit", GuestProtocolError, "more stdout than the limit"),
        ("gone_in_the_run", OutcomeUnknownError, "connection to the guest ended"),
        ("silent_in_the_run", OutcomeUnknownError, "did not answer in time"),
        ("half_a_frame", OutcomeUnknownError, "did not answer in time"),
        # no code has run: the start failed, and nothing is unknown
        ("gone_at_once", InternalError, "connection to the guest ended"),
        ("silent_from_the_start", InternalError, "did not answer in time"),
    ],
)
async def test_a_lie_costs_its_run_and_nothing_else(
    settings: Settings, lie: str, error: type[VmdeckError], words: str
) -> None:
    stand = Stand(lie, settings)
    with pytest.raises(error, match=words) as caught:
        await stand.run()
    assert stand.ends == [caught.value]
    stand.assert_nothing_is_left()


async def test_the_first_exit_counts(settings: Settings) -> None:
    stand = Stand("two_exits", settings)
    assert (await stand.run()).exit_code == 0
    stand.assert_nothing_is_left()


async def test_a_flood_does_not_fill_the_host(settings: Settings) -> None:
    stand = Stand("flood_of_single_bytes_of_both_streams", settings)
    memory = PeakMemory()
    with pytest.raises(OutcomeUnknownError):
        await stand.run(limits=Limits(stdout_bytes=64 * MIB, stderr_bytes=64 * MIB))
    assert memory.rise() < 32 * MIB
    stand.assert_nothing_is_left()


async def test_a_caller_that_does_not_listen_lets_the_guest_wait_and_not_the_host_fill(settings: Settings) -> None:
    stand = Stand("flood_of_single_bytes", settings)
    memory = PeakMemory()
    events = stand.runner.stream(RunRequest(language="python", code="pass", timeout=1))
    async for event in events:
        if event.kind == "stderr":
            break
    await asyncio.sleep(1)  # a caller that thinks
    assert memory.rise() < 32 * MIB
    await events.aclose()
    stand.assert_nothing_is_left()


async def test_a_silent_guest_that_the_operator_kills_is_told_as_killed(settings: Settings) -> None:
    stand = Stand("silent_in_the_run", settings)
    running = asyncio.create_task(stand.run(timeout=30))
    while not (live := stand.fleet.live) or live[0].state != "running":
        await asyncio.sleep(0.01)
    await stand.fleet.kill(live[0].id)
    result = await running
    assert (result.status, result.exit_code) == ("killed", 137)
    stand.assert_nothing_is_left()
