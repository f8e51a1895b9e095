"""Where the walk of setup stands follows from the engine's answers and the operator's wishes alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.setup_stages import Mark, Need, Offer, Stage, State
from console.setup_walk import Walk, leads_in
from console.setup_work import own_jobs
from engine.models import Health, Job, JobState, SetupOptions, VmmChoice
from tests.console.samples import LANGUAGES, NOW
from tests.console.setup_samples import STEPS

HOST = frozenset(("package-lists", "packages", "docker", "kernel"))
ALL = HOST | {"image", "snapshot"}


def walk(done: frozenset[str] | set[str] = frozenset(), **more: object) -> Walk:
    """A walk over a host on which these steps are done."""
    done = {"package-lists", *done}
    steps = tuple(step.model_copy(update={"done": True}) if step.id in done else step for step in STEPS)
    python = LANGUAGES[0].model_copy(update={"ready": "image" in done, "warm": "snapshot" in done})
    forth = LANGUAGES[2].model_copy(update={"packages": ("gforth",)})
    vmm = VmmChoice(vmm="qemu", accelerator="tcg", version="7.2", reason="emulated")
    health = Health(
        status="ok" if "kernel" in done else "blocked",
        version="0",
        uptime_s=1,
        vmm=vmm,
        running=0,
        queued=0,
        capacity=2,
        checks=(),
    )
    return replace(Walk(health=health, steps=steps, languages=(python, forth)), **more)  # type: ignore[arg-type]


def job(state: JobState = JobState.RUNNING, kind: str = "setup", **more: object) -> Job:
    return Job.model_validate({"id": "j1", "kind": kind, "title": "Set up", "state": state, "started": NOW} | more)


@pytest.mark.parametrize(
    ("now", "stands"),
    [
        (walk(), Stage.WELCOME),
        (walk(job=job()), Stage.APPLY),
        (walk(job=job(JobState.FAILED)), Stage.APPLY),
        (walk(job=job(JobState.CANCELLED)), Stage.PLAN),
        (walk({"packages"}, job=job(JobState.DONE)), Stage.PLAN),
        (walk({"packages", "kernel"}), Stage.IMAGE),
        (walk(HOST, job=job(kind="image")), Stage.IMAGE),
        (walk(HOST, job=job(step="Image for Python")), Stage.IMAGE),
        (walk(HOST, job=job(JobState.FAILED, kind="image")), Stage.IMAGE),
        (walk(HOST | {"image"}), Stage.SNAPSHOT),
        (walk(HOST | {"image"}, job=job(kind="snapshot")), Stage.SNAPSHOT),
        (walk(HOST | {"image"}, left_out=frozenset(("snapshot",))), Stage.FIRST_RUN),
        (walk(ALL), Stage.FIRST_RUN),
        (walk(ALL - {"docker"}), Stage.FIRST_RUN),
        (walk(ALL, has_run=True), Stage.DONE),
        (walk(job=job(kind="undo")), Stage.APPLY),
    ],
    ids=[
        "bare",
        "setup runs",
        "setup failed",
        "setup was cancelled",
        "half of it done",
        "what is needed is done",
        "image is built",
        "image is built by a whole setup of another's",
        "image failed",
        "image is there",
        "snapshot is made",
        "snapshot is left out",
        "ready",
        "ready but for what is optional",
        "code ran",
        "undo runs",
    ],
)
def test_the_walk_is_taken_up_where_things_stand(now: Walk, stands: Stage) -> None:
    assert now.stands is stands


def test_a_bare_host_is_walked_from_stage_to_stage_to_the_end() -> None:
    now = walk()
    assert [now.offer(stage) for stage in (Stage.WELCOME, Stage.CHECKS, Stage.PLAN)] == [
        Offer.NEXT,
        Offer.NEXT,
        Offer.APPLY,
    ]
    assert (now.following(Stage.WELCOME), now.following(Stage.CHECKS)) == (Stage.CHECKS, Stage.PLAN)
    now = walk(HOST)
    assert (now.stands, now.offer(Stage.IMAGE)) == (Stage.IMAGE, Offer.MAKE)
    now = walk(HOST | {"image"})
    assert (now.following(Stage.IMAGE), now.offer(Stage.SNAPSHOT)) == (Stage.SNAPSHOT, Offer.MAKE)
    now = walk(ALL)
    assert (now.following(Stage.SNAPSHOT), now.offer(Stage.FIRST_RUN)) == (Stage.FIRST_RUN, Offer.RUN)
    now = walk(ALL, has_run=True)
    assert (now.offer(Stage.FIRST_RUN), now.following(Stage.FIRST_RUN)) == (Offer.NEXT, Stage.DONE)
    assert now.offer(Stage.DONE) is Offer.OPEN


def test_on_a_ready_host_two_steps_lead_to_the_first_run() -> None:
    now = walk(ALL)
    assert now.is_ready
    assert now.following(Stage.WELCOME) is Stage.CHECKS
    assert now.following(Stage.CHECKS) is Stage.FIRST_RUN


def test_every_stage_but_that_without_a_job_can_be_looked_at_again() -> None:
    now = walk(ALL)
    seen = [Stage.DONE]
    while (before := now.preceding(seen[-1])) is not seen[-1]:
        seen.append(before)
    assert seen == [stage for stage in reversed(Stage) if stage is not Stage.APPLY]
    assert walk(ALL, job=job(JobState.DONE, step="")).preceding(Stage.IMAGE) is Stage.APPLY


def test_a_step_that_is_left_out_holds_up_those_that_need_it_and_no_others() -> None:
    now = walk(left_out=frozenset(("packages",)))
    assert [step.id for step in now.chosen] == ["docker", "kernel"]
    assert {step_id: blocker.id for step_id, blocker in now.held_up.items()} == {
        "image": "packages",
        "snapshot": "packages",
    }
    marks = {step.id: now.mark(step) for step in now.steps or ()}
    assert (marks["packages"], marks["image"], marks["kernel"]) == (Mark.LEFT_OUT, Mark.HELD_UP, Mark.TO_DO)
    assert now.offer(Stage.IMAGE) is Offer.NEXT
    assert now.waits_for(Stage.IMAGE) == Need("Host packages", Stage.PLAN)


def test_what_the_engine_itself_leaves_out_holds_nothing_up() -> None:
    now = walk(options=SetupOptions(skip=("docker",)))
    assert [step.id for step in now.chosen] == ["packages", "kernel"]
    assert now.held_up == {}
    docker = now.step("docker")
    assert docker is not None
    assert now.mark(docker) is Mark.LEFT_OUT


def test_of_a_failed_setup_the_step_that_was_tried_is_named_and_not_those_that_waited() -> None:
    now = walk({"docker", "kernel"}, job=job(JobState.FAILED, error="Setup failed at packages: no"))
    assert [step.id for step in now.failed_steps] == ["packages"]
    assert now.state(Stage.APPLY) is State.FAILED
    assert now.offer(Stage.APPLY) is Offer.RETRY
    image = now.step("image")
    assert image is not None
    assert now.mark(image) is Mark.TO_DO


def test_after_the_failed_step_is_skipped_the_walk_goes_on() -> None:
    failed = walk({"packages", "kernel"}, job=job(JobState.FAILED), origin=Stage.APPLY)
    assert [step.id for step in failed.failed_steps] == ["docker"]
    skipped = replace(failed, left_out=frozenset(("docker",)))
    assert skipped.offer(Stage.APPLY) is Offer.NEXT
    assert skipped.following(Stage.APPLY) is Stage.IMAGE


def test_an_image_that_failed_can_be_tried_again_or_left_out() -> None:
    failed = walk(HOST, job=job(JobState.FAILED), origin=Stage.IMAGE)
    assert (failed.state(Stage.IMAGE), failed.offer(Stage.IMAGE)) == (State.FAILED, Offer.RETRY)
    left_out = replace(failed, left_out=frozenset(("image",)))
    assert (left_out.state(Stage.IMAGE), left_out.offer(Stage.IMAGE)) == (State.LEFT_OUT, Offer.NEXT)


def test_while_what_a_job_changed_is_not_looked_at_nothing_is_offered() -> None:
    assert walk(HOST, stale=True).offer(Stage.IMAGE) is Offer.WAIT


def test_read_only_offers_to_look_and_nothing_else() -> None:
    for now in (walk(), walk(HOST), walk(HOST | {"image"}), walk(ALL)):
        offers = {replace(now, read_only=True, may_run=False).offer(stage) for stage in Stage}
        assert offers <= {Offer.NEXT, Offer.OPEN}


def test_who_may_run_code_and_change_nothing_is_offered_the_first_run_alone() -> None:
    offers = {stage: replace(walk(ALL), read_only=True, may_run=True).offer(stage) for stage in Stage}
    assert {stage for stage, offer in offers.items() if offer not in (Offer.NEXT, Offer.OPEN)} == {Stage.FIRST_RUN}


def test_another_language_has_stages_of_its_own_state() -> None:
    now = walk(ALL, wished=("forth",))
    assert now.language is not None
    assert (now.language.id, now.state(Stage.IMAGE), now.offer(Stage.IMAGE)) == ("forth", State.OPEN, Offer.MAKE)
    assert not now.is_ready


def of_forth(now: Walk, **stands: bool) -> Walk:
    """The same for Forth, which is no step of setup."""
    python, forth = now.languages
    return replace(now, languages=(python, forth.model_copy(update=stands)), wished=("forth",))


def test_another_language_s_snapshot_needs_its_own_image_and_not_python_s() -> None:
    now = of_forth(walk(HOST), ready=True)
    assert (now.waits_for(Stage.SNAPSHOT), now.offer(Stage.SNAPSHOT)) == (None, Offer.MAKE)
    now = of_forth(walk(HOST, left_out=frozenset(("image",))), ready=True)
    assert (now.waits_for(Stage.SNAPSHOT), now.offer(Stage.SNAPSHOT)) == (None, Offer.MAKE)


@pytest.mark.parametrize("stage", [Stage.SNAPSHOT, Stage.FIRST_RUN])
def test_a_language_without_an_image_leads_to_image_whatever_python_has(stage: Stage) -> None:
    now = of_forth(walk(ALL))
    assert now.waits_for(Stage.SNAPSHOT) == Need("the image of Forth", Stage.IMAGE)
    assert now.offer(stage) is Offer.IMAGE_FIRST
    assert replace(now, left_out=frozenset(("image",))).offer(stage) is Offer.NEXT  # or enter would go round
    assert of_forth(walk(ALL - {"packages"}, left_out=frozenset(("packages",)))).offer(stage) is Offer.NEXT


@pytest.mark.parametrize(
    ("kind", "title", "own"),
    [
        ("image", "Build Forth", True),
        ("image", "Build Python", False),
        ("image", "Build Forth as other", False),
        ("snapshot", "Make snapshot forth-256m-1c", True),
        ("snapshot", "Make snapshot forth-256m-1c anew", True),
        ("snapshot", "Make snapshot python-256m-1c", False),
        ("setup", "Set this host up", True),
    ],
)
def test_of_images_and_snapshots_only_those_of_wished_languages_are_the_wizard_s(
    kind: str, title: str, own: bool
) -> None:
    made = job(kind=kind, title=title)
    assert (own_jobs([made], of_forth(walk(HOST)), ()) == [made]) is own
    assert own_jobs([made], walk(HOST), {made.id}) == [made]


def test_what_the_host_lacks_is_needed_for_any_language() -> None:
    now = of_forth(walk({"packages"}), ready=True)
    assert now.waits_for(Stage.SNAPSHOT) == Need("Guest kernel", Stage.PLAN)


def test_python_is_the_first_language_unless_only_another_can_run() -> None:
    now = walk(HOST)
    assert now.language is not None
    assert now.language.id == "python"
    forth = now.languages[1].model_copy(update={"ready": True})
    now = replace(now, languages=(now.languages[0], forth))
    assert now.language == forth


def test_only_a_host_on_which_nothing_can_run_leads_into_setup() -> None:
    health = walk(ALL).health
    assert health is not None
    assert not leads_in(health)
    assert not leads_in(health.model_copy(update={"status": "degraded"}))
    assert leads_in(health.model_copy(update={"status": "blocked"}))


def test_undo_that_failed_does_not_offer_to_set_up_again() -> None:
    now = walk(HOST, job=job(JobState.FAILED, kind="undo"))
    assert now.offer(Stage.APPLY) is Offer.NEXT
