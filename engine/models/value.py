"""The base of all public types, and what names look like."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[a-z0-9][a-z0-9._+-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Value(BaseModel):
    """Base of all public types: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
