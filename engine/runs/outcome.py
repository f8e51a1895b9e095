"""From what guest and host saw of a run to the RunResult that the caller gets."""

from __future__ import annotations

import codecs
import io

from engine.errors import NotReadyError
from engine.guestlink.messages import Exit
from engine.models import CompileResult, RunStatus

TIMEOUT_CODE = 124  # as timeout(1)
KILLED_CODE = 137
_STATUS: dict[str, tuple[RunStatus, int | None]] = {
    "timeout": ("timeout", TIMEOUT_CODE),
    "cpu": ("timeout", TIMEOUT_CODE),
    "memory": ("memory_limit", KILLED_CODE),
    "output": ("output_limit", KILLED_CODE),
    "killed": ("killed", KILLED_CODE),
}


def verdict(end: Exit) -> tuple[RunStatus, int]:
    """Status and exit code of a program's end. Raises NotReadyError where it could not even be started."""
    if end.reason == "spawn":
        raise NotReadyError(
            f"The image can't run this language: {end.message}",
            remedy="Build the image anew: vmdeck rootfs build LANG",
        )
    if end.reason in _STATUS:
        status, code = _STATUS[end.reason]
        return status, code if code is not None else 0
    code = 128 + end.signal if end.signal is not None else end.code or 0
    return ("success" if code == 0 else "failed"), code


def duration_text(milliseconds: float) -> str:
    """As the system we replace wrote it: "34ms"."""
    return f"{round(milliseconds)}ms"


class Transcript:
    """Output of one program: whole text for the result, pieces for events. Bytes that are not UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {"stdout": decoder(errors="replace"), "stderr": decoder(errors="replace")}
        self._texts = {"stdout": io.StringIO(), "stderr": io.StringIO()}

    def add(self, stream: str, data: bytes) -> str:
        """The text that ``data`` completes; may be empty in the middle of a character."""
        text = self._decoders[stream].decode(data)
        self._texts[stream].write(text)
        return text

    def end(self) -> dict[str, str]:
        """What unfinished characters leave, per stream."""
        rest = {stream: decoder.decode(b"", final=True) for stream, decoder in self._decoders.items()}
        for stream, text in rest.items():
            self._texts[stream].write(text)
        return rest

    @property
    def stdout(self) -> str:
        return self._texts["stdout"].getvalue()

    @property
    def stderr(self) -> str:
        return self._texts["stderr"].getvalue()


def compile_result(transcript: Transcript, end: Exit, code: int) -> CompileResult:
    return CompileResult(
        stdout=transcript.stdout, stderr=transcript.stderr, exit_code=code, exec_time_ms=end.timings.exec_ms
    )
