"""The VMM is the best that really works here, or the one the operator asked for; what is missing is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.host import programs
from engine.host.choice import CANDIDATES, choose_vmm
from engine.host.kvm import KvmKind, KvmVerdict
from engine.host.programs import find_qemu, qemu_program
from engine.settings import Settings

GOOD_QEMU = """#!/bin/sh
case "$1" in
  --version) echo "QEMU emulator version 9.8.7 (Debian 1:9.8.7)"; echo "Copyright (c) 2003 Fabrice Bellard";;
  -accel) echo "Accelerators supported in QEMU binary:"; echo kvm; echo tcg;;
esac
"""

GOOD_FIRECRACKER = '#!/bin/sh\necho "Firecracker v1.16.1"\n'
GOOD_JAILER = '#!/bin/sh\necho "Jailer v1.16.1"\n'

MakeSettings = Callable[..., Settings]


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """A program made of a shell script."""

    def make(text: str) -> Path:
        path = tmp_path / "qemu"
        path.write_text(text)
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def with_qemu(script: Callable[[str], Path], tmp_path: Path) -> MakeSettings:
    def make(text: str = GOOD_QEMU, **settings: str) -> Settings:
        return Settings.model_validate(
            {"data_dir": tmp_path, "runtime_dir": tmp_path, "qemu_binary": str(script(text)), **settings}
        )

    return make


@pytest.fixture
def with_both(with_qemu: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    """A host of root's with QEMU, and Firecracker as setup installs it."""
    monkeypatch.setattr(programs, "is_root", lambda: True)
    monkeypatch.setattr(programs, "require_jailable", lambda jails: None)

    def make(firecracker: str = GOOD_FIRECRACKER, jailer: str = GOOD_JAILER, **settings: str) -> Settings:
        made = with_qemu(**settings)
        folder = made.vmm_dir / "firecracker-1.16.1"
        folder.mkdir(parents=True)
        for name, text in (("firecracker", firecracker), ("jailer", jailer)):
            if text:
                (folder / name).write_text(text)
                (folder / name).chmod(0o755)
        return made

    return make


def verdict(kind: KvmKind) -> KvmVerdict:
    return KvmVerdict(kind=kind, detail="the evidence")


@pytest.mark.parametrize(
    ("kind", "accelerator"), [("native", "kvm"), ("emulated", "tcg"), ("denied", "tcg"), ("absent", "tcg")]
)
async def test_auto_uses_kvm_only_where_it_is_native(with_qemu: MakeSettings, kind: KvmKind, accelerator: str) -> None:
    choice = (await choose_vmm(with_qemu(), verdict(kind))).choice
    assert (choice.vmm, choice.accelerator) == ("qemu", accelerator)


async def test_native_kvm_takes_firecracker_in_its_jail(with_both: MakeSettings) -> None:
    chosen = await choose_vmm(with_both(), verdict("native"))
    assert (chosen.choice.vmm, chosen.choice.version) == ("firecracker", "1.16.1")
    assert chosen.program.jailer == chosen.program.path.with_name("jailer")
    assert "native: the evidence" in chosen.choice.reason


@pytest.mark.parametrize("kind", ["emulated", "denied", "absent"])
async def test_without_native_kvm_firecracker_is_not_taken_though_installed(
    with_both: MakeSettings, kind: KvmKind
) -> None:
    choice = (await choose_vmm(with_both(), verdict(kind))).choice
    assert (choice.vmm, choice.accelerator) == ("qemu", "tcg")


async def test_firecracker_by_hand_is_obeyed_on_emulating_kvm(with_both: MakeSettings) -> None:
    choice = (await choose_vmm(with_both(vmm="firecracker"), verdict("emulated"))).choice
    assert choice.vmm == "firecracker"
    assert "set by hand" in choice.reason


async def test_firecracker_by_hand_without_kvm_is_refused_with_the_reason(with_both: MakeSettings) -> None:
    with pytest.raises(NotReadyError, match=r"VMM firecracker.*absent, the evidence"):
        await choose_vmm(with_both(vmm="firecracker"), verdict("absent"))


