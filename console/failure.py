"""A failure as the operator sees it: what happened, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import VmdeckError

_FAULT_REMEDY = "This is a fault of vmdeck. Please report it with what you did before; the console goes on."


@dataclass(frozen=True, slots=True)
class Failure:
    title: str
    message: str
    remedy: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Any error, ours or not; texts are still untrusted."""
        if isinstance(error, VmdeckError):
            return cls(error.title, error.message, error.remedy)
        return cls("Internal fault", f"{type(error).__name__}: {error}", _FAULT_REMEDY)
