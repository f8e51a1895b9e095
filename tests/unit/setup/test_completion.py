from __future__ import annotations

import os
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
