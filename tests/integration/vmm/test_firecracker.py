"""The driver on the real Firecracker, as far as a guest comes without native KVM: its kernel's first lines."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import InternalError, NotReadyError
from engine.host.process import ProcessId
from engine.vmm import memory_file
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker, FirecrackerVm
from engine.vmm.firecracker_api import FirecrackerRefusalError
from tests.integration.vmm.lab import EARLY_CONSOLE, Lab, machine_state

BOOT_LINES_S = 90  # 15 s on an idle host where KVM is emulated
CLONES = 8


def own(stack: AsyncExitStack, vm: FirecrackerVm) -> FirecrackerVm:
    stack.push_async_callback(vm.destroy)
    return vm


async def until_console_says(vm: FirecrackerVm, text: str) -> None:
    async with asyncio.timeout(BOOT_LINES_S):
        while text not in vm.serial.text():
            await asyncio.sleep(0.05)


async def test_the_kernel_boots_to_its_first_lines_with_our_command_line(lab: Lab, owned: AsyncExitStack) -> None:
    driver = lab.driver(jailed=False)
    vm = own(owned, await driver.boot("first", lab.spec(f"{EARLY_CONSOLE} vmdeck.test=here")))
    await until_console_says(vm, "vmdeck.test=here")
    assert "Linux version" in vm.serial.text()


async def test_a_machine_is_saved_and_runs_on_in_a_new_process(
    lab: Lab, driver: Firecracker, owned: AsyncExitStack
) -> None:
    vm = own(owned, await driver.boot("source", lab.spec(), saveable=True))
    folder = lab.home / "snapshot"
    folder.mkdir()
    saved = await vm.save(folder)
    await vm.destroy()
    assert (saved.vmm_version, saved.accelerator, saved.machine) == ("1.12.1", "kvm", "firecracker")
    assert {path.name for path in folder.iterdir()} == {"state", "memory"}
    clone = own(owned, await driver.restore("clone", machine_state(lab.spec(), saved)))
    assert clone.pid is not None
    await until_it_computes(clone)


async def until_it_computes(vm: FirecrackerVm) -> None:
    """Return once the VMM has spent CPU time that loading does not explain: its guest runs."""
    start = vm.usage()
    assert start is not None
    async with asyncio.timeout(30):
        while (usage := vm.usage()) is not None and usage.cpu_s < start.cpu_s + 0.2:
            await asyncio.sleep(0.02)
    assert usage is not None, await vm.exited()


async def test_a_cancelled_save_is_over_only_when_nothing_is_written_any_more(
    lab: Lab, driver: Firecracker, owned: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = own(owned, await driver.boot("source", lab.spec(), saveable=True))
    folder = lab.home / "snapshot"
    folder.mkdir()
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    copy_sparse = memory_file.copy_sparse

    def slow(source: int, target: Path) -> None:
        begun.set()
        go_on.wait()
        copy_sparse(source, target)
        done.set()

    monkeypatch.setattr(memory_file, "copy_sparse", slow)
    saving = asyncio.create_task(vm.save(folder))
    try:
        await asyncio.to_thread(begun.wait)
        saving.cancel()
        over, _ = await asyncio.wait((saving,), timeout=0)
        assert not over
    finally:
        go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert done.is_set()
    assert {path.name for path in folder.iterdir()} == {"state"}


async def test_a_snapshot_holds_no_empty_pages_and_no_path_of_the_host(lab: Lab, saved: MachineState) -> None:
    assert saved.memory.stat().st_size == saved.spec.memory_mib * 1024 * 1024
    assert saved.memory.stat().st_blocks * 512 < saved.memory.stat().st_size / 2
    state = saved.state.read_bytes()
    assert b"v.sock" in state
    assert str(lab.home).encode() not in state
    assert str(lab.vmlinux.parent).encode() not in state


@pytest.mark.parametrize("jailed", [False, True], ids=["made open, loaded jailed", "made jailed, loaded open"])
@pytest.mark.usefixtures("root")
async def test_a_snapshot_fits_both_kinds_of_quarters(lab: Lab, owned: AsyncExitStack, jailed: bool) -> None:
    source = own(owned, await lab.driver(jailed=jailed).boot("source", lab.spec(), saveable=True))
    (lab.home / "s").mkdir()
    saved = machine_state(lab.spec(), await source.save(lab.home / "s"))
    await source.destroy()
    own(owned, await lab.driver(jailed=not jailed).restore("clone", saved))


async def test_eight_clones_live_at_once_each_with_sockets_of_its_own(
    lab: Lab, driver: Firecracker, saved: MachineState, owned: AsyncExitStack
) -> None:
    before = saved.state.read_bytes(), saved.memory.read_bytes()

    async def clone_of(number: int) -> FirecrackerVm:
        return own(owned, await driver.restore(f"clone{number}", saved))

    clones = await asyncio.gather(*map(clone_of, range(CLONES)))
    assert len({clone.pid for clone in clones}) == CLONES
    assert len({Path(f"/proc/{clone.pid}/cwd/v.sock").stat().st_ino for clone in clones}) == CLONES
    for clone in clones:
        assert {figure.name for figure in (await clone.counters(5)).figures} > {"drives read", "exits of the vCPUs"}
        usage = clone.usage()
        assert usage is not None
        assert usage.memory_private_bytes < saved.memory.stat().st_size / 4
    await asyncio.gather(*(clone.destroy() for clone in clones))
    assert [lab.remains(clone.id) for clone in clones] == [[]] * CLONES
    assert (saved.state.read_bytes(), saved.memory.read_bytes()) == before


async def test_a_guest_that_does_not_answer_is_given_up_at_the_deadline(
    driver: Firecracker, saved: MachineState, owned: AsyncExitStack
) -> None:
    vm = own(owned, await driver.restore("mute", saved))
    start = time.monotonic()
    with pytest.raises(InternalError, match=r"agent was not reached within 1\.5 s.*Firecracker still runs"):
        await vm.connect()
    assert time.monotonic() - start < 1.5 + 3


async def test_connecting_to_a_vm_whose_vmm_died_says_how_it_ended(
    driver: Firecracker, saved: MachineState, owned: AsyncExitStack
) -> None:
    vm = own(owned, await driver.restore("dead", saved))
    assert vm.pid is not None
    assert ProcessId.of(vm.pid).kill()
    with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
        await vm.connect()


async def test_the_agent_is_connected_to_once(driver: Firecracker, saved: MachineState, owned: AsyncExitStack) -> None:
    vm = own(owned, await driver.restore("once", saved))
    connecting = asyncio.create_task(vm.connect())
    await asyncio.sleep(0)
    with pytest.raises(InternalError, match="taken already"):
        await vm.connect()
    connecting.cancel()


async def test_what_firecracker_refuses_is_told_in_its_words_and_leaves_nothing(lab: Lab, driver: Firecracker) -> None:
    no_kernel = replace(lab.spec(), vmlinux=lab.drive)
    with pytest.raises(FirecrackerRefusalError) as caught:
        await driver.boot("refused", no_kernel)
    assert "Invalid Elf magic number" in caught.value.fault_message
    assert caught.value.fault_message in caught.value.message
    assert lab.remains("refused") == []


async def test_a_damaged_state_is_refused_and_leaves_nothing(
    lab: Lab, driver: Firecracker, saved: MachineState
) -> None:
    state = bytearray(saved.state.read_bytes())
    state[len(state) // 2] ^= 0xFF
    saved.state.write_bytes(state)
    with pytest.raises(FirecrackerRefusalError, match=r"(?i)crc"):
        await driver.restore("damaged", saved)
    assert lab.remains("damaged") == []


async def test_a_missing_snapshot_file_leaves_nothing(lab: Lab, driver: Firecracker, saved: MachineState) -> None:
    saved.memory.unlink()
    with pytest.raises((NotReadyError, FirecrackerRefusalError), match="No such file"):
        await driver.restore("missing", saved)
    assert lab.remains("missing") == []


async def test_a_cancelled_start_leaves_nothing(lab: Lab, driver: Firecracker) -> None:
    starting = asyncio.create_task(driver.boot("cancelled", lab.spec()))
    async with asyncio.timeout(10):
        while not lab.processes("cancelled"):
            await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert lab.remains("cancelled") == []


async def test_destroying_twice_is_fine_and_leaves_nothing_open(
    lab: Lab, driver: Firecracker, saved: MachineState
) -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    vm = await driver.restore("twice", saved)
    await asyncio.gather(vm.destroy(), vm.destroy())
    await vm.destroy()
    assert lab.remains("twice") == []
    assert vm.usage() is None
    await asyncio.sleep(0)  # transports close their descriptors in the loop's next turn
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_the_vmm_sees_no_variable_of_the_engine(
    driver: Firecracker, saved: MachineState, owned: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMDECK_API_TOKEN", "very-secret")
    vm = own(owned, await driver.restore("quiet", saved))
    assert b"very-secret" not in Path(f"/proc/{vm.pid}/environ").read_bytes()


def is_open_on(descriptor: Path, file: Path) -> bool:
    try:
        return descriptor.samefile(file)
    except FileNotFoundError:  # that of our call to its API, which it closes after us
        return False


def open_flags(vm: FirecrackerVm, fd: str) -> int:
    line = Path(f"/proc/{vm.pid}/fdinfo/{fd}").read_text().splitlines()[1]
    return int(line.removeprefix("flags:"), 8)


async def test_drive_and_memory_files_are_open_for_reading_only(
    lab: Lab, driver: Firecracker, saved: MachineState, owned: AsyncExitStack
) -> None:
    vm = own(owned, await driver.restore("reader", saved))
    drives = [path.name for path in Path(f"/proc/{vm.pid}/fd").iterdir() if is_open_on(path, lab.drive)]
    assert [open_flags(vm, fd) & os.O_ACCMODE for fd in drives] == [os.O_RDONLY]
    maps = Path(f"/proc/{vm.pid}/maps").read_text().splitlines()
    memory = [line.split()[1] for line in maps if line.split()[4] == str(saved.memory.stat().st_ino)]
    assert memory
    assert all(access.endswith("p") for access in memory), "mapped so that the snapshot could be written"


async def test_a_console_that_nobody_reads_does_not_hold_the_vmm_up(
    driver: Firecracker, saved: MachineState, owned: AsyncExitStack
) -> None:
    vm = own(owned, await driver.restore("flooder", saved))
    assert open_flags(vm, "1") & os.O_NONBLOCK


async def test_a_path_too_long_for_a_socket_does_no_harm(lab: Lab, owned: AsyncExitStack) -> None:
    deep = lab.home.joinpath(*["a-long-name-of-a-folder"] * 6)
    deep.mkdir(parents=True)
    driver = Firecracker(lab.settings.model_copy(update={"runtime_dir": deep}), lab.binaries / "firecracker", "1.12.1")
    own(owned, await driver.boot("deep", lab.spec()))