@pytest.mark.parametrize(
    ("firecracker", "jailer", "why"),
    [
        (GOOD_FIRECRACKER, "", "There is no .*jailer"),
        (GOOD_FIRECRACKER, GOOD_JAILER.replace("1.16.1", "1.15.0"), "of release 1.15.0, and .* of 1.16.1"),
        (GOOD_FIRECRACKER.replace("1.16.1", "1.16.0"), GOOD_JAILER, "1.16.0 is not used: the vsock"),
        (GOOD_FIRECRACKER.replace("1.16.1", "1.16.0-ours"), GOOD_JAILER, "1.16.0-ours is not used: the vsock"),
        (GOOD_FIRECRACKER.replace("1.16.1", "1.11.0"), GOOD_JAILER, "1.11.0 is too old"),
        ("#!/bin/sh\nexit 1\n", GOOD_JAILER, "does not run: status 1"),
    ],
    ids=[
        "no jailer",
        "another jailer",
        "broken release",
        "own build of a broken release",
        "old release",
        "does not run",
    ],
)
async def test_a_firecracker_that_is_not_fit_is_passed_over_and_the_choice_says_why(
    with_both: MakeSettings, firecracker: str, jailer: str, why: str
) -> None:
    choice = (await choose_vmm(with_both(firecracker, jailer), verdict("native"))).choice
    assert (choice.vmm, choice.accelerator) == ("qemu", "kvm")
    assert re.search(why, choice.reason)


async def test_where_its_jail_can_not_work_firecracker_is_passed_over_and_the_choice_says_why(
    with_both: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = with_both()
    asked: list[Path] = []

    def refuse(jails: Path) -> None:
        asked.append(jails)
        raise NotReadyError("/sys/fs/cgroup can't be written", remedy="")

    monkeypatch.setattr(programs, "require_jailable", refuse)
    choice = (await choose_vmm(settings, verdict("native"))).choice
    assert (choice.vmm, choice.accelerator) == ("qemu", "kvm")
    assert "/sys/fs/cgroup can't be written" in choice.reason
    assert asked == [settings.jails_dir]
    unjailed = settings.model_copy(update={"jail": "off"})
    assert (await choose_vmm(unjailed, verdict("native"))).choice.vmm == "firecracker"


async def test_programs_behind_links_are_known_by_their_own_names(with_both: MakeSettings, tmp_path: Path) -> None:
    settings = with_both()
    real = settings.vmm_dir / "firecracker-1.16.1"
    links = tmp_path / "links"
    links.mkdir()
    for name in ("firecracker", "jailer"):
        (real / name).rename(real / f"{name}-v1.16.1-x86_64")
        (links / name).symlink_to(f"{real}/{name}-v1.16.1-x86_64")
    settings = settings.model_copy(update={"firecracker_binary": str(links / "firecracker")})
    program = (await choose_vmm(settings, verdict("native"))).program
    assert program.path == real / "firecracker-v1.16.1-x86_64"
    assert program.jailer == real / "jailer-v1.16.1-x86_64"


async def test_who_is_not_root_gets_firecracker_only_by_doing_without_its_jail(
    with_both: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "is_root", lambda: False)
    with pytest.raises(NotReadyError, match="jailer needs root"):
        await choose_vmm(with_both(vmm="firecracker"), verdict("native"))


async def test_without_its_jail_firecracker_needs_neither_root_nor_jailer(
    with_both: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "is_root", lambda: False)
    chosen = await choose_vmm(with_both(jailer="", jail="off"), verdict("native"))
    assert chosen.choice.vmm == "firecracker"
    assert chosen.program.jailer is None


async def test_the_newest_installed_firecracker_is_taken(with_both: MakeSettings) -> None:
    settings = with_both()
    for version in ("1.9.0", "1.17.0"):
        folder = settings.vmm_dir / f"firecracker-{version}"
        folder.mkdir()
        for name, text in (("firecracker", GOOD_FIRECRACKER), ("jailer", GOOD_JAILER)):
            (folder / name).write_text(text.replace("1.16.1", version))
            (folder / name).chmod(0o755)
    assert (await choose_vmm(settings, verdict("native"))).choice.version == "1.17.0"


async def test_the_choice_tells_version_and_evidence(with_qemu: MakeSettings) -> None:
    choice = (await choose_vmm(with_qemu(), verdict("emulated"))).choice
    assert choice.version == "9.8.7"
    assert "emulated: the evidence" in choice.reason


async def test_emulating_kvm_is_used_where_the_operator_says_so(with_qemu: MakeSettings) -> None:
    choice = (await choose_vmm(with_qemu(accelerator="kvm"), verdict("emulated"))).choice
    assert choice.accelerator == "kvm"
    assert "set by hand" in choice.reason


async def test_native_kvm_is_left_alone_where_the_operator_says_so(with_qemu: MakeSettings) -> None:
    assert (await choose_vmm(with_qemu(accelerator="tcg"), verdict("native"))).choice.accelerator == "tcg"


@pytest.mark.parametrize("kind", ["denied", "absent"])
async def test_kvm_by_hand_without_kvm_is_refused_with_the_reason(with_qemu: MakeSettings, kind: KvmKind) -> None:
    with pytest.raises(NotReadyError, match="the evidence") as caught:
        await choose_vmm(with_qemu(accelerator="kvm"), verdict(kind))
    assert "auto" in caught.value.remedy


async def test_auto_passes_over_an_accelerator_that_qemu_was_built_without(with_qemu: MakeSettings) -> None:
    settings = with_qemu(GOOD_QEMU.replace("echo kvm;", ""))
    assert (await choose_vmm(settings, verdict("native"))).choice.accelerator == "tcg"


async def test_a_qemu_without_the_only_possible_accelerator_is_named(with_qemu: MakeSettings) -> None:
    settings = with_qemu(GOOD_QEMU.replace("; echo tcg", ""))
    with pytest.raises(NotReadyError, match="built without the accelerator tcg"):
        await choose_vmm(settings, verdict("absent"))


async def test_a_qemu_binary_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, runtime_dir=tmp_path, qemu_binary=str(tmp_path / "none"))
    with pytest.raises(NotReadyError, match="none") as caught:
        await choose_vmm(settings, verdict("absent"))
    assert "qemu_binary" in caught.value.remedy


