"""All commands in one table: name, function, example. ``main`` is what the console scripts call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import typer

from engine.cli import doors, images, jobs, overview, run_code, runs, service, serving, settings, setup, snapshots
from engine.cli.reporting import ReportingCommand, reported


class Command(NamedTuple):
    name: str
    call: Callable[..., None]
    example: str
    cls: type[ReportingCommand] = ReportingCommand


ABOUT = "Run untrusted code in one-shot microVMs. Without a command: the console."

COMMANDS = (
    Command("console", doors.console, "vmdeck console --read-only"),
    Command("host", run_code.host, "vmdeck host --lang python --code 'print(6 * 7)'", run_code.HostCommand),
    Command("guest", doors.guest, "vmdeck guest (process 1 of a microVM runs it)"),
    Command("api", serving.api, "vmdeck api --port 8080"),
    Command("serve", serving.serve, "vmdeck serve --port 8080"),
    Command("languages", overview.languages, "vmdeck languages --json"),
    Command("doctor", overview.doctor, "vmdeck doctor"),
    Command("setup", setup.setup, "vmdeck setup --skip-docker --dry-run"),
    Command("runs", runs.runs, "vmdeck runs --outcome '!success' --since 1h"),
    Command("vms", overview.vms, "vmdeck vms --json"),
    Command("version", overview.version, "vmdeck version"),
)
ROOTFS = (
    Command(
        "from-debian",
        images.from_debian,
        "vmdeck rootfs from-debian --name python --packages python3,python3-numpy --lang python",
    ),
    Command("list", images.show, "vmdeck rootfs list"),
    Command("rm", images.remove, "vmdeck rootfs rm python --yes"),
)
SNAPSHOT = (
    Command("create", snapshots.create, "vmdeck snapshot create --lang python --mem 256 --vcpus 1"),
    Command("list", snapshots.show, "vmdeck snapshot list"),
    Command("refresh", snapshots.refresh, "vmdeck snapshot refresh python-256"),
    Command("rm", snapshots.remove, "vmdeck snapshot rm python-256 --yes"),
    Command("verify", snapshots.verify, "vmdeck snapshot verify python-256"),
)
JOBS = (
    Command("log", jobs.log, "vmdeck jobs log 8f21c07a93be"),
    Command("cancel", jobs.cancel, "vmdeck jobs cancel 8f21c07a93be"),
    Command("retry", jobs.retry, "vmdeck jobs retry 8f21c07a93be"),
)
SETTINGS = (
    Command("set", settings.put, "vmdeck settings set max_running 8"),
    Command("unset", settings.unset, "vmdeck settings unset max_running"),
)
SERVICE = (
    Command("install", service.install, "vmdeck service install --port 8080"),
    Command("status", service.status, "vmdeck service status"),
    Command("remove", service.remove, "vmdeck service remove --yes"),
)


def _group(commands: tuple[Command, ...], about: str, *, no_args_is_help: bool = True) -> typer.Typer:
    group = typer.Typer(
        name="vmdeck",
        help=about,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=no_args_is_help,
    )
    for command in commands:
        group.command(command.name, cls=command.cls, epilog=f"Example: {command.example}")(command.call)
    return group


app = _group(COMMANDS, ABOUT, no_args_is_help=False)
app.add_typer(_group(ROOTFS, "Images: the file systems that code runs in."), name="rootfs")
app.add_typer(_group(SNAPSHOT, "Snapshots: VMs that are ready to run code."), name="snapshot")
long_work = _group(JOBS, "Long work; without a command: the list of it.", no_args_is_help=False)
long_work.callback(invoke_without_command=True)(jobs.show)
app.add_typer(long_work, name="jobs")

settings_group = _group(SETTINGS, settings.ABOUT, no_args_is_help=False)
settings_group.callback(invoke_without_command=True, help=settings.ABOUT, epilog="Example: vmdeck settings --json")(
    settings.show
)
app.add_typer(settings_group, name="settings")
app.add_typer(_group(SERVICE, "The service: an engine that systemd keeps open."), name="service")


@app.callback(invoke_without_command=True, help=ABOUT)
def root(context: typer.Context) -> None:
    """What a bare ``vmdeck`` does."""
    if context.invoked_subcommand is None:
        with reported(as_json=False):
            doors.console()


def main() -> None:
    """Entry point of the console scripts; exits the process."""
    app(prog_name="vmdeck")
