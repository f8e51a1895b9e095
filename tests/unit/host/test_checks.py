"""The frame of the checks: each tells what it saw, none can break or hold up the others; and the table of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest

from engine.host import programs, storage, stores
from engine.host.check import CheckSpec, in_thread, run_check
from engine.host.checks import CHECKS, run_checks, verdict
from engine.host.command import KILL_GRACE_S
from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kvm import PROBE_DEADLINE_S, KvmVerdict
from engine.host.object_store import NAMES
from engine.models import Check, Severity
from engine.setup.steps import STEPS
from tests.unit.host.fake_host import cgroup_v2, cpuinfo, settings_at, surroundings, write
from tests.unit.host.programs import GOOD_QEMU, install_firecracker, script

ALL_WITHIN_S = 3.0
AFTER_KVM = {"kvm.runs", "cgroups", "qemu", "firecracker"}
TITLE_CELLS = 27  # of the console's table


def spec(probe: object, **more: object) -> CheckSpec:
    return CheckSpec("id", "title", probe, why="why", **more)  # type: ignore[arg-type]


def check(severity: Severity) -> Check:
    return Check(id="id", title="title", severity=severity, seen="")


# --- the frame


async def test_all_checks_of_this_host_come_back_in_order_and_none_crashes(tmp_path: Path) -> None:
    checks = await run_checks(settings_at(tmp_path))
    assert [check.id for check in checks] == [spec.id for spec in CHECKS]
    assert not [check.seen for check in checks if "the check itself failed" in check.seen]


async def test_what_is_not_fine_has_a_remedy(tmp_path: Path) -> None:
    checks = await run_checks(settings_at(tmp_path))
    assert not [
        check.id for check in checks if check.severity in (Severity.DEGRADED, Severity.BLOCKED) and not check.remedy
    ]


def test_deadlines_bound_all_checks_together_for_they_run_side_by_side() -> None:
    # A check may end a program at its deadline, and the probe of KVM may have to be ended after that.
    assert max(spec.deadline_s for spec in CHECKS) + 2 * KILL_GRACE_S < ALL_WITHIN_S
    assert min(spec.deadline_s for spec in CHECKS if spec.id in AFTER_KVM) > PROBE_DEADLINE_S + KILL_GRACE_S


def test_every_check_says_why_it_matters() -> None:
    assert not [spec.id for spec in CHECKS if not spec.why.endswith(".")]


def test_ids_are_unique_titles_fit_the_console_and_setup_steps_exist() -> None:
    assert max(Counter(spec.id for spec in CHECKS).values()) == 1
    assert not [spec.title for spec in CHECKS if len(spec.title) > TITLE_CELLS]
    assert {spec.fixed_by for spec in CHECKS} - {None} <= {step.id for step in STEPS}


def test_checks_of_one_group_stand_together() -> None:
    groups = [group for group, _ in groupby(CHECKS, key=lambda spec: spec.group)]
    assert len(groups) == len(set(groups))


async def test_a_check_that_crashes_is_a_degraded_finding_that_says_so(tmp_path: Path) -> None:
    def crash(_around: Surroundings) -> Finding:
        raise RuntimeError("wires crossed")

    found = await run_check(spec(in_thread(crash)), surroundings(tmp_path))
    assert found.severity is Severity.DEGRADED
    assert "RuntimeError: wires crossed" in found.seen


async def test_what_may_not_be_looked_at_is_named_and_no_crash(tmp_path: Path) -> None:
    def look(_around: Surroundings) -> Finding:
        raise PermissionError(13, "Permission denied", "/the/folder")

    found = await run_check(spec(in_thread(look)), surroundings(tmp_path))
    assert (found.severity, found.seen) == (Severity.DEGRADED, "this user may not look at /the/folder")


async def test_checks_that_never_end_take_no_place_of_other_work_and_are_bounded(tmp_path: Path) -> None:
    free = threading.Event()

    def stuck(_around: Surroundings) -> Finding:
        free.wait()
        return ok("after all")

    hangs = spec(in_thread(stuck), deadline_s=0.05)
    pool = ThreadPoolExecutor(max_workers=1)
    asyncio.get_running_loop().set_default_executor(pool)
    try:
        seen = [(await run_check(hangs, surroundings(tmp_path))).seen for _ in range(6)]
        assert await asyncio.to_thread(str, "runs start") == "runs start"
        assert "no end within 0.05 s" in seen[0]
        assert "have not come to an end" in seen[-1]
    finally:
        free.set()


def test_a_check_that_never_ends_does_not_keep_the_program_from_ending(tmp_path: Path) -> None:
    program = """
import asyncio, threading
from engine.host.check import CheckSpec, in_thread, run_check
forever = CheckSpec("x", "x", in_thread(lambda around: threading.Event().wait()), why="x", deadline_s=0.05)
print(asyncio.run(run_check(forever, None)).seen)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "no end" in done.stdout


async def test_a_check_that_hangs_is_cut_off_and_the_others_stand(tmp_path: Path) -> None:
    async def hang(_around: Surroundings) -> Finding:
        await asyncio.Event().wait()
        return ok("never")

    async def quick(_around: Surroundings) -> Finding:
        return ok("here")

    async def known() -> KvmVerdict:
        return KvmVerdict(kind="absent", detail="")

    late, fine = await run_checks(settings_at(tmp_path), kvm=known, specs=[spec(hang, deadline_s=0.05), spec(quick)])
    assert (late.severity, fine.severity) == (Severity.DEGRADED, Severity.OK)
    assert "no end within 0.05 s" in late.seen


