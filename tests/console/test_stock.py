"""What an operator does with images, the catalogue and snapshots, and what the console must do then."""

from __future__ import annotations

import pytest

from console.plain import plain
from console.screens.catalogue import CatalogueScreen
from console.screens.detail import DetailDialog
from console.screens.form import FormDialog
from console.screens.images import ImagesScreen
from console.screens.snapshots import SnapshotsScreen
from console.widgets.choice_field import ChoiceField
from engine.errors import InputError
from engine.models import RunRequest, Verification
from tests.console.driving import Driven, console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import FakeEngine, empty
from tests.console.samples import SNAPSHOTS
from tests.console.stock_samples import FREE_IMAGE, GOOD, USED_IMAGE, stocked

ALL_EVIL = "\n".join(EVIL.values())


def form(driven: Driven) -> FormDialog:
    screen = driven.app.screen
    assert isinstance(screen, FormDialog)
    return screen


async def opened_form(driven: Driven, key: str) -> FormDialog:
    """Press a key and wait until the form has asked what it needs."""
    await driven.press(key)
    await driven.until(lambda: isinstance(driven.app.screen, FormDialog))
    await driven.until(lambda: not form(driven).workers._workers)
    return form(driven)


# --- images


async def test_the_detail_of_an_image_names_its_users_and_when_it_last_worked() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("3", "node22")
        await driven.press("enter")
        await driven.sees("snapshot python-256m-1cpu")
        assert "VM vm-0a31" in driven.text
        assert "3 m ago" in driven.text


async def test_an_image_in_use_is_not_deleted_and_its_users_are_named() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await driven.press("D")
        await driven.sees("Image python is in use")
        assert "snapshot python-256m-1cpu" in driven.text
        assert isinstance(driven.app.screen, DetailDialog)
        assert engine.removed == []


