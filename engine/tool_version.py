"""The version that a tool in an image tells, asked in a microVM: no code of an image that anyone made runs here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.backend import Backend
from engine.errors import NotReadyError
from engine.guestlink.collect import collect
from engine.guestlink.dial import greeted, resynced
from engine.languages.catalogue import Recipe
from engine.models import Image, RunRequest, VmState
from engine.rootfs.version_line import version_line
from engine.runs.plan import make_plan
from engine.settings import Settings
from engine.vmm.fleet import VmPurpose

_WITHIN_MS = 60_000  # a JVM's first start, on a processor that is emulated


async def version_in_vm(recipe: Recipe, image: Image, backend: Backend, settings: Settings) -> str | None:
    """One line; None where the catalogue does not know how to ask. ``image`` need not be in the store yet.

    Raises NotReadyError where no microVM can be started here, or where the tool says nothing of use.
    """
    recipe = recipe.within(image.source)
    if not recipe.version:
        return None
    ready = await backend.ready()
    plan = make_plan(RunRequest(language=recipe.id), recipe, image, settings, None)
    limits = replace(plan.run.limits, wall_ms=_WITHIN_MS, cpu_ms=_WITHIN_MS)
    asking = replace(plan.run, argv=list(recipe.version), limits=limits, warm=False, script=None)
    spec = ready.boot_files.spec(Path(image.path), plan.memory_mib, plan.vcpus)
    async with ready.fleet.boot(spec, VmPurpose("version", recipe.id, image.name)) as live, live.dial() as guest:
        await greeted(live.vm, guest, settings.boot_deadline_s, cold=True)
        await resynced(live.vm, guest, settings.restore_deadline_s, doing="Setting up the microVM")
        live.state = VmState.RUNNING
        end, said = await collect(
            guest, asking, start_deadline_s=settings.boot_deadline_s, grace_s=settings.kill_grace_s
        )
    line = version_line(said["stdout"] + said["stderr"]) if end.code == 0 else None
    if line is None:
        raise NotReadyError(
            f"{recipe.version[0]} does not tell its version in this image: it ended by {end.reason} (code {end.code}), "
            f"stdout {said['stdout'][:200]!r}, stderr {said['stderr'][-200:]!r}",
            remedy=f"Code of {recipe.title} may not run in it: try its example, or take another image",
        )
    return line
