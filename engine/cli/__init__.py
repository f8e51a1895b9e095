"""The command line: commands that call the engine's public API and print what it says. No logic of its own.

Nothing heavy is imported before a command needs it, so that ``--help`` comes at once.
"""

from engine.cli.root import main, program

__all__ = ["main", "program"]
