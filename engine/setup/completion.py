"""The step that installs completion for the shells of this host: for all users as root, else for the one who asks.

The scripts only call vmdeck, which answers by itself with what may come next (Typer's completion protocol).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.folders import is_root
from engine.rootfs import command
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.setup.base import Finding, SetupContext
from engine.setup.distribution import Distribution
from engine.setup.placing import place

STEP = "completion"
SYSTEM = Path("/usr/share")
_BASH = """\
_vmdeck_completion() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _VMDECK_COMPLETE=complete_bash "$1" ) )
}
complete -o default -F _vmdeck_completion vmdeck
"""
_ZSH = """\
#compdef vmdeck
eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _VMDECK_COMPLETE=complete_zsh vmdeck)
"""
_FISH_CALL = (
    "_VMDECK_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION={} _TYPER_COMPLETE_ARGS=(commandline -cp) vmdeck"
)
_FISH = (
    f'complete --command vmdeck --no-files --arguments "(env {_FISH_CALL.format("get-args")})" '
    f'--condition "env {_FISH_CALL.format("is-args")}"\n'
)


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell, the script, and where it looks for such: below /usr/share, and below a user's data folder.

    ``user`` is None where a user has to name such a folder in the shell's settings, which are not setup's to change.
    ``debian`` is the place below /usr/share that Debian and its kin read instead.
    """

    program: str
    script: str
    system: str
    user: str | None
    debian: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where the script of a shell of this host belongs."""

    shell: Shell
    path: Path

    @property
    def is_current(self) -> bool:
        try:
            return self.path.read_text() == self.shell.script
        except OSError:
            return False


_BASH_PATH = "bash-completion/completions/vmdeck"
_BASH_LOADER = "bash-completion/bash_completion"  # without it bash reads none of these scripts
_FISH_PATH = "fish/vendor_completions.d/vmdeck.fish"
SHELLS = (
    Shell("bash", _BASH, _BASH_PATH, _BASH_PATH),
    Shell("zsh", _ZSH, "zsh/site-functions/_vmdeck", None, debian="zsh/vendor-completions/_vmdeck"),
    Shell("fish", _FISH, _FISH_PATH, _FISH_PATH),
)


async def check(ctx: SetupContext) -> Finding:
    targets = _targets()
    if not targets:
        return Finding(False, f"no {', '.join(shell.program for shell in SHELLS)} here{_advice()}", skipped=True)
    if missing := [target for target in targets if not target.is_current]:
        would = tuple(f"write {target.path}" for target in missing)
        return Finding(False, f"not there for {_names(missing)}{_advice()}", would)
    return Finding(True, f"there for {_names(targets)}{_advice()}")


async def apply(ctx: SetupContext, progress: Progress) -> None:
    for target in _targets():
        if not target.is_current:
            await in_thread(place, ctx, STEP, target.path, target.shell.script)
            progress(f"{target.path}")


def _targets() -> list[Target]:
    return [Target(shell, path) for shell in _here() if (path := _path(shell)) is not None]


def _path(shell: Shell) -> Path | None:
    if is_root():
        own = shell.debian if shell.debian and Distribution.here().by_package else shell.system
        return SYSTEM / own
    if shell.user is None:
        return None
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / shell.user


def _advice() -> str:
    """What is the operator's to do before the scripts have effect."""
    here = {shell.program for shell in _here()}
    lines: list[str] = []
    if "bash" in here and not (SYSTEM / _BASH_LOADER).exists():
        lines.append("bash reads it with the package bash-completion, which is not here")
    if "zsh" in here and not is_root():
        lines.append("for zsh it is installed by root alone")
    return "".join(f"; {line}" for line in lines)


def _names(targets: list[Target]) -> str:
    return ", ".join(target.shell.program for target in targets)


def _here() -> list[Shell]:
    return [shell for shell in SHELLS if command.find(shell.program) is not None]
