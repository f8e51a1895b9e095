from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from engine.cli.service import answers
from engine.errors import ConflictError, InputError, NotReadyError
from engine.folders import config_dir
from engine.lock import owned
from engine.rootfs.progress import silent
from engine.settings import Settings
from engine.setup import service, systemd, trusted
from engine.setup.ledger import Ledger
from tests.unit.setup.conftest import Commands, MakeContext

TOKEN = "s3cret-t0ken"
EXPOSED_AT_MOST = 6.0  # of 10; a root service without any hardening has 9.6
ACTIVE = "printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\nMainPID=7\\n'"


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, commands: Commands) -> Commands:
    """A host whose systemd runs, and does what it is told."""
    systemd.RUNNING.mkdir(parents=True)
    monkeypatch.setattr(service, "is_root", lambda: True)
    monkeypatch.setattr(service, "open_program", lambda: None)  # whoever runs the tests owns them
    commands.add("systemctl", f"case $1 in show) {ACTIVE};; esac")
    return commands


@pytest.fixture
def system_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the folders that the system's service is for."""
    monkeypatch.setattr(service, "_SYSTEM_DATA", settings.data_dir)
    monkeypatch.setattr(service, "_SYSTEM_RUNTIME", settings.runtime_dir)
    return settings


async def test_it_is_written_enabled_and_started_and_undone(
    running: Commands, settings: Settings, ledger: Ledger, host_files: Path
) -> None:
    await service.install(settings, ledger, ("--port", "8080"))
    unit = service.UNIT_PATH.read_text()
    assert re.search(r"^ExecStart=\S+/vmdeck serve --port 8080$", unit, re.MULTILINE)
    assert running.changing() == [
        "systemctl daemon-reload",
        "systemctl enable vmdeck.service",
        "systemctl restart --no-block vmdeck.service",
    ]
    await service.remove(ledger)
    assert running.changing()[3:] == ["systemctl disable --now vmdeck.service", "systemctl daemon-reload"]
    assert not service.UNIT_PATH.exists()
    assert ledger.traces() == ()


async def test_the_token_is_in_a_private_file_and_nowhere_else(
    running: Commands, settings: Settings, ledger: Ledger
) -> None:
    lines: list[str] = []
    await service.install(settings, ledger, api_token=TOKEN, progress=lambda line, fraction=None: lines.append(line))
    file = service.environment_file()
    assert file.read_text() == f'VMDECK_API_TOKEN="{TOKEN}"\n'
    assert file.stat().st_mode & 0o777 == 0o600
    unit = service.UNIT_PATH.read_text()
    assert f"EnvironmentFile=-{file}" in unit
    assert TOKEN not in "\n".join([unit, *lines, *running.calls, ledger.path.read_text()])
    assert hashlib.sha256(file.read_bytes()).hexdigest() not in ledger.path.read_text()


async def test_a_token_that_can_not_be_written_is_not_told(
    running: Commands, settings: Settings, ledger: Ledger
) -> None:
    with pytest.raises(InputError) as caught:
        await service.install(settings, ledger, api_token=f"{TOKEN}\nExecStart=/bin/sh")
    assert TOKEN not in f"{caught.value.message}{caught.value.remedy}"
    assert not service.UNIT_PATH.exists()


