"""Keys in the order in which they were typed, each given out once all that came of the one before it has happened.

Textual gives a key to whatever has the focus when it arrives. A key that opens a field or a dialog does so by messages,
which take turns with the keys behind it: what a fast typist or a slow line delivers in one piece would still reach the
table below, where letters are commands. Here a key waits until every widget has worked off its messages and is
mounted; text typed into a field goes straight through. Textual is pinned to the version whose queues this reads, which
have no public face.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.widget import Widget
from textual.widgets import Input, TextArea
from textual.worker import Worker

Typed = events.Key | events.Paste

_LOOK_AGAIN_S = 0.001
_PATIENCE_LOOKS = 800
"""About a second of a loop with nothing else to do; longer on a busy machine, where what is waited for is slow too."""


class KeyOrder:
    """Of one app; ``give`` hands an event to Textual."""

    def __init__(self, app: App[Any], give: Callable[[Typed], Awaitable[None]], dropped: Callable[[int], None]) -> None:
        """``dropped`` is told how many keys were typed for something that did not come in time."""
        self._app = app
        self._give = give
        self._dropped = dropped
        self._held: deque[Typed] = deque()
        self._leading: list[Worker[Any]] = []
        self._field: Widget | None = None
        self._settling: asyncio.Task[None] | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing typed is on its way."""
        return self._settling is None

    def follow(self, worker: Worker[Any]) -> None:
        """What is typed next is for what this work opens, a dialog or an area, so it waits for that too."""
        self._leading.append(worker)
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle())

    async def take(self, event: Typed) -> None:
        """Give the event out, now or when its turn comes."""
        if self._settling is None:
            self._field = self._field_for(event)
            self._settling = asyncio.create_task(self._settle())
            await self._give(event)
        elif not self._held and self._field is not None and self._field_for(event) is self._field:
            await self._give(event)
        else:
            self._held.append(event)

    def _field_for(self, event: Typed) -> Widget | None:
        """The field that has the focus, where it takes this as text."""
        field = self._app.focused
        if not isinstance(field, Input | TextArea):
            return None
        if isinstance(event, events.Paste):
            return field
        return field if field.check_consume_key(event.key, event.character) else None

    async def _settle(self) -> None:
        """Give out what is held until nothing is."""
        try:
            while self._app.is_running:
                for _ in range(_PATIENCE_LOOKS):
                    if self._calm:
                        break
                    await asyncio.sleep(_LOOK_AGAIN_S)
                else:
                    self._give_up()
                self._leading.clear()
                if not self._held:
                    return
                self._give_next()
        finally:
            self._settling = None

    @property
    def _calm(self) -> bool:
        return all(worker.is_finished for worker in self._leading) and not any(map(_busy, self._pumps()))

    def _pumps(self) -> Iterator[MessagePump]:
        yield self._app
        for screen in self._app.screen_stack:
            yield from screen.walk_children(with_self=True)

    def _give_up(self) -> None:
        """Something takes long. Keys typed for a dialog to come are no commands; others go where the focus is."""
        if all(worker.is_finished for worker in self._leading):
            while self._held:
                self._app.call_later(self._give, self._held.popleft())
        elif self._held:
            self._dropped(len(self._held))
            self._held.clear()

    def _give_next(self) -> None:
        """One key; of text for a field, all there is."""
        event = self._held.popleft()
        self._field = self._field_for(event)
        self._app.call_later(self._give, event)
        while self._field is not None and self._held and self._field_for(self._held[0]) is self._field:
            self._app.call_later(self._give, self._held.popleft())


def _busy(pump: MessagePump) -> bool:
    """Whether it has messages to work off, works one off, or is not mounted yet."""
    if pump._closing or pump._closed:
        return False
    queue = pump._message_queue
    return not pump._is_mounted or bool(queue.values) or not queue.ready_event._waiters
