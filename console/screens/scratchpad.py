"""Write code, run it in a microVM, watch its output, see where the time went."""

from __future__ import annotations

import shlex
from typing import ClassVar

from pydantic import ValidationError
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.widgets import Input, Label, Static, TextArea
from textual.worker import Worker, WorkerState

from console.actions import bindings
from console.failure import Failure
from console.live_run import LiveRun, Phase
from console.output_log import OutputLog
from console.plain import brief
from console.quantities import age, duration_ms, size
from console.screens.mode_screen import ModeScreen
from console.screens.picker import Choice, PickerDialog
from console.widgets.code_editor import CodeEditor
from console.widgets.cut_lines import CutLines
from console.widgets.heading import Heading
from console.widgets.output_view import OutputView
from console.widgets.stage_bar import StageBar
from engine.api import EngineApi
from engine.models import Language, RunRequest, RunResult

DRAW_EVERY_S = 0.25
RUN = "run"
_HINTS = {
    Phase.IDLE: "^r runs the code in a microVM of its own",
    Phase.GOING: "no output yet",
    Phase.CANCELLING: "no output",
    Phase.ENDED: "no output",
}
_STATUSES = {
    "success": ("✓ success", "success"),
    "failed": ("✗ failed", "error"),
    "compile_error": ("✗ does not compile", "error"),
    "timeout": ("✗ timeout", "warning"),
    "memory_limit": ("✗ out of memory", "warning"),
    "output_limit": ("✗ too much output", "warning"),
    "killed": ("✗ killed", "warning"),
}


