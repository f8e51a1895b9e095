"""KVM is judged by what guest code did, whatever the device and the probe do."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.host import kvm
from engine.host.kvm import KvmVerdict, classify, kvm_verdict
from engine.host.kvm_probe import LOOP_ITERATIONS
from engine.settings import Settings

DEVICE = Path("/dev/kvm")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "run").mkdir()
    return Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run")


@pytest.fixture
def openable(tmp_path: Path) -> Path:
    """A file that opens for reading and writing, in the place of the device."""
    path = tmp_path / "kvm"
    path.touch()
    return path


def scripted(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


def printing(text: str) -> tuple[str, ...]:
    return scripted(f"print({text!r})")


async def judged(settings: Settings, device: Path, probe: tuple[str, ...], **more: object) -> KvmVerdict:
    return await kvm_verdict(settings, device=device, machine="x86_64", probe=probe, **more)  # type: ignore[arg-type]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root is refused nothing, so be nobody for a moment."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(before)


async def test_this_host_gets_a_verdict_that_its_evidence_bears_out(settings: Settings) -> None:
    verdict = await kvm_verdict(settings, fresh=True)
    if not DEVICE.exists():
        assert verdict.kind == "absent"
    elif not os.access(DEVICE, os.R_OK | os.W_OK):
        assert verdict.kind == "denied"
    elif verdict.measured:
        fast = verdict.iterations_per_s is not None and verdict.iterations_per_s >= kvm.NATIVE_ITERATIONS_PER_S
        assert verdict.kind == ("native" if fast else "emulated")
    else:
        assert verdict.kind in ("emulated", "absent")
        assert verdict.detail


async def test_a_missing_device_is_absent(settings: Settings, tmp_path: Path) -> None:
    verdict = await judged(settings, tmp_path / "none", printing("{}"))
    assert verdict.kind == "absent"
    assert "No such file" in verdict.detail


async def test_a_device_that_this_user_may_not_open_is_denied(settings: Settings, openable: Path) -> None:
    openable.chmod(0)
    with unprivileged():
        verdict = await judged(settings, openable, printing("{}"))
    assert verdict.kind == "denied"
    assert "Permission denied" in verdict.detail


async def test_a_device_that_is_not_kvm_is_absent(settings: Settings) -> None:
    verdict = await kvm_verdict(settings, device=Path("/dev/null"), machine="x86_64")
    assert verdict.kind == "absent"
    assert "makes no VM" in verdict.detail


@pytest.mark.parametrize(
    ("machine", "kind", "told"),
    [("aarch64", "native", "no guest loop was run"), ("riscv64", "emulated", "not probed on riscv64")],
)
async def test_another_processor_is_said_to_be_unprobed_and_trusted_where_the_device_is_proof(
    settings: Settings, openable: Path, machine: str, kind: str, told: str
) -> None:
    verdict = await kvm_verdict(settings, device=openable, machine=machine, probe=scripted("raise SystemExit(1)"))
    assert (verdict.kind, verdict.measured) == (kind, False)
    assert told in verdict.detail


async def test_a_probe_past_its_deadline_is_emulated_and_its_process_gone(settings: Settings, openable: Path) -> None:
    before = set(psutil.Process().children())
    verdict = await judged(settings, openable, scripted("import signal; signal.pause()"), deadline_s=0.2)
    assert (verdict.kind, verdict.measured) == ("emulated", False)
    assert "within 0.2 s" in verdict.detail
    assert set(psutil.Process().children()) <= before


async def test_cancelling_the_verdict_ends_its_probe(settings: Settings, openable: Path) -> None:
    fifo = openable.with_name("fifo")
    os.mkfifo(fifo)
    hang = scripted(f"import os, signal; open({str(fifo)!r}, 'w').write(str(os.getpid())); signal.pause()")
    task = asyncio.create_task(judged(settings, openable, hang))
    pid = await asyncio.to_thread(fifo.read_text)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("output", ["", "not json", "[]", '"text"'])
async def test_a_probe_that_prints_nonsense_is_not_taken_for_working_kvm(
    settings: Settings, openable: Path, output: str
) -> None:
    verdict = await judged(settings, openable, printing(output))
    assert (verdict.kind, verdict.measured) == ("emulated", False)
    assert "could not be probed" in verdict.detail


async def test_a_probe_that_crashes_is_quoted(settings: Settings, openable: Path) -> None:
    verdict = await judged(settings, openable, scripted("raise SystemExit('the reason')"))
    assert "the reason" in verdict.detail


async def test_a_probe_that_can_not_be_started_is_a_verdict_too(settings: Settings, openable: Path) -> None:
    verdict = await judged(settings, openable, (str(openable.with_name("none")),))
    assert (verdict.kind, verdict.measured) == ("emulated", False)


@pytest.mark.parametrize(
    ("cpu_ms", "iterations", "halted", "kind"),
    [
        (0.4, LOOP_ITERATIONS, True, "native"),
        (5.0, LOOP_ITERATIONS, True, "native"),
        (0.0, LOOP_ITERATIONS, True, "native"),
        (1400.0, LOOP_ITERATIONS, True, "emulated"),
        (600.0, 450_000, False, "emulated"),
        (600.0, 0, False, "emulated"),
    ],
)
def test_the_speed_of_the_loop_decides(cpu_ms: float, iterations: int, halted: bool, kind: str) -> None:
    report: kvm.Report = {"stage": "end", "cpu_ms": cpu_ms, "iterations": iterations, "halted": halted}
    assert classify(report, DEVICE, None).kind == kind


def test_the_loop_time_of_an_interrupted_loop_is_that_of_the_whole() -> None:
    report: kvm.Report = {"stage": "end", "cpu_ms": 600.0, "iterations": 500_000, "halted": False}
    assert classify(report, DEVICE, None).iterations_per_s == pytest.approx(LOOP_ITERATIONS / 1.2)


def test_kvm_that_stops_at_another_exit_than_the_halt_does_not_run_guest_code() -> None:
    report: kvm.Report = {"stage": "end", "cpu_ms": 0.1, "iterations": 900_000, "halted": False, "exit_reason": 17}
    verdict = classify(report, DEVICE, None)
    assert (verdict.kind, verdict.measured) == ("emulated", False)
    assert "exit reason 17" in verdict.detail


@pytest.mark.parametrize(
    ("stage", "error", "kind"),
    [
        ("open", errno.EACCES, "denied"),
        ("open", errno.ENODEV, "absent"),
        ("create", errno.EBUSY, "absent"),
        ("create", errno.EPERM, "denied"),
        ("run", errno.EFAULT, "emulated"),
    ],
)
def test_where_the_probe_was_refused_decides(stage: str, error: int, kind: str) -> None:
    verdict = classify({"stage": stage, "errno": error}, DEVICE, None)
    assert verdict.kind == kind
    assert os.strerror(error) in verdict.detail


def test_a_slow_pvm_host_is_told_what_its_module_is_for() -> None:
    report: kvm.Report = {"stage": "end", "cpu_ms": 600.0, "iterations": 450_000, "halted": False}
    assert "built for PVM" in classify(report, DEVICE, "kvm_pvm").detail
    assert "PVM" not in classify(report, DEVICE, "kvm_intel").detail


NATIVE = '{"stage": "end", "cpu_ms": 1.0, "iterations": 1000000, "halted": true}'
SLOW = '{"stage": "end", "cpu_ms": 1000.0, "iterations": 1000000, "halted": true}'


async def test_a_measured_verdict_is_remembered_until_it_is_asked_for_afresh(
    settings: Settings, openable: Path
) -> None:
    assert (await judged(settings, openable, printing(NATIVE))).kind == "native"
    assert (await judged(settings, openable, printing(SLOW))).kind == "native"
    assert (await judged(settings, openable, printing(SLOW), fresh=True)).kind == "emulated"
    assert (await judged(settings, openable, printing(NATIVE))).kind == "emulated"


async def test_a_verdict_without_measurement_is_not_remembered(settings: Settings, openable: Path) -> None:
    await judged(settings, openable, scripted("raise SystemExit(1)"))
    assert (await judged(settings, openable, printing(NATIVE))).kind == "native"


async def test_a_remembered_verdict_does_not_outlive_the_boot(
    settings: Settings, openable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot_id = tmp_path / "boot_id"
    monkeypatch.setattr(kvm, "_BOOT_ID", boot_id)
    boot_id.write_text("first")
    await judged(settings, openable, printing(NATIVE))
    boot_id.write_text("second")
    assert (await judged(settings, openable, printing(SLOW))).kind == "emulated"


async def test_a_remembered_verdict_does_not_hide_that_the_device_is_gone(settings: Settings, openable: Path) -> None:
    await judged(settings, openable, printing(NATIVE))
    openable.unlink()
    assert (await judged(settings, openable, printing(NATIVE))).kind == "absent"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"boot_id": 3}'])
async def test_a_broken_memory_is_measured_over(settings: Settings, openable: Path, content: bytes) -> None:
    (settings.runtime_dir / "kvm.json").write_bytes(content)
    assert (await judged(settings, openable, printing(NATIVE))).kind == "native"
    assert (await judged(settings, openable, printing(SLOW))).kind == "native"


async def test_a_runtime_folder_that_can_not_be_written_costs_only_the_memory(openable: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(data_dir=tmp_path, runtime_dir=tmp_path / "file" / "run")
    assert (await judged(settings, openable, printing(NATIVE))).kind == "native"


async def test_where_no_engine_has_been_a_verdict_makes_no_folder(settings: Settings, openable: Path) -> None:
    settings.runtime_dir.rmdir()
    assert (await judged(settings, openable, printing(NATIVE))).measured
    assert not settings.runtime_dir.exists()


async def test_remembering_leaves_no_other_file(settings: Settings, openable: Path) -> None:
    await judged(settings, openable, printing(NATIVE))
    assert [path.name for path in settings.runtime_dir.iterdir()] == ["kvm.json"]
