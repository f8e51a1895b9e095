"""The way from a bare host to a first run, as data: its stages, how each stands, and what enter does there.

Nothing here asks or draws. A ``Walk`` holds what the engine answered last beside what the operator wishes. How a stage
stands follows from that alone, so a walk can be left and taken up again anywhere, also by another console.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import get_args

from console.setup_stages import Mark, Need, Offer, Stage, State
from engine.models import Health, Job, JobState, Language, SetupOptions, SetupStep, Severity

IMAGE = "image"
SNAPSHOT = "snapshot"
FIRST_LANGUAGE = "python"
"""The language whose image and snapshot are steps of setup; others are made by the same stages as plain jobs."""

JOB_KINDS = frozenset(("setup", "undo", "image", "snapshot"))
SKIP_OPTIONS = frozenset(get_args(get_args(SetupOptions.model_fields["skip"].annotation)[0]))
"""Steps that the engine itself leaves out when asked, so that they hold up no other."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What is known: None where the engine has not answered yet.

    ``origin`` is the stage that started ``job``; ``starting`` says that the engine was asked for work and has not
    answered; ``queued`` how many images wait for the one that is built; ``stale`` that a job has ended which changed
    what was seen; ``running`` and ``has_run`` are about the first run. ``wished`` are languages, that of the first run
    at the head. ``read_only`` applies and makes nothing; ``may_run`` is apart from that, since who may not change the
    host may still run code on it.
    """

    health: Health | None = None
    steps: tuple[SetupStep, ...] | None = None
    languages: tuple[Language, ...] = ()
    job: Job | None = None
    origin: Stage | None = None
    starting: bool = False
    stale: bool = False
    has_run: bool = False
    running: bool = False
    options: SetupOptions = field(default_factory=SetupOptions)
    left_out: frozenset[str] = frozenset()
    wished: tuple[str, ...] = ()
    queued: int = 0
    read_only: bool = False
    may_run: bool = True

    # --- steps

    @property
    def host_steps(self) -> tuple[SetupStep, ...]:
        """The steps that Apply does: all but those with a stage of their own."""
        return tuple(step for step in self.steps or () if step.id not in (IMAGE, SNAPSHOT))

    def step(self, step_id: str) -> SetupStep | None:
        return next((step for step in self.steps or () if step.id == step_id), None)

    def is_left_out(self, step: SetupStep) -> bool:
        """Whether the operator wishes so; what is done already stays."""
        return not step.done and (step.id in self.left_out or step.id in self.options.skip)

    @property
    def held_up(self) -> dict[str, SetupStep]:
        """Steps that can't be done, by id, and the step that each waits for: it is left out, or held up itself."""
        found: dict[str, SetupStep] = {}
        for step in self.steps or ():
            if step.settled:
                continue
            needs = [need for each in step.needs if (need := self.step(each)) is not None]
            blocker = next((need for need in needs if need.id in found or self._is_missing(need)), None)
            if blocker is not None:
                found[step.id] = found.get(blocker.id, blocker)
        return found

    def _is_missing(self, need: SetupStep) -> bool:
        """Left out with effect on others; what the engine skips by itself holds nothing up."""
        return not need.settled and need.id in self.left_out

    @property
    def chosen(self) -> tuple[SetupStep, ...]:
        """The steps that Apply would do now."""
        held = self.held_up
        return tuple(
            step for step in self.host_steps if not (step.settled or self.is_left_out(step) or step.id in held)
        )

    @property
    def needed_open(self) -> tuple[SetupStep, ...]:
        """Of these, those that a first run needs."""
        needed = self._needed()
        return tuple(step for step in self.chosen if step.id in needed)

    def _needed(self) -> set[str]:
        checks = self.health.checks or () if self.health else ()
        wanted = {IMAGE, SNAPSHOT}
        wanted |= {check.fixed_by for check in checks if check.severity is Severity.BLOCKED and check.fixed_by}
        for step in reversed(self.steps or ()):
            if step.id in wanted:
                wanted |= set(step.needs)
        return wanted

    def can_leave_out(self, step: SetupStep) -> bool:
        """Not what is done, and not what the host itself makes needless."""
        return not step.done and (not step.skipped or step.id in self.options.skip)

    def with_skip_toggled(self, step: SetupStep) -> Walk:
        """The walk with the step left out, or taken in again: by the engine's own option where there is one."""
        if step.id not in SKIP_OPTIONS:
            return replace(self, left_out=self.left_out ^ {step.id})
        skip = tuple(sorted(frozenset(self.options.skip) ^ {step.id}))
        return replace(self, options=SetupOptions.model_validate(self.options.model_dump() | {"skip": skip}))

    def with_stage_toggled(self, stage: Stage) -> Walk | None:
        """The walk with what a stage makes left out, or taken in again; None where that can't be wished."""
        step = self.own_step(stage)
        if self.is_made(stage) or (step is not None and not self.can_leave_out(step)):
            return None
        return replace(self, left_out=self.left_out ^ {stage.value})

    def mark(self, step: SetupStep) -> Mark:
        if step.done:
            return Mark.DONE
        if self.is_left_out(step):
            return Mark.LEFT_OUT
        if step.skipped:
            return Mark.SKIPPED
        if self.busy and self.job is not None and self.job.step == step.title:
            return Mark.NOW
        if step.id in self.held_up:
            return Mark.HELD_UP
        return Mark.FAILED if step in self.failed_steps else Mark.TO_DO

    @property
    def failed_steps(self) -> tuple[SetupStep, ...]:
        """Those that the last setup tried in vain: nothing that they need was missing."""
        if self.job is None or self.job.kind != "setup" or self.job.state is not JobState.FAILED:
            return ()
        tried = (
            self.chosen if self.job_stage is Stage.APPLY else tuple(filter(None, (self.step(self.job_stage or ""),)))
        )
        return tuple(step for step in tried if not step.settled and self._had_its_needs(step))

    def _had_its_needs(self, step: SetupStep) -> bool:
        return all(need.settled for each in step.needs if (need := self.step(each)) is not None)

    # --- language

    @property
    def language(self) -> Language | None:
        """That of the first run: the operator's first wish, else Python where it can run or nothing can, else what
        can."""
        by_id = {language.id: language for language in self.languages}
        if wish := next((each for each in self.wished if each in by_id), None):
            return by_id[wish]
        first = by_id.get(FIRST_LANGUAGE)
        if first is not None and first.ready:
            return first
        ready = sorted((one for one in self.languages if one.ready), key=lambda one: not one.warm)
        return ready[0] if ready else first

    @property
    def offered_languages(self) -> tuple[Language, ...]:
        """Those that can run, or for which an image can be built here."""
        return tuple(one for one in self.languages if one.ready or one.sources or one.id == FIRST_LANGUAGE)

    @property
    def wished_languages(self) -> tuple[Language, ...]:
        """Those that are to have an image, that of the first run at the head."""
        by_id = {language.id: language for language in self.languages}
        wished = tuple(by_id[each] for each in self.wished if each in by_id)
        return wished or tuple(filter(None, (self.language,)))

    @property
    def unbuilt(self) -> tuple[Language, ...]:
        """Those of them that have none yet."""
        return tuple(one for one in self.wished_languages if not self._has(one, Stage.IMAGE))

    def subject(self, stage: Stage) -> Language | None:
        """The language that a stage makes something for next."""
        return next(iter(self.unbuilt), self.language) if stage is Stage.IMAGE else self.language

    def own_step(self, stage: Stage) -> SetupStep | None:
        """The step of setup that makes this stage's thing, where the language is setup's own."""
        subject = self.subject(stage)
        return self.step(stage.value) if subject is None or subject.id == FIRST_LANGUAGE else None

    def _has(self, language: Language, stage: Stage) -> bool:
        step = self.step(stage.value) if language.id == FIRST_LANGUAGE else None
        if step is not None:
            return step.done
        return language.ready if stage is Stage.IMAGE else language.warm

    # --- jobs

    @property
    def busy(self) -> bool:
        return self.job is not None and self.job.state is JobState.RUNNING

    @property
    def is_free(self) -> bool:
        """Whether work may begin and wishes for it be changed: none is under way, or asked for."""
        return not (self.busy or self.starting)

    @property
    def is_undo(self) -> bool:
        return self.job is not None and self.job.kind == "undo"

    @property
    def job_stage(self) -> Stage | None:
        """Where the newest job belongs. One that another console or command started is placed by what it does now."""
        if self.job is None:
            return None
        if self.job.kind in _STAGE_OF_KIND:
            return _STAGE_OF_KIND[self.job.kind]
        for stage in (Stage.IMAGE, Stage.SNAPSHOT):
            step = self.step(stage.value)
            if step is not None and self.job.step == step.title:
                return stage
        if self.origin is not None:
            return self.origin
        if self.needed_open or self.job.step:
            return Stage.APPLY
        return next((stage for stage in (Stage.IMAGE, Stage.SNAPSHOT) if not self.is_made(stage)), Stage.APPLY)

    def _job_is(self, state: JobState, stage: Stage) -> bool:
        return self.job is not None and self.job.state is state and self.job_stage is stage

    # --- stages

    def is_made(self, stage: Stage) -> bool:
        """Whether the images of all wished languages, or the snapshot of the first, are there."""
        if not (wished := self.wished_languages):
            step = self.step(stage.value)
            return step is not None and step.done
        return all(self._has(one, stage) for one in (wished if stage is Stage.IMAGE else wished[:1]))

    def waits_for(self, stage: Stage) -> Need | None:
        """What has to be done before this stage can make its thing: a step of the host that is not settled, or for a
        snapshot the image of its own language."""
        own, language = self.step(stage.value), self.language
        needed = [step for each in (own.needs if own else ()) if each != IMAGE and (step := self.step(each))]
        if blocker := next((self.held_up.get(step.id, step) for step in needed if not step.settled), None):
            return Need(blocker.title, Stage.PLAN)
        if stage is Stage.SNAPSHOT and language is not None and not self._has(language, Stage.IMAGE):
            return Need(f"the image of {language.title}", Stage.IMAGE)
        return None

    @property
    def wants_image_first(self) -> bool:
        """Whether the language of the first run has no image, and one can be made now."""
        language = self.language
        missing = language is not None and not self._has(language, Stage.IMAGE)
        return missing and self.offer(Stage.IMAGE) in (Offer.MAKE, Offer.RETRY)

    @property
    def can_run(self) -> bool:
        language = self.language
        return self.health is not None and self.health.status != "blocked" and language is not None and language.ready

    @property
    def is_ready(self) -> bool:
        """Whether nothing that a warm first run needs is missing."""
        return self.can_run and not self.needed_open and self.is_made(Stage.IMAGE) and self.is_made(Stage.SNAPSHOT)

    def state(self, stage: Stage) -> State:
        if self._job_is(JobState.RUNNING, stage):
            return State.RUNNING
        state = _SPECS[stage].state(self)
        failed = self._job_is(JobState.FAILED, stage) and not self.is_undo
        return State.FAILED if failed and state is State.OPEN else state

    @property
    def stands(self) -> Stage:
        """Where the walk is to be taken up."""
        if self.busy and self.job_stage is not None:
            return self.job_stage
        if self.needed_open:
            if self.job is None:
                return Stage.WELCOME
            return Stage.APPLY if self.state(Stage.APPLY) is State.FAILED else Stage.PLAN
        return self.following(Stage.APPLY)

    def following(self, stage: Stage) -> Stage:
        """The next stage in which something is to be seen or done."""
        for other in _ORDER[_ORDER.index(stage) + 1 :]:
            if other is Stage.APPLY and self.state(other) not in (State.RUNNING, State.FAILED):
                continue  # it is reached by applying
            if other is Stage.CHECKS or self.state(other) not in (State.DONE, State.LEFT_OUT):
                return other
        return Stage.DONE

    def preceding(self, stage: Stage) -> Stage:
        """The stage before, done or not: one may look at all of them."""
        earlier = _ORDER[: _ORDER.index(stage)]
        skipped = () if self.job_stage is Stage.APPLY else (Stage.APPLY,)
        return next((other for other in reversed(earlier) if other not in skipped), stage)

    def offer(self, stage: Stage) -> Offer:
        if self.steps is None or self.running or self.stale or self.starting:
            return Offer.WAIT
        offer = _SPECS[stage].offer(self)
        refused = offer is Offer.RUN and not self.may_run
        if self.read_only and offer not in (Offer.WAIT, Offer.OPEN, Offer.RUN):
            refused = True
        return Offer.NEXT if refused else offer


