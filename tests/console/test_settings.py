"""Settings: what an operator sees of them, changes, and asks of the service; and that nothing is told unasked."""

from __future__ import annotations

import pytest

from console.screens import token
from console.screens.token import TokenDialog
from console.widgets.line_table import LineTable
from engine.errors import InputError, NotReadyError
from engine.models import Setting
from tests.console.driving import Driven, console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import FakeEngine, typical
from tests.console.settings_samples import RUNNING, SETTINGS

TOKEN = "s3cret-t0ken"


def served() -> FakeEngine:
    """An engine that a service of systemd keeps open."""
    engine = typical()
    engine.service_state = RUNNING
    engine.token = TOKEN
    return engine


async def opened(driven: Driven, at: str = "data_dir") -> None:
    """Go to the settings, onto one of them."""
    await driven.mode("9", "7 settings")
    await driven.sees("systemd does not run" if not driven.app.screen._service.systemd else "process 812")
    driven.app.screen.query_one(LineTable).move_cursor(at)
    await driven.pilot.pause()


async def test_each_setting_shows_its_origin_and_what_waits() -> None:
    async with driving(console(served())) as driven:
        await opened(driven)
        for text in (
            "○ environment",
            "· default",
            "● file",
            "○ flag",
            "→ 8, now 2",
            "1 → after the engine's next start",
        ):
            assert text in driven.text


async def test_the_detail_says_where_from_and_why_it_is_fixed() -> None:
    async with driving(console(served())) as driven:
        await opened(driven)
        await driven.press("enter")
        await driven.sees("kernels, images, snapshots, history")
        assert "VMDECK_DATA_DIR goes before /etc/vmdeck/config.toml" in driven.text
        assert "/var/lib/vmdeck" in driven.text


async def test_a_value_is_written_and_then_waits_for_the_next_start() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven, "max_queued")
        await driven.press("e")
        await driven.sees("runs that may wait")
        await driven.press("backspace", "backspace", *"100", "enter")
        await driven.sees("→ 100, now 64")
    assert engine.set_values == [("max_queued", "100")]


async def test_what_is_wrong_with_a_value_is_shown_in_place_and_can_be_mended() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven, "max_queued")
        await driven.press("e")
        await driven.sees("default: 32")
        engine.failing = InputError("max_queued: Input should be a valid integer", remedy="Its default is 32")
        await driven.press(*"x", "enter")
        await driven.sees("should be a valid integer")
        await driven.sees("Its default is 32")
        assert driven.app.screen.is_modal
        engine.failing = None
        await driven.press("backspace", *"64", "enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
    assert engine.set_values == [("max_queued", "64")]


async def test_empty_is_a_value_too() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven, "max_queued")
        await driven.press("e", "backspace", "enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
    assert engine.set_values == [("max_queued", "")]


async def test_a_setting_with_choices_is_picked_from_them() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven, "vmm")
        await driven.press("e")
        await driven.sees("firecracker")
        await driven.press(*"qemu", "enter")
        await driven.sees("→ qemu, now auto")
    assert engine.set_values == [("vmm", "qemu")]


async def test_leaving_the_form_changes_nothing() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven, "max_queued")
        await driven.press("e", *"9", "escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
    assert engine.set_values == []


async def test_unset_asks_first_and_names_the_default() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven, "max_queued")
        await driven.press("U")
        await driven.sees("default: 32.")
        await driven.press("enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert engine.set_values == []
        await driven.press("U", "tab", "enter")
        await driven.until(lambda: engine.set_values == [("max_queued", None)])


@pytest.mark.parametrize(("at", "key"), [("data_dir", "e"), ("data_dir", "U"), ("jail", "e"), ("vmm", "U")])
async def test_what_can_not_be_changed_is_not_asked_for(at: str, key: str) -> None:
    async with driving(console(served())) as driven:
        await opened(driven, at)
        await driven.press(key)
        assert not driven.app.screen.is_modal


async def test_a_failed_change_says_why() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven, "vmm")
        await driven.press("e")
        await driven.sees("firecracker")
        engine.failing = NotReadyError("/etc/vmdeck can't be written", remedy="Run as its owner")
        await driven.press(*"qemu", "enter")
        await driven.sees("/etc/vmdeck can't be written")
        await driven.sees("Run as its owner")


