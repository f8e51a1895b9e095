"""Asking a guest for a server: what it says of that is taken at its word only where the wire allows it."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import InternalError, NotReadyError, OutcomeUnknownError
from engine.guestlink.guest import Guest, Service, WireLimits
from guest import protocol
from guest.protocol import Frame

LIMITS = WireLimits(1, 2, 3, 4, 5, 6, 7, 8)
SERVICE = Service(["serve", "it"], ["ask"], {"A": "b"}, LIMITS, within_s=0.2)


class Agent:
    """Hears one request, and says what it was told to say, with the request's number in it."""

    def __init__(self, *said: tuple[str, dict[str, object]]) -> None:
        self._said = said
        self._to_host: asyncio.Queue[bytes] = asyncio.Queue()
        self.heard: list[Frame] = []

    async def read(self) -> bytes:
        return await self._to_host.get()

    async def write(self, data: bytes) -> None:
        self.heard += protocol.Decoder().feed(data)
        for kind, fields in self._said:
            self._to_host.put_nowait(protocol.encode(kind, self.heard[-1].op, **fields))

    async def close(self) -> None:
        """Nothing is open."""


async def test_it_is_asked_for_with_all_that_the_agent_has_to_know() -> None:
    agent = Agent((protocol.OK, {"serving": True}))
    await Guest(agent).serve(SERVICE)
    (asked,) = agent.heard
    assert asked.type == protocol.PREPARE
    assert asked.fields["server"] == {"start": ["serve", "it"], "ready": ["ask"], "within_ms": 200}
    assert (asked.fields["env"], asked.fields["limits"]) == ({"A": "b"}, LIMITS.fields())


async def test_why_it_does_not_serve_is_told_without_what_would_steer_a_terminal() -> None:
    agent = Agent((protocol.ERROR, {"code": protocol.REFUSED_SERVER, "message": "no \x1b[2J disk"}))
    with pytest.raises(NotReadyError) as refused:
        await Guest(agent).serve(SERVICE)
    assert "no \\x1b[2J disk" in refused.value.message
    assert refused.value.remedy


async def test_an_agent_that_knows_of_no_servers_is_not_taken_for_one_that_serves() -> None:
    with pytest.raises(InternalError, match="no server"):
        await Guest(Agent((protocol.OK, {}))).serve(SERVICE)


async def test_an_agent_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.guestlink.guest._SERVER_GRACE_S", 0.1)
    with pytest.raises(OutcomeUnknownError):
        await Guest(Agent()).serve(SERVICE)
