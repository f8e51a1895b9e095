"""Commands that own the engine and serve it until they are stopped."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.chosen_settings import jail_of, load_settings
from engine.cli.session import Unjailed, run_async

if TYPE_CHECKING:
    from engine.settings import Settings

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; any but loopback needs VMDECK_API_TOKEN.")
]
Port = Annotated[int | None, typer.Option(metavar="N", help="TCP port; 0 takes a free one.")]


def api(host: Host = None, port: Port = None, unjailed: Unjailed = False) -> None:
    """Serve the HTTP API on a TCP port, and the engine's socket for this user's commands and console."""
    settings = load_settings(api_host=host, api_port=port, jail=jail_of(unjailed=unjailed))
    run_async(_own_and_serve(settings, settings.api_host))


def serve(
    port: Port = None,
    host: Host = None,
    unjailed: Unjailed = False,
    while_needed: Annotated[bool, typer.Option(hidden=True, help="As a console's own engine.")] = False,
) -> None:
    """Keep the engine open for this user's commands and console (unix socket), with --port also over HTTP."""
    settings = load_settings(api_host=host, api_port=port, jail=jail_of(unjailed=unjailed))
    if while_needed:
        from engine.companion import serve_while_needed

        run_async(serve_while_needed(settings))
        return
    run_async(_own_and_serve(settings, settings.api_host if port is not None else None))


async def _own_and_serve(settings: Settings, host: str | None) -> None:
    from engine.engine import Engine
    from engine.http.server import require_token
    from engine.http.server import serve as serve_http

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are ours to tell
    if settings.jail == "off":
        logging.getLogger(__name__).warning("VMM processes are not jailed, as the settings or --unjailed ask")
    if host is not None:
        require_token(host, settings)  # before the engine opens
    async with Engine(settings, caller="http", serves="daemon") as engine:

        def announce(addresses: Sequence[str]) -> None:
            engine.listens_at(*addresses)
            for address in addresses:
                print(f"Listening on {address}", flush=True)

        await serve_http(
            engine, settings, host=host, port=settings.api_port, socket=settings.socket_path, ready=announce
        )