@pytest.mark.parametrize(("machine", "package"), [("x86_64", "qemu-system-x86"), ("aarch64", "qemu-system-arm")])
def test_a_missing_qemu_is_an_error_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, package: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReadyError, match=f"qemu-system-{machine} is not on PATH") as caught:
        find_qemu(Settings(data_dir=tmp_path, runtime_dir=tmp_path), machine)
    assert package in caught.value.remedy


async def test_a_program_that_is_not_qemu_is_refused(with_qemu: MakeSettings) -> None:
    with pytest.raises(NotReadyError, match="is not QEMU: asked for its version it says 'something else'"):
        await qemu_program(with_qemu("#!/bin/sh\necho something else"))


async def test_a_qemu_that_does_not_start_is_quoted(with_qemu: MakeSettings) -> None:
    with pytest.raises(NotReadyError, match="status 127, the reason"):
        await qemu_program(with_qemu("#!/bin/sh\necho the reason >&2; exit 127"))


async def test_a_file_that_is_no_program_is_refused(with_qemu: MakeSettings) -> None:
    with pytest.raises(NotReadyError, match="does not run"):
        await qemu_program(with_qemu("\x7fELF nonsense"))


def test_every_kind_of_kvm_has_a_candidate_for_auto() -> None:
    kinds: tuple[KvmKind, ...] = ("native", "emulated", "denied", "absent")
    assert all(any(kind in row.good_with for row in CANDIDATES) for kind in kinds)


def test_what_auto_takes_can_start() -> None:
    assert all(row.good_with <= row.starts_with for row in CANDIDATES)
