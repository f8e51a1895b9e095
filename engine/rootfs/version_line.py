"""The version of an image's tool: who asks for it, and where it is in an answer, which may be a banner of lines."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from engine.models import Image
from engine.printable import printable

AskVersion = Callable[[Image], Awaitable[str | None]]
"""Starts the image, which is not in the store yet, and asks the tool of the language that it is for."""
_CHARS = 120


def version_line(said: str) -> str | None:
    """The first line with a number that looks like a version, else with any digit; None where there is none."""
    lines = [printable(line.strip())[:_CHARS] for line in said.splitlines()]
    for pattern in (r"\d+\.\d+", r"\d"):
        for line in lines:
            if re.search(pattern, line):
                return line
    return None
