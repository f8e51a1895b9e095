"""First-time setup, guided: looks, explains, asks, applies, and ends with a first run.

The screen holds what the operator wishes and where they look; how things stand comes from the engine alone, asked anew
(``Walk``). Work is the engine's jobs: they go on when the screen is left, and are found and followed when it is back.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import ContentSwitcher

from console.actions import bindings
from console.quantities import count
from console.screens.languages_dialog import LanguagesDialog
from console.screens.picker import PickerDialog
from console.screens.setup_jobs import FOLLOW, SetupJobs
from console.screens.setup_options import SetupOptionsForm
from console.screens.setup_try import SetupTry
from console.setup_panes.checks import ChecksPane
from console.setup_panes.done import DonePane
from console.setup_panes.first_run import FirstRunPane
from console.setup_panes.pane import SetupView
from console.setup_panes.plan import PlanPane
from console.setup_panes.welcome import WelcomePane
from console.setup_panes.work import WorkPane
from console.setup_stages import Offer, Stage
from console.setup_walk import JOB_KINDS, Walk, spec
from console.setup_work import language_choices
from console.widgets.cut_lines import CutLines
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.walk_trail import WalkTrail
from engine.api import EngineApi
from engine.models import SetupOptions, SetupStep

LOOK = "look"
DRAW_EVERY_S = 0.25
_MAKING = (Stage.IMAGE, Stage.SNAPSHOT)
_PLACES: dict[str, frozenset[Stage]] = {
    "apply": frozenset((Stage.PLAN, Stage.APPLY)),
    "toggle_skip": frozenset((Stage.PLAN, Stage.APPLY, *_MAKING)),
    "options": frozenset((Stage.PLAN, Stage.APPLY, *_MAKING, Stage.FIRST_RUN)),
    "full_log": frozenset((Stage.APPLY, *_MAKING)),
}
"""Where an action means something; it is not offered elsewhere."""
_CHANGE_WORK = frozenset(("apply", "toggle_skip", "options", "undo"))
"""What begins work, or changes what would be done: not while there is some."""
_OFFERS = {
    Offer.WAIT: "looking at this host …",
    Offer.NEXT: "enter goes on",
    Offer.APPLY: "enter asks, then applies the plan",
    Offer.RETRY: "enter tries again   space skips what failed   b changes the plan",
    Offer.MAKE: "enter makes it   space leaves it out",
    Offer.IMAGE_FIRST: "enter leads to its image, which is made first",
    Offer.RUN: "enter runs the code in a microVM",
    Offer.OPEN: "enter opens the scratchpad",
}


class SetupScreen(SetupJobs, SetupTry):
    """Handlers of the base run too, after those here: Textual calls each class's own."""

    CSS_PATH = "../styles/setup.tcss"
    BINDINGS: ClassVar = bindings("setup")
    AUTO_FOCUS = ""

    def compose_body(self) -> ComposeResult:
        with Container(id="setup"):
            yield WalkTrail()
            with Container(id="stage"):
                yield Heading(id="stage-heading")
                yield FilterField()
                with ContentSwitcher(id="panes", initial=f"pane-{Stage.WELCOME.value}"):
                    yield WelcomePane(id=f"pane-{Stage.WELCOME.value}")
                    yield ChecksPane(id=f"pane-{Stage.CHECKS.value}")
                    yield PlanPane(id=f"pane-{Stage.PLAN.value}")
                    for stage in (Stage.APPLY, *_MAKING):
                        yield WorkPane(stage)
                    yield FirstRunPane(self._run, id=f"pane-{Stage.FIRST_RUN.value}")
                    yield DonePane(id=f"pane-{Stage.DONE.value}")
                yield CutLines(id="offer")

    def on_mount(self) -> None:
        self.app.ending_with_it["the first run of setup, and its VM"] = lambda: self._walk.running
        self.app.ending_with_it["the turn of images that wait to be built"] = lambda: bool(self._series.waiting)
        self._take_rights()
        self._draw_timer = self.set_interval(DRAW_EVERY_S, self._draw, pause=True)
        self._show()

    def show_connection(self) -> None:
        super().show_connection()
        self._take_rights()

    def _take_rights(self) -> None:
        """The engine's answer may make a viewer of the operator, or the other way round."""
        rights = self.app.rights
        walk = replace(self._walk, read_only=not rights.may_change, may_run=rights.may_run)
        if walk != self._walk:
            self._walk = walk
            self._show()

    # --- asking

    async def poll(self, api: EngineApi) -> None:
        self._jobs = [job for job in await api.jobs() if job.kind in JOB_KINDS]
        self._walk = replace(self._walk, queued=self._series.waiting)
        self._take_jobs(self._jobs)
        if self._look_due and not self._looking.under_way:
            self._begin_look()
        self._show_note()

    def _begin_look(self) -> None:
        """Look at the host anew; what was seen before stays on the screen until then."""
        self._look_due = True
        api = self.app.connection.api
        if api is not None:  # else the poll begins it once the engine is open
            self._look_due = False
            self.run_worker(partial(self._look, api), group=LOOK, exclusive=True, exit_on_error=False)

    async def _look(self, api: EngineApi) -> None:
        self._draw_timer.resume()
        seen = await self._looking.look(self.app.connection, api, self._walk.options)
        if seen is None:
            self._look_due = True  # the poll begins it anew once the engine is back
            return
        health, steps, languages = seen
        first = self._walk.steps is None
        self._walk = replace(self._walk, health=health, steps=tuple(steps), languages=tuple(languages), stale=False)
        self.show_health(health)
        if first:
            self._take_jobs(self._jobs)  # which are the wizard's follows from the languages
        if not self._placed:
            self._walk_to(self._walk.stands)
        self._show()

    def on_screen_resume(self) -> None:
        self._look_due |= self._looking.is_due
        self._draw_timer.resume()

    def on_screen_suspend(self) -> None:
        self._draw_timer.pause()
        self._look_due |= self._looking.under_way
        for group in (FOLLOW, LOOK):
            self.workers.cancel_group(self, group)

    # --- showing

    def _view(self) -> SetupView:
        return SetupView(self._walk, self._at, self._followed, self._run)

    def _go(self, stage: Stage) -> None:
        self._at = stage
        self.query_one("#panes", ContentSwitcher).current = f"pane-{stage.value}"
        target = next(
            (each for each in self.pane.query("LineTable, OutputView, VerticalScroll") if each.can_focus), None
        )
        self.set_focus(target)
        self._show()

    def _show(self) -> None:
        self.query_one(WalkTrail).show(self._walk, self._at)
        self.pane.show(self._view())
        undoing = self._at is Stage.APPLY and self._walk.is_undo
        self.query_one("#stage-heading", Heading).title = "Undoing setup" if undoing else spec(self._at).about
        self.query_one("#offer", CutLines).show(Content.styled(f" {self._offer_text()}", "$accent"))
        self._show_note()
        self.update_actions()

    def _offer_text(self) -> str:
        offer = self._walk.offer(self._at)
        if self._walk.starting:
            return "asking the engine …"
        if offer is Offer.APPLY:
            return f"enter asks, then applies {count(len(self._walk.chosen), 'step')}"
        if self._walk.stale:
            return "looking at what has changed …"
        if self._walk.busy and self._at is self._walk.job_stage:
            return "it goes on in the engine, also while you look elsewhere   X cancels"
        if offer is Offer.MAKE and self._at is Stage.IMAGE and len(self._walk.unbuilt) > 1:
            return f"enter makes {len(self._walk.unbuilt)} images   space leaves them out"
        return _OFFERS[offer]

    def _show_note(self) -> None:
        """How the stage stands, and what is being looked at or how old what is shown is."""
        note, role = self.pane.note(self._walk)
        seen, seen_role = self._looking.note()
        heading = self.query_one("#stage-heading", Heading)
        heading.show("   ".join(filter(None, (note, seen))), role if note else seen_role)

    def _draw(self) -> None:
        """A few times a second, while a job, a look or a run is under way."""
        if self.app.output_queued:
            return
        followed = self._followed
        job = self._walk.job
        if followed is not None and job is not None and followed.job.id == job.id and followed.job != job:
            self._note_job(followed.job)
        self.pane.flush()
        self._show_note()
        if not self._looking.under_way and not self._walk.busy and not self._walk.running:
            self._draw_timer.pause()

    # --- moving about

    def on_walk_trail_chosen(self, event: WalkTrail.Chosen) -> None:
        self._walk_to(event.stage)

    def action_back(self) -> None:
        self._walk_to(self._walk.preceding(self._at))

    def action_next(self) -> None:
        match self._walk.offer(self._at):
            case Offer.NEXT:
                self._walk_to(self._walk.following(self._at))
            case Offer.APPLY | Offer.RETRY if self._at not in _MAKING:
                self.action_apply()
            case Offer.MAKE | Offer.RETRY:
                self._make()
            case Offer.IMAGE_FIRST:
                self._walk_to(Stage.IMAGE)
            case Offer.RUN:
                self._try()
            case Offer.OPEN:
                self._open_scratchpad()
            case _:
                pass

    def action_look_again(self) -> None:
        self._begin_look()

    def action_full_log(self) -> None:
        self.pane.toggle_log()

    # --- wishes

    def action_toggle_skip(self) -> None:
        if self._at in _MAKING:
            self._toggle_stage()
            return
        step = self._step_at_hand()
        if step is None:
            return
        if self._walk.can_leave_out(step):
            self._wish(self._walk.with_skip_toggled(step))
        else:
            self.app.tell(f"{step.title}: {step.seen}")

    def _toggle_stage(self) -> None:
        """What this stage makes for its language, whatever stands of the same for another."""
        walk, step = self._walk.with_stage_toggled(self._at), self._walk.own_step(self._at)
        if walk is not None:
            self._wish(walk)
        else:
            self.app.tell(f"{step.title}: {step.seen}" if step is not None else "It is there already.")

    def _step_at_hand(self) -> SetupStep | None:
        """The one under the cursor, or that failed."""
        pane = self.pane
        if isinstance(pane, PlanPane):
            return pane.current
        return next(iter(self._walk.failed_steps), None)

    def _wish(self, walk: Walk) -> None:
        """Take another wish; what the engine then would do has to be asked where its options are others."""
        asks = walk.options != self._walk.options
        if walk.wished != self._walk.wished:
            self._series.begun.clear()  # what was begun for other languages is not what would be tried again
        self._walk = walk
        if asks:
            self._begin_look()
        self._show()

    def action_options(self) -> None:
        if self._at in (Stage.PLAN, Stage.APPLY):
            self._choose_options()
        elif self._at is Stage.IMAGE:
            self._choose_languages()
        else:
            self._choose_language()

    def _choose_options(self) -> None:
        def answered(options: SetupOptions | None) -> None:
            if options is not None:
                self._wish(replace(self._walk, options=options))

        self.app.push_screen(SetupOptionsForm(self._walk.options), answered)

    def _choose_languages(self) -> None:
        def answered(languages: tuple[str, ...] | None) -> None:
            if languages is not None:
                self._wish(replace(self._walk, wished=languages, has_run=False))

        walk = self._walk
        chosen = [language.id for language in walk.wished_languages]
        self.app.push_screen(LanguagesDialog(walk.offered_languages, chosen), answered)

    def _choose_language(self) -> None:
        def answered(language: str | None) -> None:
            if language is not None:
                others = tuple(each for each in self._walk.wished if each != language)
                self._wish(replace(self._walk, wished=(language, *others), has_run=False))

        at = self._walk.language.id if self._walk.language else None
        self.app.push_screen(PickerDialog("Language of the first run", language_choices(self._walk), at=at), answered)

    # --- what can be done now

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self._at not in _PLACES.get(action, frozenset(Stage)) or (action == "cancel_job" and not self._walk.busy):
            return False
        allowed = super().check_action(action, parameters)
        if not allowed or not self.is_mounted:
            return allowed
        if action in _CHANGE_WORK and not self._walk.is_free:
            return False
        if action == "toggle_skip":
            return self._at in _MAKING or self._step_at_hand() is not None
        if action == "next":
            return self._walk.offer(self._at) is not Offer.WAIT
        if action == "apply":
            return True if self._walk.chosen else None
        if action == "back":
            return self._at is not Stage.WELCOME
        return allowed
