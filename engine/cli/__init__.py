"""The command line: commands that call the engine's public API and print what it says. No logic of its own.

Nothing heavy is imported before a command needs it, so that ``--help``, and the console's first paint, come at once.
"""

from __future__ import annotations

import os
import sys

_COMPLETING = "_VMDECK_COMPLETE"
"""The variable by which a shell asks what could come next."""


def main() -> None:
    """Entry point of the console scripts; exits the process."""
    first = None if _COMPLETING in os.environ else next(iter(sys.argv[1:]), "")
    if first == "":
        _console()
    from engine.cli.root import program

    program(first)(prog_name="vmdeck")


def _console() -> None:
    """A bare ``vmdeck``, which is no command line: its first paint need not wait for typer to be imported."""
    try:
        from engine.cli.ways_in import open_console

        code = open_console()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last door
        from engine.cli.endings import ended_by

        code = ended_by(error, as_json=False)
    sys.exit(code)
