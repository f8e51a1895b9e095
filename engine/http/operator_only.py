"""The refusal of calls that are the operator's, where anyone on the host can connect."""

from __future__ import annotations

from engine.errors import ForbiddenError


def refuse_operator() -> None:
    """Stands before the operator's calls where anyone on the host can connect: no user may change it for all."""
    raise ForbiddenError(
        "This call changes the host and is not open to everyone on it",
        remedy="Use the vmdeck command, or set VMDECK_API_TOKEN and send the token",
    )
