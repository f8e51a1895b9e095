"""The setup command: shows the steps, asks, applies those that are not done, and runs a first snippet; or undoes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.chosen_settings import load_settings
from engine.cli.follow import JobFailedError, follow
from engine.cli.images import confirm
from engine.cli.listing import show_json
from engine.cli.session import checked, run_async, with_engine
from engine.errors import InputError
from engine.printable import printable

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import SetupOptions, SetupStep, SetupTrace

SKIP = "Leave {} out."
_RELEASE = re.compile(r"v?\d+(\.\d+)+")


class VmmName(StrEnum):
    """What --vmm takes."""

    AUTO = "auto"
    FIRECRACKER = "firecracker"
    QEMU = "qemu"


def setup(
    skip_docker: Annotated[bool, typer.Option("--skip-docker", help=SKIP.format("the Docker engine"))] = False,
    skip_firecracker: Annotated[bool, typer.Option("--skip-firecracker", help=SKIP.format("Firecracker"))] = False,
    skip_kernel: Annotated[bool, typer.Option("--skip-kernel", help=SKIP.format("the guest kernel"))] = False,
    skip_service: Annotated[bool, typer.Option("--skip-service", help=SKIP.format("the systemd service"))] = False,
    vmm: Annotated[VmmName, typer.Option(help="Write into the settings which VMM runs use.")] = VmmName.AUTO,
    firecracker: Annotated[
        str | None, typer.Option(metavar="FILE|VERSION", help="Firecracker's release, or the file of its archive.")
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(metavar="FILE|debian|URL", help="Guest kernel; a URL ends in #sha256=DIGEST.")
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="https site that serves what the release sites serve.")
    ] = None,
    offline: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with Firecracker's archive or a URL's kernel; packages come by apt."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the steps as JSON; progress goes to stderr.")] = False,
    no_try: Annotated[bool, typer.Option("--no-try", help="Don't run a first snippet at the end.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Remove what setup made on this host.")] = False,
) -> None:
    """Ready this host: what is done already is left as it is. Exits non-zero naming what failed."""
    from engine.models import SetupOptions

    if undo:
        _refuse_with_undo(
            {
                "--skip-docker": skip_docker,
                "--skip-firecracker": skip_firecracker,
                "--skip-kernel": skip_kernel,
                "--skip-service": skip_service,
                "--vmm": vmm is not VmmName.AUTO,
                "--firecracker": firecracker is not None,
                "--kernel": kernel is not None,
                "--mirror": mirror is not None,
                "--offline": offline is not None,
                "--no-try": no_try,
            }
        )
        _undo(yes=yes, dry_run=dry_run, as_json=as_json)
        return
    skips = {"docker": skip_docker, "firecracker": skip_firecracker, "kernel": skip_kernel, "service": skip_service}
    options = checked(
        SetupOptions,
        skip=tuple(name for name, given in skips.items() if given),
        vmm=vmm.value,
        firecracker=_release_or_path(firecracker),
        kernel=_kernel_or_path(kernel),
        mirror=mirror,
        offline=None if offline is None else _folder(offline),
    )
    _setup(options, yes=yes, dry_run=dry_run, tries=not no_try, as_json=as_json)


def _setup(options: SetupOptions, *, yes: bool, dry_run: bool, tries: bool, as_json: bool) -> None:
    from engine.cli import first_run, service

    async def work(engine: EngineApi) -> Sequence[SetupStep]:
        steps = await engine.setup_steps(options)
        if not as_json:
            _print_steps(steps)
        if dry_run:
            return steps
        if not all(step.settled for step in steps):
            confirm("Do the steps that are not done?", yes=yes)
            steps = await _apply(engine, options)
        if tries:
            await first_run.first_run(engine, quiet=as_json)
        return steps

    # The choice of VMM holds for this command's own engine at once: the snapshot is made with it.
    flags = {} if options.vmm == VmmName.AUTO else {"vmm": options.vmm}
    steps = with_engine(work, only_looks=dry_run, **flags)
    if not dry_run and any(step.id == service.STEP and step.done for step in steps):
        run_async(service.answers(load_settings()))
    if as_json:
        show_json(steps)
    elif all(step.settled for step in steps):
        print("This host is ready.")


async def _apply(engine: EngineApi, options: SetupOptions) -> Sequence[SetupStep]:
    """The steps as they are afterwards. Raises JobFailedError naming those that are still not done."""
    await follow(engine, await engine.apply_setup(options=options))
    steps = await engine.setup_steps(options)
    if missing := [step.title for step in steps if not step.settled]:
        raise JobFailedError(f"Still not done: {', '.join(missing)}", remedy="Run `vmdeck doctor`")
    return steps


def _refuse_with_undo(given: dict[str, bool]) -> None:
    """Undo removes all: an option that seems to leave something out must not be passed over."""
    if names := [name for name, is_given in given.items() if is_given]:
        raise InputError(f"--undo does not go together with {', '.join(names)}", remedy="Give --undo without them")


def _undo(*, yes: bool, dry_run: bool, as_json: bool) -> None:
    async def work(engine: EngineApi) -> Sequence[SetupTrace]:
        traces = tuple(reversed(await engine.setup_record()))
        if not as_json:
            _print_traces(traces)
        if dry_run or not traces:
            return traces
        confirm("Remove all this?", yes=yes)
        await follow(engine, await engine.undo_setup())
        return traces

    traces = with_engine(work, only_looks=dry_run)
    if as_json:
        show_json(traces)
    elif traces and not dry_run:
        print("Setup is undone.")


def _print_steps(steps: Sequence[SetupStep]) -> None:
    for step in steps:
        word = "skipped" if step.skipped else "done" if step.done else "to do"
        print(printable(f"{word:<7} {step.title}: {step.seen}"))
        if not step.settled:
            for line in (step.why, *step.would):
                print(printable(f"{'':<7}   {line}"))


def _print_traces(traces: Sequence[SetupTrace]) -> None:
    if not traces:
        print("Nothing is recorded as made by setup.")
    for trace in traces:
        print(printable(f"{trace.kind:<13} {trace.what}"))


def _release_or_path(given: str | None) -> str | None:
    """A release is a version number; all else is a file."""
    if given is None or _RELEASE.fullmatch(given):
        return given
    return _file(given)


def _kernel_or_path(given: str | None) -> str | None:
    if given is None or given == "debian" or "://" in given:
        return given
    return _file(given)


def _file(given: str) -> str:
    path = Path(given).expanduser()
    if not path.is_file():
        raise InputError(f"There is no file {given}", remedy="Give the path of a file of this host")
    return _absolute(path)


def _folder(path: Path) -> str:
    """Raises InputError where there is none: setup would only find out when it looks for a file in it."""
    if not path.expanduser().is_dir():
        raise InputError(f"There is no folder {path}", remedy="Give the path of a folder of this host")
    return _absolute(path)


def _absolute(path: Path) -> str:
    """The engine may run in another folder."""
    return str(path.expanduser().absolute())