async def test_deleting_an_image_asks_first() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await driven.press("j", "D", "enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert engine.removed == []
        await driven.press("D", "tab", "enter")
        await driven.until(lambda: engine.removed == [FREE_IMAGE.name])


async def test_a_build_is_made_of_a_chosen_language_and_more_packages() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        opened = await opened_form(driven, "b")
        assert isinstance(opened.focused, ChoiceField)
        await driven.press("enter")
        await driven.sees("Language: add or take away")
        await driven.press(*"forth", "enter")
        await driven.until(lambda: opened.is_current)
        assert opened.field("name").value == "forth"
        await driven.press("tab", "tab", *"make, gcc", "enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
        await driven.sees("Build forth")
    built = engine.built_languages[0]
    assert (built.language, built.name, built.packages, built.source) == ("forth", "forth", ("make", "gcc"), "auto")


async def test_what_is_wrong_is_told_at_its_field_while_one_types() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        opened = await opened_form(driven, "b")
        await driven.press("enter", *"python", "enter")
        await driven.until(lambda: opened.is_current)
        for field, typed, said in (
            ("packages", "Not!a:package", "is no package name"),
            ("pypi", "numpy @ http://x", "is no wheel"),
            ("npm", "--global", "is no npm package"),
            ("name", "No Name", "letter or digit first"),
            ("suite", "Two Suites", "is no name of a suite"),
            ("size_mib", "much", "must be a whole number"),
            ("size_mib", "3", "must be at least 16"),
        ):
            entry = opened.field(field).entry
            entry.value = ""
            entry.focus()
            await driven.press(*("space" if char == " " else char for char in typed))
            await driven.until(lambda field=field, said=said: said in opened.field(field).error, said)
            await driven.press("enter")
            assert driven.app.screen is opened
            entry.value = "python" if field == "name" else ""
            await driven.until(lambda field=field: not opened.field(field).error)
    assert engine.built_languages == []


async def test_an_empty_build_is_refused_at_its_first_field() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("3", "node22")
        opened = await opened_form(driven, "b")
        await driven.press("tab", "tab", "enter")
        await driven.until(lambda: opened.field("packages").error == "is needed")
        assert opened.field("name").error == "is needed"


async def test_what_the_engine_refuses_leaves_the_form_open_with_the_reason() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        opened = await opened_form(driven, "a")
        await driven.press(*"nosuch")
        engine.failing = InputError("The suite bookworm has no package nosuch", remedy="Check the name")
        await driven.press("enter")
        await driven.sees("has no package nosuch")
        assert driven.app.screen is opened
        engine.failing = None
        await driven.press("backspace", "enter")
        await driven.until(lambda: [built.packages[-1] for built in engine.built_languages] == ["nosuc"])


async def test_adding_packages_builds_the_image_again_and_says_what_that_means() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await opened_form(driven, "a")
        await driven.sees("then renew its 1 snapshot")
        await driven.press(*"python3-numpy", "enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    built = engine.built_languages[0]
    assert (built.name, built.suite) == ("python", "bookworm")
    assert (built.language, *built.languages) == USED_IMAGE.languages
    assert (built.packages, built.pypi) == ((*USED_IMAGE.packages, "python3-numpy"), USED_IMAGE.pypi)


async def test_a_form_works_by_mouse() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        opened = await opened_form(driven, "a")
        await driven.pilot.click("#field-packages Input")
        await driven.press(*"gcc")
        await driven.pilot.click("#yes")
        await driven.until(lambda: len(engine.built_languages) == 1)
        assert opened not in driven.app.screen_stack


async def test_up_and_down_move_between_fields_and_reach_the_answers_at_80x24() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("3", "node22")
        opened = await opened_form(driven, "b")
        for _ in [spec for spec in opened.fields if opened.shows(spec.key)]:
            await driven.press("down")
        assert opened.focused is opened.query_one("#no")
        assert "Cancel" in driven.text
        await driven.press("up")
        assert opened.focused is opened.field("size_mib").entry


async def test_on_the_smallest_screen_the_answers_and_what_the_engine_refused_are_there() -> None:
    engine = stocked()
    async with driving(console(engine), (60, 16)) as driven:
        await driven.mode("3", "node22")
        await opened_form(driven, "a")
        assert "Cancel" in driven.text
        engine.failing = InputError("There is no such suite", remedy="Name another")
        await driven.press("enter")
        await driven.sees("There is no such suite")
        await driven.press(*["tab"] * 5)
        await driven.sees("Least size MiB")
        assert "Cancel" in driven.text
        assert "There is no such suite" in driven.text


async def test_on_the_bar_what_can_be_done_has_room_before_what_cannot() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("3", "node22")
        driven.table.move_cursor("node22")
        await driven.pilot.pause()
        bar = driven.text.splitlines()[-1]
        assert "P Prune" in bar
        assert "U Upload" not in bar
        assert "q Quit" in bar


# --- catalogue


async def test_the_catalogue_names_the_state_of_every_language_and_goes_back() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("✓ warm")
        for state in ("● built", "○ can be built", "○ docker only"):
            assert state in driven.text
        await driven.press("escape")
        await driven.until(lambda: isinstance(driven.app.screen, ImagesScreen))


async def test_the_catalogue_is_searched_and_its_escape_clears_the_search_first() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("✓ warm")
        await driven.press("slash", *"forth", "enter")
        await driven.sees("1 of 4 match")
        await driven.press("escape")
        await driven.sees("4 languages")
        assert isinstance(driven.app.screen, CatalogueScreen)


async def test_a_language_is_built_from_the_catalogue_by_one_key_and_anew_after_a_question() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("✓ warm")
        await driven.press("b")
        await driven.sees("Build Python anew?")
        await driven.press("escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert engine.built_languages == []
        await driven.press("G", "b")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    assert [(built.language, built.source) for built in engine.built_languages] == [("mongodb", "auto")]


async def test_the_catalogue_tells_version_proof_and_cost_of_a_language() -> None:
    async with driving(console(stocked()), (200, 50)) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("✓ warm")
        for told in ("Python 3.11.2", "59 MiB on disk, built in 42 s", "3 m ago, by qemu", "python:3.13-slim"):
            assert told in driven.text


async def test_a_snapshot_is_made_from_the_catalogue_only_where_an_image_is() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("✓ warm")
        await driven.press("G", "k", "n")
        await driven.pilot.pause()
        assert not driven.app.screen.is_modal
        await driven.press("k")
        opened = await opened_form(driven, "n")
        assert opened.field("language").value == "bash"


async def test_an_example_is_opened_in_the_scratchpad(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[RunRequest] = []
    app = console(stocked())
    monkeypatch.setattr(app, "open_in_scratchpad", opened.append, raising=False)
    async with driving(app) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("✓ warm")
        await driven.press("j", "o")
        await driven.until(lambda: opened)
    assert opened == [RunRequest(language="bash", code='echo "Hello from Bash $BASH_VERSION"\n')]


# --- snapshots


async def test_a_snapshot_form_begins_with_what_is_wished_most_and_names_it() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "python-256m-1cpu")
        opened = await opened_form(driven, "n")
        assert opened.values == {"language": "bash", "memory_mib": "256", "vcpus": "1", "name": "bash-256m-1c"}
        await driven.press("tab", "end", "backspace", "backspace", "backspace", *"12")
        await driven.sees("must be at least 64")
        await driven.press("enter")
        assert driven.app.screen is opened
        await driven.press(*"8")
        assert opened.field("name").value == "bash-128m-1c"
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    made = engine.created[0]
    assert (made.language, made.memory_mib, made.vcpus, made.name) == ("bash", 128, 1, "bash-128m-1c")


async def test_only_languages_with_an_image_can_be_chosen_for_a_snapshot() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("4", "python-256m-1cpu")
        await opened_form(driven, "n")
        await driven.press("enter")
        await driven.until(lambda: not isinstance(driven.app.screen, FormDialog))
        assert driven.table.keys == ["python", "bash"]


async def test_without_any_image_the_snapshot_form_says_what_to_do() -> None:
    async with driving(console(empty())) as driven:
        await driven.mode("4", "There is no snapshot yet")
        await opened_form(driven, "n")
        await driven.sees("no language has an image yet")


async def test_a_name_that_is_taken_is_refused_in_place() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "python-256m-1cpu")
        opened = await opened_form(driven, "n")
        opened.field("name").entry.focus()
        opened.field("name").entry.value = GOOD.name
        await driven.sees("is here already")
        await driven.press("enter")
        assert driven.app.screen is opened
        assert engine.created == []


class Verifying(FakeEngine):
    """Verifies when the test says so."""

    verdict = Verification(name=GOOD.name, ok=True)

    async def verify_snapshot(self, name: str) -> Verification:
        self.calls.append("verify_snapshot")
        await self.let_go.wait()
        return self.verdict


def verifying() -> Verifying:
    given = stocked()
    return Verifying(image_list=given.image_list, snapshot_list=given.snapshot_list)


async def test_verifying_is_shown_while_it_goes_on_and_blocks_nothing() -> None:
    engine = verifying()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("v")
        await driven.sees("◐ proving")
        await driven.press("v")  # once is enough
        await driven.mode("3", "python")
        await driven.mode("4", "◐ proving")
        engine.let_go.set()
        await driven.sees("✓ fits")
        await driven.press("enter")
        await driven.sees("a clone works")
    assert engine.calls.count("verify_snapshot") == 1


async def test_a_damaged_snapshot_is_told_with_findings_and_remedy() -> None:
    engine = verifying()
    engine.verdict = Verification(name=GOOD.name, ok=False, findings=("memory is not what was written",))
    engine.let_go.set()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("v")
        await driven.sees("memory is not what was written")
        assert isinstance(driven.app.screen, DetailDialog)
        assert "vmdeck snapshot refresh" in driven.text


async def test_a_verdict_never_takes_the_keys_from_another_area() -> None:
    engine = verifying()
    engine.verdict = Verification(name=GOOD.name, ok=False, findings=("memory is not what was written",))
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("v")
        await driven.sees("◐ proving")
        await driven.mode("3", "python")
        engine.let_go.set()
        await driven.sees("4 shows why")
        assert isinstance(app.screen, ImagesScreen)


async def test_a_verdict_is_not_shown_of_a_snapshot_made_anew_since() -> None:
    engine = verifying()
    engine.let_go.set()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("v")
        screen = driven.app.screen
        assert isinstance(screen, SnapshotsScreen)
        await driven.until(lambda: "Verified" in {field.label for field in screen.fields_here(GOOD)})
        anew = GOOD.model_copy(update={"created": SNAPSHOTS[1].created})
        assert "Verified" not in {field.label for field in screen.fields_here(anew)}


async def test_a_refused_snapshot_names_reason_and_remedy_and_is_renewed_as_a_job() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "✗ refused")
        await driven.press("j", "enter")
        await driven.sees("made with qemu 7.2.19")
        assert "vmdeck snapshot refresh" in driven.text
        await driven.press("escape", "u")
        await driven.until(lambda: driven.app.current_mode == "jobs")
        assert engine.refreshed == ["bash-128m-1cpu"]


async def test_a_snapshot_in_use_is_not_deleted_and_its_vms_are_named() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("D")
        await driven.sees("is in use")
        assert "VM vm-0a31" in driven.text
        assert engine.removed == []


async def test_deleting_a_snapshot_asks_first() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("j", "D")
        await driven.sees("will be freed")
        await driven.press("enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert engine.removed == []
        await driven.press("D")
        await driven.sees("will be freed")
        await driven.press("tab", "enter")
        await driven.until(lambda: engine.removed == ["bash-128m-1cpu"])


async def test_detail_shows_every_field_of_the_manifest() -> None:
    async with driving(console(stocked()), (200, 50)) as driven:
        await driven.mode("4", "✓ fits")
        for value in GOOD.manifest.values():
            assert value[:20] in driven.text


async def test_read_only_builds_makes_renews_and_deletes_nothing() -> None:
    engine = stocked()
    app = console(engine, read_only=True)
    async with driving(app) as driven:
        await driven.mode("3", "node22")
        await driven.press("b", "a", "D", "c")
        await driven.sees("✓ warm")
        await driven.press("b", "n")
        await driven.mode("4", "✓ fits")
        await driven.press("n", "u", "D")
        await driven.pilot.pause()
        assert not app.screen.is_modal
    assert (engine.built, engine.created, engine.refreshed, engine.removed) == ([], [], [], [])


# --- strangers' texts


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("evil", [ALL_EVIL, EVIL["markup"], EVIL["right to left"]], ids=["all", "markup", "bidi"])
async def test_evil_text_is_harmless_in_images_catalogue_forms_and_snapshots(evil: str, size: tuple[int, int]) -> None:
    engine = stocked()
    strange = f"strange {evil}"
    lists = dict.fromkeys(("languages", "packages", "pypi", "npm", "varies", "used_by"), (strange,))
    texts = dict.fromkeys(("name", "source", "path", "digest", "suite", "version", "source_id"), strange)
    engine.image_list = (USED_IMAGE.model_copy(update={**lists, **texts}),)
    texts = dict.fromkeys(
        ("name", "language", "image", "vmm", "vmm_version", "accelerator", "warm", "problem"), strange
    )
    manifest = dict.fromkeys(GOOD.manifest, strange)
    engine.snapshot_list = (GOOD.model_copy(update={**texts, "fits": False, "manifest": manifest}),)
    about = dict.fromkeys(
        ("title", "category", "example", "image", "suite", "version", "source", "docker_image"), strange
    )
    engine.language_list = tuple(
        each.model_copy(update={**about, "packages": (strange,)}) for each in engine.language_list
    )
    engine.verification = Verification(name=strange, ok=False, findings=(strange,))

    def harmless() -> None:
        text = driven.text.replace("\n", "")
        assert plain(text) == text

    def shown() -> int:
        """How often a stranger's text is to be seen in the dialog, its title and what lies below not counted."""
        box = driven.app.screen.query_one("#dialog").content_region
        rows = driven.text.splitlines()[box.y : box.bottom]
        return sum(row[box.x : box.right].count("strange") for row in rows)

    async with driving(console(engine), size) as driven:
        await driven.until(lambda: driven.app.last_health is not None)
        for area, dialogs in (
            ("3", ("enter", "b enter", "a", "D")),
            ("c", ("enter", "a enter", "b", "n enter")),
            ("4", ("enter", "v", "D")),
        ):
            await driven.press(area)
            await driven.until(lambda: driven.table.keys, "rows")
            await driven.sees("strange")
            harmless()
            for keys in dialogs:
                await driven.press(*keys.split())
                await driven.until(lambda: driven.app.screen.is_modal and shown(), f"what {keys} opens in {area}")
                harmless()
                while driven.app.screen.is_modal:
                    await driven.press("escape")
