"""All other commands: what they print, how they exit, what they import."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import types
from pathlib import Path

import pytest

from engine.cli.root import COMMANDS, JOBS, ROOTFS, SERVICE, SNAPSHOT
from engine.models import Check, Health, Image, Setting, SetupOptions, SetupStep, Severity, Snapshot
from engine.setup import systemd
from tests.unit.cli.conftest import Invoke
from tests.unit.fake_engine import BROKEN, FakeEngine


@pytest.mark.parametrize(
    "path",
    [[c.name] for c in COMMANDS]
    + [["rootfs", c.name] for c in ROOTFS]
    + [["snapshot", c.name] for c in SNAPSHOT]
    + [["service", c.name] for c in SERVICE]
    + [["jobs", c.name] for c in JOBS],
    ids=" ".join,
)
def test_every_command_has_help_with_an_example_of_itself(path: list[str], vmdeck: Invoke) -> None:
    result = vmdeck(*path, "--help")
    assert result.exit_code == 0
    assert f"Example: vmdeck {' '.join(path)}" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["languages"], "echo"),
        (["rootfs", "list"], "python-bookworm"),
        (["snapshot", "list"], "python-256"),
        (["vms"], "vm-1"),
    ],
)
def test_lists_are_tables_or_json(args: list[str], shown: str, vmdeck: Invoke) -> None:
    header, first, *_ = vmdeck(*args).stdout.splitlines()
    assert header.isupper()
    assert first.startswith(shown)
    values = json.loads(vmdeck(*args, "--json").stdout)
    assert shown in values[0].values()


def test_one_vm_is_shown_in_detail(vmdeck: Invoke) -> None:
    shown = vmdeck("vms", "vm-1").stdout
    for words in ("VM vm-1: running", "load", "14.5 ms", "448 MiB (used: 100 MiB)", "Not known: guest: it is mute"):
        assert words in shown
    assert json.loads(vmdeck("vms", "vm-1", "--json").stdout)["stages"] == [{"name": "load", "ms": 14.5}]


def test_a_vm_that_is_not_there_is_exit_2(vmdeck: Invoke) -> None:
    assert vmdeck("vms", "nope").exit_code == 2


def test_empty_lists_say_so(vmdeck: Invoke, engine: FakeEngine) -> None:
    engine.vms_by_id.clear()
    assert vmdeck("vms").stdout == "No VMs.\n"
    assert json.loads(vmdeck("vms", "--json").stdout) == []
    assert vmdeck("jobs").stdout == "No jobs.\n"


def test_json_of_a_list_is_the_public_types(vmdeck: Invoke, engine: FakeEngine) -> None:
    images = json.loads(vmdeck("rootfs", "list", "--json").stdout)
    snapshots = json.loads(vmdeck("snapshot", "list", "--json").stdout)
    assert [Image.model_validate_json(json.dumps(each)) for each in images] == list(engine.images_by_name.values())
    assert [Snapshot.model_validate_json(json.dumps(e)) for e in snapshots] == list(engine.snapshots_by_name.values())


@pytest.mark.parametrize(
    ("severity", "exit_code"),
    [(Severity.OK, 0), (Severity.INFO, 0), (Severity.DEGRADED, 1), (Severity.BLOCKED, 2)],
)
def test_doctor_exits_by_the_worst_finding(
    severity: Severity, exit_code: int, vmdeck: Invoke, engine: FakeEngine
) -> None:
    engine.severity = severity
    result = vmdeck("doctor")
    assert result.exit_code == exit_code
    assert ("set it" in result.stdout) == (severity is not Severity.OK)
    as_json = vmdeck("doctor", "--json")
    assert as_json.exit_code == exit_code
    assert Health.model_validate_json(as_json.stdout).checks is not None


CHECKS = (
    Check(id="1", title="First", severity=Severity.OK, group="cpu", seen="seen", why="the reason", remedy="none"),
    Check(
        id="2",
        title="Second",
        severity=Severity.DEGRADED,
        group="memory",
        seen="seen",
        why="why it costs",
        remedy="mend it",
        fixed_by="packages",
    ),
    Check(id="3", title="Third", severity=Severity.INFO, group="cpu", seen="seen", why="why", remedy="could do"),
)


def test_doctor_shows_checks_by_group_with_reasons_cures_and_a_sum(
    vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = asyncio.run(engine.health(full=True)).model_copy(update={"checks": CHECKS})

    async def of_these(*, full: bool = False) -> Health:
        return health

    monkeypatch.setattr(engine, "health", of_these)
    assert vmdeck("doctor").stdout.splitlines()[1:] == [
        "",
        "cpu",
        "  ok       First: seen",
        "  info     Third: seen",
        "             could do",
        "",
        "memory",
        "  DEGRADED Second: seen",
        "             why it costs",
        "             mend it",
        "             `vmdeck setup` can fix it (step packages)",
        "",
        "3 checks: 1 ok, 1 worth knowing, 1 degraded, 0 blocked",
    ]
    assert Health.model_validate_json(vmdeck("doctor", "--json").stdout).checks == CHECKS


def test_a_job_shows_its_log_and_its_result(vmdeck: Invoke) -> None:
    result = vmdeck("rootfs", "from-debian", "--name", "new", "--packages", "bash,coreutils", "--packages", "sed")
    assert (result.exit_code, result.stdout) == (0, "Image new is ready\n")
    assert result.stderr.splitlines() == ["begin", "half done", "done"]


def test_packages_come_with_commas_or_repeated(
    vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    build = engine.build_image

    async def build_image(request: object) -> object:
        asked.append(request.packages)  # type: ignore[attr-defined]
        return await build(request)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "build_image", build_image)
    vmdeck("rootfs", "from-debian", "--name", "new", "--packages", "bash,coreutils", "--packages", "sed")
    assert asked == [("bash", "coreutils", "sed")]


def test_a_language_is_built_with_what_is_asked_for_on_top(vmdeck: Invoke, engine: FakeEngine) -> None:
    more = [
        "--packages",
        "a1,b2",
        "--pip",
        "numpy==2",
        "--pip",
        "x",
        "--npm",
        "@a/b@1",
        "--size",
        "64",
        "--lang",
        "bash",
    ]
    result = vmdeck("rootfs", "build", "echo", "--source", "debian", *more)
    assert (result.exit_code, result.stdout) == (0, "Image echo is ready\n")
    (asked,) = engine.builds
    assert (asked.source, asked.packages, asked.pypi, asked.npm) == (
        "debian",
        ("a1", "b2"),
        ("numpy==2", "x"),
        ("@a/b@1",),
    )
    assert (asked.source, asked.size_mib, asked.languages, asked.name) == ("debian", 64, ("bash",), None)


@pytest.mark.parametrize("wrong", [["--pip", "-r/etc/passwd"], ["--npm", "a@file:x"], ["--source", "ftp"]])
def test_what_is_no_package_or_source_is_exit_2(wrong: list[str], vmdeck: Invoke, engine: FakeEngine) -> None:
    assert vmdeck("rootfs", "build", "echo", *wrong).exit_code == 2
    assert engine.builds == []


def test_pruning_shows_what_would_go_and_removes_it_only_with_a_yes(vmdeck: Invoke, engine: FakeEngine) -> None:
    shown = vmdeck("rootfs", "prune")
    assert (shown.exit_code, engine.pruned) == (2, [])
    assert "python@0123456789ab" in shown.stdout
    assert [each["name"] for each in json.loads(vmdeck("rootfs", "prune", "--cache", "--json").stdout)][1:] == [
        "cache/apt"
    ]
    assert engine.pruned == []
    assert vmdeck("rootfs", "prune", "--yes").stdout == "3.0 MiB are free again\n"
    assert [each.cache for each in engine.pruned] == ["bound"]


def test_a_job_that_fails_is_exit_1_with_its_remedy(vmdeck: Invoke) -> None:
    result = vmdeck("snapshot", "create", "--lang", BROKEN)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(f"vmdeck: snapshot {BROKEN}: it broke\n  mend it\n")


def test_a_name_that_is_not_valid_is_exit_2(vmdeck: Invoke) -> None:
    result = vmdeck("rootfs", "from-debian", "--name", "../x", "--packages", "bash")
    assert (result.exit_code, "name" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("args", "left"),
    [(["rootfs", "rm", "python-bookworm"], "images_by_name"), (["snapshot", "rm", "python-256"], "snapshots_by_name")],
)
def test_removing_asks_first_and_refuses_where_nobody_can_answer(
    args: list[str], left: str, vmdeck: Invoke, engine: FakeEngine
) -> None:
    unasked = vmdeck(*args)
    assert (unasked.exit_code, "--yes" in unasked.stderr, len(getattr(engine, left))) == (2, True, 1)
    assert vmdeck(*args, "--yes").exit_code == 0
    assert len(getattr(engine, left)) == 0


def test_removing_what_is_not_there_is_exit_2(vmdeck: Invoke) -> None:
    result = vmdeck("rootfs", "rm", "none", "--yes")
    assert (result.exit_code, result.stderr) == (2, "vmdeck: No image 'none'\n  list them\n")


def test_refresh_follows_its_job_and_names_what_it_made(vmdeck: Invoke) -> None:
    result = vmdeck("snapshot", "refresh", "python-256")
    assert (result.exit_code, result.stdout) == (0, "Snapshot python-256 is ready\n")
    assert vmdeck("snapshot", "refresh", "none").exit_code == 2


def test_verify_exits_by_what_it_found(vmdeck: Invoke, engine: FakeEngine) -> None:
    assert vmdeck("snapshot", "verify", "python-256").exit_code == 0
    engine.snapshots_by_name[BROKEN] = engine.snapshots_by_name["python-256"]
    result = vmdeck("snapshot", "verify", BROKEN)
    assert (result.exit_code, "memory: digest differs" in result.stdout) == (1, True)


def test_setup_without_a_terminal_and_without_yes_does_nothing(vmdeck: Invoke) -> None:
    result = vmdeck("setup")
    assert (result.exit_code, "--yes" in result.stderr) == (2, True)
    assert vmdeck("jobs").stdout == "No jobs.\n"


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(vmdeck: Invoke) -> None:
    result = vmdeck("setup", "--dry-run")
    assert (result.exit_code, "build it" in result.stdout) == (0, True)
    steps = json.loads(vmdeck("setup", "--dry-run", "--json").stdout)
    assert [SetupStep.model_validate_json(json.dumps(step)).done for step in steps] == [True, False]
    assert vmdeck("jobs").stdout == "No jobs.\n"


def test_setup_applies_what_is_missing_and_looks_again(
    vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = engine.apply_setup

    async def applied(steps: None = None, options: SetupOptions | None = None) -> object:
        engine.steps = tuple(step.model_copy(update={"done": True}) for step in engine.steps)
        return await apply(steps, options)

    monkeypatch.setattr(engine, "apply_setup", applied)
    result = vmdeck("setup", "--yes")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "This host is ready.")


def test_setup_that_leaves_a_step_undone_names_it(vmdeck: Invoke) -> None:
    result = vmdeck("setup", "--yes")
    assert (result.exit_code, "Still not done: Python image" in result.stderr) == (1, True)


def test_options_of_setup_reach_the_engine_with_absolute_paths(
    vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("firecracker.tgz", "vmlinux"):
        (tmp_path / name).touch()
    (tmp_path / "offline").mkdir()
    skips = ("--skip-docker", "--skip-firecracker", "--skip-kernel", "--skip-service")
    files = ("--firecracker", "firecracker.tgz", "--kernel", "vmlinux", "--offline", "offline")
    vmdeck("setup", "--yes", *skips, "--vmm", "qemu", *files, "--mirror", "https://mirror.invalid")
    wanted = SetupOptions(
        skip=("docker", "firecracker", "kernel", "service"),
        vmm="qemu",
        firecracker=f"{tmp_path}/firecracker.tgz",
        kernel=f"{tmp_path}/vmlinux",
        offline=f"{tmp_path}/offline",
        mirror="https://mirror.invalid",
    )
    assert engine.setup_options == [wanted, wanted, wanted]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("firecracker", "1.16.1"),
        ("firecracker", "v1.12.1"),
        ("kernel", "debian"),
        ("kernel", "https://kernels.invalid/vmlinux#sha256=00"),
    ],
)
def test_what_is_no_file_is_passed_as_given(option: str, value: str, vmdeck: Invoke, engine: FakeEngine) -> None:
    assert vmdeck("setup", "--dry-run", f"--{option}", value).exit_code == 0
    (given,) = engine.setup_options
    assert getattr(given, option) == value


@pytest.mark.parametrize("option", ["--firecracker", "--kernel", "--offline"])
def test_a_file_that_is_not_there_is_named_before_anything_is_done(
    option: str, vmdeck: Invoke, engine: FakeEngine
) -> None:
    result = vmdeck("setup", "--yes", option, "none.bin")
    assert (result.exit_code, "none.bin" in result.stderr, engine.setup_options) == (2, True, [])


def test_a_skipped_step_is_shown_as_such_and_leaves_the_host_ready(vmdeck: Invoke, engine: FakeEngine) -> None:
    skipped = {"skipped": True, "seen": "left out, as asked", "done": False}
    engine.steps = (engine.steps[0], engine.steps[1].model_copy(update=skipped))
    result = vmdeck("setup", "--yes")
    assert result.exit_code == 0
    assert "skipped Python image: left out, as asked" in result.stdout
    assert result.stdout.splitlines()[-1] == "This host is ready."
    assert vmdeck("jobs").stdout == "No jobs.\n"


def test_the_end_of_setup_is_json_with_its_progress_on_stderr(
    vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = engine.apply_setup

    async def applied(steps: None = None, options: SetupOptions | None = None) -> object:
        engine.steps = tuple(step.model_copy(update={"done": True}) for step in engine.steps)
        return await apply(steps, options)

    monkeypatch.setattr(engine, "apply_setup", applied)
    result = vmdeck("setup", "--yes", "--json")
    assert [step["done"] for step in json.loads(result.stdout)] == [True, True]
    assert "half done" in result.stderr


@pytest.fixture
def ready_host(engine: FakeEngine) -> FakeEngine:
    """A host on which setup has nothing to do."""
    engine.steps = tuple(step.model_copy(update={"done": True}) for step in engine.steps)
    return engine


def test_setup_ends_with_the_run_of_a_language_s_example(vmdeck: Invoke, ready_host: FakeEngine) -> None:
    result = vmdeck("setup", "--yes")
    assert [(request.language, request.code) for request in ready_host.requests] == [("echo", "hello\n")]
    assert result.stdout.splitlines()[-4:] == [
        "A first run, Echo in a microVM:",
        "hello",
        "13 ms in all; its VM was restored from its snapshot in 2 ms",
        "This host is ready.",
    ]


def test_the_first_run_of_setup_can_be_left_out(vmdeck: Invoke, ready_host: FakeEngine) -> None:
    assert vmdeck("setup", "--yes", "--no-try").exit_code == 0
    assert vmdeck("setup", "--dry-run").exit_code == 0
    assert ready_host.requests == []


def test_the_first_run_does_not_mix_with_json(vmdeck: Invoke, ready_host: FakeEngine) -> None:
    result = vmdeck("setup", "--yes", "--json")
    assert [step["done"] for step in json.loads(result.stdout)] == [True, True]
    assert len(ready_host.requests) == 1


def test_a_host_without_an_image_is_told_why_there_is_no_first_run(
    vmdeck: Invoke, ready_host: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none() -> tuple[()]:
        return ()

    monkeypatch.setattr(ready_host, "languages", none)
    result = vmdeck("setup", "--yes")
    assert (result.exit_code, "No first run: there is no image" in result.stdout) == (0, True)


def test_a_first_run_that_fails_fails_the_setup(
    vmdeck: Invoke, ready_host: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = ready_host.stream
    monkeypatch.setattr(ready_host, "stream", lambda request: stream(request.model_copy(update={"env": {"EXIT": "3"}})))
    result = vmdeck("setup", "--yes")
    assert (result.exit_code, "The first run ended with failed, exit code 3" in result.stderr) == (1, True)
    assert "This host is ready." not in result.stdout


def test_undo_shows_what_goes_last_first_asks_and_does_it_once(vmdeck: Invoke, engine: FakeEngine) -> None:
    dry = vmdeck("setup", "--undo", "--dry-run")
    assert [line.split() for line in dry.stdout.splitlines()] == [["package", "qemu-system-x86"], ["folder", "/data"]]
    unasked = vmdeck("setup", "--undo")
    assert (unasked.exit_code, "--yes" in unasked.stderr, len(engine.traces)) == (2, True, 2)
    done = vmdeck("setup", "--undo", "--yes")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "Setup is undone.")
    again = vmdeck("setup", "--undo", "--yes")
    assert (again.exit_code, again.stdout) == (0, "Nothing is recorded as made by setup.\n")


@pytest.mark.parametrize(
    "option", [("--skip-docker",), ("--skip-service",), ("--vmm", "qemu"), ("--kernel", "debian"), ("--offline", ".")]
)
def test_undo_leaves_nothing_out(option: tuple[str, ...], vmdeck: Invoke, engine: FakeEngine) -> None:
    result = vmdeck("setup", "--undo", "--yes", *option)
    assert (result.exit_code, option[0] in result.stderr, len(engine.traces)) == (2, True, 2)


def test_the_unit_can_be_looked_at_and_holds_no_token(vmdeck: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMDECK_API_TOKEN", "s3cret")
    result = vmdeck("service", "install", "--print", "--port", "9000", "--host", "192.0.2.1")
    assert result.exit_code == 0
    assert "serve --port 9000 --host 192.0.2.1" in result.stdout
    assert "s3cret" not in result.stdout


def test_a_service_for_other_hosts_needs_a_token(vmdeck: Invoke) -> None:
    result = vmdeck("service", "install", "--port", "9000", "--host", "192.0.2.1")
    assert (result.exit_code, "VMDECK_API_TOKEN" in result.stderr) == (2, True)


def test_without_systemd_the_service_says_what_is_missing(
    vmdeck: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(systemd, "RUNNING", tmp_path / "none")
    for command in (("install",), ("status",), ("remove", "--yes")):
        result = vmdeck("service", *command)
        assert (result.exit_code, "systemd does not run here" in result.stderr) == (2, True)


def test_the_agent_does_not_start_outside_a_microvm(vmdeck: Invoke) -> None:
    result = vmdeck("guest")
    assert (result.exit_code, "process 1 of a microVM" in result.stderr) == (2, True)


def test_another_address_without_a_token_is_exit_2(vmdeck: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("engine.engine")
    vars(module)["Engine"] = None  # must not be opened
    monkeypatch.setitem(sys.modules, "engine.engine", module)
    result = vmdeck("api", "--host", "192.0.2.1")
    assert (result.exit_code, "VMDECK_API_TOKEN" in result.stderr) == (2, True)


@pytest.mark.parametrize(("name", "value"), [("VMDECK_MAX_RUNNING", "none"), ("VMDECK_API_PORT", "99999")])
def test_settings_that_are_not_valid_are_named(
    name: str, value: str, vmdeck: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    result = vmdeck("languages")
    assert (result.exit_code, name.removeprefix("VMDECK_").lower() in result.stderr) == (2, True)


def test_a_config_file_that_can_not_be_read_is_named(vmdeck: Invoke) -> None:
    folder = Path(os.environ["VMDECK_CONFIG_DIR"])
    folder.mkdir()
    (folder / "config.toml").write_text("max_running = [")
    result = vmdeck("languages")
    assert (result.exit_code, str(folder / "config.toml") in result.stderr) == (2, True)


def test_help_needs_nothing_heavy() -> None:
    script = (
        "import sys; from engine.cli.root import program\n"
        "try: program()(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'textual', 'fastapi', 'boto3', 'pydantic', 'httpx', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr.strip() == "[]"


def test_help_comes_within_400_ms_of_cpu() -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", "from engine.cli import main; main()", "--help"]
        subprocess.run(command, capture_output=True, check=True, timeout=30)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.4


def test_settings_are_listed_with_their_origin_and_never_a_secret(vmdeck: Invoke, engine: FakeEngine) -> None:
    lines = vmdeck("settings").stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["vmm", "auto", "default"],
        ["api_token", "(set)", "environment", "VMDECK_API_TOKEN"],
    ]
    found = json.loads(vmdeck("settings", "--json").stdout)
    assert [Setting.model_validate_json(json.dumps(each)) for each in found] == list(engine.settings_by_name.values())


def test_a_setting_is_set_and_unset(vmdeck: Invoke, engine: FakeEngine) -> None:
    assert vmdeck("settings", "set", "vmm", "qemu").stdout == "vmm is qemu from the engine's next start on\n"
    assert engine.settings_by_name["vmm"].pending == "qemu"
    assert vmdeck("settings", "unset", "vmm").exit_code == 0
    assert engine.settings_by_name["vmm"].pending == "auto"


def test_a_token_can_come_from_standard_input_and_is_not_printed(vmdeck: Invoke, engine: FakeEngine) -> None:
    result = vmdeck("settings", "set", "api_token", "-", stdin="s3cret\n")
    assert engine.settings_by_name["api_token"].pending == "s3cret"
    assert (result.exit_code, "s3cret" in result.output) == (0, False)


def test_a_setting_that_is_none_is_exit_2(vmdeck: Invoke) -> None:
    result = vmdeck("settings", "set", "nope", "1")
    assert (result.exit_code, result.stderr) == (2, "vmdeck: No setting 'nope'\n  list them\n")
    assert json.loads(vmdeck("settings", "unset", "nope", "--json").stdout)["status"] == 404


@pytest.mark.parametrize("command", ["set", "unset"])
def test_help_of_settings_has_an_example(command: str, vmdeck: Invoke) -> None:
    assert f"Example: vmdeck settings {command} max_running" in vmdeck("settings", command, "--help").stdout
    assert "Example: vmdeck settings --json" in vmdeck("settings", "--help").stdout
