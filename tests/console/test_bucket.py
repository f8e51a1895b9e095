"""What an operator does with a bucket and with leftovers: what would be replaced or go is told first."""

from __future__ import annotations

import pytest

from console.plain import plain
from console.screens.confirm import ConfirmDialog
from console.screens.prune_dialog import PruneDialog
from engine.errors import InputError
from engine.models import PruneRequest
from tests.console.driving import Driven, console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import VIEWER
from tests.console.stock_samples import DOWNLOADS, GOOD, OLDER, THERE, stocked

NO_BUCKET = InputError("No bucket is named", remedy="For good: vmdeck settings set s3_bucket NAME")


def row(driven: Driven, name: str) -> str:
    """The line of the list that begins with a name."""
    return next(line for line in driven.text.splitlines() if line[2:].startswith(f"{name} "))


async def agree(driven: Driven) -> str:
    """Wait for a question, agree, and return what it said."""
    await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog), "a question")
    said = driven.text
    await driven.press("tab", "enter")
    return said


async def test_the_bucket_is_asked_by_key_and_with_a_refresh_and_never_by_a_tick() -> None:
    engine = stocked()
    async with driving(console(engine, tick_s=0.02), (120, 36)) as driven:
        await driven.mode("3", "node22")
        assert "BUCKET" not in driven.text
        await driven.press("B")
        await driven.sees("4 in the bucket")
        for name, standing in (
            ("python", "✓ same"),
            ("bash", "≠ other"),
            ("node22", "↑ only here"),
            ("ruby", "↓ only there"),
            ("lua", "✗ refused"),
        ):
            assert standing in row(driven, name), driven.text
        asked = engine.calls.count("images")
        await driven.until(lambda: engine.calls.count("images") > asked + 3)
        assert engine.calls.count("remote_images") == 1
        await driven.press("r")
        await driven.until(lambda: engine.calls.count("remote_images") == 2)
        await driven.press("B")
        await driven.sees_no("BUCKET")
        assert "ruby" not in driven.table.keys


async def test_keys_go_on_to_the_list_while_a_bucket_is_slow() -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        engine.stalled = True
        await driven.press("B")
        await driven.sees("asking the bucket")
        await driven.press("j", "j")
        assert driven.table.cursor == "node22"
        engine.stalled = False
        engine.stall.set()
        await driven.sees("4 in the bucket")
        assert driven.table.cursor == "node22"


@pytest.mark.parametrize(("area", "sign"), [("3", "node22"), ("4", "✓ fits")])
async def test_without_a_bucket_the_engines_words_lead_to_the_settings(area: str, sign: str) -> None:
    engine = stocked()
    engine.bucket_failing = NO_BUCKET
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode(area, sign)
        await driven.press("B")
        said = await agree(driven)
        assert "No bucket is named" in said
        assert "vmdeck settings set s3_bucket" in said
        await driven.until(lambda: driven.app.current_mode == "settings")


async def test_an_upload_says_what_it_replaces_and_becomes_a_job() -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("j", "U")
        said = await agree(driven)
        assert "It replaces the one there, made 2026-03-11" in said
        await driven.until(lambda: driven.app.current_mode == "jobs")
        await driven.sees("Upload image bash")
    assert engine.moved == ["upload image bash"]


async def test_what_is_sent_is_told_by_its_size_before_packing_and_not_where_the_bucket_has_the_same() -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        for row_at, said in (("python", "has the same already"), ("bash", "84 MiB before packing.")):
            driven.table.move_cursor(row_at)
            await driven.press("U")
            await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog), "a question")
            assert said in driven.text
            assert ("before packing" in driven.text) is (row_at == "bash")
            await driven.press("escape")
            await driven.until(lambda: not driven.app.screen.is_modal)


async def test_a_list_that_was_hidden_stays_so_whatever_the_bucket_answers_late() -> None:
    engine = stocked()
    async with driving(console(engine, tick_s=0.02), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("B")
        await driven.sees("4 in the bucket")
        engine.stalled = True
        await driven.press("r")
        await driven.until(lambda: engine.calls.count("remote_images") == 2)
        await driven.press("B")
        await driven.sees_no("BUCKET")
        assert "asking the bucket" not in driven.text
        engine.stalled = False
        engine.stall.set()
        asked = engine.calls.count("images")
        await driven.until(lambda: engine.calls.count("images") > asked + 2)
        assert "BUCKET" not in driven.text
        await driven.press("B")
        await driven.sees("4 in the bucket")


async def test_the_bucket_is_not_asked_after_a_delete_a_prune_or_when_led_to_a_row() -> None:
    engine = stocked()
    async with driving(console(engine, tick_s=0.02), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("B")
        await driven.sees("4 in the bucket")
        await driven.press("j", "D")
        await agree(driven)
        await driven.until(lambda: "↓ only there" in row(driven, "bash"))
        await driven.press("P")
        await driven.until(lambda: isinstance(driven.app.screen, PruneDialog))
        await driven.press("tab", "enter")
        await driven.sees("leftovers removed")
        driven.app.show_row("images", "node22")
        await driven.until(lambda: driven.table.cursor == "node22")
        assert engine.calls.count("remote_images") == 1


async def test_an_upload_of_an_outdated_snapshot_says_what_the_bucket_must_have_and_to_renew_it_first() -> None:
    async with driving(console(stocked()), (120, 36)) as driven:
        await driven.mode("4", "! outdated")
        await driven.press("G", "U")
        await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog), "a question")
        assert "It can only go where the bucket has" in driven.text
        assert "goes along" not in driven.text


