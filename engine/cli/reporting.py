"""Commands whose errors end as ``endings`` says: one place for all of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand

from engine.cli.endings import ended_by


class ReportingCommand(TyperCommand):
    """A command whose errors end as a message on stderr, or as a problem document on stdout: with ``--json``, and for
    the console that started its engine with ``--while-needed``."""

    def invoke(self, ctx: Any) -> Any:
        with reported(as_json=bool(ctx.params.get("as_json") or ctx.params.get("while_needed"))):
            return super().invoke(ctx)


@contextmanager
def reported(*, as_json: bool) -> Generator[None]:
    """Turn what a command raises into its message and exit code (typer.Exit)."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last door
        raise typer.Exit(ended_by(error, as_json=as_json)) from None
