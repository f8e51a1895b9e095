"""``python -m engine.cli``: the command, from the interpreter and the installation that are running."""

from engine.cli import main

main()
