"""Values as an engine on a small box would give them, at a moment that does not pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine.models import (
    Check,
    Image,
    Job,
    JobState,
    Language,
    RunResult,
    SetupStep,
    Severity,
    Snapshot,
    Timings,
    Usage,
    Vm,
    VmRef,
    VmState,
)

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


def result(
    *, stdout: str = "", stderr: str | None = None, status: str = "success", exit_code: int = 0, **more: object
) -> RunResult:
    values: dict[str, object] = {
        "trace_id": "r-7f3c",
        "status": status,
        "stdout": stdout,
        "stderr": stderr,
        "exit_code": exit_code,
        "exec_time": "34ms",
        "exec_time_ms": 34,
        "timings": Timings(queue=1.2, restore=412, resync=6.3, exec=34, total=460.5, first_output=438),
        "boot": "snapshot",
        "usage": Usage(cpu_ms=22, peak_memory_bytes=9_543_680),
        "vm": VmRef(id="vm-0a31", vmm="qemu", reason="KVM runs guest code by emulation here"),
    }
    return RunResult.model_validate(values | more)


CHECKS = (
    Check(
        id="kvm.runs",
        group="kvm",
        title="KVM executes guest code",
        severity=Severity.DEGRADED,
        seen="by emulation: a loop of 1,000,000 steps took 1.4 s, on hardware under 5 ms",
        why="Firecracker and KVM need hardware virtualization; without it guests run under QEMU's translator, slower.",
        remedy="Use a metal instance, or one with nested virtualization, or a PVM guest kernel.",
    ),
    Check(
        id="snapshot.python",
        group="vmm",
        title="A warm snapshot for Python",
        severity=Severity.DEGRADED,
        seen="none that fits this host",
        why="Without one each run boots cold, which takes seconds.",
        remedy="Let setup make it, or run: vmdeck snapshot create --lang python",
        fixed_by="snapshot",
    ),
    Check(
        id="swap",
        group="security",
        title="Swap",
        severity=Severity.INFO,
        seen="3.1 GiB used",
        why="Guest memory may be on disk.",
    ),
    Check(id="qemu", group="vmm", title="QEMU", severity=Severity.OK, seen="qemu-system-x86_64 7.2.22"),
    Check(
        id="kernel",
        group="vmm",
        title="Guest kernel",
        severity=Severity.OK,
        seen="6.1.0-40-cloud-amd64, bzImage and ELF",
    ),
    Check(
        id="guest", group="vmm", title="Guest initramfs", severity=Severity.OK, seen="built from the present sources"
    ),
    Check(id="image.python", group="vmm", title="Image for Python", severity=Severity.OK, seen="python, 83 MiB"),
    Check(id="disk", group="storage", title="Disk room", severity=Severity.OK, seen="28 GiB free in the data folder"),
    Check(id="memory", group="memory", title="Memory", severity=Severity.OK, seen="2.6 of 3.8 GiB free"),
    Check(id="runtime", group="storage", title="Runtime folder", severity=Severity.OK, seen="private, on tmpfs"),
)

LANGUAGES = (
    Language(
        id="python",
        title="Python",
        aliases=("py",),
        category="Popular",
        file_name="main.py",
        syntax="python",
        example=(
            "import platform, sys\n\n"
            'print(f"Hello from Python {platform.python_version()} in a microVM")\n'
            "for number, line in enumerate(sys.stdin, 1):\n"
            '    print(number, line, end="")  # counts lines\n'
        ),
        image="python",
        ready=True,
        warm=True,
    ),
    Language(
        id="bash",
        title="Bash",
        category="Scripting",
        file_name="main.sh",
        syntax="bash",
        example='echo "Hello from Bash $BASH_VERSION"\n',
        image="python",
        ready=True,
    ),
    Language(id="forth", title="Forth", category="Esoteric", file_name="main.fs", example=': hi ." hi" ;\nhi\n'),
)

IMAGES = (
    Image(
        name="python",
        languages=("python", "bash"),
        digest="sha256:7f3c" + "0" * 60,
        size_bytes=88_080_384,
        disk_bytes=61_865_984,
        created=NOW - timedelta(days=2),
        source="debian bookworm",
        packages=("python3", "bash"),
        suite="bookworm",
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        user="nobody",
        path="/var/lib/vmdeck/images/python/rootfs.ext4",
    ),
    Image(
        name="node22",
        languages=("javascript",),
        digest="sha256:19ab" + "0" * 60,
        size_bytes=210_763_776,
        disk_bytes=154_140_672,
        created=NOW - timedelta(days=40),
        source="docker node:22-slim",
        path="/var/lib/vmdeck/images/node22/rootfs.ext4",
        problem="the file does not have the digest in its manifest: it was changed or damaged; build it again",
    ),
)

SNAPSHOTS = (
    Snapshot(
        name="python-256m-1cpu",
        language="python",
        image="python",
        image_digest="sha256:7f3c" + "0" * 60,
        vmm="qemu",
        vmm_version="7.2.22",
        accelerator="tcg",
        memory_mib=256,
        vcpus=1,
        size_bytes=268_500_992,
        disk_bytes=124_780_544,
        created=NOW - timedelta(hours=5),
        warm="parked",
    ),
    Snapshot(
        name="bash-128m-1cpu",
        language="bash",
        image="python",
        image_digest="sha256:41d0" + "0" * 60,
        vmm="qemu",
        vmm_version="7.2.19",
        accelerator="tcg",
        memory_mib=128,
        vcpus=1,
        size_bytes=134_283_264,
        disk_bytes=70_254_592,
        created=NOW - timedelta(days=31),
        warm="pagecache",
        fits=False,
        problem="made with qemu 7.2.19, here is 7.2.22; make it again",
        manifest={"format": "2"},
    ),
)

STEPS = (
    SetupStep(id="packages", title="Host packages", why="QEMU runs the guests", done=True, seen="qemu-system-x86 7.2"),
    SetupStep(
        id="docker", title="Docker engine", why="images from it", done=False, seen="left out, as asked", skipped=True
    ),
    SetupStep(id="kernel", title="Guest kernel", why="what guests boot", done=True, seen="6.1.0-40"),
    SetupStep(
        id="snapshot",
        title="Snapshot for Python",
        why="so that runs start warm",
        done=False,
        seen="none",
        needs=("kernel",),
        would=("boot the image python with 256 MiB and 1 vCPU", "save its state"),
    ),
)

JOBS = (
    Job(
        id="j3",
        kind="setup",
        title="Set up this host",
        state=JobState.RUNNING,
        started=NOW - timedelta(seconds=62),
        step="image: unpack packages",
        fraction=0.57,
    ),
    Job(
        id="j2",
        kind="snapshot",
        title="Snapshot bash-128m-1cpu",
        state=JobState.FAILED,
        started=NOW - timedelta(minutes=20),
        ended=NOW - timedelta(minutes=19, seconds=48),
        error="No room: 70 MiB needed, 12 MiB free in the data folder.",
        remedy="Delete images or snapshots that are not used.",
    ),
    Job(
        id="j1",
        kind="snapshot",
        title="Snapshot python-256m-1cpu",
        state=JobState.DONE,
        started=NOW - timedelta(hours=5, seconds=21),
        ended=NOW - timedelta(hours=5),
        fraction=1,
        result="python-256m-1cpu",
    ),
)


def vm(number: int, **changes: object) -> Vm:
    states = (VmState.RUNNING, VmState.RUNNING, VmState.STARTING, VmState.READY, VmState.STOPPING)
    state = states[number % len(states)]
    sampled = state is not VmState.STARTING
    values: dict[str, object] = {
        "id": f"vm-{0x0A31 + number:04x}",
        "vmm": "qemu",
        "accelerator": "tcg",
        "pid": 22817 + number if sampled else None,
        "state": state,
        "purpose": "run",
        "language": ("python", "bash", "javascript")[number % 3],
        "image": "python",
        "snapshot": "python-256m-1cpu" if number % 3 == 0 else None,
        "trace_id": f"r-{0x7F3C + number:04x}" if state is VmState.RUNNING else None,
        "memory_mib": 256,
        "vcpus": 1,
        "started": NOW - timedelta(seconds=12 + number),
        "age_s": 12.0 + 37 * number,
        "cpu_percent": 41.0 * (number % 3) if sampled else None,
        "memory_private_bytes": (43 + number) * 1_048_576 if sampled else None,
        "memory_shared_bytes": 80 * 1_048_576 if sampled else None,
    }
    return Vm.model_validate(values | changes)


LOG_LINES = (
    "[1/4] packages: nothing to do",
    "[2/4] kernel: nothing to do",
    "[3/4] image: mmdebstrap --variant=apt bookworm",
    "I: downloading packages with apt",
    "I: extracting archives",
    "I: installing essential packages",
)
