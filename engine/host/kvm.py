"""What KVM is worth on this host, found out by running guest code in a throw-away VM.

``/dev/kvm`` proves nothing by being there: some hosts offer it and then emulate, a thousand times slower, or run
only kernels of a special build. ``kvm_probe.py`` measures, in a process of its own; this file judges what it
reports and remembers a measured verdict until the next boot.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.host import command
from engine.host.kvm_probe import LOOP_ITERATIONS, Report
from engine.settings import Settings

DEVICE = Path("/dev/kvm")
PROBED_MACHINES = ("x86_64",)
# Whose KVM comes up only where the kernel was started at the processor's own level for hypervisors.
_DEVICE_IS_PROOF = ("aarch64",)
NATIVE_ITERATIONS_PER_S = 10_000_000  # hardware does over 200 million, emulation about one
PROBE_DEADLINE_S = 2.0
PVM_MODULE = "kvm_pvm"
_CACHE_NAME = "kvm.json"
_PROBE = Path(__file__).with_name("kvm_probe.py")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MODULES = Path("/sys/module")

log = logging.getLogger(__name__)

KvmKind = Literal["native", "emulated", "denied", "absent"]


class KvmVerdict(BaseModel):
    """What KVM is worth.

    kind: "native" (guest code ran at hardware speed, or the architecture has no other KVM), "emulated" (VMs can be
    made, but native speed was not seen),
    "denied" (this user may not open it), "absent" (no device, or one that makes no VMs).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: KvmKind
    detail: str
    module: str | None = None
    iterations_per_s: float | None = None

    @property
    def measured(self) -> bool:
        """Guest code ran, and its speed was seen."""
        return self.iterations_per_s is not None


class _Remembered(BaseModel):
    """A verdict on disk, with what must be unchanged for it to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    boot_id: str
    device: str
    module: str | None
    verdict: KvmVerdict


async def kvm_verdict(
    settings: Settings,
    *,
    fresh: bool = False,
    device: Path = DEVICE,
    machine: str = "",
    probe: Sequence[str] = (sys.executable, "-I", "-S", str(_PROBE)),
    deadline_s: float = PROBE_DEADLINE_S,
) -> KvmVerdict:
    """The verdict of this boot: remembered where it was measured before and ``fresh`` is not set, measured otherwise.

    Takes about 20 ms on real KVM, 0.7 s where KVM emulates, ``deadline_s`` at most. Never raises for what it finds.
    ``machine``, ``probe`` (an argv that gets the device appended) and ``device`` are this host's own by default.
    """
    machine = machine or platform.machine()
    module = host_module()
    unopened = _try_open(device, module)
    if unopened is not None:
        return unopened
    if machine not in PROBED_MACHINES:
        if machine not in _DEVICE_IS_PROOF:
            detail = f"{device} opens, but how it runs guest code is not probed on {machine}"
            return KvmVerdict(kind="emulated", detail=detail, module=module)
        detail = f"{device} opens, and on {machine} only a processor's EL2 brings it; no guest loop was run"
        return KvmVerdict(kind="native", detail=detail, module=module)
    cache = settings.runtime_dir / _CACHE_NAME
    remembered = None if fresh else _recall(cache, device, module)
    if remembered is not None:
        return remembered
    verdict = await _measure([*probe, str(device)], device, module, deadline_s)
    if verdict.measured:
        await asyncio.to_thread(_remember, cache, device, verdict)
    return verdict


def host_module(modules: Path = _MODULES) -> str | None:
    """The kernel module behind /dev/kvm (kvm_intel, kvm_amd, kvm_pvm ...), where one is to be seen."""
    found = sorted(path.name for path in modules.glob("kvm_*"))
    return ", ".join(found) or None


def classify(report: Report, device: Path, module: str | None) -> KvmVerdict:
    """Judge what the probe printed."""
    stage, error = report.get("stage", "open"), report.get("errno")
    if error is not None and stage != "run":
        return _refused(device, error, module, opened=stage == "create")
    iterations, cpu_ms = report.get("iterations", 0), report.get("cpu_ms", 0.0)
    if error is not None or ("exit_reason" in report and not report.get("halted")):
        how = os.strerror(error) if error is not None else f"exit reason {report.get('exit_reason')}"
        detail = f"{device} makes VMs but does not run their code: {how} after {iterations:,} loops"
        return KvmVerdict(kind="emulated", detail=detail + _pvm_note(module), module=module)
    rate = iterations / max(cpu_ms, 0.001) * 1000
    if report.get("halted") and rate >= NATIVE_ITERATIONS_PER_S:
        detail = f"{LOOP_ITERATIONS:,} guest loops in {cpu_ms:.1f} ms"
        return KvmVerdict(kind="native", detail=detail, module=module, iterations_per_s=rate)
    if not iterations:
        detail = f"{device} makes VMs, but their code did no loop in {cpu_ms:.0f} ms"
        return KvmVerdict(kind="emulated", detail=detail + _pvm_note(module), module=module)
    needs_ms = LOOP_ITERATIONS / rate * 1000
    detail = f"{LOOP_ITERATIONS:,} guest loops take {needs_ms:,.0f} ms (hardware: under 5 ms)"
    return KvmVerdict(kind="emulated", detail=detail + _pvm_note(module), module=module, iterations_per_s=rate)


def _pvm_note(module: str | None) -> str:
    if module is None or PVM_MODULE not in module:
        return ""
    return f"; the host's module {PVM_MODULE} is fast only with guest kernels built for PVM"


def _try_open(device: Path, module: str | None) -> KvmVerdict | None:
    """A verdict where the device does not even open: cheap, so never remembered."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return _refused(device, error.errno or errno.EIO, module, opened=False)
    return None


