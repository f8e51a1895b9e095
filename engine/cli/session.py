"""From a command's function to the engine and back: settings, an event loop that signals can end, an open engine."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from engine.cli.chosen_settings import load_settings
from engine.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from engine.api import EngineApi

    M = TypeVar("M", bound=BaseModel)

T = TypeVar("T")
Unjailed = Annotated[
    bool,
    typer.Option("--unjailed", help="Run VMMs without a jail, with all the rights of this user. Not for production."),
]

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)  # SIGINT is asyncio's own: it cancels, then raises KeyboardInterrupt


def checked(model: type[M], **fields: object) -> M:
    """The value, or InputError naming the fields that are not valid."""
    from pydantic import ValidationError

    from engine import problem

    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InputError(problem.from_validation(error.errors()).detail, remedy="See --help") from None


def with_engine(work: Callable[[EngineApi], Awaitable[T]], *, only_looks: bool = False, **flags: object) -> T:
    """Result of ``work`` with an open engine: a running one's, else one of our own, closed at the end.

    ``flags`` are settings for an engine of our own; one that ``only_looks`` makes nothing on the host.
    """
    settings = load_settings(**flags)

    async def session() -> T:
        from engine.attach import open_engine

        async with open_engine(settings, notice, caller="cli", only_looks=only_looks) as engine:
            return await work(engine)

    return run_async(session())


def notice(text: str) -> None:
    """Something the caller should know while waiting, on stderr."""
    print(f"vmdeck: {text}", file=sys.stderr)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. SIGTERM and SIGHUP cancel the work, whose cleanup is waited for, and exit with 128+n."""
    ended_by: list[signal.Signals] = []

    async def session() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)

        def end(number: signal.Signals) -> None:
            ended_by.append(number)
            task.cancel()

        for number in _ENDING_SIGNALS:
            loop.add_signal_handler(number, end, number)
        try:
            return await task
        finally:
            for number in _ENDING_SIGNALS:
                loop.remove_signal_handler(number)

    try:
        return asyncio.run(session())
    except asyncio.CancelledError:
        raise typer.Exit(128 + ended_by[0] if ended_by else 1) from None