class ScratchpadScreen(ModeScreen):
    """A run goes on when another area is shown; only cancelling or leaving the console ends it."""

    MODE = "scratchpad"
    BINDINGS: ClassVar = bindings("scratchpad")
    AUTO_FOCUS = "CodeEditor"

    def compose_body(self) -> ComposeResult:
        self.log_ = OutputLog()
        self.live = self.app.live_run = LiveRun(self.log_)
        with Container(id="scratch"):
            with Container(id="source"):
                with Horizontal(id="request"):
                    yield Static(id="picked-language")
                    yield Label(Content("args"), classes="label")
                    yield Input(id="args", compact=True, placeholder="words, as in a shell")
                yield CodeEditor(id="code")
                with Horizontal(id="stdin-row"):
                    yield Label(Content("stdin"), classes="label")
                    yield TextArea(
                        id="stdin",
                        compact=True,
                        show_line_numbers=False,
                        highlight_cursor_line=False,
                        placeholder="what the code reads, if anything",
                    )
            with Container(id="outcome"):
                yield Heading("Output", id="run-heading")
                yield OutputView(self.log_, hint=_HINTS[Phase.IDLE])
                yield StageBar()
                yield CutLines(id="usage")

    def on_mount(self) -> None:
        super().on_mount()
        self._languages: dict[str, Language] = {}
        self._language: Language | None = None
        self._wanted = ""
        self._draw_timer = self.set_interval(DRAW_EVERY_S, self.draw, pause=True)
        for field in self.query(Input):
            field.cursor_blink = False
        for area in self.query(TextArea):
            area.cursor_blink = False
        self._show_language()

    # --- languages

    async def poll(self, api: EngineApi) -> None:
        languages = await api.languages()
        self._languages = {language.id: language for language in languages}
        self._use_wanted()
        if self._language is not None:
            self._language = self._languages.get(self._language.id, self._language)
        elif languages:
            self._use(next((language for language in languages if language.ready), languages[0]))
        self._show_language()

    def _use(self, language: Language) -> None:
        """Take a language; an editor that still holds an untouched example gets the new one's."""
        editor = self.query_one(CodeEditor)
        untouched = not editor.text.strip() or (self._language is not None and editor.text == self._language.example)
        self._language = language
        editor.use_syntax(language.syntax)
        if untouched:
            editor.load_text(language.example)
        self._show_language()

    def _show_language(self) -> None:
        language = self._language
        if language is None:
            content = Content.styled(" no language yet", "$muted")
        else:
            state = "warm" if language.warm else "cold start" if language.ready else "not set up"
            content = Content.assemble(
                (f" {brief(language.title)}", "bold $primary"), ("  ^t", "bold"), (f"  {state}", "$muted")
            )
        self.query_one("#picked-language", Static).update(content)

    def action_choose_language(self) -> None:
        choices = [
            Choice(
                language.id,
                language.title,
                language.category,
                "warm" if language.warm else "ready" if language.ready else "not set up",
                "" if language.ready else "muted",
            )
            for language in sorted(self._languages.values(), key=lambda language: (not language.ready, language.title))
        ]

        def answered(key: str | None) -> None:
            if key is not None:
                self._use(self._languages[key])

        self.app.push_screen(
            PickerDialog("Language", choices, at=self._language.id if self._language else None), answered
        )

    def action_insert_example(self) -> None:
        if self._language is not None:
            editor = self.query_one(CodeEditor)
            editor.replace_all(self._language.example)

    def fill(self, request: RunRequest) -> None:
        """Take over what a run was asked to do."""
        self.query_one(CodeEditor).load_text(request.code)
        self.query_one("#args", Input).value = shlex.join(request.args)
        self.query_one("#stdin", TextArea).text = request.stdin if isinstance(request.stdin, str) else ""
        self._wanted = request.language
        self._use_wanted()

    def _use_wanted(self) -> None:
        if self._wanted in self._languages:
            self._use(self._languages[self._wanted])
            self._wanted = ""

    # --- running

    def request(self) -> RunRequest:
        """What the fields say. Raises ValueError (ValidationError among them) where that makes no request."""
        return RunRequest(
            language=self._language.id if self._language else "",
            code=self.query_one(CodeEditor).text,
            args=tuple(shlex.split(self.query_one("#args", Input).value)),
            stdin=self.query_one("#stdin", TextArea).text or None,
        )

    def action_run(self) -> None:
        if self._language is None:
            self.app.show_failure(
                Failure("No language", "The engine has named no language yet.", "See 1 Overview: S sets up.")
            )
            return
        try:
            request = self.request()
        except ValidationError as error:
            first = error.errors()[0]
            self.app.show_failure(Failure("Not a request", f"{'.'.join(map(str, first['loc']))}: {first['msg']}", ""))
            return
        except ValueError as error:
            self.app.show_failure(Failure("Not a request", f"args: {error}", "Close the quotes, as in a shell."))
            return
        self.query_one(StageBar).result = None
        self.run_worker(self._run(request), group=RUN, exclusive=True, exit_on_error=False)

    async def _run(self, request: RunRequest) -> None:
        api = await self.app.connection.opened()
        self.query_one(OutputView).following = True
        self._draw_timer.resume()
        self.call_later(self.draw)
        await self.live.follow(api, request)

    def action_cancel_run(self) -> None:
        if self.live.busy:
            self.live.phase = Phase.CANCELLING
            self.draw()
            self.workers.cancel_group(self, RUN)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        super().on_worker_state_changed(event)
        if event.worker.group == RUN and event.state in (WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED):
            if not self.live.busy:
                self._draw_timer.pause()
            self.draw()

    # --- drawing

    def draw(self) -> None:
        """Bring the outcome up to date; costs nothing on the wire where nothing changed."""
        if self.live.busy and self.app.output_queued:
            return
        view = self.query_one(OutputView)
        view.say(_HINTS[self.live.phase])
        view.flush()
        note, role = self._outcome()
        self.query_one("#run-heading", Heading).show(note, role)
        result = self.live.result
        self.query_one(StageBar).result = result
        self.query_one("#usage", CutLines).show(*self._usage(result))
        self.update_actions()

    def _outcome(self) -> tuple[str, str]:
        live = self.live
        match live.phase:
            case Phase.IDLE:
                return "", "muted"
            case Phase.CANCELLING:
                return "… cancelling", "warning"
            case Phase.GOING:
                return f"◐ {live.stage}  {age(live.elapsed_s)}", "accent"
            case Phase.ENDED:
                return self._ending()

    def _ending(self) -> tuple[str, str]:
        live = self.live
        if live.cancelled:
            return "✗ cancelled, its VM is gone", "warning"
        if live.failure is not None:
            return f"✗ {live.failure.title}", "error"
        if live.result is None:
            return "✗ ended without a result", "error"
        word, role = _STATUSES[live.result.status]
        return f"{word}  exit {live.result.exit_code}  {duration_ms(live.result.timings.total)}", role

    def _usage(self, result: RunResult | None) -> tuple[Content, ...]:
        if result is None:
            return ()
        cut = [
            name
            for name, is_cut in (("stdout", result.truncated.stdout), ("stderr", result.truncated.stderr))
            if is_cut
        ]
        warm = f" ({brief(result.boot_reason)})" if result.boot_reason else ""
        line = Content.assemble(
            (f" {' and '.join(cut)} cut at the limit " if cut else "", "bold $warning"),
            (" cpu ", "$muted"),
            duration_ms(result.usage.cpu_ms),
            ("  peak memory ", "$muted"),
            size(result.usage.peak_memory_bytes),
            ("  boot ", "$muted"),
            f"{result.boot}{warm}",
            ("  VM ", "$muted"),
            brief(f"{result.vm.id} {result.vm.vmm}"),
        )
        return (line,)

    # --- keys

    def action_leave_field(self) -> None:
        self.query_one(OutputView).focus()

    def action_edit(self) -> None:
        self.query_one(CodeEditor).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        if not allowed:
            return allowed
        if action == "cancel_run":
            return True if self.live.phase is Phase.GOING else None
        if action == "run":
            return None if self.live.busy else True
        if action in ("leave_field", "edit"):
            return self.typing is (action == "leave_field")
        return allowed
