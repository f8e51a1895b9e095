"""Which VMM and accelerator runs use on this host. The order of preference is the table ``CANDIDATES``.

``auto`` takes the first row that really works here; a VMM or accelerator named in the settings is obeyed wherever
it can start at all, even where it will be slow, since an operator may know better (a guest kernel built for PVM).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from engine.errors import NotReadyError
from engine.host.kvm import KvmKind, KvmVerdict
from engine.host.programs import Program, qemu_program
from engine.models import VmmChoice
from engine.settings import Settings

_ANY: frozenset[KvmKind] = frozenset({"native", "emulated", "denied", "absent"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to run VMs: what KVM must be for ``auto`` to take it, and for it to start at all."""

    vmm: str
    accelerator: str
    program: Callable[[Settings], Awaitable[Program]]
    good_with: frozenset[KvmKind]
    starts_with: frozenset[KvmKind]
    because: str


CANDIDATES: tuple[Candidate, ...] = (
    Candidate(
        vmm="qemu",
        accelerator="kvm",
        program=qemu_program,
        good_with=frozenset({"native"}),
        starts_with=frozenset({"native", "emulated"}),
        because="KVM runs guest code on the hardware",
    ),
    Candidate(
        vmm="qemu",
        accelerator="tcg",
        program=qemu_program,
        good_with=_ANY,
        starts_with=_ANY,
        because="software emulation: slower, and a softer wall than hardware",
    ),
)


async def choose_vmm(
    settings: Settings, verdict: KvmVerdict, candidates: tuple[Candidate, ...] = CANDIDATES
) -> VmmChoice:
    """The first candidate that the settings allow, KVM bears and whose program is installed.

    Asks the program for its version (about 0.1 s): call once and keep the answer. Raises NotReadyError.
    """
    allowed = [row for row in candidates if _allowed(row, settings)]
    by_hand = settings.accelerator != "auto"
    fitting = [row for row in allowed if verdict.kind in (row.starts_with if by_hand else row.good_with)]
    if not fitting:
        raise NotReadyError(
            f"Accelerator {settings.accelerator} is set, but KVM can't be used here: {verdict.detail}",
            remedy='Set accelerator = "auto", or make KVM usable: the health checks say what it needs.',
        )
    failures: list[NotReadyError] = []
    for row in fitting:
        try:
            program = await row.program(settings)
        except NotReadyError as error:
            failures.append(error)
            continue
        if row.accelerator in program.accelerators:
            return VmmChoice(
                vmm=row.vmm,
                accelerator=row.accelerator,
                version=program.version,
                reason=_reason(row, verdict, by_hand=by_hand),
            )
        failures.append(_lacks(program, row))
    raise failures[-1]


def _allowed(row: Candidate, settings: Settings) -> bool:
    return settings.vmm in ("auto", row.vmm) and settings.accelerator in ("auto", row.accelerator)


def _lacks(program: Program, row: Candidate) -> NotReadyError:
    return NotReadyError(
        f"{program.path} was built without the accelerator {row.accelerator}",
        remedy="Correct qemu_binary in the settings, or leave it empty to look for QEMU on PATH.",
    )


def _reason(row: Candidate, verdict: KvmVerdict, *, by_hand: bool) -> str:
    chosen = f"{row.because}; set by hand" if by_hand else row.because
    return f"{chosen} (KVM {verdict.kind}: {verdict.detail})"
