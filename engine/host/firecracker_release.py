"""Which releases of Firecracker can do the work, and what each can do."""

from __future__ import annotations

from engine.errors import NotReadyError

OLDEST = (1, 12)
FEATURES = {
    "vsock_override": (1, 16),
    "clock_realtime": (1, 16),
}
"""Optional fields of PUT /snapshot/load, by the first release that has them; older ones refuse what they don't know."""

BROKEN: dict[tuple[int, ...], str] = {
    (1, 16, 0): "the vsock of every clone of a snapshot is dead for good; 1.16.1 mended that"
}


def parsed(version: str) -> tuple[int, ...]:
    """As (1, 16, 1); what follows a dash (a build's own name) is left out. Raises NotReadyError."""
    try:
        return tuple(int(part) for part in version.split("-")[0].split("."))
    except ValueError:
        raise NotReadyError(
            f"{version[:50]!r} is no version of Firecracker", remedy="Use a released Firecracker."
        ) from None


def has(version: str, feature: str) -> bool:
    """Whether a release knows one of ``FEATURES``. Raises NotReadyError for what is no version."""
    return parsed(version) >= FEATURES[feature]


def refuse_unfit(version: str) -> None:
    """Raises NotReadyError for a release of Firecracker that can't do the work, with the reason."""
    found = parsed(version)
    if reason := BROKEN.get(found):
        raise NotReadyError(f"Firecracker {version} is not used: {reason}", remedy="Install another release.")
    if found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise NotReadyError(f"Firecracker {version} is too old", remedy=f"Install {oldest} or newer.")