async def test_a_remedy_of_the_finding_goes_before_that_of_the_check(tmp_path: Path) -> None:
    async def own(_around: Surroundings) -> Finding:
        return degraded("seen", "its own")

    async def plain(_around: Surroundings) -> Finding:
        return degraded("seen")

    around = surroundings(tmp_path)
    assert (await run_check(spec(own, remedy="general"), around)).remedy == "its own"
    assert (await run_check(spec(plain, remedy="general"), around)).remedy == "general"


@pytest.mark.parametrize(
    ("finding", "cure"),
    [
        (ok("seen"), ("", None)),
        (info("seen"), ("", None)),
        (info("seen", "its own"), ("its own", "packages")),
        (info("seen", "its own", by_hand=True), ("its own", None)),
        (degraded("seen"), ("general", "packages")),
        (degraded("seen", by_hand=True), ("general", None)),
    ],
)
async def test_a_cure_is_offered_where_there_is_one_and_setup_where_it_can(
    tmp_path: Path, finding: Finding, cure: tuple[str, str | None]
) -> None:
    async def look(_around: Surroundings) -> Finding:
        return finding

    found = await run_check(spec(look, remedy="general", fixed_by="packages"), surroundings(tmp_path))
    assert (found.remedy, found.fixed_by) == cure


@pytest.mark.parametrize(
    ("severities", "worst"),
    [
        ([], "ok"),
        ([Severity.OK, Severity.INFO], "ok"),
        ([Severity.OK, Severity.DEGRADED], "degraded"),
        ([Severity.DEGRADED, Severity.BLOCKED], "blocked"),
    ],
)
def test_the_verdict_is_the_worst_finding(severities: list[Severity], worst: str) -> None:
    assert verdict([check(severity) for severity in severities]) == worst


# --- a good host


@pytest.fixture
def good_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    """As Firecracker's guide for production hosts wants it, set up, with its service running."""
    around = surroundings(tmp_path, kvm="native", max_running=1, default_memory_mib=64)
    cpuinfo(tmp_path, "fpu vmx")
    cgroup_v2(tmp_path)
    cpu = around.sys / "devices" / "system" / "cpu"
    for path, text in {
        around.kvm_device: "",
        around.dev / "userfaultfd": "",
        around.sys / "module" / "kvm_intel" / "parameters" / "nested": "N",
        around.sys / "kernel" / "mm" / "ksm" / "run": "0",
        cpu / "smt" / "active": "0",
        cpu / "vulnerabilities" / "meltdown": "Not affected",
        cpu / "vulnerabilities" / "spectre_v2": "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional",
        around.proc / "sys" / "kernel" / "osrelease": "6.1.0-56-amd64",
        around.proc / "sys" / "kernel" / "pid_max": "4194304",
        around.proc / "self" / "status": "CapEff:\t000001ffffffffff\n",
        around.proc / "self" / "uid_map": "0 0 4294967295\n",
        around.proc / "swaps": "Filename Type Size Used Priority\n",
        around.proc / "meminfo": "HugePages_Total: 0\nHugepagesize: 2048 kB\n",
        around.settings.kernels_dir / "debian" / "manifest.json": "{}",
        around.settings.guest_dir / "agent" / "manifest.json": "{}",
        around.settings.images_dir / "python" / "manifest.json": "{}",
        around.settings.snapshots_dir / "python" / "manifest.json": '{"language": "python"}',
        around.etc / "systemd" / "system" / "vmdeck.service": "",
        around.run / "systemd" / "system" / "vmdeck.service": "",
    }.items():
        write(path, text)
    install_firecracker(around.settings.data_dir)
    for name, text in {
        "qemu-system-x86_64": GOOD_QEMU,
        "mmdebstrap": "",
        "systemctl": "#!/bin/sh\necho active\n",
    }.items():
        script(tmp_path / "bin" / name, text)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_HOST", *NAMES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs, "is_root", lambda: True)
    monkeypatch.setattr(programs, "require_jailable", lambda jails: None)
    monkeypatch.setattr(stores, "_SOCKET_NAME_BYTES", 0)  # folders of tests have long names
    monkeypatch.setattr(storage, "free_bytes", lambda _: 2**40)
    return around


SYNCHRONIZED = "clock"  # is this host's own, whatever is in the folders
ELSEWHERE = "s3"  # is not needed by a host that keeps its images itself


async def test_a_good_host_is_green_but_for_what_it_does_not_use(good_host: Surroundings) -> None:
    async def docker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nOK")

    async with await asyncio.start_unix_server(docker, good_host.run / "docker.sock"):
        checks = await asyncio.gather(*(run_check(spec, good_host) for spec in CHECKS if spec.id != SYNCHRONIZED))
    assert [
        (check.id, check.seen) for check in checks if check.severity is not Severity.OK and check.id != ELSEWHERE
    ] == []
    assert next(check for check in checks if check.id == ELSEWHERE).severity is Severity.INFO
