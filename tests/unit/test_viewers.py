"""Viewers of an engine are counted while they follow, and an engine that is there for them alone learns when to end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine import viewers as module
from engine.engine import Engine
from engine.models import EngineIdentity
from engine.settings import Settings
from engine.viewers import Viewers

IDENTITY = EngineIdentity(id="e-1", version="0", pid=1, host="here", data_dir="/data", serves="console")
GRACE_S = 0.05


def never() -> bool:
    return False


async def test_a_viewer_hears_the_identity_at_once() -> None:
    async with aclosing(Viewers(IDENTITY).follow()) as beats:
        heard = await anext(beats)
        assert heard == IDENTITY.model_copy(update={"now": heard.now})
        assert heard.now is not None
        assert abs(datetime.now(UTC) - heard.now) < timedelta(seconds=30)


async def test_it_hears_it_again_and_again_until_the_engine_closes(monkeypatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    viewers = Viewers(IDENTITY)
    heard = 0
    async for _ in viewers.follow():
        heard += 1
        if heard == 3:
            viewers.close()
    assert heard == 3


async def test_a_close_is_heard_without_waiting_for_the_next_beat() -> None:
    viewers = Viewers(IDENTITY)
    async with aclosing(viewers.follow()) as beats:
        await anext(beats)
        waiting = asyncio.ensure_future(anext(beats, None))
        viewers.close()
        assert await asyncio.wait_for(waiting, module.BEAT_S / 2) is None


async def test_an_engine_that_nobody_follows_and_that_does_nothing_is_needless_after_the_grace() -> None:
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(Viewers(IDENTITY).until_needless(never, GRACE_S), 10)
    assert asyncio.get_running_loop().time() - began >= GRACE_S


async def test_one_viewer_is_need_enough_and_its_leaving_begins_the_grace_anew() -> None:
    viewers = Viewers(IDENTITY)
    async with aclosing(viewers.follow()) as beats:
        await anext(beats)
        ending = asyncio.ensure_future(viewers.until_needless(never, GRACE_S))
        await asyncio.sleep(GRACE_S * 4)
        assert not ending.done()
    left = asyncio.get_running_loop().time()
    await asyncio.wait_for(ending, 10)
    assert asyncio.get_running_loop().time() - left >= GRACE_S


async def test_a_call_is_need_enough_until_it_is_answered() -> None:
    viewers = Viewers(IDENTITY)
    with viewers.need():
        ending = asyncio.ensure_future(viewers.until_needless(never, GRACE_S))
        await asyncio.sleep(GRACE_S * 4)
        assert not ending.done()
    answered = asyncio.get_running_loop().time()
    await asyncio.wait_for(ending, 10)
    assert asyncio.get_running_loop().time() - answered >= GRACE_S


async def test_work_under_way_is_need_enough() -> None:
    busy = asyncio.Event()
    busy.set()
    ending = asyncio.ensure_future(Viewers(IDENTITY).until_needless(busy.is_set, GRACE_S))
    await asyncio.sleep(GRACE_S * 4)
    assert not ending.done()
    busy.clear()
    await asyncio.wait_for(ending, 10)


async def test_each_opening_of_an_engine_has_an_id_of_its_own_and_its_end_ends_its_viewers(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run")
    ids: set[str] = set()
    for _ in range(2):
        async with Engine(settings, serves="daemon") as engine:
            beats = engine.attach()
            identity = await anext(beats)
            ids.add(identity.id)
            assert (identity.serves, identity.data_dir) == ("daemon", str(settings.data_dir))
        assert await asyncio.wait_for(anext(beats, None), 2) is None
    assert len(ids) == 2
