"""The image of a language, made for real: Debian packages, a wheel, an npm package, commands that prepare it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from engine.engine import Engine
from engine.errors import InputError, InternalError, NotReadyError
from engine.folders import config_dir
from engine.languages.catalogue import Catalogue, Recipe
from engine.models import BuildLanguageRequest, Image, Job, JobState
from engine.rootfs.debian import build_language
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.progress import silent
from engine.rootfs.store import ImageManifest, ImageStore
from engine.settings import Settings
from tests.running import run_code

SYSTEM_PATH = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
# A language is a row: these are a user's own.
ROWS = """
[mylua]
title = "My Lua"
category = "Scripting"
file = "main.lua"
run = ["lua5.4", "{file}"]
env = { MARK = "of the row" }
version = ["lua5.4", "-v"]
hello = "print('Hello from mylua')"
expect = "Hello from mylua\\n"
debian = { packages = ["lua5.4"] }
pypi = ["iniconfig"]
npm = ["is-number@7"]
prepare = [
    ["mkdir", "-m", "777", "/opt/prepared"],
    ["sh", "-c", "cd /opt/prepared; id -u >uid; echo $MARK >mark; grep CapEff /proc/self/status >caps"],
    ["sh", "-c", "cd /opt/prepared; tail -n +3 /proc/net/dev >interfaces"],
    ["sh", "-c", "(cat /proc/sys/kernel/panic >/proc/sys/kernel/panic) 2>/opt/prepared/refused; true"],
    ["sh", "-c", "sleep 4242 & echo started"],
]

