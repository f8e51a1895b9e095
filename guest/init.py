"""PID 1 of a microVM: bring the machine up as far as the agent needs it, then be the agent."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from guest.static import TYPE_CHECKING

if TYPE_CHECKING:
    from guest.channel import Channel

PROC, SYS, DEV = "/proc", "/sys", "/dev"
IMAGE = "/image"
MODULES = "/modules"
_WANTED_MODULES = ("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "overlay")
_VSOCK_MODULES = ("vmw_vsock_virtio_transport",)
_DEVICE_DEADLINE_S = 20.0
_RESERVE = 24 * 1024 * 1024  # memory that user code can't take from the agent and the kernel

# Doors of the kernel that user code has no use for: sysctl documentation, kernel.*, user.*, vm.*
_SYSCTLS = {
    "kernel/kptr_restrict": "2",
    "kernel/dmesg_restrict": "1",
    "kernel/perf_event_paranoid": "3",
    "kernel/unprivileged_bpf_disabled": "1",
    "kernel/printk": "3 4 1 3",
    "kernel/sysrq": "0",
    "user/max_user_namespaces": "0",
    "vm/overcommit_memory": "0",
}


def main() -> None:
    """Never returns: when PID 1 ends the kernel stops the machine."""
    if os.getpid() != 1:
        sys.exit("vmdeck guest: this is the agent, process 1 of a microVM; it can't run anywhere else")
    stages: dict[str, float] = {}

    def reached(stage: str) -> None:
        stages[stage] = round(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000, 1)

    try:
        reached("init")
        _mount_kernel_filesystems()
        _load_modules(_WANTED_MODULES)
        reached("modules")
        _leave_initial_root()
        _set_sysctls()
        _mount_image()
        reached("image")
        _serve(stages, reached)
    except BaseException as error:  # noqa: BLE001 - the serial console is the last place that can tell
        import traceback

        traceback.print_exception(error)
        sys.stderr.flush()
        os.sync()
        os._exit(1)


def _mount_kernel_filesystems() -> None:
    from guest import syscalls

    quiet = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", PROC, "proc", quiet)
    syscalls.mount("sysfs", SYS, "sysfs", quiet)
    syscalls.mount("devtmpfs", DEV, "devtmpfs", syscalls.MS_NOSUID | syscalls.MS_NOEXEC)
    try:  # moving a process into its group then waits for no RCU grace period, which is 15 ms
        syscalls.mount("cgroup2", SYS + "/fs/cgroup", "cgroup2", quiet, "favordynmods")
    except OSError:  # before Linux 6.0
        syscalls.mount("cgroup2", SYS + "/fs/cgroup", "cgroup2", quiet)


def _load_modules(names: tuple[str, ...]) -> None:
    """Insert those that the kernel has as modules, in the order that /modules/order states: ``name: dep ... name``."""
    from guest import syscalls

    loaded: set[str] = set()
    with open(MODULES + "/order") as file:
        order = dict(line.split(":", 1) for line in file)
    for wanted in names:
        for name in order.get(wanted, "").split():
            if name not in loaded:
                try:
                    syscalls.finit_module(f"{MODULES}/{name}.ko")
                except FileExistsError:
                    pass  # in already
                loaded.add(name)


def _leave_initial_root() -> None:
    """Move onto a bind mount of the initial root: pivot_root(2) refuses to leave the initial one itself."""
    from guest import syscalls

    os.mkdir("/root0")
    syscalls.mount("/", "/root0", None, syscalls.MS_BIND | syscalls.MS_REC)
    os.chdir("/root0")
    syscalls.mount(".", "/", None, syscalls.MS_MOVE)
    os.chroot(".")
    os.chdir("/")


def _set_sysctls() -> None:
    for name, value in _SYSCTLS.items():
        try:
            with open(f"/proc/sys/{name}", "w") as file:
                file.write(value)
        except FileNotFoundError:
            pass  # this kernel has no such door


def _mount_image() -> None:
    from guest import syscalls

    device = _wait_for(lambda: "/dev/vda" if os.path.exists("/dev/vda") else None, "the image's block device")
    flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount(device, IMAGE, "ext4", flags, "noload")


def _open_channel() -> Channel:
    """The one that the host gave this machine. Its devices are all known by now, if not what is on them."""
    from guest import channel, protocol

    if channel.has_vsock():
        _load_modules(_VSOCK_MODULES)
        return channel.VsockPort.listening(protocol.AGENT_PORT)
    return channel.SerialPort(_wait_for(_find_port, "the channel to the host"))


def _find_port() -> str | None:
    from guest.protocol import CHANNEL_NAME

    ports = "/sys/class/virtio-ports"
    for entry in os.listdir(ports) if os.path.isdir(ports) else ():
        with open(f"{ports}/{entry}/name") as file:
            if file.read().strip() == CHANNEL_NAME and os.path.exists(f"/dev/{entry}"):
                return f"/dev/{entry}"
    return None


def _wait_for(probe: Callable[[], str | None], what: str) -> str:
    """Devices appear some time after their driver; polling is all there is without udev."""
    deadline = time.monotonic() + _DEVICE_DEADLINE_S
    while (found := probe()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not appear in {_DEVICE_DEADLINE_S:.0f} s")
        time.sleep(0.002)
    return found


def _serve(stages: dict[str, float], reached: Callable[[str], None]) -> None:
    from guest import agent, cgroup, protocol

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    memory_max = _available_memory() - _RESERVE
    cgroup.setup(memory_max)
    channel = _open_channel()
    reached("agent")
    hello: dict[str, object] = {
        "version": protocol.PROTOCOL_VERSION,
        "agent": agent.AGENT_VERSION,
        "kernel": os.uname().release,
        "capabilities": ["exec", "files", "park", "server", "stats"],
        "memory_max_bytes": memory_max,
        "boot_ms": stages,
    }
    agent.Agent(channel, hello, memory_max).serve()


def _available_memory() -> int:
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell its available memory")
