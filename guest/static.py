"""What only the type checker needs. The typing module costs more to import than the rest of the agent."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, cast
else:
    Any = object

    def cast(_kind, value):
        return value


__all__ = ["Any", "cast"]