def leads_in(health: Health) -> bool:
    """Whether a console that starts on this host should begin with its setup: nothing can run here yet."""
    return health.status == "blocked"


# --- the stages


def _checks(walk: Walk) -> State:
    blocked = walk.health is None or any(check.severity is Severity.BLOCKED for check in walk.health.checks or ())
    return State.OPEN if blocked else State.DONE


def _plan(walk: Walk) -> State:
    return State.OPEN if walk.steps is None or walk.chosen else State.DONE


def _made(stage: Stage) -> Callable[[Walk], State]:
    def state(walk: Walk) -> State:
        step = walk.own_step(stage)
        if walk.is_made(stage):
            return State.DONE
        if stage.value in walk.left_out or (step is not None and step.skipped):
            return State.LEFT_OUT
        return State.OPEN

    return state


def _first_run(walk: Walk) -> State:
    if walk.running:
        return State.RUNNING
    return State.DONE if walk.has_run else State.OPEN


def _offer_apply(walk: Walk) -> Offer:
    if walk.busy:
        return Offer.WAIT
    if not walk.chosen or walk.is_undo:
        return Offer.NEXT
    return Offer.RETRY if walk.state(Stage.APPLY) is State.FAILED else Offer.APPLY


def _offer_plan(walk: Walk) -> Offer:
    if walk.busy:
        return Offer.NEXT  # to where it is followed
    return Offer.APPLY if walk.chosen else Offer.NEXT


