from __future__ import annotations

import grp
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from engine.errors import NotReadyError
from engine.folders import config_dir
from engine.lock import locked_folder
from engine.settings import Settings
from engine.setup import configuration, systemd
from engine.setup.base import SetupContext, made
from engine.setup.ledger import Ledger, manifest_digest
from engine.setup.modules import Kernel
from engine.setup.placing import place
from engine.setup.undo import REMOVE, undo
from tests.unit.setup.conftest import Commands, MakeContext

DPKG = "for each in {}; do echo \"installed $each\"; done; echo 'config-files old'"


def reasons(left: list[object]) -> dict[str, str]:
    return {each.trace.what: each.reason for each in left}  # type: ignore[attr-defined]


async def test_files_and_the_folders_made_for_them_go_last_first(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    place(ledger, "x", path, "text")
    assert await undo(ledger) == []
    assert not (tmp_path / "a").exists()
    assert ledger.traces() == ()


async def test_a_folder_in_which_only_the_lock_of_its_changes_is_left_goes(ledger: Ledger, tmp_path: Path) -> None:
    place(ledger, "x", tmp_path / "a" / "config.toml", "")
    with locked_folder(tmp_path / "a"):
        pass
    assert await undo(ledger) == []
    assert not (tmp_path / "a").exists()


async def test_a_second_undo_has_nothing_to_do(ledger: Ledger, tmp_path: Path) -> None:
    place(ledger, "x", tmp_path / "file", "text")
    await undo(ledger)
    (tmp_path / "file").write_text("mine")
    assert await undo(ledger) == []
    assert (tmp_path / "file").read_text() == "mine"


async def test_what_was_changed_since_is_left_named_and_forgotten(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    place(ledger, "x", path, "text")
    path.write_text("mine")
    assert reasons(await undo(ledger)) == {str(path): "it was changed since", str(path.parent): "it holds file"}
    assert path.read_text() == "mine"
    assert ledger.traces() == ()


async def test_what_was_there_before_setup_stays(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    place(ledger, "x", tmp_path / "there" / "file", "text")
    await undo(ledger)
    assert list((tmp_path / "there").iterdir()) == []


async def test_an_artefact_goes_whole_unless_it_was_made_anew(settings: Settings, ledger: Ledger) -> None:
    for name in ("same", "renewed"):
        folder = settings.images_dir / name
        (folder / "deep").mkdir(parents=True)
        (folder / "manifest.json").write_text(name)
        ledger.record(made("image", "folder", folder, sha256=manifest_digest(folder)))
    (settings.images_dir / "renewed" / "manifest.json").write_text("by hand")
    assert reasons(await undo(ledger)) == {str(settings.images_dir / "renewed"): "it was made anew since"}
    assert [path.name for path in settings.images_dir.iterdir()] == ["renewed"]


async def test_a_finished_artefact_that_was_only_begun_by_setup_is_another_s(
    settings: Settings, ledger: Ledger
) -> None:
    for name in ("python", "empty"):
        (settings.images_dir / name).mkdir(parents=True)
        ledger.record(made("image", "folder", settings.images_dir / name))
    (settings.images_dir / "python" / "manifest.json").write_text("by hand")
    assert reasons(await undo(ledger)) == {str(settings.images_dir / "python"): "it is not known to be of setup"}
    assert [path.name for path in settings.images_dir.iterdir()] == ["python"]


async def test_downloads_go_whoever_fetched_them(settings: Settings, ledger: Ledger) -> None:
    ledger.record(made("image", "folder", settings.cache_dir))
    (settings.cache_dir / "apt").mkdir(parents=True)
    (settings.cache_dir / "apt" / "a_1_all.deb").touch()
    assert await undo(ledger) == []
    assert not settings.cache_dir.exists()


async def test_nothing_is_undone_in_the_service(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(ledger, "x", tmp_path / "file", "text")
    (tmp_path / "cgroup").write_text("0::/system.slice/vmdeck.service\n")
    monkeypatch.setattr(systemd, "CGROUPS", tmp_path / "cgroup")
    with pytest.raises(NotReadyError, match="may not change the host") as caught:
        await undo(ledger)
    assert "vmdeck setup --undo" in caught.value.remedy
    assert (tmp_path / "file").exists()
    assert len(ledger.traces()) == 1


async def test_packages_go_together_and_only_those_that_are_there(ledger: Ledger, commands: Commands) -> None:
    for name in ("qemu", "libfdt1", "gone", "old"):
        ledger.record(made("packages", "package", name))
    commands.add("dpkg-query", DPKG.format("qemu libfdt1 bash"))
    commands.add("apt-get", 'case "$*" in *--simulate*) printf "Remv qemu [1]\\nRemv libfdt1 [1]\\n";; esac')
    assert await undo(ledger) == []
    assert commands.changing() == [f"{' '.join(REMOVE)} libfdt1 qemu"]


async def test_a_package_that_others_came_to_need_stays(ledger: Ledger, commands: Commands) -> None:
    for name in ("qemu", "libfdt1"):
        ledger.record(made("packages", "package", name))
    commands.add("dpkg-query", DPKG.format("qemu libfdt1 mine"))
    commands.add("apt-get", 'case "$*" in *--simulate*libfdt1*) printf "Remv mine [1]\\nRemv libfdt1 [1]\\n";; esac')
    commands.add("apt-cache", "printf 'mine\\n  Depends: libfdt1\\nlibfdt1\\n'")
    assert reasons(await undo(ledger)) == {"libfdt1": "mine needs it"}
    assert commands.changing() == [f"{' '.join(REMOVE)} qemu"]


async def test_what_could_not_be_removed_stays_recorded_and_is_named(
    ledger: Ledger, commands: Commands, tmp_path: Path
) -> None:
    ledger.record(made("packages", "package", "qemu"))
    place(ledger, "x", tmp_path / "file", "text")
    commands.add("dpkg-query", DPKG.format("qemu"))
    commands.add(
        "apt-get", 'case "$*" in *--simulate*) echo "Remv qemu [1]";; *) echo "E: locked" >&2; exit 100;; esac'
    )
    with pytest.raises(NotReadyError, match=r"Not removed: qemu.*E: locked"):
        await undo(ledger)
    assert [trace.what for trace in ledger.traces()] == ["qemu"]
    assert not (tmp_path / "file").exists()


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has kvm_amd loaded."""
    (tmp_path / "kernel/sys/module/kvm_amd").mkdir(parents=True)
    monkeypatch.setattr(Kernel, "running", lambda: Kernel("6.1.0-test", tmp_path / "kernel"))


@pytest.mark.usefixtures("loaded")
async def test_members_modules_and_the_service_are_taken_back(
    ledger: Ledger, commands: Commands, host_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grp, "getgrnam", lambda name: grp.struct_group((name, "x", 7, ["ann"])))
    systemd.RUNNING.mkdir(parents=True)
    for program in ("gpasswd", "modprobe", "systemctl"):
        commands.add(program)
    ledger.record(made("kvm-group", "group-member", "ann:kvm"))
    ledger.record(made("kvm-modules", "module", "kvm_amd"))
    place(ledger, "service", host_files / "x.service", "unit")
    ledger.record(made("service", "service", "x.service"))
    await undo(ledger)
    assert commands.changing() == [
        "systemctl disable --now x.service",
        "systemctl daemon-reload",
        "modprobe --remove kvm_amd",
        "gpasswd --delete ann kvm",
    ]


async def test_what_is_gone_already_holds_nothing_up(
    ledger: Ledger, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd.RUNNING.mkdir(parents=True)
    commands.add("systemctl", "case $1 in show) echo LoadState=not-found;; *) exit 5;; esac")
    monkeypatch.setattr(Kernel, "running", lambda: Kernel("6.1.0-test", tmp_path))
    for member in ("ann:root", "ann:no-such-group"):
        ledger.record(made("kvm-group", "group-member", member))
    ledger.record(made("kvm-modules", "module", "kvm_amd"))
    ledger.record(made("service", "service", "x.service"))
    assert await undo(ledger) == []
    assert commands.changing() == []
    assert ledger.traces() == ()


@pytest.mark.usefixtures("loaded")
async def test_a_module_that_the_host_loads_by_itself_stays(ledger: Ledger, commands: Commands) -> None:
    before_boot = datetime.fromtimestamp(psutil.boot_time(), UTC) - timedelta(minutes=1)
    ledger.record(made("kvm-modules", "module", "kvm_amd").model_copy(update={"at": before_boot}))
    assert reasons(await undo(ledger)) == {"kvm_amd": "the host has booted since, and loaded it by itself"}
    assert commands.calls == []


@pytest.mark.usefixtures("loaded")
async def test_a_module_in_use_is_left_with_the_reason(ledger: Ledger, commands: Commands) -> None:
    commands.add("modprobe", "echo 'FATAL: Module kvm_amd is in use.' >&2", status=1)
    ledger.record(made("kvm-modules", "module", "kvm_amd"))
    assert reasons(await undo(ledger)) == {"kvm_amd": "it is in use; it goes with the next boot"}


@pytest.mark.parametrize("before", ["# mine\nmax_running = 3\n", '# mine\nvmm = "auto"\nmax_running = 3\n'])
async def test_a_setting_goes_back_to_what_it_was(before: str, context: MakeContext, ledger: Ledger) -> None:
    path = config_dir() / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(before)
    ctx: SetupContext = context(vmm="qemu")
    await configuration.apply(ctx, lambda line, fraction=None: None)
    assert (await configuration.check(ctx)).done
    assert "# mine" in path.read_text()
    assert "max_running = 3" in path.read_text()
    await undo(ledger)
    assert path.read_text() == before
