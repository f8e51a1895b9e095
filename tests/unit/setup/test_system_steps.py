"""Steps that change the host, over stand-ins for the programs that they call."""

from __future__ import annotations

import asyncio
import os
import platform
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ConflictError, NotReadyError
from engine.rootfs.progress import silent
from engine.settings import Settings
from engine.setup import docker, folders, kvm_access, modules, steps, system, systemd
from engine.setup.base import SetupContext, made
from engine.setup.ledger import Ledger
from tests.unit.setup.conftest import Commands, MakeContext

RELEASE = "6.1.0-test"
OS_RELEASES = {
    "debian": {"ID": "debian", "PRETTY_NAME": "Debian 12"},
    "ubuntu": {"ID": "ubuntu", "ID_LIKE": "debian", "PRETTY_NAME": "Ubuntu 24.04"},
    "mint": {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "PRETTY_NAME": "Mint"},
    "fedora": {"ID": "fedora", "PRETTY_NAME": "Fedora 42"},
}
WITHOUT_QEMU = {"qemu-system-x86_64", "qemu-system-aarch64", "dnf", "zypper", "pacman", "apk"}


@pytest.fixture
def distribution(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def choose(name: str) -> None:
        monkeypatch.setattr(platform, "freedesktop_os_release", lambda: OS_RELEASES[name])

    choose("debian")
    return choose


@pytest.fixture
def without_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    find = system.command.find
    monkeypatch.setattr(system.command, "find", lambda program: None if program in WITHOUT_QEMU else find(program))


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (system, kvm_access, folders, modules, docker):
        monkeypatch.setattr(module, "is_root", lambda: True)


# --- packages


@pytest.mark.parametrize("name", ["debian", "ubuntu", "mint"])
@pytest.mark.usefixtures("without_qemu", "as_root")
async def test_only_packages_that_are_new_here_are_recorded_and_before_they_come(
    name: str, distribution: Callable[[str], None], ctx: SetupContext, commands: Commands, ledger: Ledger
) -> None:
    distribution(name)
    told = "Inst libfdt1 (1.6.1 Debian [amd64])\\nInst zlib1g [1.0] (1.2 Debian [amd64])\\nInst qemu (7 [amd64])\\n"
    commands.add(
        "apt-get", f"case \"$*\" in *--simulate*) printf '{told}';; *) cp {ledger.path} {ledger.path}.then;; esac"
    )
    await system.apply_packages(ctx, silent)
    assert [trace.what for trace in ledger.traces()] == ["libfdt1", "qemu"]
    assert ledger.path.with_name("setup.json.then").read_bytes() == ledger.path.read_bytes()
    (install,) = commands.changing()
    assert install.startswith(f"{' '.join(system.INSTALL)} qemu-system")


@pytest.mark.usefixtures("without_qemu", "as_root")
async def test_what_apt_says_of_a_failure_is_told(distribution: object, ctx: SetupContext, commands: Commands) -> None:
    commands.add("apt-get", "echo 'E: Could not get lock /var/lib/dpkg/lock-frontend' >&2", status=100)
    with pytest.raises(NotReadyError, match="Could not get lock"):
        await system.apply_packages(ctx, silent)


@pytest.mark.usefixtures("without_qemu", "as_root")
async def test_what_a_failed_installation_did_not_bring_is_not_recorded(
    distribution: object, ctx: SetupContext, commands: Commands, ledger: Ledger
) -> None:
    told = "Inst libfdt1 (1.6.1 Debian [amd64])\\nInst qemu (7 [amd64])\\n"
    commands.add("apt-get", f"case \"$*\" in *--simulate*) printf '{told}';; *) exit 100;; esac")
    commands.add("dpkg-query", "echo 'installed libfdt1'; echo 'unpacked qemu'")
    with pytest.raises(NotReadyError):
        await system.apply_packages(ctx, silent)
    assert [trace.what for trace in ledger.traces()] == ["libfdt1"]


@pytest.mark.usefixtures("without_qemu", "as_root")
async def test_nothing_of_the_operators_is_taken_away_for_a_package(
    distribution: object, ctx: SetupContext, commands: Commands, ledger: Ledger
) -> None:
    commands.add(
        "apt-get", 'case "$*" in *--simulate*--remove*) printf "Remv containerd.io [1]\\nInst qemu (7)\\n";; esac'
    )
    with pytest.raises(ConflictError, match=r"would remove containerd\.io"):
        await system.apply_packages(ctx, silent)
    assert (commands.changing(), ledger.traces()) == ([], ())
    assert "--no-remove" in system.INSTALL


@pytest.mark.usefixtures("without_qemu", "as_root")
async def test_what_a_cancelled_installation_did_not_bring_is_not_recorded(
    distribution: object, ctx: SetupContext, commands: Commands, ledger: Ledger, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    commands.add(
        "apt-get", f"case \"$*\" in *--simulate*) echo 'Inst qemu (7)';; *) echo >{started}; exec sleep 60;; esac"
    )
    commands.add("dpkg-query", "echo 'installed other'")
    installing = asyncio.create_task(system.apply_packages(ctx, silent))
    await asyncio.to_thread(started.read_text)
    installing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await installing
    assert ledger.traces() == ()


async def test_what_a_killed_setup_did_not_install_is_forgotten_by_the_next(
    ctx: SetupContext, commands: Commands, ledger: Ledger
) -> None:
    for name in ("here", "absent"):
        ledger.record(made("packages", "package", name))
    ledger.record(made("x", "folder", "absent"))
    commands.add("dpkg-query", "echo 'installed here'")
    await steps.apply(ctx, steps=())
    assert [(trace.kind, trace.what) for trace in ledger.traces()] == [("package", "here"), ("folder", "absent")]


@pytest.mark.usefixtures("without_qemu", "as_root")
async def test_elsewhere_nothing_is_installed_and_the_commands_are_told(
    distribution: Callable[[str], None], ctx: SetupContext, commands: Commands
) -> None:
    distribution("fedora")
    finding = await system.check_packages(ctx)
    assert (finding.done, finding.skipped) == (False, False)
    assert "Fedora 42" in finding.seen
    for install in ("dnf install qemu", "zypper install qemu", "pacman -S --needed qemu", "apk add qemu"):
        assert any(line.startswith(install) for line in finding.would)
    with pytest.raises(NotReadyError) as caught:
        await system.apply_packages(ctx, silent)
    assert "dnf install qemu" in caught.value.remedy
    assert (await system.check_lists(ctx)).skipped
    assert commands.calls == []


@pytest.mark.parametrize(
    ("name", "options", "asked"),
    [
        ("debian", {}, ["linux-image-cloud-amd64", "python3-minimal"]),
        ("ubuntu", {}, ["linux-image-virtual", "python3-minimal"]),
        ("mint", {"kernel": "debian"}, ["linux-image-virtual", "python3-minimal"]),
        ("ubuntu", {"skip": ("kernel",)}, []),
        ("debian", {"kernel": "/boot/mine"}, ["python3-minimal"]),
    ],
)
@pytest.mark.usefixtures("as_root")
async def test_apt_is_asked_for_this_distributions_kernel_where_it_will_be_taken(
    name: str,
    options: dict[str, object],
    asked: list[str],
    distribution: Callable[[str], None],
    context: MakeContext,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    distribution(name)
    monkeypatch.setattr(system.command, "find", lambda program: f"/usr/bin/{program}")
    commands.add("dpkg", "echo amd64")
    commands.add("apt-cache", 'shift; for name; do echo "$name:"; done')
    assert (await system.check_lists(context(**options))).done
    policies = [call.removeprefix("apt-cache policy").split() for call in commands.calls if "policy" in call]
    assert policies == ([asked] if asked else [])


@pytest.mark.usefixtures("as_root")
async def test_on_ubuntu_the_program_that_unpacks_its_kernel_is_among_the_packages(
    distribution: Callable[[str], None], ctx: SetupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system.command, "find", lambda program: None if program == "zstd" else program)
    distribution("debian")
    assert (await system.check_packages(ctx)).done
    distribution("ubuntu")
    assert (await system.check_packages(ctx)).seen == "missing: zstd"


# --- folders


@pytest.mark.usefixtures("as_root")
async def test_folders_are_made_with_their_modes_recorded_and_then_found(
    ctx: SetupContext, settings: Settings, ledger: Ledger
) -> None:
    before = os.umask(0o077)
    try:
        assert not (await folders.check(ctx)).done
        await folders.apply(ctx, silent)
    finally:
        os.umask(before)
    assert (await folders.check(ctx)).done
    assert stat.S_IMODE(settings.images_dir.stat().st_mode) == 0o755
    assert str(settings.images_dir) in {trace.what for trace in ledger.traces()}


@pytest.mark.usefixtures("as_root")
async def test_the_runtime_folder_which_a_boot_takes_is_left_to_the_engine(
    ctx: SetupContext, settings: Settings
) -> None:
    await folders.apply(ctx, silent)
    assert not settings.runtime_dir.exists()
    assert (await folders.check(ctx)).done


@pytest.mark.usefixtures("as_root")
async def test_modes_that_are_wrong_are_seen_and_mended(ctx: SetupContext, settings: Settings) -> None:
    await folders.apply(ctx, silent)
    settings.runtime_dir.mkdir(0o755)
    settings.data_dir.chmod(0o777)
    finding = await folders.check(ctx)
    assert not finding.done
    assert f"{settings.data_dir} has mode 777 instead of 755" in finding.seen
    assert f"{settings.runtime_dir} has mode 755 instead of 700" in finding.seen
    await folders.apply(ctx, silent)
    assert (await folders.check(ctx)).done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
async def test_another_users_folder_is_seen_and_taken_over(ctx: SetupContext, settings: Settings) -> None:
    await folders.apply(ctx, silent)
    os.chown(settings.images_dir, 12345, 12345)
    assert "belongs to user 12345" in (await folders.check(ctx)).seen
    await folders.apply(ctx, silent)
    assert settings.images_dir.stat().st_uid == 0


@pytest.mark.usefixtures("as_root")
async def test_a_folder_that_others_share_is_not_closed_to_them(ctx: SetupContext, settings: Settings) -> None:
    settings.runtime_dir.mkdir()
    settings.runtime_dir.chmod(0o1777)
    with pytest.raises(ConflictError, match="shared by all users"):
        await folders.apply(ctx, silent)
    assert stat.S_IMODE(settings.runtime_dir.stat().st_mode) == 0o1777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
async def test_another_users_folder_that_the_settings_name_stays_theirs(ctx: SetupContext, settings: Settings) -> None:
    settings.runtime_dir.mkdir()
    os.chown(settings.runtime_dir, 12345, 12345)
    with pytest.raises(ConflictError, match="belongs to user 12345"):
        await folders.apply(ctx, silent)
    assert settings.runtime_dir.stat().st_uid == 12345


async def test_a_users_private_folder_is_not_opened_to_others(
    ctx: SetupContext, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "is_root", lambda: False)
    await folders.apply(ctx, silent)
    settings.data_dir.chmod(0o700)
    assert (await folders.check(ctx)).done
    settings.data_dir.chmod(0o720)
    await folders.apply(ctx, silent)
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700


# --- kernel modules


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root of a host whose CPU has AMD's virtualization and whose kernel has modules, none of them loaded."""
    root = tmp_path / "kernel"
    (root / "proc").mkdir(parents=True)
    (root / "sys/module").mkdir(parents=True)
    (root / "lib/modules" / RELEASE).mkdir(parents=True)
    (root / "proc/cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu svm sse2\n")
    monkeypatch.setattr(modules.Kernel, "running", lambda: modules.Kernel(RELEASE, root))
    return root


@pytest.mark.parametrize(("flag", "module"), [("svm", "kvm_amd"), ("vmx", "kvm_intel")])
@pytest.mark.usefixtures("as_root")
async def test_the_cpus_module_is_loaded_now_and_at_boot(
    flag: str, module: str, kernel: Path, ctx: SetupContext, commands: Commands, ledger: Ledger
) -> None:
    (kernel / "proc/cpuinfo").write_text(f"flags : fpu {flag}\n")
    commands.add("modprobe", f"mkdir -p {kernel}/sys/module/$1")
    assert f"modprobe {module}" in (await modules.check(ctx)).would
    await modules.apply(ctx, silent)
    assert (await modules.check(ctx)).done
    assert module in modules.BOOT_FILE.read_text().splitlines()
    assert {(trace.kind, trace.what) for trace in ledger.traces()} >= {
        ("module", module),
        ("file", str(modules.BOOT_FILE)),
    }
    await modules.apply(ctx, silent)
    assert commands.calls == [f"modprobe {module}"]


@pytest.mark.parametrize(
    ("change", "skipped", "seen"),
    [
        ("no modules", True, "as in a container"),
        ("no virtualization", True, "offers no hardware virtualization"),
        ("built in", False, "built into the kernel"),
    ],
)
async def test_where_there_is_nothing_to_load_the_reason_is_told(
    change: str, skipped: bool, seen: str, kernel: Path, ctx: SetupContext
) -> None:
    if change == "no modules":
        (kernel / "lib/modules" / RELEASE).rmdir()
    elif change == "no virtualization":
        (kernel / "proc/cpuinfo").write_text("flags : fpu\n")
    else:
        (kernel / "lib/modules" / RELEASE / "modules.builtin").write_text("kernel/arch/x86/kvm/kvm-amd.ko\n")
    finding = await modules.check(ctx)
    assert (finding.skipped, finding.settled) == (skipped, True)
    assert seen in finding.seen
    assert "vhost_vsock is not needed" in finding.seen


async def test_on_arm_nothing_is_said_of_what_the_cpu_offers(
    kernel: Path, ctx: SetupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kernel / "proc/cpuinfo").write_text("Features : fp asimd\n")
    monkeypatch.setattr(modules.Kernel, "running", lambda: modules.Kernel(RELEASE, kernel, "aarch64"))
    finding = await modules.check(ctx)
    assert finding.skipped
    assert "part of kernels for aarch64" in finding.seen


@pytest.mark.parametrize("loaded", [True, False])
async def test_without_root_modules_and_docker_are_left_out(
    loaded: bool, kernel: Path, ctx: SetupContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (modules, docker):
        monkeypatch.setattr(module, "is_root", lambda: False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    systemd.RUNNING.mkdir(parents=True)
    if loaded:
        (kernel / "sys/module/kvm_amd").mkdir()
    for finding in (await modules.check(ctx), await docker.check(ctx)):
        assert (finding.skipped, "root" in finding.seen) == (True, True)


# --- the group of /dev/kvm

USER = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)


@pytest.mark.skipif(USER is None, reason="this host knows no user but root")
@pytest.mark.usefixtures("as_root")
async def test_who_called_sudo_joins_the_group(
    ctx: SetupContext, commands: Commands, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert USER is not None
    commands.add("usermod")
    monkeypatch.setenv("SUDO_USER", USER.pw_name)
    monkeypatch.setattr(kvm_access, "_group", lambda: "root")  # a group that every host has
    assert not (await kvm_access.check(ctx)).done
    await kvm_access.apply(ctx, silent)
    assert commands.calls == [f"usermod --append --groups root {USER.pw_name}"]
    assert [(trace.kind, trace.what) for trace in ledger.traces()] == [("group-member", f"{USER.pw_name}:root")]


@pytest.mark.usefixtures("as_root")
async def test_root_needs_no_group(ctx: SetupContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert (await kvm_access.check(ctx)).done


# --- Docker


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


async def test_docker_is_left_out_as_asked(context: MakeContext) -> None:
    finding = await docker.check(context(skip=["docker"]))
    assert (finding.skipped, finding.seen) == (True, "left out, as asked")


@pytest.mark.usefixtures("no_engine")
async def test_docker_is_not_installed_where_nothing_would_start_it(ctx: SetupContext) -> None:
    finding = await docker.check(ctx)
    assert finding.skipped
    assert "systemd does not run" in finding.seen


@pytest.mark.usefixtures("no_engine", "as_root")
async def test_docker_comes_from_the_distribution_and_must_answer(
    distribution: object, ctx: SetupContext, commands: Commands, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd.RUNNING.mkdir(parents=True)
    monkeypatch.setattr(docker, "_START_S", 0.1)
    find = system.command.find
    monkeypatch.setattr(system.command, "find", lambda program: None if program == "dockerd" else find(program))
    commands.add("apt-get", 'case "$*" in *--simulate*) echo "Inst docker.io (20 Debian)";; esac')
    commands.add("systemctl", "case $1 in is-active) echo failed; exit 3;; esac")
    assert not (await docker.check(ctx)).settled
    await docker.apply(ctx, silent)
    assert commands.changing() == [
        f"{' '.join(system.INSTALL)} docker.io",
        "systemctl enable --now docker.service",
    ]
    assert [trace.what for trace in ledger.traces()] == ["docker.io"]
    finding = await docker.verify(ctx)
    assert (finding.done, "the engine is failed" in finding.seen) == (False, True)


@pytest.mark.usefixtures("no_engine", "as_root")
@pytest.mark.parametrize(("state", "recorded"), [("disabled", ["docker.service"]), ("enabled", [])])
async def test_a_docker_that_was_there_is_recorded_where_it_was_not_enabled(
    state: str, recorded: list[str], ctx: SetupContext, commands: Commands, ledger: Ledger
) -> None:
    commands.add("dockerd")
    commands.add("systemctl", f"case $1 in show) echo UnitFileState={state};; esac")
    await docker.apply(ctx, silent)
    assert commands.changing() == ["systemctl enable --now docker.service"]
    assert [trace.what for trace in ledger.traces()] == recorded
