"""An app that sends its terminal what that does not show yet and no more, and knows what it has not swallowed."""

from __future__ import annotations

import asyncio

from rich.console import RenderableType
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size
from textual.screen import Screen

from console.driver import ConsoleDriver
from console.painting import Painting

_LOOK_AGAIN_S = 0.05


class PaintingApp(App[int]):
    """What Textual's own app does at each of its paints, with ``Painting`` between it and the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._painting = Painting()
        self._terminal_size = Size(0, 0)

    def get_driver_class(self) -> type[Driver]:
        return ConsoleDriver

    @property
    def output_queued(self) -> bool:
        """Whether the terminal has not swallowed what was painted so far."""
        return isinstance(self._driver, ConsoleDriver) and self._driver.output_queued

    async def output_sent(self) -> None:
        """Wait until a periodic repaint would not add to a backlog."""
        while self.output_queued:
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Textual's own, with an update that holds only what the terminal does not show yet."""
        if isinstance(renderable, CompositorUpdate) and self._paints:
            renderable = self._painting.difference(renderable, self.console)
        super()._display(screen, renderable)

    @property
    def _paints(self) -> bool:
        """Whether Textual will write the next update, and not drop it."""
        return not (self._batch_count or self._closed or self.is_headless or self._driver is None) and self._running

    def on_resize(self, event: events.Resize) -> None:
        self._painting.forget()
        before, self._terminal_size = self._terminal_size, event.size
        if event.size == before:  # the process was stopped, and goes on in a terminal that others used meanwhile
            self.action_redraw()

    def action_redraw(self) -> None:
        self._painting.forget()
        self.refresh(layout=True)
        self.screen.refresh(layout=True)
