"""One sampler for all viewers: none of them costs a sample of its own, moves a figure, or ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.errors import InternalError
from engine.guestlink.guest import Guest
from engine.guestlink.messages import Stats
from engine.host.metrics import HostSampler
from engine.models import VmState
from engine.runs.admission import Admission
from engine.sampling import sampler as sampler_module
from engine.sampling.sampler import Sampler
from tests.unit.sampling.fake_vms import FakeFleet, FakeVm

VIEWERS = 50


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def host(tmp_path: Path) -> HostSampler:
    return HostSampler(tmp_path)


@pytest.fixture
def sampler(fleet: FakeFleet, host: HostSampler) -> Sampler:
    return Sampler(host, lambda: [fleet.as_fleet()], Admission(2, 2))


class Clock:
    """The time that samples have; moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)


@pytest.fixture
async def ticking(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sampler]:
    """One that ticks as fast as it can."""
    monkeypatch.setattr(sampler_module, "SAMPLE_S", 0.001)
    async with sampler:
        yield sampler


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def tick(sampler: Sampler) -> None:
    await sampler._tick()  # pyright: ignore[reportPrivateUsage] - the moments are the test's


async def test_all_who_ask_at_one_moment_share_one_sample(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    answers = await asyncio.gather(*(sampler.vms() for _ in range(VIEWERS)))
    assert {answer[0].id for answer in answers} == {"a"}
    assert (vm.looks, vm.asked) == (1, 1)


async def test_who_asks_soon_after_gets_the_newest_sample(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    await tick(sampler)
    for _ in range(VIEWERS):
        await sampler.vms()
    assert vm.looks == 1


async def test_a_sample_that_is_old_is_not_shown(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    vm = fleet.born("a")
    await tick(sampler)
    clock.now_s += 1.5
    await sampler.vms()
    assert vm.looks == 2


async def test_a_vm_born_since_is_there_and_only_it_is_sampled(sampler: Sampler, fleet: FakeFleet) -> None:
    old = fleet.born("old")
    await tick(sampler)
    young = fleet.born("young")
    assert [(vm.id, vm.memory_private_bytes) for vm in await sampler.vms()] == [("old", 100), ("young", 100)]
    assert (old.looks, young.looks) == (1, 1)


async def test_a_vm_that_is_gone_is_not_shown_and_one_that_changed_is_shown_as_it_is(
    sampler: Sampler, fleet: FakeFleet
) -> None:
    fleet.born("gone")
    fleet.born("stays")
    await tick(sampler)
    del fleet.live[0]
    fleet.live[0].state = VmState.STOPPING
    assert [(vm.id, vm.state) for vm in await sampler.vms()] == [("stays", VmState.STOPPING)]


async def test_cpu_is_the_share_since_the_last_tick_however_many_look(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    vm = fleet.born("a")
    await tick(sampler)
    for grown_s, expected in ((1.25, 100), (0.0, 50), (1.25, pytest.approx(66.7))):
        clock.now_s += 1.25
        vm.cpu_s += grown_s
        assert (await sampler.vms())[0].cpu_percent == expected
    clock.now_s += 1.25
    await tick(sampler)
    assert (await sampler.vms())[0].cpu_percent == 50
    assert vm.looks == 5


async def test_the_first_figure_of_a_vm_is_since_its_start(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    vm = fleet.born("a")
    clock.now_s += 2
    vm.cpu_s = 0.5
    assert (await sampler.vms())[0].cpu_percent == 25


async def test_one_vm_that_can_not_be_sampled_spoils_no_other_and_is_told_once(
    sampler: Sampler, fleet: FakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.born("bad").failure = OSError("torn")
    fleet.born("good")
    for _ in range(3):
        await tick(sampler)
    figures = {vm.id: (vm.cpu_percent is None, vm.memory_private_bytes) for vm in await sampler.vms()}
    assert figures == {"bad": (True, None), "good": (False, 100)}
    assert [record.message for record in caplog.records].count("a VM can't be sampled") == 1


async def test_a_host_that_can_not_be_sampled_for_a_while_does_not_end_it(
    ticking: Sampler, host: HostSampler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise OSError("no /proc")

    with monkeypatch.context() as patch:
        patch.setattr(host, "sample", broken)
        await until(lambda: caplog.records)
    before = len(await ticking.samples(10_000))
    await until(lambda: len(ticking._samples) > before)  # pyright: ignore[reportPrivateUsage]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_samples_of_the_host_are_kept_for_so_long_and_no_longer(
    host: HostSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "HOST_KEPT_S", 60)
    sampler = Sampler(host, list, Admission(1, 1))
    for _ in range(33):
        await tick(sampler)
    kept = await sampler.samples(10_000)
    assert len(kept) == 30
    assert kept[0].metrics.at < kept[-1].metrics.at


@pytest.mark.parametrize(("last", "got"), [(0, 0), (2, 2), (240, 3)])
async def test_the_newest_are_given(sampler: Sampler, last: int, got: int) -> None:
    for _ in range(3):
        await tick(sampler)
    newest = await sampler.samples(last)
    assert len(newest) == got
    assert tuple(newest) == tuple(await sampler.samples(3))[3 - got :]


async def test_points_of_a_vm_are_kept_for_ten_minutes(sampler: Sampler, fleet: FakeFleet) -> None:
    fleet.born("a")
    for _ in range(303):
        await tick(sampler)
    series = (await sampler.detail(fleet.live[0])).series
    assert len(series) == 300
    assert series[0].at < series[-1].at


async def test_looking_in_between_adds_no_point(sampler: Sampler, fleet: FakeFleet) -> None:
    fleet.born("a")
    await tick(sampler)
    for _ in range(5):
        await sampler.vms()
    assert len((await sampler.detail(fleet.live[0])).series) == 1


async def test_metrics_are_the_newest_sample_or_a_fresh_one(sampler: Sampler) -> None:
    assert (await sampler.metrics()).cores >= 1
    await tick(sampler)
    assert await sampler.metrics() == (await sampler.samples(1))[0].metrics == await sampler.metrics()


async def test_it_ends_with_its_block_and_samples_no_more(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler_module, "SAMPLE_S", 0.001)
        async with sampler:
            await until(lambda: vm.looks > 2)
        looks = vm.looks
        await asyncio.sleep(0.05)
    assert vm.looks == looks
    assert len(asyncio.all_tasks()) == 1


async def test_nothing_of_the_kernel_is_read_in_the_event_loop(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    await tick(sampler)
    await sampler.vms()
    assert {name.partition("_")[0] for name in vm.threads} == {"sampler"}


# --- what costs more is asked only for those who look


async def test_nobody_is_asked_while_nobody_looks(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    for _ in range(5):
        await tick(sampler)
    assert vm.asked == 0


async def test_who_looks_for_the_first_time_does_not_wait_for_a_tick(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    await tick(sampler)
    assert (await sampler.vms())[0].disk_read_bytes == 11
    assert (vm.looks, vm.asked) == (1, 1)


async def test_while_someone_looks_the_vmm_is_asked_once_a_tick(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    vm = fleet.born("a")
    assert (await sampler.vms())[0].disk_read_bytes == 11
    for asked in range(2, 5):
        clock.now_s += 2
        await tick(sampler)
        for _ in range(VIEWERS):
            await sampler.vms()
        assert vm.asked == asked
    for _ in range(10):
        clock.now_s += 2
        await tick(sampler)
    assert vm.asked == 4 + 2, "it is asked on after the last viewer has gone"


async def test_viewers_of_one_vm_share_its_answers(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    details = await asyncio.gather(*(sampler.detail(fleet.live[0]) for _ in range(VIEWERS)))
    assert {detail.vmm[0].value for detail in details} == {"running"}
    assert vm.asked == 1


async def test_what_can_not_be_known_is_named_with_the_reason(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a")
    vm.no_counters = InternalError("QEMU is mute")
    vm.no_limits = OSError("the group is gone")
    detail = await sampler.detail(fleet.live[0])
    assert (detail.vm.disk_read_bytes, detail.vmm, detail.limits, detail.guest) == (None, (), (), ())
    assert detail.missing == (
        "guest: nobody is connected to its agent",
        "limits: the group is gone",
        "vmm: QEMU is mute",
    )


async def test_a_vm_that_ends_is_not_asked(sampler: Sampler, fleet: FakeFleet) -> None:
    vm = fleet.born("a", VmState.STOPPING)
    assert "vmm: the VM is stopping" in (await sampler.detail(fleet.live[0])).missing
    assert vm.asked == 0


async def test_the_list_waits_for_no_vmm_that_has_just_been_started(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = fleet.born("a", VmState.STARTING)
    assert (await sampler.vms())[0].memory_private_bytes == 100
    assert vm.asked == 0
    await tick(sampler)
    assert vm.asked == 1


async def test_figures_of_the_guest_come_at_the_next_tick_once_it_can_be_asked(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.born("a", VmState.STARTING)
    (live,) = fleet.live
    await sampler.detail(live)
    live.state = VmState.RUNNING
    live.guest = answering()
    await tick(sampler)
    detail = await sampler.detail(live)
    assert [(figure.name, figure.value, figure.used) for figure in detail.guest] == [
        ("memory", "256 MiB", "192 MiB"),
        ("memory of the run", "8 MiB", ""),
        ("CPU of the run", "1.5 s", ""),
    ]
    assert detail.missing == ()


def answering() -> Guest:
    class Answering(Guest):
        def __init__(self) -> None:
            """Without a stream."""

        async def stats_meanwhile(self, deadline_s: float) -> Stats:
            mib = 1024 * 1024
            return Stats(
                op=1,
                memory_total_bytes=256 * mib,
                memory_available_bytes=64 * mib,
                run_memory_bytes=8 * mib,
                run_cpu_ms=1500.0,
            )

    return Answering()


async def test_a_viewer_that_leaves_spoils_no_others_answer(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = fleet.born("a")
    gate, counters = asyncio.Event(), vm.counters

    async def slow(deadline_s: float) -> object:
        await gate.wait()
        return await counters(deadline_s)

    monkeypatch.setattr(vm, "counters", slow)
    leaving, staying = (asyncio.create_task(sampler.vms()) for _ in range(2))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.wait((leaving,))
    gate.set()
    assert (await staying)[0].disk_read_bytes == 11


# --- VMs that come and go, and answers that fail, while others wait


class Gate:
    """Keeps whoever comes until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, *_: object) -> None:
        self.reached.set()
        await self.open.wait()


def held_up(vm: FakeVm, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Its counters come when the gate is opened."""
    gate, counters = Gate(), vm.counters

    async def slow(deadline_s: float) -> object:
        await gate()
        return await counters(deadline_s)

    monkeypatch.setattr(vm, "counters", slow)
    return gate


async def test_who_looks_while_the_first_answer_is_awaited_gets_it_too(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = held_up(fleet.born("a"), monkeypatch)
    looks = [asyncio.create_task(sampler.detail(fleet.live[0]))]
    await asyncio.wait_for(gate.reached.wait(), 10)
    looks.append(asyncio.create_task(sampler.detail(fleet.live[0])))
    listing = asyncio.create_task(sampler.vms())
    await asyncio.sleep(0.02)  # for one that does not wait to come back without it
    gate.open.set()
    async with asyncio.timeout(10):
        assert [(await look).vm.disk_read_bytes for look in looks] == [11, 11]
        assert [vm.disk_read_bytes for vm in await listing] == [11]


async def test_a_vm_born_while_another_look_is_under_way_is_shown_with_its_figures(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = held_up(fleet.born("old"), monkeypatch)
    first = asyncio.create_task(sampler.vms())
    await asyncio.wait_for(gate.reached.wait(), 10)
    fleet.born("young")
    second = asyncio.create_task(sampler.vms())
    await asyncio.sleep(0.01)
    gate.open.set()
    async with asyncio.timeout(10):
        await first
        assert [(vm.id, vm.memory_private_bytes, vm.disk_read_bytes) for vm in await second] == [
            ("old", 100, 11),
            ("young", 100, 11),
        ]


async def test_closing_waits_for_what_was_asked_of_a_vm_that_has_gone(
    sampler: Sampler, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = held_up(fleet.born("gone"), monkeypatch)
    async with sampler:
        looking = asyncio.create_task(sampler.detail(fleet.live[0]))
        await asyncio.wait_for(gate.reached.wait(), 10)
        looking.cancel()
        await asyncio.wait((looking,))
        fleet.live.clear()
        assert await sampler.vms() == []
        asyncio.get_running_loop().call_later(0.05, gate.open.set)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    ("failure", "logged"),
    [(OverflowError("int too large"), 1), (RuntimeError("\x1b[2J"), 1), (KeyError("x"), 1), (OSError("\ud800"), 0)],
    ids=["overflow", "escapes", "key", "surrogate"],
)
async def test_whatever_keeps_a_vmm_from_answering_ends_no_sample(
    sampler: Sampler, fleet: FakeFleet, caplog: pytest.LogCaptureFixture, failure: Exception, logged: int
) -> None:
    fleet.born("bad").no_counters = failure
    fleet.born("good")
    for _ in range(3):
        assert [vm.disk_read_bytes for vm in await sampler.vms()] == [None, 11]
        await tick(sampler)
    detail = await sampler.detail(fleet.live[0])
    detail.model_dump_json()
    assert any(line.startswith("vmm: ") and line.isprintable() for line in detail.missing)
    assert len(caplog.records) == logged
