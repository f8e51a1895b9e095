"""First-time setup: the list of steps, in order, and the walk over it that CLI and console share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from engine.errors import NotFoundError, NotReadyError, VmdeckError
from engine.models import SetupStep
from engine.rootfs.progress import Progress, silent, within
from engine.setup import (
    artefacts,
    completion,
    configuration,
    docker,
    firecracker,
    folders,
    kernel,
    kvm_access,
    modules,
    service,
    system,
)
from engine.setup.base import Finding, SetupContext, Step, names_files
from engine.setup.systemd import refuse_inside

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
        folders.check,
        folders.apply,
    ),
    Step(
        "settings",
        "Settings",
        "Which VMM runs use, where the operator chose one",
        configuration.check,
        configuration.apply,
        touches_system=True,
    ),
    Step(
        "kvm-modules",
        "Kernel modules",
        "KVM gives guests the CPU itself: now, and after the next boot",
        modules.check,
        modules.apply,
        touches_system=True,
    ),
    Step(
        "kvm-group",
        "Access to KVM",
        "Only members of the device's group may use /dev/kvm",
        kvm_access.check,
        kvm_access.apply,
        touches_system=True,
    ),
    Step(
        "docker",
        "Docker engine",
        "Images can be made from Docker's; microVMs run without it",
        docker.check,
        docker.apply,
        needs=("package-lists",),
        touches_system=True,
        verify=docker.verify,
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
        store=lambda settings: settings.kernels_dir,
    ),
    Step(
        "initramfs",
        "Guest initramfs",
        "The agent inside each microVM, with a Python of its own",
        artefacts.check_initramfs,
        artefacts.apply_initramfs,
        needs=("package-lists", "kernel"),
        store=lambda settings: settings.guest_dir,
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
        needs=("packages", firecracker.STEP, "initramfs", "image"),
    ),
    Step(
        "completion",
        "Shell completion",
        "The tab key completes vmdeck's commands",
        completion.check,
        completion.apply,
        touches_system=True,
    ),
    Step(
        "service",
        "Service",
        "systemd keeps an engine open for this host's commands and console",
        service.check,
        service.apply,
        needs=("folders", "settings"),
        touches_system=True,
        verify=service.verify,
    ),
)


async def plan(ctx: SetupContext, steps: Sequence[Step] = STEPS) -> list[SetupStep]:
    """Every step as it is now. Changes nothing. Raises NotReadyError for options that the service can't follow."""
    _refuse_hidden_files(ctx)
    return [_shown(step, await _look(ctx, step)) for step in steps]


async def apply(
    ctx: SetupContext,
    step_ids: Sequence[str] | None = None,
    progress: Progress = silent,
    steps: Sequence[Step] = STEPS,
    *,
    begin: Callable[[str], None] = silent,
) -> None:
    """Do what is not done of all steps, or of the named ones and what they need, in order.

    ``begin`` is told the title of each step that is about to be applied.
    A step that fails holds up those that need it and no others; one that is skipped holds up none. The fraction is the
    share of steps that are settled, so that only a setup without failures comes to 1. Raises NotFoundError for an
    unknown id; and at the end NotReadyError naming what failed, with the first one's remedy.
    """
    chosen = _chosen(steps, step_ids)
    _refuse_hidden_files(ctx)
    await system.forget_absent(ctx)
    failed: dict[str, VmdeckError] = {}
    held_up: dict[str, str] = {}
    settled = 0
    for step in chosen:
        part = within(progress, settled / len(chosen), (settled + 1) / len(chosen))
        blocker = next((need for need in step.needs if need in failed or need in held_up), None)
        if blocker is not None and not (await _look(ctx, step)).settled:
            held_up[step.id] = blocker
            part(f"{step.title}: not tried, it needs {blocker}")
            continue
        try:
            await _do(ctx, step, part, begin)
        except VmdeckError as error:
            failed[step.id] = error
            part(f"{step.title}: failed: {error.message}")
        else:
            settled += 1
    if failed:
        raise _summary(failed, held_up)


def _refuse_hidden_files(ctx: SetupContext) -> None:
    """The service has a /tmp of its own and sees no homes: a file there would be missing, or another one."""
    if names_files(ctx.options):
        refuse_inside("follow options that name files of this host", "vmdeck setup with the same options")


async def _do(ctx: SetupContext, step: Step, progress: Progress, begin: Callable[[str], None]) -> None:
    finding = await _look(ctx, step)
    if finding.settled:
        progress(f"{step.title}: {'skipped: ' if finding.skipped else ''}{finding.seen}", 1.0)
        return
    begin(step.title)
    progress(f"{step.title}: {finding.seen}", 0.0)
    if step.touches_system:
        refuse_inside("change the host it runs on", "vmdeck setup")
    with ctx.newcomers(step.id, step.store(ctx.settings)) if step.store is not None else nullcontext():
        await step.apply(ctx, progress)
    finding = await (step.verify(ctx) if step.verify is not None else _look(ctx, step))
    if not finding.settled:
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
        done=finding.done and not finding.skipped,
        seen=finding.seen,
        needs=step.needs,
        touches_system=step.touches_system,
        would=finding.would,
        skipped=finding.skipped,
    )


def _summary(failed: dict[str, VmdeckError], held_up: dict[str, str]) -> NotReadyError:
    causes = "; ".join(f"{step}: {error.message}" for step, error in failed.items())
    waiting = f" (so not tried: {', '.join(held_up)})" if held_up else ""
    first = next(iter(failed.values()))
    return NotReadyError(f"Setup failed at {causes}{waiting}", remedy=first.remedy)