[myjq]
title = "My jq"
file = "main.jq"
run = ["jq", "-n", "-r", "-f", "{file}"]
version = ["jq", "--version"]
hello = '"Hello from myjq"'
expect = "Hello from myjq\\n"
debian = { packages = ["jq"] }
"""


def recipe(name: str, **changed: object) -> Recipe:
    return Recipe.model_validate({"id": name, **tomllib.loads(ROWS)[name], **changed})


def own_rows() -> Path:
    """The rows where an engine reads a user's own."""
    config_dir().mkdir(parents=True, exist_ok=True)
    (config_dir() / "languages.toml").write_text(ROWS)
    return config_dir() / "languages.toml"


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all builds here, so that the archive is asked for each package once."""
    return tmp_path_factory.mktemp("downloads")


def settings_in(folder: Path, downloads: Path) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(downloads)
    return Settings(data_dir=folder)


@pytest.fixture
def settings(tmp_path: Path, downloads: Path) -> Settings:
    return settings_in(tmp_path / "data", downloads)


def build(settings: Settings, row: Recipe, **asked: object) -> Image:
    request = BuildLanguageRequest.model_validate({"language": row.id, **asked})
    return asyncio.run(build_language(settings, ImageStore(settings), row, request, silent))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Image:
    return build(settings_in(tmp_path_factory.mktemp("data") / "in", downloads), recipe("mylua"))


def content(image: Image, path: str) -> str:
    shown = subprocess.run(
        ["debugfs", "-R", f"cat {path}", image.path], capture_output=True, env=SYSTEM_PATH, check=True
    )
    return shown.stdout.decode(errors="replace") or shown.stderr.decode().partition("\n")[2]


def test_the_image_knows_its_version_and_what_is_in_it(built: Image) -> None:
    assert built.version is not None
    assert built.version.startswith("Lua 5.4")
    assert (built.languages, built.pypi, built.npm) == (("mylua",), ("iniconfig",), ("is-number@7",))
    manifest = ImageManifest.model_validate_json((Path(built.path).parent / "manifest.json").read_bytes())
    names = [line.split()[0] for line in manifest.origin.installed]
    assert {"lua5.4", "libc6", "iniconfig", "is-number"} <= set(names)


def test_wheels_and_npm_packages_are_where_the_catalogue_says_and_found(built: Image) -> None:
    assert "class" in content(built, "/usr/local/lib/pydeps/iniconfig/__init__.py")
    assert json.loads(content(built, "/usr/local/lib/npmdeps/node_modules/is-number/package.json"))["version"][0] == "7"
    assert built.env["PYTHONPATH"] == "/usr/local/lib/pydeps"
    assert built.env["NODE_PATH"] == "/usr/local/lib/npmdeps/node_modules"


def test_what_prepares_it_is_root_of_the_tree_alone(built: Image) -> None:
    said = {name: content(built, f"/opt/prepared/{name}").strip() for name in ("uid", "mark", "interfaces", "refused")}
    assert (said["uid"], said["mark"]) == ("0", "of the row")
    assert [line.split(":")[0].strip() for line in said["interfaces"].splitlines()] == ["lo"]
    assert "Read-only" in said["refused"]
    capabilities = int(content(built, "/opt/prepared/caps").split()[1], 16)
    assert not capabilities & (1 << 21), "CAP_SYS_ADMIN"
    assert not capabilities & (1 << 27), "CAP_MKNOD"


def test_nothing_of_a_build_goes_on_or_stays_mounted(built: Image) -> None:
    assert not [process for process in psutil.process_iter(["cmdline"]) if "4242" in (process.info["cmdline"] or [])]
    assert str(Path(built.path).parents[2]) not in Path("/proc/self/mountinfo").read_text()
    assert [path.name for path in Path(built.path).parents[1].iterdir()] == ["mylua"]
    assert {path.name for path in Path(built.path).parent.iterdir()} == {"manifest.json", "rootfs.ext4"}


def test_an_image_says_nothing_of_when_and_where_it_was_built(built: Image) -> None:
    for path in ("/var/log/dpkg.log", "/var/cache/apt/archives", "/etc/shadow-", "/etc/resolv.conf", "/tmp/x"):
        assert "File not found" in content(built, path)
    assert "127.0.0.1\tlocalhost" in content(built, "/etc/hosts")


@pytest.fixture
async def engine(lab: Settings, built: Image) -> AsyncIterator[Engine]:
    """With the built image beside nothing else."""
    lab.images_dir.unlink()
    lab.images_dir.mkdir()
    (lab.images_dir / "mylua").symlink_to(Path(built.path).parent)
    own_rows()
    async with Engine(lab) as engine:
        yield engine


@pytest.mark.vm
async def test_code_runs_in_it_and_proves_it(engine: Engine) -> None:
    code = "print('Hello'); print(io.open('/opt/prepared/mark'):read()); io.open('/opt/prepared/new', 'w'):write('x')"
    assert (await run_code(engine, "mylua", code, boot="cold")).stdout == "Hello\nof the row\n"
    language = next(each for each in await engine.languages() if each.id == "mylua")
    assert language.version is not None
    assert language.proven is not None
    assert language.proven.vmm


def test_a_second_build_needs_no_download_of_packages(built: Image, downloads: Path) -> None:
    kept = {path.name.split("_")[0] for path in (downloads / "apt").iterdir()}
    assert {"lua5.4", "libc6", "dpkg"} <= kept


@pytest.mark.nightly
def test_the_same_packages_give_the_same_bytes(built: Image, settings: Settings) -> None:
    assert built.varies == ("what the commands that prepare it make: they may use times and random numbers",)
    again = build(settings, recipe("mylua"))
    assert again.digest == built.digest


@pytest.mark.nightly
def test_a_python_image_is_the_same_again_too(settings: Settings, tmp_path: Path, downloads: Path) -> None:
    row = Catalogue.load().recipe("python")
    first = build(settings, row, pypi=["iniconfig"])
    second = build(settings_in(tmp_path / "other", downloads), row, pypi=["iniconfig"])
    assert (first.digest, first.varies) == (second.digest, ())


@pytest.mark.parametrize(
    ("more", "kind", "named"),
    [
        ({"pypi": ("no-such-wheel-anywhere-4242",)}, InputError, "no-such-wheel"),
        ({"npm": ("no-such-package-anywhere-4242",)}, InputError, "no-such-package"),
        ({"prepare": (("sh", "-c", "echo broken; exit 3"),)}, InternalError, "broken"),
        ({"version": ("no-such-tool",)}, NotReadyError, "no-such-tool"),
    ],
    ids=["wheel", "npm", "prepare", "version"],
)
@pytest.mark.nightly
def test_what_fails_is_named_and_leaves_no_image(
    more: dict[str, object], kind: type[Exception], named: str, settings: Settings
) -> None:
    with pytest.raises(kind, match=named):
        build(settings, recipe("myjq", **more))
    assert list(settings.images_dir.iterdir()) == []


PHASES = [
    pytest.param("I: downloading packages", id="downloading"),
    pytest.param("I: installing essential packages", id="essential", marks=pytest.mark.nightly),
    pytest.param("Installing wheels", id="wheels", marks=pytest.mark.nightly),
    pytest.param("Installing npm", id="npm", marks=pytest.mark.nightly),
    pytest.param("started", id="preparing", marks=pytest.mark.nightly),
    pytest.param("Asking the version", id="version", marks=pytest.mark.nightly),
    pytest.param("Writing the file system", id="file-system", marks=pytest.mark.nightly),
]


@pytest.mark.parametrize("phase", PHASES)
async def test_cancelled_in_any_phase_it_leaves_nothing_but_downloads(phase: str, settings: Settings) -> None:
    row = recipe("mylua", prepare=(("sh", "-c", "sleep 4242 & echo started; sleep 4242"),))
    if phase in ("Asking the version", "Writing the file system"):
        row = row.model_copy(update={"prepare": ()})
    reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def progress(line: str, fraction: float | None = None) -> None:
        if line.startswith(phase) and not reached.done():
            reached.set_result(None)

    request = BuildLanguageRequest(language=row.id)
    work = asyncio.create_task(build_language(settings, ImageStore(settings), row, request, progress))
    await asyncio.wait({work, reached}, return_when=asyncio.FIRST_COMPLETED)
    assert reached.done(), "the build ended before it could be cancelled"
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert_nothing_left(settings)


def assert_nothing_left(settings: Settings) -> None:
    assert list(settings.images_dir.iterdir()) == []
    assert str(settings.data_dir) not in Path("/proc/self/mountinfo").read_text()
    assert working_in(settings.data_dir) == []
    PackageCache(settings).remove(clear=False)  # refused while a build goes on


def working_in(folder: Path) -> list[list[str]]:
    found: list[list[str]] = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:  # ended meanwhile
            continue
        if "4242" in line or any(str(folder) in part for part in line):
            found.append(line)
    return found


KILLED = """
import asyncio, sys
from pathlib import Path
from engine.languages.catalogue import Catalogue
from engine.models import BuildLanguageRequest
from engine.rootfs.debian import build_language
from engine.rootfs.store import ImageStore
from engine.settings import Settings

