"""From request to plan: limits come from the right place, and what can't be met is refused before any VM."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.languages.catalogue import Catalogue, DockerSource, Recipe, Server
from engine.models import Image, Limits, RunRequest
from engine.runs.plan import Plan, make_plan
from engine.settings import Settings

MIB = 1024 * 1024


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, runtime_dir=tmp_path, max_timeout_s=60, max_memory_mib=1024, max_vcpus=2)


def recipe(**changed: object) -> Recipe:
    return Catalogue.load().recipe("python").model_copy(update=changed)


def image(**env: str) -> Image:
    return Image(
        name="i", digest="0", size_bytes=0, disk_bytes=0, created=datetime.now(UTC), source="a test", path="/i", env=env
    )


def plan(settings: Settings, of: Recipe | None = None, to: Image | None = None, **fields: object) -> Plan:
    request = RunRequest.model_validate({"language": "python", "code": "pass", **fields})
    stdin = request.stdin if isinstance(request.stdin, str) else None
    return make_plan(request, of or recipe(), to or image(), settings, stdin)


def test_limits_default_to_the_languages(settings: Settings) -> None:
    limits = plan(settings).run.limits
    defaults = recipe().limits
    assert limits.wall_ms == defaults.timeout_s * 1000
    assert (limits.pids, limits.stdout_bytes, limits.tmpfs_bytes) == (
        defaults.pids,
        defaults.stdout_bytes,
        defaults.tmpfs_mib * MIB,
    )


def test_what_the_request_says_replaces_the_defaults_even_where_it_is_zero(settings: Settings) -> None:
    asked = Limits(timeout_s=2, cpu_s=1, memory_mib=64, pids=1, stdout_bytes=0, stderr_bytes=0, file_mib=0, tmpfs_mib=1)
    limits = plan(settings, limits=asked).run.limits
    assert limits.fields() == {
        "wall_ms": 2000,
        "cpu_ms": 1000,
        "memory_bytes": 64 * MIB,
        "pids": 1,
        "stdout_bytes": 0,
        "stderr_bytes": 0,
        "file_bytes": 0,
        "tmpfs_bytes": MIB,
    }


def test_the_shorter_names_of_a_limit_yield_to_the_longer(settings: Settings) -> None:
    assert plan(settings, timeout=3).timeout_s == 3
    assert plan(settings, timeout=3, limits={"timeout_s": 4}).timeout_s == 4


def test_a_longer_wall_time_brings_as_much_cpu_time(settings: Settings) -> None:
    assert plan(settings, timeout=40).run.limits.cpu_ms == 40_000


def test_memory_defaults_to_all_that_the_vm_has(settings: Settings) -> None:
    made = plan(settings, memory_mib=512)
    assert (made.memory_mib, made.run.limits.memory_bytes) == (512, 512 * MIB)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"timeout": 61}, "timeout of 61"),
        ({"limits": {"timeout_s": 3600}}, "timeout of 3600"),
        ({"memory_mib": 1025}, "1025 MiB"),
        ({"vcpus": 3}, "3 CPUs"),
    ],
)
def test_more_than_the_settings_allow_is_refused(settings: Settings, fields: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        plan(settings, **fields)
    assert refused.value.remedy


def test_the_environment_rises_from_image_to_language_to_request(settings: Settings) -> None:
    made = plan(settings, recipe(env={"A": "recipe", "B": "recipe"}), image(A="image", B="image", C="image", PATH="/p"))
    assert {name: made.run.env[name] for name in "ABC"} == {"A": "recipe", "B": "recipe", "C": "image"}
    assert made.run.env["PATH"] == "/p"
    assert plan(settings, to=image(C="image"), env={"C": "request"}).run.env["C"] == "request"


def test_a_parked_interpreter_is_not_used_where_the_request_sets_one_up(settings: Settings) -> None:
    assert plan(settings, env={"OTHER": "1"}).run.warm
    assert not plan(settings, env={"PYTHONHASHSEED": "1"}).run.warm


def test_arguments_follow_the_command(settings: Settings) -> None:
    assert plan(settings, args=["-c", "x y"]).run.argv == ["python3", "/work/main.py", "-c", "x y"]


def test_no_stdin_is_not_an_empty_one(settings: Settings) -> None:
    assert plan(settings).run.stdin is None
    assert plan(settings, stdin="").run.stdin == b""


def test_a_compiled_language_lays_its_code_with_the_compiler_and_may_compile_for_longer(settings: Settings) -> None:
    compiled = recipe(compile=("cc", "{file}"), run=("./a.out",), warm="pagecache")
    made = plan(settings, compiled, timeout=2)
    assert made.compile is not None
    assert made.compile.script is not None
    assert made.run.script is None
    assert made.compile.limits.wall_ms > made.run.limits.wall_ms == 2000


def test_a_file_may_stand_for_the_code_but_not_beside_it(settings: Settings) -> None:
    main = [{"path": "main.py", "content": "print(1)"}]
    assert plan(settings, code="", files=main).run.script is None
    with pytest.raises(InputError, match="own place"):
        plan(settings, code="print(2)", files=main)


@pytest.mark.parametrize("paths", [["main.py/below"], ["a", "a/b"], ["a/b/c/d", "a/b"]])
def test_a_path_below_a_file_is_refused(settings: Settings, paths: list[str]) -> None:
    with pytest.raises(InputError, match="which is a file"):
        plan(settings, files=[{"path": path, "content": ""} for path in paths])


def test_paths_that_only_begin_alike_are_fine(settings: Settings) -> None:
    files = [{"path": path, "content": ""} for path in ("a", "ab/c", "main.pyc", "d/e", "d/f")]
    assert len(plan(settings, files=files).files) == 5


DOCKER = DockerSource(image="golang:1.25", compile=("/usr/local/go/bin/go", "build", "{file}"), run=("{work}/main",))


@pytest.mark.parametrize(
    ("source", "compiles", "runs"),
    [
        ("docker golang:1.25", ["/usr/local/go/bin/go", "build", "/work/main.py"], ["/work/main"]),
        ("docker golang:1.24", ["/usr/local/go/bin/go", "build", "/work/main.py"], ["/work/main"]),
        ("debian bookworm", None, ["python3", "/work/main.py"]),
    ],
)
def test_in_an_image_of_dockers_a_language_has_the_commands_of_its_docker_table(
    settings: Settings, source: str, compiles: list[str] | None, runs: list[str]
) -> None:
    to = image().model_copy(update={"source": source})
    found = plan(settings, recipe(docker=DOCKER), to)
    assert (found.compile.argv if found.compile else None, found.run.argv) == (compiles, runs)
    assert found.recipe.hello == recipe().hello


def test_a_docker_table_without_commands_leaves_the_languages_own(settings: Settings) -> None:
    to = image().model_copy(update={"source": "docker python:3"})
    assert plan(settings, recipe(docker=DockerSource(image="python:3")), to).run.argv == ["python3", "/work/main.py"]


def test_a_program_is_told_where_and_as_whom_its_image_would_run(settings: Settings) -> None:
    docker = image(GREETING="hello").model_copy(update={"workdir": "/srv", "user": "app"})
    env = plan(settings, to=docker, env={"VMDECK_USER": "mine"}).run.env
    assert (env["GREETING"], env["VMDECK_WORKDIR"], env["VMDECK_USER"]) == ("hello", "/srv", "mine")
    assert plan(settings, to=docker).run.cwd == "/work"
    assert not {"VMDECK_WORKDIR", "VMDECK_USER"} & set(plan(settings).run.env)


def test_a_server_starts_as_the_language_wants_it_whatever_the_request_sets(settings: Settings) -> None:
    served = recipe(warm="server", server=Server(start=("serve", "{file}"), ready=("ask",)), env={"HOST": "/tmp"})
    service = plan(settings, served, image(KEPT="yes"), env={"HOST": "/elsewhere", "LD_PRELOAD": "x"}).service
    assert service is not None
    assert (service.start, service.ready) == (("serve", "{file}"), ("ask",))
    assert service.env["HOST"] == "/tmp"
    assert service.env["KEPT"] == "yes"
    assert "LD_PRELOAD" not in service.env
    assert plan(settings).service is None


@pytest.mark.parametrize(
    "fields", [{"warm": "server"}, {"warm": "pagecache", "server": {"start": ["s"], "ready": ["r"]}}]
)
def test_a_language_is_served_just_where_it_has_a_server(fields: dict[str, object]) -> None:
    whole = {"id": "x", "title": "X", "file": "x", "run": ["x"], "hello": "", "expect": ""}
    with pytest.raises(ValueError, match="go together"):
        Recipe.model_validate({**whole, **fields})
