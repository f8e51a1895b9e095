"""The step that installs Firecracker: what it decides, what it takes, and that half of it is never there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from engine.errors import InputError, NotReadyError
from engine.host.kvm import KvmKind, KvmVerdict
from engine.host.programs import find_firecracker, firecracker_program
from engine.models import SetupOptions, SetupTrace
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from engine.setup import firecracker
from engine.setup.base import SetupContext
from engine.setup.firecracker import FirecrackerSetup, installed_releases, release_folder
from engine.setup.ledger import manifest_digest
from engine.setup.releases import Releases, archive_name
from tests.unit.setup.https_server import Server, status, whole
from tests.unit.setup.releases import ARCH, VERSION, members, packed, program, programs, table

ARCHIVE = packed(members())


@dataclass
class Host:
    """What a step meets, and what it told and recorded."""

    folder: Path
    options: SetupOptions = field(default_factory=lambda: SetupOptions(vmm="firecracker"))
    kvm: KvmKind = "native"
    traces: list[SetupTrace] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings(data_dir=self.folder / "data", jail="off")

    @property
    def ctx(self) -> SetupContext:
        async def create(language: str) -> None:
            pytest.fail("this step makes no snapshot")

        async def ready(language: str) -> str | None:
            return None

        async def kvm() -> KvmVerdict:
            return KvmVerdict(kind=self.kvm, detail="the evidence")

        return SetupContext(
            self.settings, ImageStore(self.settings), create, ready, kvm, self.options, self.traces.append
        )

    def progress(self, line: str, fraction: float | None = None) -> None:
        self.lines.append(line)

    def nothing_is_installed(self) -> None:
        left = list(self.settings.vmm_dir.iterdir()) if self.settings.vmm_dir.is_dir() else []
        assert left == []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def stick(host: Host) -> Path:
    """A folder with the archive, which the host is told to take it from."""
    folder = host.folder / "stick"
    folder.mkdir()
    (folder / archive_name(VERSION, ARCH)).write_bytes(ARCHIVE)
    host.options = SetupOptions(vmm="firecracker", offline=str(folder))
    return folder


def setup(releases: Releases | None = None) -> FirecrackerSetup:
    return FirecrackerSetup(releases or table(ARCHIVE), ARCH)


# --- whether


@pytest.mark.parametrize(
    ("kvm", "options", "skipped"),
    [
        ("native", SetupOptions(), False),
        ("emulated", SetupOptions(), True),
        ("absent", SetupOptions(), True),
        ("emulated", SetupOptions(vmm="firecracker"), False),
        ("emulated", SetupOptions(firecracker=VERSION), False),
        ("native", SetupOptions(vmm="qemu"), True),
        ("native", SetupOptions(skip=("firecracker",)), True),
        ("native", SetupOptions(skip=("firecracker",), firecracker=VERSION), True),
    ],
)
async def test_it_is_installed_where_it_can_work_or_is_asked_for(
    host: Host, kvm: KvmKind, options: SetupOptions, skipped: bool
) -> None:
    host.kvm, host.options = kvm, options
    finding = await setup().check(host.ctx)
    assert (finding.skipped, finding.done) == (skipped, skipped)
    assert finding.seen


async def test_why_it_is_skipped_is_said_with_the_evidence(host: Host) -> None:
    host.kvm, host.options = "emulated", SetupOptions()
    assert (await setup().check(host.ctx)).seen == "QEMU is used: KVM here is emulated (the evidence)"


async def test_it_is_skipped_on_a_processor_that_it_is_not_made_for(host: Host) -> None:
    finding = await replace(setup(), arch="riscv64").check(host.ctx)
    assert finding.skipped
    assert "riscv64" in finding.seen


async def test_the_settings_are_followed_where_setup_is_told_nothing(host: Host) -> None:
    host.options, host.kvm = SetupOptions(), "emulated"
    host.settings = Settings(data_dir=host.folder / "data", vmm="firecracker")
    assert not (await setup().check(host.ctx)).skipped


# --- from where


async def test_a_plan_names_address_digest_and_place(host: Host) -> None:
    (would,) = (await setup().check(host.ctx)).would
    assert f"https://releases.invalid/v{VERSION}/firecracker-v{VERSION}-{ARCH}.tgz" in would
    assert hashlib.sha256(ARCHIVE).hexdigest() in would
    assert str(release_folder(host.settings, VERSION)) in would


async def test_a_mirror_takes_the_place_of_the_release_site(host: Host) -> None:
    host.options = SetupOptions(vmm="firecracker", mirror="https://me:secret@mirror.invalid/fc/")
    (would,) = (await setup().check(host.ctx)).would
    assert f"https://mirror.invalid/fc/v{VERSION}/firecracker-v{VERSION}-{ARCH}.tgz" in would
    assert "secret" not in would


async def test_a_mirror_without_https_is_refused(host: Host) -> None:
    host.options = SetupOptions(vmm="firecracker", mirror="http://mirror.invalid")
    with pytest.raises(InputError, match="https"):
        await setup().check(host.ctx)


async def test_it_is_downloaded_and_then_found_with_its_jailer(host: Host, server: Server) -> None:
    server.answers = [whole(ARCHIVE)]
    step = FirecrackerSetup(table(ARCHIVE, site=server.url), ARCH, server.trust)
    await step.apply(host.ctx, host.progress)
    assert server.asked[0].path == f"/v{VERSION}/firecracker-v{VERSION}-{ARCH}.tgz"
    assert (await step.check(host.ctx)).done
    found = await firecracker_program(host.settings)
    assert (found.version, found.path) == (VERSION, release_folder(host.settings, VERSION) / "firecracker")
    assert {path.name for path in found.path.parent.iterdir()} == {"firecracker", "jailer", "manifest.json"}
    assert {path.name for path in host.settings.vmm_dir.iterdir()} == {f"firecracker-{VERSION}"}


async def test_a_refused_download_installs_nothing(host: Host, server: Server) -> None:
    server.answers = [status(404)]
    step = FirecrackerSetup(table(ARCHIVE, site=server.url), ARCH, server.trust)
    with pytest.raises(NotReadyError, match="refused with status 404"):
        await step.apply(host.ctx, host.progress)
    host.nothing_is_installed()


@pytest.mark.usefixtures("stick")
async def test_programs_are_taken_from_a_folder_and_can_be_run_by_all(host: Host) -> None:
    await setup().apply(host.ctx, host.progress)
    folder = release_folder(host.settings, VERSION)
    assert folder.stat().st_mode & 0o777 == 0o755
    for name in ("firecracker", "jailer"):
        assert (folder / name).read_bytes() == program(name)
        assert (folder / name).stat().st_mode & 0o7777 == 0o755


@pytest.mark.usefixtures("stick")
async def test_what_it_makes_is_recorded_before_it_is_made(host: Host) -> None:
    absent: list[bool] = []

    def record(trace: SetupTrace) -> None:
        host.traces.append(trace)
        absent.append(not Path(trace.what).exists())

    await setup().apply(replace(host.ctx, record=record), host.progress)
    folder = str(release_folder(host.settings, VERSION))
    *begun, finished = host.traces
    assert folder in [trace.what for trace in begun]
    assert {trace.kind for trace in host.traces} == {"folder"}
    assert (finished.what, finished.sha256) == (folder, manifest_digest(Path(folder)))
    assert absent == [*(True for _ in begun), False]


@pytest.mark.usefixtures("stick")
async def test_a_second_time_there_is_nothing_to_do(host: Host) -> None:
    await setup().apply(host.ctx, host.progress)
    finding = await setup().check(host.ctx)
    assert (finding.done, finding.seen) == (True, f"{VERSION}, with its jailer")


@pytest.mark.usefixtures("stick")
async def test_a_program_that_has_changed_since_is_installed_again(host: Host) -> None:
    await setup().apply(host.ctx, host.progress)
    changed = release_folder(host.settings, VERSION) / "jailer"
    changed.write_bytes(program("jailer") + b"#")
    assert not (await setup().check(host.ctx)).done
    await setup().apply(host.ctx, host.progress)
    assert changed.read_bytes() == program("jailer")


async def test_an_older_release_stays_beside_a_newer(host: Host, stick: Path) -> None:
    older = packed(members("1.16.1"))
    (stick / archive_name("1.16.1", ARCH)).write_bytes(older)
    await setup(table(older, version="1.16.1")).apply(host.ctx, host.progress)
    await setup().apply(host.ctx, host.progress)
    assert [release.version for release in installed_releases(host.settings)] == ["1.16.1", VERSION]
    assert find_firecracker(host.settings).parent == release_folder(host.settings, VERSION)


async def test_an_older_default_is_content_with_a_newer_that_is_here(host: Host, stick: Path) -> None:
    await setup().apply(host.ctx, host.progress)
    older = table(packed(members("1.16.1")), version="1.16.1")
    assert (await setup(older).check(host.ctx)).done
    host.options = SetupOptions(firecracker="1.16.1", offline=str(stick))
    finding = await setup(older).check(host.ctx)
    assert not finding.done
    assert f"{VERSION} is newer and stays in use" in finding.would[-1]


@pytest.mark.parametrize(("jail", "skipped"), [("on", True), ("off", False)])
@pytest.mark.usefixtures("stick")
async def test_a_user_who_could_not_jail_it_is_not_given_it(
    host: Host, monkeypatch: pytest.MonkeyPatch, jail: str, skipped: bool
) -> None:
    monkeypatch.setattr(firecracker, "is_root", lambda: False)
    host.settings = host.settings.model_copy(update={"jail": jail})
    host.options = host.options.model_copy(update={"vmm": "auto"})
    assert (await setup().check(host.ctx)).skipped is skipped


# --- what is taken and what is not


async def test_an_archive_of_another_digest_is_refused(host: Host, stick: Path) -> None:
    (stick / archive_name(VERSION, ARCH)).write_bytes(packed(members() | {"release-v1.17.0-x86_64/x": b"x"}))
    with pytest.raises(NotReadyError, match="is not the file that was expected"):
        await setup().apply(host.ctx, host.progress)
    host.nothing_is_installed()


@pytest.mark.parametrize("version", ["1.16.9", "v1.16.9"])
async def test_a_release_without_a_pin_is_refused_with_the_way_to_bring_it(host: Host, version: str) -> None:
    host.options = SetupOptions(firecracker=version)
    for call in (setup().check(host.ctx), setup().apply(host.ctx, host.progress)):
        with pytest.raises(NotReadyError, match=r"no digest of Firecracker 1\.16\.9") as caught:
            await call
        assert "--firecracker FILE" in caught.value.remedy
        assert VERSION in caught.value.remedy
    host.nothing_is_installed()


@pytest.mark.parametrize(("version", "why"), [("1.16.0", "vsock"), ("1.11.0", "too old")])
async def test_a_release_of_no_use_is_refused_with_the_reason(host: Host, version: str, why: str) -> None:
    host.options = SetupOptions(firecracker=version)
    with pytest.raises(NotReadyError, match=why):
        await setup().check(host.ctx)


async def test_what_is_neither_release_nor_file_is_refused(host: Host) -> None:
    host.options = SetupOptions(firecracker="newest")
    with pytest.raises(InputError, match="neither a release of Firecracker nor a file"):
        await setup().check(host.ctx)


async def bring(host: Host, content: bytes, releases: Releases | None = None) -> None:
    path = host.folder / "brought.tgz"
    path.write_bytes(content)
    host.options = SetupOptions(firecracker=str(path))
    await setup(releases).apply(host.ctx, host.progress)


async def test_a_file_that_nobody_knows_is_taken_and_its_digest_told_and_recorded(host: Host) -> None:
    content = packed(members("1.17.4"))
    digest = hashlib.sha256(content).hexdigest()
    await bring(host, content)
    (release,) = installed_releases(host.settings)
    assert (release.version, release.archive_sha256) == ("1.17.4", digest)
    assert [line for line in host.lines if digest in line and "does not know" in line]
    assert (await setup().check(host.ctx)).done


async def test_a_plan_for_a_file_shows_its_digest(host: Host) -> None:
    (host.folder / "brought.tgz").write_bytes(ARCHIVE)
    host.options = SetupOptions(firecracker=str(host.folder / "brought.tgz"))
    (would,) = (await setup().check(host.ctx)).would
    assert hashlib.sha256(ARCHIVE).hexdigest() in would
    assert f"that of the official {VERSION}" in would


async def test_another_file_of_the_same_release_replaces_it(host: Host) -> None:
    await bring(host, ARCHIVE)
    other = packed(members() | {f"release-v{VERSION}-{ARCH}/NOTICE": b"rebuilt"})
    (host.folder / "brought.tgz").write_bytes(other)
    assert not (await setup().check(host.ctx)).done
    await setup().apply(host.ctx, host.progress)
    (release,) = installed_releases(host.settings)
    assert release.archive_sha256 == hashlib.sha256(other).hexdigest()


def lying(name: str) -> Callable[[], bytes]:
    """An archive of the wanted release in which one program is of another."""
    swap = {f"release-v{VERSION}-{ARCH}/{name}-v{VERSION}-{ARCH}": program(name, "1.12.0")}
    return lambda: packed(members() | swap)


def broken() -> bytes:
    return packed(members() | {f"release-v{VERSION}-{ARCH}/jailer-v{VERSION}-{ARCH}": b"#!/bin/false\n"})


def for_another_processor() -> bytes:
    return packed(members(arch="aarch64"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lying("firecracker"), r"says that it is 1\.12\.0"),
        (lying("jailer"), r"says that it is 1\.12\.0"),
        (broken, "does not run"),
        (for_another_processor, "for aarch64"),
        (lambda: packed(members("1.16.0")), "vsock"),
        (lambda: b"no archive", "not a release archive"),
    ],
)
async def test_a_brought_file_that_is_no_use_installs_nothing(
    host: Host, content: Callable[[], bytes], told: str
) -> None:
    with pytest.raises(NotReadyError, match=told):
        await bring(host, content())
    host.nothing_is_installed()


@pytest.mark.usefixtures("stick")
async def test_programs_that_are_pinned_vouch_for_an_archive_packed_anew(host: Host) -> None:
    pins = table(version=VERSION).model_copy(
        update={"programs": (programs(program("firecracker"), program("jailer")),)}
    )
    await setup(pins).apply(host.ctx, host.progress)
    assert [release.version for release in installed_releases(host.settings)] == [VERSION]


@pytest.mark.usefixtures("stick")
async def test_programs_other_than_those_pinned_are_refused(host: Host) -> None:
    pins = table(version=VERSION).model_copy(update={"programs": (programs(program("firecracker"), b"another"),)})
    with pytest.raises(NotReadyError, match="not the official one, nor are its programs"):
        await setup(pins).apply(host.ctx, host.progress)
    host.nothing_is_installed()


# --- what is shipped


def test_the_shipped_table_pins_its_default_for_both_processors() -> None:
    shipped = Releases.shipped()
    for arch in ("x86_64", "aarch64"):
        assert shipped.archive(shipped.default, arch) is not None


def test_no_release_is_pinned_twice_nor_a_digest_given_to_two() -> None:
    archives = Releases.shipped().archives
    assert len({(each.version, each.arch) for each in archives}) == len(archives)
    assert len({each.sha256 for each in archives}) == len(archives)


def test_every_shipped_release_is_of_use() -> None:
    shipped = Releases.shipped()
    for each in shipped.archives:
        source = shipped.source(each.version, each.arch)
        assert (source.name, source.sha256) == (archive_name(each.version, each.arch), each.sha256)


@pytest.mark.skipif(os.geteuid() != 0, reason="the jailer is looked for only as root")
@pytest.mark.usefixtures("stick")
async def test_the_jailer_is_found_beside_it(host: Host) -> None:
    await setup().apply(host.ctx, host.progress)
    found = await firecracker_program(Settings(data_dir=host.settings.data_dir))
    assert found.jailer == release_folder(host.settings, VERSION) / "jailer"
