"""The wizard's end: a first run, and from there to the scratchpad."""

from __future__ import annotations

from dataclasses import replace

from textual.worker import Worker, WorkerState

from console.live_run import LiveRun
from console.outcome import Outcome, Part
from console.screens.walk_screen import WalkScreen
from console.setup_work import example
from engine.models import RunRequest

RUN = "run"


class SetupTry(WalkScreen):
    """Part of ``SetupScreen``."""

    def _try(self) -> None:
        request = example(self._walk)
        if request is None:
            return
        self._run.log.clear()
        self._run = LiveRun(log=self._run.log)
        self._walk = replace(self._walk, running=True)
        self._draw_timer.resume()
        self.run_worker(self._first_run(request), group=RUN, exclusive=True, exit_on_error=False)
        self._show()

    async def _first_run(self, request: RunRequest) -> None:
        api = await self.app.connection.opened()
        await Outcome("run", request, (Part(request, (self._run,)),)).follow(api)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == RUN and event.state in (WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED):
            result = self._run.result
            self._walk = replace(self._walk, running=False, has_run=result is not None and result.status == "success")
            self.pane.flush()
            self._show()

    def _open_scratchpad(self) -> None:
        if (request := example(self._walk)) is not None:
            self.app.open_in_scratchpad(request)
