"""Commands for settings: list them with their origins, and change config.toml."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.listing import Columns, show_json
from engine.cli.listing import show as show_list
from engine.cli.reporting import reported
from engine.cli.session import with_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api import EngineApi
    from engine.models import Setting

FROM_STDIN = "-"
_SECRET = "(set)"  # noqa: S105  the word that stands for one
_COLUMNS: Columns[Setting] = {
    "NAME": lambda setting: setting.name,
    "VALUE": lambda setting: _value(setting),
    "FROM": lambda setting: f"{setting.origin} {setting.source}".rstrip(),
    "AFTER A RESTART": lambda setting: "" if setting.pending is None else _pending(setting),
}

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `vmdeck settings` lists it.")]


def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with more of each.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return

    async def work(engine: EngineApi) -> Sequence[Setting]:
        return await engine.settings()

    with reported(as_json=as_json):
        show_list(with_engine(work, only_looks=True), _COLUMNS, as_json=as_json, empty="No settings.")


def put(
    name: Name,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help=f"{FROM_STDIN} reads it from standard input, as one should a token.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a setting into config.toml; in force when the engine opens next."""
    text = sys.stdin.readline().rstrip("\n") if value == FROM_STDIN else value
    _change(name, text, as_json=as_json)


def unset(name: Name, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Take a setting out of config.toml: then its default is in force."""
    _change(name, None, as_json=as_json)


def _change(name: str, text: str | None, *, as_json: bool) -> None:
    async def work(engine: EngineApi) -> Setting:
        return await engine.set_setting(name, text)

    # An engine that is open is asked: its folder counts. Else none need be opened, nor waited for, to write a file.
    setting = with_engine(work, only_looks=True)
    if as_json:
        show_json(setting)
    elif setting.pending is None:
        print(f"{name} is {_value(setting)}, as before")
    else:
        print(f"{name} is {_pending(setting)} from the engine's next start on")


def _value(setting: Setting) -> str:
    if setting.secret:
        return "(none)" if setting.origin == "default" else _SECRET
    return setting.value or "(empty)"


def _pending(setting: Setting) -> str:
    return "(changed)" if setting.secret else setting.pending or "(empty)"
