"""Commands for the service: install, status, remove. They talk to systemd, not to an engine."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.chosen_settings import load_settings
from engine.cli.images import confirm
from engine.cli.listing import show_json
from engine.cli.serving import Host, Port
from engine.cli.session import notice, run_async
from engine.errors import NotReadyError

if TYPE_CHECKING:
    from engine.settings import Settings

STEP = "service"
_START_S = 30.0
_LOOK_AGAIN_S = 0.2
EXIT_NOT_RUNNING = 3  # as `systemctl status` has it


def install(
    port: Port = None,
    host: Host = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even where others than root may write the program.")
    ] = False,
    print_only: Annotated[bool, typer.Option("--print", help="Print the unit, and install nothing.")] = False,
) -> None:
    """Install and start `vmdeck serve` as a service of systemd. A token comes from VMDECK_API_TOKEN."""
    from engine.http.server import require_token
    from engine.setup import service, token
    from engine.setup.ledger import Ledger

    settings = load_settings(api_host=host, api_port=port)
    if port is None and host is not None:
        raise NotReadyError("--host needs --port", remedy="Give both, or neither for the unix socket alone")
    arguments = [] if port is None else ["--port", str(port), *([] if host is None else ["--host", host])]
    if port is not None:
        require_token(settings.api_host, settings)
    if print_only:
        print(service.unit_text(settings, arguments), end="")
        return
    given = os.environ.get(token.NAME, "")
    work = service.install(settings, Ledger(settings), arguments, api_token=given, anyway=anyway, progress=_tell)
    run_async(work)
    print(f"{service.UNIT} is installed; `vmdeck service status` shows how it does")


async def answers(settings: Settings) -> None:
    """Return when the service serves: it starts once the engine of this command has ended.

    Raises NotReadyError where it has failed, or does not answer within half a minute.
    """
    from engine.client import RemoteEngine
    from engine.setup import service

    deadline = time.monotonic() + _START_S
    while True:
        try:
            async with RemoteEngine(settings.socket_path) as remote:
                await remote.health()
                return
        except NotReadyError:
            state = await service.status()
        if state.failed or time.monotonic() > deadline:
            raise NotReadyError(
                f"{service.UNIT} is {state.state} and does not answer", remedy=f"Look at journalctl -u {service.UNIT}"
            )
        await asyncio.sleep(_LOOK_AGAIN_S)  # systemd tells nobody that is not its own when a service answers


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show whether the service is installed and runs. Exits with 3 where it does not run."""
    from engine.setup import service

    found = run_async(service.status())
    if as_json:
        show_json(found)
    else:
        words = ("installed" if found.installed else "not installed", "enabled" if found.enabled else "not enabled")
        process = f", process {found.pid}" if found.pid else ""
        print(f"{service.UNIT}: {', '.join(words)}, {found.state}{process}")
    raise typer.Exit(0 if found.pid else EXIT_NOT_RUNNING)


def remove(yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False) -> None:
    """Stop the service and remove what `service install` made. Runs that it serves end."""
    from engine.setup import service
    from engine.setup.ledger import Ledger

    service.require_systemd()
    confirm(f"Stop and remove {service.UNIT}?", yes=yes)
    run_async(service.remove(Ledger(load_settings()), _tell))
    print(f"{service.UNIT} is removed")


def _tell(line: str, fraction: float | None = None) -> None:
    notice(line)