# --- token


async def test_the_token_is_asked_for_and_shown_only_after_a_question() -> None:
    engine = served()
    async with driving(console(engine)) as driven:
        await opened(driven)
        await driven.press("t")
        await driven.sees("Show the API token?")
        await driven.press("enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert "api_token" not in engine.calls
        await driven.press("t", "tab", "enter")
        await driven.sees(TOKEN)
        await driven.press("escape")
        await driven.sees_no(TOKEN)


async def test_the_token_hides_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token, "SHOWN_S", 2.0)
    async with driving(console(served())) as driven:
        await opened(driven)
        await driven.press("t", "tab", "enter")
        await driven.until(lambda: isinstance(driven.app.screen, TokenDialog))
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert TOKEN not in driven.text


async def test_the_token_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    app = console(served())
    copied: list[tuple[str, str]] = []
    monkeypatch.setattr(app, "copy", lambda text, what: copied.append((text, what)), raising=False)
    async with driving(app) as driven:
        await opened(driven)
        await driven.press("t", "tab", "enter")
        await driven.sees(TOKEN)
        await driven.press("tab", "enter")
        await driven.until(lambda: copied == [(TOKEN, "token")])
        await driven.sees_no(TOKEN)


async def test_without_a_token_there_is_none_to_show() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await opened(driven)
        assert "no token" in driven.text
        await driven.press("t")
        assert not driven.app.screen.is_modal


# --- service


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("stop", "a console that is attached to it loses its engine"),
        ("restart", "until the daemon is back"),
        ("disable", "What runs goes on"),
    ],
)
async def test_the_service_is_steered_after_a_question_that_says_what_ends(action: str, said: str) -> None:
    engine = served()
    async with driving(console(engine), (120, 36)) as driven:
        await opened(driven)
        await driven.press("d", *action, "enter")
        await driven.sees(f"{action.title()} the service?")
        assert said in " ".join(driven.text.replace("│", " ").split())
        await driven.press("enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert engine.service_calls == []
        await driven.press("d", *action, "enter")
        await driven.sees(f"{action.title()} the service?")
        await driven.press("tab", "enter")
        await driven.until(lambda: engine.service_calls == [action])


async def test_where_systemd_does_not_run_it_says_so_and_offers_nothing() -> None:
    async with driving(console(typical())) as driven:
        await opened(driven)
        await driven.press("d")
        assert not driven.app.screen.is_modal


@pytest.mark.parametrize("key", ["e", "U", "d", "t"])
async def test_read_only_refuses_what_changes_or_reveals(key: str) -> None:
    engine = served()
    async with driving(console(engine, read_only=True)) as driven:
        await opened(driven, "max_queued")
        await driven.press(key)
        assert not driven.app.screen.is_modal


@pytest.mark.parametrize("evil", [EVIL["markup"], EVIL["window title"], EVIL["right to left"]])
async def test_evil_settings_are_shown_harmlessly(evil: str) -> None:
    engine = served()
    texts = dict.fromkeys(("name", "value", "default", "source", "about", "why_not", "pending"), evil)
    engine.setting_list = (Setting.model_validate(SETTINGS[0].model_dump() | texts),)
    engine.service_state = RUNNING.model_copy(update={"seen": evil, "addresses": (evil,)})
    engine.token = evil
    async with driving(console(engine), (200, 50)) as driven:
        await driven.mode("9", "1 setting")
        for keys in ((), ("enter",), ("escape", "t", "tab", "enter")):
            await driven.press(*keys)
            await driven.pilot.pause()
            assert "\x1b" not in driven.text
            assert "\u202e" not in driven.text
