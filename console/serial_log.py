"""A VM's serial console as far as it was read. Whoever reads on goes on where the last one was cut off."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from console.output_log import OutputLog
from console.quantities import size
from engine.api import EngineApi
from engine.errors import NotFoundError
from engine.models import SerialText


class SerialLog:
    """``log`` holds the raw lines; ``ended`` once the VM has none to add."""

    def __init__(self, vm_id: str) -> None:
        self.log = OutputLog()
        self.ended = False
        self._vm_id = vm_id
        self._offset = 0
        self._held = ""

    async def follow(self, api: EngineApi) -> None:
        """Read until the VM ends. Raises VmdeckError where the engine can't tell any more."""
        try:
            async with aclosing(api.vm_serial(self._vm_id, after=self._offset)) as pieces:
                async for piece in pieces:
                    self._add(piece)
                    await asyncio.sleep(0)  # a guest that floods its console must not keep the loop from painting
        except NotFoundError:
            pass  # it ended between two readings
        self.ended = True

    def _add(self, piece: SerialText) -> None:
        if piece.lost:
            self.log.line("note", f"{size(piece.lost)} of the console before this are not kept")
        self._offset = piece.offset
        # Consoles end lines by CR LF, and a piece may end between the two.
        text = self._held + piece.text
        self._held = "\r" if text.endswith("\r") else ""
        self.log.write("serial", text.removesuffix("\r").replace("\r\n", "\n"))
        if piece.ended:
            self.log.line("note", piece.ended)
