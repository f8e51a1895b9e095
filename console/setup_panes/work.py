"""A job of setup while it runs and after: how each step stands, what failed and what to do, and the log."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from console.job_states import JOB_STATES
from console.language_facts import costs_words
from console.output_log import OutputLog
from console.screens.jobs import progress
from console.setup_panes.pane import SetupPane, SetupView
from console.setup_panes.step_table import StepTable
from console.setup_stages import Mark, Stage, State
from console.setup_walk import Walk, spec
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.heading import Heading
from console.widgets.output_view import OutputView
from engine.models import Job, JobState, Language

_HINT = "the log appears here"
_MADE = {Stage.IMAGE: "The image is there.", Stage.SNAPSHOT: "The snapshot is there."}
_MAKES = {
    Stage.IMAGE: "build its image, from packages where the catalogue has them",
    Stage.SNAPSHOT: "boot it once and save its state",
}


class WorkPane(SetupPane):
    """One stage that makes something: Apply, Image or Snapshot. The log is that of this stage's job alone."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(id=f"pane-{stage.value}")
        self._stage = stage

    def compose(self) -> ComposeResult:
        if self._stage is Stage.APPLY:
            yield StepTable()
        with VerticalScroll(classes="about", can_focus=False):
            yield DetailPane()
        yield Heading("Log", id="log-note")
        yield OutputView(OutputLog(), hint=_HINT)

    def on_mount(self) -> None:
        self._shown: str | None = None
        self._now: str | None = None

    def show(self, view: SetupView) -> None:
        walk = view.walk
        mine = walk.job if walk.job_stage is self._stage else None
        if self._stage is Stage.APPLY:
            self._show_steps(walk)
        detail = Detail("", (*_about(walk, self._stage), *_failure(walk, mine)))
        self.query_one(DetailPane).show(detail)
        self.query_one(".about").display = any(field.text for field in detail.fields)
        self._show_log(view, mine)

    def _show_steps(self, walk: Walk) -> None:
        """The cursor goes along with the job."""
        table = self.query_one(StepTable)
        table.show(walk, walk.host_steps)
        now = next((step.id for step in walk.host_steps if walk.mark(step) in (Mark.NOW, Mark.FAILED)), None)
        if now is not None and now != self._now:
            table.move_cursor(now)
        self._now = now

    def _show_log(self, view: SetupView, job: Job | None) -> None:
        followed = view.followed if view.followed is not None and job is not None else None
        if followed is not None and followed.job.id == (job.id if job else None):
            if self._shown != followed.job.id:
                self._shown = followed.job.id
                self.query_one(OutputView).show(followed.log)
        elif job is None and self._shown is not None:
            self._shown = None
            self.query_one(OutputView).show(OutputLog())
        self.query_one("#log-note", Heading).show(*_progress(job))

    def flush(self) -> None:
        self.query_one(OutputView).flush()

    def toggle_log(self) -> bool:
        self.toggle_class("-log")
        self.query_one(OutputView).focus()
        return True


def _progress(job: Job | None) -> tuple[str, str]:
    if job is None:
        return "", "muted"
    if job.state is not JobState.RUNNING:
        look = JOB_STATES[job.state]
        return f"{job.title}: {look.text}", look.role
    return "  ".join(filter(None, (job.step or job.title, progress(job.fraction)))), "accent"


def _failure(walk: Walk, job: Job | None) -> list[Field]:
    if job is None or job.state is not JobState.FAILED:
        return []
    failed = ", ".join(step.title for step in walk.failed_steps)
    return [
        Field("Failed", failed, "error"),
        Field("What", job.error or "", "error"),
        Field("Remedy", job.remedy or ""),
    ]


def _about(walk: Walk, stage: Stage) -> list[Field]:
    """What Image and Snapshot would make, for which language."""
    if stage is Stage.APPLY:
        return []
    language = walk.subject(stage)
    if language is None:
        return [Field("Language", "the engine has named none yet", "muted")]
    state = walk.state(stage)
    step = walk.own_step(stage)
    waits_for = walk.waits_for(stage)
    fields = [_languages(walk, stage, language)]
    if state is State.DONE:
        return [*fields, Field("State", f"✓ {_MADE[stage]}", "success"), Field("Seen", step.seen if step else "")]
    if state is State.LEFT_OUT:
        reason = step.seen if step is not None and step.skipped else "space takes it in again"
        return [*fields, Field("State", f"- left out: {reason}", "warning")]
    if waits_for is not None:
        place = spec(waits_for.stage).title
        return [*fields, Field("State", f"! It needs {waits_for.title}, which is not done: see {place}.", "warning")]
    if stage is Stage.IMAGE and len(walk.unbuilt) > 1:
        would = f"build {len(walk.unbuilt)} images one after the other, from packages where the catalogue has them"
        fields.append(Field("Would do", would, "accent"))
    else:
        would = "\n".join(step.would) if step is not None and step.would else _MAKES[stage]
        fields += [Field("Would do", would, "accent"), Field("Why", step.why if step is not None else "", "muted")]
    if stage is Stage.IMAGE:
        fields.append(Field("Takes", costs_words(walk.unbuilt), "muted"))
        fields.append(Field("Packages", ", ".join(_packages(walk.unbuilt)), "muted"))
    return fields


def _packages(languages: Sequence[Language]) -> list[str]:
    """What their images are made of, each once."""
    return list(dict.fromkeys(name for one in languages for name in (*one.packages, *one.pypi, *one.npm)))


def _languages(walk: Walk, stage: Stage, language: Language) -> Field:
    """That of the stage; at Image, all that are wished, with those that have one marked."""
    if stage is not Stage.IMAGE:
        return Field("Language", f"{language.title}   (o chooses another)" if walk.is_free else language.title)
    unbuilt = walk.unbuilt
    told = ", ".join(f"{'○' if one in unbuilt else '✓'} {one.title}" for one in walk.wished_languages)
    return Field("Languages", f"{told}   (o chooses several)" if walk.is_free else told)
