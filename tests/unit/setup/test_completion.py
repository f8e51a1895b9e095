from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.rootfs.progress import silent
from engine.setup import completion
from engine.setup.base import SetupContext
from engine.setup.ledger import Ledger
from engine.setup.undo import undo
from tests.unit.setup.conftest import Commands

SHELLS = {shell.program: shell for shell in completion.SHELLS}


async def test_each_shell_of_this_host_gets_its_script_and_undo_takes_it_back(
    ctx: SetupContext, ledger: Ledger, host_files: Path
) -> None:
    assert not (await completion.check(ctx)).done
    await completion.apply(ctx, silent)
    assert (await completion.check(ctx)).done
    await undo(ledger)
    assert not host_files.exists()


async def test_a_user_gets_it_in_a_folder_of_their_own(
    ctx: SetupContext, monkeypatch: pytest.MonkeyPatch, host_files: Path
) -> None:
    monkeypatch.setattr(completion, "is_root", lambda: False)
    await completion.apply(ctx, silent)
    assert (host_files / "home/share/bash-completion/completions/vmdeck").is_file()


@pytest.fixture
def zsh(commands: Commands) -> None:
    commands.add("zsh")


@pytest.mark.usefixtures("zsh")
@pytest.mark.parametrize(("debian", "folder"), [(True, "vendor-completions"), (False, "site-functions")])
async def test_zsh_gets_it_where_the_distributions_zsh_looks(
    debian: bool, folder: str, ctx: SetupContext, monkeypatch: pytest.MonkeyPatch, host_files: Path
) -> None:
    monkeypatch.setattr(completion, "is_root", lambda: True)
    name = "debian" if debian else "fedora"
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": name})
    await completion.apply(ctx, silent)
    assert (host_files / "usr/share/zsh" / folder / "_vmdeck").is_file()


@pytest.mark.usefixtures("zsh")
async def test_what_the_operator_has_to_do_for_a_shell_is_told(
    ctx: SetupContext, monkeypatch: pytest.MonkeyPatch, host_files: Path
) -> None:
    monkeypatch.setattr(completion, "is_root", lambda: False)
    await completion.apply(ctx, silent)
    finding = await completion.check(ctx)
    assert finding.done
    assert "bash-completion, which is not here" in finding.seen
    assert "for zsh it is installed by root alone" in finding.seen
    assert not list(host_files.rglob("_vmdeck"))
    (host_files / "usr/share/bash-completion").mkdir(parents=True)
    (host_files / "usr/share/bash-completion/bash_completion").touch()
    assert "which is not here" not in (await completion.check(ctx)).seen


@pytest.mark.parametrize(
    ("program", "asking"),
    [
        (
            "bash",
            'source "$SCRIPT"; COMP_WORDS=(vmdeck ser); COMP_CWORD=1; _vmdeck_completion vmdeck; echo ${COMPREPLY[@]}',
        ),
        ("fish", 'source "$SCRIPT"; complete --do-complete "vmdeck ser"'),
    ],
)
def test_a_real_shell_completes_a_command(program: str, asking: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    script = tmp_path / "script"
    script.write_text(SHELLS[program].script)
    environment = {**os.environ, "SCRIPT": str(script), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [program, "-c", asking], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert {"serve", "service"} <= set(done.stdout.split())
