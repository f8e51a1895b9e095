"""Which VMM and accelerator runs use on this host. The order of preference is the table ``CANDIDATES``.

``auto`` takes the first row that really works here, and tells why a better one was passed over; a VMM or accelerator
named in the settings is obeyed wherever it can start at all, even where it will be slow, since an operator may know
better (a guest kernel built for PVM).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from engine.errors import NotReadyError
from engine.host.kvm import KvmKind, KvmVerdict
from engine.host.programs import Program, firecracker_program, qemu_program
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


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen and why, and the program that does it."""

    choice: VmmChoice
    program: Program


CANDIDATES: tuple[Candidate, ...] = (
    Candidate(
        vmm="firecracker",
        accelerator="kvm",
        program=firecracker_program,
        good_with=frozenset({"native"}),
        starts_with=frozenset({"native", "emulated"}),
        because="KVM runs guest code on the hardware, and Firecracker has the least around it",
    ),
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


async def choose_vmm(settings: Settings, verdict: KvmVerdict, candidates: tuple[Candidate, ...] = CANDIDATES) -> Chosen:
    """The first candidate that the settings allow, KVM bears and whose program is installed.

    Asks the programs for their version (about 0.1 s): call once and keep the answer. Raises NotReadyError.
    """
    allowed = [row for row in candidates if _allowed(row, settings)]
    fitting = [row for row in allowed if verdict.kind in row.good_with]
    by_hand = not fitting and (settings.vmm, settings.accelerator) != ("auto", "auto")
    if by_hand:
        fitting = [row for row in allowed if verdict.kind in row.starts_with]
    if not fitting:
        raise _nothing_fits(settings, verdict)
    failures: list[NotReadyError] = []
    for row in fitting:
        try:
            program = await row.program(settings)
            if row.accelerator not in program.accelerators:
                raise _lacks(program, row)
        except NotReadyError as error:
            failures.append(error)
            continue
        reason = _reason(row, verdict, failures, by_hand=by_hand or settings.accelerator != "auto")
        choice = VmmChoice(vmm=row.vmm, accelerator=row.accelerator, version=program.version, reason=reason)
        return Chosen(choice, program)
    raise failures[-1]


def _allowed(row: Candidate, settings: Settings) -> bool:
    return settings.vmm in ("auto", row.vmm) and settings.accelerator in ("auto", row.accelerator)


def _nothing_fits(settings: Settings, verdict: KvmVerdict) -> NotReadyError:
    wanted = {"VMM": settings.vmm, "accelerator": settings.accelerator}
    named = " and ".join(f"{what} {value}" for what, value in wanted.items() if value != "auto")
    return NotReadyError(
        f"The settings ask for {named}, which can't be used here: KVM is {verdict.kind}, {verdict.detail}",
        remedy='Leave vmm and accelerator at "auto", or make KVM usable: vmdeck doctor says what it needs.',
    )


def _lacks(program: Program, row: Candidate) -> NotReadyError:
    return NotReadyError(
        f"{program.path} was built without the accelerator {row.accelerator}",
        remedy="Correct qemu_binary in the settings, or leave it empty to look for QEMU on PATH.",
    )


def _reason(row: Candidate, verdict: KvmVerdict, passed_over: list[NotReadyError], *, by_hand: bool) -> str:
    chosen = f"{row.because}; set by hand" if by_hand else row.because
    better = "".join(f"; {error.message}" for error in passed_over)
    return f"{chosen} (KVM {verdict.kind}: {verdict.detail}){better}"
