"""First-time setup: the list of steps, in order, and the walk over it that CLI and console share."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import NotFoundError, NotReadyError, VmdeckError
from engine.models import SetupStep
from engine.rootfs.progress import Progress, silent, within
from engine.setup import artefacts, firecracker, kernel, system
from engine.setup.base import Finding, SetupContext, Step

_FIRECRACKER = firecracker.FirecrackerSetup()
_KERNEL = kernel.KernelSetup()

STEPS: tuple[Step, ...] = (
    Step(
        "package-lists",
        "apt's package lists",
        "All that setup downloads is checked against them",
        system.check_lists,
        system.apply_lists,
        touches_system=True,
    ),
    Step(
        "packages",
        "Host packages",
        "QEMU runs the microVMs; mmdebstrap and e2fsprogs build images",
        system.check_packages,
        system.apply_packages,
        needs=("package-lists",),
        touches_system=True,
    ),
    Step(
        "folders",
        "Data folders",
        "Kernels, images and snapshots lie there",
        system.check_folders,
        system.apply_folders,
    ),
    Step(
        firecracker.STEP,
        "Firecracker",
        "Where KVM works, each microVM is one of Firecracker's, in its jail",
        _FIRECRACKER.check,
        _FIRECRACKER.apply,
        needs=("folders",),
    ),
    Step(
        "kernel",
        "Guest kernel",
        "Every microVM boots it; it is not installed on the host",
        _KERNEL.check,
        _KERNEL.apply,
        needs=("package-lists", "folders"),
    ),
    Step(
        "initramfs",
        "Guest initramfs",
        "The agent inside each microVM, with a Python of its own",
        artefacts.check_initramfs,
        artefacts.apply_initramfs,
        needs=("package-lists", "kernel"),
    ),
    Step(
        "image",
        "Image for Python",
        "The root file system that Python and Bash code runs in",
        artefacts.check_image,
        artefacts.apply_image,
        needs=("packages", "folders"),
    ),
    Step(
        "snapshot",
        "Warm snapshot for Python",
        "Runs start from it in a fraction of a boot's time",
        artefacts.check_snapshot,
        artefacts.apply_snapshot,
        needs=("packages", "initramfs", "image"),
    ),
)


async def plan(ctx: SetupContext, steps: Sequence[Step] = STEPS) -> list[SetupStep]:
    """Every step as it is now. Changes nothing."""
    return [_shown(step, await _look(ctx, step)) for step in steps]


async def apply(
    ctx: SetupContext,
    step_ids: Sequence[str] | None = None,
    progress: Progress = silent,
    steps: Sequence[Step] = STEPS,
) -> None:
    """Do what is not done of all steps, or of the named ones and what they need, in order.

    A step that fails holds up those that need it and no others. Raises NotFoundError for an unknown id; and at the
    end NotReadyError naming what failed, with the first one's remedy.
    """
    chosen = _chosen(steps, step_ids)
    failed: dict[str, VmdeckError] = {}
    held_up: dict[str, str] = {}
    for index, step in enumerate(chosen):
        part = within(progress, index / len(chosen), (index + 1) / len(chosen))
        blocker = next((need for need in step.needs if need in failed or need in held_up), None)
        if blocker is not None and not (await _look(ctx, step)).done:
            held_up[step.id] = blocker
            part(f"{step.title}: not tried, it needs {blocker}", 1.0)
            continue
        try:
            await _do(ctx, step, part)
        except VmdeckError as error:
            failed[step.id] = error
            part(f"{step.title}: {error.message}", 1.0)
    if failed:
        raise _summary(failed, held_up)


async def _do(ctx: SetupContext, step: Step, progress: Progress) -> None:
    finding = await _look(ctx, step)
    if finding.done:
        progress(f"{step.title}: {finding.seen}", 1.0)
        return
    progress(f"{step.title}: {finding.seen}", 0.0)
    await step.apply(ctx, progress)
    finding = await _look(ctx, step)
    if not finding.done:
        raise NotReadyError(
            f"It was applied, and yet: {finding.seen}", remedy="Run `vmdeck setup` again and read its log"
        )
    progress(f"{step.title}: done ({finding.seen})", 1.0)


async def _look(ctx: SetupContext, step: Step) -> Finding:
    """A step whose check itself fails is a step that is not done, and says why."""
    try:
        return await step.check(ctx)
    except VmdeckError as error:
        return Finding(False, error.message, (error.remedy,) if error.remedy else ())


def _chosen(steps: Sequence[Step], step_ids: Sequence[str] | None) -> list[Step]:
    """The named steps and, from last to first, what they need."""
    if step_ids is None:
        return list(steps)
    known = {step.id for step in steps}
    if absent := [each for each in step_ids if each not in known]:
        raise NotFoundError(f"There is no setup step {absent[0][:64]!r}", remedy=f"Steps: {', '.join(sorted(known))}")
    wanted = set(step_ids)
    for step in reversed(steps):
        if step.id in wanted:
            wanted.update(step.needs)
    return [step for step in steps if step.id in wanted]


def _shown(step: Step, finding: Finding) -> SetupStep:
    return SetupStep(
        id=step.id,
        title=step.title,
        why=step.why,
        done=finding.done,
        seen=finding.seen,
        needs=step.needs,
        touches_system=step.touches_system,
        would=finding.would,
    )


def _summary(failed: dict[str, VmdeckError], held_up: dict[str, str]) -> NotReadyError:
    causes = "; ".join(f"{step}: {error.message}" for step, error in failed.items())
    waiting = f" (so not tried: {', '.join(held_up)})" if held_up else ""
    first = next(iter(failed.values()))
    return NotReadyError(f"Setup failed at {causes}{waiting}", remedy=first.remedy)