async def test_a_snapshot_of_which_nobody_knows_what_it_was_made_of_is_neither_renewed_nor_sent() -> None:
    engine = stocked()
    problem = "its manifest can't be read: no JSON"
    unknown = {"fits": False, "problem": problem, "manifest": {}, "language": "", "image": ""}
    engine.snapshot_list = (engine.snapshot_list[0].model_copy(update=unknown), *engine.snapshot_list[1:])
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("4", "✗ refused")
        screen = driven.app.screen
        assert [screen.check_action(action, ()) for action in ("renew", "upload", "remove")] == [None, None, True]
        await driven.press("u", "U", "enter")
        await driven.sees("vmdeck snapshot create")
        assert "Delete it and make another" in driven.text
        assert "refresh" not in driven.text
        await driven.press("escape", "j")
        assert [screen.check_action(action, ()) for action in ("renew", "upload")] == [True, True]
    assert (engine.refreshed, engine.moved) == ([], [])


async def test_nothing_is_moved_where_the_operator_does_not_agree() -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("B")
        await driven.sees("4 in the bucket")
        for keys in (("U",), ("j", "F"), ("P",)):
            await driven.press(*keys)
            await driven.until(lambda: driven.app.screen.is_modal)
            await driven.press("enter")
            await driven.until(lambda: not driven.app.screen.is_modal)
    assert (engine.moved, engine.pruned) == ([], [])


async def test_an_image_with_a_problem_and_one_that_is_the_same_are_not_moved() -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("B")
        await driven.sees("4 in the bucket")
        screen = driven.app.screen
        assert screen.check_action("download", ()) is None  # python: the same
        driven.table.move_cursor("node22")
        assert screen.check_action("upload", ()) is None  # it has a problem
        driven.table.move_cursor("lua")
        assert screen.check_action("download", ()) is None  # refused
        assert screen.check_action("remove", ()) is None  # not here
        driven.table.move_cursor("ruby")
        assert screen.check_action("download", ()) is True


async def test_a_download_says_what_it_replaces_here_and_whose_word_it_is() -> None:
    engine = stocked()
    engine.remote_image_list = (THERE[0].model_copy(update={"digest": "sha256:77"}), THERE[2])
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("B")
        await driven.sees("2 in the bucket")
        await driven.press("F")
        said = await agree(driven)
        assert "It replaces the one here, made 2026-03-12" in said
        assert "1 snapshot is refreshed" in said
        assert "✓ signed" in said
        await driven.until(lambda: driven.app.current_mode == "jobs")
        await driven.mode("3", "ruby")
        await driven.press("G", "F")
        said = await agree(driven)
        assert "Nothing here is replaced" in said
        await driven.until(lambda: len(engine.moved) == 2)
    assert engine.moved == ["download image python", "download image ruby"]


async def test_what_left_the_bucket_meanwhile_is_not_downloaded() -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("B")
        await driven.sees("4 in the bucket")
        await driven.press("G", "k", "F")
        await driven.press("escape")
        driven.table.move_cursor("ruby")
        engine.remote_image_list = ()
        await driven.press("F")
        await driven.sees("has no image ruby any more")
    assert engine.moved == []


async def test_snapshots_stand_beside_those_of_the_bucket_and_travel() -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("B")
        await driven.sees("3 in the bucket")
        assert "✓ same" in row(driven, GOOD.name)
        assert "≠ other" in row(driven, "bash-128m-1cpu")
        assert "↑ only here" in row(driven, "bash-old")
        assert "↓ only there" in row(driven, "ruby-256m-1c")
        await driven.press("G", "F")
        said = await agree(driven)
        assert "another one is never replaced" in said
        await driven.until(lambda: driven.app.current_mode == "jobs")
        await driven.mode("4", "ruby-256m-1c")
        await driven.press("g", "U")
        said = await agree(driven)
        assert "The bucket has the same already" in said
        await driven.until(lambda: len(engine.moved) == 2)
    assert engine.moved == ["download snapshot ruby-256m-1c", f"upload snapshot {GOOD.name}"]


