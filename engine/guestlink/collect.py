"""A program run in a guest to its end, for those who want all that it said at once and not as it says it."""

from __future__ import annotations

from contextlib import aclosing

from engine.errors import InternalError
from engine.guestlink.guest import Guest, Program
from engine.guestlink.messages import Exit, Output

Collected = tuple[Exit, dict[str, str]]


async def collect(guest: Guest, program: Program, *, start_deadline_s: float, grace_s: float) -> Collected:
    """How it ended, and its output by stream, as text. Raises what ``Guest.execute`` does."""
    said = {"stdout": b"", "stderr": b""}
    events = guest.execute(program, (), start_deadline_s=start_deadline_s, grace_s=grace_s)
    async with aclosing(events):
        async for message in events:
            if isinstance(message, Output):
                said[message.stream] += message.data
            elif isinstance(message, Exit):
                return message, {stream: data.decode(errors="replace") for stream, data in said.items()}
    raise InternalError("The guest's stream ended without an exit")
