"""What can be copied from a buffer, and the text that each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.outcome import Outcome
from console.quantities import count
from console.scratch.lines import DEFAULT_ADDRESS, ShellLine, command_line, curl_line
from engine.models import RunRequest


@dataclass(frozen=True, slots=True)
class Copy:
    key: str
    title: str
    about: str


COPIES = (
    Copy("code", "Code", "the file in the editor"),
    Copy("output", "Output", "of the last run"),
    Copy("curl", "curl line", "this request for the HTTP API, the token as $VMDECK_API_TOKEN"),
    Copy("cli", "CLI line", "this request as vmdeck host"),
)


def shell_line(key: str, request: RunRequest, addresses: Sequence[str] = ()) -> ShellLine:
    """``addresses`` are those where the engine listens, as ``ServiceState`` has them; HTTP is preferred."""
    if key == "cli":
        return command_line(request)
    http = [address for address in addresses if address.startswith("http")]
    return curl_line(request, next(iter((*http, *addresses)), DEFAULT_ADDRESS))


def output_text(outcome: Outcome) -> tuple[str, tuple[str, ...]]:
    """What was printed, as far as it is kept, and what is missing of it; several runs have a line between them."""
    texts: list[str] = []
    missing: list[str] = []
    for run in outcome.runs:
        if outcome.kind != "run":
            texts.append(f"--- {run.label}\n")
        texts += [text for stream, text in run.log.pieces() if stream != "note"]
        if texts[-1:] and not texts[-1].endswith("\n") and outcome.kind != "run":
            texts.append("\n")
        if run.log.dropped:
            missing.append(f"{count(run.log.dropped, 'earlier line')} that are not kept")
    return "".join(texts), tuple(missing)
