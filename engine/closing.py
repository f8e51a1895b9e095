"""Closing an engine's event iterators: what ends the VM of a run that nobody watches any more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TypeVar, cast

T = TypeVar("T")


def closing(events: AsyncIterator[T]) -> AbstractAsyncContextManager[AsyncIterator[T]]:
    """Close what EngineApi's ``stream`` or ``job_events`` gave on every way out; they are async generators."""
    return aclosing(cast("AsyncGenerator[T]", events))
