"""The step that writes down in config.toml what the operator chose in setup, leaving all other lines as they are."""

from __future__ import annotations

import tomllib

from engine.config_file import change, config_file, values
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.setup.base import Finding, SetupContext, made
from engine.setup.placing import place

STEP = "settings"
KEY = "vmm"


async def check(ctx: SetupContext) -> Finding:
    wanted = ctx.options.vmm
    if wanted == "auto":
        return Finding(True, f"{KEY} is {ctx.settings.vmm}")
    path = config_file()
    written = values(path).get(KEY)
    if written == wanted:
        return Finding(True, f"{KEY} is {wanted}")
    seen = f"{path} does not set {KEY}" if written is None else f"{path} sets {KEY} to {written}"
    return Finding(False, seen, (f"write {line(wanted)} into {path}",))


async def apply(ctx: SetupContext, progress: Progress) -> None:
    path = config_file()
    written = line(ctx.options.vmm)
    if not path.exists():
        await in_thread(place, ctx, STEP, path, written + "\n")
    else:
        before = values(path).get(KEY)
        ctx.record(made(STEP, "setting", written, before=before if isinstance(before, str) else None))
        await in_thread(change, path, KEY, ctx.options.vmm)
    progress(f"{path}: {written}; a running daemon reads it when it starts again")


def take_back(written: str, before: str | None) -> bool:
    """Give the setting the value it had before; False where it is not what the line ``written`` made it."""
    path = config_file()
    if values(path).get(KEY) != tomllib.loads(written)[KEY]:
        return False
    change(path, KEY, before)
    return True


def line(value: str) -> str:
    """The line that sets the VMM."""
    return f'{KEY} = "{value}"'
