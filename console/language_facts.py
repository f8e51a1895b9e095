"""How a language stands on this host, and what its image costs, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from console.quantities import UNKNOWN, age, size
from console.states import Look
from engine.models import Language

WARM, BUILT = "warm", "built"
CAN_BE_BUILT, DOCKER_ONLY, NO_SOURCE = "can be built", "docker only", "no source"
STATES = {
    WARM: Look("✓", "warm", "success"),
    BUILT: Look("●", "built", "accent"),
    CAN_BE_BUILT: Look("○", "can be built", "muted"),
    DOCKER_ONLY: Look("○", "docker only", "muted"),
    NO_SOURCE: Look("✗", "no source", "muted"),
}
MEANINGS = {
    WARM: "runs start from a snapshot",
    BUILT: "has an image; runs boot cold, since no snapshot fits",
    CAN_BE_BUILT: "an image can be built from packages",
    DOCKER_ONLY: "an image can be built by a Docker engine only",
    NO_SOURCE: "the catalogue knows nothing that an image could be built from",
}


def state_of(language: Language) -> str:
    """A key of ``STATES``."""
    if language.ready:
        return WARM if language.warm else BUILT
    if not language.sources:
        return NO_SOURCE
    return CAN_BE_BUILT if "debian" in language.sources else DOCKER_ONLY


def version_number(said: str | None) -> str:
    """What a list has room for of a tool's own words: the first that looks like a version, else all of them."""
    if said is None:
        return UNKNOWN
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else said


def is_packages_only(language: Language) -> bool:
    """Whether it works in any image that has its Debian packages, so that it can be one more of another's. How an image
    is prepared besides is known to the engine alone, which refuses then."""
    own = (language.pypi, language.npm, language.suite)
    return bool(language.packages) and "debian" in language.sources and not any(own)


def costs_words(languages: Sequence[Language]) -> str:
    """What the images of several take together, as far as that was measured."""
    if len(languages) == 1:
        return cost_words(languages[0])
    measured = [one.measured for one in languages if one.measured is not None and cost_words(one)]
    if not measured:
        return ""
    room = size(sum(each.image_bytes or 0 for each in measured))
    time = age(sum(each.build_s or 0 for each in measured))
    return f"{room} on disk, built in {time}; {len(measured)} of {len(languages)} measured"


def cost_words(language: Language) -> str:
    """What its image takes where vmdeck's own tests measured it; empty where they did not."""
    measured = language.measured
    if measured is None:
        return ""
    room = f"{size(measured.image_bytes)} on disk" if measured.image_bytes is not None else ""
    time = f"built in {age(measured.build_s)}" if measured.build_s is not None else ""
    known = ", ".join(filter(None, (room, time)))
    return f"{known}, when last measured" if known else ""
