"""One buffer of the scratchpad: a snippet with its further files and all that its request says, as typed so far.

Fields hold raw text, so that half-typed values survive a restart too; ``form.py`` makes a request of them.
"""

from __future__ import annotations

import secrets
import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.models import Language

MAIN = ""
"""Path of the code itself: the engine gives it the language's own name."""


class BufferFile(BaseModel):
    """A file as edited. ``cursor`` is (line, column), both from 0."""

    model_config = ConfigDict(extra="forbid")
    path: str = MAIN
    text: str = ""
    cursor: tuple[int, int] = (0, 0)


class Buffer(BaseModel):
    """``files[0]`` is the code; ``at`` is the file shown. ``stdins`` has one text per batch item, at least one."""

    model_config = ConfigDict(extra="forbid")
    version: Literal[1] = 1
    id: str = Field(default_factory=lambda: secrets.token_hex(6), pattern=r"^[0-9a-f]{12}$")
    created: float = Field(default_factory=time.time, description="seconds since 1970; the order of buffers")
    shown: float = Field(default_factory=time.time, description="when it was last switched to")
    language: str = ""
    files: list[BufferFile] = Field(default_factory=lambda: [BufferFile()], min_length=1)
    at: int = 0
    args: str = ""
    env: str = ""
    stdins: list[str] = Field(default_factory=lambda: [""], min_length=1)
    stdin_at: int = 0
    values: dict[str, str] = Field(default_factory=dict, description="limits and the like, by the form's field")

    @property
    def main(self) -> BufferFile:
        return self.files[0]

    @property
    def file(self) -> BufferFile:
        """The file that is shown."""
        return self.files[min(max(0, self.at), len(self.files) - 1)]

    @property
    def stdin(self) -> str:
        """The text for standard input that is shown."""
        return self.stdins[min(max(0, self.stdin_at), len(self.stdins) - 1)]

    @property
    def title(self) -> str:
        """The first line of the code that has something in it."""
        return next((line.strip() for line in self.main.text.split("\n") if line.strip()), "empty")

    def untouched(self, language: Language | None) -> bool:
        """Whether nothing would be lost with it: no code but the language's example, and nothing else filled in."""
        example = language.example if language else ""
        return (
            len(self.files) == 1
            and self.main.text in ("", example)
            and not (self.args or self.env or any(self.stdins) or any(self.values.values()))
        )
