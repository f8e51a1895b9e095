"""From a request to what a VM has to do: limits, files, programs. All that is wrong with a request shows here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.errors import InputError
from engine.guestlink.guest import GuestFile, Program, Service, WireLimits
from engine.languages.catalogue import WORK_DIR, Recipe
from engine.models import Image, Limits, RunRequest
from engine.settings import Settings

_MIB = 1024 * 1024
_COMPILE_FACTOR = 3  # a compiler may take this many times the run's own time
_BASE_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": WORK_DIR,
    "LANG": "C.UTF-8",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, ready for any VM of its language."""

    recipe: Recipe
    image: Image
    files: tuple[GuestFile, ...]
    compile: Program | None
    run: Program
    service: Service | None
    memory_mib: int
    vcpus: int
    timeout_s: float


def base_environment(recipe: Recipe, image: Image) -> dict[str, str]:
    """What a program of this language sees before the request adds its own.

    Code runs in WORK_DIR as nobody, wherever the image is from; where a Docker image would have it run is told.
    """
    told = {"VMDECK_WORKDIR": image.workdir if image.workdir != "/" else "", "VMDECK_USER": image.user}
    return {**_BASE_ENV, **image.env, **{name: text for name, text in told.items() if text}, **recipe.env}


def make_plan(request: RunRequest, recipe: Recipe, image: Image, settings: Settings, stdin: str | None) -> Plan:
    """Raises InputError where the request asks for more than the settings allow."""
    recipe = recipe.within(image.source)
    memory_mib = request.memory_mib or recipe.memory_mib or settings.default_memory_mib
    vcpus = request.vcpus or settings.default_vcpus
    timeout_s = request.limits.timeout_s or request.timeout or recipe.limits.timeout_s
    for what, asked, allowed in (
        ("timeout of {} s", timeout_s, settings.max_timeout_s),
        ("microVM of {} MiB", memory_mib, settings.max_memory_mib),
        ("microVM with {} CPUs", vcpus, settings.max_vcpus),
    ):
        if asked > allowed:
            raise InputError(
                f"A {what.format(asked)} is over what this engine allows: {allowed}",
                remedy="Ask for less, or raise the limit in the engine's settings",
            )
    environment = {**base_environment(recipe, image), **request.env}
    limits = wire_limits(request.limits, recipe, timeout_s, memory_mib)
    warm = recipe.warm == "fork" and not any(name.startswith("PYTHON") for name in request.env)
    script, files = _lay(request, recipe)
    run = Program(
        argv=[*recipe.command(recipe.run), *request.args],
        env=environment,
        cwd=WORK_DIR,
        limits=limits,
        warm=warm,
        stdin=None if stdin is None else stdin.encode(),
        script=None if recipe.compile else script,
    )
    compile_program = None
    if recipe.compile:
        compile_limits = wire_limits(request.limits, recipe, timeout_s * _COMPILE_FACTOR, memory_mib)
        argv = recipe.command(recipe.compile)
        compile_program = Program(argv, environment, WORK_DIR, compile_limits, script=script)
    service = None
    if recipe.server:
        base, within_s = base_environment(recipe, image), settings.boot_deadline_s
        service = Service(recipe.server.start, recipe.server.ready, base, limits, within_s)
    return Plan(recipe, image, files, compile_program, run, service, memory_mib, vcpus, timeout_s)


def _lay(request: RunRequest, recipe: Recipe) -> tuple[GuestFile | None, tuple[GuestFile, ...]]:
    """The code as a script and the further files; no script where one of the files is in its place."""
    files = tuple(GuestFile(file.path, file.content.encode()) for file in request.files)
    paths = {recipe.file, *(file.path for file in files)}
    for path in sorted(paths):
        if above := paths.intersection(map(str, PurePosixPath(path).parents)):
            raise InputError(
                f"{path!r} can't lie below {above.pop()!r}, which is a file", remedy="Give it another path"
            )
    if not any(file.path == recipe.file for file in files):
        return GuestFile(recipe.file, request.code.encode()), files
    if request.code:
        raise InputError(f"The file {recipe.file!r} is the code's own place", remedy="Give it another path")
    return None, files


def wire_limits(limits: Limits, recipe: Recipe, timeout_s: float, memory_mib: int) -> WireLimits:
    """The request's limits where it has them, else the language's. memory defaults to all that the VM can give."""
    defaults = recipe.limits

    def pick(asked: int | None, default: int) -> int:
        return default if asked is None else asked

    cpu_s = limits.cpu_s or max(defaults.cpu_s, timeout_s)
    return WireLimits(
        wall_ms=round(timeout_s * 1000),
        cpu_ms=round(cpu_s * 1000),
        memory_bytes=pick(limits.memory_mib, memory_mib) * _MIB,
        pids=pick(limits.pids, defaults.pids),
        stdout_bytes=pick(limits.stdout_bytes, defaults.stdout_bytes),
        stderr_bytes=pick(limits.stderr_bytes, defaults.stderr_bytes),
        file_bytes=pick(limits.file_mib, defaults.file_mib) * _MIB,
        tmpfs_bytes=pick(limits.tmpfs_mib, defaults.tmpfs_mib) * _MIB,
    )