async def test_a_snapshot_made_anew_since_is_not_the_same_as_the_buckets() -> None:
    engine = stocked()
    async with driving(console(engine, tick_s=0.02), (120, 36)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("B")
        await driven.until(lambda: "✓ same" in row(driven, GOOD.name))
        anew = GOOD.model_copy(update={"created": THERE[0].created})
        engine.snapshot_list = (anew, *engine.snapshot_list[1:])
        await driven.until(lambda: "≠ other" in row(driven, GOOD.name))


async def test_a_snapshot_that_came_from_the_bucket_since_is_the_same() -> None:
    engine = stocked()
    async with driving(console(engine, tick_s=0.02), (120, 36)) as driven:
        await driven.mode("4", "✓ fits")
        await driven.press("B")
        await driven.until(lambda: "≠ other" in row(driven, "bash-128m-1cpu"))
        there = engine.remote_snapshot_list[1]
        come = engine.snapshot_list[1].model_copy(update={"created": there.created})
        engine.snapshot_list = (engine.snapshot_list[0], come, *engine.snapshot_list[2:])
        await driven.until(lambda: "✓ same" in row(driven, "bash-128m-1cpu"))


async def test_an_outdated_snapshot_is_told_in_words_with_the_refresh() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("4", "! outdated")
        assert "1 outdated" in driven.text
        await driven.press("G", "enter")
        await driven.sees("its image was built anew since")
        assert "vmdeck snapshot refresh bash-old" in driven.text
        await driven.press("escape", "u")
        await driven.until(lambda: engine.refreshed == ["bash-old"])


@pytest.mark.parametrize(("answer", "cache"), [(("tab",), "bound"), (("tab", "tab"), "clear")])
async def test_pruning_lists_what_would_go_and_what_that_frees_and_asks(answer: tuple[str, ...], cache: str) -> None:
    engine = stocked()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("P")
        await driven.until(lambda: isinstance(driven.app.screen, PruneDialog))
        assert {f"image {OLDER.name}", f"cache {DOWNLOADS.name}"} <= set(driven.table.keys)
        assert "Remove, 78 MiB" in driven.text
        assert "All downloads too, 355 MiB" in driven.text
        await driven.press(*answer, "enter")
        await driven.sees("2 leftovers removed")
    assert engine.pruned == [PruneRequest.model_validate({"cache": cache})]


async def test_why_something_goes_is_told_on_the_smallest_screen_too() -> None:
    engine = stocked()
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await driven.press("P")
        await driven.sees("no snapshot uses it")
        await driven.press("shift+tab", "down")
        await driven.sees("no build took it for 30 days")


async def test_where_nothing_is_left_over_pruning_says_so() -> None:
    engine = stocked()
    engine.leftover_list = {}
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await driven.press("P")
        await driven.sees("There is nothing to remove")
        assert not driven.app.screen.is_modal


async def test_a_viewer_is_offered_nothing_of_it() -> None:
    engine = stocked()
    engine.identity = VIEWER
    async with driving(console(engine), (120, 36)) as driven:
        for area, sign in (("3", "node22"), ("4", "✓ fits")):
            await driven.mode(area, sign)
            await driven.press("B", "U", "F", "P")
            await driven.pilot.pause()
            assert not driven.app.screen.is_modal
    assert not any("remote" in call or "load" in call or "left" in call for call in engine.calls)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("evil", ["\n".join(EVIL.values()), EVIL["markup"], EVIL["right to left"]])
async def test_evil_manifests_and_leftovers_are_harmless(evil: str, size: tuple[int, int]) -> None:
    engine = stocked()
    strange = f"strange {evil}"
    texts = dict.fromkeys(("name", "digest", "source", "problem"), strange)
    good = THERE[1].model_copy(update={"name": f"good {evil}", "languages": (strange,)})
    engine.remote_image_list = (good, THERE[1].model_copy(update={**texts, "languages": (strange,)}))
    texts = dict.fromkeys(("name", "language", "image", "image_digest", "vmm", "vmm_version", "accelerator"), strange)
    engine.remote_snapshot_list = tuple(each.model_copy(update=texts) for each in engine.remote_snapshot_list[:1])
    engine.leftover_list = {
        "bound": (OLDER.model_copy(update={"name": strange, "why": strange}),),
        "clear": (DOWNLOADS.model_copy(update={"name": strange, "why": strange}),),
    }

    def harmless() -> None:
        text = driven.text.replace("\n", "")
        assert plain(text) == text

    async with driving(console(engine), size) as driven:
        for area, sign in (("3", "node22"), ("4", "✓ fits")):
            await driven.mode(area, sign)
            await driven.press("B")
            await driven.sees(" in the bucket")
            driven.table.move_cursor(good.name if area == "3" else strange)
            for key in ("enter", "F", "P" if area == "3" else "enter"):
                await driven.press(key)
                await driven.until(lambda: driven.app.screen.is_modal, f"what {key} opens")
                harmless()
                await driven.press("escape")
                await driven.until(lambda: not driven.app.screen.is_modal)
            driven.table.move_cursor(strange)
            await driven.pilot.pause()
            harmless()
