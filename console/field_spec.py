"""What a form asks for, one field at a time, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """``remark`` is seen while nothing is wrong. A "line" and a "text" of many lines are typed, a "secret" unseen; a
    "choice" is filled from a list that the form opens."""

    key: str
    label: str
    placeholder: str = ""
    remark: str = ""
    kind: Literal["line", "secret", "text", "choice"] = "line"
