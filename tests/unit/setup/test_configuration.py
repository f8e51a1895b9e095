from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.folders import config_dir
from engine.rootfs.progress import silent
from engine.settings import Settings
from engine.setup import configuration
from engine.setup.ledger import Ledger
from tests.unit.setup.conftest import MakeContext


@pytest.fixture
def file() -> Path:
    path = config_dir() / "config.toml"
    path.parent.mkdir(parents=True)
    return path


async def test_without_a_choice_nothing_is_written(context: MakeContext) -> None:
    assert (await configuration.check(context())).done
    assert not config_dir().exists()


async def test_a_choice_makes_the_file_and_settings_read_it(context: MakeContext, ledger: Ledger) -> None:
    ctx = context(vmm="firecracker")
    finding = await configuration.check(ctx)
    assert (finding.done, "config.toml does not set vmm" in finding.seen) == (False, True)
    await configuration.apply(ctx, silent)
    assert (await configuration.check(ctx)).done
    assert Settings().vmm == "firecracker"
    assert [(trace.kind, trace.what) for trace in ledger.traces()] == [
        ("folder", str(config_dir())),
        ("file", str(config_dir() / "config.toml")),
    ]


async def test_all_other_lines_stay_and_a_table_is_not_entered(file: Path, context: MakeContext) -> None:
    file.write_text('# why\nmax_running = 2 # two\nvmm="auto"\n\n[other]\nvmm = "x"\n')
    await configuration.apply(context(vmm="qemu"), silent)
    assert file.read_text() == '# why\nmax_running = 2 # two\nvmm="qemu"\n\n[other]\nvmm = "x"\n'


async def test_a_file_that_can_not_be_read_is_named(file: Path, context: MakeContext) -> None:
    file.write_text("vmm = [")
    with pytest.raises(NotReadyError, match=str(file)):
        await configuration.check(context(vmm="qemu"))
