"""The stages of the way from a bare host to a first run, how they and steps can stand, and what enter can do there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """In the order of the walk."""

    WELCOME = "welcome"
    CHECKS = "checks"
    PLAN = "plan"
    APPLY = "apply"
    IMAGE = "image"
    SNAPSHOT = "snapshot"
    FIRST_RUN = "first-run"
    DONE = "done"


class State(StrEnum):
    """How a stage stands."""

    OPEN = "open"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"
    LEFT_OUT = "left out"


class Mark(StrEnum):
    """How a step stands."""

    DONE = "done"
    SKIPPED = "skipped"
    TO_DO = "to do"
    LEFT_OUT = "left out"
    HELD_UP = "held up"
    NOW = "doing"
    FAILED = "failed"


class Offer(StrEnum):
    """What enter does."""

    WAIT = "wait"
    NEXT = "next"
    APPLY = "apply"
    RETRY = "retry"
    MAKE = "make"
    IMAGE_FIRST = "image first"
    RUN = "run"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Need:
    """What a stage waits for, and the stage in which that is done."""

    title: str
    stage: Stage
