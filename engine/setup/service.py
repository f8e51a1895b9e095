"""`vmdeck serve` as a service of systemd: its unit, and installing and removing it; the last step of setup too.

The unit's settings and their reasons are in docs/operations.md. A token never stands in it: it goes into a file of
mode 0600 that systemd reads.
"""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from engine.errors import ConflictError, InputError, NotReadyError
from engine.models import Value
from engine.rootfs.progress import Progress, silent
from engine.settings import Settings, config_dir, is_root
from engine.setup import undo
from engine.setup.base import Finding, Record, SetupContext, made
from engine.setup.ledger import Ledger
from engine.setup.placing import place
from engine.setup.systemd import has_systemd, runs_as, shown, systemctl
from engine.vmm import jail_uids

STEP = "service"
UNIT = "vmdeck.service"
UNIT_PATH = Path("/etc/systemd/system") / UNIT
TOKEN = "VMDECK_API_TOKEN"  # noqa: S105 - its name
_SYSTEM_DATA = Path("/var/lib/vmdeck")
_SYSTEM_RUNTIME = Path("/run/vmdeck")
_CLAIMS = jail_uids.CLAIMS.parent
_RUN = Path("/run")
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_PORTS_OF_ALL = 1024  # from here on without CAP_NET_BIND_SERVICE
_EXEC = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)


class ServiceState(Value):
    """The service as systemd has it."""

    installed: bool
    enabled: bool
    state: str
    pid: int | None = None


async def check(ctx: SetupContext) -> Finding:
    reason = _left_out(ctx)
    if reason is not None:
        return Finding(False, reason, skipped=True)
    text = unit_text(ctx.settings, _arguments(_installed()))
    state = await status()
    if _installed() == text and state.enabled:
        return Finding(True, f"{UNIT} is {state.state}")
    seen = f"{UNIT} is {'of another version or not enabled' if state.installed else 'not installed'}"
    return Finding(False, seen, (f"write {UNIT_PATH}", f"systemctl enable {UNIT}", f"systemctl start {UNIT}"))


async def apply(ctx: SetupContext, progress: Progress) -> None:
    await install(ctx.settings, ctx.record, _arguments(_installed()), progress=progress)


def refuse_inside() -> None:
    """Raises NotReadyError in the service itself: its unit keeps it from changing the host."""
    if runs_as(UNIT):
        raise NotReadyError(
            "The service may not change the host it runs on",
            remedy=f"Run: systemctl stop {UNIT}; vmdeck setup; systemctl start {UNIT}",
        )


async def install(
    settings: Settings, record: Record, arguments: Sequence[str] = (), *, token: str = "", progress: Progress = silent
) -> None:
    """Write the unit, enable it and start it; where it runs already it starts anew.

    ``arguments`` are those of `vmdeck serve`. ``token`` goes into the environment file. Raises NotReadyError without
    root or a running systemd: nothing is written then.
    """
    require_systemd()
    text = unit_text(settings, arguments)
    changed = _installed() != text
    if token:
        place(record, STEP, environment_file(), _assignment(TOKEN, token), 0o600)
    if changed:
        place(record, STEP, UNIT_PATH, text)
        progress(f"{UNIT_PATH}")
    await systemctl("daemon-reload")
    record(made(STEP, "service", UNIT))
    await systemctl("enable", UNIT, progress=progress)
    # Not waited for: an engine that runs setup holds the data folder, and the service starts once it has let go.
    await systemctl("restart" if changed or token else "start", "--no-block", UNIT, progress=progress)


async def remove(ledger: Ledger, progress: Progress = silent) -> None:
    """Stop and remove what ``install`` made. Raises NotReadyError, and ConflictError for a unit of another's."""
    require_systemd()
    ours = [trace for trace in ledger.traces() if trace.step == STEP]
    if not ours:
        if _installed() is not None:
            raise ConflictError(f"{UNIT_PATH} is not recorded as vmdeck's own", remedy="Remove it by hand")
        raise NotReadyError("The service is not installed", remedy="Nothing is to be done")
    await undo.undo(ledger, progress, ours)


async def status() -> ServiceState:
    """Raises NotReadyError where systemd does not run."""
    if not has_systemd():
        raise NotReadyError(
            "systemd does not run here, so there is no service", remedy="Run `vmdeck serve` under what runs here"
        )
    told = await shown(UNIT, "LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID")
    pid = int(told.get("MainPID") or 0)
    return ServiceState(
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


def environment_file() -> Path:
    return config_dir() / "service.env"


def require_systemd() -> None:
    """Raises NotReadyError naming what is missing."""
    if not has_systemd():
        raise NotReadyError(
            "systemd does not run here, so nothing was installed",
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


def _assignment(name: str, value: str) -> str:
    """A line of an environment file, systemd.exec(5). The value is never quoted in an error: it may be a secret."""
    if not value.isprintable():
        raise InputError(f"{name} has control characters", remedy="Use printable ones")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$")
    return f'{name}="{escaped}"\n'
