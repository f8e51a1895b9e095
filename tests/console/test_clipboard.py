"""Text goes to the terminal's clipboard when the operator asks, within bounds, and never as if that were sure."""

from __future__ import annotations

import base64

import pytest

from console.app import ConsoleApp
from console.clipboard import MOST_BYTES, Clip
from console.terminal import Terminal
from tests.console.driving import console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import typical


def sent_by(app: ConsoleApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the terminal besides what is painted, as it comes."""
    sent: list[str] = []
    assert app._driver is not None
    monkeypatch.setattr(app._driver, "write", lambda data: sent.append(data) if "]52;" in data else None)
    return sent


async def test_text_is_sent_as_base64_and_its_size_told(monkeypatch: pytest.MonkeyPatch) -> None:
    app = console(typical())
    async with driving(app) as driven:
        sent = sent_by(app, monkeypatch)
        app.copy("käse\n", "The code")
        await driven.sees("The code: 6 bytes sent to the")
        encoded = base64.b64encode("käse\n".encode()).decode()
        assert sent == [f"\x1b]52;c;{encoded}\x07"]
        assert "copied" not in driven.text.lower()
        assert "set-clipboard" not in driven.text


async def test_in_tmux_it_names_the_setting_that_tmux_needs() -> None:
    app = console(typical(), terminal=Terminal.of({"TMUX": "/tmp/tmux-0/default,1,0"}))
    async with driving(app) as driven:
        app.copy("x", "The code")
        await driven.sees("set-clipboard on")


async def test_what_no_terminal_takes_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    app = console(typical())
    async with driving(app) as driven:
        sent = sent_by(app, monkeypatch)
        app.copy("x" * (MOST_BYTES + 1), "The output")
        await driven.sees("Save")
        assert sent == []
        app.copy("x" * MOST_BYTES, "The output")
        await driven.until(lambda: sent)
        assert len(sent[0]) <= 100_000


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL)
def test_no_text_can_leave_its_sequence_or_act_as_keys_when_pasted(text: str) -> None:
    clip = Clip.of(text)
    body = clip.sequence.removeprefix("\x1b]52;c;").removesuffix("\x07")
    assert body.isascii()
    assert body.isprintable()
    pasted = base64.b64decode(body).decode()
    assert not [char for char in pasted if (ord(char) < 0x20 and char not in "\t\n") or 0x7F <= ord(char) < 0xA0]
    assert clip.dropped == len(text.replace("\r\n", "\n")) - len(clip.text)
