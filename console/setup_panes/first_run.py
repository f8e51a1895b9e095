"""The first run: the language's example in a microVM, its output, and where the time went."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content

from console.live_run import LiveRun, Phase
from console.plain import brief, plain_lines
from console.scratch.endings import full_ending
from console.setup_panes.pane import SetupPane, SetupView
from console.setup_walk import Walk
from console.widgets.cut_lines import CutLines
from console.widgets.heading import Heading
from console.widgets.output_view import OutputView
from console.widgets.stage_bar import StageBar

_MAX_CODE_LINES = 8


class FirstRunPane(SetupPane):
    def __init__(self, run: LiveRun, *, id: str) -> None:
        super().__init__(id=id)
        self._run = run

    def compose(self) -> ComposeResult:
        yield CutLines(id="run-ready")
        yield Heading("Code", id="code-note")
        yield CutLines(id="first-code")
        yield Heading("Output", id="first-run-note")
        yield OutputView(self._run.log, hint="what the code prints")
        yield StageBar()

    def show(self, view: SetupView) -> None:
        self._run = view.run
        walk = view.walk
        self.query_one("#run-ready", CutLines).show(_readiness(walk))
        language = walk.language
        self.query_one("#code-note", Heading).show(f"{language.title}, {language.file_name}" if language else "")
        code = plain_lines(language.example.rstrip("\n")) if language else []
        shown = code[:_MAX_CODE_LINES]
        if len(code) > len(shown):
            shown[-1] = "…"
        self.query_one("#first-code", CutLines).show(*(Content(f"  {line}") for line in shown))
        self.query_one("#first-run-note", Heading).show(*run_note(view.run))
        self.query_one(StageBar).result = view.run.result

    def flush(self) -> None:
        self.query_one(OutputView).flush()
        self.query_one("#first-run-note", Heading).show(*run_note(self._run))


def _readiness(walk: Walk) -> Content:
    if walk.is_ready:
        return Content.assemble((" ✓ Everything is ready.", "bold $success"), (_open(walk), "$muted"))
    if walk.can_run:
        return Content.assemble((" ! It can run, but starts cold.", "bold $warning"), (_open(walk), "$muted"))
    reason = walk.health.vmm.reason if walk.health and walk.health.status == "blocked" else "there is no image for it"
    return Content.assemble((" ✗ Nothing can run yet: ", "bold $error"), (brief(reason), "$foreground"))


def _open(walk: Walk) -> str:
    steps = ", ".join(step.title for step in walk.chosen)
    return f"  Optional and not done: {brief(steps)}" if steps else ""


def run_note(run: LiveRun) -> tuple[str, str]:
    """How the run stands, and its role."""
    return ("", "muted") if run.phase is Phase.IDLE else full_ending(run)
