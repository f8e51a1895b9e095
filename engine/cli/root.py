"""All commands in one table: name, function, example.

A command line imports the module of its own command only: the console's first paint waits for all that is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import typer

from engine.cli.reporting import reported


class Command(NamedTuple):
    """``call`` and ``cls`` are ``module:name`` under engine.cli."""

    name: str
    call: str
    example: str
    cls: str = "reporting:ReportingCommand"


class Group(NamedTuple):
    """Commands under a name. ``alone`` is what it does without one; where there is none, it shows its help."""

    name: str
    about: str
    commands: tuple[Command, ...]
    alone: Command | None = None


ABOUT = "Run untrusted code in one-shot microVMs. Without a command: the console."

COMMANDS = (
    Command("console", "doors:console", "vmdeck console --read-only"),
    Command("host", "run_code:host", "vmdeck host --lang python --code 'print(6 * 7)'", "run_code:HostCommand"),
    Command("guest", "doors:guest", "vmdeck guest (process 1 of a microVM runs it)"),
    Command("api", "serving:api", "vmdeck api --port 8080"),
    Command("serve", "serving:serve", "vmdeck serve --port 8080"),
    Command("languages", "overview:languages", "vmdeck languages --json"),
    Command("doctor", "overview:doctor", "vmdeck doctor"),
    Command("setup", "setup:setup", "vmdeck setup --skip-docker --dry-run"),
    Command("runs", "runs:runs", "vmdeck runs --outcome '!success' --since 1h"),
    Command("vms", "overview:vms", "vmdeck vms --json"),
    Command("version", "overview:version", "vmdeck version"),
)
ROOTFS = (
    Command("build", "building:build", "vmdeck rootfs build lua"),
    Command(
        "from-debian",
        "images:from_debian",
        "vmdeck rootfs from-debian --name python --packages python3,python3-numpy --lang python",
    ),
    Command(
        "from-docker",
        "docker_images:from_docker",
        "vmdeck rootfs from-docker --name golang --image golang:1.25 --lang go",
    ),
    Command("list", "images:show", "vmdeck rootfs list --remote --bucket my-images"),
    Command("prune", "building:prune", "vmdeck rootfs prune --cache"),
    Command("rm", "images:remove", "vmdeck rootfs rm python --yes"),
    Command("upload", "transfer:upload_image", "vmdeck rootfs upload --lang python --bucket my-images"),
    Command("download", "transfer:download_image", "vmdeck rootfs download --lang python --bucket my-images"),
)
SNAPSHOT = (
    Command("create", "snapshots:create", "vmdeck snapshot create --lang python --mem 256 --vcpus 1"),
    Command("list", "snapshots:show", "vmdeck snapshot list --remote --bucket my-images"),
    Command("refresh", "snapshots:refresh", "vmdeck snapshot refresh python-256"),
    Command("rm", "snapshots:remove", "vmdeck snapshot rm python-256 --yes"),
    Command("verify", "snapshots:verify", "vmdeck snapshot verify python-256"),
    Command("upload", "transfer:upload_snapshot", "vmdeck snapshot upload python-256 --bucket my-images"),
    Command("download", "transfer:download_snapshot", "vmdeck snapshot download python-256 --bucket my-images"),
)
JOBS = (
    Command("log", "jobs:log", "vmdeck jobs log 8f21c07a93be"),
    Command("cancel", "jobs:cancel", "vmdeck jobs cancel 8f21c07a93be"),
    Command("retry", "jobs:retry", "vmdeck jobs retry 8f21c07a93be"),
)
SETTINGS = (
    Command("set", "settings:put", "vmdeck settings set max_running 8"),
    Command("unset", "settings:unset", "vmdeck settings unset max_running"),
)
SERVICE = (
    Command("install", "service:install", "vmdeck service install --port 8080"),
    Command("status", "service:status", "vmdeck service status"),
    Command("remove", "service:remove", "vmdeck service remove --yes"),
)


GROUPS = (
    Group("rootfs", "Images: the file systems that code runs in.", ROOTFS),
    Group("snapshot", "Snapshots: VMs that are ready to run code.", SNAPSHOT),
    Group(
        "jobs", "Long work; without a command: the list of it.", JOBS, Command("", "jobs:show", "vmdeck jobs --json")
    ),
    Group(
        "settings",
        "Settings in force, where each comes from, and what config.toml says meanwhile.",
        SETTINGS,
        Command("", "settings:show", "vmdeck settings --json"),
    ),
    Group("service", "The service: an engine that systemd keeps open.", SERVICE),
)


def program(first: str | None = None) -> typer.Typer:
    """The command line. With the ``first`` word of a line that names a command, only that one is in it."""
    commands = [command for command in COMMANDS if command.name == first]
    groups = [group for group in GROUPS if group.name == first]
    if not (commands or groups):
        commands, groups = list(COMMANDS), list(GROUPS)
    app = _typer(ABOUT, no_args_is_help=False)
    _add(app, commands)
    for group in groups:
        inner = _typer(group.about, no_args_is_help=group.alone is None)
        _add(inner, group.commands)
        if group.alone is not None:
            epilog = f"Example: {group.alone.example}"
            inner.callback(invoke_without_command=True, help=group.about, epilog=epilog)(_named(group.alone.call))
        app.add_typer(inner, name=group.name)
    app.callback(invoke_without_command=True, help=ABOUT)(root)
    return app


def _typer(about: str, *, no_args_is_help: bool) -> typer.Typer:
    return typer.Typer(
        name="vmdeck",
        help=about,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=no_args_is_help,
    )


def _add(app: typer.Typer, commands: Sequence[Command]) -> None:
    for command in commands:
        added = app.command(command.name, cls=_named(command.cls), epilog=f"Example: {command.example}")
        added(_named(command.call))


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(f"engine.cli.{module}"), name)


def root(context: typer.Context) -> None:
    """What a bare ``vmdeck`` does."""
    if context.invoked_subcommand is None:
        from engine.cli.ways_in import open_console

        with reported(as_json=False):
            raise typer.Exit(open_console())
