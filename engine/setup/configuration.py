"""The step that writes down in config.toml what the operator chose in setup, leaving all other lines as they are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from engine.errors import NotReadyError
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.settings import config_dir
from engine.setup.base import Finding, SetupContext, made
from engine.setup.placing import place, write_whole

STEP = "settings"
KEY = "vmm"
_LINE = re.compile(rf"^{KEY}\s*=.*\n?", re.MULTILINE)
_TABLE = re.compile(r"^\s*\[", re.MULTILINE)


async def check(ctx: SetupContext) -> Finding:
    wanted = ctx.options.vmm
    if wanted == "auto":
        return Finding(True, f"{KEY} is {ctx.settings.vmm}")
    path = config_file()
    written = _parsed(_text(path), path).get(KEY)
    if written == wanted:
        return Finding(True, f"{KEY} is {wanted}")
    seen = f"{path} does not set {KEY}" if written is None else f"{path} sets {KEY} to {written}"
    return Finding(False, seen, (f"write {line(wanted)} into {path}",))


async def apply(ctx: SetupContext, progress: Progress) -> None:
    path = config_file()
    text = _text(path)
    if text is None:
        await in_thread(place, ctx, STEP, path, line(ctx.options.vmm) + "\n")
    else:
        before = _parsed(text, path).get(KEY)
        ctx.record(made(STEP, "setting", line(ctx.options.vmm), before=before if isinstance(before, str) else None))
        rewrite(path, with_value(text, ctx.options.vmm))
    progress(f"{path}: {line(ctx.options.vmm)}; a running daemon reads it when it starts again")


def config_file() -> Path:
    return config_dir() / "config.toml"


def line(value: str) -> str:
    """The line that sets the VMM."""
    return f'{KEY} = "{value}"'


def with_value(text: str, value: str | None) -> str:
    """``text`` with the VMM set to ``value``, or not set for None; nothing else differs. Raises NotReadyError."""
    table = _TABLE.search(text)
    end = table.start() if table else len(text)
    top, tables = text[:end], text[end:]
    entry = f"{line(value)}\n" if value is not None else ""
    changed = (_LINE.sub(lambda _: entry, top, count=1) if _LINE.search(top) else entry + top) + tables
    wanted = {key: each for key, each in _parsed(text, config_file()).items() if key != KEY}
    if value is not None:
        wanted[KEY] = value
    if _parsed(changed, config_file()) != wanted:
        raise NotReadyError(
            f"{config_file()} is written in a way that setup can't change safely", remedy=f"Write {entry.strip()} there"
        )
    return changed


def rewrite(path: Path, text: str) -> None:
    """Replace the file, keeping its mode. Raises NotReadyError."""
    try:
        write_whole(path, text.encode(), path.stat().st_mode & 0o777)
    except OSError as error:
        raise NotReadyError(f"{path} can't be written: {error.strerror}", remedy="Run as its owner") from error


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise NotReadyError(f"{path} can't be read: {error}", remedy="Mend or remove it") from error


def _parsed(text: str | None, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as error:
        raise NotReadyError(f"{path} can't be read: {error}", remedy=f"Mend or remove {path}") from error
