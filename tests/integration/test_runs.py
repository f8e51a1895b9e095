"""What a run promises, on real microVMs."""

from __future__ import annotations

import pytest

from engine.engine import Engine
from engine.models import BatchResult, BootMode, RunRequest
from tests.running import run_code, run_python

pytestmark = pytest.mark.vm


async def test_code_runs_with_its_arguments_files_stdin_and_environment(engine: Engine, any_boot: BootMode) -> None:
    code = """
import os, sys
from lib.greeting import word
print(word, sys.argv[1:], sys.stdin.read(), os.environ["COLOUR"], os.getcwd(), sys.argv[0])
"""
    result = await run_python(
        engine,
        code,
        files=[{"path": "lib/greeting.py", "content": "word = 'hello'"}],
        args=["a b", "ü"],
        stdin="from stdin",
        env={"COLOUR": "green"},
        boot=any_boot,
    )
    assert result.stdout == "hello ['a b', 'ü'] from stdin green /work /work/main.py\n"
    assert (result.status, result.exit_code, result.stderr, result.boot) == ("success", 0, None, any_boot)
    assert result.timings.total >= result.timings.exec > 0
    assert result.usage.cpu_ms > 0


async def test_the_peak_of_memory_has_the_interpreter_in_it(engine: Engine, any_boot: BootMode) -> None:
    code = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('RssAnon')][0])"
    result = await run_python(engine, code, boot=any_boot)
    assert int(result.stdout) * 1024 <= result.usage.peak_memory_bytes < 64 * 1024 * 1024


async def test_exit_code_and_stderr_are_the_codes_own(engine: Engine, any_boot: BootMode) -> None:
    result = await run_python(engine, "import sys; print('oops', file=sys.stderr); sys.exit(7)", boot=any_boot)
    assert (result.status, result.exit_code, result.stderr, result.stdout) == ("failed", 7, "oops\n", "")


async def test_a_traceback_shows_the_users_frames_only(engine: Engine, any_boot: BootMode) -> None:
    result = await run_python(engine, "def f():\n    return 1 / 0\n\nf()\n", boot=any_boot)
    assert result.exit_code == 1
    assert result.stderr is not None
    head = ["Traceback (most recent call last):", '  File "/work/main.py", line 4, in <module>']
    assert result.stderr.splitlines()[:2] == head
    assert result.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


async def test_a_syntax_error_reads_as_pythons_own(engine: Engine, any_boot: BootMode) -> None:
    result = await run_python(engine, "print('a'\n", boot=any_boot)
    assert result.exit_code == 1
    assert result.stderr is not None
    assert result.stderr.startswith('  File "/work/main.py", line 1\n')
    assert result.stderr.rstrip().endswith("SyntaxError: '(' was never closed")


async def test_death_by_signal_is_128_plus_its_number(engine: Engine, any_boot: BootMode) -> None:
    result = await run_python(engine, "import os; os.kill(os.getpid(), 11)", boot=any_boot)
    assert (result.status, result.exit_code) == ("failed", 139)


async def test_a_timeout_ends_the_run_with_124(engine: Engine, any_boot: BootMode) -> None:
    result = await run_python(engine, "print('before', flush=True)\nwhile True: pass", timeout=5, boot=any_boot)
    assert (result.status, result.exit_code, result.stdout) == ("timeout", 124, "before\n")
    assert 5000 <= result.exec_time_ms < 8000


async def test_bash_runs_from_the_same_image(engine: Engine) -> None:
    result = await run_code(engine, "bash", 'echo "$1" $((6 * 7)); exit 3', args=["six"])
    assert (result.stdout, result.exit_code) == ("six 42\n", 3)


async def test_output_streams_while_the_code_still_runs(engine: Engine) -> None:
    code = "import sys\nprint('first', flush=True)\nsys.stdin.read()\nimport time\ntime.sleep(1)\nprint('second')"
    seen = [
        (event.kind, event.text, event.at_ms)
        async for event in engine.stream(RunRequest(language="python", code=code))
        if event.kind == "stdout"
    ]
    assert "".join(text for _, text, _ in seen) == "first\nsecond\n"
    assert seen[-1][2] - seen[0][2] > 900


async def test_a_batch_gives_each_item_a_vm_of_its_own_in_order(engine: Engine) -> None:
    request = RunRequest(language="python", code="import sys; print(sys.stdin.read() * 2)", stdin=("a", "b", "c"))
    batch = await engine.run(request)
    assert isinstance(batch, BatchResult)
    assert [result.stdout for result in batch.results] == ["aa\n", "bb\n", "cc\n"]
    assert len({result.vm.id for result in batch.results}) == 3


async def test_a_kill_by_the_operator_is_told_as_killed(engine: Engine) -> None:
    request = RunRequest(language="python", code="print('up', flush=True)\nimport time; time.sleep(60)", timeout=60)
    result = None
    async for event in engine.stream(request):
        if event.kind == "stdout" and "\n" in event.text:
            (vm,) = await engine.vms()
            await engine.kill_vm(vm.id)
        result = event.result or result
    assert result is not None
    assert (result.status, result.exit_code, result.stdout) == ("killed", 137, "up\n")


async def test_ending_the_stream_ends_its_vm(engine: Engine) -> None:
    stream = engine.stream(RunRequest(language="python", code="print(1, flush=True)\nwhile True: pass"))
    async for event in stream:
        if event.kind == "stdout":
            break
    await stream.aclose()
    assert not await engine.vms()
