"""The setup command: shows the steps, asks, applies those that are not done, and looks again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.follow import JobFailedError, follow
from engine.cli.images import confirm
from engine.cli.listing import show_json
from engine.cli.reporting import printable
from engine.cli.session import with_engine

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import SetupStep


def setup(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the steps as JSON.")] = False,
) -> None:
    """Ready this host: what is done already is left as it is. Exits non-zero naming what failed."""

    async def work(engine: EngineApi) -> Sequence[SetupStep]:
        steps = await engine.setup_steps()
        if not as_json:
            _print_steps(steps)
        if dry_run or all(step.done for step in steps):
            return steps
        confirm("Do the steps that are not done?", yes=yes)
        await follow(engine, await engine.apply_setup())
        steps = await engine.setup_steps()
        if missing := [step.title for step in steps if not step.done]:
            raise JobFailedError(f"Still not done: {', '.join(missing)}", remedy="Run `vmdeck doctor`")
        return steps

    steps = with_engine(work)
    if as_json:
        show_json(steps)
    elif all(step.done for step in steps):
        print("This host is ready.")


def _print_steps(steps: Sequence[SetupStep]) -> None:
    for step in steps:
        print(printable(f"{'done' if step.done else 'to do':<6} {step.title}: {step.seen}"))
        if not step.done:
            for line in (step.why, *step.would):
                print(printable(f"{'':<6}   {line}"))
