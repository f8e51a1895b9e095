"""`vmdeck serve` as a service of systemd: its unit, and installing and removing it; the last step of setup too.

The unit's settings and their reasons are in docs/operations.md. A token never stands in it: it goes into a file of
mode 0600 that systemd reads.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from engine.errors import ConflictError, InputError, NotReadyError
from engine.folders import config_dir, is_root
from engine.lock import held_by_this_process
from engine.models import Value
from engine.rootfs.progress import Progress, silent
from engine.rootfs.staging import in_thread
from engine.settings import Settings
from engine.setup import token, trusted, undo
from engine.setup.base import Finding, Notes, SetupContext, made
from engine.setup.ledger import Ledger
from engine.setup.placing import is_ours, place
from engine.setup.systemd import UNIT, has_systemd, shown, systemctl
from engine.vmm import jail_uids

STEP = "service"
UNIT_PATH = Path("/etc/systemd/system") / UNIT
_SYSTEM_DATA = Path("/var/lib/vmdeck")
_SYSTEM_RUNTIME = Path("/run/vmdeck")
_CLAIMS = jail_uids.CLAIMS.parent
_RUN = Path("/run")
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_PORTS_OF_ALL = 1024  # from here on without CAP_NET_BIND_SERVICE
_START_S = 10.0
_LOOK_AGAIN_S = 0.2
_EXEC = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)


class UnitState(Value):
    """The service as systemd has it."""

    installed: bool
    enabled: bool
    state: str
    pid: int | None = None

    @property
    def runs(self) -> bool:
        return self.state.startswith("active ")

    @property
    def failed(self) -> bool:
        return self.state.startswith("failed ")

    @property
    def tries(self) -> bool:
        """Whether it runs or is about to, be it after failures."""
        return self.runs or self.state.startswith("activating ")


async def check(ctx: SetupContext) -> Finding:
    """An engine that holds the data folder itself keeps the service from it; it starts once this one has ended."""
    reason = _left_out(ctx)
    if reason is not None:
        return Finding(False, reason, skipped=True)
    text = unit_text(ctx.settings, _arguments(_installed()))
    state = await status()
    start = f"systemctl start {UNIT}"
    if _installed() != text or not state.enabled:
        seen = f"{UNIT} is {'of another version or not enabled' if state.installed else 'not installed'}"
        return Finding(False, seen, (f"write {UNIT_PATH}", f"systemctl enable {UNIT}", start))
    if state.tries and held_by_this_process(ctx.settings.lock_path):
        return Finding(True, f"{UNIT} is installed, and starts when this engine has ended")
    if state.runs:
        return Finding(True, f"{UNIT} is {state.state}")
    return Finding(False, f"{UNIT} is {state.state}: `journalctl -u {UNIT}` says why", (start,))


async def verify(ctx: SetupContext) -> Finding:
    """The service as it is after at most ten seconds: systemd was not waited for."""
    deadline = time.monotonic() + _START_S
    finding = await check(ctx)
    while not finding.settled and time.monotonic() < deadline and not (await status()).failed:
        await asyncio.sleep(_LOOK_AGAIN_S)  # systemctl has no way to wait for another's job
        finding = await check(ctx)
    return finding


async def apply(ctx: SetupContext, progress: Progress) -> None:
    # Whoever may write the program was looked at by the check, and an installed one is there by the operator's will.
    await install(ctx.settings, ctx, _arguments(_installed()), anyway=True, progress=progress)


async def install(
    settings: Settings,
    notes: Notes,
    arguments: Sequence[str] = (),
    *,
    api_token: str = "",
    anyway: bool = False,
    progress: Progress = silent,
) -> None:
    """Write the unit, enable it and start it; where it runs already it starts anew.

    ``arguments`` are those of `vmdeck serve`. ``api_token`` goes into the environment file. Nothing is written on
    NotReadyError (no root, no running systemd, without ``anyway`` a program that others may write) and ConflictError
    (a unit or token of the operator's).
    """
    require_systemd()
    if not anyway and (place_of_others := open_program()) is not None:
        raise NotReadyError(
            f"{place_of_others} may be written by others than root, and the service would run as root what they write",
            remedy="Install vmdeck where only root writes, such as below /opt; or, if you trust them, give --anyway",
        )
    text = unit_text(settings, arguments)
    changed = _installed() != text
    if changed and _installed() is not None and not await in_thread(is_ours, notes, UNIT_PATH):
        raise ConflictError(f"{UNIT_PATH} is not recorded as vmdeck's own", remedy="Move it away, then try again")
    if api_token:
        await in_thread(token.put, notes, STEP, environment_file(), api_token)
    if changed:
        await in_thread(place, notes, STEP, UNIT_PATH, text)
        progress(f"{UNIT_PATH}")
    await systemctl("daemon-reload")
    await in_thread(notes.record, made(STEP, "service", UNIT))
    await systemctl("enable", UNIT, progress=progress)
    if (await status()).failed:  # too often in a short time, which would refuse a start too
        await systemctl("reset-failed", UNIT, progress=progress)
    # Not waited for: an engine that runs setup holds the data folder, and the service starts once it has let go.
    await systemctl("restart" if changed or api_token else "start", "--no-block", UNIT, progress=progress)


async def remove(ledger: Ledger, progress: Progress = silent) -> None:
    """Stop and remove what ``install`` made. Raises NotReadyError, and ConflictError for a unit of another's."""
    require_systemd()
    ours = [trace for trace in ledger.traces() if trace.step == STEP]
    if not ours:
        if _installed() is not None:
            raise ConflictError(f"{UNIT_PATH} is not recorded as vmdeck's own", remedy="Remove it by hand")
        raise NotReadyError("The service is not installed", remedy="Nothing is to be done")
    await undo.undo(ledger, progress, ours)


async def status() -> UnitState:
    """Raises NotReadyError where systemd does not run."""
    if not has_systemd():
        raise NotReadyError(
            "systemd does not run here, so there is no service", remedy="Run `vmdeck serve` under what runs here"
        )
    told = await shown(UNIT, "LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID")
    pid = int(told.get("MainPID") or 0)
    return UnitState(
        installed=told.get("LoadState") == "loaded",
        enabled=told.get("UnitFileState") == "enabled",
        state=f"{told.get('ActiveState', 'unknown')} ({told.get('SubState', '')})",
        pid=pid or None,
    )


def unit_text(settings: Settings, arguments: Sequence[str] = ()) -> str:
    """The unit for the vmdeck that runs this. Raises NotReadyError where it can't be found."""
    program = own_program()
    environment = {
        "VMDECK_CONFIG_DIR": (config_dir(), Path("/etc/vmdeck")),
        "VMDECK_DATA_DIR": (settings.data_dir, _SYSTEM_DATA),
        "VMDECK_RUNTIME_DIR": (settings.runtime_dir, _SYSTEM_RUNTIME),
    }
    folders = [f"Environment={_quoted(f'{name}={own}')}" for name, (own, usual) in environment.items() if own != usual]
    writable = [settings.data_dir]
    runtime = [_CLAIMS]  # of all engines on this host, wherever their runtime folders are
    (runtime if _is_made_by_systemd(settings.runtime_dir) else writable).append(settings.runtime_dir)
    names = " ".join(_quoted(str(path.relative_to(_RUN))) for path in runtime)
    # Kept when the service stops: an engine that starts meanwhile must find the same lock file.
    folders += [f"RuntimeDirectory={names}", "RuntimeDirectoryMode=0700", "RuntimeDirectoryPreserve=yes"]
    at_home = any(path.is_relative_to(home) for path in (program, _interpreter(), *writable) for home in _HOMES)
    template = Template((files("engine.setup") / UNIT).read_text())
    return template.substitute(
        command=" ".join(_quoted(part).replace("$", "$$") for part in (str(program), "serve", *arguments)),
        environment_file=str(environment_file()).replace("%", "%%"),
        folders="\n".join(folders),
        capabilities="CapabilityBoundingSet=CAP_NET_BIND_SERVICE" if _has_low_port(arguments) else "",
        writable=" ".join(_quoted(str(path)) for path in writable),
        protect_home="read-only" if at_home else "yes",
    )


def _has_low_port(arguments: Sequence[str]) -> bool:
    """Whether `vmdeck serve` with ``arguments`` listens where only the privileged may."""
    return any(
        name == "--port" and value.isdecimal() and 0 < int(value) < _PORTS_OF_ALL
        for name, value in itertools.pairwise(arguments)
    )


def _is_made_by_systemd(runtime_dir: Path) -> bool:
    """A folder below /run is gone after a boot; those of users are made by others."""
    return runtime_dir.is_relative_to(_RUN) and not runtime_dir.is_relative_to(_RUN / "user")


def own_program() -> Path:
    """The vmdeck command of this installation. Raises NotReadyError."""
    beside = Path(sys.executable).with_name("vmdeck")
    found = str(beside) if beside.exists() else shutil.which("vmdeck")
    if found is None:
        raise NotReadyError("The vmdeck command is not beside its Python nor on PATH", remedy="Install vmdeck anew")
    return Path(found)


def open_program() -> Path | None:
    """A file or folder by which others than root may change what the service runs, None where there is none."""
    return trusted.open_to_others(trusted.program_files(own_program()))


def environment_file() -> Path:
    return config_dir() / "service.env"


def require_systemd() -> None:
    """Raises NotReadyError naming what is missing."""
    if not has_systemd():
        raise NotReadyError(
            "systemd does not run here, so there is no service to install or to remove",
            remedy="`vmdeck service install --print` shows the unit; run `vmdeck serve` under what runs here",
        )
    if not is_root():
        raise NotReadyError("A service of the system needs root", remedy="Run it with sudo")


def _left_out(ctx: SetupContext) -> str | None:
    """Why setup does not install the service here, None where it does."""
    if STEP in ctx.options.skip:
        return "left out, as asked"
    if not has_systemd():
        return "systemd does not run here"
    if not is_root():
        return "a service of the system needs root; `vmdeck serve` runs as any user"
    if ctx.settings.data_dir != _SYSTEM_DATA:
        return f"the service is for {_SYSTEM_DATA}; `vmdeck service install` makes one for {ctx.settings.data_dir}"
    if _installed() is None and (place_of_others := open_program()) is not None:
        risk = f"{place_of_others} may be written by others than root, and the service would run it as root"
        return f"{risk}; `vmdeck service install --anyway` installs it all the same"
    return None


def _installed() -> str | None:
    try:
        return UNIT_PATH.read_text()
    except OSError:
        return None


def _arguments(unit: str | None) -> tuple[str, ...]:
    """What the operator gave to `vmdeck serve` in an installed unit, so that setup keeps it."""
    match = _EXEC.search(unit or "")
    words = shlex.split(match[1].replace("$$", "$").replace("%%", "%")) if match else []
    return tuple(words[2:])


def _interpreter() -> Path:
    return Path(sys.executable).resolve()


def _quoted(text: str) -> str:
    """As systemd.syntax(7) wants a word that may hold anything. Raises InputError for control characters."""
    if not text.isprintable():
        raise InputError(f"{text!r} can't stand in a unit", remedy="Use a path of printable characters")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[^\w@%+=:,./-]", text) else escaped
