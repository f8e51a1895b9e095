"""Images, snapshots and languages that have a past, and an engine that holds them."""

from __future__ import annotations

from datetime import timedelta

from engine.models import Language
from tests.console.fake_engine import FakeEngine, full, typical
from tests.console.samples import IMAGES, LANGUAGES, NOW, SNAPSHOTS

MANIFEST = {
    "format": "2",
    "kernel": "6.1.0-40-cloud-amd64",
    "kernel_sha256": "9a" * 32,
    "initramfs_digest": "c4" * 32,
    "cmdline": "console=ttyS0 quiet panic=-1",
    "machine": "microvm",
    "cpu_model": "max",
    "host_cpu": "AMD EPYC 7B13",
    "protocol_version": "1",
    "state": f"63122 bytes, SHA-256 {'51' * 32}",
    "memory": f"268435456 bytes, SHA-256 {'e0' * 32}",
}
USED_IMAGE = IMAGES[0].model_copy(
    update={
        "used_by": ("snapshot python-256m-1cpu", "VM vm-0a31"),
        "runs": 1204,
        "proven": NOW - timedelta(minutes=3),
    }
)
FREE_IMAGE = IMAGES[0].model_copy(update={"name": "bash", "languages": ("bash",), "packages": ("bash",)})
GOOD = SNAPSHOTS[0].model_copy(
    update={
        "shared_bytes": 124_717_420,
        "runs": 1187,
        "last_used": NOW - timedelta(minutes=3),
        "restore_ms": (412.0, 380.5, 395.0, 1210.0, 388.0, 402.4, 391.0, 399.9),
        "manifest": MANIFEST,
    }
)
REFUSED = SNAPSHOTS[1].model_copy(update={"shared_bytes": 70_190_000, "manifest": MANIFEST})
PYTHON, BASH, FORTH = (
    language.model_copy(update={"packages": packages})
    for language, packages in zip(LANGUAGES, (("python3",), ("bash",), ("gforth",)), strict=True)
)


def stocked() -> FakeEngine:
    """A few of each: used, free, refused, with a problem."""
    engine = typical()
    engine.image_list = (USED_IMAGE, FREE_IMAGE, IMAGES[1])
    engine.snapshot_list = (GOOD, REFUSED)
    engine.language_list = (PYTHON, BASH, FORTH)
    return engine


def crammed() -> FakeEngine:
    """More than fits any screen, names as long as they may be."""
    engine = full()
    engine.language_list = tuple(
        Language(
            id=f"language-{number:02}",
            title=f"A language with a long title {number:02}",
            category="Esoteric and historic",
            file_name="main.x",
            example="\n".join(f"line {line}" for line in range(60)),
            packages=tuple(f"package-{part}" for part in range(30)),
            ready=number % 3 != 0,
            warm=number % 3 == 1,
        )
        for number in range(70)
    )
    return engine
