"""Saves buffers a moment after they change, in a thread, one write at a time.

The delay counts from the first change that is not on disk yet, so what a kill can cost is bounded even while one
types without a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from console.scratch.buffer import Buffer
from console.scratch.buffer_store import BufferStore
from engine.errors import VmdeckError

DELAY_S = 1.0


class Autosave:
    """``before`` is called before buffers are read, ``failed`` once for each new reason why they can't be kept.

    Of a buffer that is not ``wanted``, since nothing would be lost with it, no file is kept.
    """

    def __init__(
        self,
        store: BufferStore,
        *,
        before: Callable[[], None],
        wanted: Callable[[Buffer], bool],
        failed: Callable[[VmdeckError], None],
        delay_s: float = DELAY_S,
    ) -> None:
        self._store = store
        self._before = before
        self._wanted = wanted
        self._failed = failed
        self._delay_s = delay_s
        self._changed: dict[str, Buffer] = {}
        self._gone: set[str] = set()
        self._told = ""
        self._due: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, buffer: Buffer) -> None:
        self._gone.discard(buffer.id)
        self._changed[buffer.id] = buffer
        self._arm()

    def closed(self, buffer: Buffer) -> None:
        """It is not wanted any more: its file goes."""
        self._changed.pop(buffer.id, None)
        self._gone.add(buffer.id)
        self._arm()

    def tell(self, error: VmdeckError) -> None:
        """That buffers can't be kept, once for each reason."""
        if str(error) != self._told:
            self._told = str(error)
            self._failed(error)

    async def flush(self) -> None:
        """Returns once all changes so far are on disk, or their failure was told."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._before()
        changed, gone = self._changed, self._gone
        self._changed, self._gone = {}, set()
        copies = [buffer.model_copy(deep=True) for buffer in changed.values() if self._wanted(buffer)]
        unwanted = gone | changed.keys() - {buffer.id for buffer in copies}
        async with self._writing:
            try:
                await asyncio.to_thread(self._write, copies, unwanted)
                self._told = ""
            except VmdeckError as error:
                self._changed = changed | self._changed  # the next change tries again
                self._gone |= gone - self._changed.keys()
                self.tell(error)

    def _write(self, changed: list[Buffer], gone: set[str]) -> None:
        for buffer in changed:
            self._store.save(buffer)
        for buffer_id in gone:
            self._store.remove(buffer_id)

    def _arm(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._delay_s, self._start)

    def _start(self) -> None:
        self._due = None
        task = asyncio.create_task(self.flush(), name="autosave")
        self._tasks.add(task)  # the loop keeps weak references only
        task.add_done_callback(self._tasks.discard)
