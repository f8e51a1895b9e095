"""A guest's serial console, followed live by any number of viewers. Untrusted: a hostile guest writes it.

Each viewer reads from what is kept at its own pace; what it was too slow or too late for is counted, never stored.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator

from engine.models import SerialText
from engine.vmm.tail import Tail

_PACE_S = 0.1  # between two pieces for one viewer: a flood comes in few large ones, of what is kept at most
_VM_ENDED = "the VM has ended"
_NOT_READ = "its console is read up to {} bytes, for a guest may write without end; more of it is not read"


async def follow(console: Tail, after: int) -> AsyncGenerator[SerialText]:
    """What is kept of it after byte ``after``, then what comes. The last piece says why no more does."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    at, lost = min(after, console.total), 0
    while await console.grown(at):
        begin, data = console.since(at)
        carried = ""
        if begin > at:  # what was held back of a character belongs to what is gone now
            carried = decoder.decode(b"", final=True)
            decoder.reset()
            lost += begin - at
        at = begin + len(data)
        text = carried + decoder.decode(data)
        if text:
            held_back = len(decoder.getstate()[0])
            yield SerialText(offset=at - held_back, text=text, lost=lost)
            lost = 0
        if not console.ended:
            await asyncio.sleep(_PACE_S)
    why = _NOT_READ.format(console.total) if console.exhausted else _VM_ENDED
    yield SerialText(offset=at, text=decoder.decode(b"", final=True), lost=lost, ended=why)
