"""The buffers that are open, the one that is shown, and what the last run of each gave."""

from __future__ import annotations

import time

from console.outcome import Outcome
from console.scratch.buffer import Buffer
from engine.errors import ConflictError

MAX_BUFFERS = 20


class Desk:
    """Has at least one buffer at any time."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = [Buffer()]
        self.outcomes: dict[str, Outcome] = {}
        self._at = 0

    @property
    def current(self) -> Buffer:
        return self.buffers[self._at]

    @property
    def number(self) -> int:
        """Place of the current buffer, from 1."""
        return self._at + 1

    @property
    def outcome(self) -> Outcome | None:
        """Of the current buffer's last run."""
        return self.outcomes.get(self.current.id)

    @property
    def busy(self) -> bool:
        """Whether code of any buffer runs."""
        return any(outcome.busy for outcome in self.outcomes.values())

    def fill(self, buffers: list[Buffer]) -> None:
        """Take up buffers from an earlier time, the one last shown in front; none leaves the desk as it is."""
        if buffers:
            self.buffers = list(buffers)
            self._at = max(range(len(buffers)), key=lambda at: buffers[at].shown)

    def add(self, buffer: Buffer) -> None:
        """Open one more buffer and show it. Raises ConflictError where there are too many."""
        if len(self.buffers) >= MAX_BUFFERS:
            raise ConflictError(f"{MAX_BUFFERS} buffers are open.", remedy="Close one: esc, then X.")
        self.buffers.append(buffer)
        self.show(buffer.id)

    def replace(self, buffer: Buffer) -> Buffer:
        """Put a buffer in the place of the current one; the one that is gone."""
        gone = self.current
        self.buffers[self._at] = buffer
        self.outcomes.pop(gone.id, None)
        return gone

    def show(self, buffer_id: str) -> None:
        self._at = next(at for at, buffer in enumerate(self.buffers) if buffer.id == buffer_id)
        self.current.shown = time.time()

    def step(self, by: int) -> None:
        """Go to a neighbour; after the last comes the first."""
        self.show(self.buffers[(self._at + by) % len(self.buffers)].id)

    def close(self) -> Buffer:
        """Drop the current buffer and show its neighbour, a new one where there is none; the dropped one."""
        closed = self.buffers.pop(self._at)
        self.outcomes.pop(closed.id, None)
        if not self.buffers:
            self.buffers.append(Buffer(language=closed.language))
        self._at = min(self._at, len(self.buffers) - 1)
        self.current.shown = time.time()
        return closed