settings, row = Settings(data_dir=Path(sys.argv[1])), Catalogue.load(Path(sys.argv[2])).recipe("mylua")
row = row.model_copy(update={"prepare": (("sh", "-c", "sleep 4242 & echo started; sleep 4242"),)})

def progress(line, fraction=None):
    print(line, flush=True)

asyncio.run(build_language(settings, ImageStore(settings), row, BuildLanguageRequest(language=row.id), progress))
"""


@pytest.mark.nightly
@pytest.mark.parametrize("phase", ["I: installing essential packages", "started"])
def test_a_killed_engine_takes_its_build_along(phase: str, settings: Settings) -> None:

    argv = [sys.executable, "-c", KILLED, str(settings.data_dir), str(own_rows())]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        for line in engine.stdout:
            if line.startswith(phase):
                break
        engine.kill()
    psutil.wait_procs([p for p in psutil.process_iter() if str(settings.data_dir) in " ".join(cmdline(p))], timeout=10)
    assert working_in(settings.data_dir) == []
    assert str(settings.data_dir) not in Path("/proc/self/mountinfo").read_text()


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
async def empty(lab: Settings, downloads: Path) -> AsyncIterator[Engine]:
    """An engine without images, whose builds share the downloads."""
    lab.images_dir.unlink()
    lab.images_dir.mkdir()
    (lab.data_dir / "cache").symlink_to(downloads)
    own_rows()
    async with Engine(lab) as engine:
        yield engine


async def ended(engine: Engine, job: Job) -> Job:
    async for event in engine.job_events(job.id):
        job = event.job
    return job


@pytest.mark.nightly
@pytest.mark.vm
async def test_two_builds_of_one_name_wait_for_each_other(empty: Engine) -> None:
    request = BuildLanguageRequest(language="myjq")
    first, second = await empty.build_language(request), await empty.build_language(request)
    lines = [event.line async for event in empty.job_events(second.id)]
    assert "waiting for Build My jq" in lines
    jobs = {job.id: job for job in await empty.jobs()}
    assert [jobs[each.id].state for each in (first, second)] == [JobState.DONE, JobState.DONE]
    assert jobs[first.id].ended < jobs[second.id].ended
