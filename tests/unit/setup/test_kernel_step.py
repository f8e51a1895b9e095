"""The step for the guest kernel: what the option may name, and that a kernel is there whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import InputError, NotReadyError
from engine.host.kvm import KvmVerdict
from engine.models import SetupOptions, SetupTrace
from engine.rootfs import own_kernel
from engine.rootfs.kernel import installed_kernel
from engine.rootfs.progress import Progress, silent
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from engine.setup import artefacts
from engine.setup.base import SetupContext
from engine.setup.kernel import KernelSetup
from tests.unit.rootfs.test_own_kernel import debians, elf, write
from tests.unit.setup.https_server import Server, status, whole

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels made here are for x86_64")
DIGEST = hashlib.sha256(elf()).hexdigest()
STEP = KernelSetup()


@pytest.fixture(autouse=True)
def _no_modules_of_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own_kernel, "HOST_MODULES", tmp_path / "nowhere")


@pytest.fixture
def ctx(tmp_path: Path) -> SetupContext:
    async def nothing(language: str) -> None:
        pytest.fail("this step makes no snapshot")

    async def kvm() -> KvmVerdict:
        return KvmVerdict(kind="absent", detail="")

    settings = Settings(data_dir=tmp_path / "data")
    return SetupContext(settings, ImageStore(settings), nothing, nothing, kvm)


def wanting(ctx: SetupContext, kernel: str, **options: object) -> SetupContext:
    return replace(ctx, options=SetupOptions.model_validate({"kernel": kernel, **options}))


async def test_a_file_is_installed_and_a_second_time_there_is_nothing_to_do(ctx: SetupContext, tmp_path: Path) -> None:
    ctx = wanting(ctx, str(write(tmp_path / "vmlinux", elf())))
    finding = await STEP.check(ctx)
    assert not finding.done
    assert DIGEST in finding.would[0]
    await STEP.apply(ctx, silent)
    assert (await STEP.check(ctx)).done
    kernel = installed_kernel(ctx.settings)
    assert kernel is not None
    assert kernel.manifest.source == str(tmp_path / "vmlinux")


async def test_another_file_is_another_kernel(ctx: SetupContext, tmp_path: Path) -> None:
    ctx = wanting(ctx, str(write(tmp_path / "vmlinux", elf())))
    await STEP.apply(ctx, silent)
    write(tmp_path / "vmlinux", elf("6.18.1"))
    assert not (await STEP.check(ctx)).done
    await STEP.apply(ctx, silent)
    kernel = installed_kernel(ctx.settings)
    assert kernel is not None
    assert kernel.version == "6.18.1"


async def test_setup_without_the_option_leaves_a_kernel_that_was_brought(ctx: SetupContext, tmp_path: Path) -> None:
    await STEP.apply(wanting(ctx, str(write(tmp_path / "vmlinux", elf()))), silent)
    assert (await STEP.check(ctx)).done


async def test_debians_is_taken_up_again_when_asked_for(
    ctx: SetupContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(ctx: SetupContext, progress: Progress) -> None:
        debians(ctx.settings, "6.1.0")

    monkeypatch.setattr(artefacts, "apply_kernel", fetch)
    await STEP.apply(wanting(ctx, str(write(tmp_path / "vmlinux", elf()))), silent)
    ctx = wanting(ctx, "debian")
    assert not (await STEP.check(ctx)).done
    await STEP.apply(ctx, silent)
    assert (await STEP.check(ctx)).seen == "debian-6.1.0"


async def test_it_is_left_out_when_asked(ctx: SetupContext) -> None:
    assert (await STEP.check(replace(ctx, options=SetupOptions(skip=("kernel",))))).skipped


async def test_a_kernel_is_downloaded_by_url_and_digest(ctx: SetupContext, server: Server) -> None:
    server.answers = [whole(elf())]
    traces: list[SetupTrace] = []
    ctx = replace(wanting(ctx, f"{server.url}/vmlinux-6.12?token=s3cret#sha256={DIGEST}"), record=traces.append)
    step = KernelSetup(server.trust)
    await step.apply(ctx, silent)
    kernel = installed_kernel(ctx.settings)
    assert kernel is not None
    assert kernel.manifest.source == f"{server.url}/vmlinux-6.12"
    assert (await step.check(ctx)).done
    assert {path.name for path in ctx.settings.kernels_dir.iterdir()} == {kernel.id, "chosen"}
    recorded = {trace.what: trace.sha256 for trace in traces}
    chosen = ctx.settings.kernels_dir / "chosen"
    assert str(kernel.folder) in recorded
    assert recorded[str(chosen)] == hashlib.sha256(chosen.read_bytes()).hexdigest()


async def test_a_kernel_by_url_can_come_from_a_folder(ctx: SetupContext, tmp_path: Path) -> None:
    write(tmp_path / "stick/vmlinux-6.12", elf())
    url = f"https://kernels.invalid/vmlinux-6.12#sha256={DIGEST}"
    await STEP.apply(wanting(ctx, url, offline=str(tmp_path / "stick")), silent)
    assert (await STEP.check(wanting(ctx, url))).done


@pytest.mark.parametrize("answer", [whole(b"\x7fELF another"), status(404)])
async def test_a_failed_download_chooses_and_installs_nothing(
    ctx: SetupContext, server: Server, answer: object
) -> None:
    server.answers = [answer]  # pyright: ignore[reportArgumentType]
    with pytest.raises(NotReadyError):
        await KernelSetup(server.trust).apply(wanting(ctx, f"{server.url}/vmlinux#sha256={DIGEST}"), silent)
    assert list(ctx.settings.kernels_dir.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://kernels.invalid/vmlinux",
        "https://kernels.invalid/vmlinux#sha256=12",
        f"http://kernels.invalid/vmlinux#sha256={DIGEST}",
        f"https://kernels.invalid/#sha256={DIGEST}",
    ],
)
async def test_a_url_needs_https_a_file_and_a_digest(ctx: SetupContext, url: str) -> None:
    with pytest.raises(InputError):
        await STEP.check(wanting(ctx, url))


async def test_a_file_that_is_not_there_is_told(ctx: SetupContext) -> None:
    with pytest.raises(NotReadyError, match="can't be read"):
        await STEP.check(wanting(ctx, "/no/such/kernel"))


@pytest.mark.parametrize("kind", ["device", "fifo", "folder", "secret"])
async def test_of_what_is_no_kernel_nothing_is_told_but_that(ctx: SetupContext, tmp_path: Path, kind: str) -> None:
    secret = write(tmp_path / "secret", b"root:$y$j9T$ ...")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    named = Path("/dev/zero") if kind == "device" else tmp_path / kind
    async with asyncio.timeout(20):
        with pytest.raises(NotReadyError) as caught:
            await STEP.check(wanting(ctx, str(named)))
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in f"{caught.value.message} {caught.value.remedy}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
async def test_a_kernel_that_is_another_users_is_refused_in_plan_and_work(ctx: SetupContext, tmp_path: Path) -> None:
    file = write(tmp_path / "vmlinux", elf())
    os.chown(file, 12345, 12345)
    for work in (STEP.check(wanting(ctx, str(file))), STEP.apply(wanting(ctx, str(file)), silent)):
        with pytest.raises(NotReadyError, match="belongs to user 12345"):
            await work
    assert installed_kernel(ctx.settings) is None
