"""The step that installs completion for the shells of this host: for all users as root, else for the one who asks.

The scripts only call vmdeck, which answers by itself with what may come next (Typer's completion protocol).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.rootfs import command
from engine.rootfs.progress import Progress
from engine.settings import is_root
from engine.setup.base import Finding, SetupContext
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
    """A shell, the script, and where it looks for such: below /usr/share, and below a user's data folder."""

    program: str
    script: str
    system: str
    user: str

    @property
    def path(self) -> Path:
        if is_root():
            return SYSTEM / self.system
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / self.user

    @property
    def is_current(self) -> bool:
        try:
            return self.path.read_text() == self.script
        except OSError:
            return False


_BASH_PATH = "bash-completion/completions/vmdeck"
_FISH_PATH = "fish/vendor_completions.d/vmdeck.fish"
SHELLS = (
    Shell("bash", _BASH, _BASH_PATH, _BASH_PATH),
    Shell("zsh", _ZSH, "zsh/site-functions/_vmdeck", "zsh/site-functions/_vmdeck"),
    Shell("fish", _FISH, _FISH_PATH, _FISH_PATH),
)


async def check(ctx: SetupContext) -> Finding:
    here = _here()
    if not here:
        return Finding(False, f"no {', '.join(shell.program for shell in SHELLS)} here", skipped=True)
    missing = [shell for shell in here if not shell.is_current]
    if missing:
        names = ", ".join(shell.program for shell in missing)
        return Finding(False, f"not there for {names}", tuple(f"write {shell.path}" for shell in missing))
    return Finding(True, f"there for {', '.join(shell.program for shell in here)}")


async def apply(ctx: SetupContext, progress: Progress) -> None:
    for shell in _here():
        if not shell.is_current:
            place(ctx, STEP, shell.path, shell.script)
            progress(f"{shell.path}")


def _here() -> list[Shell]:
    return [shell for shell in SHELLS if command.find(shell.program) is not None]