def _refused(device: Path, error: int, module: str | None, *, opened: bool) -> KvmVerdict:
    reason = os.strerror(error)
    if error in (errno.EACCES, errno.EPERM):
        return KvmVerdict(kind="denied", detail=f"{device}: {reason}", module=module)
    if opened:
        return KvmVerdict(kind="absent", detail=f"{device} opens but makes no VM: {reason}", module=module)
    return KvmVerdict(kind="absent", detail=f"{device}: {reason}", module=module)


async def _measure(argv: list[str], device: Path, module: str | None, deadline_s: float) -> KvmVerdict:
    try:
        result = await command.output(argv, deadline_s=deadline_s)
    except TimeoutError:
        detail = f"{device}: guest code did not come to its end within {deadline_s:g} s{_pvm_note(module)}"
        return KvmVerdict(kind="emulated", detail=detail, module=module)
    except OSError as error:
        return _probe_failed(device, module, str(error))
    try:
        report = json.loads(result.stdout)
    except ValueError:
        report = None
    if result.status != 0 or not isinstance(report, dict):
        return _probe_failed(device, module, f"status {result.status}, {result.last_words or 'no output'}")
    return classify(cast(Report, report), device, module)


def _probe_failed(device: Path, module: str | None, how: str) -> KvmVerdict:
    """KVM that was not seen to work is not used; the log tells that the fault may be ours."""
    log.warning("the KVM probe of %s failed: %s", device, how)
    return KvmVerdict(kind="emulated", detail=f"{device} could not be probed: {how}", module=module)


def _recall(cache: Path, device: Path, module: str | None) -> KvmVerdict | None:
    try:
        remembered = _Remembered.model_validate_json(cache.read_bytes())
        boot_id = _BOOT_ID.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("measuring KVM anew: %s can't be used: %s", cache, error)
        return None
    holds = (remembered.boot_id, remembered.device, remembered.module) == (boot_id, str(device), module)
    return remembered.verdict if holds else None


def _remember(cache: Path, device: Path, verdict: KvmVerdict) -> None:
    """Written to a name of its own and renamed, so that a reader meets all of it or nothing.

    Not where no engine has been yet: a look at the host makes no folder on it.
    """
    if not cache.parent.is_dir():
        return
    try:
        boot_id = _BOOT_ID.read_text().strip()
        text = _Remembered(
            boot_id=boot_id, device=str(device), module=verdict.module, verdict=verdict
        ).model_dump_json()
        with NamedTemporaryFile("w", dir=cache.parent, prefix=f".{cache.name}.", delete=False) as file:
            try:
                file.write(text)
                file.flush()
                Path(file.name).replace(cache)
            except BaseException:
                with suppress(FileNotFoundError):
                    Path(file.name).unlink()
                raise
    except OSError as error:
        log.warning("KVM is measured anew by the next start: %s can't be written: %s", cache, error)