def _offer_make(stage: Stage) -> Callable[[Walk], Offer]:
    def offer(walk: Walk) -> Offer:
        if walk.busy or walk.queued:
            return Offer.WAIT
        state = walk.state(stage)
        if state in (State.DONE, State.LEFT_OUT):
            return Offer.NEXT
        if (need := walk.waits_for(stage)) is not None:
            return Offer.IMAGE_FIRST if need.stage is Stage.IMAGE and walk.wants_image_first else Offer.NEXT
        return Offer.RETRY if state is State.FAILED else Offer.MAKE

    return offer


def _offer_run(walk: Walk) -> Offer:
    if walk.can_run:
        return Offer.NEXT if walk.has_run else Offer.RUN
    return Offer.IMAGE_FIRST if walk.wants_image_first else Offer.NEXT


@dataclass(frozen=True, slots=True)
class StageSpec:
    """``state`` and ``offer`` say how it stands and what enter does, jobs of its own and read-only mode aside."""

    stage: Stage
    title: str
    about: str
    state: Callable[[Walk], State]
    offer: Callable[[Walk], Offer]


STAGES: tuple[StageSpec, ...] = (
    StageSpec(Stage.WELCOME, "Welcome", "Make this host ready", lambda _: State.DONE, lambda _: Offer.NEXT),
    StageSpec(Stage.CHECKS, "Checks", "What this host offers", _checks, lambda _: Offer.NEXT),
    StageSpec(Stage.PLAN, "Plan", "What setup would do", _plan, _offer_plan),
    StageSpec(Stage.APPLY, "Apply", "Applying the plan", _plan, _offer_apply),
    StageSpec(Stage.IMAGE, "Image", "A first image", _made(Stage.IMAGE), _offer_make(Stage.IMAGE)),
    StageSpec(Stage.SNAPSHOT, "Snapshot", "A first snapshot", _made(Stage.SNAPSHOT), _offer_make(Stage.SNAPSHOT)),
    StageSpec(Stage.FIRST_RUN, "First run", "A first run", _first_run, _offer_run),
    StageSpec(Stage.DONE, "Done", "Where things stand", lambda _: State.OPEN, lambda _: Offer.OPEN),
)
_SPECS = {spec.stage: spec for spec in STAGES}
_ORDER = [spec.stage for spec in STAGES]
_STAGE_OF_KIND = {"undo": Stage.APPLY, "image": Stage.IMAGE, "snapshot": Stage.SNAPSHOT}


def spec(stage: Stage) -> StageSpec:
    return _SPECS[stage]