async def test_a_program_that_others_may_write_is_no_service_of_root(
    running: Commands,
    system_settings: Settings,
    ledger: Ledger,
    context: MakeContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "open_program", lambda: tmp_path)
    with pytest.raises(NotReadyError, match="may be written by others"):
        await service.install(system_settings, ledger)
    finding = await service.check(context())
    assert (finding.skipped, str(tmp_path) in finding.seen, "--anyway" in finding.seen) == (True, True, True)
    assert (running.changing(), service.UNIT_PATH.exists()) == ([], False)
    await service.install(system_settings, ledger, anyway=True)
    assert (await service.check(context())).done


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o755, False), (0o777, True), (0o1777, False)], ids=["own", "for all", "sticky"]
)
def test_a_folder_above_that_others_may_write_is_found(mode: int, is_open: bool, tmp_path: Path) -> None:
    above = tmp_path / "above"
    program = above / "bin" / "program"
    program.parent.mkdir(parents=True)
    program.touch()
    link = tmp_path / "link"
    link.symlink_to(program)
    above.chmod(mode)
    assert trusted.open_to_others([link], root=os.geteuid()) == (above if is_open else None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_program_of_a_user_is_found(tmp_path: Path) -> None:
    (tmp_path / "program").touch()
    os.chown(tmp_path / "program", 12345, 12345)
    assert trusted.open_to_others([tmp_path / "program"]) == tmp_path / "program"


SHOW = "printf 'LoadState=loaded\\nActiveState={}\\nSubState={}\\nUnitFileState=enabled\\nMainPID=0\\n'"


@pytest.mark.parametrize(
    ("active", "sub", "own_engine", "done"),
    [
        ("active", "running", False, True),
        ("failed", "failed", False, False),
        ("activating", "auto-restart", False, False),
        ("inactive", "dead", False, False),
        ("activating", "auto-restart", True, True),
        ("failed", "failed", True, False),
    ],
)
async def test_a_service_that_is_enabled_and_does_not_run_is_not_done(
    active: str,
    sub: str,
    own_engine: bool,
    done: bool,
    running: Commands,
    system_settings: Settings,
    ledger: Ledger,
    context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "_START_S", 0.1)
    await service.install(system_settings, ledger)
    running.add("systemctl", f"case $1 in show) {SHOW.format(active, sub)};; esac")
    with owned(system_settings) if own_engine else nullcontext():
        finding = await service.check(context())
        assert (await service.verify(context())).done is done
    assert (finding.done, finding.settled) == (done, done)
    assert ("when this engine has ended" if done and own_engine else f"{active} ({sub})") in finding.seen


async def test_setup_ends_well_only_where_the_service_answers(running: Commands, settings: Settings) -> None:
    running.add("systemctl", f"case $1 in show) {SHOW.format('failed', 'failed')};; esac")
    with pytest.raises(NotReadyError, match=r"failed \(failed\) and does not answer"):
        await answers(settings)


async def test_a_service_that_gave_up_is_started_again(running: Commands, settings: Settings, ledger: Ledger) -> None:
    running.add("systemctl", f"case $1 in show) {SHOW.format('failed', 'failed')};; esac")
    await service.install(settings, ledger)
    assert running.changing()[-2:] == [
        "systemctl reset-failed vmdeck.service",
        "systemctl restart --no-block vmdeck.service",
    ]


async def test_without_systemd_nothing_is_written(commands: Commands, settings: Settings, ledger: Ledger) -> None:
    with pytest.raises(NotReadyError, match="systemd does not run here"):
        await service.install(settings, ledger)
    assert not service.UNIT_PATH.exists()
    assert not config_dir().exists()
    assert commands.calls == []


async def test_without_root_nothing_is_written(
    running: Commands, settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "is_root", lambda: False)
    with pytest.raises(NotReadyError, match="needs root"):
        await service.install(settings, ledger)
    assert running.calls == []


async def test_a_unit_of_another_is_not_removed(running: Commands, ledger: Ledger) -> None:
    service.UNIT_PATH.parent.mkdir(parents=True)
    service.UNIT_PATH.write_text("[Service]\n")
    with pytest.raises(ConflictError, match="not recorded"):
        await service.remove(ledger)
    assert service.UNIT_PATH.exists()


async def test_setup_installs_it_once_and_keeps_the_operators_port(
    running: Commands, system_settings: Settings, ledger: Ledger, context: MakeContext
) -> None:
    await service.install(system_settings, ledger, ("--port", "8080"))
    ctx = context()
    assert (await service.check(ctx)).done
    service.UNIT_PATH.write_text(service.UNIT_PATH.read_text().replace("RestartSec=2", "RestartSec=9"))
    assert not (await service.check(ctx)).settled
    await service.apply(ctx, silent)
    assert "serve --port 8080" in service.UNIT_PATH.read_text()
    assert (await service.check(ctx)).done


@pytest.mark.parametrize(
    ("options", "reason"), [({"skip": ["service"]}, "as asked"), ({}, "the service is for /var/lib/vmdeck")]
)
async def test_setup_leaves_it_out_with_the_reason(
    options: dict[str, object], reason: str, running: Commands, context: MakeContext
) -> None:
    finding = await service.check(context(**options))
    assert finding.skipped
    assert reason in finding.seen


async def test_setup_leaves_it_out_where_systemd_does_not_run(context: MakeContext) -> None:
    assert (await service.check(context())).skipped


async def test_a_unit_of_another_is_not_replaced(running: Commands, settings: Settings, ledger: Ledger) -> None:
    service.UNIT_PATH.parent.mkdir(parents=True)
    service.UNIT_PATH.write_text("[Service]\n")
    with pytest.raises(ConflictError, match="not recorded"):
        await service.install(settings, ledger, api_token=TOKEN)
    assert service.UNIT_PATH.read_text() == "[Service]\n"
    assert not service.environment_file().exists()
    assert (running.changing(), ledger.traces()) == ([], ())


async def test_other_lines_of_the_environment_file_stay(running: Commands, settings: Settings, ledger: Ledger) -> None:
    file = service.environment_file()
    file.parent.mkdir(parents=True)
    file.write_text("HTTPS_PROXY=http://proxy")
    await service.install(settings, ledger, api_token="first")
    await service.install(settings, ledger, api_token="second")
    assert file.read_text() == 'HTTPS_PROXY=http://proxy\nVMDECK_API_TOKEN="second"\n'
    await service.remove(ledger)
    assert file.read_text() == "HTTPS_PROXY=http://proxy\n"


async def test_the_operators_own_token_is_not_replaced(running: Commands, settings: Settings, ledger: Ledger) -> None:
    file = service.environment_file()
    file.parent.mkdir(parents=True)
    file.write_text("VMDECK_API_TOKEN=theirs\n")
    with pytest.raises(ConflictError) as caught:
        await service.install(settings, ledger, api_token=TOKEN)
    assert TOKEN not in f"{caught.value.message}{caught.value.remedy}"
    assert file.read_text() == "VMDECK_API_TOKEN=theirs\n"
    assert not service.UNIT_PATH.exists()


@pytest.mark.parametrize("folder", ["/srv/a b", '/srv/"quoted"', "/srv/100%", "/srv/$HOME"])
def test_folders_of_any_name_come_through(folder: str) -> None:
    unit = service.unit_text(Settings(data_dir=Path(folder), runtime_dir=Path("/run/vmdeck")))
    wanted = folder.replace("%", "%%").replace('"', '\\"')
    assert wanted in unit


@pytest.mark.parametrize(
    ("runtime_dir", "made", "writable"),
    [
        ("/run/vmdeck", "vmdeck-jails vmdeck", "/data"),
        ("/run/deck/two", "vmdeck-jails deck/two", "/data"),
        ("/srv/run", "vmdeck-jails", "/data /srv/run"),
        ("/run/user/7/deck", "vmdeck-jails", "/data /run/user/7/deck"),
    ],
)
def test_folders_below_run_are_there_after_a_boot(runtime_dir: str, made: str, writable: str) -> None:
    lines = service.unit_text(Settings(data_dir=Path("/data"), runtime_dir=Path(runtime_dir))).splitlines()
    assert f"RuntimeDirectory={made}" in lines
    assert {"RuntimeDirectoryMode=0700", "RuntimeDirectoryPreserve=yes"} <= set(lines)
    assert f"ReadWritePaths={writable}" in lines


@pytest.mark.parametrize(("arguments", "given"), [((), False), (("--port", "80"), True), (("--port", "8080"), False)])
def test_a_low_port_comes_with_the_right_to_it(arguments: tuple[str, ...], given: bool, settings: Settings) -> None:
    assert ("CAP_NET_BIND_SERVICE" in service.unit_text(settings, arguments)) is given


def test_the_clock_may_be_asked_and_not_be_set(settings: Settings) -> None:
    unit = service.unit_text(settings)
    assert "@clock" not in unit
    assert "ProtectClock" not in unit
    assert "CAP_SYS_TIME" not in unit


def test_it_stops_trying_to_start_what_can_not_start(settings: Settings) -> None:
    limit = {"StartLimitIntervalSec": 0, "StartLimitBurst": 0, "RestartSec": 0}
    for line in service.unit_text(settings).splitlines():
        name, _, value = line.partition("=")
        if name in limit:
            limit[name] = int(value)
    assert 0 < limit["StartLimitBurst"] * (limit["RestartSec"] + 5) < limit["StartLimitIntervalSec"]


@pytest.fixture
def unit_file(tmp_path: Path) -> Path:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here (Debian package systemd)")
    path = tmp_path / "units" / service.UNIT
    path.parent.mkdir()
    path.write_text(service.unit_text(Settings(data_dir=Path("/var/lib/vmdeck"), runtime_dir=Path("/run/vmdeck"))))
    return path


def test_systemd_finds_no_fault_in_the_unit(unit_file: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit_file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if service.UNIT in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_counts_the_unit_as_hardened(unit_file: Path) -> None:
    argv = ["systemd-analyze", "security", "--offline=yes", "--json=short", f"--threshold={EXPOSED_AT_MOST * 10:.0f}"]
    done = subprocess.run([*argv, str(unit_file)], capture_output=True, text=True, timeout=60, check=False)
    weak = [f"{row['json_field']} {row['exposure']}" for row in json.loads(done.stdout) if row["exposure"]]
    assert done.returncode == 0, "\n".join(weak)
