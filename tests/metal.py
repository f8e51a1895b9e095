"""The suite on Firecracker and native KVM, as production runs: what that needs, and readying it.

``python -m tests.metal`` readies this host where it can bear it, and else says what is missing. ``pytest --metal``
then takes Firecracker for every VM; where something is missing it skips every test with that reason, and counts them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.host.kvm import kvm_verdict
from engine.host.programs import firecracker_program
from engine.settings import Settings

FLAG = "--metal"
_READY = ("setup", "--yes", "--no-try", "--vmm", "firecracker", "--skip-docker", "--skip-service")
_COUNTED = pytest.StashKey[tuple[str, int]]()


def missing() -> str | None:
    """Why the suite can't run on Firecracker and native KVM here, None where it can."""
    return asyncio.run(_missing(with_firecracker=True))


async def _missing(*, with_firecracker: bool) -> str | None:
    settings = Settings()
    verdict = await kvm_verdict(settings)
    if verdict.kind != "native":
        return f"KVM is {verdict.kind} here: {verdict.detail}"
    if with_firecracker:
        try:
            await firecracker_program(settings)
        except NotReadyError as error:
            return f"{error.message} ({error.remedy})"
    return None


def configure(config: pytest.Config) -> None:
    """Every Settings of the session takes Firecracker."""
    if config.getoption(FLAG):
        os.environ["VMDECK_VMM"] = "firecracker"


def skip_what_cannot_run(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """All tests where the host is not fit; those about QEMU where it is."""
    if not config.getoption(FLAG):
        return
    if reason := missing():
        config.stash[_COUNTED] = (reason, len(items))
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"needs Firecracker on native KVM: {reason}"))
        return
    for item in items:
        if item.get_closest_marker("qemu"):
            item.add_marker(pytest.mark.skip(reason="about QEMU itself"))


def tell(config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
    if _COUNTED in config.stash:
        reason, count = config.stash[_COUNTED]
        reporter.section("metal", yellow=True)
        reporter.line(f"NOTHING WAS TESTED: all {count} tests were skipped. {reason}")


def main() -> int:
    reason = asyncio.run(_missing(with_firecracker=False))
    if reason is not None:
        print(f"This host can't run the suite on Firecracker: {reason}", file=sys.stderr)
        return 0
    return subprocess.run([Path(sys.executable).with_name("vmdeck"), *_READY], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
