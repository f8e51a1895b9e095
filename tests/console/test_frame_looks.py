"""How the frame looks out of the ordinary: no engine, a lost one, one elsewhere that may only be read, a jump."""

from __future__ import annotations

import pytest

from console import connection as connection_module
from console.connection import ConnectionState
from engine.errors import InternalError
from tests.console.conftest import Looks
from tests.console.driving import Before, Driven, console, steps
from tests.console.fake_engine import IDENTITY, FakeEngine, typical

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}
ENDED = InternalError(
    "The engine ended before it was ready: OSError: [Errno 28] No space left on device",
    remedy="Its log is /run/vmdeck/engine.log; what `vmdeck serve` says may tell more",
)


def lost(engine: FakeEngine) -> Before:
    async def before(driven: Driven) -> None:
        await steps((["2"], "5 VMs"))(driven)
        driven.app.screen._data_age = lambda: "12 s"  # type: ignore[attr-defined, method-assign]
        engine.gone.set()
        await driven.until(lambda: driven.app.connection.state is ConnectionState.LOST)
        await driven.sees("12 s")

    return before


async def failed(driven: Driven) -> None:
    await driven.sees("no engine")


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_lost(looks_as_before: Looks, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "RETRY_AFTER_S", (3600.0,))
    engine = typical()
    assert looks_as_before(console(engine), size=size, before=lost(engine))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_no_engine(looks_as_before: Looks, size: tuple[int, int]) -> None:
    engine = typical()
    engine.opening = ENDED
    assert looks_as_before(console(engine), size=size, before=failed)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_read_only_elsewhere(looks_as_before: Looks, size: tuple[int, int]) -> None:
    engine = typical()
    app = console(engine, read_only=True)
    app.host = "my-laptop"
    assert looks_as_before(app, size=size, before=steps((["2"], "5 VMs")))


def test_own_engine(looks_as_before: Looks) -> None:
    engine = typical()
    engine.identity = IDENTITY.model_copy(update={"serves": "console"})
    app = console(engine)
    assert looks_as_before(app, size=(200, 50), before=steps((["2"], "5 VMs")))


def test_jump(looks_as_before: Looks) -> None:
    assert looks_as_before(
        console(typical()), before=steps((["2"], "5 VMs"), (["colon", *"snap", "space", *"py"], "show only: py"))
    )
